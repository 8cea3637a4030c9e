/*
 * The entropy device (virtio 1.3, 5.4).
 *
 * Theory of operation. The bucket holds bytes that may be given out, and fills
 * at VIRTIO_RNG_RATE up to VIRTIO_RNG_BURST. A request is taken from the queue
 * only when the bucket has enough for the longest one, so that none is held
 * for want of that; otherwise the timer comes back when it has.
 *
 * A device must not give a request back empty (5.4.6.1), so one that the
 * source has nothing for is held. The source is asked again after a millisecond
 * and then ever later, up to a second: /dev/hwrng cannot be waited for, and a
 * file that has ended may grow. Bytes are read into a buffer here first; how
 * the guest has cut its memory up is of no concern to the source.
 */
#include "virtio/rng.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "virtio/options.h"
#include "virtio/seccomp.h"
#include "vmm/base/json.h"
#include "vmm/base/log.h"

#define RNG_DEVICE_ID  4	/* 5.4.1 */
#define RNG_CLASS_CODE 0x00ff00 /* PCI: unclassified, other */
#define RNG_PIECE      4096	/* bytes at once from the source */
#define RNG_SECOND     UINT64_C(1000000000)
#define RNG_RETRY_MIN  UINT64_C(1000000) /* ns */
#define RNG_RETRY_MAX  RNG_SECOND

struct rng {
	struct virtio_device *device; /* borrowed, as is the descriptor */
	int source;		      /* -1: getrandom(2) */
	struct virtio_timer *timer;   /* of the device */

	struct virtqueue *queue;       /* borrowed; NULL while not active */
	struct virtqueue_chain *chain; /* owned; waits for the source */
	uint64_t tokens;	       /* bytes in the bucket */
	int64_t filled;		       /* loop_now() of when it had these */
	uint64_t retry;		       /* ns until the source is asked again */
	bool complained;	       /* of the source */
};

/* --- Open ------------------------------------------------------------------
 */

static int rng_check_source(const char *option, const char *path, int fd,
			    struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_set(err, errno, "%s: %s: %s", option, path,
				 strerror(errno));
	if (S_ISREG(st.st_mode) || S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode))
		return 0;
	return error_set(err, EINVAL,
			 "%s: %s: expected a character device such as "
			 "/dev/hwrng, a FIFO or a file, found a %s",
			 option, path,
			 S_ISDIR(st.st_mode) ? "directory" : "block device");
}

static int rng_open_source(const struct virtio_open *args, const char *path,
			   struct virtio_resources *out, struct error *err)
{
	/* O_NONBLOCK: neither a FIFO without a writer nor hardware without
	 * entropy holds anybody up. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int rc;

	if (fd < 0)
		return error_set(err, errno,
				 "%s: source=%s: cannot be read: %s",
				 args->option, path, strerror(errno));
	rc = rng_check_source(args->option, path, fd, err);
	if (rc) {
		close(fd);
		return rc;
	}
	out->fds[out->fd_count++] = fd;
	return 0;
}

static int rng_open(const struct virtio_open *args,
		    struct virtio_resources *out, struct error *err)
{
	const struct virtio_rng_options *options = args->options;

	out->description = json_object();
	if (!out->description)
		return error_set(err, ENOMEM, "%s: no memory", args->option);
	if (!options->source)
		return 0;
	return rng_open_source(args, options->source, out, err);
}

/* --- The bucket ------------------------------------------------------------
 */

static void rng_fill(struct rng *rng)
{
	const int64_t now = loop_now();
	uint64_t ns = (uint64_t)(now - rng->filled);
	uint64_t bytes;

	if (ns >= RNG_SECOND) { /* more than the bucket holds */
		rng->filled = now;
		rng->tokens = VIRTIO_RNG_BURST;
		return;
	}
	/* What is less than a byte stays in the clock. */
	bytes = ns * VIRTIO_RNG_RATE / RNG_SECOND;
	rng->filled += (int64_t)(bytes * RNG_SECOND / VIRTIO_RNG_RATE);
	rng->tokens += bytes;
	if (rng->tokens > VIRTIO_RNG_BURST)
		rng->tokens = VIRTIO_RNG_BURST;
}

/* Is there enough for any request? If not, come back when there is. */
static bool rng_may_serve(struct rng *rng)
{
	uint64_t missing;

	rng_fill(rng);
	if (rng->tokens >= VIRTIO_RNG_CHUNK)
		return true;
	missing = VIRTIO_RNG_CHUNK - rng->tokens;
	virtio_timer_set(rng->timer,
			 missing * RNG_SECOND / VIRTIO_RNG_RATE + 1);
	return false;
}

static void rng_spend(struct rng *rng, size_t bytes)
{
	rng->tokens -= bytes < VIRTIO_RNG_COST ? VIRTIO_RNG_COST : bytes;
}

/* --- Requests --------------------------------------------------------------
 */

/* As read(2), never waiting. */
static ssize_t rng_read(struct rng *rng, void *data, size_t len)
{
	if (rng->source < 0)
		return getrandom(data, len, GRND_NONBLOCK);
	return read(rng->source, data, len);
}

/* The source has nothing: try again later, and say why if that is odd. */
static void rng_wait(struct rng *rng, const char *why)
{
	static struct log_limit limit;

	if (why && !rng->complained) {
		rng->complained = true;
		log_limited(&limit, LOG_WARN,
			    "%s: the source of random bytes %s; the guest "
			    "waits until it has more",
			    virtio_device_label(rng->device), why);
	}
	virtio_timer_set(rng->timer, rng->retry);
	rng->retry *= 2;
	if (rng->retry > RNG_RETRY_MAX)
		rng->retry = RNG_RETRY_MAX;
}

/* Why there is nothing, NULL if there may be soon. */
static const char *rng_reason(ssize_t got, int errnum)
{
	if (got == 0)
		return "has ended";
	if (errnum == EAGAIN || errnum == EINTR)
		return NULL;
	return strerror(errnum);
}

/* Bytes into the chain. Return: how many; 0 if there are none now. */
static size_t rng_gather(struct rng *rng, const struct virtqueue_chain *chain)
{
	uint64_t want = chain->writable_len;
	uint8_t piece[RNG_PIECE];
	size_t done = 0;

	if (want > VIRTIO_RNG_CHUNK)
		want = VIRTIO_RNG_CHUNK;
	if (rng->source >= 0 && want > VIRTIO_RNG_FILE_CHUNK)
		want = VIRTIO_RNG_FILE_CHUNK;
	while (done < want) {
		size_t len = want - done < RNG_PIECE ? want - done : RNG_PIECE;
		ssize_t got = rng_read(rng, piece, len);

		if (got <= 0) {
			if (!done)
				rng_wait(rng, rng_reason(got, errno));
			break;
		}
		virtqueue_chain_write(chain, done, piece, (size_t)got);
		done += (size_t)got;
	}
	explicit_bzero(piece, sizeof(piece));
	return done;
}

/* Forget the queue; a request that is held is the queue's again. */
static void rng_stop(struct rng *rng)
{
	virtio_timer_set(rng->timer, 0);
	virtqueue_chain_free(rng->chain);
	rng->chain = NULL;
	rng->queue = NULL;
}

static void rng_fail(struct rng *rng)
{
	rng_stop(rng);
	virtio_device_needs_reset(rng->device);
}

/* Return: whether rng->chain holds a request. */
static bool rng_next(struct rng *rng)
{
	static struct log_limit limit;
	int rc;

	if (rng->chain)
		return true;
	rc = virtqueue_pop(rng->queue, &rng->chain);
	if (rc == 0)
		return false;
	if (rc < 0) {
		rng_fail(rng);
		return false;
	}
	/* 5.4.6.1: only buffers that the device may write. */
	if (!rng->chain->readable_len && rng->chain->writable_len)
		return true;
	log_limited(&limit, LOG_WARN,
		    "%s: the guest wants random bytes in a buffer that is %s",
		    virtio_device_label(rng->device),
		    rng->chain->readable_len ? "not to be written" : "empty");
	rng_fail(rng);
	return false;
}

/* Return: whether to go on with the next one. */
static bool rng_serve(struct rng *rng)
{
	size_t done;

	if (!rng_may_serve(rng) || !rng_next(rng))
		return false;
	done = rng_gather(rng, rng->chain);
	if (!done)
		return false;
	rng_spend(rng, done);
	rng->retry = RNG_RETRY_MIN;
	rng->complained = false;
	virtqueue_put(rng->queue, rng->chain, (uint32_t)done);
	rng->chain = NULL;
	return true;
}

static void rng_queue_ready(void *self, unsigned int index)
{
	struct rng *rng = self;
	struct virtqueue *queue = rng->queue;

	(void)index;
	if (!queue)
		return;
	virtqueue_set_kicks(queue, false);
	do {
		while (rng_serve(rng))
			;
		/* The timer comes back to what cannot be done now. */
	} while (virtqueue_set_kicks(queue, true) && rng->queue &&
		 !rng->chain && rng_may_serve(rng));
	virtqueue_publish(queue);
}

static void rng_timer(void *self)
{
	rng_queue_ready(self, 0);
}

/* --- Life ------------------------------------------------------------------
 */

static int rng_create(void **self, struct virtio_device *device,
		      const struct virtio_resources *resources,
		      struct error *err)
{
	struct rng *rng = calloc(1, sizeof(*rng));
	int rc;

	if (!rng)
		return error_set(err, ENOMEM, "%s: no memory",
				 virtio_device_label(device));
	rng->device = device;
	rng->source = resources->fd_count ? resources->fds[0] : -1;
	rng->tokens = VIRTIO_RNG_BURST;
	rng->filled = loop_now();
	rng->retry = RNG_RETRY_MIN;
	rc = virtio_device_timer(device, &rng->timer, rng_timer, rng);
	if (rc) {
		free(rng);
		return error_set(err, -rc, "%s: cannot make a timer: %s",
				 virtio_device_label(device), strerror(-rc));
	}
	*self = rng;
	return 0;
}

static void rng_destroy(void *self)
{
	struct rng *rng = self;

	virtqueue_chain_free(rng->chain);
	free(rng);
}

static unsigned int rng_keep_fds(void *self, int *fds)
{
	const struct rng *rng = self;

	if (rng->source < 0)
		return 0;
	fds[0] = rng->source;
	return 1;
}

static unsigned int rng_queue_max_sizes(void *self, uint16_t *sizes)
{
	(void)self;
	sizes[0] = VIRTIO_RNG_QUEUE_SIZE;
	return 1;
}

static int rng_activate(void *self, struct virtqueue *const *queues)
{
	struct rng *rng = self;

	rng->queue = queues[0];
	return 0;
}

static int rng_sleep(void *self)
{
	rng_stop(self);
	return 0;
}

static int rng_wake(void *self, struct virtqueue *const *queues)
{
	return queues ? rng_activate(self, queues) : 0;
}

/* The bucket stays as it is, or resets would pay. */
static void rng_reset(void *self)
{
	struct rng *rng = self;

	rng_stop(rng);
	rng->retry = RNG_RETRY_MIN;
}

/* Nothing but the queue and what the object knows. */
static int rng_snapshot(void *self, json_t **out)
{
	(void)self;
	*out = json_object();
	return *out ? 0 : -ENOMEM;
}

static int rng_restore(void *self, const json_t *state, struct error *err)
{
	return json_load(self, NULL, 0, state, err);
}

const struct virtio_device_ops virtio_rng_ops = {
	.type = "rng",
	.device_id = RNG_DEVICE_ID,
	.class_code = RNG_CLASS_CODE,
	.seccomp = &virtio_seccomp_rng,
	.open = rng_open,
	.create = rng_create,
	.destroy = rng_destroy,
	.keep_fds = rng_keep_fds,
	.queue_max_sizes = rng_queue_max_sizes,
	.activate = rng_activate,
	.queue_ready = rng_queue_ready,
	.reset = rng_reset,
	.sleep = rng_sleep,
	.wake = rng_wake,
	.snapshot = rng_snapshot,
	.restore = rng_restore,
};
