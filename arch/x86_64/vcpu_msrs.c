/*
 * Model specific registers of a vCPU. KVM_GET_MSRS and KVM_SET_MSRS stop at
 * the first MSR that they cannot serve and return how many they did, see
 * Documentation/virt/kvm/api.rst of Linux.
 */
#include "arch/x86_64/vcpu_msrs.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

/* KVM lists 40 to 150; those added below are 157. */
#define VCPU_MSRS_LISTED_MAX 512
#define VCPU_MSRS_MORE_MAX   256
#define VCPU_MSRS_MAX	     (VCPU_MSRS_LISTED_MAX + VCPU_MSRS_MORE_MAX)

/*
 * Hyper-V's MSRs, which KVM lists for all (Hypervisor Top Level Functional
 * Specification). CPUID does not tell the guest of them, and two are clocks
 * that KVM does not take back.
 */
#define HV_MSR_FIRST 0x40000000
#define HV_MSR_LAST  0x400001ff

/*
 * Guests write these, and KVM_GET_MSR_INDEX_LIST leaves them out: MTRRs, of
 * which KVM has eight variable ones (SDM volume 3A, "Memory Type Range
 * Registers"), and the machine check banks, of which a vCPU of KVM has 32
 * unless it is told otherwise (volume 3B, "Error-Reporting Register Banks").
 * IA32_DEBUGCTL, which can turn single steps into steps by branches, is
 * listed by newer KVMs alone.
 */
static const struct vcpu_msr_range {
	uint32_t first, count;
} vcpu_more_msrs[] = {
	{0x1d9, 1},   /* IA32_DEBUGCTL */
	{0x200, 16},  /* IA32_MTRR_PHYSBASE0 to IA32_MTRR_PHYSMASK7 */
	{0x250, 1},   /* IA32_MTRR_FIX64K_00000 */
	{0x258, 2},   /* IA32_MTRR_FIX16K_80000, _A0000 */
	{0x268, 8},   /* IA32_MTRR_FIX4K_C0000 to _F8000 */
	{0x2ff, 1},   /* IA32_MTRR_DEF_TYPE */
	{0x400, 128}, /* IA32_MC0_CTL to IA32_MC31_MISC */
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static_assert(offsetof(struct vcpu_msr_batch, count) ==
			      offsetof(struct kvm_msrs, nmsrs) &&
		      offsetof(struct vcpu_msr_batch, entries) ==
			      offsetof(struct kvm_msrs, entries),
	      "a batch is a struct kvm_msrs");

static int vcpu_msrs_error(struct error *err, const char *call)
{
	int errnum = errno;

	return error_set(err, errnum, "%s on a vCPU: %s", call,
			 strerror(errnum));
}

/* Room for VCPU_MSRS_MAX, and what KVM lists in it. */
static int vcpu_msrs_list(struct vcpu_msrs *msrs, int kvm_fd, struct error *err)
{
	struct kvm_msr_list *list = NULL;
	int ret = 0;

	msrs->indices = calloc(VCPU_MSRS_MAX, sizeof(*msrs->indices));
	list = malloc(sizeof(*list) +
		      VCPU_MSRS_LISTED_MAX * sizeof(*msrs->indices));
	if (!msrs->indices || !list) {
		ret = error_set(err, ENOMEM, "no memory for a vCPU's MSRs");
		goto out;
	}
	list->nmsrs = VCPU_MSRS_LISTED_MAX;
	if (ioctl(kvm_fd, KVM_GET_MSR_INDEX_LIST, list) < 0) {
		ret = vcpu_msrs_error(err, "KVM_GET_MSR_INDEX_LIST");
		goto out;
	}
	for (uint32_t i = 0; i < list->nmsrs; i++) {
		uint32_t index = list->indices[i];

		if (index < HV_MSR_FIRST || index > HV_MSR_LAST)
			msrs->indices[msrs->count++] = index;
	}
out:
	free(list);
	return ret;
}

static void vcpu_msrs_add_more(struct vcpu_msrs *msrs)
{
	for (size_t i = 0; i < COUNT_OF(vcpu_more_msrs); i++) {
		for (uint32_t j = 0; j < vcpu_more_msrs[i].count; j++) {
			uint32_t index = vcpu_more_msrs[i].first + j;

			/* KVM may list them one day. */
			if (!vcpu_msrs_has(msrs, index))
				msrs->indices[msrs->count++] = index;
		}
	}
}

/* Read as many of the indices as go into a batch. Return: how many KVM did. */
static int vcpu_msr_batch_read(struct vcpu_msr_batch *batch, int vcpu_fd,
			       const uint32_t *indices, uint32_t count)
{
	batch->count = count < VCPU_MSR_BATCH ? count : VCPU_MSR_BATCH;
	batch->pad = 0;
	for (uint32_t i = 0; i < batch->count; i++)
		batch->entries[i] = (struct kvm_msr_entry){.index = indices[i]};
	return ioctl(vcpu_fd, KVM_GET_MSRS, batch);
}

/* Keep the MSRs that the vCPU has: KVM lists what any vCPU could have. */
static int vcpu_msrs_probe(struct vcpu_msrs *msrs, int vcpu_fd,
			   struct error *err)
{
	struct vcpu_msr_batch batch;
	uint32_t next = 0;
	uint32_t kept = 0;

	while (next < msrs->count) {
		int got = vcpu_msr_batch_read(&batch, vcpu_fd,
					      &msrs->indices[next],
					      msrs->count - next);

		if (got < 0)
			return vcpu_msrs_error(err, "KVM_GET_MSRS");
		memmove(&msrs->indices[kept], &msrs->indices[next],
			(size_t)got * sizeof(*msrs->indices));
		kept += (uint32_t)got;
		next += (uint32_t)got;
		if ((uint32_t)got < batch.count)
			next++;
	}
	msrs->count = kept;
	return 0;
}

int vcpu_msrs_init(struct vcpu_msrs *msrs, int kvm_fd, int vcpu_fd,
		   struct error *err)
{
	int ret;

	*msrs = (struct vcpu_msrs){.count = 0};
	ret = vcpu_msrs_list(msrs, kvm_fd, err);
	if (ret)
		return ret;
	vcpu_msrs_add_more(msrs);
	return vcpu_msrs_probe(msrs, vcpu_fd, err);
}

void vcpu_msrs_fini(struct vcpu_msrs *msrs)
{
	free(msrs->indices);
}

bool vcpu_msrs_has(const struct vcpu_msrs *msrs, uint32_t index)
{
	for (uint32_t i = 0; i < msrs->count; i++) {
		if (msrs->indices[i] == index)
			return true;
	}
	return false;
}

int vcpu_msrs_read(const struct vcpu_msrs *msrs, int vcpu_fd,
		   struct kvm_msr_entry *entries, struct error *err)
{
	struct vcpu_msr_batch batch;

	for (uint32_t done = 0; done < msrs->count; done += batch.count) {
		int got = vcpu_msr_batch_read(&batch, vcpu_fd,
					      &msrs->indices[done],
					      msrs->count - done);

		if (got < 0)
			return vcpu_msrs_error(err, "KVM_GET_MSRS");
		if ((uint32_t)got < batch.count)
			return error_set(err, EIO,
					 "KVM_GET_MSRS on a vCPU: MSR 0x%x "
					 "cannot be read any more",
					 batch.entries[got].index);
		memcpy(&entries[done], batch.entries,
		       batch.count * sizeof(entries[0]));
	}
	return 0;
}

int vcpu_msr_get(int vcpu_fd, uint32_t index, uint64_t *data)
{
	struct vcpu_msr_batch batch;

	if (vcpu_msr_batch_read(&batch, vcpu_fd, &index, 1) != 1)
		return -EINVAL;
	*data = batch.entries[0].data;
	return 0;
}

/* KVM refused this one: fine if it need not be written. */
static int vcpu_msr_check(const struct kvm_msr_entry *entry, int vcpu_fd,
			  struct error *err)
{
	uint64_t now;

	if (vcpu_msr_get(vcpu_fd, entry->index, &now))
		return error_set(err, EINVAL,
				 "KVM_SET_MSRS on a vCPU: there is no MSR 0x%x",
				 entry->index);
	if (now == entry->data)
		return 0;
	return error_set(err, EINVAL,
			 "KVM_SET_MSRS on a vCPU: MSR 0x%x is 0x%" PRIx64
			 " and cannot be set to 0x%" PRIx64,
			 entry->index, now, (uint64_t)entry->data);
}

int vcpu_msr_batch_flush(struct vcpu_msr_batch *batch, int vcpu_fd,
			 struct error *err)
{
	while (batch->count > 0) {
		int done = ioctl(vcpu_fd, KVM_SET_MSRS, batch);
		int ret;

		if (done < 0)
			return vcpu_msrs_error(err, "KVM_SET_MSRS");
		if ((uint32_t)done < batch->count) {
			ret = vcpu_msr_check(&batch->entries[done], vcpu_fd,
					     err);
			if (ret)
				return ret;
			done++;
		}
		batch->count -= (uint32_t)done;
		memmove(&batch->entries[0], &batch->entries[done],
			batch->count * sizeof(batch->entries[0]));
	}
	return 0;
}

int vcpu_msr_batch_add(struct vcpu_msr_batch *batch, int vcpu_fd,
		       uint32_t index, uint64_t data, struct error *err)
{
	batch->entries[batch->count++] =
		(struct kvm_msr_entry){.index = index, .data = data};
	if (batch->count < VCPU_MSR_BATCH)
		return 0;
	return vcpu_msr_batch_flush(batch, vcpu_fd, err);
}
