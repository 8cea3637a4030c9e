/*
 * What is at the other end of a serial port's line in the tests of its UART:
 * it keeps what the guest sends, and sees to what every UART has to keep to.
 */
#ifndef TESTS_UNIT_SUPPORT_FAR_END_H
#define TESTS_UNIT_SUPPORT_FAR_END_H

#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/unit/support/fake_host.h"

/* One at a time. */
struct far_end {
	uint8_t bytes[64];
	size_t count;
	unsigned int room_calls;
	bool level_at_output; /* the interrupt line in the last output() */
	sem_t room;	      /* posted by each input_room() */

	/* As far_end_init() got them. */
	struct fake_host *fake;
	unsigned int gsi;
	size_t (*uart_room)(void);
};

/* For the UART, with the struct far_end as their context. */
extern const struct char_ops far_end_ops;

/**
 * far_end_init() - Nothing sent yet; initialises @fake, too.
 * @gsi: the UART's; from now on the test ends where it sets another one, or
 *       this one to the level that it has
 * @uart_room: asks the UART for its room, which each input_room() does: it has
 *             to be called without the UART's lock
 */
void far_end_init(struct far_end *far, struct fake_host *fake, unsigned int gsi,
		  size_t (*uart_room)(void));

#endif
