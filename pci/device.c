#include "pci/device.h"

#include <assert.h>
#include <string.h>

#include <linux/pci_regs.h>

#define COMMAND_WRITABLE                                            \
	(PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | \
	 PCI_COMMAND_PARITY | PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE)
#define STATUS_W1C                                                   \
	(PCI_STATUS_PARITY | PCI_STATUS_SIG_TARGET_ABORT |           \
	 PCI_STATUS_REC_TARGET_ABORT | PCI_STATUS_REC_MASTER_ABORT | \
	 PCI_STATUS_SIG_SYSTEM_ERROR | PCI_STATUS_DETECTED_PARITY)

#define HEADER_TYPE_MULTIFUNCTION 0x80

static_assert(PCI_DEVICE_CONFIG_SIZE == PCI_CFG_SPACE_SIZE, "6.1");

void pci_device_init(struct pci_device *device,
		     const struct pci_identity *identity)
{
	*device = (struct pci_device){0};
	pci_device_set(device, PCI_VENDOR_ID, 2, identity->vendor_id);
	pci_device_set(device, PCI_DEVICE_ID, 2, identity->device_id);
	pci_device_set(device, PCI_CLASS_REVISION, 4,
		       identity->class_code << 8 | identity->revision_id);
	pci_device_set(device, PCI_HEADER_TYPE, 1,
		       PCI_HEADER_TYPE_NORMAL |
			       (identity->multifunction
					? HEADER_TYPE_MULTIFUNCTION
					: 0));
	pci_device_set(device, PCI_SUBSYSTEM_VENDOR_ID, 2,
		       identity->subsystem_vendor_id);
	pci_device_set(device, PCI_SUBSYSTEM_ID, 2, identity->subsystem_id);
	pci_device_set(device, PCI_INTERRUPT_PIN, 1, identity->interrupt_pin);

	pci_device_set_writable(device, PCI_COMMAND, 2, COMMAND_WRITABLE);
	pci_device_set_w1c(device, PCI_STATUS, 2, STATUS_W1C);
	pci_device_set_writable(device, PCI_CACHE_LINE_SIZE, 1, 0xff);
	pci_device_set_writable(device, PCI_INTERRUPT_LINE, 1, 0xff);
}

static void pci_device_put(uint8_t *bytes, unsigned int offset,
			   unsigned int size, uint32_t value)
{
	assert(size <= 4 && offset <= PCI_DEVICE_CONFIG_SIZE - size);
	for (unsigned int i = 0; i < size; i++)
		bytes[offset + i] = (uint8_t)(value >> 8 * i);
}

void pci_device_set(struct pci_device *device, unsigned int offset,
		    unsigned int size, uint32_t value)
{
	pci_device_put(device->config, offset, size, value);
}

void pci_device_set_writable(struct pci_device *device, unsigned int offset,
			     unsigned int size, uint32_t bits)
{
	pci_device_put(device->writable, offset, size, bits);
}

void pci_device_set_w1c(struct pci_device *device, unsigned int offset,
			unsigned int size, uint32_t bits)
{
	pci_device_put(device->w1c, offset, size, bits);
}

static unsigned int pci_device_bar_register(unsigned int index)
{
	return PCI_BASE_ADDRESS_0 + 4 * index;
}

/* Bits 3:0 (memory) or 1:0 (I/O) of a BAR, which say what it is. */
static uint32_t pci_device_bar_flags(const struct pci_bar *bar)
{
	uint32_t flags = bar->prefetchable ? PCI_BASE_ADDRESS_MEM_PREFETCH : 0;

	switch (bar->kind) {
	case PCI_BAR_NONE:
		return 0;
	case PCI_BAR_MEM32:
		return flags | PCI_BASE_ADDRESS_MEM_TYPE_32;
	case PCI_BAR_MEM64:
		return flags | PCI_BASE_ADDRESS_MEM_TYPE_64;
	case PCI_BAR_IO:
		break;
	}
	return PCI_BASE_ADDRESS_SPACE_IO;
}

static void pci_device_check_bar(const struct pci_device *device,
				 unsigned int index, const struct pci_bar *bar)
{
	bool wide = bar->kind == PCI_BAR_MEM64;
	bool io = bar->kind == PCI_BAR_IO;

	assert(index + wide < PCI_DEVICE_BARS);
	assert(device->bars[index].kind == PCI_BAR_NONE);
	assert(!wide || device->bars[index + 1].kind == PCI_BAR_NONE);
	assert(!index || device->bars[index - 1].kind != PCI_BAR_MEM64);
	assert(bar->size && !(bar->size & (bar->size - 1)));
	assert(bar->size >= (io ? 4 : 4096));
	assert(bar->size <= (io	    ? 256
			     : wide ? UINT64_C(1) << 63
				    : UINT64_C(1) << 31));
	(void)device;
	(void)io;
}

void pci_device_add_bar(struct pci_device *device, unsigned int index,
			const struct pci_bar *bar)
{
	unsigned int at = pci_device_bar_register(index);
	uint64_t writable = ~(bar->size - 1);

	pci_device_check_bar(device, index, bar);
	device->bars[index] = *bar;
	device->bars[index].mapped = false;
	device->bars[index].refused = 0;
	pci_device_set(device, at, 4, pci_device_bar_flags(bar));
	pci_device_set_writable(device, at, 4, (uint32_t)writable);
	if (bar->kind == PCI_BAR_MEM64)
		pci_device_set_writable(device, at + 4, 4,
					(uint32_t)(writable >> 32));
}

unsigned int pci_device_add_cap(struct pci_device *device, uint8_t id,
				unsigned int size)
{
	unsigned int at =
		device->caps_end ? device->caps_end : PCI_STD_HEADER_SIZEOF;
	unsigned int end = (at + size + 3) & ~3u;

	/* caps_end has 8 bits, so the last dword stays free. */
	assert(size >= 2 && end < PCI_DEVICE_CONFIG_SIZE);
	pci_device_set(device, at + PCI_CAP_LIST_ID, 1, id);
	pci_device_set(device,
		       device->last_cap ? device->last_cap + PCI_CAP_LIST_NEXT
					: PCI_CAPABILITY_LIST,
		       1, at);
	pci_device_set(device, PCI_STATUS, 2,
		       pci_device_read(device, PCI_STATUS, 2) |
			       PCI_STATUS_CAP_LIST);
	device->last_cap = (uint8_t)at;
	device->caps_end = (uint8_t)end;
	return at;
}

bool pci_device_bar(const struct pci_device *device, unsigned int index,
		    uint64_t *base)
{
	unsigned int at = pci_device_bar_register(index);
	uint32_t command = pci_device_read(device, PCI_COMMAND, 2);
	uint32_t low = pci_device_read(device, at, 4);

	switch (device->bars[index].kind) {
	case PCI_BAR_NONE:
		return false;
	case PCI_BAR_IO:
		*base = low & (uint32_t)PCI_BASE_ADDRESS_IO_MASK;
		return command & PCI_COMMAND_IO;
	case PCI_BAR_MEM32:
	case PCI_BAR_MEM64:
		break;
	}
	*base = low & (uint32_t)PCI_BASE_ADDRESS_MEM_MASK;
	if (device->bars[index].kind == PCI_BAR_MEM64)
		*base |= (uint64_t)pci_device_read(device, at + 4, 4) << 32;
	return command & PCI_COMMAND_MEMORY;
}

void pci_device_place_bar(struct pci_device *device, unsigned int index,
			  uint64_t base)
{
	unsigned int at = pci_device_bar_register(index);

	pci_device_write(device, at, 4, (uint32_t)base);
	if (device->bars[index].kind == PCI_BAR_MEM64)
		pci_device_write(device, at + 4, 4, (uint32_t)(base >> 32));
}

uint32_t pci_device_read(const struct pci_device *device, unsigned int offset,
			 unsigned int size)
{
	uint32_t value = 0;

	for (unsigned int i = 0; i < size && i < 4; i++) {
		if (offset + i < PCI_DEVICE_CONFIG_SIZE)
			value |= (uint32_t)device->config[offset + i] << 8 * i;
	}
	return value;
}

void pci_device_write(struct pci_device *device, unsigned int offset,
		      unsigned int size, uint32_t value)
{
	for (unsigned int i = 0; i < size && i < 4; i++) {
		unsigned int at = offset + i;
		uint8_t byte = (uint8_t)(value >> 8 * i);
		uint8_t kept;

		if (at >= PCI_DEVICE_CONFIG_SIZE)
			return;
		kept = device->config[at] & (uint8_t)~device->writable[at];
		kept &= (uint8_t) ~(byte & device->w1c[at]);
		device->config[at] = kept | (byte & device->writable[at]);
	}
}

static uint8_t pci_device_changeable(const struct pci_device *device,
				     unsigned int at)
{
	return device->writable[at] | device->w1c[at];
}

void pci_device_reset(struct pci_device *device)
{
	for (unsigned int at = 0; at < PCI_DEVICE_CONFIG_SIZE; at++)
		device->config[at] &=
			(uint8_t)~pci_device_changeable(device, at);
}

bool pci_device_accepts(const struct pci_device *device, const uint8_t *config,
			unsigned int *offset)
{
	for (unsigned int at = 0; at < PCI_DEVICE_CONFIG_SIZE; at++) {
		unsigned int differ = config[at] ^ device->config[at];

		if (differ & ~(unsigned int)pci_device_changeable(device, at)) {
			*offset = at;
			return false;
		}
	}
	return true;
}
