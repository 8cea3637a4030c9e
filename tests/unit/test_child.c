/*
 * Devices in processes of their own: this program is also what the spawner
 * runs, with the real models in it, so that all is as in a machine but for the
 * transport.
 */
#include "virtio/child.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "jail/jail.h"
#include "jail/spawner.h"
#include "tests/unit/support/capture.h"
#include "tests/unit/support/disk.h"
#include "tests/unit/support/jail_child.h"
#include "tests/unit/support/model_driver.h"
#include "virtio/block.h"
#include "virtio/console.h"
#include "virtio/net_user.h"
#include "virtio/rng.h"
#include "virtio/seccomp.h"
#include "virtio/table.h"
#include "virtio/vhost_frontend.h"
#include "vmm/base/json.h"
#include "vmm/base/log.h"
#include "vmm/base/side_channel.h"
#include "vmm/device_child.h"

#define IMAGE_SIZE (1u << 20)
#define REQUEST	   4096

static struct spawner *spawner;
static struct child *child;
static struct virtio_resources resources;
static struct virtio_open child_open_args;
static struct model_driver guest;
static char dir[64], path[4096];
static bool restart;
static unsigned int sandbox;
static unsigned int events[3];

static void note_event(void *ctx, enum child_event event, const char *why)
{
	(void)ctx;
	(void)why;
	events[event]++;
}

/* --- The device --------------------------------------------------------- */

static int start(const struct virtio_device_ops *ops, struct error *err)
{
	const struct child_config config = {
		.spawner = spawner,
		.loop = guest.loop,
		.ops = ops,
		.open = &child_open_args,
		.resources = &resources,
		.label = "model0",
		.packed = true,
		.sandbox = sandbox,
		.restart = restart,
		.event = note_event,
	};
	int ret = child_new(&child, &config, err);

	return ret ? ret : child_wait(child, err);
}

/* What model_driver_init() opens: a frontend, and behind it the process. */
static int open_child(const char *type, const struct virtio_open *open,
		      struct virtio_resources *out, struct error *err)
{
	const struct virtio_device_ops *ops = virtio_table_find(type);
	int ret;

	child_open_args = *open;
	ret = ops->open(open, &resources, err);
	if (ret == 0)
		ret = start(ops, err);
	if (ret < 0)
		return ret;
	out->fds[0] = fcntl(child_resources(child)->fds[0], F_DUPFD_CLOEXEC, 0);
	out->fd_count = 1;
	out->description = json_incref(child_resources(child)->description);
	return 0;
}

static int open_rng(const struct virtio_open *open,
		    struct virtio_resources *out, struct error *err)
{
	return open_child("rng", open, out, err);
}

static int open_block(const struct virtio_open *open,
		      struct virtio_resources *out, struct error *err)
{
	return open_child("block", open, out, err);
}

static void make(const char *type,
		 int (*open)(const struct virtio_open *open,
			     struct virtio_resources *out, struct error *err),
		 const void *options)
{
	static struct virtio_device_ops ops;

	ops = *vhost_frontend_ops(type);
	ops.open = open;
	model_driver_init(&guest, &ops, options);
	child_attach(child, guest.device);
	model_driver_start(&guest, MODEL_DRIVER_ALL);
}

static void make_rng(void)
{
	static const struct virtio_rng_options options;

	make("rng", open_rng, &options);
}

static int open_net(const struct virtio_open *open,
		    struct virtio_resources *out, struct error *err)
{
	return open_child("net", open, out, err);
}

/* With a passt of the test's, which is ready and stays. */
static void make_net(void)
{
	static const char script[] = "#!/bin/sh\necho $$\nexec sleep 1000\n";
	static struct virtio_net_options options;
	int fd;

	disk_make_dir(dir, sizeof(dir), "/tmp");
	snprintf(path, sizeof(path), "%s/passt", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, script, strlen(script)),
			 (ssize_t)strlen(script));
	close(fd);
	snprintf(path, sizeof(path), "%s:%s", dir, getenv("PATH"));
	setenv("PATH", path, 1);
	options = (struct virtio_net_options){
		.kind = VIRTIO_NET_USER,
		.queues = 1,
	};
	make("net", open_net, &options);
}

static void make_block(void)
{
	static struct virtio_block_options options;

	disk_make_dir(dir, sizeof(dir), NULL);
	snprintf(path, sizeof(path), "%s/image", dir);
	disk_make_image(path, IMAGE_SIZE);
	options = (struct virtio_block_options){.file = path, .queues = 1};
	make("block", open_block, &options);
}

static void setup(void)
{
	struct error err = {""};

	if (!jail_child_possible("test_child"))
		_exit(EXIT_SUCCESS);
	restart = true;
	sandbox = VIRTIO_SANDBOX_ON;
	memset(events, 0, sizeof(events));
	ck_assert_msg(spawner_new(&spawner, &err) == 0, "%s", err.text);
}

/* The order in which a machine does it. */
static void finish(void)
{
	virtio_device_free(guest.device);
	guest.device = NULL;
	child_free(child);
	model_driver_fini(&guest);
	virtio_resources_fini(&resources);
	spawner_free(spawner);
	if (dir[0])
		disk_remove_dir(dir);
	/* No zombie is left. */
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
}

/* Of what has no device. */
static void end_start(void)
{
	child_free(child);
	virtio_resources_fini(&resources);
	loop_free(guest.loop);
	spawner_free(spawner);
}

static pid_t child_pid(uint64_t *restarts)
{
	json_t *object = json_object();
	const json_t *pid;
	pid_t ret;

	ck_assert_int_eq(child_describe(child, object), 0);
	ck_assert_str_eq(json_string_value(json_object_get(object, "sandbox")),
			 "on");
	if (restarts)
		*restarts = (uint64_t)json_integer_value(
			json_object_get(object, "restarts"));
	pid = json_object_get(object, "pid");
	ret = json_is_null(pid) ? 0 : (pid_t)json_integer_value(pid);
	json_decref(object);
	return ret;
}

static bool has_restarted(void *ctx)
{
	uint64_t restarts;

	child_pid(&restarts);
	return restarts >= *(const uint64_t *)ctx;
}

static bool has_failed(void *ctx)
{
	(void)ctx;
	return guest.needs_resets > 0 && events[CHILD_FAILED];
}

static void fill_buffer(void)
{
	uint64_t gpa = model_driver_alloc(&guest, 512);
	const uint8_t *host = model_driver_host(&guest, gpa, 512);
	unsigned int sum = 0;

	model_driver_give(&guest, 0, gpa, 512, true);
	ck_assert_uint_eq(model_driver_collect(&guest, 0).len, 512);
	for (unsigned int i = 0; i < 512; i++)
		sum |= host[i];
	ck_assert_uint_eq(sum, 0xff);
}

/* A request on the disk, not waited for. */
static uint8_t *block_add(uint32_t type, uint64_t sector, uint8_t fill)
{
	struct virtio_blk_outhdr header = {.type = type, .sector = sector};
	uint64_t gpa = model_driver_alloc(&guest, REQUEST + 4096);
	uint8_t *host = model_driver_host(&guest, gpa, REQUEST + 4096);
	struct ring_driver_buffer data = {gpa + 512, REQUEST};
	struct ring_driver_chain chain = {
		.readable = {{gpa, sizeof(header)}},
		.readable_count = 1,
	};

	memcpy(host, &header, sizeof(header));
	memset(host + 512, fill, REQUEST);
	host[512 + REQUEST] = 0xee;
	if (type == VIRTIO_BLK_T_OUT)
		chain.readable[chain.readable_count++] = data;
	else
		chain.writable[chain.writable_count++] = data;
	chain.writable[chain.writable_count++] =
		(struct ring_driver_buffer){gpa + 512 + REQUEST, 1};
	ck_assert_int_ge(ring_driver_add(guest.rings[0], &chain), 0);
	model_driver_kick(&guest, 0);
	return host + 512;
}

static void block_check(uint64_t sector)
{
	const uint8_t *data = block_add(VIRTIO_BLK_T_IN, sector, 0);

	model_driver_collect(&guest, 0);
	ck_assert_uint_eq(data[REQUEST], VIRTIO_BLK_S_OK);
	for (unsigned int i = 0; i < REQUEST; i++)
		ck_assert_uint_eq(data[i], disk_fill(sector * 512 + i));
}

/* --- Cases -------------------------------------------------------------- */

START_TEST(new_rng_runs_in_another_process)
{
	char link[64], there[256] = "", here[256] = "";
	pid_t pid;

	make_rng();
	pid = child_pid(NULL);
	ck_assert_int_gt(pid, 0);
	ck_assert_int_ne(pid, getpid());
	snprintf(link, sizeof(link), "/proc/%d/ns/pid", (int)pid);
	ck_assert_int_gt(readlink(link, there, sizeof(there) - 1), 0);
	ck_assert_int_gt(readlink("/proc/self/ns/pid", here, sizeof(here) - 1),
			 0);
	ck_assert_str_ne(there, here);
	fill_buffer();
	finish();
}
END_TEST

START_TEST(new_block_reads_writes_and_resizes)
{
	json_t *reply = NULL, *args = json_pack("{s:i}", "size", 2 << 20);
	struct error err = {""};
	const uint8_t *data;

	make_block();
	block_check(0);
	data = block_add(VIRTIO_BLK_T_OUT, 8, 0x5a);
	model_driver_collect(&guest, 0);
	ck_assert_uint_eq(data[REQUEST], VIRTIO_BLK_S_OK);
	ck_assert_msg(child_command(child, "resize", args, &reply, &err) == 0,
		      "%s", err.text);
	ck_assert_int_eq(json_integer_value(json_object_get(reply, "size")),
			 2 << 20);
	json_decref(reply);
	json_decref(args);
	model_driver_settle(&guest);
	ck_assert_uint_gt(guest.config_changes, 0);
	finish();
}
END_TEST

START_TEST(command_that_there_is_not_is_refused_by_name)
{
	struct error err = {""};
	json_t *reply = NULL;

	make_rng();
	ck_assert_int_eq(child_command(child, "dance", NULL, &reply, &err),
			 -EOPNOTSUPP);
	ck_assert_msg(strstr(err.text, "dance") != NULL, "%s", err.text);
	fill_buffer();
	finish();
}
END_TEST

START_TEST(command_to_who_is_silent_ends_it)
{
	struct error err = {""};
	json_t *reply = NULL;
	uint64_t one = 1;

	make_rng();
	kill(child_pid(NULL), SIGSTOP);
	ck_assert_int_eq(child_command(child, "dance", NULL, &reply, &err),
			 -ETIMEDOUT);
	ck_assert(model_driver_wait(&guest, has_restarted, &one));
	fill_buffer();
	finish();
}
END_TEST

START_TEST(death_is_noticed_as_latency_alone)
{
	uint64_t wanted = 0;

	make_block();
	while (wanted < 4) {
		const pid_t pid = child_pid(NULL);
		const uint8_t *data[16];

		for (unsigned int i = 0; i < 16; i++)
			data[i] = block_add(VIRTIO_BLK_T_OUT, 8 * i,
					    (uint8_t)(wanted + 1));
		kill(pid, SIGKILL);
		for (unsigned int i = 0; i < 16; i++)
			model_driver_collect(&guest, 0);
		for (unsigned int i = 0; i < 16; i++)
			ck_assert_uint_eq(data[i][REQUEST], VIRTIO_BLK_S_OK);
		wanted++;
		ck_assert(model_driver_wait(&guest, has_restarted, &wanted));
		ck_assert_int_ne(child_pid(NULL), pid);
		block_check(256);
	}
	ck_assert_uint_eq(guest.needs_resets, 0);
	ck_assert_uint_eq(events[CHILD_RESTARTED], 4);
	ck_assert_uint_eq(events[CHILD_FAILED], 0);
	finish();
}
END_TEST

static bool passt_is_reaped(void *ctx)
{
	const int fd = *(const int *)ctx;
	siginfo_t info;

	return waitid(P_PIDFD, (id_t)fd, &info, WEXITED | WNOWAIT | WNOHANG) <
		       0 &&
	       errno == ECHILD;
}

static void kill_passt(void)
{
	ck_assert_int_eq(syscall(SYS_pidfd_send_signal,
				 resources.fds[NET_USER_PID], SIGKILL, NULL, 0),
			 0);
}

START_TEST(death_of_net_replaces_its_passt)
{
	uint64_t one = 1;
	uint8_t mac[2][6];
	int old;

	make_net();
	virtio_device_lock(guest.device);
	virtio_device_read_config_locked(guest.device, 0, mac[0], 6);
	virtio_device_unlock(guest.device);
	old = fcntl(resources.fds[NET_USER_PID], F_DUPFD_CLOEXEC, 0);
	kill(child_pid(NULL), SIGKILL);
	ck_assert(model_driver_wait(&guest, has_restarted, &one));
	ck_assert(passt_is_reaped(&old));
	close(old);
	virtio_device_lock(guest.device);
	virtio_device_read_config_locked(guest.device, 0, mac[1], 6);
	virtio_device_unlock(guest.device);
	ck_assert_mem_eq(mac[0], mac[1], 6);
	/* One that dies alone is no zombie either. */
	old = resources.fds[NET_USER_PID];
	ck_assert(!passt_is_reaped(&old));
	kill_passt();
	ck_assert(model_driver_wait(&guest, passt_is_reaped, &old));
	finish();
}
END_TEST

/* What is silent is found out by whoever waits for it. */
START_TEST(silence_at_a_reset_brings_another)
{
	uint64_t one = 1;

	make_rng();
	kill(child_pid(NULL), SIGSTOP);
	model_driver_reset(&guest);
	ck_assert(model_driver_wait(&guest, has_restarted, &one));
	model_driver_start(&guest, MODEL_DRIVER_ALL);
	fill_buffer();
	finish();
}
END_TEST

/* A ring of one that is killed would outlive it for a while. */
START_TEST(end_of_one_that_serves_is_its_own)
{
	siginfo_t info = {.si_code = 0};

	make_block();
	block_check(0);
	virtio_device_free(guest.device);
	guest.device = NULL;
	child_end(child);
	ck_assert_int_eq(
		waitid(P_PID, (id_t)child_pid(NULL), &info, WEXITED | WNOWAIT),
		0);
	/* With a status of its own if the leak sanitizer wanted to look. */
	ck_assert_int_eq(info.si_code, CLD_EXITED);
	finish();
}
END_TEST

/* finish() would wait for ever. */
START_TEST(end_of_one_that_is_silent_comes_in_time)
{
	make_block();
	kill(child_pid(NULL), SIGSTOP);
	finish();
}
END_TEST

START_TEST(death_again_and_again_fails_the_device)
{
	uint64_t wanted = 0;

	make_rng();
	while (wanted < CHILD_TRIES) {
		kill(child_pid(NULL), SIGKILL);
		wanted++;
		ck_assert(model_driver_wait(&guest, has_restarted, &wanted));
	}
	ck_assert_uint_eq(guest.needs_resets, 0);
	kill(child_pid(NULL), SIGKILL);
	ck_assert(model_driver_wait(&guest, has_failed, NULL));
	ck_assert_int_eq(child_pid(NULL), 0);
	finish();
}
END_TEST

START_TEST(death_without_restart_needs_reset_and_says_why)
{
	struct capture capture;
	char log[4096];

	restart = false;
	make_rng();
	capture_begin(&capture);
	kill(child_pid(NULL), SIGSEGV);
	/* pid 1 of its namespace: only its parent's SIGKILL is sure. */
	kill(child_pid(NULL), SIGKILL);
	ck_assert(model_driver_wait(&guest, has_failed, NULL));
	capture_end(&capture, log, sizeof(log));
	ck_assert_msg(strstr(log, "was killed by signal") != NULL, "%s", log);
	ck_assert_uint_eq(events[CHILD_DIED], 1);
	ck_assert_uint_eq(events[CHILD_FAILED], 1);
	finish();
}
END_TEST

/* In a process of its own, which is killed: tell who there is, and stay. */
static void be_main(int out)
{
	pid_t pids[2];

	setup();
	make_rng();
	pids[0] = child_pid(NULL);
	pids[1] = spawner_pid(spawner);
	ck_assert_int_eq(write(out, pids, sizeof(pids)), sizeof(pids));
	for (;;)
		pause();
}

START_TEST(death_of_main_takes_all_with_it)
{
	struct pollfd ends[2] = {{.events = POLLIN}, {.events = POLLIN}};
	pid_t pids[2], parent;
	int out[2];

	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	parent = fork();
	if (parent == 0)
		be_main(out[1]);
	close(out[1]);
	ck_assert_int_eq(read(out[0], pids, sizeof(pids)), sizeof(pids));
	for (unsigned int i = 0; i < 2; i++) {
		ends[i].fd = (int)syscall(SYS_pidfd_open, pids[i], 0);
		ck_assert_int_ge(ends[i].fd, 0);
		ck_assert_int_eq(poll(&ends[i], 1, 0), 0);
	}
	kill(parent, SIGKILL);
	ck_assert_int_eq(waitpid(parent, NULL, 0), parent);
	for (unsigned int i = 0; i < 2; i++) {
		ck_assert_int_eq(poll(&ends[i], 1, 30000), 1);
		close(ends[i].fd);
	}
	close(out[0]);
	spawner_free(spawner);
}
END_TEST

START_TEST(new_of_a_bad_description_says_what_is_wrong)
{
	struct error err = {""};

	ck_assert_int_eq(loop_new(&guest.loop), 0);
	resources.description = json_pack("{s:i}", "size", 1);
	ck_assert_int_lt(start(&virtio_block_ops, &err), 0);
	ck_assert_msg(strstr(err.text, "cannot begin") != NULL, "%s", err.text);
	end_start();
}
END_TEST

/* --- A process that is in the hands of its guest ------------------------ */

/* Which lie a child of type "liar" tells; it has no other input. */
static const char *const lies[] = {
	"{\"reply\":{\"id\":7,\"errno\":0}}",
	"{\"ready\":1}",
	"{\"log\":{\"level\":99,\"text\":\"\"}}",
	"{\"violation\":{}}",
	"{\"violation\":{\"call\":\"openat\"}}",
	"{\"create\":{}}",
	"no JSON",
};

static int lie(const char *number)
{
	const char *text = lies[atoi(number)];

	return send(SPAWNER_CHANNEL_FD, text, strlen(text), 0) < 0;
}

static int flood(void)
{
	static const char text[] = "{\"log\":{\"level\":3,\"text\":\"x\"}}";
	struct pollfd room = {.fd = SPAWNER_CHANNEL_FD, .events = POLLOUT};

	while (poll(&room, 1, -1) == 1)
		(void)send(SPAWNER_CHANNEL_FD, text, strlen(text), 0);
	return 1;
}

/* It says it, and stays. */
static int liar(const char *type)
{
	if (strcmp(type, "flood") == 0)
		return flood();
	if (lie(type + strlen("liar")) != 0)
		return 1;
	for (;;)
		pause();
}

/* It closes its jail, and then does what no device may. */
static int sinner(void)
{
	const int keep[] = {SPAWNER_CHANNEL_FD};
	struct side_channel_packet packet;
	struct error err = {""};
	struct jail_config config = {
		.label = "model0",
		.calls = &virtio_seccomp_common,
		.keep_fds = keep,
		.keep_count = 1,
		.report_fd = SPAWNER_CHANNEL_FD,
		.mode = JAIL_ON,
	};

	if (loop_wait_fd(SPAWNER_CHANNEL_FD, POLLIN, INT64_MAX) < 0 ||
	    side_channel_receive(SPAWNER_CHANNEL_FD, SIDE_CHANNEL_FDS_MAX,
				 &packet) != 1)
		return 1;
	if (json_is_true(json_object_get(packet.body, "log_only")))
		config.mode = JAIL_LOG;
	side_channel_packet_fini(&packet);
	if (jail_enter(&config, &err) < 0)
		return 2;
	syscall(SYS_personality, 0xffffffff);
	return side_channel_send(SPAWNER_CHANNEL_FD, "ready", json_true(), NULL,
				 0) < 0 ||
	       loop_wait_fd(SPAWNER_CHANNEL_FD, 0, INT64_MAX) < 0;
}

static int start_other(struct virtio_device_ops *ops, const char *type,
		       struct error *err)
{
	*ops = virtio_rng_ops;
	ops->type = type;
	ck_assert_int_eq(loop_new(&guest.loop), 0);
	resources.description = json_object();
	return start(ops, err);
}

START_TEST(violation_ends_the_process_and_is_named)
{
	struct virtio_device_ops ops;
	struct error err = {""};

	if (!jail_has_filter())
		return;
	ck_assert_int_lt(start_other(&ops, "sinner", &err), 0);
	ck_assert_str_eq(err.text, "its process was killed for the system call "
				   "personality, which its sandbox refuses");
	end_start();
}
END_TEST

START_TEST(violation_with_log_goes_on_and_is_named)
{
	struct virtio_device_ops ops;
	struct capture capture;
	struct error err = {""};
	char log[4096];

	if (!jail_has_filter())
		return;
	sandbox = VIRTIO_SANDBOX_LOG;
	capture_begin(&capture);
	ck_assert_msg(start_other(&ops, "sinner", &err) == 0, "%s", err.text);
	/* Its thread has said it by then. */
	end_start();
	capture_end(&capture, log, sizeof(log));
	ck_assert_msg(strstr(log, "system call personality, which its sandbox "
				  "would refuse") != NULL,
		      "%s", log);
}
END_TEST

static void expect_end(const char *type)
{
	struct virtio_device_ops ops;
	struct error err = {""};

	ck_assert_int_lt(start_other(&ops, type, &err), 0);
	ck_assert_msg(strstr(err.text, "was ended, since it said") != NULL,
		      "%s", err.text);
	end_start();
}

START_TEST(hear_a_lie_ends_the_process)
{
	char type[16];

	snprintf(type, sizeof(type), "liar%d", _i);
	expect_end(type);
}
END_TEST

START_TEST(hear_a_flood_ends_the_process)
{
	expect_end("flood");
}
END_TEST

/* What the spawner runs: no suite is made there. Return: a status, or -1. */
static int run_child(int argc, char **argv)
{
	if (argc != 4 || strcmp(argv[3], "--child") != 0)
		return -1;
	if (strncmp(argv[2], "liar", 4) == 0 || strcmp(argv[2], "flood") == 0)
		return liar(argv[2]);
	if (strcmp(argv[2], "sinner") == 0)
		return sinner();
	return device_child(argv[2]);
}

int main(int argc, char **argv)
{
	int failed = run_child(argc, argv);
	SRunner *runner;
	TCase *tcase;
	Suite *suite;

	if (failed >= 0)
		return failed;
	suite = suite_create("child");
	tcase = tcase_create("child");
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, new_rng_runs_in_another_process);
	tcase_add_test(tcase, new_block_reads_writes_and_resizes);
	tcase_add_test(tcase, command_that_there_is_not_is_refused_by_name);
	tcase_add_test(tcase, command_to_who_is_silent_ends_it);
	tcase_add_test(tcase, death_is_noticed_as_latency_alone);
	tcase_add_test(tcase, death_of_net_replaces_its_passt);
	tcase_add_test(tcase, silence_at_a_reset_brings_another);
	tcase_add_test(tcase, end_of_one_that_serves_is_its_own);
	tcase_add_test(tcase, end_of_one_that_is_silent_comes_in_time);
	tcase_add_test(tcase, death_again_and_again_fails_the_device);
	tcase_add_test(tcase, death_without_restart_needs_reset_and_says_why);
	tcase_add_test(tcase, death_of_main_takes_all_with_it);
	tcase_add_test(tcase, new_of_a_bad_description_says_what_is_wrong);
	tcase_add_test(tcase, violation_ends_the_process_and_is_named);
	tcase_add_test(tcase, violation_with_log_goes_on_and_is_named);
	tcase_add_loop_test(tcase, hear_a_lie_ends_the_process, 0,
			    sizeof(lies) / sizeof(lies[0]));
	tcase_add_test(tcase, hear_a_flood_ends_the_process);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
