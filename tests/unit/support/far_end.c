#include "tests/unit/support/far_end.h"

#include <string.h>

#include <check.h>

static void far_end_output(void *ctx, const uint8_t *data, size_t len)
{
	struct far_end *far = ctx;

	ck_assert_uint_le(far->count + len, sizeof(far->bytes));
	memcpy(far->bytes + far->count, data, len);
	far->count += len;
	far->level_at_output = far->fake->irq_level[far->gsi];
}

static void far_end_input_room(void *ctx)
{
	struct far_end *far = ctx;

	/* Called without the lock, or this would never return. */
	(void)far->uart_room();
	far->room_calls++;
	sem_post(&far->room);
}

const struct char_ops far_end_ops = {
	.output = far_end_output,
	.input_room = far_end_input_room,
};

/* The fake host's services, with an irq_set for changes alone. */
static struct host_ops strict_ops;
static void (*plain_irq_set)(struct host *host, unsigned int gsi, bool level);
static unsigned int strict_gsi;

static void strict_irq_set(struct host *host, unsigned int gsi, bool level)
{
	ck_assert_uint_eq(gsi, strict_gsi);
	ck_assert(((struct fake_host *)host)->irq_level[gsi] != level);
	plain_irq_set(host, gsi, level);
}

void far_end_init(struct far_end *far, struct fake_host *fake, unsigned int gsi,
		  size_t (*uart_room)(void))
{
	fake_host_init(fake);
	strict_ops = *fake->host.ops;
	plain_irq_set = strict_ops.irq_set;
	strict_ops.irq_set = strict_irq_set;
	strict_gsi = gsi;
	fake->host.ops = &strict_ops;
	*far = (struct far_end){
		.fake = fake,
		.gsi = gsi,
		.uart_room = uart_room,
	};
	sem_init(&far->room, 0, 0);
}
