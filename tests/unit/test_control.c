/*
 * The control socket: requests of every kind against a table of this file's
 * own, and clients that do what they should not.
 */
#include "vmm/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <check.h>

#include "tests/unit/support/capture.h"
#include "tests/unit/support/control_peer.h"

#define NOBODY 65534
#define TOPIC  UINT64_C(1)

static unsigned int calls;

static int method_echo(void *ctx, struct control_client *client,
		       const json_t *params, json_t **result, struct error *err)
{
	(void)ctx;
	(void)client;
	(void)err;
	calls++;
	*result = json_copy((json_t *)(uintptr_t)params);
	return 0;
}

static int method_nothing(void *ctx, struct control_client *client,
			  const json_t *params, json_t **result,
			  struct error *err)
{
	(void)ctx;
	(void)client;
	(void)params;
	(void)result;
	(void)err;
	calls++;
	return 0;
}

static int method_fail(void *ctx, struct control_client *client,
		       const json_t *params, json_t **result, struct error *err)
{
	int errnum = (int)json_integer_value(json_object_get(params, "errnum"));

	(void)ctx;
	(void)client;
	*result = json_string("is dropped");
	return error_set(err, errnum, "no \xff luck");
}

static int method_subscribe(void *ctx, struct control_client *client,
			    const json_t *params, json_t **result,
			    struct error *err)
{
	(void)ctx;
	(void)params;
	(void)result;
	(void)err;
	control_client_subscribe(client, TOPIC);
	return 0;
}

static const struct control_method methods[] = {
	{
		.name = "echo",
		.params = {{.name = "text",
			    .type = CONTROL_TEXT,
			    .required = true},
			   {.name = "number",
			    .type = CONTROL_INTEGER,
			    .min = -5,
			    .max = 5},
			   {.name = "texts", .type = CONTROL_TEXTS}},
		.call = method_echo,
	},
	{.name = "nothing", .call = method_nothing},
	{
		.name = "fail",
		.params = {{.name = "errnum",
			    .type = CONTROL_INTEGER,
			    .max = 1000}},
		.call = method_fail,
	},
	{.name = "subscribe", .call = method_subscribe},
};
static const struct control_table table = {methods, sizeof(methods) /
							    sizeof(methods[0])};

/* --- Requests, without a connection ----------------------------------------
 */

#define R "{\"jsonrpc\":\"2.0\","

static const struct {
	const char *line;
	const char *reply; /* what it has, "" for none */
} requests[] = {
	{R "\"method\":\"nothing\",\"id\":1}",
	 "{\"jsonrpc\":\"2.0\",\"result\":{},\"id\":1}"},
	{" \t" R "\"id\":\"a\\nb\",\"method\":\"nothing\"} \r",
	 "\"id\":\"a\\nb\""},
	{R "\"method\":\"nothing\",\"id\":-9223372036854775808}",
	 "\"id\":-9223372036854775808}"},
	{R "\"method\":\"nothing\",\"id\":1.5}", "\"id\":1.5"},
	{R "\"method\":\"nothing\",\"id\":null}", "\"id\":null"},
	{R "\"method\":\"nothing\",\"params\":{},\"id\":1}", "\"result\":{}"},
	{R "\"method\":\"echo\",\"params\":{\"text\":\"x\",\"number\":-5,"
	   "\"texts\":[]},\"id\":1}",
	 "\"result\":{\"text\":\"x\",\"number\":-5,\"texts\":[]}"},
	/* Notifications have no reply, whatever becomes of them. */
	{R "\"method\":\"nothing\"}", ""},
	{R "\"method\":\"unknown\"}", ""},
	{R "\"method\":\"echo\"}", ""},
	{R "\"method\":\"fail\"}", ""},
	/* Not JSON. */
	{"", "-32700"},
	{"{", "-32700"},
	{R, "-32700"},
	{"nonsense", "-32700"},
	{R "\"method\":\"nothing\",\"id\":1}}", "-32700"},
	{R "\"method\":\"nothing\",\"id\":1} {}", "-32700"},
	{R "\"method\":\"nothing\",\"id\":99999999999999999999}", "-32700"},
	{R "\"method\":\"nothing\",\"id\":1e999}", "-32700"},
	{R "\"method\":\"nothing\",\"id\":NaN}", "-32700"},
	{R "\"method\":\"nothing\",\"id\":1,\"id\":2}", "-32700"},
	{R "\"method\":\"\xff\xfe\",\"id\":1}", "-32700"},
	{R "\"method\":\"\xc0\x80\",\"id\":1}", "-32700"},
	{R "\"method\":\"\xed\xa0\x80\",\"id\":1}", "-32700"},
	{R "\"method\":\"\\u0000\",\"id\":1}", "-32700"},
	{R "\"method\":\"\\ud800\",\"id\":1}", "-32700"},
	/* Not a request. */
	{"[]", "batches are not supported"},
	{"[" R "\"method\":\"nothing\",\"id\":1}]", "-32600"},
	{"1", "-32600"},
	{"\"x\"", "-32600"},
	{"null", "-32600"},
	{"{}", "-32600"},
	{"{\"method\":\"nothing\",\"id\":7}", "\"id\":7"},
	{"{\"jsonrpc\":\"1.0\",\"method\":\"nothing\",\"id\":1}", "-32600"},
	{"{\"jsonrpc\":2.0,\"method\":\"nothing\",\"id\":1}", "-32600"},
	{R "\"id\":1}", "-32600"},
	{R "\"method\":1,\"id\":1}", "-32600"},
	{R "\"method\":\"nothing\",\"id\":true}", "-32600"},
	{R "\"method\":\"nothing\",\"id\":[1]}", "-32600"},
	{R "\"method\":\"nothing\",\"id\":{}}", "\"id\":null"},
	{R "\"method\":\"nothing\",\"param\":{},\"id\":1}", "-32600"},
	{R "\"result\":{},\"id\":1}", "-32600"},
	/* Not a method. */
	{R "\"method\":\"Nothing\",\"id\":1}", "-32601"},
	{R "\"method\":\"\",\"id\":1}", "-32601"},
	{R "\"method\":\"rpc.x\",\"params\":3,\"id\":1}", "-32601"},
	/* Not its parameters. */
	{R "\"method\":\"nothing\",\"params\":[],\"id\":1}", "-32602"},
	{R "\"method\":\"nothing\",\"params\":null,\"id\":1}", "-32602"},
	{R "\"method\":\"nothing\",\"params\":{\"x\":1},\"id\":1}",
	 "params.x: nothing has no such"},
	{R "\"method\":\"echo\",\"id\":1}",
	 "params.text: expected text, found none"},
	{R "\"method\":\"echo\",\"params\":{\"text\":1},\"id\":1}",
	 "params.text: expected text, found something else"},
	{R "\"method\":\"echo\",\"params\":{\"text\":null},\"id\":1}",
	 "-32602"},
	{R "\"method\":\"echo\",\"params\":{\"text\":\"\",\"number\":6},"
	   "\"id\":1}",
	 "params.number: expected -5 to 5, found 6"},
	{R "\"method\":\"echo\",\"params\":{\"text\":\"\",\"number\":1.0},"
	   "\"id\":1}",
	 "-32602"},
	{R "\"method\":\"echo\",\"params\":{\"text\":\"\",\"texts\":[\"\",1]},"
	   "\"id\":1}",
	 "-32602"},
	/* What methods say. */
	{R "\"method\":\"fail\",\"params\":{\"errnum\":16},\"id\":1}",
	 "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32000,\"message\":\"no ? "
	 "luck\",\"data\":{\"errno\":\"EBUSY\"}},\"id\":1}"},
	{R "\"method\":\"fail\",\"params\":{\"errnum\":22},\"id\":1}",
	 "-32602"},
	{R "\"method\":\"fail\",\"params\":{\"errnum\":12},\"id\":1}",
	 "-32603"},
	{R "\"method\":\"fail\",\"params\":{\"errnum\":999},\"id\":1}",
	 "-32000"},
};
#define REQUESTS ((int)(sizeof(requests) / sizeof(requests[0])))

static char *answer(const char *line, size_t len)
{
	json_t *reply;
	char *text;

	ck_assert_int_eq(
		control_rpc_answer(&table, NULL, NULL, line, len, &reply), 0);
	text = reply ? json_dumps(reply, JSON_COMPACT) : strdup("");
	ck_assert_ptr_nonnull(text);
	json_decref(reply);
	return text;
}

START_TEST(answer_of_request_is_the_reply)
{
	char *text = answer(requests[_i].line, strlen(requests[_i].line));

	if (*requests[_i].reply)
		ck_assert_msg(strstr(text, requests[_i].reply),
			      "%s\ngave %s\ninstead of %s", requests[_i].line,
			      text, requests[_i].reply);
	else
		ck_assert_str_eq(text, "");
	free(text);
}
END_TEST

START_TEST(answer_of_notification_carries_it_out)
{
	static const char line[] = R "\"method\":\"nothing\"}";

	free(answer(line, strlen(line)));
	ck_assert_uint_eq(calls, 1);
}
END_TEST

START_TEST(answer_of_nul_bytes_is_an_error)
{
	static const char line[] = R "\"method\":\"nothing\",\0\"id\":1}";
	char *text = answer(line, sizeof(line) - 1);

	ck_assert_ptr_nonnull(strstr(text, "-32700"));
	free(text);
	text = answer("\0\0\0", 3);
	ck_assert_ptr_nonnull(strstr(text, "-32700"));
	free(text);
}
END_TEST

START_TEST(answer_of_deep_nesting_is_an_error)
{
	char line[CONTROL_LINE_MAX];
	char *text;

	memset(line, '[', sizeof(line));
	text = answer(line, sizeof(line));
	ck_assert_ptr_nonnull(strstr(text, "-32700"));
	free(text);
}
END_TEST

/* --- Connections -----------------------------------------------------------
 */

static char dir[] = "/tmp/test_control.XXXXXX";
static char path[64];
static int listener;
static struct loop *loop;
static struct control *control;

static void setup(void)
{
	struct control_config config = {.table = table};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct error err;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/socket", dir);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	listener =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ck_assert_int_ge(listener, 0);
	ck_assert_int_eq(
		bind(listener, (struct sockaddr *)&address, sizeof(address)),
		0);
	ck_assert_int_eq(listen(listener, 64), 0);
	ck_assert_int_eq(loop_new(&loop), 0);
	config.loop = loop;
	config.fd = listener;
	ck_assert_int_eq(control_new(&control, &config, &err), 0);
}

static void teardown(void)
{
	control_free(control);
	loop_free(loop);
	close(listener);
	unlink(path);
	rmdir(dir);
}

static struct control_peer peer_open(void)
{
	struct control_peer peer;

	control_peer_open(&peer, loop, path);
	return peer;
}

/* The connection is served: a reply has come. */
static void peer_ping(struct control_peer *peer)
{
	json_decref(control_peer_call(peer, "nothing", NULL));
}

static void peer_subscribe(struct control_peer *peer)
{
	json_decref(control_peer_call(peer, "subscribe", NULL));
}

static json_t *message(size_t len)
{
	char *text = malloc(len + 1);
	json_t *made;

	ck_assert_ptr_nonnull(text);
	memset(text, 'x', len);
	text[len] = '\0';
	made = control_rpc_notification("m", json_pack("{s:s}", "t", text));
	free(text);
	return made;
}

START_TEST(request_in_pieces_is_answered)
{
	static const char line[] = R "\"method\":\"nothing\",\"id\":1}\n";
	struct control_peer peer = peer_open(), other = peer_open();
	json_t *reply;

	for (size_t i = 0; i < sizeof(line) - 1; i++) {
		control_peer_send(&peer, line + i, 1);
		/* The server has seen the piece. */
		peer_ping(&other);
	}
	reply = control_peer_receive(&peer);
	ck_assert_int_eq(json_integer_value(json_object_get(reply, "id")), 1);
	json_decref(reply);
	control_peer_close(&other);
	control_peer_close(&peer);
}
END_TEST

START_TEST(requests_in_one_piece_are_answered_in_order)
{
	struct control_peer peer = peer_open();
	char text[8192];
	size_t len = 0;

	for (int i = 0; i < 100; i++)
		len += (size_t)sprintf(
			text + len, R "\"method\":\"nothing\",\"id\":%d}\n", i);
	control_peer_send(&peer, text, len);
	for (int i = 0; i < 100; i++) {
		json_t *reply = control_peer_receive(&peer);

		ck_assert_int_eq(
			json_integer_value(json_object_get(reply, "id")), i);
		json_decref(reply);
	}
	control_peer_close(&peer);
}
END_TEST

/* A line of len bytes with its newline, and what becomes of it. */
static json_t *send_line(struct control_peer *peer, size_t len)
{
	static const char head[] =
		R "\"id\":1,\"method\":\"echo\",\"params\":{\"text\":\"";
	static const char tail[] = "\"}}\n";
	char *line = malloc(len);
	json_t *reply;

	ck_assert_ptr_nonnull(line);
	memset(line, 'x', len);
	memcpy(line, head, sizeof(head) - 1);
	memcpy(line + len - (sizeof(tail) - 1), tail, sizeof(tail) - 1);
	control_peer_send(peer, line, len);
	free(line);
	reply = control_peer_receive(peer);
	ck_assert_ptr_nonnull(reply);
	return reply;
}

START_TEST(line_of_largest_size_is_answered)
{
	struct control_peer peer = peer_open();
	json_t *reply = send_line(&peer, CONTROL_LINE_MAX + 1);

	ck_assert_int_eq(control_peer_code(reply), 0);
	json_decref(reply);
	peer_ping(&peer);
	control_peer_close(&peer);
}
END_TEST

START_TEST(line_of_more_is_refused_and_ends_the_connection)
{
	struct control_peer peer = peer_open();
	json_t *reply = send_line(&peer, CONTROL_LINE_MAX + 2);

	ck_assert_int_eq(control_peer_code(reply), CONTROL_INVALID_REQUEST);
	json_decref(reply);
	ck_assert_ptr_null(control_peer_receive(&peer));
	control_peer_close(&peer);
}
END_TEST

START_TEST(flood_of_one_client_leaves_time_for_another)
{
	struct control_peer flood = peer_open(), other = peer_open();
	static const char line[] = R "\"method\":\"nothing\"}\n";
	char text[1000 * sizeof(line)];
	size_t len = 0;

	peer_ping(&flood);
	peer_ping(&other);
	calls = 0;
	for (int i = 0; i < 1000; i++)
		len += (size_t)sprintf(text + len, "%s", line);
	control_peer_send(&flood, text, len);
	peer_ping(&other);
	ck_assert_uint_lt(calls, 100);
	/* And it is carried out to the end. */
	for (unsigned int pings = 1; calls < 1000 + pings; pings++)
		peer_ping(&other);
	control_peer_close(&other);
	control_peer_close(&flood);
}
END_TEST

/* Read nothing until the socket takes no more requests. */
START_TEST(flood_of_requests_without_reading_is_answered_when_read)
{
	struct control_peer flood = peer_open(), other = peer_open();
	static const char line[] = R "\"method\":\"nothing\",\"id\":1}\n";
	unsigned int sent = 0;

	/* Whole lines alone: a part of one would need its rest. */
	for (unsigned int idle = 0; idle < 100;) {
		ssize_t n = send(flood.fd, line, sizeof(line) - 1, 0);

		if (n < 0) {
			peer_ping(&other);
			idle++;
			continue;
		}
		ck_assert_int_eq(n, sizeof(line) - 1);
		idle = 0;
		ck_assert_uint_lt(++sent, 1000000);
	}
	ck_assert_uint_gt(sent, 1000);
	for (unsigned int i = 0; i < sent; i++) {
		json_t *reply = control_peer_receive(&flood);

		ck_assert_ptr_nonnull(reply);
		json_decref(reply);
	}
	control_peer_close(&other);
	control_peer_close(&flood);
}
END_TEST

START_TEST(reader_that_stops_is_dropped_and_others_stay)
{
	struct control_peer slow = peer_open(), other = peer_open();
	struct capture capture;
	unsigned int sent = 0;
	char text[256];
	json_t *got;

	peer_subscribe(&slow);
	capture_begin(&capture);
	while (control_wanted(control, TOPIC)) {
		control_publish(control, TOPIC, message(1000),
				CONTROL_RELIABLE);
		peer_ping(&other);
		/* The queue, and what the kernel's buffers hold. */
		ck_assert_uint_lt(++sent, 2000);
	}
	capture_end(&capture, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "does not read"));
	ck_assert_uint_gt(sent, CONTROL_QUEUE_MAX / 1100);
	while ((got = control_peer_receive(&slow)) != NULL) {
		json_decref(got);
		sent--;
	}
	ck_assert_uint_gt(sent, 0);
	peer_ping(&other);
	control_peer_close(&other);
	control_peer_close(&slow);
}
END_TEST

START_TEST(lossy_messages_leave_room_for_reliable_ones)
{
	struct control_peer slow = peer_open(), other = peer_open();
	unsigned int received = 0;

	peer_subscribe(&slow);
	for (unsigned int i = 0; i < 1000; i++) {
		control_publish(control, TOPIC, message(1000), CONTROL_LOSSY);
		peer_ping(&other);
	}
	ck_assert(control_wanted(control, TOPIC));
	for (unsigned int i = 0; i < 100; i++)
		control_publish(control, TOPIC, message(1000),
				CONTROL_RELIABLE);
	ck_assert(control_wanted(control, TOPIC));
	control_publish(control, TOPIC,
			control_rpc_notification("last", json_object()),
			CONTROL_RELIABLE);
	for (bool last = false; !last; received++) {
		json_t *got = control_peer_receive(&slow);

		last = strcmp(json_string_value(json_object_get(got, "method")),
			      "last") == 0;
		json_decref(got);
	}
	ck_assert_uint_gt(received, 100);
	ck_assert_uint_lt(received, 1100);
	control_peer_close(&other);
	control_peer_close(&slow);
}
END_TEST

START_TEST(subscription_ends_with_the_connection)
{
	struct control_peer peer = peer_open(), other = peer_open();

	ck_assert(!control_wanted(control, TOPIC));
	peer_subscribe(&peer);
	ck_assert(control_wanted(control, TOPIC));
	ck_assert(!control_wanted(control, TOPIC << 1));
	control_peer_close(&peer);
	peer_ping(&other);
	ck_assert(!control_wanted(control, TOPIC));
	control_peer_close(&other);
}
END_TEST

START_TEST(connection_too_many_is_turned_away_with_a_reason)
{
	struct control_peer peers[CONTROL_CLIENTS_MAX], more;
	struct capture capture;
	char text[256];
	json_t *got;

	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		peers[i] = peer_open();
		peer_ping(&peers[i]);
	}
	more = peer_open();
	capture_begin(&capture);
	got = control_peer_receive(&more);
	capture_end(&capture, text, sizeof(text));
	ck_assert_int_eq(control_peer_code(got), CONTROL_FAILED);
	json_decref(got);
	ck_assert_ptr_null(control_peer_receive(&more));
	control_peer_close(&more);
	/* One leaves, one may come. */
	control_peer_close(&peers[0]);
	peer_ping(&peers[1]);
	peers[0] = peer_open();
	peer_ping(&peers[0]);
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		control_peer_close(&peers[i]);
}
END_TEST

START_TEST(request_of_client_that_has_gone_is_carried_out)
{
	struct control_peer gone = peer_open(), other = peer_open();
	char text[4096];
	size_t len = 0;

	/* More of them than a turn does. */
	for (int i = 0; i < 50; i++)
		len += (size_t)sprintf(text + len,
				       R "\"method\":\"nothing\",\"id\":1}\n");
	control_peer_send(&gone, text, len);
	control_peer_close(&gone);
	for (unsigned int pings = 0; calls < 50 + pings; pings++) {
		ck_assert_uint_lt(pings, 100);
		peer_ping(&other);
	}
	control_peer_close(&other);
}
END_TEST

START_TEST(client_that_sends_no_more_gets_its_replies_and_the_end)
{
	struct control_peer peer = peer_open();

	control_peer_request(&peer, "nothing", NULL, 1);
	control_peer_request(&peer, "nothing", NULL, 2);
	control_peer_send(&peer, "{", 1);
	ck_assert_int_eq(shutdown(peer.fd, SHUT_WR), 0);
	json_decref(control_peer_receive(&peer));
	json_decref(control_peer_receive(&peer));
	ck_assert_uint_eq(calls, 2);
	ck_assert_ptr_null(control_peer_receive(&peer));
	control_peer_close(&peer);
}
END_TEST

/* It would be served for ever if it were waited for. */
START_TEST(client_that_reads_no_more_is_closed)
{
	struct control_peer peer = peer_open(), other = peer_open();

	peer_subscribe(&peer);
	ck_assert_int_eq(shutdown(peer.fd, SHUT_RD), 0);
	control_publish(control, TOPIC, message(10), CONTROL_RELIABLE);
	for (unsigned int i = 0; i < 10; i++)
		peer_ping(&other);
	ck_assert(!control_wanted(control, TOPIC));
	ck_assert_int_lt(send(peer.fd, "x", 1, MSG_NOSIGNAL), 0);
	ck_assert_int_eq(errno, EPIPE);
	control_peer_close(&other);
	control_peer_close(&peer);
}
END_TEST

START_TEST(flush_writes_what_waits)
{
	struct control_peer peer = peer_open();
	json_t *got;

	peer_subscribe(&peer);
	control_publish(control, TOPIC, message(10), CONTROL_RELIABLE);
	control_flush(control, INT64_C(1000000000));
	control_stop_listening(control);
	control_free(control);
	control = NULL;
	got = control_peer_receive(&peer);
	ck_assert_ptr_nonnull(got);
	json_decref(got);
	ck_assert_ptr_null(control_peer_receive(&peer));
	control_peer_close(&peer);
}
END_TEST

START_TEST(flush_to_reader_that_stops_has_an_end)
{
	struct control_peer peer = peer_open();
	int64_t start, took;

	peer_subscribe(&peer);
	for (unsigned int i = 0; i < 230; i++)
		control_publish(control, TOPIC, message(1000),
				CONTROL_RELIABLE);
	ck_assert(control_wanted(control, TOPIC));
	/* They fill the kernel's buffer. */
	control_flush(control, 1);
	for (unsigned int i = 0; i < 100; i++)
		control_publish(control, TOPIC, message(1000),
				CONTROL_RELIABLE);
	start = loop_now();
	control_flush(control, INT64_C(50000000));
	took = loop_now() - start;
	ck_assert_int_ge(took, INT64_C(50000000));
	ck_assert_int_lt(took, INT64_C(2000000000));
	control_peer_close(&peer);
}
END_TEST

START_TEST(client_of_another_user_is_turned_away)
{
	struct control_peer peer;
	struct capture capture;
	char text[256];
	json_t *got;

	ck_assert_int_eq(chmod(dir, 0755), 0);
	ck_assert_int_eq(chmod(path, 0666), 0);
	ck_assert_int_eq(seteuid(NOBODY), 0);
	peer = peer_open();
	ck_assert_int_eq(seteuid(0), 0);
	capture_begin(&capture);
	got = control_peer_receive(&peer);
	capture_end(&capture, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "another user"));
	ck_assert_int_eq(control_peer_code(got), CONTROL_FAILED);
	json_decref(got);
	ck_assert_ptr_null(control_peer_receive(&peer));
	control_peer_close(&peer);
}
END_TEST

static TCase *requests_case(void)
{
	TCase *tcase = tcase_create("requests");

	tcase_add_loop_test(tcase, answer_of_request_is_the_reply, 0, REQUESTS);
	tcase_add_test(tcase, answer_of_notification_carries_it_out);
	tcase_add_test(tcase, answer_of_nul_bytes_is_an_error);
	tcase_add_test(tcase, answer_of_deep_nesting_is_an_error);
	return tcase;
}

static TCase *connections_case(void)
{
	TCase *tcase = tcase_create("connections");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, request_in_pieces_is_answered);
	tcase_add_test(tcase, requests_in_one_piece_are_answered_in_order);
	tcase_add_test(tcase, line_of_largest_size_is_answered);
	tcase_add_test(tcase, line_of_more_is_refused_and_ends_the_connection);
	tcase_add_test(tcase, flood_of_one_client_leaves_time_for_another);
	tcase_add_test(tcase,
		       flood_of_requests_without_reading_is_answered_when_read);
	tcase_add_test(tcase, reader_that_stops_is_dropped_and_others_stay);
	tcase_add_test(tcase, lossy_messages_leave_room_for_reliable_ones);
	tcase_add_test(tcase, subscription_ends_with_the_connection);
	tcase_add_test(tcase, connection_too_many_is_turned_away_with_a_reason);
	tcase_add_test(tcase, request_of_client_that_has_gone_is_carried_out);
	tcase_add_test(tcase,
		       client_that_sends_no_more_gets_its_replies_and_the_end);
	tcase_add_test(tcase, client_that_reads_no_more_is_closed);
	tcase_add_test(tcase, flush_writes_what_waits);
	tcase_add_test(tcase, flush_to_reader_that_stops_has_an_end);
	if (geteuid() == 0)
		tcase_add_test(tcase, client_of_another_user_is_turned_away);
	else
		puts("skip: test_control: client_of_another_user: not root");
	return tcase;
}

int main(void)
{
	Suite *suite = suite_create("control");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, requests_case());
	suite_add_tcase(suite, connections_case());
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
