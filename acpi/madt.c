#include "acpi/madt.h"

#include <assert.h>

#define MADT_REVISION 6

/* Interrupt controller structure types (5.2.12). */
enum {
	MADT_LOCAL_APIC = 0,
	MADT_IO_APIC = 1,
	MADT_INTERRUPT_SOURCE_OVERRIDE = 2,
	MADT_LOCAL_APIC_NMI = 4,
	MADT_LOCAL_X2APIC = 9,
};

#define LOCAL_APIC_ENABLED (1u << 0)
#define LOCAL_APIC_ID_MAX  254 /* 255 is broadcast */
#define UID_ALL		   0xff
#define BUS_ISA		   0

struct madt_body {
	le32 local_interrupt_controller_address;
	le32 flags;
} __attribute__((packed));

struct madt_local_apic {
	uint8_t type;
	uint8_t length;
	uint8_t acpi_processor_uid;
	uint8_t apic_id;
	le32 flags;
} __attribute__((packed));

struct madt_io_apic {
	uint8_t type;
	uint8_t length;
	uint8_t io_apic_id;
	uint8_t reserved;
	le32 io_apic_address;
	le32 global_system_interrupt_base;
} __attribute__((packed));

struct madt_source_override {
	uint8_t type;
	uint8_t length;
	uint8_t bus;
	uint8_t source;
	le32 global_system_interrupt;
	le16 flags;
} __attribute__((packed));

struct madt_local_apic_nmi {
	uint8_t type;
	uint8_t length;
	uint8_t acpi_processor_uid;
	le16 flags;
	uint8_t local_apic_lint;
} __attribute__((packed));

struct madt_local_x2apic {
	uint8_t type;
	uint8_t length;
	uint8_t reserved[2];
	le32 x2apic_id;
	le32 flags;
	le32 acpi_processor_uid;
} __attribute__((packed));

static_assert(sizeof(struct madt_body) == 8, "5.2.12");
static_assert(sizeof(struct madt_local_apic) == 8, "5.2.12.2");
static_assert(sizeof(struct madt_io_apic) == 12, "5.2.12.3");
static_assert(sizeof(struct madt_source_override) == 10, "5.2.12.5");
static_assert(sizeof(struct madt_local_apic_nmi) == 6, "5.2.12.7");
static_assert(sizeof(struct madt_local_x2apic) == 16, "5.2.12.12");

void acpi_madt_begin(struct acpi_tables *tables, uint32_t local_apic,
		     uint32_t flags)
{
	const struct madt_body body = {
		.local_interrupt_controller_address = le32_of(local_apic),
		.flags = le32_of(flags),
	};

	acpi_table_begin(tables, "APIC", MADT_REVISION);
	acpi_table_append(tables, &body, sizeof(body));
}

static void madt_local_x2apic(struct acpi_tables *tables, uint32_t uid,
			      uint32_t apic_id)
{
	const struct madt_local_x2apic entry = {
		.type = MADT_LOCAL_X2APIC,
		.length = sizeof(entry),
		.x2apic_id = le32_of(apic_id),
		.flags = le32_of(LOCAL_APIC_ENABLED),
		.acpi_processor_uid = le32_of(uid),
	};

	acpi_table_append(tables, &entry, sizeof(entry));
}

void acpi_madt_local_apic(struct acpi_tables *tables, uint32_t uid,
			  uint32_t apic_id)
{
	const struct madt_local_apic entry = {
		.type = MADT_LOCAL_APIC,
		.length = sizeof(entry),
		.acpi_processor_uid = (uint8_t)uid,
		.apic_id = (uint8_t)apic_id,
		.flags = le32_of(LOCAL_APIC_ENABLED),
	};

	if (apic_id > LOCAL_APIC_ID_MAX || uid >= UID_ALL)
		madt_local_x2apic(tables, uid, apic_id);
	else
		acpi_table_append(tables, &entry, sizeof(entry));
}

void acpi_madt_io_apic(struct acpi_tables *tables, uint8_t id, uint32_t address,
		       uint32_t gsi_base)
{
	const struct madt_io_apic entry = {
		.type = MADT_IO_APIC,
		.length = sizeof(entry),
		.io_apic_id = id,
		.io_apic_address = le32_of(address),
		.global_system_interrupt_base = le32_of(gsi_base),
	};

	acpi_table_append(tables, &entry, sizeof(entry));
}

void acpi_madt_source_override(struct acpi_tables *tables, uint8_t source,
			       uint32_t gsi, uint16_t flags)
{
	const struct madt_source_override entry = {
		.type = MADT_INTERRUPT_SOURCE_OVERRIDE,
		.length = sizeof(entry),
		.bus = BUS_ISA,
		.source = source,
		.global_system_interrupt = le32_of(gsi),
		.flags = le16_of(flags),
	};

	acpi_table_append(tables, &entry, sizeof(entry));
}

void acpi_madt_local_apic_nmi(struct acpi_tables *tables, uint8_t lint)
{
	const struct madt_local_apic_nmi entry = {
		.type = MADT_LOCAL_APIC_NMI,
		.length = sizeof(entry),
		.acpi_processor_uid = UID_ALL,
		.flags = le16_of(ACPI_INTI_CONFORMS),
		.local_apic_lint = lint,
	};

	acpi_table_append(tables, &entry, sizeof(entry));
}
