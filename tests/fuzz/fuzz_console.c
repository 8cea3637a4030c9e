/*
 * libFuzzer target for the console device: what a guest may say on the control
 * queues, with buffers that come, lack or do not fit, while it prints, is
 * reset, sleeps and is restored. Anything may be refused; a crash, a leak, a
 * message that makes no sense or a device that is dead after a reset is not.
 *
 * The input is a program: a byte for what to do, and what that takes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/socket.h>

#include <check.h>

#include "tests/unit/support/model_driver.h"
#include "virtio/console.h"
#include "virtio/options.h"
#include "vmm/base/bytes.h"

#define FUZZ_PORTS   3
#define FUZZ_STEPS   64
#define FUZZ_CONTROL 2 /* its receive queue; the next one transmits */
#define FUZZ_BUFFER  128

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What the helpers of the unit tests assert, without Check's runner: these take
 * the place of the library's. */
void _mark_point(const char *file, int line)
{
	(void)file;
	(void)line;
}

void _ck_assert_failed(const char *file, int line, const char *expr,
		       const char *msg, ...)
{
	fprintf(stderr, "%s:%d: %s %s\n", file, line, expr, msg ? msg : "");
	abort();
}

struct fuzz {
	struct model_driver guest;
	int ends[FUZZ_PORTS];
	uint64_t in, out; /* guest memory to read from and write to */
	const uint8_t *data;
	size_t len;
};

struct fuzz_control {
	le32 id;
	le16 event, value;
};

static uint8_t fuzz_byte(struct fuzz *fuzz)
{
	if (!fuzz->len)
		return 0;
	fuzz->len--;
	return *fuzz->data++;
}

/* Bytes of the input to where the guest has what it sends. */
static uint32_t fuzz_fill(struct fuzz *fuzz)
{
	uint8_t *to = model_driver_host(&fuzz->guest, fuzz->out, FUZZ_BUFFER);
	uint32_t len = fuzz_byte(fuzz) % 16;

	for (uint32_t i = 0; i < len; i++)
		to[i] = fuzz_byte(fuzz);
	return len;
}

static void fuzz_add(struct fuzz *fuzz, unsigned int queue, uint32_t len,
		     bool writable)
{
	if (ring_driver_room(fuzz->guest.rings[queue]))
		model_driver_give(&fuzz->guest, queue,
				  writable ? fuzz->in : fuzz->out, len,
				  writable);
}

/* Does it make sense, whatever the guest said? */
static void fuzz_check(struct fuzz *fuzz, uint32_t len)
{
	struct fuzz_control control;

	if (len < sizeof(control))
		abort();
	memcpy(&control, model_driver_host(&fuzz->guest, fuzz->in, FUZZ_BUFFER),
	       sizeof(control));
	if (le32_get(control.id) >= FUZZ_PORTS || le16_get(control.event) > 7)
		abort();
}

static void fuzz_collect(struct fuzz *fuzz)
{
	unsigned int queues = virtio_device_queues(fuzz->guest.device);
	struct ring_driver_used used;
	int rc;

	for (unsigned int i = 0; i < queues; i++) {
		while ((rc = ring_driver_collect(fuzz->guest.rings[i],
						 &used)) == 1)
			if (i == FUZZ_CONTROL)
				fuzz_check(fuzz, used.len);
		if (rc < 0)
			abort();
	}
}

static void fuzz_restart(struct fuzz *fuzz, uint64_t features)
{
	model_driver_reset(&fuzz->guest);
	model_driver_start(&fuzz->guest, features);
	fuzz->guest.needs_resets = 0;
}

/* Into another device, as in another process. */
static void fuzz_move(struct fuzz *fuzz)
{
	struct error err;
	json_t *state;

	if (fuzz->guest.needs_resets)
		return; /* that one does not sleep */
	model_driver_sleep(&fuzz->guest);
	state = model_driver_snapshot(&fuzz->guest);
	model_driver_replace(&fuzz->guest);
	model_driver_sleep(&fuzz->guest);
	if (model_driver_restore(&fuzz->guest, state, &err))
		abort();
	json_decref(state);
	model_driver_wake(&fuzz->guest);
}

static void fuzz_resize(struct fuzz *fuzz)
{
	struct error err;

	model_driver_command(
		&fuzz->guest, "size",
		json_pack("{s:i, s:i, s:i}", "port", fuzz_byte(fuzz), "cols",
			  fuzz_byte(fuzz) * 300, "rows", fuzz_byte(fuzz)),
		&err);
}

static void fuzz_step(struct fuzz *fuzz)
{
	uint8_t what = fuzz_byte(fuzz);
	unsigned int queue = what >> 4 & 7;

	switch (what & 15) {
	default:
		fuzz_add(fuzz, FUZZ_CONTROL + 1, fuzz_fill(fuzz), false);
		break;
	case 1:
	case 2:
		fuzz_add(fuzz, FUZZ_CONTROL, FUZZ_BUFFER, true);
		break;
	case 3: /* may be too short, or of the wrong direction */
		fuzz_add(fuzz, queue, fuzz_byte(fuzz) % FUZZ_BUFFER,
			 what & 0x80);
		break;
	case 4:
		if (write(fuzz->ends[queue % FUZZ_PORTS], "typed", 5) < 0)
			abort();
		break;
	case 5:
		fuzz_resize(fuzz);
		break;
	case 6:
		fuzz_move(fuzz);
		break;
	case 7:
		fuzz_restart(fuzz, queue);
		break;
	}
	model_driver_settle(&fuzz->guest);
	fuzz_collect(fuzz);
}

static void fuzz_open(struct fuzz *fuzz)
{
	struct virtio_console_port ports[FUZZ_PORTS] = {{.name = NULL},
							{.name = "fuzz"}};
	const struct virtio_console_options options = {
		.ports = ports, .port_count = FUZZ_PORTS};

	for (unsigned int i = 0; i < FUZZ_PORTS; i++) {
		int fds[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds))
			abort();
		fuzz->ends[i] = fds[0];
		ports[i].fd = fds[1];
	}
	model_driver_init(&fuzz->guest, &virtio_console_ops, &options);
	for (unsigned int i = 0; i < FUZZ_PORTS; i++)
		close(ports[i].fd);
	fuzz->in = model_driver_alloc(&fuzz->guest, FUZZ_BUFFER);
	fuzz->out = model_driver_alloc(&fuzz->guest, FUZZ_BUFFER);
	model_driver_start(&fuzz->guest, MODEL_DRIVER_ALL);
}

/* It still prints. */
static void fuzz_finish(struct fuzz *fuzz)
{
	char byte = 0;

	while (read(fuzz->ends[0], &byte, 1) == 1)
		;
	fuzz_restart(fuzz, 0);
	model_driver_send(&fuzz->guest, 1, "!", 1);
	model_driver_settle(&fuzz->guest);
	if (read(fuzz->ends[0], &byte, 1) != 1 || byte != '!')
		abort();
	model_driver_fini(&fuzz->guest);
	for (unsigned int i = 0; i < FUZZ_PORTS; i++)
		close(fuzz->ends[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz fuzz = {.data = data, .len = len};

	fuzz_open(&fuzz);
	for (unsigned int i = 0; i < FUZZ_STEPS && fuzz.len; i++)
		fuzz_step(&fuzz);
	fuzz_finish(&fuzz);
	return 0;
}
