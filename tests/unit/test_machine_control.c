/*
 * The control methods against a machine that only takes notes: this file has
 * machine.h's functions, so that the real ones stay in the library.
 */
#include "vmm/machine_control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

#include "tests/unit/support/capture.h"
#include "tests/unit/support/control_peer.h"
#include "vmm/base/log.h"

#define DOCUMENT "docs/control.md"

struct machine {
	char calls[256]; /* their names, in order */
	int ret;	 /* of the next one */
	int room;	 /* bytes that the serial port takes */
	uint8_t typed[64];
	size_t typed_len;
};

static char runtime[] = "/tmp/test_machine_control.XXXXXX";
static char path[128];
static struct machine machine;
static struct loop *loop;
static struct machine_control *control;
static const struct machine_observer *observer;

/* --- The machine ------------------------------------------------------------
 */

int machine_status(struct machine *m, json_t **out)
{
	*out = m->ret ? NULL : json_pack("{s:s}", "state", "running");
	return m->ret;
}

static int noted(struct machine *m, const char *name, struct error *err)
{
	size_t len = strlen(m->calls);

	snprintf(m->calls + len, sizeof(m->calls) - len, "%s ", name);
	return m->ret ? error_set(err, -m->ret, "the machine is %s", name) : 0;
}

int machine_pause(struct machine *m, struct error *err)
{
	observer->event(observer->ctx, MACHINE_PAUSED, NULL);
	return noted(m, "pause", err);
}

int machine_resume(struct machine *m, struct error *err)
{
	return noted(m, "resume", err);
}

int machine_power_button(struct machine *m, struct error *err)
{
	return noted(m, "powerbutton", err);
}

int machine_reset(struct machine *m, struct error *err)
{
	return noted(m, "reset", err);
}

int machine_stop(struct machine *m, struct error *err)
{
	return noted(m, "stop", err);
}

int machine_quit(struct machine *m, struct error *err)
{
	return noted(m, "quit", err);
}

int machine_console_resize(struct machine *m, unsigned int cols,
			   unsigned int rows, struct error *err)
{
	char call[64];

	snprintf(call, sizeof(call), "resize %u %u", cols, rows);
	return noted(m, call, err);
}

int machine_device(struct machine *m, const char *label, const char *command,
		   const json_t *args, json_t **reply, struct error *err)
{
	char *text = json_dumps(args, JSON_COMPACT);
	char call[128];

	ck_assert_ptr_nonnull(text);
	snprintf(call, sizeof(call), "%s %s %s", label, command, text);
	free(text);
	*reply = m->ret ? NULL : json_pack("{s:i}", "size", 4096);
	return noted(m, call, err);
}

int machine_console_input(struct machine *m, const uint8_t *data, size_t len)
{
	int taken = len < (size_t)m->room ? (int)len : m->room;

	memcpy(m->typed + m->typed_len, data, (size_t)taken);
	m->typed_len += (size_t)taken;
	m->room -= taken;
	return taken;
}

static void setup(void)
{
	struct error err;

	ck_assert_ptr_nonnull(mkdtemp(runtime));
	setenv("XDG_RUNTIME_DIR", runtime, 1);
	snprintf(path, sizeof(path), "%s/bantam/unit.sock", runtime);
	ck_assert_int_eq(loop_new(&loop), 0);
	ck_assert_int_eq(
		machine_control_new(&control, &machine, loop, "unit", &err), 0);
	observer = machine_control_observer(control);
}

static void teardown(void)
{
	machine_control_free(control);
	loop_free(loop);
	ck_assert_int_ne(access(path, F_OK), 0);
	snprintf(path, sizeof(path), "%s/bantam", runtime);
	ck_assert_int_eq(rmdir(path), 0);
	ck_assert_int_eq(rmdir(runtime), 0);
}

/* --- What is asked and answered ---------------------------------------------
 */

static struct control_peer peer_open(void)
{
	struct control_peer peer;

	control_peer_open(&peer, loop, path);
	return peer;
}

static void expect_text(json_t *message, const char *expected)
{
	char *text = json_dumps(message, JSON_COMPACT);

	ck_assert_ptr_nonnull(text);
	ck_assert_msg(strstr(text, expected), "%s\nis not %s", text, expected);
	free(text);
	json_decref(message);
}

static void expect_result(struct control_peer *peer, const char *method,
			  const char *params, const char *expected)
{
	expect_text(control_peer_call(peer, method, params), expected);
}

static void expect_message(struct control_peer *peer, const char *expected)
{
	expect_text(control_peer_receive(peer), expected);
}

START_TEST(status_is_what_the_machine_says)
{
	struct control_peer peer = peer_open();

	expect_result(&peer, "status", NULL,
		      "\"result\":{\"state\":\"running\"}");
	machine.ret = -ENOMEM;
	expect_result(&peer, "status", NULL, "-32603");
	control_peer_close(&peer);
}
END_TEST

static const char *const actions[] = {"pause", "resume", "powerbutton",
				      "reset", "stop",	 "quit"};
#define ACTIONS ((int)(sizeof(actions) / sizeof(actions[0])))

START_TEST(action_calls_the_machine_and_returns_nothing)
{
	struct control_peer peer = peer_open();
	char expected[32];

	expect_result(&peer, actions[_i], NULL, "\"result\":{}");
	snprintf(expected, sizeof(expected), "%s ", actions[_i]);
	ck_assert_str_eq(machine.calls, expected);
	control_peer_close(&peer);
}
END_TEST

START_TEST(action_that_fails_returns_the_reason)
{
	struct control_peer peer = peer_open();
	char expected[128];

	machine.ret = -EALREADY;
	snprintf(expected, sizeof(expected),
		 "\"code\":-32000,\"message\":\"the machine is %s\",\"data\":{"
		 "\"errno\":\"EALREADY\"}",
		 actions[_i]);
	expect_result(&peer, actions[_i], NULL, expected);
	control_peer_close(&peer);
}
END_TEST

START_TEST(log_sets_the_level)
{
	struct control_peer peer = peer_open();
	struct capture capture;
	char text[256];

	expect_result(&peer, "log", "{\"level\":\"debug\"}", "\"result\":{}");
	capture_begin(&capture);
	log_debug("shown");
	capture_end(&capture, text, sizeof(text));
	ck_assert_str_eq(text, "bantam: shown\n");
	expect_result(&peer, "log", "{\"level\":\"error\"}", "\"result\":{}");
	capture_begin(&capture);
	log_warn("not shown");
	capture_end(&capture, text, sizeof(text));
	ck_assert_str_eq(text, "");
	expect_result(&peer, "log", "{\"level\":\"loud\"}",
		      "found \\\"loud\\\"");
	expect_result(&peer, "log", "{\"level\":3}", "-32602");
	expect_result(&peer, "log", NULL, "-32602");
	control_peer_close(&peer);
}
END_TEST

static void happen(enum machine_event event)
{
	observer->event(observer->ctx, event, NULL);
}

START_TEST(subscribe_without_names_gives_all_events)
{
	struct outcome outcome = {.kind = OUTCOME_PANIC};
	struct control_peer peer = peer_open();

	/* Nobody is told before. */
	happen(MACHINE_STARTED);
	expect_result(&peer, "subscribe", NULL,
		      "{\"events\":[\"started\",\"panicked\",\"reset\","
		      "\"paused\",\"resumed\",\"device\",\"stopped\"]}");
	happen(MACHINE_STARTED);
	happen(MACHINE_PANICKED);
	happen(MACHINE_RESET);
	happen(MACHINE_PAUSED);
	happen(MACHINE_RESUMED);
	observer->device(observer->ctx, "block0", "lost", "it \"fell\"");
	observer->device(observer->ctx, "block0", "restarted", NULL);
	observer->event(observer->ctx, MACHINE_STOPPED, &outcome);
	expect_message(&peer, "{\"jsonrpc\":\"2.0\",\"method\":\"event\","
			      "\"params\":{\"event\":\"started\"}}");
	expect_message(&peer, "{\"event\":\"panicked\"}");
	expect_message(&peer, "{\"event\":\"reset\"}");
	expect_message(&peer, "{\"event\":\"paused\"}");
	expect_message(&peer, "{\"event\":\"resumed\"}");
	expect_message(&peer, "{\"event\":\"device\",\"device\":\"block0\","
			      "\"state\":\"lost\",\"reason\":"
			      "\"it \\\"fell\\\"\"}");
	expect_message(&peer, "{\"event\":\"device\",\"device\":\"block0\","
			      "\"state\":\"restarted\"}");
	expect_message(&peer, "{\"event\":\"stopped\",\"reason\":\"panic\","
			      "\"status\":120}");
	control_peer_close(&peer);
}
END_TEST

START_TEST(subscribe_with_names_gives_those)
{
	struct control_peer peer = peer_open();

	expect_result(&peer, "subscribe",
		      "{\"events\":[\"stopped\",\"paused\"]}",
		      "{\"events\":[\"paused\",\"stopped\"]}");
	happen(MACHINE_STARTED);
	happen(MACHINE_PAUSED);
	expect_message(&peer, "{\"event\":\"paused\"}");
	expect_result(&peer, "subscribe", "{\"events\":[]}", "{\"events\":[]}");
	happen(MACHINE_PAUSED);
	expect_result(&peer, "status", NULL, "result");
	expect_result(&peer, "subscribe", "{\"events\":[\"end\"]}",
		      "found \\\"end\\\"");
	control_peer_close(&peer);
}
END_TEST

START_TEST(event_inside_of_a_method_comes_as_well)
{
	struct control_peer peer = peer_open();

	expect_result(&peer, "subscribe", NULL, "events");
	control_peer_request(&peer, "pause", NULL, 1);
	expect_message(&peer, "{\"event\":\"paused\"}");
	expect_message(&peer, "\"result\":{}");
	control_peer_close(&peer);
}
END_TEST

static void print(const char *text)
{
	observer->output(observer->ctx, (const uint8_t *)text, strlen(text));
}

START_TEST(console_attach_gives_output_with_its_offset)
{
	struct control_peer peer = peer_open(), other = peer_open();

	print("before");
	expect_result(&peer, "console.attach", NULL, "{\"offset\":6}");
	print("foobar");
	expect_message(&peer, "\"method\":\"console.output\",\"params\":{"
			      "\"offset\":6,\"data\":\"Zm9vYmFy\"}");
	expect_result(&other, "console.attach", NULL, "{\"offset\":12}");
	print("f");
	expect_message(&peer, "{\"offset\":12,\"data\":\"Zg==\"}");
	expect_message(&other, "{\"offset\":12,\"data\":\"Zg==\"}");
	expect_result(&peer, "console.detach", NULL, "\"result\":{}");
	print("fo");
	expect_message(&other, "{\"offset\":13,\"data\":\"Zm8=\"}");
	expect_result(&peer, "status", NULL, "result");
	control_peer_close(&other);
	control_peer_close(&peer);
}
END_TEST

START_TEST(console_output_of_any_size_comes_in_pieces)
{
	static uint8_t data[100000];
	struct control_peer peer = peer_open();
	size_t total = 0;

	expect_result(&peer, "console.attach", NULL, "{\"offset\":0}");
	observer->output(observer->ctx, data, 60000);
	while (total < 60000) {
		json_t *got = control_peer_receive(&peer);
		json_t *params = json_object_get(got, "params");

		ck_assert_int_eq(
			json_integer_value(json_object_get(params, "offset")),
			(json_int_t)total);
		total += json_string_length(json_object_get(params, "data")) /
			 4 * 3;
		json_decref(got);
	}
	ck_assert_uint_eq(total, 60000);
	control_peer_close(&peer);
}
END_TEST

START_TEST(console_reader_that_stops_misses_output_and_stays)
{
	static uint8_t data[10000];
	struct control_peer slow = peer_open(), other = peer_open();
	json_int_t end = 0;

	expect_result(&slow, "console.attach", NULL, "{\"offset\":0}");
	expect_result(&slow, "subscribe", NULL, "events");
	for (unsigned int i = 0; i < 200; i++) {
		observer->output(observer->ctx, data, sizeof(data));
		expect_result(&other, "status", NULL, "result");
	}
	happen(MACHINE_PAUSED);
	for (;;) {
		json_t *got = control_peer_receive(&slow);
		json_t *params = json_object_get(got, "params");
		json_int_t offset =
			json_integer_value(json_object_get(params, "offset"));
		bool event = json_object_get(params, "event") != NULL;

		ck_assert_ptr_nonnull(got);
		json_decref(got);
		if (event)
			break;
		ck_assert_int_eq(offset, end);
		end = offset + (json_int_t)sizeof(data);
	}
	ck_assert_int_lt(end, 2000000);
	/* What comes next says where it belongs. */
	print("x");
	expect_message(&slow, "\"offset\":2000000,");
	control_peer_close(&other);
	control_peer_close(&slow);
}
END_TEST

START_TEST(console_input_types_and_says_what_was_taken)
{
	struct control_peer peer = peer_open();

	machine.room = 8;
	expect_result(&peer, "console.input", "{\"data\":\"Zm9vYmFy\"}",
		      "{\"taken\":6}");
	expect_result(&peer, "console.input", "{\"data\":\"Zm9vYmFy\"}",
		      "{\"taken\":2}");
	expect_result(&peer, "console.input", "{\"data\":\"Zm9vYmFy\"}",
		      "{\"taken\":0}");
	expect_result(&peer, "console.input", "{\"data\":\"\"}",
		      "{\"taken\":0}");
	ck_assert_mem_eq(machine.typed, "foobarfo", 8);
	expect_result(&peer, "console.input", "{\"data\":\"Zm9\"}", "-32602");
	expect_result(&peer, "console.input", NULL, "-32602");
	ck_assert_uint_eq(machine.typed_len, 8);
	control_peer_close(&peer);
}
END_TEST

START_TEST(console_room_comes_once_to_who_waits_for_it)
{
	struct control_peer waits = peer_open(), other = peer_open();

	machine.room = 5;
	expect_result(&other, "console.input", "{\"data\":\"Zg==\"}",
		      "{\"taken\":1}");
	expect_result(&waits, "console.input", "{\"data\":\"Zm9vYmFy\"}",
		      "{\"taken\":4}");
	observer->input_room(observer->ctx);
	observer->input_room(observer->ctx);
	expect_message(&waits, "{\"jsonrpc\":\"2.0\",\"method\":\"console."
			       "room\",\"params\":{}}");
	expect_result(&waits, "status", NULL, "result");
	expect_result(&other, "status", NULL, "result");
	control_peer_close(&other);
	control_peer_close(&waits);
}
END_TEST

START_TEST(device_command_goes_to_the_device_with_its_arguments)
{
	struct control_peer peer = peer_open();

	expect_result(&peer, "resize", "{\"device\":\"block0\"}",
		      "\"result\":{\"size\":4096}");
	expect_result(&peer, "resize", "{\"size\":4096,\"device\":\"block1\"}",
		      "result");
	expect_result(&peer, "link", "{\"device\":\"net0\",\"state\":\"down\"}",
		      "result");
	expect_result(&peer, "link", "{\"device\":\"net0\",\"state\":\"up\"}",
		      "result");
	expect_result(&peer, "resize",
		      "{\"device\":\"block0\",\"shrink\":true}", "result");
	expect_result(&peer, "counters", "{\"device\":\"net1\"}", "result");
	ck_assert_str_eq(machine.calls, "block0 resize {} "
					"block1 resize {\"size\":4096} "
					"net0 link {\"up\":false} "
					"net0 link {\"up\":true} "
					"block0 resize {\"shrink\":true} "
					"net1 counters {} ");
	control_peer_close(&peer);
}
END_TEST

START_TEST(device_command_that_cannot_be_is_refused)
{
	struct control_peer peer = peer_open();

	expect_result(&peer, "resize", NULL, "-32602");
	expect_result(&peer, "resize", "{\"device\":3}", "-32602");
	expect_result(&peer, "resize", "{\"device\":\"block0\",\"size\":511}",
		      "-32602");
	expect_result(&peer, "link", "{\"device\":\"net0\"}", "-32602");
	expect_result(&peer, "link", "{\"device\":\"net0\",\"state\":\"on\"}",
		      "found \\\"on\\\"");
	expect_result(&peer, "resize", "{\"device\":\"block0\",\"shrink\":1}",
		      "true or false");
	expect_result(&peer, "link", "{\"device\":\"net0\",\"state\":true}",
		      "-32602");
	ck_assert_str_eq(machine.calls, "");
	machine.ret = -ENODEV;
	expect_result(&peer, "resize", "{\"device\":\"x\"}",
		      "\"errno\":\"ENODEV\"");
	control_peer_close(&peer);
}
END_TEST

START_TEST(console_resize_goes_to_the_machine)
{
	struct control_peer peer = peer_open();

	expect_result(&peer, "console.resize", "{\"cols\":80,\"rows\":25}",
		      "\"result\":{}");
	ck_assert_str_eq(machine.calls, "resize 80 25 ");
	machine.ret = -EOPNOTSUPP;
	expect_result(&peer, "console.resize", "{\"cols\":80,\"rows\":25}",
		      "\"errno\":\"EOPNOTSUPP\"");
	expect_result(&peer, "console.resize", "{\"cols\":80}", "-32602");
	expect_result(&peer, "console.resize", "{\"cols\":0,\"rows\":25}",
		      "-32602");
	expect_result(&peer, "console.resize", "{\"cols\":80,\"rows\":65536}",
		      "-32602");
	control_peer_close(&peer);
}
END_TEST

START_TEST(free_sends_the_end_and_gives_the_name_up)
{
	struct outcome outcome = {.kind = OUTCOME_GUEST_STATUS,
				  .guest_status = 42};
	struct control_peer peer = peer_open();
	struct error err;

	expect_result(&peer, "subscribe", NULL, "events");
	observer->event(observer->ctx, MACHINE_STOPPED, &outcome);
	machine_control_free(control);
	expect_message(&peer, "{\"event\":\"stopped\",\"reason\":"
			      "\"guest-status\",\"status\":42}");
	ck_assert_ptr_null(control_peer_receive(&peer));
	control_peer_close(&peer);
	ck_assert_int_eq(
		machine_control_new(&control, &machine, loop, "unit", &err), 0);
}
END_TEST

START_TEST(new_with_name_in_use_is_refused)
{
	struct machine_control *second;
	struct error err;

	ck_assert_int_eq(
		machine_control_new(&second, &machine, loop, "unit", &err),
		-EADDRINUSE);
	ck_assert_ptr_nonnull(strstr(err.text, "--name unit"));
}
END_TEST

/* --- The document ------------------------------------------------------------
 */

/* The NAMEs of lines "### `NAME`", one a line, in a section "## TITLE". */
static void documented(const char *title, char *out, size_t size)
{
	FILE *file = fopen(DOCUMENT, "r");
	bool inside = false;
	char line[1024], name[128];
	size_t len = 0;

	ck_assert_msg(file, "%s: %s", DOCUMENT, strerror(errno));
	out[0] = '\0';
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "## ", 3))
			inside = !strcmp(line + 3, title);
		if (inside && sscanf(line, "### `%127[^`]`", name) == 1)
			len += (size_t)snprintf(out + len, size - len, "%s\n",
						name);
	}
	fclose(file);
}

START_TEST(document_has_every_method_and_no_other)
{
	const struct control_method *methods;
	char expected[1024] = "", found[1024];
	size_t count, len = 0;

	methods = machine_control_methods(&count);
	for (size_t i = 0; i < count; i++) {
		len += (size_t)snprintf(expected + len, sizeof(expected) - len,
					"%s\n", methods[i].name);
		ck_assert_ptr_nonnull(methods[i].call);
		ck_assert_ptr_nonnull(methods[i].help);
	}
	documented("Methods", found, sizeof(found));
	ck_assert_str_eq(found, expected);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("machine_control");
	TCase *tcase = tcase_create("machine_control");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 20);
	tcase_add_test(tcase, status_is_what_the_machine_says);
	tcase_add_loop_test(tcase, action_calls_the_machine_and_returns_nothing,
			    0, ACTIONS);
	tcase_add_loop_test(tcase, action_that_fails_returns_the_reason, 0,
			    ACTIONS);
	tcase_add_test(tcase, log_sets_the_level);
	tcase_add_test(tcase, subscribe_without_names_gives_all_events);
	tcase_add_test(tcase, subscribe_with_names_gives_those);
	tcase_add_test(tcase, event_inside_of_a_method_comes_as_well);
	tcase_add_test(tcase, console_attach_gives_output_with_its_offset);
	tcase_add_test(tcase, console_output_of_any_size_comes_in_pieces);
	tcase_add_test(tcase,
		       console_reader_that_stops_misses_output_and_stays);
	tcase_add_test(tcase, console_input_types_and_says_what_was_taken);
	tcase_add_test(tcase, console_room_comes_once_to_who_waits_for_it);
	tcase_add_test(tcase,
		       device_command_goes_to_the_device_with_its_arguments);
	tcase_add_test(tcase, device_command_that_cannot_be_is_refused);
	tcase_add_test(tcase, console_resize_goes_to_the_machine);
	tcase_add_test(tcase, free_sends_the_end_and_gives_the_name_up);
	tcase_add_test(tcase, new_with_name_in_use_is_refused);
	tcase_add_test(tcase, document_has_every_method_and_no_other);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
