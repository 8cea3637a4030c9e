#include "pci/bus.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <linux/pci_regs.h>

#include "pci/bus_private.h"

/* CONFIG_ADDRESS. */
#define ADDRESS_ENABLE	    0x80000000u
#define ADDRESS_BUS(a)	    ((a) >> 16 & 0xff)
#define ADDRESS_FUNCTION(a) ((a) >> 8 & 0xff) /* and the slot above it */
#define ADDRESS_REGISTER(a) ((a)&0xfc)

/* Offsets from CONFIG_ADDRESS. */
#define CONFIG_ADDRESS 0
#define CONFIG_DATA    4

/* The memory controller of Intel's Q35, under QEMU's subsystem. */
#define BRIDGE_VENDOR_ID	0x8086
#define BRIDGE_DEVICE_ID	0x29c0
#define BRIDGE_CLASS		0x060000 /* host bridge */
#define BRIDGE_SUBSYSTEM_VENDOR 0x1af4
#define BRIDGE_SUBSYSTEM	0x1100

struct pci_bus_name pci_bus_name(unsigned int devfn)
{
	struct pci_bus_name name;

	snprintf(name.text, sizeof(name.text), "%02x.%u",
		 devfn / PCI_BUS_FUNCTIONS % PCI_BUS_SLOTS,
		 devfn % PCI_BUS_FUNCTIONS);
	return name;
}

/* --- Interrupt pins ---------------------------------------------------------
 * Interrupt Status says what the device asks for, whatever Interrupt Disable
 * says (6.2.3).
 */

static bool pci_bus_pin_asserted(const struct pci_intx *intx)
{
	return intx->wired && intx->raised && !intx->disabled;
}

static void pci_bus_change_pin_intx_locked(struct pci_bus *bus,
					   struct pci_intx *intx, bool raised,
					   bool disabled)
{
	bool before = pci_bus_pin_asserted(intx), after;
	unsigned int *asserted = &bus->asserted[intx->line];

	intx->raised = raised;
	intx->disabled = disabled;
	after = pci_bus_pin_asserted(intx);
	if (before == after)
		return;
	*asserted += after ? 1 : -1u;
	if (*asserted == after)
		bus->host->ops->irq_set(bus->host, bus->config.gsi + intx->line,
					after);
}

void pci_bus_set_intx(struct pci_bus *bus, struct pci_device *device,
		      bool level)
{
	pthread_mutex_lock(&bus->intx_lock);
	pci_bus_change_pin_intx_locked(bus, &device->intx, level,
				       device->intx.disabled);
	pthread_mutex_unlock(&bus->intx_lock);
}

void pci_bus_follow_intx_locked(struct pci_bus *bus, struct pci_device *device)
{
	bool disabled = pci_device_read(device, PCI_COMMAND, 2) &
			PCI_COMMAND_INTX_DISABLE;

	pthread_mutex_lock(&bus->intx_lock);
	pci_bus_change_pin_intx_locked(bus, &device->intx, device->intx.raised,
				       disabled);
	pthread_mutex_unlock(&bus->intx_lock);
}

static void pci_bus_wire_locked(struct pci_bus *bus, unsigned int devfn,
				struct pci_device *device)
{
	unsigned int pin = device->config[PCI_INTERRUPT_PIN];

	pthread_mutex_lock(&bus->intx_lock);
	device->intx = (struct pci_intx){
		.line = (devfn / PCI_BUS_FUNCTIONS + pin - 1) % PCI_BUS_LINES,
		.wired = pin,
	};
	pthread_mutex_unlock(&bus->intx_lock);
}

/* The pin is lowered; @wired: it may be raised again. */
static void pci_bus_lower_locked(struct pci_bus *bus, struct pci_device *device,
				 bool wired)
{
	pthread_mutex_lock(&bus->intx_lock);
	pci_bus_change_pin_intx_locked(bus, &device->intx, false, false);
	device->intx.wired &= wired;
	pthread_mutex_unlock(&bus->intx_lock);
}

static bool pci_bus_interrupt_status_locked(struct pci_bus *bus,
					    const struct pci_device *device)
{
	bool raised;

	pthread_mutex_lock(&bus->intx_lock);
	raised = device->intx.wired && device->intx.raised;
	pthread_mutex_unlock(&bus->intx_lock);
	return raised;
}

/* --- Configuration space ----------------------------------------------------
 */

/* What nobody answers: all ones. */
static uint32_t pci_bus_no_answer(unsigned int size)
{
	return UINT32_MAX >> (32 - 8 * size);
}

/* Whether an access touches one of the @len bytes from @from. */
static bool pci_bus_touches(unsigned int offset, unsigned int size,
			    unsigned int from, unsigned int len)
{
	return offset < from + len && from < offset + size;
}

static uint32_t pci_bus_config_read_locked(struct pci_bus *bus,
					   unsigned int function,
					   unsigned int offset,
					   unsigned int size)
{
	struct pci_device *device = bus->functions[function];
	uint32_t value;

	if (!device)
		return pci_bus_no_answer(size);
	if (device->ops && device->ops->config_read)
		device->ops->config_read(device->ctx, offset, size);
	value = pci_device_read(device, offset, size);
	if (pci_bus_touches(offset, size, PCI_STATUS, 1) &&
	    pci_bus_interrupt_status_locked(bus, device))
		value |= (uint32_t)PCI_STATUS_INTERRUPT
			 << 8 * (PCI_STATUS - offset);
	return value;
}

static void pci_bus_config_write_locked(struct pci_bus *bus,
					unsigned int function,
					unsigned int offset, unsigned int size,
					uint32_t value)
{
	struct pci_device *device = bus->functions[function];
	bool command = pci_bus_touches(offset, size, PCI_COMMAND, 2);

	if (!device)
		return;
	pci_device_write(device, offset, size, value);
	if (command)
		pci_bus_follow_intx_locked(bus, device);
	if (command || pci_bus_touches(offset, size, PCI_BASE_ADDRESS_0,
				       4 * PCI_DEVICE_BARS))
		pci_bus_follow_bars_locked(bus);
	if (device->ops && device->ops->config_written)
		device->ops->config_written(device->ctx, offset, size);
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
	return bus->registers.config_address & ADDRESS_ENABLE &&
	       ADDRESS_BUS(bus->registers.config_address) == 0;
}

/* The register that a byte of CONFIG_DATA stands for. */
static unsigned int pci_bus_register_locked(const struct pci_bus *bus,
					    uint64_t offset)
{
	return ADDRESS_REGISTER(bus->registers.config_address) +
	       (unsigned int)(offset - CONFIG_DATA);
}

static uint32_t pci_bus_port_read_locked(struct pci_bus *bus, uint64_t offset,
					 unsigned int size)
{
	if (offset == CONFIG_ADDRESS && size == 4)
		return bus->registers.config_address;
	if (offset == PCI_BUS_RESET_CONTROL && size == 1)
		return bus->registers.reset_control;
	if (offset < CONFIG_DATA || !pci_bus_selected_locked(bus))
		return pci_bus_no_answer(size);
	return pci_bus_config_read_locked(
		bus, ADDRESS_FUNCTION(bus->registers.config_address),
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
	bool rises = value & PCI_BUS_RST_CPU &&
		     !(bus->registers.reset_control & PCI_BUS_RST_CPU);

	bus->registers.reset_control = value & PCI_BUS_RESET_MASK;
	return rises && value & PCI_BUS_SYS_RST;
}

static void pci_bus_port_write(void *ctx, uint64_t offset, unsigned int size,
			       uint64_t value)
{
	struct pci_bus *bus = ctx;
	bool reset = false;

	pthread_mutex_lock(&bus->lock);
	if (offset == CONFIG_ADDRESS && size == 4)
		bus->registers.config_address =
			(uint32_t)value & PCI_BUS_ADDRESS_MASK;
	else if (offset == PCI_BUS_RESET_CONTROL && size == 1)
		reset = pci_bus_reset_control_locked(bus, (uint8_t)value);
	else if (offset >= CONFIG_DATA && pci_bus_selected_locked(bus))
		pci_bus_config_write_locked(
			bus, ADDRESS_FUNCTION(bus->registers.config_address),
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

	ret = ops->map(bus->host, BUS_MMIO, bus->config.ecam, PCI_BUS_ECAM_SIZE,
		       &pci_bus_ecam_ops, bus, "pci-ecam");
	if (ret < 0 || !bus->config.port)
		return ret;
	ret = ops->map(bus->host, BUS_PIO, bus->config.port, PCI_BUS_PORTS,
		       &pci_bus_port_ops, bus, "pci-config");
	if (ret < 0)
		ops->unmap(bus->host, BUS_MMIO, bus->config.ecam);
	return ret;
}

int pci_bus_new(struct pci_bus **out, struct host *host,
		const struct pci_bus_config *config)
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
	bus->config = *config;
	pthread_mutex_init(&bus->lock, NULL);
	pthread_mutex_init(&bus->intx_lock, NULL);
	pci_device_init(&bus->bridge, &bridge);
	bus->functions[0] = &bus->bridge;
	ret = pci_bus_map(bus);
	if (ret < 0)
		goto err_free;
	*out = bus;
	return 0;

err_free:
	pthread_mutex_destroy(&bus->intx_lock);
	pthread_mutex_destroy(&bus->lock);
	free(bus);
	return ret;
}

int pci_bus_add(struct pci_bus *bus, unsigned int slot, unsigned int function,
		struct pci_device *device)
{
	unsigned int devfn = slot * PCI_BUS_FUNCTIONS + function;
	int ret = 0;

	if (slot >= PCI_BUS_SLOTS || function >= PCI_BUS_FUNCTIONS)
		return -EINVAL;
	pthread_mutex_lock(&bus->lock);
	if (bus->functions[devfn]) {
		ret = -EEXIST;
	} else {
		bus->functions[devfn] = device;
		pci_bus_wire_locked(bus, devfn, device);
	}
	pthread_mutex_unlock(&bus->lock);
	return ret;
}

void pci_bus_remove(struct pci_bus *bus, struct pci_device *device)
{
	pthread_mutex_lock(&bus->lock);
	for (unsigned int i = 0; i < PCI_BUS_DEVFNS; i++) {
		if (bus->functions[i] != device)
			continue;
		pci_bus_unmap_bars_locked(bus, device);
		pci_bus_lower_locked(bus, device, false);
		bus->functions[i] = NULL;
	}
	/* Somebody may have waited for its place. */
	pci_bus_follow_bars_locked(bus);
	pthread_mutex_unlock(&bus->lock);
}

static void pci_bus_free(void *self)
{
	struct pci_bus *bus = self;

	for (unsigned int i = 0; i < PCI_BUS_DEVFNS; i++) {
		if (bus->functions[i])
			pci_bus_remove(bus, bus->functions[i]);
	}
	if (bus->config.port)
		bus->host->ops->unmap(bus->host, BUS_PIO, bus->config.port);
	bus->host->ops->unmap(bus->host, BUS_MMIO, bus->config.ecam);
	pthread_mutex_destroy(&bus->intx_lock);
	pthread_mutex_destroy(&bus->lock);
	free(bus);
}

static void pci_bus_reset(void *self)
{
	struct pci_bus *bus = self;

	pthread_mutex_lock(&bus->lock);
	bus->registers = (struct pci_bus_registers){0};
	for (unsigned int i = 0; i < PCI_BUS_DEVFNS; i++) {
		if (!bus->functions[i])
			continue;
		pci_device_reset(bus->functions[i]);
		pci_bus_unmap_bars_locked(bus, bus->functions[i]);
		pci_bus_lower_locked(bus, bus->functions[i], true);
	}
	pthread_mutex_unlock(&bus->lock);
}

const struct device_ops pci_bus_device_ops = {
	.free = pci_bus_free,
	.reset = pci_bus_reset,
	.save = pci_bus_save,
	.restore = pci_bus_restore,
};
