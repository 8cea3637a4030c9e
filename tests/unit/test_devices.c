/*
 * The devices of a machine together: how they are opened, made, put somewhere,
 * and led through sleep, reset, save and restore, also when one of them will
 * not. The models and transports are this file's, so that the real ones stay
 * in the library, and write down what is done with them.
 */
#include "vmm/devices.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "virtio/device.h"
#include "virtio/mmio.h"
#include "virtio/pci.h"
#include "virtio/table.h"
#include "vmm/base/device.h"

#define MEMORY (UINT64_C(1) << 20)

static char calls[2048]; /* in order, a space behind each */
static struct loop *loop;
static struct guest_mem *mem;
static struct virtio_block_options disks[4];
static char files[4][8] = {"a", "b", "c", "d"};
static struct options options;
static struct devices *devices;
static struct error err;

static void note(const char *what, const char *who)
{
	size_t len = strlen(calls);

	snprintf(calls + len, sizeof(calls) - len, "%s:%s ", what, who);
}

static void assert_calls(const char *expected)
{
	ck_assert_str_eq(calls, expected);
	calls[0] = '\0';
}

/* --- A model, called by the name of its file -------------------------------
 */

struct model {
	char file[8];
	json_int_t value;
	bool asleep;
	bool tired_of_sleep, tired_of_waking;
	unsigned int wish; /* for a slot */
};

static struct model *models[4];
static unsigned int model_count;
static const char *wishful; /* file whose model wishes for slot 9 */

static int model_open(const struct virtio_open *open,
		      struct virtio_resources *out, struct error *e)
{
	const struct virtio_block_options *disk = open->options;

	note(open->dry_run ? "look" : "open", disk->file);
	if (*disk->file == '!')
		return error_set(e, ENOENT, "%s: no", open->option);
	out->description = json_pack("{s:s}", "file", disk->file);
	return 0;
}

static int model_create(void **self, struct virtio_device *device,
			const struct virtio_resources *resources,
			struct error *e)
{
	struct model *model = calloc(1, sizeof(*model));
	const char *file = json_string_value(
		json_object_get(resources->description, "file"));

	(void)device;
	note("create", file);
	if (*file == '?') {
		free(model);
		return error_set(e, EIO, "no");
	}
	snprintf(model->file, sizeof(model->file), "%s", file);
	if (wishful && !strcmp(file, wishful))
		model->wish = 9;
	models[model_count++] = model;
	*self = model;
	return 0;
}

static void model_destroy(void *self)
{
	struct model *model = self;

	note("destroy", model->file);
	free(model);
}

static unsigned int model_keep_fds(void *self, int *fds)
{
	(void)self;
	(void)fds;
	return 0;
}

static unsigned int model_queue_max_sizes(void *self, uint16_t *sizes)
{
	(void)self;
	sizes[0] = 16;
	return 1;
}

static int model_activate(void *self, struct virtqueue *const *queues)
{
	(void)self;
	(void)queues;
	return 0;
}

static void model_queue_ready(void *self, unsigned int index)
{
	(void)self;
	(void)index;
}

static void model_reset(void *self)
{
	(void)self;
}

static int model_sleep(void *self)
{
	struct model *model = self;

	note("sleep", model->file);
	return model->tired_of_sleep ? -EIO : 0;
}

static int model_wake(void *self, struct virtqueue *const *queues)
{
	struct model *model = self;

	(void)queues;
	note("wake", model->file);
	return model->tired_of_waking ? -EIO : 0;
}

static int model_snapshot(void *self, json_t **out)
{
	struct model *model = self;

	*out = json_integer(model->value);
	return 0;
}

static int model_restore(void *self, const json_t *state, struct error *e)
{
	struct model *model = self;

	if (!json_is_integer(state))
		return error_set(e, EINVAL, "expected a number");
	model->value = json_integer_value(state);
	return 0;
}

static int model_command(void *self, const char *name, const json_t *args,
			 json_t **reply, struct error *e)
{
	struct model *model = self;

	note(name, model->file);
	if (strcmp(name, "set") != 0)
		return error_set(e, EOPNOTSUPP, "no such command");
	model->value = json_integer_value(json_object_get(args, "value"));
	*reply = json_integer(model->value);
	return 0;
}

static int model_on_sandboxed(void *self)
{
	struct model *model = self;

	note("start", model->file);
	return 0;
}

static bool model_pci_address(void *self, struct virtio_pci_address *out)
{
	struct model *model = self;

	*out = (struct virtio_pci_address){.slot = (uint8_t)model->wish};
	return model->wish;
}

static const struct virtio_device_ops model_ops = {
	.type = "block",
	.device_id = 2,
	.open = model_open,
	.create = model_create,
	.destroy = model_destroy,
	.keep_fds = model_keep_fds,
	.queue_max_sizes = model_queue_max_sizes,
	.activate = model_activate,
	.queue_ready = model_queue_ready,
	.reset = model_reset,
	.sleep = model_sleep,
	.wake = model_wake,
	.snapshot = model_snapshot,
	.restore = model_restore,
	.command = model_command,
	.on_sandboxed = model_on_sandboxed,
	.pci_address = model_pci_address,
};

const struct virtio_device_ops *virtio_table_find(const char *type)
{
	return strcmp(type, "block") ? NULL : &model_ops;
}

/* --- Transports ------------------------------------------------------------
 */

struct transport {
	struct virtio_device *device;
};

static unsigned int mmio_places; /* that are left */

static struct transport *transport_new(struct virtio_device *device,
				       const char *kind, uint64_t place)
{
	struct transport *transport = calloc(1, sizeof(*transport));
	char text[64];

	snprintf(text, sizeof(text), "%s,%llx", virtio_device_label(device),
		 (unsigned long long)place);
	note(kind, text);
	transport->device = device;
	return transport;
}

int virtio_pci_new(struct virtio_pci **out,
		   const struct virtio_pci_config *config, struct error *e)
{
	(void)e;
	*out = (struct virtio_pci *)transport_new(config->device, "pci",
						  config->slot);
	return 0;
}

int virtio_mmio_new(struct virtio_mmio **out,
		    const struct virtio_mmio_config *config, struct error *e)
{
	(void)e;
	*out = (struct virtio_mmio *)transport_new(config->device, "mmio",
						   config->base);
	return 0;
}

struct pci_bus *arch_pci(struct arch *arch)
{
	(void)arch;
	return NULL;
}

int arch_mmio_add(struct arch *arch, struct arch_mmio *out)
{
	(void)arch;
	if (!mmio_places)
		return -ENOSPC;
	*out = (struct arch_mmio){.base = 0xd0000000 + mmio_places--};
	return 0;
}

static void transport_free(void *self)
{
	struct transport *transport = self;

	virtio_device_free(transport->device);
	free(transport);
}

static void transport_reset(void *self)
{
	struct transport *transport = self;

	note("reset", virtio_device_label(transport->device));
}

static int transport_save(void *self, json_t **out)
{
	struct transport *transport = self;
	int rc;

	virtio_device_lock(transport->device);
	rc = virtio_device_snapshot_locked(transport->device, out);
	virtio_device_unlock(transport->device);
	return rc;
}

static int transport_restore(void *self, const json_t *state, struct error *e)
{
	struct transport *transport = self;
	int rc;

	virtio_device_lock(transport->device);
	rc = virtio_device_restore_locked(transport->device, state, e);
	virtio_device_unlock(transport->device);
	return rc;
}

#define TRANSPORT                                                    \
	{                                                            \
		.free = transport_free, .reset = transport_reset,    \
		.save = transport_save, .restore = transport_restore \
	}
const struct device_ops virtio_pci_device_ops = TRANSPORT;
const struct device_ops virtio_mmio_device_ops = TRANSPORT;

/* --- Fixture ---------------------------------------------------------------
 */

static void setup(void)
{
	const struct guest_mem_region region = {.size = MEMORY};

	memset(disks, 0, sizeof(disks));
	for (unsigned int i = 0; i < 4; i++)
		disks[i].file = files[i];
	memset(&options, 0, sizeof(options));
	options.disks.items = disks;
	options.disks.count = 3;
	mmio_places = 2;
	ck_assert_int_eq(loop_new(&loop), 0);
	ck_assert_int_eq(guest_mem_new(&mem, &region, 1, 0, &err), 0);
}

static void teardown(void)
{
	devices_free(devices);
	guest_mem_free(mem);
	loop_free(loop);
}

static int make(struct devices **out)
{
	const struct devices_machine machine = {.loop = loop, .mem = mem};
	int rc = devices_open(out, &options, NULL, &err);

	return rc ? rc : devices_create(*out, &machine, &err);
}

/* Made, and what was noted of that forgotten. */
static void start(void)
{
	ck_assert_msg(make(&devices) == 0, "%s", err.text);
	calls[0] = '\0';
}

/* --- Making ----------------------------------------------------------------
 */

START_TEST(devices_open_and_create_go_in_order)
{
	ck_assert_int_eq(make(&devices), 0);
	assert_calls("open:a open:b open:c "
		     "create:a start:a create:b start:b create:c start:c "
		     "pci:block0,1 pci:block1,2 pci:block2,3 ");
	devices_free(devices);
	devices = NULL;
	assert_calls("destroy:c destroy:b destroy:a ");
}
END_TEST

START_TEST(devices_open_dry_run_only_looks)
{
	options.dry_run = true;
	ck_assert_int_eq(devices_open(&devices, &options, NULL, &err), 0);
	assert_calls("look:a look:b look:c ");
}
END_TEST

START_TEST(devices_open_clash_opens_nothing)
{
	disks[0].common.slot = disks[2].common.slot = 4;
	ck_assert_int_eq(devices_open(&devices, &options, NULL, &err), -EEXIST);
	assert_calls("");
	ck_assert_ptr_null(devices);
}
END_TEST

START_TEST(devices_open_failure_names_the_option)
{
	files[1][0] = '!';
	ck_assert_int_eq(devices_open(&devices, &options, NULL, &err), -ENOENT);
	ck_assert_str_eq(err.text, "--disk !: no");
	assert_calls("open:a open:! ");
}
END_TEST

START_TEST(devices_open_type_that_is_not_there_is_refused)
{
	options.rng_use = OPTIONS_RNG_ON;
	ck_assert_int_eq(devices_open(&devices, &options, NULL, &err),
			 -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(err.text, "--rng"));
}
END_TEST

START_TEST(devices_create_failure_frees_what_was_made)
{
	files[1][0] = '?';
	ck_assert_int_eq(make(&devices), -EIO);
	ck_assert_ptr_nonnull(strstr(err.text, "--disk ?: "));
	devices_free(devices);
	devices = NULL;
	assert_calls("open:a open:? open:c create:a start:a create:? "
		     "destroy:a ");
}
END_TEST

START_TEST(devices_create_model_may_wish_for_a_slot)
{
	wishful = "b";
	disks[2].common.slot = 1;
	ck_assert_int_eq(make(&devices), 0);
	ck_assert_ptr_nonnull(
		strstr(calls, "pci:block0,2 pci:block1,9 pci:block2,1 "));
}
END_TEST

START_TEST(devices_create_wishes_that_clash_are_refused)
{
	wishful = "b";
	disks[2].common.slot = 9;
	ck_assert_int_eq(make(&devices), -EEXIST);
	ck_assert_ptr_nonnull(strstr(err.text, "--disk b"));
	ck_assert_ptr_nonnull(strstr(err.text, "--disk c"));
}
END_TEST

START_TEST(devices_create_mmio_takes_places)
{
	disks[0].common.transport = disks[1].common.transport =
		VIRTIO_TRANSPORT_MMIO;
	ck_assert_int_eq(make(&devices), 0);
	ck_assert_ptr_nonnull(strstr(calls, "mmio:block0,d0000002 "
					    "mmio:block1,d0000001 "
					    "pci:block2,1 "));
}
END_TEST

START_TEST(devices_create_too_many_on_mmio_are_refused)
{
	for (unsigned int i = 0; i < 3; i++)
		disks[i].common.transport = VIRTIO_TRANSPORT_MMIO;
	ck_assert_int_eq(make(&devices), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(err.text, "--disk c: "));
	ck_assert_ptr_nonnull(strstr(err.text, "transport=pci"));
}
END_TEST

/* --- Life ------------------------------------------------------------------
 */

START_TEST(devices_reset_is_of_all)
{
	start();
	devices_reset(devices);
	assert_calls("reset:block0 reset:block1 reset:block2 ");
}
END_TEST

START_TEST(devices_sleep_and_wake_are_of_all)
{
	start();
	ck_assert_int_eq(devices_sleep(devices, &err), 0);
	assert_calls("sleep:a sleep:b sleep:c ");
	ck_assert_int_eq(devices_wake(devices, &err), 0);
	assert_calls("wake:c wake:b wake:a ");
	/* They are awake indeed. */
	ck_assert_int_eq(devices_wake(devices, &err), -EBUSY);
}
END_TEST

START_TEST(devices_sleep_one_that_will_not_wakes_the_others)
{
	start();
	models[1]->tired_of_sleep = true;
	ck_assert_int_eq(devices_sleep(devices, &err), -EIO);
	assert_calls("sleep:a sleep:b wake:a ");
	ck_assert_ptr_nonnull(strstr(err.text, "block1"));
	models[1]->tired_of_sleep = false;
	ck_assert_int_eq(devices_sleep(devices, &err), 0);
}
END_TEST

START_TEST(devices_wake_goes_on_past_one_that_will_not)
{
	start();
	ck_assert_int_eq(devices_sleep(devices, &err), 0);
	models[1]->tired_of_waking = true;
	calls[0] = '\0';
	ck_assert_int_eq(devices_wake(devices, &err), -EIO);
	assert_calls("wake:c wake:b wake:a ");
	ck_assert_ptr_nonnull(strstr(err.text, "block1"));
}
END_TEST

/* --- State -----------------------------------------------------------------
 */

START_TEST(devices_restore_saved_again_is_the_same)
{
	json_t *first, *second;

	start();
	for (unsigned int i = 0; i < 3; i++)
		models[i]->value = 7 + i;
	ck_assert_int_eq(devices_sleep(devices, &err), 0);
	ck_assert_int_eq(devices_save(devices, &first, &err), 0);
	ck_assert_uint_eq(json_object_size(first), 3);
	devices_free(devices);
	model_count = 0;
	start();
	ck_assert_int_eq(devices_sleep(devices, &err), 0);
	ck_assert_msg(devices_restore(devices, first, &err) == 0, "%s",
		      err.text);
	ck_assert_int_eq(models[2]->value, 9);
	ck_assert_int_eq(devices_save(devices, &second, &err), 0);
	ck_assert(json_equal(first, second));
	json_decref(first);
	json_decref(second);
}
END_TEST

START_TEST(devices_save_awake_is_refused)
{
	json_t *state = NULL;

	start();
	ck_assert_int_eq(devices_save(devices, &state, &err), -EBUSY);
	ck_assert_ptr_nonnull(strstr(err.text, "block0"));
	ck_assert_ptr_null(state);
}
END_TEST

START_TEST(devices_restore_state_of_others_is_refused)
{
	json_t *state;

	start();
	ck_assert_int_eq(devices_sleep(devices, &err), 0);
	ck_assert_int_eq(devices_save(devices, &state, &err), 0);
	ck_assert_int_eq(devices_restore(devices, NULL, &err), -EINVAL);
	json_object_set(state, "net0", json_object_get(state, "block2"));
	ck_assert_int_eq(devices_restore(devices, state, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "3 devices, found 4"));
	json_object_del(state, "block2");
	ck_assert_int_eq(devices_restore(devices, state, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "block2"));
	json_object_del(state, "net0");
	json_object_set_new(state, "block2", json_integer(1));
	ck_assert_int_eq(devices_restore(devices, state, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "block2"));
	json_decref(state);
}
END_TEST

/* --- What a user asks ------------------------------------------------------
 */

START_TEST(devices_command_goes_to_its_device)
{
	json_t *args = json_pack("{s:i}", "value", 5), *reply = NULL;

	start();
	ck_assert_int_eq(
		devices_command(devices, "block1", "set", args, &reply, &err),
		0);
	assert_calls("set:b ");
	ck_assert_int_eq(json_integer_value(reply), 5);
	ck_assert_int_eq(models[1]->value, 5);
	json_decref(reply);
	ck_assert_int_eq(
		devices_command(devices, "block1", "fly", args, &reply, &err),
		-EOPNOTSUPP);
	ck_assert_int_eq(
		devices_command(devices, "net0", "set", args, &reply, &err),
		-ENODEV);
	ck_assert_ptr_nonnull(strstr(err.text, "block0, block1, block2"));
	json_decref(args);
}
END_TEST

START_TEST(devices_command_without_devices_says_so)
{
	options.disks.count = 0;
	start();
	ck_assert_int_eq(
		devices_command(devices, "block0", "set", NULL, NULL, &err),
		-ENODEV);
	ck_assert_ptr_nonnull(strstr(err.text, "there is none"));
}
END_TEST

START_TEST(devices_status_says_where_each_is)
{
	json_t *status, *expected;

	options.disks.count = 2;
	disks[1].common.transport = VIRTIO_TRANSPORT_MMIO;
	start();
	expected = json_pack(
		"[{s:s, s:s, s:s, s:s, s:s}, {s:s, s:s, s:s, s:s, s:s}]",
		"label", "block0", "type", "block", "transport", "pci",
		"address", "00:01.0", "state", "new", "label", "block1", "type",
		"block", "transport", "mmio", "address", "0xd0000002", "state",
		"new");
	ck_assert_int_eq(devices_status(devices, &status), 0);
	ck_assert(json_equal(status, expected));
	json_decref(status);
	ck_assert_int_eq(devices_sleep(devices, &err), 0);
	ck_assert_int_eq(devices_status(devices, &status), 0);
	ck_assert_str_eq(json_string_value(json_object_get(
				 json_array_get(status, 1), "state")),
			 "asleep");
	json_decref(status);
	json_decref(expected);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("devices");
	TCase *tcase = tcase_create("devices");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, devices_open_and_create_go_in_order);
	tcase_add_test(tcase, devices_open_dry_run_only_looks);
	tcase_add_test(tcase, devices_open_clash_opens_nothing);
	tcase_add_test(tcase, devices_open_failure_names_the_option);
	tcase_add_test(tcase, devices_open_type_that_is_not_there_is_refused);
	tcase_add_test(tcase, devices_create_failure_frees_what_was_made);
	tcase_add_test(tcase, devices_create_model_may_wish_for_a_slot);
	tcase_add_test(tcase, devices_create_wishes_that_clash_are_refused);
	tcase_add_test(tcase, devices_create_mmio_takes_places);
	tcase_add_test(tcase, devices_create_too_many_on_mmio_are_refused);
	tcase_add_test(tcase, devices_reset_is_of_all);
	tcase_add_test(tcase, devices_sleep_and_wake_are_of_all);
	tcase_add_test(tcase, devices_sleep_one_that_will_not_wakes_the_others);
	tcase_add_test(tcase, devices_wake_goes_on_past_one_that_will_not);
	tcase_add_test(tcase, devices_restore_saved_again_is_the_same);
	tcase_add_test(tcase, devices_save_awake_is_refused);
	tcase_add_test(tcase, devices_restore_state_of_others_is_refused);
	tcase_add_test(tcase, devices_command_goes_to_its_device);
	tcase_add_test(tcase, devices_command_without_devices_says_so);
	tcase_add_test(tcase, devices_status_says_where_each_is);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
