/*
 * All registers of a vCPU. What is loaded from JSON may have been edited by
 * anybody: here it is checked for its form, and then by KVM, which trusts
 * nothing that user space sets.
 *
 * Follows Documentation/virt/kvm/api.rst of Linux, which leaves the order of
 * the calls to the reader:
 *
 * - Reading, MP_STATE comes first: KVM then carries out an INIT or SIPI that
 *   is still pending, which changes everything else.
 * - Writing, the system registers come first: APIC_BASE decides how the local
 *   APIC's registers are understood, and EFER and CR4 what else is valid.
 * - The local APIC comes after them and after the TSC. IA32_TSC_DEADLINE comes
 *   after the local APIC, because KVM ignores it unless the LVT timer register
 *   is in that mode, and because it is a time of the TSC.
 * - Events come after what they are checked against, MP_STATE last.
 *
 * KVM_GET_SREGS2 rather than KVM_GET_SREGS, because of PAE paging: the PDPTEs
 * are registers, loaded when CR3 was, and memory may no longer hold the same
 * (SDM volume 3A, 4.4.1). It also keeps the pending interrupt in one place,
 * the events.
 *
 * Not here, since the guest has no VMX or SVM (cpuid.c): KVM_GET_NESTED_STATE.
 */
#include "arch/x86_64/vcpu_state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/kvm.h>

#include "arch/x86_64/vcpu_msrs.h"
#include "vmm/base/json.h"

/* SDM volume 4, 2.1: architectural MSRs */
#define IA32_TIME_STAMP_COUNTER 0x10
#define IA32_TSC_ADJUST		0x3b
#define IA32_TSC_DEADLINE	0x6e0

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

struct vcpu_shape {
	bool has_xcrs;	   /* the CPU has XSAVE, and with it XCR0 */
	size_t xsave_size; /* bytes */
	struct vcpu_msrs msrs;
};

struct vcpu_state {
	const struct vcpu_shape *shape; /* borrowed */
	uint32_t tsc_khz;
	struct kvm_mp_state mp_state;
	struct kvm_regs regs;
	struct kvm_sregs2 sregs;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debugregs;
	struct kvm_lapic_state lapic;
	struct kvm_vcpu_events events;
	uint32_t msr_count;	    /* up to shape->msrs.count */
	struct kvm_msr_entry *msrs; /* owned */
	struct kvm_xsave *xsave;    /* owned; shape->xsave_size bytes */
};

/* --- What a state consists of -------------------------------------------- */

int vcpu_shape_new(struct vcpu_shape **out, int kvm_fd, int vm_fd, int vcpu_fd,
		   struct error *err)
{
	struct vcpu_shape *shape = calloc(1, sizeof(*shape));
	int size;
	int ret;

	if (!shape)
		return error_set(err, ENOMEM, "no memory for a vCPU's state");
	shape->has_xcrs = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_XCRS) > 0;
	/* 0 from a KVM that has KVM_GET_XSAVE alone. */
	size = ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);
	shape->xsave_size = sizeof(struct kvm_xsave);
	if (size > (int)sizeof(struct kvm_xsave))
		shape->xsave_size = (size_t)size;
	ret = vcpu_msrs_init(&shape->msrs, kvm_fd, vcpu_fd, err);
	if (ret) {
		vcpu_shape_free(shape);
		return ret;
	}
	*out = shape;
	return 0;
}

void vcpu_shape_free(struct vcpu_shape *shape)
{
	if (!shape)
		return;
	vcpu_msrs_fini(&shape->msrs);
	free(shape);
}

/* --- Reading and writing ------------------------------------------------- */

int vcpu_state_new(struct vcpu_state **out, const struct vcpu_shape *shape)
{
	struct vcpu_state *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->shape = shape;
	s->msrs = calloc(shape->msrs.count, sizeof(*s->msrs));
	s->xsave = calloc(1, shape->xsave_size);
	if (!s->msrs || !s->xsave) {
		vcpu_state_free(s);
		return -ENOMEM;
	}
	*out = s;
	return 0;
}

void vcpu_state_free(struct vcpu_state *s)
{
	if (!s)
		return;
	free(s->msrs);
	free(s->xsave);
	free(s);
}

/* One call that copies one structure. */
struct vcpu_call {
	const char *name;
	unsigned long request;
	const void *data; /* what is read from KVM is not const, of course */
};

#define VCPU_CALL(call, pointer)                                     \
	{                                                            \
		.name = #call, .request = (call), .data = (pointer), \
	}

static int vcpu_calls(const struct vcpu_call *calls, size_t count, int vcpu_fd,
		      struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		/* 0: this KVM has no such call, nor the registers for it. */
		if (calls[i].request &&
		    ioctl(vcpu_fd, calls[i].request, calls[i].data) < 0) {
			int errnum = errno;

			return error_set(err, errnum, "%s on a vCPU: %s",
					 calls[i].name, strerror(errnum));
		}
	}
	return 0;
}

int vcpu_state_read(struct vcpu_state *s, int vcpu_fd, struct error *err)
{
	bool large = s->shape->xsave_size > sizeof(struct kvm_xsave);
	const struct vcpu_call calls[] = {
		VCPU_CALL(KVM_GET_MP_STATE, &s->mp_state),
		VCPU_CALL(KVM_GET_REGS, &s->regs),
		VCPU_CALL(KVM_GET_SREGS2, &s->sregs),
		{"KVM_GET_XCRS", s->shape->has_xcrs ? KVM_GET_XCRS : 0,
		 &s->xcrs},
		{"KVM_GET_XSAVE", large ? KVM_GET_XSAVE2 : KVM_GET_XSAVE,
		 s->xsave},
		VCPU_CALL(KVM_GET_DEBUGREGS, &s->debugregs),
		VCPU_CALL(KVM_GET_LAPIC, &s->lapic),
		VCPU_CALL(KVM_GET_VCPU_EVENTS, &s->events),
	};
	int khz = ioctl(vcpu_fd, KVM_GET_TSC_KHZ, 0);
	int ret;

	s->tsc_khz = khz > 0 ? (uint32_t)khz : 0;
	ret = vcpu_calls(calls, COUNT_OF(calls), vcpu_fd, err);
	if (ret)
		return ret;
	s->msr_count = s->shape->msrs.count;
	return vcpu_msrs_read(&s->shape->msrs, vcpu_fd, s->msrs, err);
}

enum vcpu_msr_turn {
	VCPU_MSR_NEVER,
	VCPU_MSR_BEFORE_LAPIC,
	VCPU_MSR_AFTER_LAPIC,
};

static enum vcpu_msr_turn vcpu_msr_turn(uint32_t index, enum vcpu_state_use use)
{
	switch (index) {
	case IA32_TIME_STAMP_COUNTER:
	case IA32_TSC_ADJUST:
		return use == VCPU_STATE_RESET ? VCPU_MSR_NEVER
					       : VCPU_MSR_BEFORE_LAPIC;
	case IA32_TSC_DEADLINE:
		return VCPU_MSR_AFTER_LAPIC;
	default:
		return VCPU_MSR_BEFORE_LAPIC;
	}
}

/* Write the MSRs whose turn it is. */
static int vcpu_state_write_msrs(const struct vcpu_state *s, int vcpu_fd,
				 enum vcpu_state_use use,
				 enum vcpu_msr_turn turn, struct error *err)
{
	struct vcpu_msr_batch batch;
	int ret = 0;

	batch.count = 0;
	batch.pad = 0;
	for (uint32_t i = 0; i < s->msr_count && !ret; i++) {
		if (vcpu_msr_turn(s->msrs[i].index, use) == turn)
			ret = vcpu_msr_batch_add(&batch, vcpu_fd,
						 s->msrs[i].index,
						 s->msrs[i].data, err);
	}
	return ret ? ret : vcpu_msr_batch_flush(&batch, vcpu_fd, err);
}

/* The TSC of a restored guest must count as fast as it did. */
static int vcpu_state_write_tsc_khz(const struct vcpu_state *s, int vcpu_fd,
				    struct error *err)
{
	int khz = ioctl(vcpu_fd, KVM_GET_TSC_KHZ, 0);

	if (s->tsc_khz == 0 || khz == (int)s->tsc_khz)
		return 0;
	if (ioctl(vcpu_fd, KVM_SET_TSC_KHZ, (unsigned long)s->tsc_khz) == 0)
		return 0;
	return error_set(err, errno,
			 "the guest's TSC runs at %" PRIu32 " kHz, this "
			 "host's at %d kHz, and KVM cannot scale it: use a "
			 "host of the same frequency",
			 s->tsc_khz, khz);
}

int vcpu_state_write(const struct vcpu_state *s, int vcpu_fd,
		     enum vcpu_state_use use, struct error *err)
{
	const struct vcpu_call first[] = {
		VCPU_CALL(KVM_SET_SREGS2, &s->sregs),
		VCPU_CALL(KVM_SET_REGS, &s->regs),
		{"KVM_SET_XCRS", s->shape->has_xcrs ? KVM_SET_XCRS : 0,
		 &s->xcrs},
		VCPU_CALL(KVM_SET_XSAVE, s->xsave),
		VCPU_CALL(KVM_SET_DEBUGREGS, &s->debugregs),
	};
	const struct vcpu_call lapic = VCPU_CALL(KVM_SET_LAPIC, &s->lapic);
	const struct vcpu_call last[] = {
		VCPU_CALL(KVM_SET_VCPU_EVENTS, &s->events),
		VCPU_CALL(KVM_SET_MP_STATE, &s->mp_state),
	};
	int ret = 0;

	if (use == VCPU_STATE_RESTORE)
		ret = vcpu_state_write_tsc_khz(s, vcpu_fd, err);
	if (!ret)
		ret = vcpu_calls(first, COUNT_OF(first), vcpu_fd, err);
	if (!ret)
		ret = vcpu_state_write_msrs(s, vcpu_fd, use,
					    VCPU_MSR_BEFORE_LAPIC, err);
	if (!ret)
		ret = vcpu_calls(&lapic, 1, vcpu_fd, err);
	if (!ret)
		ret = vcpu_state_write_msrs(s, vcpu_fd, use,
					    VCPU_MSR_AFTER_LAPIC, err);
	if (!ret)
		ret = vcpu_calls(last, COUNT_OF(last), vcpu_fd, err);
	return ret;
}

/* --- JSON ----------------------------------------------------------------- */

/*
 * A part is one member of the state's JSON object. KVM says what values it
 * takes; the limits here are those of the fields that it cuts without a word.
 */
struct vcpu_part {
	const char *name;
	size_t offset; /* in struct vcpu_state */
	const struct json_field *fields;
	size_t count;
};

static const struct json_field vcpu_run_fields[] = {
	JSON_UINT_MAX(struct vcpu_state, tsc_khz, INT32_MAX),
	JSON_UINT(struct vcpu_state, mp_state.mp_state),
};

#define REG(member) JSON_UINT(struct kvm_regs, member)
static const struct json_field vcpu_reg_fields[] = {
	REG(rax), REG(rbx), REG(rcx), REG(rdx), REG(rsi), REG(rdi),
	REG(rsp), REG(rbp), REG(r8),  REG(r9),	REG(r10), REG(r11),
	REG(r12), REG(r13), REG(r14), REG(r15), REG(rip), REG(rflags),
};

#define SEG(member, max) JSON_UINT_MAX(struct kvm_segment, member, max)
static const struct json_field vcpu_segment_fields[] = {
	SEG(base, UINT64_MAX),
	SEG(limit, UINT32_MAX),
	SEG(selector, UINT16_MAX),
	SEG(type, 15),
	SEG(present, 1),
	SEG(dpl, 3),
	SEG(db, 1),
	SEG(s, 1),
	SEG(l, 1),
	SEG(g, 1),
	SEG(avl, 1),
	SEG(unusable, 1),
};

static const struct json_field vcpu_table_fields[] = {
	JSON_UINT(struct kvm_dtable, base),
	JSON_UINT(struct kvm_dtable, limit),
};

#define SREG(member) JSON_UINT(struct kvm_sregs2, member)
static const struct json_field vcpu_control_fields[] = {
	SREG(cr0),	 SREG(cr2),	  SREG(cr3),	   SREG(cr4),
	SREG(cr8),	 SREG(efer),	  SREG(apic_base), SREG(flags),
	SREG(pdptrs[0]), SREG(pdptrs[1]), SREG(pdptrs[2]), SREG(pdptrs[3]),
};

/* XCR0 is the only one, if there is one (SDM volume 3A, 2.6). */
static const struct json_field vcpu_xcr_fields[] = {
	JSON_UINT_MAX(struct kvm_xcrs, nr_xcrs, 1),
	JSON_UINT(struct kvm_xcrs, xcrs[0].value),
};

#define DEBUGREG(member) JSON_UINT(struct kvm_debugregs, member)
static const struct json_field vcpu_debugreg_fields[] = {
	DEBUGREG(db[0]), DEBUGREG(db[1]), DEBUGREG(db[2]), DEBUGREG(db[3]),
	DEBUGREG(dr6),	 DEBUGREG(dr7),	  DEBUGREG(flags),
};

static const struct json_field vcpu_lapic_fields[] = {
	JSON_BLOB(struct kvm_lapic_state, regs),
};

#define EVENT(member) JSON_UINT(struct kvm_vcpu_events, member)
static const struct json_field vcpu_event_fields[] = {
	EVENT(exception.injected),
	EVENT(exception.nr),
	EVENT(exception.has_error_code),
	EVENT(exception.pending),
	EVENT(exception.error_code),
	EVENT(interrupt.injected),
	EVENT(interrupt.nr),
	EVENT(interrupt.soft),
	EVENT(interrupt.shadow),
	EVENT(nmi.injected),
	EVENT(nmi.pending),
	EVENT(nmi.masked),
	EVENT(sipi_vector),
	EVENT(flags),
	EVENT(smi.smm),
	EVENT(smi.pending),
	EVENT(smi.smm_inside_nmi),
	EVENT(smi.latched_init),
	EVENT(triple_fault.pending),
	EVENT(exception_has_payload),
	EVENT(exception_payload),
};

#define PART(key, member, table)                                              \
	{                                                                     \
		.name = (key), .offset = offsetof(struct vcpu_state, member), \
		.fields = (table), .count = COUNT_OF(table),                  \
	}
static const struct vcpu_part vcpu_parts[] = {
	{.name = "run",
	 .fields = vcpu_run_fields,
	 .count = COUNT_OF(vcpu_run_fields)},
	PART("regs", regs, vcpu_reg_fields),
	PART("cs", sregs.cs, vcpu_segment_fields),
	PART("ds", sregs.ds, vcpu_segment_fields),
	PART("es", sregs.es, vcpu_segment_fields),
	PART("fs", sregs.fs, vcpu_segment_fields),
	PART("gs", sregs.gs, vcpu_segment_fields),
	PART("ss", sregs.ss, vcpu_segment_fields),
	PART("tr", sregs.tr, vcpu_segment_fields),
	PART("ldt", sregs.ldt, vcpu_segment_fields),
	PART("gdt", sregs.gdt, vcpu_table_fields),
	PART("idt", sregs.idt, vcpu_table_fields),
	PART("control", sregs, vcpu_control_fields),
	PART("xcrs", xcrs, vcpu_xcr_fields),
	PART("debugregs", debugregs, vcpu_debugreg_fields),
	PART("lapic", lapic, vcpu_lapic_fields),
	PART("events", events, vcpu_event_fields),
};

/* Besides the parts: what has no fixed size. */
#define VCPU_XSAVE   "xsave"
#define VCPU_MSRS    "msrs"
#define VCPU_MEMBERS (COUNT_OF(vcpu_parts) + 2)

static const struct json_field vcpu_msr_fields[] = {
	JSON_UINT(struct kvm_msr_entry, index),
	JSON_UINT(struct kvm_msr_entry, data),
};

static json_t *vcpu_msrs_save(const struct vcpu_state *s)
{
	json_t *list = json_array();
	json_t *msr;

	for (uint32_t i = 0; list && i < s->msr_count; i++) {
		if (json_save(&s->msrs[i], vcpu_msr_fields,
			      COUNT_OF(vcpu_msr_fields), &msr) ||
		    json_array_append_new(list, msr)) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

int vcpu_state_save(const struct vcpu_state *s, json_t **out)
{
	json_t *object = json_object();
	json_t *part;

	if (!object)
		return -ENOMEM;
	for (size_t i = 0; i < COUNT_OF(vcpu_parts); i++) {
		const struct vcpu_part *p = &vcpu_parts[i];

		if (json_save((const char *)s + p->offset, p->fields, p->count,
			      &part) ||
		    json_object_set_new(object, p->name, part))
			goto err_object;
	}
	/* Setting a member to NULL fails. */
	if (json_object_set_new(object, VCPU_XSAVE,
				json_blob(s->xsave, s->shape->xsave_size)) ||
	    json_object_set_new(object, VCPU_MSRS, vcpu_msrs_save(s)))
		goto err_object;
	*out = object;
	return 0;

err_object:
	json_decref(object);
	return -ENOMEM;
}

static bool vcpu_state_has_msr(const struct vcpu_state *s, uint32_t index)
{
	for (uint32_t i = 0; i < s->msr_count; i++) {
		if (s->msrs[i].index == index)
			return true;
	}
	return false;
}

/* Add one MSR: known and new, and therefore within what msrs has room for. */
static int vcpu_msr_load(struct vcpu_state *s, const json_t *value,
			 struct error *err)
{
	struct kvm_msr_entry msr = {.index = 0};
	int ret;

	ret = json_load(&msr, vcpu_msr_fields, COUNT_OF(vcpu_msr_fields), value,
			err);
	if (ret)
		return ret;
	if (!vcpu_msrs_has(&s->shape->msrs, msr.index))
		return error_set(err, EINVAL,
				 "this host's KVM has no MSR 0x%x for it: "
				 "expected the host, or one like it, that the "
				 "state was saved on",
				 msr.index);
	if (vcpu_state_has_msr(s, msr.index))
		return error_set(err, EINVAL, "MSR 0x%x is there twice",
				 msr.index);
	s->msrs[s->msr_count++] = msr;
	return 0;
}

static int vcpu_msrs_load(struct vcpu_state *s, const json_t *list,
			  struct error *err)
{
	s->msr_count = 0;
	if (!json_is_array(list))
		return error_set(err, EINVAL,
				 "\"" VCPU_MSRS "\": expected an array");
	for (size_t i = 0; i < json_array_size(list); i++) {
		int ret = vcpu_msr_load(s, json_array_get(list, i), err);

		if (ret) {
			error_prefix(err, "\"" VCPU_MSRS "\"[%zu]: ", i);
			return ret;
		}
	}
	return 0;
}

int vcpu_state_load(struct vcpu_state *s, const json_t *value,
		    struct error *err)
{
	if (json_object_size(value) > VCPU_MEMBERS)
		return error_set(err, EINVAL, "expected %zu members, found %zu",
				 VCPU_MEMBERS, json_object_size(value));
	for (size_t i = 0; i < COUNT_OF(vcpu_parts); i++) {
		const struct vcpu_part *p = &vcpu_parts[i];
		int ret = json_load((char *)s + p->offset, p->fields, p->count,
				    json_object_get(value, p->name), err);

		if (ret) {
			error_prefix(err, "\"%s\": ", p->name);
			return ret;
		}
	}
	if (json_blob_get(json_object_get(value, VCPU_XSAVE), s->xsave,
			  s->shape->xsave_size))
		return error_set(err, EINVAL,
				 "\"" VCPU_XSAVE "\": expected %zu bytes as "
				 "hexadecimal text",
				 s->shape->xsave_size);
	if (s->xcrs.nr_xcrs && !s->shape->has_xcrs)
		return error_set(err, EINVAL,
				 "\"xcrs\": this host's CPU has no XSAVE: "
				 "expected the host, or one like it, that the "
				 "state was saved on");
	return vcpu_msrs_load(s, json_object_get(value, VCPU_MSRS), err);
}
