/*
 * libFuzzer: the input is a guest's network driver and the network that it is
 * on: frames both ways, commands, rings that lie, and what may happen to a
 * device meanwhile.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sys/eventfd.h>
#include <sys/socket.h>

#include "tests/fuzz/fuzz_check.h"
#include "tests/unit/support/net_driver.h"

#define PAIRS	   2
#define FUZZ_TURNS 3
#define FUZZ_LINKS (NET_HOST_OFFLOADS | NET_GUEST_OFFLOADS)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_input {
	const uint8_t *at;
	size_t left;
};

static struct net_driver driver;

static uint8_t fuzz_byte(struct fuzz_input *input)
{
	if (!input->left)
		return 0;
	input->left--;
	return *input->at++;
}

static uint16_t fuzz_word(struct fuzz_input *input)
{
	uint8_t low = fuzz_byte(input);

	return (uint16_t)(low | fuzz_byte(input) << 8);
}

/* At most @most bytes of the input into guest memory. */
static uint32_t fuzz_bytes(struct fuzz_input *input, void *to, size_t most)
{
	size_t len = fuzz_byte(input);

	len = len < most ? len : most;
	len = len < input->left ? len : input->left;
	memcpy(to, input->at, len);
	input->at += len;
	input->left -= len;
	return (uint32_t)len;
}

static void fuzz_turn(void)
{
	for (unsigned int i = 0; i < FUZZ_TURNS; i++) {
		loop_timer_set(driver.guest.turn, 0);
		if (loop_run(driver.guest.loop) < 0)
			abort();
	}
}

static struct ring_driver *fuzz_ring(struct fuzz_input *input,
				     unsigned int *index)
{
	*index = fuzz_byte(input) % (2 * PAIRS + 1);
	return driver.guest.rings[*index];
}

/* A buffer of up to two parts each way, the readable ones from the input. */
static void fuzz_add(struct fuzz_input *input)
{
	struct model_driver *guest = &driver.guest;
	unsigned int index;
	struct ring_driver *ring = fuzz_ring(input, &index);
	uint8_t shape = fuzz_byte(input);
	uint64_t gpa = model_driver_alloc(guest, 0x200);
	uint8_t *host = model_driver_host(guest, gpa, 0x200);
	struct ring_driver_chain chain = {.indirect = shape & 1};

	if (shape & 2)
		chain.readable[chain.readable_count++] =
			(struct ring_driver_buffer){
				gpa, fuzz_bytes(input, host, 0x100)};
	if (shape & 4)
		chain.readable[chain.readable_count++] =
			(struct ring_driver_buffer){
				gpa + 0x100,
				fuzz_bytes(input, host + 0x100, 0x100)};
	if (shape & 8)
		chain.readable[chain.readable_count++] =
			(struct ring_driver_buffer){0, fuzz_word(input)};
	if (shape & 16)
		chain.writable[chain.writable_count++] =
			(struct ring_driver_buffer){gpa, shape >> 5};
	if (shape & 32)
		chain.writable[chain.writable_count++] =
			(struct ring_driver_buffer){0x700000,
						    fuzz_word(input) & 0x3fff};
	if (chain.readable_count + chain.writable_count == 0)
		return;
	if (ring_driver_add(ring, &chain) >= 0)
		model_driver_kick(guest, index);
}

/* From the network, with or without sense. */
static void fuzz_arrive(struct fuzz_input *input)
{
	static uint8_t packet[70000];
	size_t len = fuzz_bytes(input, packet, sizeof(packet));

	if (fuzz_byte(input) & 1)
		len += fuzz_word(input);
	if (len)
		send(driver.peers[fuzz_byte(input) % PAIRS], packet, len,
		     MSG_DONTWAIT);
}

static void fuzz_poke(struct fuzz_input *input)
{
	unsigned int index;
	struct ring_driver *ring = fuzz_ring(input, &index);
	uint8_t which = fuzz_byte(input);
	uint16_t value = fuzz_word(input);

	if (which & 1)
		ring_driver_avail(ring)->idx = value;
	else if (which & 2)
		ring_driver_avail(ring)->ring[(which >> 2) & 0x3f] = value;
	else
		fuzz_bytes(input, ring_driver_split_desc(ring, which >> 2), 16);
	eventfd_write(virtio_device_kick_fd(driver.guest.device, index), 1);
}

/* What others do to it. */
static void fuzz_life(struct fuzz_input *input)
{
	struct virtio_device *device = driver.guest.device;
	uint8_t what = fuzz_byte(input);
	json_t *state = NULL, *args;
	struct error err;

	virtio_device_lock(device);
	if (what < 64) {
		if (virtio_device_sleep_locked(device) == 0) {
			if (virtio_device_snapshot_locked(device, &state) < 0)
				abort();
			json_decref(state);
			virtio_device_wake_locked(device);
		}
	} else if (what < 128) {
		virtio_device_queue_reset_locked(device,
						 what % (2 * PAIRS + 1));
	} else {
		args = json_pack("{s:b}", "up", what & 1);
		virtio_device_command_locked(device, "link", args, &state,
					     &err);
		json_decref(args);
	}
	virtio_device_unlock(device);
}

static void fuzz_step(struct fuzz_input *input)
{
	switch (fuzz_byte(input) % 8) {
	case 0:
	case 1:
	case 2:
		fuzz_add(input);
		break;
	case 3:
		fuzz_arrive(input);
		break;
	case 4:
		fuzz_poke(input);
		break;
	case 5:
		fuzz_life(input);
		break;
	case 6:
		if (ring_driver_room(driver.guest.rings[0]) < 4)
			break;
		net_driver_give(&driver, 0, 1 + fuzz_byte(input) % 4,
				12 + fuzz_word(input) % 2000);
		break;
	default:
		fuzz_turn();
		break;
	}
}

/* No frame of one input is the next one's. */
static void fuzz_drain(void)
{
	char byte;

	for (unsigned int i = 0; i < PAIRS; i++) {
		while (recv(driver.peers[i], &byte, 1, MSG_DONTWAIT) >= 0)
			;
		while (recv(driver.guest.resources.fds[i], &byte, 1,
			    MSG_DONTWAIT) >= 0)
			;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint64_t first;
	struct fuzz_input input = {data, size};
	uint8_t features = fuzz_byte(&input);

	if (!first) {
		log_set_level(LOG_ERROR);
		net_driver_init(&driver, PAIRS, FUZZ_LINKS, 1500);
		first = driver.guest.next;
	}
	driver.guest.next = first;
	model_driver_start(
		&driver.guest,
		MODEL_DRIVER_ALL &
			~(features & 1 ? NET_FEATURE(MRG_RXBUF) : 0) &
			~(features & 2 ? NET_FEATURE(MQ) : 0) &
			~(features & 4 ? FUZZ_LINKS : 0));
	for (unsigned int i = 0; input.left && i < 200; i++)
		fuzz_step(&input);
	fuzz_turn();
	model_driver_reset(&driver.guest);
	fuzz_drain();
	return 0;
}
