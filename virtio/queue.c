/*
 * Virtqueues: what both formats have in common (virtio 1.3, 2.6 to 2.8). The
 * configuration, all addresses and lengths come from the guest's driver.
 *
 * A chain is made in the queue's scratch space first and copied into an object
 * of its own size when it turned out to be good, so a guest cannot make us
 * allocate for what it does not have in the ring. What may be out at once is
 * bounded by the entries of the ring, and by VIRTQUEUE_IOVS_MAX.
 */
#include "virtio/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sys/eventfd.h>

#include "virtio/queue_private.h"
#include "vmm/base/log.h"

/*
 * iovecs of a queue's chains in flight: 16 MiB of them. Up to 1024 entries no
 * driver gets there; with more of them, and as large indirect tables, pop says
 * -ENOMEM.
 */
#define VIRTQUEUE_IOVS_MAX (UINT64_C(1) << 20)

const struct virtqueue_position virtqueue_start = {
	.avail_wrap = true,
	.used_wrap = true,
};

/* --- Making and freeing ----------------------------------------------------
 */

static bool virtqueue_size_valid(const struct virtqueue_config *config)
{
	unsigned int size = config->size;

	if (size == 0 || size > VIRTQUEUE_SIZE_MAX)
		return false;
	return config->packed || (size & (size - 1)) == 0;
}

static bool virtqueue_areas_overlap(uint64_t a, uint64_t a_len, uint64_t b,
				    uint64_t b_len)
{
	/* The ends are in RAM, so neither sum wraps. */
	return a < b + b_len && b < a + a_len;
}

static const struct virtqueue_ops *
virtqueue_ops_of(const struct virtqueue_config *config)
{
	return config->packed ? &virtqueue_packed_ops : &virtqueue_split_ops;
}

/* Find the three areas in guest memory. Return: 0 or -EINVAL. */
static int virtqueue_map(const struct guest_mem *mem,
			 const struct virtqueue_config *config, void *host[3])
{
	uint64_t gpa[3] = {config->desc, config->driver, config->device};
	uint64_t len[3], align[3];

	virtqueue_ops_of(config)->areas(config->size, len, align);
	for (unsigned int i = 0; i < 3; i++) {
		host[i] = guest_mem_span(mem, gpa[i], len[i]);
		if (!host[i] || gpa[i] % align[i])
			return -EINVAL;
		for (unsigned int j = 0; j < i; j++)
			if (virtqueue_areas_overlap(gpa[i], len[i], gpa[j],
						    len[j]))
				return -EINVAL;
	}
	return 0;
}

int virtqueue_check(const struct guest_mem *mem,
		    const struct virtqueue_config *config,
		    const struct virtqueue_position *position)
{
	const struct virtqueue_ops *ops = virtqueue_ops_of(config);
	void *host[3];

	if (!virtqueue_size_valid(config) ||
	    !ops->position_valid(config->size, position))
		return -EINVAL;
	return virtqueue_map(mem, config, host);
}

int virtqueue_read_used(const struct guest_mem *mem,
			const struct virtqueue_config *config, uint16_t *used)
{
	const struct virtqueue_ops *ops = virtqueue_ops_of(config);
	void *host[3];

	if (!ops->used || !virtqueue_size_valid(config) ||
	    virtqueue_map(mem, config, host) < 0)
		return -EINVAL;
	*used = ops->used(host[2]);
	return 0;
}

bool virtqueue_is_idle(const struct guest_mem *mem,
		       const struct virtqueue_config *config)
{
	const struct virtqueue_ops *ops = virtqueue_ops_of(config);
	void *host[3];

	return ops->used && virtqueue_size_valid(config) &&
	       virtqueue_map(mem, config, host) == 0 &&
	       ops->available(host[1]) == ops->used(host[2]);
}

/* What was in flight comes first: the rest of the ring is behind it. */
static int virtqueue_take_inflight(struct virtqueue *queue)
{
	unsigned int left;
	int ret;

	if (!queue->config.inflight)
		return 0;
	if (queue->config.packed)
		return virtqueue_records_new(
			&queue->records, queue->config.inflight,
			queue->config.size, queue->desc, &queue->next);
	ret = virtqueue_inflight_new(&queue->inflight, queue->config.inflight,
				     queue->config.size, queue->next.used);
	if (ret < 0)
		return ret;
	left = virtqueue_inflight_left(queue->inflight);
	if (left) {
		queue->next.avail = (uint16_t)(queue->next.used + left);
		queue->avail_seen = queue->next.avail;
	}
	return 0;
}

/* An id is the index of a descriptor if split, any number if packed. */
static size_t virtqueue_busy_words(const struct virtqueue_config *config)
{
	size_t ids = config->packed ? (size_t)UINT16_MAX + 1 : config->size;

	return (ids + 63) / 64;
}

static int virtqueue_allocate(struct virtqueue *queue)
{
	size_t size = queue->config.size;

	queue->busy = calloc(virtqueue_busy_words(&queue->config),
			     sizeof(*queue->busy));
	queue->iov = calloc(size, sizeof(*queue->iov));
	if (!queue->busy || !queue->iov)
		return -ENOMEM;
	if (queue->config.packed && queue->config.inflight) {
		queue->entries = calloc(size, sizeof(*queue->entries));
		queue->held = calloc(size, sizeof(*queue->held));
		if (!queue->entries || !queue->held)
			return -ENOMEM;
	}
	if (!queue->config.indirect)
		return 0;
	queue->table = calloc(size, sizeof(*queue->table));
	return queue->table ? 0 : -ENOMEM;
}

/* --- Logging what was written ----------------------------------------------
 */

static void virtqueue_log_ring(const struct virtqueue *queue)
{
	const struct virtqueue_config *config = &queue->config;
	uint64_t len[3], align[3];

	if (!config->log || !config->log_ring)
		return;
	queue->ops->areas(config->size, len, align);
	guest_log_mark(config->log, config->log_device, len[2]);
	/* Packed, descriptors say that they are used. */
	if (config->packed)
		guest_log_mark(config->log, config->desc, len[0]);
}

/* A request that failed may have written some of it, too. */
static void virtqueue_log_chain(const struct virtqueue *queue,
				const struct virtqueue_chain *chain)
{
	uint64_t gpa;

	if (!queue->config.log)
		return;
	for (unsigned int i = 0; i < chain->writable_count; i++) {
		const struct iovec *iov = &chain->writable[i];

		if (guest_mem_address(queue->mem, iov->iov_base, &gpa) == 0)
			guest_log_mark(queue->config.log, gpa, iov->iov_len);
	}
}

/* --- Making and freeing one ------------------------------------------------
 */

int virtqueue_new(struct virtqueue **out, struct guest_mem *mem,
		  const struct virtqueue_config *config,
		  const struct virtqueue_position *position)
{
	const struct virtqueue_ops *ops = virtqueue_ops_of(config);
	struct virtqueue *queue;
	void *host[3];
	int ret;

	if (!virtqueue_size_valid(config) ||
	    !ops->position_valid(config->size, position))
		return -EINVAL;
	queue = calloc(1, sizeof(*queue));
	if (!queue)
		return -ENOMEM;
	queue->mem = mem;
	queue->config = *config;
	queue->ops = ops;
	queue->next = *position;
	queue->avail_seen = position->avail;
	ret = virtqueue_map(mem, config, host);
	if (ret == 0)
		ret = virtqueue_allocate(queue);
	if (ret < 0)
		goto err_free;
	queue->desc = host[0];
	queue->driver_area = host[1];
	queue->device_area = host[2];
	ret = virtqueue_take_inflight(queue);
	if (ret < 0)
		goto err_free;
	ops->set_kicks(queue, true);
	virtqueue_log_ring(queue);
	*out = queue;
	return 0;

err_free:
	virtqueue_free(queue);
	return ret;
}

void virtqueue_free(struct virtqueue *queue)
{
	if (!queue)
		return;
	free(queue->busy);
	free(queue->iov);
	free(queue->table);
	free(queue->entries);
	free(queue->held);
	virtqueue_inflight_free(queue->inflight);
	virtqueue_records_free(queue->records);
	free(queue);
}

int virtqueue_break(struct virtqueue *queue, const char *why)
{
	static struct log_limit limit;

	queue->broken = true;
	log_limited(&limit, LOG_WARN,
		    "virtio: the guest broke queue %u, which is of no use "
		    "until its driver resets the device: %s",
		    queue->config.index, why);
	return -EPROTO;
}

/* --- State -----------------------------------------------------------------
 */

const struct virtqueue_config *virtqueue_config(const struct virtqueue *queue)
{
	return &queue->config;
}

struct virtqueue_position virtqueue_position(const struct virtqueue *queue)
{
	return queue->ops->position(queue);
}

void virtqueue_set_call(struct virtqueue *queue, int call_fd)
{
	queue->config.call_fd = call_fd;
}

unsigned int virtqueue_in_flight(const struct virtqueue *queue)
{
	return queue->in_flight;
}

bool virtqueue_broken(const struct virtqueue *queue)
{
	return queue->broken;
}

static bool virtqueue_busy(const struct virtqueue *queue, uint16_t id)
{
	return queue->busy[id / 64] & UINT64_C(1) << id % 64;
}

/* --- Making a chain --------------------------------------------------------
 */

void virtqueue_gather_begin(struct virtqueue *queue)
{
	queue->gathered = 0;
	queue->readable_count = 0;
	queue->writable_count = 0;
	queue->readable_len = 0;
	queue->writable_len = 0;
	queue->writing = false;
}

static void virtqueue_gather_add(struct virtqueue *queue, void *host,
				 uint32_t len)
{
	struct iovec *iov =
		&queue->iov[queue->readable_count + queue->writable_count];

	iov->iov_base = host;
	iov->iov_len = len;
	if (queue->writing) {
		queue->writable_count++;
		queue->writable_len += len;
	} else {
		queue->readable_count++;
		queue->readable_len += len;
	}
}

int virtqueue_gather(struct virtqueue *queue, const struct virtqueue_desc *desc)
{
	bool writable = desc->flags & VIRTQ_DESC_F_WRITE;
	void *host;

	/* A loop ends here, too (2.7.5.3.1, 2.8.17). */
	if (queue->gathered == queue->config.size)
		return virtqueue_break(queue, "a chain with more descriptors "
					      "than the queue has entries");
	queue->gathered++;
	if (queue->writing && !writable)
		return virtqueue_break(queue, "a readable descriptor behind a "
					      "writable one");
	queue->writing = writable;
	if (desc->len == 0)
		return 0;
	host = guest_mem_span(queue->mem, desc->addr, desc->len);
	if (!host)
		return virtqueue_break(queue, "a buffer that is not in RAM");
	/* The sum of what is below 4 GiB and a descriptor does not wrap. */
	if (queue->readable_len + queue->writable_len + desc->len > UINT32_MAX)
		return virtqueue_break(queue, "a chain of 4 GiB or more");
	virtqueue_gather_add(queue, host, desc->len);
	return 0;
}

int virtqueue_gather_table(struct virtqueue *queue,
			   const struct virtqueue_desc *desc)
{
	uint32_t count = desc->len / sizeof(*queue->table);

	if (!queue->table)
		return virtqueue_break(queue, "an indirect descriptor, which "
					      "was not negotiated");
	if (desc->flags & VIRTQ_DESC_F_NEXT)
		return virtqueue_break(queue, "an indirect descriptor with "
					      "NEXT");
	if (desc->len == 0 || desc->len % sizeof(*queue->table))
		return virtqueue_break(queue, "an indirect table that is not "
					      "some descriptors long");
	if (count > queue->config.size)
		return virtqueue_break(queue, "an indirect table with more "
					      "descriptors than the queue has "
					      "entries");
	/* Once, so that what is checked is what is used. */
	if (guest_mem_read(queue->mem, desc->addr, queue->table, desc->len) < 0)
		return virtqueue_break(queue,
				       "an indirect table that is not in RAM");
	return (int)count;
}

/* The gathered iovecs in an object of just their size; NULL: no memory. */
static struct virtqueue_chain *virtqueue_make_chain(struct virtqueue *queue)
{
	unsigned int count = queue->readable_count + queue->writable_count;
	struct virtqueue_chain *chain;

	if (count > VIRTQUEUE_IOVS_MAX - queue->iovs_in_flight)
		return NULL;
	chain = malloc(sizeof(*chain) + count * sizeof(chain->iov[0]));
	if (!chain)
		return NULL;
	memcpy(chain->iov, queue->iov, count * sizeof(chain->iov[0]));
	chain->readable = chain->iov;
	chain->writable = chain->iov + queue->readable_count;
	chain->readable_count = queue->readable_count;
	chain->writable_count = queue->writable_count;
	chain->readable_len = queue->readable_len;
	chain->writable_len = queue->writable_len;
	return chain;
}

int virtqueue_gather_end(struct virtqueue *queue, uint16_t id,
			 unsigned int entries, struct virtqueue_chain **out)
{
	struct virtqueue_chain *chain;

	if (virtqueue_busy(queue, id))
		return virtqueue_break(queue, "a buffer that is in use");
	/* Chains that share descriptors, or overtake the used ones. */
	if (entries > queue->config.size - queue->entries_in_flight)
		return virtqueue_break(queue, "more descriptors in use than "
					      "the queue has entries");
	chain = virtqueue_make_chain(queue);
	if (!chain)
		return -ENOMEM;
	chain->id = id;
	chain->descriptors = (uint16_t)entries;
	queue->busy[id / 64] |= UINT64_C(1) << id % 64;
	queue->in_flight++;
	queue->entries_in_flight += entries;
	queue->iovs_in_flight += chain->readable_count + chain->writable_count;
	*out = chain;
	return 1;
}

/* --- Taking and giving back ------------------------------------------------
 */

int virtqueue_pop(struct virtqueue *queue, struct virtqueue_chain **out)
{
	if (queue->broken)
		return -EPROTO;
	return queue->ops->pop(queue, out);
}

void virtqueue_put(struct virtqueue *queue, struct virtqueue_chain *chain,
		   uint32_t written)
{
	assert(virtqueue_busy(queue, chain->id));
	assert(written <= chain->writable_len);
	queue->busy[chain->id / 64] &= ~(UINT64_C(1) << chain->id % 64);
	queue->in_flight--;
	queue->entries_in_flight -= chain->descriptors;
	queue->iovs_in_flight -= chain->readable_count + chain->writable_count;
	virtqueue_log_chain(queue, chain);
	if (!queue->broken) {
		queue->ops->put(queue, chain, written);
		queue->unpublished++;
		queue->unpublished_entries += chain->descriptors;
	}
	free(chain);
}

void virtqueue_publish(struct virtqueue *queue)
{
	bool interrupt;

	if (queue->broken || queue->unpublished == 0)
		return;
	interrupt = queue->ops->publish(queue);
	virtqueue_log_ring(queue);
	queue->unpublished = 0;
	queue->unpublished_entries = 0;
	/* An eventfd that is full will wake whoever waits for it anyway. */
	if (interrupt && queue->config.call_fd >= 0)
		(void)eventfd_write(queue->config.call_fd, 1);
}

bool virtqueue_set_kicks(struct virtqueue *queue, bool wanted)
{
	if (queue->broken)
		return false;
	queue->ops->set_kicks(queue, wanted);
	virtqueue_log_ring(queue);
	/*
	 * With the driver's barrier between what it makes available and its
	 * look at what we have just written (2.7.13.4, 2.8.21.2): it kicks,
	 * or we see its buffer.
	 */
	virtqueue_full_barrier();
	return queue->ops->waiting(queue);
}

/* --- Chains and iovecs -----------------------------------------------------
 */

void virtqueue_chain_free(struct virtqueue_chain *chain)
{
	free(chain);
}

/* Copy between a buffer and [offset, offset + len) of iovecs. One of from and
 * to is NULL. */
static size_t virtqueue_iov_copy(const struct iovec *iov, unsigned int count,
				 uint64_t offset, size_t len, uint8_t *to,
				 const uint8_t *from)
{
	size_t done = 0;

	for (unsigned int i = 0; i < count && done < len; i++) {
		uint8_t *host = iov[i].iov_base;
		size_t piece;

		if (offset >= iov[i].iov_len) {
			offset -= iov[i].iov_len;
			continue;
		}
		piece = iov[i].iov_len - offset;
		if (piece > len - done)
			piece = len - done;
		if (to)
			memcpy(to + done, host + offset, piece);
		else
			memcpy(host + offset, from + done, piece);
		done += piece;
		offset = 0;
	}
	return done;
}

size_t virtqueue_chain_read(const struct virtqueue_chain *chain,
			    uint64_t offset, void *buf, size_t len)
{
	return virtqueue_iov_copy(chain->readable, chain->readable_count,
				  offset, len, buf, NULL);
}

size_t virtqueue_chain_write(const struct virtqueue_chain *chain,
			     uint64_t offset, const void *buf, size_t len)
{
	return virtqueue_iov_copy(chain->writable, chain->writable_count,
				  offset, len, NULL, buf);
}

unsigned int virtqueue_iov_slice(const struct iovec *iov, unsigned int count,
				 uint64_t offset, uint64_t len,
				 struct iovec *out)
{
	unsigned int made = 0;

	for (unsigned int i = 0; i < count && len; i++) {
		size_t piece;

		if (offset >= iov[i].iov_len) {
			offset -= iov[i].iov_len;
			continue;
		}
		piece = iov[i].iov_len - offset;
		if (piece > len)
			piece = len;
		out[made].iov_base = (uint8_t *)iov[i].iov_base + offset;
		out[made].iov_len = piece;
		made++;
		len -= piece;
		offset = 0;
	}
	return made;
}
