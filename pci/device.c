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
