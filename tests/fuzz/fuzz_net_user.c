/*
 * libFuzzer: the input is what passt writes to its stream, in pieces; the first
 * byte of each says how long it is, 0 that the guest sends a frame.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/fuzz/fuzz_check.h"
#include "tests/unit/support/net_driver.h"
#include "virtio/net.h"
#include "virtio/net_user.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int peer;

static int fuzz_open(const struct virtio_open *open,
		     struct virtio_resources *out, struct error *err)
{
	int ends[2], pipes[2];

	(void)open;
	(void)err;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) < 0 ||
	    pipe(pipes) < 0)
		abort();
	close(pipes[1]);
	peer = ends[1];
	out->fds[NET_USER_STREAM] = ends[0];
	out->fds[NET_USER_PID] = (int)syscall(SYS_pidfd_open, getpid(), 0);
	out->fds[NET_USER_LOG] = pipes[0];
	out->fd_count = NET_USER_FDS;
	out->description = json_pack("{s:s, s:s, s:i}", "kind", "user", "mac",
				     "52:54:00:01:02:03", "mtu", 0);
	return 0;
}

static void fuzz_turn(struct model_driver *guest)
{
	loop_timer_set(guest->turn, 0);
	if (loop_run(guest->loop) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct virtio_device_ops ops = virtio_net_ops;
	static struct net_driver driver;
	uint8_t frame[64] = {0};

	log_set_level(LOG_ERROR);
	ops.open = fuzz_open;
	memset(&driver, 0, sizeof(driver));
	model_driver_init(&driver.guest, &ops, NULL);
	model_driver_start(&driver.guest, MODEL_DRIVER_ALL);
	net_driver_give(&driver, 0, 50, 1600);
	for (unsigned int sent = 0; size;) {
		size_t len = *data++;

		size--;
		len = len < size ? len : size;
		if (len)
			send(peer, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		else if (sent++ < 100)
			net_driver_send(&driver, 0, NULL, frame, sizeof(frame));
		data += len;
		size -= len;
		fuzz_turn(&driver.guest);
	}
	fuzz_turn(&driver.guest);
	model_driver_fini(&driver.guest);
	close(peer);
	return 0;
}
