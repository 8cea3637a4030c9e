#include "tests/unit/support/whole.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include <check.h>

static struct error err;

void whole_init(struct whole *w, void (*make_kernel)(struct blob *blob),
		enum arch_profile profile, unsigned int cpus,
		const char *cmdline)
{
	struct arch_config config = {
		.memory = WHOLE_MEMORY,
		.cpus = cpus,
		.profile = profile,
		.kernel = &w->image,
		.cmdline = cmdline,
		.console_on_serial = true,
	};
	struct guest_mem_region regions[GUEST_MEM_REGIONS_MAX];
	unsigned int count;

	memset(w, 0, sizeof(*w));
	w->cpus = cpus;
	make_kernel(&w->blob);
	blob_image(&w->blob, w->blob.len, "--kernel", &w->image);
	fake_host_init(&w->fake);
	ck_assert_msg(!arch_new(&w->arch, &config, &err), "%s", err.text);
	ck_assert_msg(!kvm_open(&w->kvm, &err), "%s", err.text);
	count = arch_ram(w->arch, regions);
	ck_assert_int_eq(guest_mem_new(&w->mem, regions, count, 0, &err), 0);
	ck_assert_int_eq(kvm_set_memory(&w->kvm, w->mem, &err), 0);
	ck_assert_msg(!arch_vm_init(w->arch, w->kvm.dev_fd, w->kvm.vm_fd,
				    w->mem, &w->fake.host, &err),
		      "%s", err.text);
	for (unsigned int i = 0; i < cpus; i++) {
		ck_assert_int_eq(
			kvm_create_vcpu(&w->kvm, i, &w->vcpu_fds[i], &err), 0);
		ck_assert_msg(!arch_vcpu_init(w->arch, i, w->vcpu_fds[i], &err),
			      "%s", err.text);
	}
}

void whole_fini(struct whole *w)
{
	arch_free(w->arch);
	ck_assert_uint_eq(fake_host_ranges(&w->fake), 0);
	for (unsigned int i = 0; i < w->cpus; i++)
		close(w->vcpu_fds[i]);
	guest_mem_free(w->mem);
	kvm_close(&w->kvm);
	image_close(&w->image);
	blob_free(&w->blob);
}

void whole_boot(struct whole *w)
{
	ck_assert_msg(!arch_boot(w->arch, &err), "%s", err.text);
}

json_t *whole_save(struct whole *w)
{
	json_t *state;

	ck_assert_msg(!arch_save(w->arch, &state, &err), "%s", err.text);
	return state;
}

json_t *whole_device(json_t *state, const char *name)
{
	return json_object_get(json_object_get(state, "devices"), name);
}

void whole_check_same(json_t *first, json_t *second,
		      void (*still)(json_t *state))
{
	still(first);
	still(second);
	if (!json_equal(first, second)) {
		char *a = json_dumps(first, JSON_INDENT(1));
		char *b = json_dumps(second, JSON_INDENT(1));
		size_t at = 0;

		while (a[at] == b[at])
			at++;
		at = at < 200 ? 0 : at - 200;
		ck_abort_msg("first:\n%.400s\nsecond:\n%.400s", a + at, b + at);
	}
	json_decref(first);
	json_decref(second);
}

void whole_check_refusal(struct whole *w, const char *key, const char *value,
			 const char *names)
{
	json_t *state = whole_save(w);
	json_t *wrong = json_loads(value, JSON_DECODE_ANY, NULL);

	ck_assert_ptr_nonnull(wrong);
	json_object_set_new(state, key, wrong);
	ck_assert_int_eq(arch_restore(w->arch, state, &err), -EINVAL);
	ck_assert_msg(strstr(err.text, names), "%s", err.text);
	json_decref(state);
}
