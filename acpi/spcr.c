#include "acpi/spcr.h"

#include <assert.h>

#define SPCR_REVISION 2

#define SPCR_ARM_PL011	    3	   /* Interface Type */
#define SPCR_INTERRUPT_GIC  0x8	   /* Interrupt Type */
#define SPCR_BAUD_115200    7	   /* Baud Rate */
#define SPCR_STOP_BITS_1    1	   /* Stop Bits */
#define SPCR_TERMINAL_ANSI  3	   /* Terminal Type */
#define SPCR_NO_PCI_DEVICE  0xffff /* PCI Device and Vendor ID */
#define SPCR_PL011_REGISTER 32

#define HEADER_SIZE 36

/* The table behind its header. */
struct acpi_spcr_body {
	uint8_t interface_type;
	uint8_t reserved[3];
	struct acpi_gas base_address;
	uint8_t interrupt_type;
	uint8_t irq;
	le32 global_system_interrupt;
	uint8_t baud_rate;
	uint8_t parity;
	uint8_t stop_bits;
	uint8_t flow_control;
	uint8_t terminal_type;
	uint8_t language;
	le16 pci_device_id;
	le16 pci_vendor_id;
	uint8_t pci_bus;
	uint8_t pci_device;
	uint8_t pci_function;
	le32 pci_flags;
	uint8_t pci_segment;
	uint8_t reserved2[4];
} __attribute__((packed));

static_assert(sizeof(struct acpi_spcr_body) == 80 - HEADER_SIZE, "SPCR");

void acpi_spcr_add_pl011(struct acpi_tables *tables, uint64_t base,
			 uint32_t gsiv)
{
	const struct acpi_spcr_body body = {
		.interface_type = SPCR_ARM_PL011,
		.base_address =
			acpi_gas_of(ACPI_SYSTEM_MEMORY, base,
				    SPCR_PL011_REGISTER, ACPI_ACCESS_DWORD),
		.interrupt_type = SPCR_INTERRUPT_GIC,
		.global_system_interrupt = le32_of(gsiv),
		.baud_rate = SPCR_BAUD_115200,
		.stop_bits = SPCR_STOP_BITS_1,
		.terminal_type = SPCR_TERMINAL_ANSI,
		.pci_device_id = le16_of(SPCR_NO_PCI_DEVICE),
		.pci_vendor_id = le16_of(SPCR_NO_PCI_DEVICE),
	};

	if (acpi_table_begin(tables, "SPCR", SPCR_REVISION))
		acpi_table_append(tables, &body, sizeof(body));
}
