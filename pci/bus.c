#include "pci/bus.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/pci_regs.h>

#include "vmm/base/json.h"

#define FUNCTIONS (PCI_BUS_SLOTS * PCI_BUS_FUNCTIONS)

/* The bits of CONFIG_ADDRESS that can be set. */
#define ADDRESS_ENABLE	    0x80000000u
#define ADDRESS_BUS(a)	    ((a) >> 16 & 0xff)
#define ADDRESS_FUNCTION(a) ((a) >> 8 & 0xff) /* and the slot above it */
#define ADDRESS_REGISTER(a) ((a)&0xfc)
#define ADDRESS_MASK	    0x80fffffcu

/* Offsets from CONFIG_ADDRESS. */
#define CONFIG_ADDRESS 0
#define CONFIG_DATA    4

/* Reset control register. */
#define SYS_RST	   (1u << 1)
#define RST_CPU	   (1u << 2)
#define FULL_RST   (1u << 3)
#define RESET_MASK (SYS_RST | RST_CPU | FULL_RST)

/* The memory controller of Intel's Q35, under QEMU's subsystem. */
#define BRIDGE_VENDOR_ID	0x8086
#define BRIDGE_DEVICE_ID	0x29c0
#define BRIDGE_CLASS		0x060000 /* host bridge */
#define BRIDGE_SUBSYSTEM_VENDOR 0x1af4
#define BRIDGE_SUBSYSTEM	0x1100

/* Guarded by struct pci_bus's lock. */
struct pci_bus_state {
	uint32_t config_address;
	uint8_t reset_control;
};

static const struct json_field pci_bus_fields[] = {
	JSON_UINT_MAX(struct pci_bus_state, config_address, ADDRESS_MASK),
	JSON_UINT_MAX(struct pci_bus_state, reset_control, RESET_MASK),
};

#define PCI_BUS_FIELDS (sizeof(pci_bus_fields) / sizeof(pci_bus_fields[0]))

struct pci_bus {
	struct host *host; /* borrowed */
	uint64_t ecam;
	uint16_t port; /* 0: none */

	pthread_mutex_t lock;
	struct pci_bus_state state;
	struct pci_device bridge;
	/* By slot * PCI_BUS_FUNCTIONS + function; borrowed, NULL where absent.
	 */
	struct pci_device *functions[FUNCTIONS];
};

/* What nobody answers: all ones. */
static uint32_t pci_bus_no_answer(unsigned int size)
{
	return UINT32_MAX >> (32 - 8 * size);
}

static uint32_t pci_bus_config_read_locked(struct pci_bus *bus,
					   unsigned int function,
					   unsigned int offset,
					   unsigned int size)
{
	const struct pci_device *device = bus->functions[function];

	if (!device)
		return pci_bus_no_answer(size);
	return pci_device_read(device, offset, size);
}

static void pci_bus_config_write_locked(struct pci_bus *bus,
					unsigned int function,
					unsigned int offset, unsigned int size,
					uint32_t value)
{
	if (bus->functions[function])
		pci_device_write(bus->functions[function], offset, size, value);
}

/* ECAM: function number from bit 12, register below. */
static uint64_t pci_bus_ecam_read(void *ctx, uint64_t offset, unsigned int size)
{
	struct pci_bus *bus = ctx;
	uint32_t value;

	pthread_mutex_lock(&bus->lock);
	value = pci_bus_config_read_locked(bus, (unsigned int)(offset >> 12),
					   (unsigned int)offset & 0xfff, size);
	pthread_mutex_unlock(&bus->lock);
	return value;
}

static void pci_bus_ecam_write(void *ctx, uint64_t offset, unsigned int size,
			       uint64_t value)
{
	struct pci_bus *bus = ctx;

	pthread_mutex_lock(&bus->lock);
	pci_bus_config_write_locked(bus, (unsigned int)(offset >> 12),
				    (unsigned int)offset & 0xfff, size,
				    (uint32_t)value);
	pthread_mutex_unlock(&bus->lock);
}

static const struct bus_ops pci_bus_ecam_ops = {
	.read = pci_bus_ecam_read,
	.write = pci_bus_ecam_write,
	.max_size = 4,
};

/* Whether CONFIG_DATA leads to this bus at present. */
static bool pci_bus_selected_locked(const struct pci_bus *bus)
{
	return bus->state.config_address & ADDRESS_ENABLE &&
	       ADDRESS_BUS(bus->state.config_address) == 0;
}

/* The register that a byte of CONFIG_DATA stands for. */
static unsigned int pci_bus_register_locked(const struct pci_bus *bus,
					    uint64_t offset)
{
	return ADDRESS_REGISTER(bus->state.config_address) +
	       (unsigned int)(offset - CONFIG_DATA);
}

static uint32_t pci_bus_port_read_locked(struct pci_bus *bus, uint64_t offset,
					 unsigned int size)
{
	if (offset == CONFIG_ADDRESS && size == 4)
		return bus->state.config_address;
	if (offset == PCI_BUS_RESET_CONTROL && size == 1)
		return bus->state.reset_control;
	if (offset < CONFIG_DATA || !pci_bus_selected_locked(bus))
		return pci_bus_no_answer(size);
	return pci_bus_config_read_locked(
		bus, ADDRESS_FUNCTION(bus->state.config_address),
		pci_bus_register_locked(bus, offset), size);
}

static uint64_t pci_bus_port_read(void *ctx, uint64_t offset, unsigned int size)
{
	struct pci_bus *bus = ctx;
	uint32_t value;

	pthread_mutex_lock(&bus->lock);
	value = pci_bus_port_read_locked(bus, offset, size);
	pthread_mutex_unlock(&bus->lock);
	return value;
}

/* Whether that asks for a reset. */
static bool pci_bus_reset_control_locked(struct pci_bus *bus, uint8_t value)
{
	bool rises = value & RST_CPU && !(bus->state.reset_control & RST_CPU);

	bus->state.reset_control = value & RESET_MASK;
	return rises && value & SYS_RST;
}

static void pci_bus_port_write(void *ctx, uint64_t offset, unsigned int size,
			       uint64_t value)
{
	struct pci_bus *bus = ctx;
	bool reset = false;

	pthread_mutex_lock(&bus->lock);
	if (offset == CONFIG_ADDRESS && size == 4)
		bus->state.config_address = (uint32_t)value & ADDRESS_MASK;
	else if (offset == PCI_BUS_RESET_CONTROL && size == 1)
		reset = pci_bus_reset_control_locked(bus, (uint8_t)value);
	else if (offset >= CONFIG_DATA && pci_bus_selected_locked(bus))
		pci_bus_config_write_locked(
			bus, ADDRESS_FUNCTION(bus->state.config_address),
			pci_bus_register_locked(bus, offset), size,
			(uint32_t)value);
	pthread_mutex_unlock(&bus->lock);
	if (reset)
		bus->host->ops->notice(bus->host, HOST_RESET, 0);
}

static const struct bus_ops pci_bus_port_ops = {
	.read = pci_bus_port_read,
	.write = pci_bus_port_write,
	.max_size = 4,
};

static int pci_bus_map(struct pci_bus *bus)
{
	const struct host_ops *ops = bus->host->ops;
	int ret;

	ret = ops->map(bus->host, BUS_MMIO, bus->ecam, PCI_BUS_ECAM_SIZE,
		       &pci_bus_ecam_ops, bus, "pci-ecam");
	if (ret < 0 || !bus->port)
		return ret;
	ret = ops->map(bus->host, BUS_PIO, bus->port, PCI_BUS_PORTS,
		       &pci_bus_port_ops, bus, "pci-config");
	if (ret < 0)
		ops->unmap(bus->host, BUS_MMIO, bus->ecam);
	return ret;
}

int pci_bus_new(struct pci_bus **out, struct host *host, uint64_t ecam,
		uint16_t port)
{
	static const struct pci_identity bridge = {
		.vendor_id = BRIDGE_VENDOR_ID,
		.device_id = BRIDGE_DEVICE_ID,
		.class_code = BRIDGE_CLASS,
		.subsystem_vendor_id = BRIDGE_SUBSYSTEM_VENDOR,
		.subsystem_id = BRIDGE_SUBSYSTEM,
	};
	struct pci_bus *bus = calloc(1, sizeof(*bus));
	int ret;

	if (!bus)
		return -ENOMEM;
	bus->host = host;
	bus->ecam = ecam;
	bus->port = port;
	pthread_mutex_init(&bus->lock, NULL);
	pci_device_init(&bus->bridge, &bridge);
	bus->functions[0] = &bus->bridge;
	ret = pci_bus_map(bus);
	if (ret < 0)
		goto err_free;
	*out = bus;
	return 0;

err_free:
	pthread_mutex_destroy(&bus->lock);
	free(bus);
	return ret;
}

int pci_bus_add(struct pci_bus *bus, unsigned int slot, unsigned int function,
		struct pci_device *device)
{
	unsigned int index = slot * PCI_BUS_FUNCTIONS + function;
	int ret = 0;

	if (slot >= PCI_BUS_SLOTS || function >= PCI_BUS_FUNCTIONS)
		return -EINVAL;
	pthread_mutex_lock(&bus->lock);
	if (bus->functions[index])
		ret = -EEXIST;
	else
		bus->functions[index] = device;
	pthread_mutex_unlock(&bus->lock);
	return ret;
}

static void pci_bus_free(void *self)
{
	struct pci_bus *bus = self;

	if (bus->port)
		bus->host->ops->unmap(bus->host, BUS_PIO, bus->port);
	bus->host->ops->unmap(bus->host, BUS_MMIO, bus->ecam);
	pthread_mutex_destroy(&bus->lock);
	free(bus);
}

static void pci_bus_reset(void *self)
{
	struct pci_bus *bus = self;

	pthread_mutex_lock(&bus->lock);
	bus->state = (struct pci_bus_state){0};
	for (unsigned int i = 0; i < FUNCTIONS; i++) {
		if (bus->functions[i])
			pci_device_reset(bus->functions[i]);
	}
	pthread_mutex_unlock(&bus->lock);
}

/* The key of a function's state, as lspci(8) would have it: "1f.0". */
struct pci_bus_key {
	char text[8];
};

static struct pci_bus_key pci_bus_key(unsigned int index)
{
	struct pci_bus_key key;

	snprintf(key.text, sizeof(key.text), "%02x.%u",
		 index / PCI_BUS_FUNCTIONS % PCI_BUS_SLOTS,
		 index % PCI_BUS_FUNCTIONS);
	return key;
}

static json_t *pci_bus_save_functions_locked(const struct pci_bus *bus)
{
	json_t *functions = json_object();

	for (unsigned int i = 0; functions && i < FUNCTIONS; i++) {
		const struct pci_device *device = bus->functions[i];

		if (!device)
			continue;
		if (json_object_set_new(
			    functions, pci_bus_key(i).text,
			    json_blob(device->config, sizeof(device->config))) <
		    0) {
			json_decref(functions);
			return NULL;
		}
	}
	return functions;
}

static int pci_bus_save(void *self, json_t **out)
{
	struct pci_bus *bus = self;
	json_t *registers = NULL, *functions;

	pthread_mutex_lock(&bus->lock);
	json_save(&bus->state, pci_bus_fields, PCI_BUS_FIELDS, &registers);
	functions = pci_bus_save_functions_locked(bus);
	pthread_mutex_unlock(&bus->lock);
	/* Takes both references, and fails if one of them is NULL. */
	*out = json_pack("{s:o, s:o}", "registers", registers, "functions",
			 functions);
	return *out ? 0 : -ENOMEM;
}

/* Check the saved state of one function, and take it if @apply. */
static int pci_bus_restore_function_locked(struct pci_bus *bus,
					   unsigned int index,
					   const json_t *functions, bool apply,
					   struct error *err)
{
	struct pci_bus_key key = pci_bus_key(index);
	uint8_t config[PCI_DEVICE_CONFIG_SIZE];
	unsigned int offset;

	if (json_blob_get(json_object_get(functions, key.text), config,
			  sizeof(config)) < 0)
		return error_set(err, EINVAL,
				 "functions.%s: expected the %d bytes of its "
				 "configuration space",
				 key.text, PCI_DEVICE_CONFIG_SIZE);
	if (!pci_device_accepts(bus->functions[index], config, &offset))
		return error_set(err, EINVAL,
				 "functions.%s: byte 0x%x is 0x%02x, which "
				 "this machine's device cannot hold",
				 key.text, offset, config[offset]);
	if (apply)
		memcpy(bus->functions[index]->config, config, sizeof(config));
	return 0;
}

static int pci_bus_restore_functions_locked(struct pci_bus *bus,
					    const json_t *functions, bool apply,
					    struct error *err)
{
	size_t count = 0;
	int ret;

	for (unsigned int i = 0; i < FUNCTIONS; i++) {
		if (!bus->functions[i])
			continue;
		ret = pci_bus_restore_function_locked(bus, i, functions, apply,
						      err);
		if (ret < 0)
			return ret;
		count++;
	}
	if (json_object_size(functions) != count)
		return error_set(err, EINVAL,
				 "functions: expected the %zu of this machine, "
				 "found %zu",
				 count, json_object_size(functions));
	return 0;
}

static int pci_bus_restore_locked(struct pci_bus *bus, const json_t *registers,
				  const json_t *functions, struct error *err)
{
	struct pci_bus_state loaded;
	int ret;

	ret = json_load(&loaded, pci_bus_fields, PCI_BUS_FIELDS, registers,
			err);
	if (ret < 0)
		return ret;
	if (loaded.config_address & ~ADDRESS_MASK ||
	    loaded.reset_control & ~RESET_MASK)
		return error_set(err, EINVAL,
				 "registers: config_address 0x%x or "
				 "reset_control 0x%x is not a value that the "
				 "register can hold",
				 loaded.config_address, loaded.reset_control);
	/* First look at all, so that a refusal changes nothing. */
	ret = pci_bus_restore_functions_locked(bus, functions, false, err);
	if (ret < 0)
		return ret;
	pci_bus_restore_functions_locked(bus, functions, true, NULL);
	bus->state = loaded;
	return 0;
}

static int pci_bus_restore(void *self, const json_t *state, struct error *err)
{
	struct pci_bus *bus = self;
	const json_t *registers = json_object_get(state, "registers");
	const json_t *functions = json_object_get(state, "functions");
	int ret;

	if (!registers || !functions || json_object_size(state) != 2)
		return error_set(err, EINVAL,
				 "expected an object of registers and "
				 "functions");
	pthread_mutex_lock(&bus->lock);
	ret = pci_bus_restore_locked(bus, registers, functions, err);
	pthread_mutex_unlock(&bus->lock);
	return ret;
}

const struct device_ops pci_bus_device_ops = {
	.free = pci_bus_free,
	.reset = pci_bus_reset,
	.save = pci_bus_save,
	.restore = pci_bus_restore,
};
