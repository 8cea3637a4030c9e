/*
 * What is loaded from JSON may have been edited by anybody: here it is checked
 * for its form, and then by KVM, which trusts nothing that user space sets.
 *
 * KVM lists the registers in an order in which they can be written. Some cannot
 * be: the ID registers of the host's CPU, and what a finished vCPU's firmware
 * and vectors are like. They only have to be the same.
 *
 * The virtual counter is the machine's, though each vCPU has a register for it:
 * the last one that is written counts, and was read last, too.
 */
#include "arch/aarch64/vcpu_state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/kvm.h>

#include "arch/aarch64/vcpu_regs.h"
#include "vmm/base/json.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* The members of a state. */
#define VCPU_RUN     "run"
#define VCPU_REGS    "regs" /* an object: of each register, by KVM's number */
#define VCPU_MEMBERS 2

#define VCPU_ID_MAX 24 /* bytes of "0x6030000000100000" */

/* What is not a register. */
struct vcpu_run {
	struct kvm_mp_state mp_state;
	struct kvm_vcpu_events events;
};

static const struct json_field vcpu_run_fields[] = {
	JSON_UINT(struct vcpu_run, mp_state.mp_state),
	JSON_UINT(struct vcpu_run, events.exception.serror_pending),
	JSON_UINT(struct vcpu_run, events.exception.serror_has_esr),
	JSON_UINT(struct vcpu_run, events.exception.ext_dabt_pending),
	JSON_UINT(struct vcpu_run, events.exception.serror_esr),
};

static void vcpu_id_text(uint64_t id, char text[VCPU_ID_MAX])
{
	snprintf(text, VCPU_ID_MAX, "0x%" PRIx64, id);
}

static int vcpu_call(int vcpu_fd, unsigned long request, const void *data,
		     const char *name, struct error *err)
{
	int errnum;

	if (ioctl(vcpu_fd, request, data) == 0)
		return 0;
	errnum = errno;
	return error_set(err, errnum, "%s on a vCPU: %s", name,
			 strerror(errnum));
}

#define VCPU_CALL(vcpu_fd, request, data, err) \
	vcpu_call(vcpu_fd, request, data, #request, err)

/* --- Saving ---------------------------------------------------------------
 */

static int vcpu_reg_save(int vcpu_fd, uint64_t id, json_t *regs,
			 struct error *err)
{
	uint8_t value[VCPU_REG_SIZE_MAX];
	size_t size = vcpu_reg_size(id);
	char text[VCPU_ID_MAX];
	int rc;

	vcpu_id_text(id, text);
	if (size > sizeof(value))
		return error_set(err, EFBIG, "register %s has %zu bytes", text,
				 size);
	rc = vcpu_reg_get(vcpu_fd, id, value, err);
	if (!rc && json_object_set_new(regs, text, json_blob(value, size)))
		rc = error_set(err, ENOMEM, "out of memory");
	return rc;
}

static int vcpu_regs_save(int vcpu_fd, json_t *state, struct error *err)
{
	struct kvm_reg_list *list;
	json_t *regs = json_object();
	int rc;

	/* Owned by state from here on; without memory it fails. */
	if (json_object_set_new(state, VCPU_REGS, regs))
		return error_set(err, ENOMEM, "out of memory");
	rc = vcpu_reg_list(vcpu_fd, &list, err);
	if (rc)
		return rc;
	for (uint64_t i = 0; i < list->n && !rc; i++)
		rc = vcpu_reg_save(vcpu_fd, list->reg[i], regs, err);
	free(list);
	return rc;
}

static int vcpu_run_save(int vcpu_fd, json_t *state, struct error *err)
{
	struct vcpu_run run = {.mp_state.mp_state = 0};
	json_t *value = NULL;
	int rc;

	rc = VCPU_CALL(vcpu_fd, KVM_GET_MP_STATE, &run.mp_state, err);
	if (!rc)
		rc = VCPU_CALL(vcpu_fd, KVM_GET_VCPU_EVENTS, &run.events, err);
	if (rc)
		return rc;
	if (json_save(&run, vcpu_run_fields, COUNT_OF(vcpu_run_fields),
		      &value) ||
	    json_object_set_new(state, VCPU_RUN, value))
		return error_set(err, ENOMEM, "out of memory");
	return 0;
}

int vcpu_state_save(int vcpu_fd, json_t **out, struct error *err)
{
	json_t *state = json_object();
	int rc;

	if (!state)
		return error_set(err, ENOMEM, "out of memory");
	rc = vcpu_run_save(vcpu_fd, state, err);
	if (!rc)
		rc = vcpu_regs_save(vcpu_fd, state, err);
	if (rc)
		json_decref(state);
	else
		*out = state;
	return rc;
}

/* --- Restoring ------------------------------------------------------------
 */

static bool vcpu_list_has(const struct kvm_reg_list *list, const char *name)
{
	char text[VCPU_ID_MAX];

	for (uint64_t i = 0; i < list->n; i++) {
		vcpu_id_text(list->reg[i], text);
		if (!strcmp(text, name))
			return true;
	}
	return false;
}

/* Of each register: do we have it, and is the value of its size? */
static int vcpu_regs_check(const struct kvm_reg_list *list, json_t *regs,
			   struct error *err)
{
	uint8_t value[VCPU_REG_SIZE_MAX];
	const char *name;
	json_t *member;

	if (!json_is_object(regs))
		return error_set(err, EINVAL,
				 "\"" VCPU_REGS "\": expected an object");
	json_object_foreach(regs, name, member)
	{
		uint64_t id = strtoull(name, NULL, 16);
		size_t size = vcpu_reg_size(id);

		if (!vcpu_list_has(list, name))
			return error_set(err, EINVAL,
					 "this host's KVM has no register %s "
					 "for a vCPU: expected the host, or "
					 "one like it, that the state was "
					 "saved on",
					 name);
		if (size > sizeof(value) || json_blob_get(member, value, size))
			return error_set(err, EINVAL,
					 "register %s: expected %zu bytes as "
					 "hexadecimal text",
					 name, size);
	}
	return 0;
}

/* What KVM does not take may be there already. */
static bool vcpu_reg_is(int vcpu_fd, uint64_t id, const uint8_t *value)
{
	uint8_t now[VCPU_REG_SIZE_MAX];

	return !vcpu_reg_get(vcpu_fd, id, now, NULL) &&
	       !memcmp(now, value, vcpu_reg_size(id));
}

static int vcpu_regs_write(int vcpu_fd, const struct kvm_reg_list *list,
			   const json_t *regs, struct error *err)
{
	uint8_t value[VCPU_REG_SIZE_MAX];
	char text[VCPU_ID_MAX];

	for (uint64_t i = 0; i < list->n; i++) {
		uint64_t id = list->reg[i];
		const json_t *member;

		vcpu_id_text(id, text);
		member = json_object_get(regs, text);
		if (!member || json_blob_get(member, value, vcpu_reg_size(id)))
			continue;
		if (vcpu_reg_set(vcpu_fd, id, value, err) &&
		    !vcpu_reg_is(vcpu_fd, id, value))
			return -EINVAL;
	}
	return 0;
}

static int vcpu_regs_restore(int vcpu_fd, json_t *regs, struct error *err)
{
	struct kvm_reg_list *list;
	int rc = vcpu_reg_list(vcpu_fd, &list, err);

	if (rc)
		return rc;
	rc = vcpu_regs_check(list, regs, err);
	if (!rc)
		rc = vcpu_regs_write(vcpu_fd, list, regs, err);
	free(list);
	return rc;
}

int vcpu_state_restore(int vcpu_fd, const json_t *value, struct error *err)
{
	struct vcpu_run run = {.mp_state.mp_state = 0};
	int rc;

	if (json_object_size(value) > VCPU_MEMBERS)
		return error_set(err, EINVAL, "expected %d members, found %zu",
				 VCPU_MEMBERS, json_object_size(value));
	rc = json_load(&run, vcpu_run_fields, COUNT_OF(vcpu_run_fields),
		       json_object_get(value, VCPU_RUN), err);
	if (rc) {
		error_prefix(err, "\"" VCPU_RUN "\": ");
		return rc;
	}
	rc = vcpu_regs_restore(vcpu_fd, json_object_get(value, VCPU_REGS), err);
	if (!rc)
		rc = VCPU_CALL(vcpu_fd, KVM_SET_VCPU_EVENTS, &run.events, err);
	if (!rc)
		rc = VCPU_CALL(vcpu_fd, KVM_SET_MP_STATE, &run.mp_state, err);
	return rc;
}
