/*
 * libFuzzer: the input is a guest that writes to its rings between what the
 * device does with them. Both formats, all that can be negotiated, any
 * position. Wrong are, besides a crash: a chain that is not all in guest
 * memory, whose lengths do not add up, or longer than the queue; more in
 * flight than the queue has entries; a broken queue that does anything.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "virtio/queue.h"
#include "vmm/base/log.h"

#define FUZZ_RAM      0x10000
#define FUZZ_SIZE_MAX 64
#define FUZZ_DESC     0x1000
#define FUZZ_DRIVER   0x2000
#define FUZZ_DEVICE   0x3000
#define FUZZ_TABLE    0x4000

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct fuzz {
	const uint8_t *data;
	size_t len;
	struct virtqueue_config config;
	struct virtqueue *queue;
	struct virtqueue_chain *chains[FUZZ_SIZE_MAX];
	unsigned int count;
	uint16_t avail; /* what the guest last made available */
};

/* One guest for all inputs; zeroed for each. */
static struct guest_mem *fuzz_mem;
static uint8_t *fuzz_ram;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const struct guest_mem_region region = {0, FUZZ_RAM};
	struct error err;

	(void)argc;
	(void)argv;
	log_set_level(LOG_ERROR);
	if (guest_mem_new(&fuzz_mem, &region, 1, 0, &err) < 0)
		abort();
	fuzz_ram = guest_mem_span(fuzz_mem, 0, FUZZ_RAM);
	return 0;
}

static uint8_t fuzz_byte(struct fuzz *fuzz)
{
	if (fuzz->len == 0)
		return 0;
	fuzz->len--;
	return *fuzz->data++;
}

static uint16_t fuzz_word(struct fuzz *fuzz)
{
	uint16_t low = fuzz_byte(fuzz);

	return (uint16_t)(low | fuzz_byte(fuzz) << 8);
}

static void fuzz_check(bool good)
{
	if (!good)
		abort();
}

/* --- The guest -------------------------------------------------------------
 */

static void fuzz_write(struct fuzz *fuzz)
{
	uint16_t at = fuzz_word(fuzz);
	unsigned int count = fuzz_byte(fuzz) % 32;

	for (unsigned int i = 0; i < count; i++)
		fuzz_ram[(at + i) % FUZZ_RAM] = fuzz_byte(fuzz);
}

/* A descriptor that might be good, in the ring or a table. */
static void fuzz_write_desc(struct fuzz *fuzz)
{
	unsigned int index = fuzz_byte(fuzz) % (2 * FUZZ_SIZE_MAX);
	uint64_t addr = fuzz_word(fuzz);
	uint32_t len = fuzz_byte(fuzz);
	uint16_t flags = fuzz_byte(fuzz) & 0x87, link = fuzz_byte(fuzz);
	uint64_t rest;

	/* Both wrap bits: available in either lap. */
	if (fuzz->config.packed && !(flags & 0x80))
		flags |= 0x8000;
	if (flags & 4) {
		addr = FUZZ_TABLE + link % 64 * 16;
		len = len % 8 * 16;
	}
	rest = len;
	if (fuzz->config.packed)
		rest |= (uint64_t)link << 32 | (uint64_t)flags << 48;
	else
		rest |= (uint64_t)flags << 32 | (uint64_t)link << 48;
	index = index < FUZZ_SIZE_MAX
			? FUZZ_DESC + index * 16
			: FUZZ_TABLE + (index - FUZZ_SIZE_MAX) * 16;
	memcpy(fuzz_ram + index, &addr, 8);
	memcpy(fuzz_ram + index + 8, &rest, 8);
}

/* One more head in the available ring. */
static void fuzz_write_head(struct fuzz *fuzz)
{
	unsigned int slot = fuzz->avail % fuzz->config.size;
	uint16_t head = fuzz_byte(fuzz);

	if (fuzz->config.packed)
		return;
	memcpy(fuzz_ram + FUZZ_DRIVER + 4 + slot * 2, &head, 2);
	fuzz->avail++;
	memcpy(fuzz_ram + FUZZ_DRIVER + 2, &fuzz->avail, 2);
}

/* Interrupts for none, all, or one that is near. */
static void fuzz_write_event(struct fuzz *fuzz)
{
	uint16_t event = fuzz_byte(fuzz), flags = fuzz_byte(fuzz) & 3;

	if (fuzz->config.packed) {
		event |= (uint16_t)(fuzz_byte(fuzz) << 15);
		memcpy(fuzz_ram + FUZZ_DRIVER, &event, 2);
		memcpy(fuzz_ram + FUZZ_DRIVER + 2, &flags, 2);
	} else {
		event = (uint16_t)(event + fuzz->avail);
		memcpy(fuzz_ram + FUZZ_DRIVER, &flags, 2);
		memcpy(fuzz_ram + FUZZ_DRIVER + 4 + 2 * fuzz->config.size,
		       &event, 2);
	}
}

/* --- The device ------------------------------------------------------------
 */

static uint64_t fuzz_check_iovecs(const struct iovec *iov, unsigned int count)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < count; i++) {
		const uint8_t *host = iov[i].iov_base;

		fuzz_check(iov[i].iov_len > 0);
		fuzz_check(host >= fuzz_ram && host < fuzz_ram + FUZZ_RAM);
		fuzz_check(iov[i].iov_len <=
			   (size_t)(fuzz_ram + FUZZ_RAM - host));
		sum += iov[i].iov_len;
	}
	return sum;
}

static void fuzz_check_chain(const struct fuzz *fuzz,
			     const struct virtqueue_chain *chain)
{
	fuzz_check(chain->readable_count + chain->writable_count <=
		   fuzz->config.size);
	fuzz_check(fuzz_check_iovecs(chain->readable, chain->readable_count) ==
		   chain->readable_len);
	fuzz_check(fuzz_check_iovecs(chain->writable, chain->writable_count) ==
		   chain->writable_len);
	fuzz_check(chain->readable_len + chain->writable_len <= UINT32_MAX);
}

static void fuzz_pop(struct fuzz *fuzz)
{
	bool was_broken = virtqueue_broken(fuzz->queue);
	struct virtqueue_chain *chain = NULL;
	int ret = virtqueue_pop(fuzz->queue, &chain);

	fuzz_check(ret == 1 || ret == 0 || ret == -EPROTO);
	fuzz_check((ret == -EPROTO) == virtqueue_broken(fuzz->queue));
	fuzz_check(!was_broken || ret == -EPROTO);
	if (ret != 1)
		return;
	fuzz_check_chain(fuzz, chain);
	fuzz_check(fuzz->count < fuzz->config.size);
	fuzz->chains[fuzz->count++] = chain;
}

static void fuzz_put(struct fuzz *fuzz)
{
	struct virtqueue_chain *chain;
	uint64_t written;
	uint8_t text[16];
	unsigned int i;

	if (fuzz->count == 0)
		return;
	i = fuzz_byte(fuzz) % fuzz->count;
	chain = fuzz->chains[i];
	fuzz->chains[i] = fuzz->chains[--fuzz->count];
	/* The guest changed all of it in the meantime. */
	fuzz_check_chain(fuzz, chain);
	written = virtqueue_chain_read(chain, fuzz_byte(fuzz), text,
				       sizeof(text));
	written = virtqueue_chain_write(chain, fuzz_byte(fuzz), text, written);
	virtqueue_put(fuzz->queue, chain, (uint32_t)written);
}

static void fuzz_drop(struct fuzz *fuzz)
{
	while (fuzz->count)
		virtqueue_chain_free(fuzz->chains[--fuzz->count]);
}

static void fuzz_resume(struct fuzz *fuzz)
{
	struct virtqueue_position position;

	virtqueue_publish(fuzz->queue);
	position = virtqueue_position(fuzz->queue);
	virtqueue_free(fuzz->queue);
	fuzz_drop(fuzz);
	/* What it says is always good again. */
	fuzz_check(virtqueue_new(&fuzz->queue, fuzz_mem, &fuzz->config,
				 &position) == 0);
}

/* --- Both ------------------------------------------------------------------
 */

static void fuzz_step(struct fuzz *fuzz)
{
	switch (fuzz_byte(fuzz) % 11) {
	case 0:
		fuzz_write(fuzz);
		break;
	case 1:
	case 2:
		fuzz_write_desc(fuzz);
		break;
	case 3:
		fuzz_write_head(fuzz);
		break;
	case 4:
	case 5:
		fuzz_pop(fuzz);
		break;
	case 6:
		fuzz_put(fuzz);
		break;
	case 7:
		virtqueue_publish(fuzz->queue);
		break;
	case 8:
		virtqueue_set_kicks(fuzz->queue, fuzz_byte(fuzz) & 1);
		break;
	case 9:
		fuzz_write_event(fuzz);
		break;
	default:
		fuzz_resume(fuzz);
		break;
	}
	fuzz_check(virtqueue_in_flight(fuzz->queue) == fuzz->count);
}

/* Whatever a driver may write to the registers of a queue. */
static void fuzz_new(struct fuzz *fuzz)
{
	struct virtqueue_config config = fuzz->config;
	struct virtqueue_position position = {
		.avail = fuzz_word(fuzz),
		.used = fuzz_word(fuzz),
	};
	struct virtqueue *queue;

	config.size = fuzz_word(fuzz);
	config.desc = (uint64_t)fuzz_word(fuzz) << fuzz_byte(fuzz) % 49;
	config.driver = (uint64_t)fuzz_word(fuzz) << fuzz_byte(fuzz) % 49;
	config.device = (uint64_t)fuzz_word(fuzz) << fuzz_byte(fuzz) % 49;
	if (virtqueue_new(&queue, fuzz_mem, &config, &position) == 0)
		virtqueue_free(queue);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz fuzz = {.data = data, .len = len};
	uint8_t features = fuzz_byte(&fuzz);
	struct virtqueue_position start;

	memset(fuzz_ram, 0, FUZZ_RAM);
	fuzz.config = (struct virtqueue_config){
		.size = fuzz_byte(&fuzz) % FUZZ_SIZE_MAX + 1,
		.packed = features & 1,
		.indirect = features & 2,
		.event_idx = features & 4,
		.desc = FUZZ_DESC,
		.driver = FUZZ_DRIVER,
		.device = FUZZ_DEVICE,
		.kick_fd = -1,
		.call_fd = -1,
	};
	if (!fuzz.config.packed)
		while (fuzz.config.size & (fuzz.config.size - 1))
			fuzz.config.size++;
	if (features & 8)
		fuzz_new(&fuzz);
	start.avail = fuzz_word(&fuzz);
	if (fuzz.config.packed)
		start.avail %= fuzz.config.size;
	start.used = start.avail;
	start.avail_wrap = features & 16;
	start.used_wrap = start.avail_wrap;
	fuzz.avail = start.avail;
	memcpy(fuzz_ram + FUZZ_DRIVER + 2, &start.avail, 2);
	fuzz_check(virtqueue_new(&fuzz.queue, fuzz_mem, &fuzz.config, &start) ==
		   0);
	while (fuzz.len)
		fuzz_step(&fuzz);
	virtqueue_free(fuzz.queue);
	fuzz_drop(&fuzz);
	return 0;
}
