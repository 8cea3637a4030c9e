/*
 * Keyboard controller, after the IBM Personal Computer AT Technical Reference
 * (1984), "Keyboard Controller", and system control port A, after the PS/2
 * Hardware Interface Technical Reference. All accesses are the guest's.
 *
 * Nothing is plugged in: bytes to the keyboard get no answer, and there is no
 * interrupt. The address line A20 is always on: its gate can be told what one
 * likes.
 */
#include "arch/x86_64/i8042.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "arch/x86_64/layout.h"
#include "vmm/base/json.h"

#define I8042_DATA    PORT_I8042
#define I8042_COMMAND (PORT_I8042 + 4) /* reads as the status register */
#define I8042_PORT_A  0x92	       /* system control port A */

/* Status register */
#define I8042_STATUS_OBF       0x01 /* output buffer full */
#define I8042_STATUS_SYS       0x04 /* the power-on self-test has passed */
#define I8042_STATUS_UNINHIBIT 0x10 /* the key lock is open */

/* Command byte */
#define I8042_CONFIG_SYS	 0x04
#define I8042_CONFIG_DISABLE_KBD 0x10
#define I8042_CONFIG_DISABLE_AUX 0x20

/* Commands */
#define I8042_READ_CONFIG  0x20
#define I8042_WRITE_CONFIG 0x60
#define I8042_SELF_TEST	   0xaa
#define I8042_READ_OUTPUT  0xd0
#define I8042_WRITE_OUTPUT 0xd1
#define I8042_DISABLE_A20  0xdd
#define I8042_ENABLE_A20   0xdf
#define I8042_PULSE_OUTPUT 0xf0 /* to 0xff: the low bits that are 0 */

#define I8042_SELF_TEST_OK 0x55

/* Output port */
#define I8042_OUTPUT_RESET 0x01 /* the system reset line, active low */
#define I8042_OUTPUT_A20   0x02

/* System control port A */
#define I8042_PORT_A_RESET 0x01 /* going on resets the CPU */
#define I8042_PORT_A_A20   0x02

/* As saved. */
struct i8042_state {
	bool full; /* data waits to be read */
	uint8_t data;
	uint8_t config;	 /* the command byte */
	uint8_t pending; /* the command whose data byte comes next, or 0 */
	uint8_t port_a;
};

struct i8042 {
	struct host *host; /* borrowed */

	pthread_mutex_t lock; /* the rest is under it */
	struct i8042_state state;
};

static void i8042_answer(struct i8042_state *s, uint8_t data)
{
	s->data = data;
	s->full = true;
}

/* Return: whether this is a reset. */
static bool i8042_run_command(struct i8042_state *s, uint8_t command)
{
	s->pending = 0;
	switch (command) {
	case I8042_READ_CONFIG:
		i8042_answer(s, s->config);
		return false;
	case I8042_SELF_TEST:
		i8042_answer(s, I8042_SELF_TEST_OK);
		return false;
	case I8042_READ_OUTPUT:
		i8042_answer(s, I8042_OUTPUT_RESET | I8042_OUTPUT_A20);
		return false;
	case I8042_WRITE_CONFIG:
	case I8042_WRITE_OUTPUT:
		s->pending = command;
		return false;
	case I8042_DISABLE_A20:
	case I8042_ENABLE_A20:
		return false;
	default:
		/* 0xfe and whichever else pulses the reset line. */
		return command >= I8042_PULSE_OUTPUT &&
		       !(command & I8042_OUTPUT_RESET);
	}
}

/* Return: whether this is a reset. */
static bool i8042_take_data(struct i8042_state *s, uint8_t data)
{
	uint8_t command = s->pending;

	s->pending = 0;
	if (command == I8042_WRITE_CONFIG)
		s->config = data;
	return command == I8042_WRITE_OUTPUT && !(data & I8042_OUTPUT_RESET);
}

static uint64_t i8042_read_status(void *ctx, uint64_t offset, unsigned int size)
{
	struct i8042 *i8042 = ctx;
	uint8_t status = I8042_STATUS_SYS | I8042_STATUS_UNINHIBIT;

	(void)offset;
	(void)size;
	pthread_mutex_lock(&i8042->lock);
	if (i8042->state.full)
		status |= I8042_STATUS_OBF;
	pthread_mutex_unlock(&i8042->lock);
	return status;
}

static void i8042_write_command(void *ctx, uint64_t offset, unsigned int size,
				uint64_t value)
{
	struct i8042 *i8042 = ctx;
	bool reset;

	(void)offset;
	(void)size;
	pthread_mutex_lock(&i8042->lock);
	reset = i8042_run_command(&i8042->state, value);
	pthread_mutex_unlock(&i8042->lock);
	if (reset)
		i8042->host->ops->notice(i8042->host, HOST_RESET, 0);
}

static uint64_t i8042_read_data(void *ctx, uint64_t offset, unsigned int size)
{
	struct i8042 *i8042 = ctx;
	uint8_t data;

	(void)offset;
	(void)size;
	pthread_mutex_lock(&i8042->lock);
	data = i8042->state.data;
	i8042->state.full = false;
	pthread_mutex_unlock(&i8042->lock);
	return data;
}

static void i8042_write_data(void *ctx, uint64_t offset, unsigned int size,
			     uint64_t value)
{
	struct i8042 *i8042 = ctx;
	bool reset;

	(void)offset;
	(void)size;
	pthread_mutex_lock(&i8042->lock);
	reset = i8042_take_data(&i8042->state, value);
	pthread_mutex_unlock(&i8042->lock);
	if (reset)
		i8042->host->ops->notice(i8042->host, HOST_RESET, 0);
}

static uint64_t i8042_read_port_a(void *ctx, uint64_t offset, unsigned int size)
{
	struct i8042 *i8042 = ctx;
	uint8_t value;

	(void)offset;
	(void)size;
	pthread_mutex_lock(&i8042->lock);
	value = i8042->state.port_a;
	pthread_mutex_unlock(&i8042->lock);
	return value;
}

static void i8042_write_port_a(void *ctx, uint64_t offset, unsigned int size,
			       uint64_t value)
{
	struct i8042 *i8042 = ctx;
	bool reset;

	(void)offset;
	(void)size;
	pthread_mutex_lock(&i8042->lock);
	reset = value & ~i8042->state.port_a & I8042_PORT_A_RESET;
	i8042->state.port_a = value;
	pthread_mutex_unlock(&i8042->lock);
	if (reset)
		i8042->host->ops->notice(i8042->host, HOST_RESET, 0);
}

static const struct bus_ops i8042_data_ops = {
	.read = i8042_read_data,
	.write = i8042_write_data,
	.max_size = 1,
};

static const struct bus_ops i8042_command_ops = {
	.read = i8042_read_status,
	.write = i8042_write_command,
	.max_size = 1,
};

static const struct bus_ops i8042_port_a_ops = {
	.read = i8042_read_port_a,
	.write = i8042_write_port_a,
	.max_size = 1,
};

static void i8042_set_state(struct i8042 *i8042,
			    const struct i8042_state *state)
{
	pthread_mutex_lock(&i8042->lock);
	i8042->state = *state;
	pthread_mutex_unlock(&i8042->lock);
}

static void i8042_reset(void *self)
{
	/* As firmware leaves it where it finds nothing plugged in. */
	const struct i8042_state state = {
		.config = I8042_CONFIG_SYS | I8042_CONFIG_DISABLE_KBD |
			  I8042_CONFIG_DISABLE_AUX,
		.port_a = I8042_PORT_A_A20,
	};

	i8042_set_state(self, &state);
}

static const struct json_field i8042_fields[] = {
	JSON_BOOL(struct i8042_state, full),
	JSON_UINT(struct i8042_state, data),
	JSON_UINT(struct i8042_state, config),
	JSON_UINT(struct i8042_state, pending),
	JSON_UINT(struct i8042_state, port_a),
};

#define I8042_FIELDS (sizeof(i8042_fields) / sizeof(i8042_fields[0]))

static int i8042_save(void *self, json_t **out)
{
	struct i8042 *i8042 = self;
	int rc;

	pthread_mutex_lock(&i8042->lock);
	rc = json_save(&i8042->state, i8042_fields, I8042_FIELDS, out);
	pthread_mutex_unlock(&i8042->lock);
	return rc;
}

static int i8042_restore(void *self, const json_t *value, struct error *err)
{
	struct i8042_state state = {.pending = 0};
	int rc;

	rc = json_load(&state, i8042_fields, I8042_FIELDS, value, err);
	if (rc)
		return rc;
	if (state.pending && state.pending != I8042_WRITE_CONFIG &&
	    state.pending != I8042_WRITE_OUTPUT)
		return error_set(err, EINVAL,
				 "\"pending\": expected 0x0, 0x60 or 0xd1, "
				 "found 0x%x",
				 state.pending);
	i8042_set_state(self, &state);
	return 0;
}

static void i8042_free(void *self)
{
	struct i8042 *i8042 = self;
	struct host *host;

	if (!i8042)
		return;
	host = i8042->host;
	host->ops->unmap(host, BUS_PIO, I8042_PORT_A);
	host->ops->unmap(host, BUS_PIO, I8042_COMMAND);
	host->ops->unmap(host, BUS_PIO, I8042_DATA);
	pthread_mutex_destroy(&i8042->lock);
	free(i8042);
}

const struct device_ops i8042_device_ops = {
	.free = i8042_free,
	.reset = i8042_reset,
	.save = i8042_save,
	.restore = i8042_restore,
};

int i8042_new(struct i8042 **out, struct host *host)
{
	struct i8042 *i8042 = calloc(1, sizeof(*i8042));
	int rc;

	if (!i8042)
		return -ENOMEM;
	i8042->host = host;
	pthread_mutex_init(&i8042->lock, NULL);
	i8042_reset(i8042);
	rc = host->ops->map(host, BUS_PIO, I8042_DATA, 1, &i8042_data_ops,
			    i8042, "i8042 data");
	if (rc)
		goto err_free;
	rc = host->ops->map(host, BUS_PIO, I8042_COMMAND, 1, &i8042_command_ops,
			    i8042, "i8042 command");
	if (rc)
		goto err_data;
	rc = host->ops->map(host, BUS_PIO, I8042_PORT_A, 1, &i8042_port_a_ops,
			    i8042, "system control port A");
	if (rc)
		goto err_command;
	*out = i8042;
	return 0;

err_command:
	host->ops->unmap(host, BUS_PIO, I8042_COMMAND);
err_data:
	host->ops->unmap(host, BUS_PIO, I8042_DATA);
err_free:
	pthread_mutex_destroy(&i8042->lock);
	free(i8042);
	return rc;
}
