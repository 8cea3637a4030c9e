/*
 * The MADT's structures for Arm's generic interrupt controllers.
 */
#include <assert.h>

#include "acpi/madt.h"

#define MADT_REVISION 5 /* whose GICC has no TRBE interrupt yet */

/* Interrupt controller structure types (5.2.12). */
enum {
	MADT_GICC = 0xb,
	MADT_GICD = 0xc,
	MADT_GIC_MSI_FRAME = 0xd,
	MADT_GICR = 0xe,
	MADT_GIC_ITS = 0xf,
};

#define GICC_ENABLED (1u << 0)

/* GIC MSI frame flags: count and base are the frame's, whatever it says. */
#define MSI_FRAME_SPI_SELECT (1u << 0)

struct madt_gic_body {
	le32 local_interrupt_controller_address;
	le32 flags;
} __attribute__((packed));

struct madt_gicc {
	uint8_t type;
	uint8_t length;
	uint8_t reserved[2];
	le32 cpu_interface_number;
	le32 acpi_processor_uid;
	le32 flags;
	le32 parking_protocol_version;
	le32 performance_interrupt_gsiv;
	le64 parked_address;
	le64 physical_base_address;
	le64 gicv;
	le64 gich;
	le32 vgic_maintenance_interrupt;
	le64 gicr_base_address;
	le64 mpidr;
	uint8_t power_efficiency_class;
	uint8_t reserved2;
	le16 spe_overflow_interrupt;
} __attribute__((packed));

struct madt_gicd {
	uint8_t type;
	uint8_t length;
	uint8_t reserved[2];
	le32 gic_id;
	le64 physical_base_address;
	le32 system_vector_base;
	uint8_t gic_version;
	uint8_t reserved2[3];
} __attribute__((packed));

struct madt_gic_msi_frame {
	uint8_t type;
	uint8_t length;
	uint8_t reserved[2];
	le32 gic_msi_frame_id;
	le64 physical_base_address;
	le32 flags;
	le16 spi_count;
	le16 spi_base;
} __attribute__((packed));

struct madt_gicr {
	uint8_t type;
	uint8_t length;
	uint8_t reserved[2];
	le64 discovery_range_base_address;
	le32 discovery_range_length;
} __attribute__((packed));

struct madt_gic_its {
	uint8_t type;
	uint8_t length;
	uint8_t reserved[2];
	le32 gic_its_id;
	le64 physical_base_address;
	uint8_t reserved2[4];
} __attribute__((packed));

static_assert(sizeof(struct madt_gicc) == 80, "ACPI 6.4, 5.2.12.14");
static_assert(sizeof(struct madt_gicd) == 24, "5.2.12.15");
static_assert(sizeof(struct madt_gic_msi_frame) == 24, "5.2.12.16");
static_assert(sizeof(struct madt_gicr) == 16, "5.2.12.17");
static_assert(sizeof(struct madt_gic_its) == 20, "5.2.12.18");

void acpi_madt_begin_gic(struct acpi_tables *tables)
{
	const struct madt_gic_body body = {.flags = le32_of(0)};

	acpi_table_begin(tables, "APIC", MADT_REVISION);
	acpi_table_append(tables, &body, sizeof(body));
}

void acpi_madt_gicc(struct acpi_tables *tables, uint32_t uid, uint64_t mpidr,
		    uint64_t cpu_interface)
{
	const struct madt_gicc entry = {
		.type = MADT_GICC,
		.length = sizeof(entry),
		.cpu_interface_number = le32_of(uid),
		.acpi_processor_uid = le32_of(uid),
		.flags = le32_of(GICC_ENABLED),
		.physical_base_address = le64_of(cpu_interface),
		.mpidr = le64_of(mpidr),
	};

	acpi_table_append(tables, &entry, sizeof(entry));
}

void acpi_madt_gicd(struct acpi_tables *tables, uint64_t base, uint8_t version)
{
	const struct madt_gicd entry = {
		.type = MADT_GICD,
		.length = sizeof(entry),
		.physical_base_address = le64_of(base),
		.gic_version = version,
	};

	acpi_table_append(tables, &entry, sizeof(entry));
}

void acpi_madt_gicr(struct acpi_tables *tables, uint64_t base, uint32_t size)
{
	const struct madt_gicr entry = {
		.type = MADT_GICR,
		.length = sizeof(entry),
		.discovery_range_base_address = le64_of(base),
		.discovery_range_length = le32_of(size),
	};

	acpi_table_append(tables, &entry, sizeof(entry));
}

void acpi_madt_its(struct acpi_tables *tables, uint32_t id, uint64_t base)
{
	const struct madt_gic_its entry = {
		.type = MADT_GIC_ITS,
		.length = sizeof(entry),
		.gic_its_id = le32_of(id),
		.physical_base_address = le64_of(base),
	};

	acpi_table_append(tables, &entry, sizeof(entry));
}

void acpi_madt_msi_frame(struct acpi_tables *tables, uint64_t base,
			 uint16_t first, uint16_t count)
{
	const struct madt_gic_msi_frame entry = {
		.type = MADT_GIC_MSI_FRAME,
		.length = sizeof(entry),
		.physical_base_address = le64_of(base),
		.flags = le32_of(MSI_FRAME_SPI_SELECT),
		.spi_count = le16_of(count),
		.spi_base = le16_of(first),
	};

	acpi_table_append(tables, &entry, sizeof(entry));
}
