/*
 * All registers of a vCPU, on real ones: read, as JSON, into a fresh vCPU of
 * another VM, and back to the power-on state.
 */
#include "arch/x86_64/vcpu_state.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/kvm.h>

#include <check.h>

#include "arch/x86_64/cpuid.h"
#include "arch/x86_64/irqchip.h"
#include "arch/x86_64/vcpu_boot.h"
#include "tests/unit/support/kvm.h"
#include "tests/unit/x86_64/support/msr.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#define IA32_TIME_STAMP_COUNTER 0x10
#define IA32_TSC_ADJUST		0x3b
#define IA32_MTRR_FIX64K_00000	0x250
#define IA32_TSC_DEADLINE	0x6e0
#define IA32_LSTAR		0xc0000082
#define IA32_KERNEL_GS_BASE	0xc0000102

/* A deadline far in the future, so that it stays. */
#define DEADLINE UINT64_C(0x7fffffffffff)

/* SDM volume 3A, "Local APIC": offsets, and the timer's TSC-deadline mode */
#define LAPIC_TPR  0x080
#define LAPIC_SVR  0x0f0
#define LAPIC_LVTT 0x320
#define SVR_ON	   0x100
#define LVTT_MODE  0x40000

/* SDM volume 3A, "Interrupt Command Register": delivery modes */
#define LAPIC_INIT    0x500
#define LAPIC_STARTUP 0x600

/* SDM volume 1, 10.5.1 and 13.4: offsets in the XSAVE area */
#define XSAVE_FCW	0
#define XSAVE_XMM9	304
#define XSAVE_XSTATE_BV 512

struct machine {
	struct kvm_test vm;
	struct irqchip *irqchip;
	struct cpuid *cpuid;
	struct vcpu_shape *shape;
	struct vcpu_state *state; /* to work with */
};

/* As arch.c sets vCPUs up. */
static void machine_init(struct machine *m)
{
	struct error err;

	kvm_test_init(&m->vm);
	ck_assert_int_eq(irqchip_new(&m->irqchip, m->vm.vm_fd, false, &err), 0);
	kvm_test_add_vcpus(&m->vm);
	ck_assert_int_eq(
		cpuid_new(&m->cpuid, m->vm.kvm_fd, KVM_TEST_CPUS, &err), 0);
	for (unsigned int i = 0; i < KVM_TEST_CPUS; i++) {
		ck_assert_int_eq(
			cpuid_set(m->cpuid, m->vm.vcpu_fds[i], i, &err), 0);
		ck_assert_int_eq(vcpu_boot_msrs(m->vm.vcpu_fds[i], &err), 0);
	}
	ck_assert_msg(vcpu_shape_new(&m->shape, m->vm.kvm_fd, m->vm.vm_fd,
				     m->vm.vcpu_fds[0], &err) == 0,
		      "%s", err.text);
	ck_assert_int_eq(vcpu_state_new(&m->state, m->shape), 0);
}

static void machine_fini(struct machine *m)
{
	vcpu_state_free(m->state);
	vcpu_shape_free(m->shape);
	cpuid_free(m->cpuid);
	irqchip_device_ops.free(m->irqchip);
	kvm_test_fini(&m->vm);
}

/* Read the vCPU's state as JSON. */
static json_t *machine_state(struct machine *m, unsigned int cpu)
{
	struct error err;
	json_t *value;

	ck_assert_msg(vcpu_state_read(m->state, m->vm.vcpu_fds[cpu], &err) == 0,
		      "%s", err.text);
	ck_assert_int_eq(vcpu_state_save(m->state, &value), 0);
	return value;
}

static bool is_msr(const json_t *entry, uint32_t index)
{
	char text[16];

	snprintf(text, sizeof(text), "0x%x", index);
	return strcmp(json_string_value(json_object_get(entry, "index")),
		      text) == 0;
}

/* Take an MSR that never stands still out of a state. Return: there it was. */
static bool drop_msr(json_t *value, uint32_t index)
{
	json_t *msrs = json_object_get(value, "msrs");

	for (size_t i = 0; i < json_array_size(msrs); i++) {
		if (is_msr(json_array_get(msrs, i), index))
			return json_array_remove(msrs, i) == 0;
	}
	return false;
}

/* What two states differ in, "" for nothing. */
static const char *differs(json_t *a, json_t *b)
{
	const char *key;
	json_t *value;

	json_object_foreach(a, key, value)
	{
		if (!json_equal(value, json_object_get(b, key)))
			return key;
	}
	return json_object_size(a) == json_object_size(b) ? "" : "size";
}

static void check_same(json_t *a, json_t *b)
{
	const char *key = differs(a, b);
	json_t *part_a = json_object_get(a, key);
	json_t *part_b = json_object_get(b, key);

	/* The first MSR alone: there are hundreds. */
	for (size_t i = 0; i < json_array_size(part_a); i++) {
		json_t *msr_a = json_array_get(part_a, i);
		json_t *msr_b = json_array_get(part_b, i);

		if (json_equal(msr_a, msr_b))
			continue;
		part_a = msr_a;
		part_b = msr_b;
		break;
	}
	ck_assert_msg(!*key, "%s: %.300s and %.300s", key,
		      json_dumps(part_a, JSON_ENCODE_ANY),
		      json_dumps(part_b, JSON_ENCODE_ANY));
}

/* KVM itself sees no difference between two vCPUs. */
static void check_same_raw(int from_fd, int to_fd)
{
	static const struct {
		unsigned long request;
		size_t size;
	} calls[] = {
		{KVM_GET_REGS, sizeof(struct kvm_regs)},
		{KVM_GET_SREGS, sizeof(struct kvm_sregs)},
		{KVM_GET_XCRS, sizeof(struct kvm_xcrs)},
		{KVM_GET_XSAVE, sizeof(struct kvm_xsave)},
		{KVM_GET_DEBUGREGS, sizeof(struct kvm_debugregs)},
		{KVM_GET_LAPIC, sizeof(struct kvm_lapic_state)},
		{KVM_GET_VCPU_EVENTS, sizeof(struct kvm_vcpu_events)},
		{KVM_GET_MP_STATE, sizeof(struct kvm_mp_state)},
	};

	for (size_t i = 0; i < COUNT_OF(calls); i++) {
		uint8_t *from = calloc(2, calls[i].size);
		uint8_t *to = from + calls[i].size;

		ck_assert_int_eq(ioctl(from_fd, calls[i].request, from), 0);
		ck_assert_int_eq(ioctl(to_fd, calls[i].request, to), 0);
		ck_assert_msg(memcmp(from, to, calls[i].size) == 0, "call %zu",
			      i);
		free(from);
	}
}

static bool has_xcrs(int vcpu_fd)
{
	struct kvm_xcrs xcrs;

	ck_assert_int_eq(ioctl(vcpu_fd, KVM_GET_XCRS, &xcrs), 0);
	return xcrs.nr_xcrs > 0;
}

static void put32(struct kvm_lapic_state *lapic, size_t offset, uint32_t value)
{
	memcpy(&lapic->regs[offset], &value, sizeof(value));
}

static void scribble_regs(int fd)
{
	const struct boot_entry entry = {
		.long_mode = true,
		.cs = 0x10,
		.ds = 0x18,
		.ip = 0x123456,
		.ax = 1,
		.bx = 2,
		.si = 3,
		.sp = 4,
	};
	struct kvm_debugregs debug;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	struct kvm_test vm;

	kvm_test_init(&vm);
	ck_assert_int_eq(vcpu_boot(fd, vm.mem, &entry, NULL), 0);
	kvm_test_fini(&vm);
	/* A value of its own in each, and flags that are allowed. */
	for (size_t i = 0; i < sizeof(regs) / 8; i++)
		((uint64_t *)&regs)[i] = 0x1000 + i;
	regs.rflags = 0x246;
	ck_assert_int_eq(ioctl(fd, KVM_SET_REGS, &regs), 0);
	ck_assert_int_eq(ioctl(fd, KVM_GET_SREGS, &sregs), 0);
	sregs.cr2 = 0x1234567890;
	sregs.cr8 = 5;
	sregs.fs.base = 0x7f0011223344;
	sregs.gs.base = 0x7f0055667788;
	sregs.ldt.base = 0x6000;
	sregs.ldt.limit = 0x1f;
	sregs.idt.base = 0x5000;
	sregs.idt.limit = 0xfff;
	ck_assert_int_eq(ioctl(fd, KVM_SET_SREGS, &sregs), 0);
	ck_assert_int_eq(ioctl(fd, KVM_GET_DEBUGREGS, &debug), 0);
	for (unsigned int i = 0; i < 4; i++)
		debug.db[i] = 0x1000 + i;
	debug.dr7 = 0x401;
	ck_assert_int_eq(ioctl(fd, KVM_SET_DEBUGREGS, &debug), 0);
}

/*
 * With KVM_SET_XSAVE, since KVM_SET_FPU leaves XSTATE_BV, which says what of
 * the registers is not in its initial state.
 */
static void scribble_fpu(int fd)
{
	struct kvm_xsave xsave;
	struct kvm_xcrs xcrs;
	uint8_t *area = (uint8_t *)xsave.region;

	ck_assert_int_eq(ioctl(fd, KVM_GET_XSAVE, &xsave), 0);
	area[XSAVE_FCW] = 0x7f;
	area[XSAVE_FCW + 1] = 0x02;
	memset(area + XSAVE_XMM9, 0x99, 16);
	area[XSAVE_XSTATE_BV] |= 3;
	ck_assert_int_eq(ioctl(fd, KVM_SET_XSAVE, &xsave), 0);
	ck_assert_int_eq(ioctl(fd, KVM_GET_XCRS, &xcrs), 0);
	if (!has_xcrs(fd))
		return;
	xcrs.xcrs[0].value = 3;
	ck_assert_int_eq(ioctl(fd, KVM_SET_XCRS, &xcrs), 0);
}

static void scribble_events(int fd)
{
	struct kvm_mp_state mp_state = {.mp_state = KVM_MP_STATE_HALTED};
	struct kvm_vcpu_events events;
	struct kvm_lapic_state lapic;

	ck_assert_int_eq(ioctl(fd, KVM_GET_LAPIC, &lapic), 0);
	put32(&lapic, LAPIC_TPR, 0x50);
	put32(&lapic, LAPIC_SVR, SVR_ON | 0xff);
	put32(&lapic, LAPIC_LVTT, LVTT_MODE | 0xec);
	ck_assert_int_eq(ioctl(fd, KVM_SET_LAPIC, &lapic), 0);
	kvm_test_set_msr(fd, IA32_TSC_DEADLINE, DEADLINE);
	ck_assert_int_eq(ioctl(fd, KVM_GET_VCPU_EVENTS, &events), 0);
	events.nmi.masked = 1;
	events.exception.injected = 1;
	events.exception.nr = 14;
	events.exception.has_error_code = 1;
	events.exception.error_code = 6;
	ck_assert_int_eq(ioctl(fd, KVM_SET_VCPU_EVENTS, &events), 0);
	ck_assert_int_eq(ioctl(fd, KVM_SET_MP_STATE, &mp_state), 0);
}

/* Give every part of the state another value, as a guest would. */
static void scribble(int fd)
{
	scribble_regs(fd);
	scribble_fpu(fd);
	kvm_test_set_msr(fd, IA32_LSTAR, 0xffffffff81000000);
	kvm_test_set_msr(fd, IA32_KERNEL_GS_BASE, 0xffff888000000000);
	kvm_test_set_msr(fd, IA32_MTRR_FIX64K_00000, 0x0606060606060606);
	scribble_events(fd);
}

/* --- Restore -------------------------------------------------------------- */

START_TEST(write_for_restore_into_fresh_vm_reads_the_same)
{
	struct machine from, to;
	json_t *saved, *fresh, *again;
	struct error err;

	machine_init(&from);
	machine_init(&to);
	scribble(from.vm.vcpu_fds[_i]);
	saved = machine_state(&from, (unsigned int)_i);
	fresh = machine_state(&to, (unsigned int)_i);
	ck_assert_msg(vcpu_state_load(to.state, saved, &err) == 0, "%s",
		      err.text);
	ck_assert_msg(vcpu_state_write(to.state, to.vm.vcpu_fds[_i],
				       VCPU_STATE_RESTORE, &err) == 0,
		      "%s", err.text);
	again = machine_state(&to, (unsigned int)_i);
	ck_assert_uint_eq(
		kvm_test_get_msr(to.vm.vcpu_fds[_i], IA32_TSC_DEADLINE),
		DEADLINE);
	ck_assert(drop_msr(saved, IA32_TIME_STAMP_COUNTER));
	ck_assert(drop_msr(again, IA32_TIME_STAMP_COUNTER));
	check_same(saved, again);
	check_same_raw(from.vm.vcpu_fds[_i], to.vm.vcpu_fds[_i]);
	ck_assert_str_ne(differs(saved, fresh), "");
	json_decref(saved);
	json_decref(fresh);
	json_decref(again);
	machine_fini(&from);
	machine_fini(&to);
}
END_TEST

/* Every part is one that the scribbling changes, or the test above is blind. */
START_TEST(save_after_use_differs_in_each_part)
{
	static const char *const parts[] = {
		"run",	   "regs",  "cs",     "ds",	   "es",    "fs",
		"gs",	   "ss",    "tr",     "ldt",	   "gdt",   "idt",
		"control", "lapic", "events", "debugregs", "xsave", "msrs",
	};
	struct machine m;
	json_t *before, *after;

	machine_init(&m);
	before = machine_state(&m, 0);
	scribble(m.vm.vcpu_fds[0]);
	after = machine_state(&m, 0);
	for (size_t i = 0; i < COUNT_OF(parts); i++) {
		ck_assert_ptr_nonnull(json_object_get(after, parts[i]));
		ck_assert_msg(!json_equal(json_object_get(before, parts[i]),
					  json_object_get(after, parts[i])),
			      "%s", parts[i]);
	}
	/* A CPU without XSAVE has none. */
	ck_assert_int_eq(!json_equal(json_object_get(before, "xcrs"),
				     json_object_get(after, "xcrs")),
			 has_xcrs(m.vm.vcpu_fds[0]));
	json_decref(before);
	json_decref(after);
	machine_fini(&m);
}
END_TEST

START_TEST(write_for_restore_sets_tsc)
{
	static const uint64_t then = UINT64_C(1) << 50;
	struct machine m;
	struct error err;

	machine_init(&m);
	kvm_test_set_msr(m.vm.vcpu_fds[0], IA32_TIME_STAMP_COUNTER, then);
	kvm_test_set_msr(m.vm.vcpu_fds[0], IA32_TSC_ADJUST, 77);
	ck_assert_int_eq(vcpu_state_read(m.state, m.vm.vcpu_fds[0], &err), 0);
	kvm_test_set_msr(m.vm.vcpu_fds[0], IA32_TIME_STAMP_COUNTER, 0);
	kvm_test_set_msr(m.vm.vcpu_fds[0], IA32_TSC_ADJUST, 0);
	ck_assert_int_eq(vcpu_state_write(m.state, m.vm.vcpu_fds[0],
					  VCPU_STATE_RESTORE, &err),
			 0);
	ck_assert_uint_ge(
		kvm_test_get_msr(m.vm.vcpu_fds[0], IA32_TIME_STAMP_COUNTER),
		then);
	ck_assert_uint_eq(kvm_test_get_msr(m.vm.vcpu_fds[0], IA32_TSC_ADJUST),
			  77);
	machine_fini(&m);
}
END_TEST

/* --- Reset ---------------------------------------------------------------- */

START_TEST(write_for_reset_gives_power_on_state)
{
	int cpu = _i;
	struct machine m;
	struct vcpu_state *power_on;
	json_t *before, *after;
	struct error err;

	machine_init(&m);
	before = machine_state(&m, (unsigned int)cpu);
	ck_assert_int_eq(vcpu_state_new(&power_on, m.shape), 0);
	ck_assert_int_eq(vcpu_state_read(power_on, m.vm.vcpu_fds[cpu], &err),
			 0);
	scribble(m.vm.vcpu_fds[cpu]);
	ck_assert_msg(vcpu_state_write(power_on, m.vm.vcpu_fds[cpu],
				       VCPU_STATE_RESET, &err) == 0,
		      "%s", err.text);
	after = machine_state(&m, (unsigned int)cpu);
	ck_assert(drop_msr(before, IA32_TIME_STAMP_COUNTER));
	ck_assert(drop_msr(after, IA32_TIME_STAMP_COUNTER));
	check_same(before, after);
	json_decref(before);
	json_decref(after);
	vcpu_state_free(power_on);
	machine_fini(&m);
}
END_TEST

START_TEST(write_for_reset_makes_first_runnable_and_others_wait)
{
	static const uint32_t states[] = {KVM_MP_STATE_RUNNABLE,
					  KVM_MP_STATE_UNINITIALIZED};
	struct vcpu_state *power_on;
	struct kvm_mp_state now;
	struct machine m;
	struct error err;
	int fd;

	machine_init(&m);
	fd = m.vm.vcpu_fds[_i];
	ck_assert_int_eq(vcpu_state_new(&power_on, m.shape), 0);
	ck_assert_int_eq(vcpu_state_read(power_on, fd, &err), 0);
	scribble(fd);
	ck_assert_int_eq(vcpu_state_write(power_on, fd, VCPU_STATE_RESET, &err),
			 0);
	ck_assert_int_eq(ioctl(fd, KVM_GET_MP_STATE, &now), 0);
	ck_assert_uint_eq(now.mp_state, states[_i]);
	vcpu_state_free(power_on);
	machine_fini(&m);
}
END_TEST

/* An interrupt message of another delivery mode than fixed. */
static void send_ipi(const struct machine *m, unsigned int cpu, uint32_t mode)
{
	struct kvm_msi msi = {
		.address_lo = 0xfee00000 | cpu << 12,
		.data = mode,
	};

	ck_assert_int_gt(ioctl(m->vm.vm_fd, KVM_SIGNAL_MSI, &msi), 0);
}

/* The machine was stopped before the vCPU came to see either. */
START_TEST(write_for_reset_drops_init_and_sipi_on_their_way)
{
	struct vcpu_state *power_on;
	struct kvm_mp_state now;
	struct machine m;
	struct error err;
	int fd;

	machine_init(&m);
	fd = m.vm.vcpu_fds[1];
	ck_assert_int_eq(vcpu_state_new(&power_on, m.shape), 0);
	ck_assert_int_eq(vcpu_state_read(power_on, fd, &err), 0);
	/* KVM finds the local APIC of a new vCPU once it has been written. */
	ck_assert_int_eq(vcpu_state_write(power_on, fd, VCPU_STATE_RESET, &err),
			 0);
	send_ipi(&m, 1, LAPIC_INIT);
	send_ipi(&m, 1, LAPIC_STARTUP | 0x9a);
	ck_assert_int_eq(vcpu_state_write(power_on, fd, VCPU_STATE_RESET, &err),
			 0);
	ck_assert_int_eq(ioctl(fd, KVM_GET_MP_STATE, &now), 0);
	ck_assert_uint_eq(now.mp_state, KVM_MP_STATE_UNINITIALIZED);
	vcpu_state_free(power_on);
	machine_fini(&m);
}
END_TEST

START_TEST(write_for_reset_leaves_tsc_alone)
{
	static const uint64_t then = UINT64_C(1) << 50;
	struct machine m;
	struct error err;
	int fd;

	machine_init(&m);
	fd = m.vm.vcpu_fds[0];
	ck_assert_int_eq(vcpu_state_read(m.state, fd, &err), 0);
	kvm_test_set_msr(fd, IA32_TIME_STAMP_COUNTER, then);
	kvm_test_set_msr(fd, IA32_TSC_ADJUST, 77);
	ck_assert_int_eq(vcpu_state_write(m.state, fd, VCPU_STATE_RESET, &err),
			 0);
	ck_assert_uint_ge(kvm_test_get_msr(fd, IA32_TIME_STAMP_COUNTER), then);
	ck_assert_uint_eq(kvm_test_get_msr(fd, IA32_TSC_ADJUST), 77);
	machine_fini(&m);
}
END_TEST

/* --- Damaged state -------------------------------------------------------- */

/* Each member of the state, and each member of those: taken away. */
START_TEST(load_with_any_member_missing_names_it)
{
	struct machine m;
	json_t *whole, *part;
	const char *key, *inner;
	struct error err;
	void *step;

	machine_init(&m);
	whole = machine_state(&m, 0);
	json_object_foreach_safe(whole, step, key, part)
	{
		json_t *copy = json_deep_copy(whole);
		json_t *member;

		json_object_del(copy, key);
		ck_assert_int_eq(vcpu_state_load(m.state, copy, &err), -EINVAL);
		ck_assert_ptr_nonnull(strstr(err.text, key));
		json_decref(copy);
		json_object_foreach(part, inner, member)
		{
			copy = json_deep_copy(whole);
			json_object_del(json_object_get(copy, key), inner);
			ck_assert_int_eq(vcpu_state_load(m.state, copy, &err),
					 -EINVAL);
			ck_assert_ptr_nonnull(strstr(err.text, key));
			ck_assert_ptr_nonnull(strstr(err.text, inner));
			json_decref(copy);
		}
	}
	ck_assert_int_eq(vcpu_state_load(m.state, whole, &err), 0);
	json_decref(whole);
	machine_fini(&m);
}
END_TEST

START_TEST(load_with_any_member_of_wrong_type_names_it)
{
	struct machine m;
	json_t *whole, *part;
	const char *key;
	struct error err;

	machine_init(&m);
	whole = machine_state(&m, 0);
	json_object_foreach(whole, key, part)
	{
		json_t *copy = json_deep_copy(whole);

		json_object_set_new(copy, key, json_integer(1));
		ck_assert_int_eq(vcpu_state_load(m.state, copy, &err), -EINVAL);
		ck_assert_ptr_nonnull(strstr(err.text, key));
		json_decref(copy);
	}
	json_decref(whole);
	machine_fini(&m);
}
END_TEST

static const struct {
	const char *part, *member, *value;
} bad_values[] = {
	{"regs", "rax", "0x10000000000000000"},
	{"cs", "selector", "0x10000"},
	{"cs", "type", "0x10"},
	{"cs", "dpl", "0x4"},
	{"gdt", "limit", "0x10000"},
	{"xcrs", "nr_xcrs", "0x2"},
	{"xcrs", "nr_xcrs", "0xffffffff"},
	{"lapic", "regs", "00"},
	{"events", "flags", "all"},
	{"run", "tsc_khz", "0x80000000"},
	{"regs", "extra", "0x0"},
};

START_TEST(load_with_bad_value_names_member)
{
	struct machine m;
	json_t *value;
	struct error err;

	machine_init(&m);
	value = machine_state(&m, 0);
	json_object_set_new(json_object_get(value, bad_values[_i].part),
			    bad_values[_i].member,
			    json_string(bad_values[_i].value));
	ck_assert_int_eq(vcpu_state_load(m.state, value, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, bad_values[_i].part));
	ck_assert_ptr_nonnull(strstr(err.text, bad_values[_i].member));
	json_decref(value);
	machine_fini(&m);
}
END_TEST

/* One byte too few, one too many, and of the wrong size altogether. */
START_TEST(load_with_xsave_of_other_size_is_refused)
{
	static const int by[] = {-2, 2, -4000, 100000};
	struct machine m;
	struct error err;
	json_t *value;
	size_t len;
	char *text;

	machine_init(&m);
	value = machine_state(&m, 0);
	len = json_string_length(json_object_get(value, "xsave")) +
	      (size_t)by[_i];
	text = malloc(len);
	ck_assert_ptr_nonnull(text);
	memset(text, '0', len);
	json_object_set_new(value, "xsave", json_stringn(text, len));
	ck_assert_int_eq(vcpu_state_load(m.state, value, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "xsave"));
	free(text);
	json_decref(value);
	machine_fini(&m);
}
END_TEST

START_TEST(load_with_extra_member_is_refused)
{
	struct machine m;
	struct error err;
	json_t *value;

	machine_init(&m);
	value = machine_state(&m, 0);
	json_object_set_new(value, "extra", json_object());
	ck_assert_int_eq(vcpu_state_load(m.state, value, &err), -EINVAL);
	ck_assert_int_eq(vcpu_state_load(m.state, NULL, &err), -EINVAL);
	json_decref(value);
	machine_fini(&m);
}
END_TEST

static const struct {
	const char *index, *data; /* NULL: taken away */
	const char *says;
} bad_msrs[] = {
	{"0xdeadbeef", "0x0", "0xdeadbeef"}, {"0xc0000102", "0x0", "twice"},
	{"0x100000000", "0x0", "index"},     {NULL, "0x0", "index"},
	{"0xc0000102", NULL, "data"},
};

START_TEST(load_with_bad_msr_says_which)
{
	json_t *msr = json_object();
	struct machine m;
	struct error err;
	json_t *value;

	machine_init(&m);
	value = machine_state(&m, 0);
	if (bad_msrs[_i].index)
		json_object_set_new(msr, "index",
				    json_string(bad_msrs[_i].index));
	if (bad_msrs[_i].data)
		json_object_set_new(msr, "data",
				    json_string(bad_msrs[_i].data));
	json_array_append_new(json_object_get(value, "msrs"), msr);
	ck_assert_int_eq(vcpu_state_load(m.state, value, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "msrs"));
	ck_assert_ptr_nonnull(strstr(err.text, bad_msrs[_i].says));
	json_decref(value);
	machine_fini(&m);
}
END_TEST

START_TEST(load_with_endless_msrs_is_refused)
{
	struct machine m;
	struct error err;
	json_t *value, *msrs;

	machine_init(&m);
	value = machine_state(&m, 0);
	msrs = json_object_get(value, "msrs");
	for (int i = 0; i < 20; i++) {
		size_t count = json_array_size(msrs);

		if (count > 100000)
			break;
		for (size_t j = 0; j < count; j++)
			json_array_append(msrs, json_array_get(msrs, j));
	}
	ck_assert_int_eq(vcpu_state_load(m.state, value, &err), -EINVAL);
	json_decref(value);
	machine_fini(&m);
}
END_TEST

/* What has the right form may still be nonsense: KVM says so. */
START_TEST(write_of_nonsense_names_call)
{
	struct machine m;
	struct error err;
	json_t *value;

	machine_init(&m);
	value = machine_state(&m, 0);
	json_object_set_new(json_object_get(value, "control"), "cr4",
			    json_string("0xffffffffffffffff"));
	ck_assert_int_eq(vcpu_state_load(m.state, value, &err), 0);
	ck_assert_int_eq(vcpu_state_write(m.state, m.vm.vcpu_fds[0],
					  VCPU_STATE_RESTORE, &err),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "KVM_SET_SREGS2"));
	json_decref(value);
	machine_fini(&m);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_loop_test(
		tcase, write_for_restore_into_fresh_vm_reads_the_same, 0, 2);
	tcase_add_test(tcase, save_after_use_differs_in_each_part);
	tcase_add_loop_test(tcase, write_for_reset_gives_power_on_state, 0, 2);
	tcase_add_loop_test(
		tcase, write_for_reset_makes_first_runnable_and_others_wait, 0,
		2);
	tcase_add_test(tcase, write_for_reset_drops_init_and_sipi_on_their_way);
	tcase_add_test(tcase, load_with_any_member_missing_names_it);
	tcase_add_test(tcase, load_with_any_member_of_wrong_type_names_it);
	tcase_add_loop_test(tcase, load_with_bad_value_names_member, 0,
			    COUNT_OF(bad_values));
	tcase_add_loop_test(tcase, load_with_xsave_of_other_size_is_refused, 0,
			    4);
	tcase_add_test(tcase, load_with_extra_member_is_refused);
	tcase_add_loop_test(tcase, load_with_bad_msr_says_which, 0,
			    COUNT_OF(bad_msrs));
	tcase_add_test(tcase, load_with_endless_msrs_is_refused);
	tcase_add_test(tcase, write_of_nonsense_names_call);
	if (kvm_test_sets_tsc("test_vcpu_state")) {
		tcase_add_test(tcase, write_for_restore_sets_tsc);
		tcase_add_test(tcase, write_for_reset_leaves_tsc_alone);
	}
}

int main(void)
{
	Suite *suite = suite_create("vcpu_state");
	TCase *tcase = tcase_create("vcpu_state");
	SRunner *runner = srunner_create(suite);
	int failed;

	if (kvm_test_available("test_vcpu_state"))
		add_tests(tcase);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
