/*
 * Registers of KVM's interrupt controllers by tables: which are asked for, in
 * which order, and what of a saved state is refused. And the GIC above them,
 * whose tables are cut to the interrupts that a machine has. KVM is a double:
 * ioctl(2) of this program keeps values by group and attribute.
 */
#include "arch/aarch64/vgic_regs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/kvm.h>

#include <check.h>

#include "arch/aarch64/gic.h"
#include "arch/aarch64/gic_rows.h"
#include "arch/aarch64/layout.h"

#define ACCESSES_MAX 2048
#define FAKE_VM	     1000
#define NOTHING	     UINT64_MAX

/* How wide it is, the double has to know by the group, as KVM does. */
struct access {
	bool write;
	uint32_t group;
	uint64_t attr, value;
};

static struct access accesses[ACCESSES_MAX];
static unsigned int access_count;
static struct access values[ACCESSES_MAX]; /* the last of each attribute */
static unsigned int value_count;
static uint64_t fails = NOTHING; /* the access with that number */
static uint32_t device_type;	 /* the only one that there is */

static struct access *value_of(const struct kvm_device_attr *attr)
{
	struct access *value;

	for (unsigned int i = 0; i < value_count; i++) {
		if (values[i].group == attr->group &&
		    values[i].attr == attr->attr)
			return &values[i];
	}
	ck_assert_uint_lt(value_count, ACCESSES_MAX);
	value = &values[value_count++];
	*value = (struct access){.group = attr->group, .attr = attr->attr};
	return value;
}

static size_t width_of(const struct kvm_device_attr *attr)
{
	return attr->group == KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS ||
			       attr->group == KVM_DEV_ARM_VGIC_GRP_ADDR
		       ? 8
		       : 4;
}

static int fake_attr(const struct kvm_device_attr *attr, bool write)
{
	struct access *value = value_of(attr);
	void *data = (void *)(uintptr_t)attr->addr;

	if (access_count == fails) {
		errno = ENXIO;
		return -1;
	}
	ck_assert_uint_lt(access_count, ACCESSES_MAX);
	if (write && data)
		memcpy(&value->value, data, width_of(attr));
	else if (data)
		memcpy(data, &value->value, width_of(attr));
	accesses[access_count] = *value;
	accesses[access_count++].write = write;
	return 0;
}

static int fake_create(struct kvm_create_device *device)
{
	if (device->type != device_type) {
		errno = ENODEV;
		return -1;
	}
	if (!(device->flags & KVM_CREATE_DEVICE_TEST))
		device->fd = (uint32_t)open("/dev/null", O_RDWR | O_CLOEXEC);
	return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
	void *arg;
	va_list list;

	va_start(list, request);
	arg = va_arg(list, void *);
	va_end(list);
	if (request == KVM_CREATE_DEVICE && fd == FAKE_VM)
		return fake_create(arg);
	if (request == KVM_SET_DEVICE_ATTR || request == KVM_GET_DEVICE_ATTR)
		return fake_attr(arg, request == KVM_SET_DEVICE_ATTR);
	errno = ENOTTY;
	return -1;
}

static void forget(void)
{
	access_count = 0;
	fails = NOTHING;
}

static void setup(void)
{
	forget();
	value_count = 0;
	device_type = KVM_DEV_TYPE_ARM_VGIC_V3;
}

/* --- Tables --------------------------------------------------------------- */

static const struct vgic_row rows[] = {
	{.name = "ONE", .group = 1, .offset = 0x8, .step = 4, .count = 1},
	{.name = "BITS",
	 .group = 1,
	 .offset = 0x100,
	 .step = 4,
	 .count = 3,
	 .clear = 0x180},
	{.name = "WIDE",
	 .group = KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS,
	 .offset = 0x600,
	 .step = 1,
	 .count = 2,
	 .per_cpu = true,
	 .wide = true},
};

static const uint32_t keys[] = {0x10, 0x20};

static const struct vgic_regs regs = {
	.dev_fd = FAKE_VM + 1,
	.rows = rows,
	.row_count = 3,
	.keys = keys,
	.cpus = 2,
};

/* Each row begins at a multiple of 8 bytes: 4 and 12 and 32 of them. */
#define STATE_SIZE (8 + 16 + 32)

static uint64_t key(unsigned int cpu, uint32_t offset)
{
	return (uint64_t)keys[cpu] << 32 | offset;
}

static const struct {
	unsigned int cpu;
	uint32_t offset;
	uint64_t value;
} contents[] = {
	{0, 0x8, 0x01020304},	 {0, 0x100, 0x11111111},
	{0, 0x104, 0x22222222},	 {0, 0x108, 0x33333333},
	{0, 0x600, 0x100000001}, {0, 0x601, 0x200000002},
	{1, 0x600, 0x300000003}, {1, 0x601, 0x400000004},
};

#define CONTENTS (sizeof(contents) / sizeof(*contents))

static void fill(void)
{
	for (size_t i = 0; i < CONTENTS; i++) {
		const struct kvm_device_attr attr = {
			.group = i < 4 ? 1 : KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS,
			.attr = key(contents[i].cpu, contents[i].offset),
		};

		value_of(&attr)->value = contents[i].value;
	}
}

static void ck_access(unsigned int index, bool write, uint64_t attr,
		      uint64_t value)
{
	ck_assert_uint_lt(index, access_count);
	ck_assert_int_eq(accesses[index].write, write);
	ck_assert_uint_eq(accesses[index].attr, attr);
	ck_assert_uint_eq(accesses[index].value, value);
}

START_TEST(read_goes_row_by_row_and_vcpu_by_vcpu)
{
	uint64_t state[STATE_SIZE / 8];
	uint32_t words[6];
	struct error err;

	ck_assert_uint_eq(vgic_regs_size(&regs), STATE_SIZE);
	fill();
	ck_assert_int_eq(vgic_regs_read(&regs, state, &err), 0);
	ck_assert_uint_eq(access_count, CONTENTS);
	for (unsigned int i = 0; i < CONTENTS; i++)
		ck_access(i, false, key(contents[i].cpu, contents[i].offset),
			  contents[i].value);
	memcpy(words, state, sizeof(words));
	ck_assert_uint_eq(words[0], contents[0].value);
	ck_assert_uint_eq(words[2], contents[1].value);
	ck_assert_uint_eq(words[4], contents[3].value);
	ck_assert_uint_eq(state[3], contents[4].value);
	ck_assert_uint_eq(state[6], contents[7].value);
}
END_TEST

/* Ones alone have an effect: all bits of the row are cleared first. */
START_TEST(write_clears_and_then_sets)
{
	uint64_t state[STATE_SIZE / 8];
	struct error err;

	fill();
	ck_assert_int_eq(vgic_regs_read(&regs, state, &err), 0);
	forget();
	ck_assert_int_eq(vgic_regs_write(&regs, state, 1, 2, &err), 0);
	ck_assert_uint_eq(access_count, 3 + 3 + 4);
	for (unsigned int i = 0; i < 3; i++) {
		ck_access(i, true, key(0, 0x180 + 4 * i), UINT32_MAX);
		ck_access(3 + i, true, key(0, 0x100 + 4 * i),
			  contents[1 + i].value);
	}
	ck_access(9, true, key(1, 0x601), contents[7].value);
}
END_TEST

START_TEST(fill_writes_one_value_to_all)
{
	struct error err;

	ck_assert_int_eq(vgic_regs_fill(&regs, &rows[2], 0x500000005, &err), 0);
	ck_assert_uint_eq(access_count, 4);
	ck_access(0, true, key(0, 0x600), 0x500000005);
	ck_access(3, true, key(1, 0x601), 0x500000005);
	ck_assert_int_eq(vgic_regs_fill(&regs, &rows[0], 7, &err), 0);
	ck_access(4, true, key(0, 0x8), 7);
}
END_TEST

START_TEST(access_that_kvm_refuses_names_the_register)
{
	uint64_t state[STATE_SIZE / 8] = {0};
	struct error err;

	fails = 7;
	ck_assert_int_eq(vgic_regs_read(&regs, state, &err), -ENXIO);
	ck_assert_ptr_nonnull(strstr(err.text, "GET_DEVICE_ATTR: WIDE of vCPU "
					       "1, at 0x601"));
	ck_assert_uint_eq(access_count, 7);
	forget();
	fails = 2;
	ck_assert_int_eq(vgic_regs_write(&regs, state, 0, 3, &err), -ENXIO);
	ck_assert_ptr_nonnull(strstr(err.text, "SET_DEVICE_ATTR: BITS"));
	ck_assert_uint_eq(access_count, 2);
}
END_TEST

START_TEST(load_of_what_was_saved_is_the_same)
{
	uint64_t first[STATE_SIZE / 8] = {0}, second[STATE_SIZE / 8];
	struct error err;
	json_t *saved;

	fill();
	ck_assert_int_eq(vgic_regs_read(&regs, first, &err), 0);
	saved = vgic_regs_save(&regs, first);
	ck_assert_uint_eq(json_object_size(saved), 3);
	memset(second, 0xff, sizeof(second));
	ck_assert_int_eq(vgic_regs_load(&regs, second, saved, &err), 0);
	ck_assert_int_eq(memcmp(first, second, sizeof(first)), 0);
	json_decref(saved);
}
END_TEST

static const struct {
	const char *member, *value; /* NULL: take it away */
	const char *says;
} lies[] = {
	{"ONE", NULL, "\"ONE\": expected 8 bytes"},
	{"BITS", "00", "\"BITS\": expected 16 bytes"},
	{"WIDE", "banana", "\"WIDE\": expected 32 bytes"},
	{"surplus", "00", "expected 3 members, found 4"},
};

START_TEST(load_of_a_lie_is_refused_by_name)
{
	uint64_t state[STATE_SIZE / 8] = {0};
	json_t *saved = vgic_regs_save(&regs, state);
	struct error err = {.text = ""};

	if (lies[_i].value)
		json_object_set_new(saved, lies[_i].member,
				    json_string(lies[_i].value));
	else
		json_object_del(saved, lies[_i].member);
	ck_assert_int_eq(vgic_regs_load(&regs, state, saved, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, lies[_i].says));
	ck_assert_uint_eq(access_count, 0);
	json_decref(saved);
}
END_TEST

START_TEST(load_of_no_object_is_refused)
{
	uint64_t state[STATE_SIZE / 8];
	struct error err;

	ck_assert_int_eq(vgic_regs_load(&regs, state, NULL, &err), -EINVAL);
}
END_TEST

/* --- Devices -------------------------------------------------------------- */

START_TEST(device_new_of_another_type_fails)
{
	struct error err = {.text = ""};
	int fd = 5;

	ck_assert_int_eq(vgic_device_new(FAKE_VM, KVM_DEV_TYPE_ARM_VGIC_V2, &fd,
					 "controller", &err),
			 -ENODEV);
	ck_assert_int_eq(fd, -1);
	ck_assert_ptr_nonnull(strstr(err.text, "controller"));
	ck_assert(!vgic_device_there(FAKE_VM, KVM_DEV_TYPE_ARM_VGIC_V2));
	ck_assert(vgic_device_there(FAKE_VM, KVM_DEV_TYPE_ARM_VGIC_V3));
}
END_TEST

/* --- The GIC above -------------------------------------------------------- */

static struct gic *gic_start_new(unsigned int version, unsigned int cpus,
				 unsigned int spis)
{
	static const uint64_t mpidr[] = {0x80000000, 0x80000001};
	struct error err = {.text = ""};
	struct gic *gic;

	device_type = version == 3 ? KVM_DEV_TYPE_ARM_VGIC_V3
				   : KVM_DEV_TYPE_ARM_VGIC_V2;
	ck_assert_uint_eq(gic_probe(FAKE_VM), version);
	ck_assert_int_eq(gic_new(&gic, FAKE_VM, version, cpus, &err), 0);
	ck_assert_msg(gic_start(gic, mpidr, spis, &err) == 0, "%s", err.text);
	return gic;
}

static unsigned int reads_between(uint64_t first, uint64_t last)
{
	unsigned int sum = 0;

	for (unsigned int i = 0; i < access_count; i++)
		sum += !accesses[i].write &&
		       accesses[i].group == KVM_DEV_ARM_VGIC_GRP_DIST_REGS &&
		       (uint32_t)accesses[i].attr >= first &&
		       (uint32_t)accesses[i].attr <= last;
	return sum;
}

/* In whole words; KVM is told before it starts, and no register is asked for
 * that is of an interrupt it does not have. */
START_TEST(gic_start_has_as_many_interrupts_as_asked_for)
{
	static const struct {
		unsigned int spis, words;
	} cases[] = {{1, 1}, {32, 1}, {33, 2}, {SPI_COUNT, 4}};
	const unsigned int words = cases[_i].words;
	struct gic *gic = gic_start_new(3, 2, cases[_i].spis);
	const struct kvm_device_attr count = {
		.group = KVM_DEV_ARM_VGIC_GRP_NR_IRQS,
	};

	ck_assert_uint_eq(value_of(&count)->value, 32 + words * 32);
	/* GICD_ISENABLER, GICD_IPRIORITYR, GICD_IROUTER */
	ck_assert_uint_eq(reads_between(0x104, 0x17c), words);
	ck_assert_uint_eq(reads_between(0x420, 0x7fc), words * 8);
	ck_assert_uint_eq(reads_between(0x6100, 0x7fdc), words * 64);
	/* GICD_IIDR and GICD_CTLR */
	ck_assert_uint_eq(reads_between(0, 0x8), 2);
	gic_device_ops.free(gic);
}
END_TEST

/* What KVM has for a line of a GICv3, before what is pending by itself. */
START_TEST(gic_restore_of_v3_sets_levels_before_pending_bits)
{
	struct gic *gic = gic_start_new(3, 1, 48);
	int level = -1, pending = -1;
	struct error err = {.text = ""};
	json_t *saved;

	ck_assert_int_eq(gic_device_ops.save(gic, &saved), 0);
	forget();
	ck_assert_msg(gic_device_ops.restore(gic, saved, &err) == 0, "%s",
		      err.text);
	for (unsigned int i = 0; i < access_count; i++) {
		ck_assert(accesses[i].write);
		if (accesses[i].group == KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO &&
		    (accesses[i].attr & 0x3ff) == INTID_SPI)
			level = (int)i;
		if (accesses[i].group == KVM_DEV_ARM_VGIC_GRP_DIST_REGS &&
		    (uint32_t)accesses[i].attr == 0x204)
			pending = (int)i;
	}
	ck_assert_int_ge(level, 0);
	ck_assert_int_gt(pending, level);
	json_decref(saved);
	gic_device_ops.free(gic);
}
END_TEST

/* KVM has no attribute for the level of a GICv2's lines: devices drive theirs
 * when they are restored, behind it. What it has is cleared first. */
START_TEST(gic_restore_of_v2_clears_what_was_pending)
{
	struct gic *gic = gic_start_new(2, 2, SPI_COUNT);
	int cleared = -1, pending = -1;
	struct error err = {.text = ""};
	json_t *saved;

	ck_assert_int_eq(gic_device_ops.save(gic, &saved), 0);
	forget();
	ck_assert_msg(gic_device_ops.restore(gic, saved, &err) == 0, "%s",
		      err.text);
	for (unsigned int i = 0; i < access_count; i++) {
		ck_assert_uint_ne(accesses[i].group,
				  KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO);
		if (accesses[i].group != KVM_DEV_ARM_VGIC_GRP_DIST_REGS)
			continue;
		if ((uint32_t)accesses[i].attr == 0x284)
			cleared = (int)i;
		if ((uint32_t)accesses[i].attr == 0x204)
			pending = (int)i;
	}
	ck_assert_int_ge(cleared, 0);
	ck_assert_uint_eq(accesses[cleared].value, UINT32_MAX);
	ck_assert_int_gt(pending, cleared);
	json_decref(saved);
	gic_device_ops.free(gic);
}
END_TEST

/* A state of a machine with more interrupts is of another form. */
START_TEST(gic_restore_of_another_size_is_refused)
{
	struct gic *gic = gic_start_new(3, 1, 48);
	struct error err = {.text = ""};
	json_t *saved;

	ck_assert_int_eq(gic_device_ops.save(gic, &saved), 0);
	gic_device_ops.free(gic);
	gic = gic_start_new(3, 1, 16);
	forget();
	ck_assert_int_eq(gic_device_ops.restore(gic, saved, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "GICD_"));
	ck_assert_uint_eq(access_count, 0);
	json_decref(saved);
	gic_device_ops.free(gic);
}
END_TEST

static Suite *vgic_regs_suite(void)
{
	Suite *suite = suite_create("vgic_regs");
	TCase *tc = tcase_create("vgic_regs");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, read_goes_row_by_row_and_vcpu_by_vcpu);
	tcase_add_test(tc, write_clears_and_then_sets);
	tcase_add_test(tc, fill_writes_one_value_to_all);
	tcase_add_test(tc, access_that_kvm_refuses_names_the_register);
	tcase_add_test(tc, load_of_what_was_saved_is_the_same);
	tcase_add_loop_test(tc, load_of_a_lie_is_refused_by_name, 0,
			    sizeof(lies) / sizeof(*lies));
	tcase_add_test(tc, load_of_no_object_is_refused);
	tcase_add_test(tc, device_new_of_another_type_fails);
	tcase_add_loop_test(tc, gic_start_has_as_many_interrupts_as_asked_for,
			    0, 4);
	tcase_add_test(tc, gic_restore_of_v3_sets_levels_before_pending_bits);
	tcase_add_test(tc, gic_restore_of_v2_clears_what_was_pending);
	tcase_add_test(tc, gic_restore_of_another_size_is_refused);
	suite_add_tcase(suite, tc);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(vgic_regs_suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
