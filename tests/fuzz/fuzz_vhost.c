/*
 * libFuzzer: the input is what a frontend says to a vhost-user backend of an
 * rng: messages whose request, size, flags and payload it makes up, some with
 * descriptors of memory, eventfds or neither. The backend may end the
 * connection; it has to have as many descriptors afterwards as before, and
 * serve the next one.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "virtio/options.h"
#include "virtio/rng.h"
#include "virtio/vhost_backend.h"
#include "virtio/vhost_user.h"
#include "vmm/base/guest_fault.h"
#include "vmm/base/log.h"

#define MEMORY (UINT64_C(1) << 20)
#define TURNS  16 /* each second one may wait for the deadline */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct loop *loop;
static struct loop_timer *turn;
static struct virtio_resources resources;
static int memory, event, null_fd;
static bool ended;

static void check(bool good)
{
	if (!good)
		abort();
}

static void stop(void *ctx)
{
	(void)ctx;
	loop_stop(loop);
}

static void on_end(void *ctx, const char *why)
{
	(void)ctx;
	(void)why;
	ended = true;
}

static void set_up(void)
{
	static struct virtio_rng_options options;
	const struct virtio_open open = {.option = "rng", .options = &options};
	struct error err;
	int pair[2];

	log_set_level(LOG_ERROR);
	check(loop_new(&loop) == 0);
	check(loop_timer_add(loop, &turn, stop, NULL) == 0);
	check(virtio_rng_ops.open(&open, &resources, &err) == 0);
	check(guest_fault_install(NULL) == 0);
	memory = memfd_create("memory", MFD_CLOEXEC);
	check(memory >= 0 && ftruncate(memory, (off_t)MEMORY) == 0);
	event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	null_fd = pair[0];
}

/* The lowest that is free tells of all that leaked. */
static int lowest_free(void)
{
	int fd = dup(event);

	close(fd);
	return fd;
}

struct input {
	const uint8_t *data;
	size_t size;
};

static uint8_t take(struct input *input)
{
	if (!input->size)
		return 0;
	input->size--;
	return *input->data++;
}

static void send_one(int fd, struct input *input)
{
	const int kinds[] = {memory, event, null_fd, -1};
	struct vhost_user_message message = {.request = take(input)};
	const uint8_t how = take(input);
	int descriptor = kinds[how & 3];

	/* Mostly those that there are. */
	if (how & 4)
		message.request %= VHOST_USER_REQUESTS;
	message.flags = how >> 3 & 8;
	message.size = how & 16 ? take(input) : 8;
	if (message.size > sizeof(message.payload))
		message.size = sizeof(message.payload);
	for (uint32_t i = 0; i < message.size && input->size; i++)
		message.payload.bytes[i] = take(input);
	if (descriptor >= 0 && how & 32) {
		message.fds[0] = descriptor;
		message.fd_count = 1;
	}
	(void)vhost_user_send(fd, 0, &message);
}

/* What a frontend says first, and what most need. */
static void greet(int fd)
{
	struct vhost_user_message message = {
		.request = VHOST_USER_SET_PROTOCOL_FEATURES,
		.size = 8,
		.payload.u64 = le64_of(0x9b228 | 1 << 3),
	};

	(void)vhost_user_send(fd, 0, &message);
	message = (struct vhost_user_message){.request = VHOST_USER_SET_OWNER};
	(void)vhost_user_send(fd, 0, &message);
	message = (struct vhost_user_message){
		.request = VHOST_USER_SET_FEATURES,
		.size = 8,
		.payload.u64 = le64_of(UINT64_C(0x140000000)),
	};
	(void)vhost_user_send(fd, 0, &message);
	message = (struct vhost_user_message){
		.request = VHOST_USER_SET_MEM_TABLE,
		.size = 40,
		.payload.table = {.count = le32_of(1),
				  .regions = {{.size = le64_of(MEMORY)}}},
		.fds = {memory},
		.fd_count = 1,
	};
	(void)vhost_user_send(fd, 0, &message);
}

static void drain(int fd)
{
	struct vhost_user_message reply;

	while (vhost_user_receive(fd, loop_now(), &reply) == 0)
		vhost_user_message_fini(&reply);
}

static void serve(int pair[2], struct input *input)
{
	struct vhost_backend_config config = {
		.loop = loop,
		.fd = pair[0],
		.ended = on_end,
	};
	struct virtio_device_config device = {
		.ops = &virtio_rng_ops,
		.label = "rng0",
		.loop = loop,
		.resources = &resources,
		.packed = true,
	};
	struct vhost_backend *backend;
	struct error err;

	check(guest_mem_new_empty(&config.mem) == 0);
	device.mem = config.mem;
	check(virtio_device_new(&config.device, &device, &err) == 0);
	check(vhost_backend_new(&backend, &config, &err) == 0);
	greet(pair[1]);
	for (unsigned int i = 0; i < TURNS && input->size && !ended; i++) {
		send_one(pair[1], input);
		loop_timer_set(turn, 0);
		loop_run(loop);
		drain(pair[1]);
	}
	vhost_backend_free(backend);
	virtio_device_free(config.device);
	guest_mem_free(config.mem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};
	int before, pair[2];

	if (!loop)
		set_up();
	before = lowest_free();
	ended = false;
	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
			 pair) == 0);
	serve(pair, &input);
	close(pair[1]);
	check(lowest_free() == before);
	return 0;
}
