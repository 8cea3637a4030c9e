/* Saving and restoring of whole transports with their devices, asleep. Each
 * case runs on PCI and on MMIO. */
#include "virtio/transport.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/virtio_config.h>
#include <sys/eventfd.h>

#include <check.h>

#include "tests/unit/support/virtio_board.h"
#include "vmm/base/log.h"

#define BIT(n)	 (UINT64_C(1) << (n))
#define VERSION	 BIT(VIRTIO_F_VERSION_1)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define ACKNOWLEDGE VIRTIO_CONFIG_S_ACKNOWLEDGE
#define DRIVER	    VIRTIO_CONFIG_S_DRIVER
#define DRIVER_OK   VIRTIO_CONFIG_S_DRIVER_OK
#define FEATURES_OK VIRTIO_CONFIG_S_FEATURES_OK
#define ALIVE	    (ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK)

static struct virtio_board board, other;
static struct virtio_guest guest;

static void setup_pci(void)
{
	virtio_board_open(&board, VIRTIO_BOARD_PCI, &guest);
}

static void setup_mmio(void)
{
	virtio_board_open(&board, VIRTIO_BOARD_MMIO, &guest);
}

static void teardown(void)
{
	virtio_board_close(&board);
}

static void setup_other(void)
{
	virtio_board_init(&other, board.kind, &guest);
	virtio_board_add(&other);
	virtio_board_sleep(&other);
}

/* The bus first, as a machine does. */
static void restore_other(const json_t *bus, const json_t *state)
{
	struct error err = {""};

	ck_assert_msg(pci_bus_device_ops.restore(other.bus, bus, &err) == 0,
		      "%s", err.text);
	ck_assert_msg(other.ops->restore(other.self, state, &err) == 0, "%s",
		      err.text);
}

/* Save - restore - save; then both go on. */
static void pass_on(void)
{
	json_t *bus, *first, *second;

	virtio_board_sleep(&board);
	first = virtio_board_save(&board);
	ck_assert_int_eq(pci_bus_device_ops.save(board.bus, &bus), 0);
	setup_other();
	restore_other(bus, first);
	second = virtio_board_save(&other);
	ck_assert(json_equal(first, second));
	ck_assert_uint_eq(other.fake.doorbell_count, board.fake.doorbell_count);
	json_decref(first);
	json_decref(second);
	json_decref(bus);
}

START_TEST(transport_restore_active_goes_on)
{
	virtio_board_start_plain(&board);
	for (unsigned int i = 0; i < 21; i++)
		virtio_board_exchange(&board, 0, "before");
	virtio_board_change_config(&board);
	pass_on();
	ck_assert(virtio_board_line(&other));
	ck_assert_uint_eq(virtio_board_status(&other), ALIVE);
	ck_assert_uint_eq(virtio_board_isr(&other), 2);
	virtio_guest_ask(&guest, 0, "after");
	virtio_guest_ask(&guest, 2, "after");
	virtio_board_wake(&other);
	virtio_board_turn(&other);
	ck_assert(virtio_guest_answered(&guest, 0, "after"));
	ck_assert(virtio_guest_answered(&guest, 2, "after"));
	ck_assert_uint_eq(virtio_board_isr(&other), 1);
	virtio_board_exchange(&other, 0, "more");
	virtio_board_fini(&other);
}
END_TEST

START_TEST(transport_restore_half_set_up_goes_on)
{
	struct virtqueue_config config;

	virtio_board_negotiate(&board, VERSION);
	config = virtio_guest_ring(&guest, 0, false);
	virtio_board_set_up(&board, 0, &config);
	pass_on();
	virtio_board_wake(&other);
	ck_assert(virtio_board_enabled(&other));
	virtio_board_drive(&other);
	virtio_board_exchange(&other, 0, "goes on");
	virtio_board_fini(&other);
}
END_TEST

START_TEST(transport_restore_queue_reset_goes_on)
{
	struct virtqueue_config config;

	virtio_board_start(&board, VERSION | BIT(VIRTIO_F_RING_RESET));
	virtio_board_select(&board, 0);
	virtio_board_reset_queue(&board);
	pass_on();
	virtio_board_wake(&other);
	virtio_guest_free_ring(&guest, 0);
	config = virtio_guest_ring(&guest, 0, false);
	virtio_board_set_up(&other, 0, &config);
	virtio_board_exchange(&other, 0, "anew");
	virtio_board_fini(&other);
}
END_TEST

/* The eventfd was written, the loop has not got to it. */
START_TEST(transport_save_interrupt_on_its_way_is_kept)
{
	virtio_board_start_plain(&board);
	ck_assert_int_eq(
		eventfd_write(virtio_device_call_fd(board.device, 0), 1), 0);
	pass_on();
	ck_assert(virtio_board_line(&other));
	ck_assert_uint_eq(virtio_board_isr(&other), 1);
	virtio_board_fini(&other);
}
END_TEST

START_TEST(transport_save_awake_is_refused)
{
	json_t *state = NULL;
	struct error err;

	ck_assert_int_eq(board.ops->save(board.self, &state), -EBUSY);
	ck_assert_ptr_null(state);
	virtio_board_sleep(&board);
	state = virtio_board_save(&board);
	virtio_board_wake(&board);
	ck_assert_int_eq(board.ops->restore(board.self, state, &err), -EBUSY);
	json_decref(state);
	virtio_board_expect_works(&board);
}
END_TEST

/* An edit of an active transport's state, as in test_device.c. */
static const struct edit {
	const char *part, *member, *value, *says;
	int queue;
} edits[] = {
	{"", "registers", "[]", "registers: ", -1},
	{"", "queues", "[]", "queues: expected an array of 3", -1},
	{"", "device", "{}", "does not go with", -1},
	{"", "more", "1", "expected registers", -1},
	{"registers", "status", "\"0xb\"", "does not go with", -1},
	{"registers", "status", "\"0x4f\"", "does not go with", -1},
	{"registers", "status", "\"0x1f\"", "does not go with", -1},
	{"registers", "status", "\"0x100\"", "\"status\"", -1},
	{"registers", "isr", "\"0x4\"", "\"isr\"", -1},
	{"registers", "queue_select", "5", "\"queue_select\"", -1},
	{"queues", "size", "\"0x10000\"", "queue 1: \"size\"", 1},
	{"queues", "enabled", "\"yes\"", "queue 2: \"enabled\"", 2},
	{"device", "state", "\"new\"", "does not go with", -1},
	{"device", "model", "[]", "expected a value", -1},
};

static void edit_apply(json_t *object, const struct edit *edit)
{
	json_t *part = json_object_get(object, "transport");

	if (!part)
		part = object;
	if (*edit->part)
		part = json_object_get(part, edit->part);
	if (edit->queue >= 0)
		part = json_array_get(part, (size_t)edit->queue);
	ck_assert_ptr_nonnull(part);
	ck_assert_int_eq(json_object_set_new(part, edit->member,
					     json_loads(edit->value,
							JSON_DECODE_ANY, NULL)),
			 0);
}

START_TEST(transport_restore_edited_is_refused_unchanged)
{
	json_t *state, *before, *after;

	virtio_board_start_plain(&board);
	virtio_board_sleep(&board);
	setup_other();
	before = virtio_board_save(&other);
	for (size_t i = 0; i < COUNT(edits); i++) {
		struct error err = {""};

		state = virtio_board_save(&board);
		edit_apply(state, &edits[i]);
		ck_assert_int_eq(other.ops->restore(other.self, state, &err),
				 -EINVAL);
		ck_assert_msg(strstr(err.text, edits[i].says), "%zu: %s", i,
			      err.text);
		after = virtio_board_save(&other);
		ck_assert_msg(json_equal(before, after), "%zu: changed", i);
		json_decref(after);
		json_decref(state);
	}
	json_decref(before);
	virtio_board_fini(&other);
}
END_TEST

START_TEST(transport_wake_looks_at_all_queues)
{
	virtio_board_start_plain(&board);
	virtio_board_sleep(&board);
	virtio_guest_ask(&guest, 0, "asleep");
	virtio_board_notify(&board, 0);
	virtio_board_turn(&board);
	virtio_guest_ask(&guest, 2, "asleep");
	virtio_board_wake(&board);
	virtio_board_turn(&board);
	ck_assert(virtio_guest_answered(&guest, 0, "asleep"));
	ck_assert(virtio_guest_answered(&guest, 2, "asleep"));
	ck_assert_uint_eq(virtio_board_isr(&board), 1);
}
END_TEST

/* All cases, on one transport. */
static void add_cases(Suite *s, const char *name, SFun set_up)
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, set_up, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, transport_restore_active_goes_on);
	tcase_add_test(tc, transport_restore_half_set_up_goes_on);
	tcase_add_test(tc, transport_restore_queue_reset_goes_on);
	tcase_add_test(tc, transport_save_interrupt_on_its_way_is_kept);
	tcase_add_test(tc, transport_save_awake_is_refused);
	tcase_add_test(tc, transport_restore_edited_is_refused_unchanged);
	tcase_add_test(tc, transport_wake_looks_at_all_queues);
	suite_add_tcase(s, tc);
}

static Suite *suite(void)
{
	Suite *s = suite_create("virtio_state");

	add_cases(s, "pci", setup_pci);
	add_cases(s, "mmio", setup_mmio);
	return s;
}

int main(void)
{
	SRunner *runner = srunner_create(suite());
	int failed;

	/* Each failure of the device is a warning. */
	log_set_level(LOG_ERROR);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
