/*
 * How often the device looks for frames.
 *
 * Theory of operation. A frame that comes while the device sleeps wakes it at
 * once. If frames come thick and fast that is a wake-up for each, which costs
 * both sides more than the frame, and keeps a sender and a guest that share
 * their CPUs with the device from doing many at a time. So, as network cards
 * do, the device then leaves the end alone for NET_PACE_NS after each turn and
 * takes all that came meanwhile.
 *
 * What must not wait is a frame that somebody will answer before he gets the
 * next one. There a frame goes for each that comes, and so it is the difference
 * of both that counts.
 */
#include "virtio/net_private.h"

#define NET_PACE_NS	   50000
#define NET_PACE_WINDOW_NS INT64_C(1000000)
/* In a window's time; with fewer it would be one each time, or two. */
#define NET_PACE_FRAMES 32

void net_pace_measure(struct net_pace *pace, int64_t now)
{
	int64_t ns = now - pace->since;

	if (ns < NET_PACE_WINDOW_NS)
		return;
	pace->receives =
		pace->balance * NET_PACE_WINDOW_NS > NET_PACE_FRAMES * ns;
	pace->balance = 0;
	pace->since = now;
}

void net_pace_rest(struct net *net)
{
	if (net->pace.set)
		return;
	net->pace.set = true;
	virtio_timer_set(net->pace.timer, NET_PACE_NS);
}

void net_pace_stop(struct net *net)
{
	net->pace.set = false;
	virtio_timer_set(net->pace.timer, 0);
}

static void net_pace_due(void *self)
{
	struct net *net = self;

	net->pace.set = false;
	for (unsigned int i = 0; i < net->end.pairs; i++) {
		if (net->pairs[i].rx.resting)
			net_rx_run(&net->pairs[i]);
	}
}

int net_pace_init(struct net *net)
{
	return virtio_device_timer(net->device, &net->pace.timer, net_pace_due,
				   net);
}
