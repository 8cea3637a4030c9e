/*
 * What is the same on every architecture.
 */
#include "vmm/arch.h"

#include <errno.h>
#include <string.h>

const char *const arch_profile_names[] = {
	[ARCH_PROFILE_AUTO] = "auto",	  [ARCH_PROFILE_LEAN] = "lean",
	[ARCH_PROFILE_LEGACY] = "legacy", [ARCH_PROFILE_DT] = "dt",
	[ARCH_PROFILE_ACPI] = "acpi",	  [ARCH_PROFILES] = NULL,
};

json_t *arch_state_new(const struct arch_config *config, json_t *devices,
		       json_t *vcpus)
{
	json_t *profile = json_string(arch_profile_names[config->profile]);
	json_t *memory = json_integer((json_int_t)config->memory);
	json_t *state = json_object();
	int failed;

	/* Takes the value in any case; fails without it, or without state. */
	failed = json_object_set_new(state, "devices", devices);
	failed |= json_object_set_new(state, "vcpus", vcpus);
	failed |= json_object_set_new(state, "profile", profile);
	failed |= json_object_set_new(state, "memory", memory);
	if (!failed)
		return state;
	json_decref(state);
	return NULL;
}

int arch_state_check(const struct arch_config *config, const json_t *state,
		     struct error *err)
{
	const char *want = arch_profile_names[config->profile];
	const char *profile =
		json_string_value(json_object_get(state, "profile"));
	json_int_t memory =
		json_integer_value(json_object_get(state, "memory"));
	size_t cpus = json_array_size(json_object_get(state, "vcpus"));

	if (!profile || strcmp(profile, want) != 0)
		return error_set(err, EINVAL, "profile: expected %s, found %s",
				 want, profile ? profile : "none");
	if ((uint64_t)memory != config->memory)
		return error_set(
			err, EINVAL, "memory: expected %llu bytes, found %lld",
			(unsigned long long)config->memory, (long long)memory);
	if (cpus != config->cpus)
		return error_set(err, EINVAL, "vcpus: expected %u, found %zu",
				 config->cpus, cpus);
	return 0;
}
