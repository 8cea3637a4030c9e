/* The event loop: order, wake-ups, and callbacks that change the loop. */
#include "vmm/base/loop.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <check.h>

#define MS INT64_C(1000000)

static struct loop *loop;
static char trace[64]; /* one letter a callback */
static char letters[] = "abcdw";

#define A (&letters[0])
#define B (&letters[1])
#define C (&letters[2])
#define D (&letters[3])
#define W (&letters[4])

static void setup(void)
{
	ck_assert_int_eq(loop_new(&loop), 0);
}

static void teardown(void)
{
	loop_free(loop);
}

static void trace_add(char letter)
{
	size_t len = strlen(trace);

	if (len + 1 < sizeof(trace))
		trace[len] = letter;
}

static void on_stop(void *ctx)
{
	(void)ctx;
	loop_stop(loop);
}

/* Run for one turn that waits for nothing. */
static void run_once(void)
{
	struct loop_timer *timer;

	ck_assert_int_eq(loop_timer_add(loop, &timer, on_stop, NULL), 0);
	loop_timer_set(timer, 0);
	ck_assert_int_eq(loop_run(loop), 0);
	loop_timer_remove(timer);
}

/* --- Descriptors ------------------------------------------------------- */

static uint32_t fd_events;

static void on_fd(void *ctx, uint32_t events)
{
	fd_events = events;
	trace_add(*(const char *)ctx);
}

START_TEST(fd_with_data_is_called_until_read)
{
	struct loop_fd *source;
	char byte;
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(loop_fd_add(loop, &source, fds[0], EPOLLIN, on_fd, A),
			 0);
	run_once();
	ck_assert_str_eq(trace, "");
	ck_assert_int_eq(write(fds[1], "x", 1), 1);
	run_once();
	run_once();
	ck_assert_str_eq(trace, "aa");
	ck_assert_uint_eq(fd_events, EPOLLIN);
	ck_assert_int_eq(read(fds[0], &byte, 1), 1);
	run_once();
	ck_assert_str_eq(trace, "aa");
}
END_TEST

START_TEST(fd_set_with_no_events_reports_hangup_only)
{
	struct loop_fd *source;
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(loop_fd_add(loop, &source, fds[0], EPOLLIN, on_fd, A),
			 0);
	ck_assert_int_eq(write(fds[1], "x", 1), 1);
	ck_assert_int_eq(loop_fd_set(source, 0), 0);
	run_once();
	ck_assert_str_eq(trace, "");
	close(fds[1]);
	run_once();
	ck_assert_str_eq(trace, "a");
	ck_assert_uint_eq(fd_events, EPOLLHUP);
}
END_TEST

START_TEST(fd_add_with_regular_file_is_refused)
{
	int fd = memfd_create("file", MFD_CLOEXEC);
	struct loop_fd *source = NULL;

	ck_assert_int_eq(loop_fd_add(loop, &source, fd, EPOLLIN, on_fd, A),
			 -EPERM);
	ck_assert_int_eq(loop_fd_add(loop, &source, -1, EPOLLIN, on_fd, A),
			 -EBADF);
	ck_assert_ptr_null(source);
}
END_TEST

static struct loop_fd *pair[2];

/* Whichever is called first, the other's event is in the array already. */
static void on_fd_remove_pair(void *ctx, uint32_t events)
{
	(void)events;
	trace_add(*(const char *)ctx);
	loop_fd_remove(pair[0]);
	loop_fd_remove(pair[1]);
}

START_TEST(fd_remove_of_ready_sources_silences_them)
{
	int fds[2][2];

	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(pipe(fds[i]), 0);
		ck_assert_int_eq(write(fds[i][1], "x", 1), 1);
		ck_assert_int_eq(loop_fd_add(loop, &pair[i], fds[i][0], EPOLLIN,
					     on_fd_remove_pair, A),
				 0);
	}
	run_once();
	ck_assert_str_eq(trace, "a");
}
END_TEST

/* --- Timers ------------------------------------------------------------ */

static void on_timer(void *ctx)
{
	trace_add(*(const char *)ctx);
}

static struct loop_timer *timer_new(loop_fn *fn, void *ctx)
{
	struct loop_timer *timer;

	ck_assert_int_eq(loop_timer_add(loop, &timer, fn, ctx), 0);
	return timer;
}

START_TEST(timer_set_in_any_order_runs_by_time)
{
	struct loop_timer *a = timer_new(on_timer, A);
	struct loop_timer *b = timer_new(on_timer, B);
	struct loop_timer *c = timer_new(on_timer, C);
	struct loop_timer *d = timer_new(on_timer, D);
	struct loop_timer *end = timer_new(on_stop, NULL);
	int64_t start = loop_now();

	loop_timer_set(end, 9 * MS);
	loop_timer_set(c, 6 * MS);
	loop_timer_set(a, 2 * MS);
	loop_timer_set(b, 4 * MS);
	loop_timer_set(d, 1 * MS);
	loop_timer_set(d, 8 * MS); /* replaces */
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_str_eq(trace, "abcd");
	ck_assert_int_ge(loop_now() - start, 9 * MS);
}
END_TEST

START_TEST(timer_set_once_runs_once)
{
	struct loop_timer *a = timer_new(on_timer, A);

	loop_timer_set(a, -5);
	run_once();
	run_once();
	ck_assert_str_eq(trace, "a");
}
END_TEST

START_TEST(timer_cancel_before_time_never_runs)
{
	struct loop_timer *a = timer_new(on_timer, A);
	struct loop_timer *b = timer_new(on_timer, B);

	loop_timer_set(a, 0);
	loop_timer_set(b, 0);
	loop_timer_cancel(a);
	loop_timer_cancel(a);
	run_once();
	ck_assert_str_eq(trace, "b");
}
END_TEST

START_TEST(timer_set_beyond_clock_never_runs)
{
	struct loop_timer *a = timer_new(on_timer, A);

	loop_timer_set(a, INT64_MAX);
	run_once();
	ck_assert_str_eq(trace, "");
}
END_TEST

static struct loop_timer *self;

static void on_timer_again(void *ctx)
{
	trace_add(*(const char *)ctx);
	loop_timer_set(self, 0);
}

START_TEST(timer_set_to_zero_in_callback_starves_nobody)
{
	struct loop_timer *end = timer_new(on_stop, NULL);

	self = timer_new(on_timer_again, A);
	loop_timer_set(self, 0);
	loop_timer_set(end, 2 * MS);
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_int_eq(trace[0], 'a');
}
END_TEST

static void on_timer_remove(void *ctx)
{
	trace_add(*(const char *)ctx);
	loop_timer_remove(self);
}

START_TEST(timer_remove_in_own_callback_is_safe)
{
	self = timer_new(on_timer_remove, A);
	loop_timer_set(self, 0);
	run_once();
	run_once();
	ck_assert_str_eq(trace, "a");
}
END_TEST

/* --- Wake-ups ---------------------------------------------------------- */

#define THREADS 4
#define SENDS	2000

static struct loop_wake *wake;
static _Atomic unsigned int sent;
static unsigned int calls, seen;

static void *send_many(void *ctx)
{
	(void)ctx;
	for (unsigned int i = 0; i < SENDS; i++) {
		sent++;
		loop_wake_send(wake);
	}
	return NULL;
}

static void on_wake(void *ctx)
{
	(void)ctx;
	calls++;
	seen = sent;
	if (seen == THREADS * SENDS)
		loop_stop(loop);
}

START_TEST(wake_send_from_threads_is_never_lost)
{
	pthread_t threads[THREADS];

	ck_assert_int_eq(loop_wake_add(loop, &wake, on_wake, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(
			pthread_create(&threads[i], NULL, send_many, NULL), 0);
	/* Ends only if the call after the last send is made. */
	ck_assert_int_eq(loop_run(loop), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(seen, THREADS * SENDS);
	ck_assert_uint_le(calls, THREADS * SENDS);
}
END_TEST

START_TEST(wake_send_many_before_run_is_one_call)
{
	ck_assert_int_eq(loop_wake_add(loop, &wake, on_timer, W), 0);
	for (int i = 0; i < 10; i++)
		loop_wake_send(wake);
	run_once();
	run_once();
	ck_assert_str_eq(trace, "w");
}
END_TEST

static void on_wake_remove(void *ctx)
{
	trace_add(*(const char *)ctx);
	loop_wake_remove(wake);
}

START_TEST(wake_remove_in_own_callback_is_safe)
{
	ck_assert_int_eq(loop_wake_add(loop, &wake, on_wake_remove, W), 0);
	loop_wake_send(wake);
	run_once();
	run_once();
	ck_assert_str_eq(trace, "w");
}
END_TEST

/* --- Stopping ---------------------------------------------------------- */

START_TEST(stop_before_run_ends_it_at_once)
{
	loop_stop(loop);
	ck_assert_int_eq(loop_run(loop), 0);
	/* And only that one. */
	self = timer_new(on_timer, A);
	loop_timer_set(self, 0);
	run_once();
	ck_assert_str_eq(trace, "a");
}
END_TEST

static void on_edge(void *ctx, uint32_t events)
{
	(void)events;
	trace_add(*(const char *)ctx);
	loop_stop(loop);
}

START_TEST(stop_before_edges_keeps_them_for_the_next_run)
{
	struct loop_fd *source;

	for (int i = 0; i < 2; i++) {
		int fd = eventfd(1, EFD_CLOEXEC);

		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(loop_fd_add(loop, &source, fd,
					     EPOLLIN | EPOLLET, on_edge, A),
				 0);
	}
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_str_eq(trace, "a");
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_str_eq(trace, "aa");
	run_once();
	ck_assert_str_eq(trace, "aa");
}
END_TEST

START_TEST(edge_of_an_unread_eventfd_comes_with_each_write)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct loop_fd *source;

	ck_assert_int_eq(
		loop_fd_add(loop, &source, fd, EPOLLIN | EPOLLET, on_fd, A), 0);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(eventfd_write(fd, 1), 0);
		run_once();
		run_once();
	}
	ck_assert_str_eq(trace, "aaa");
}
END_TEST

/* --- Looks ----------------------------------------------------------------
 */

static int eyes[2]; /* looks without and with sleeps */
static int found;   /* looks that are to find something */

static bool on_look(void *ctx, bool sleeps)
{
	(void)ctx;
	eyes[sleeps]++;
	return found && found--;
}

START_TEST(look_comes_before_each_wait)
{
	struct loop_look *look;

	ck_assert_int_eq(loop_look_add(loop, &look, on_look, NULL), 0);
	run_once();
	run_once();
	ck_assert_int_eq(eyes[true], 2);
	loop_look_remove(look);
	run_once();
	ck_assert_int_eq(eyes[true], 2);
}
END_TEST

START_TEST(look_that_finds_something_keeps_the_loop_awake)
{
	struct loop_timer *timer;
	struct loop_look *look;

	ck_assert_int_eq(loop_look_add(loop, &look, on_look, NULL), 0);
	ck_assert_int_eq(loop_timer_add(loop, &timer, on_stop, NULL), 0);
	loop_timer_set(timer, 20 * MS);
	found = 3;
	ck_assert_int_eq(loop_run(loop), 0);
	/* Three turns that do not wait, and the one that does. */
	ck_assert_int_ge(eyes[true], 4);
	ck_assert_int_eq(found, 0);
}
END_TEST

static int ping;

/* There is always something again at once. */
static void on_ping(void *ctx, uint32_t events)
{
	(void)events;
	if (--*(int *)ctx == 0)
		loop_stop(loop);
	eventfd_write(ping, 1);
}

/* Waits end at once, so that spinning instead is learned: where it can pay. */
START_TEST(look_after_short_waits_is_repeated)
{
	struct loop_look *look;
	struct loop_fd *source;
	int turns = 100;
	cpu_set_t set;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(set), &set), 0);
	ping = eventfd(1, EFD_CLOEXEC);
	ck_assert_int_eq(loop_look_add(loop, &look, on_look, NULL), 0);
	ck_assert_int_eq(loop_fd_add(loop, &source, ping, EPOLLIN | EPOLLET,
				     on_ping, &turns),
			 0);
	ck_assert_int_eq(loop_run(loop), 0);
	if (CPU_COUNT(&set) > 1)
		ck_assert_int_gt(eyes[false], 0);
	else
		ck_assert_int_eq(eyes[false], 0);
}
END_TEST

START_TEST(look_after_long_waits_comes_once)
{
	struct loop_timer *timer;
	struct loop_look *look;

	ck_assert_int_eq(loop_look_add(loop, &look, on_look, NULL), 0);
	ck_assert_int_eq(loop_timer_add(loop, &timer, on_stop, NULL), 0);
	for (int i = 0; i < 10; i++) {
		loop_timer_set(timer, MS);
		ck_assert_int_eq(loop_run(loop), 0);
	}
	ck_assert_int_eq(eyes[false], 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("loop");
	TCase *tcase = tcase_create("loop");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, fd_with_data_is_called_until_read);
	tcase_add_test(tcase, fd_set_with_no_events_reports_hangup_only);
	tcase_add_test(tcase, fd_add_with_regular_file_is_refused);
	tcase_add_test(tcase, fd_remove_of_ready_sources_silences_them);
	tcase_add_test(tcase, timer_set_in_any_order_runs_by_time);
	tcase_add_test(tcase, timer_set_once_runs_once);
	tcase_add_test(tcase, timer_cancel_before_time_never_runs);
	tcase_add_test(tcase, timer_set_beyond_clock_never_runs);
	tcase_add_test(tcase, timer_set_to_zero_in_callback_starves_nobody);
	tcase_add_test(tcase, timer_remove_in_own_callback_is_safe);
	tcase_add_test(tcase, wake_send_from_threads_is_never_lost);
	tcase_add_test(tcase, wake_send_many_before_run_is_one_call);
	tcase_add_test(tcase, wake_remove_in_own_callback_is_safe);
	tcase_add_test(tcase, stop_before_run_ends_it_at_once);
	tcase_add_test(tcase, stop_before_edges_keeps_them_for_the_next_run);
	tcase_add_test(tcase, edge_of_an_unread_eventfd_comes_with_each_write);
	tcase_add_test(tcase, look_comes_before_each_wait);
	tcase_add_test(tcase, look_that_finds_something_keeps_the_loop_awake);
	tcase_add_test(tcase, look_after_short_waits_is_repeated);
	tcase_add_test(tcase, look_after_long_waits_comes_once);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
