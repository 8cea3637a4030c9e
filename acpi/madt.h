/*
 * Multiple APIC Description Table (ACPI 6.5, 5.2.12). The functions append to
 * the collection's current table, which acpi_madt_begin() starts. Their input
 * is bantam's own.
 */
#ifndef ACPI_MADT_H
#define ACPI_MADT_H

#include <stdint.h>

#include "acpi/tables.h"

/* Multiple APIC flags (5.2.12): there are two 8259 as well. */
#define ACPI_MADT_PCAT_COMPAT (1u << 0)

/* MPS INTI flags (5.2.12.5) */
#define ACPI_INTI_CONFORMS    0u
#define ACPI_INTI_ACTIVE_HIGH (1u << 0)
#define ACPI_INTI_EDGE	      (1u << 2)
#define ACPI_INTI_LEVEL	      (3u << 2)

/* @local_apic: guest physical address of every processor's own local APIC. */
void acpi_madt_begin(struct acpi_tables *tables, uint32_t local_apic,
		     uint32_t flags);

/*
 * An enabled processor. @uid: the _UID of its device in the DSDT. The entry is
 * of the kind Local APIC for ids below 255, above Local x2APIC.
 */
void acpi_madt_local_apic(struct acpi_tables *tables, uint32_t uid,
			  uint32_t apic_id);

/* @gsi_base: the global system interrupt of the first pin. */
void acpi_madt_io_apic(struct acpi_tables *tables, uint8_t id, uint32_t address,
		       uint32_t gsi_base);

/* ISA interrupt @source is @gsi, with MPS INTI @flags. */
void acpi_madt_source_override(struct acpi_tables *tables, uint8_t source,
			       uint32_t gsi, uint16_t flags);

/* Input LINT@lint of every local APIC is NMI. */
void acpi_madt_local_apic_nmi(struct acpi_tables *tables, uint8_t lint);

/* A MADT of a machine with a GIC: no local APICs, no flags. */
void acpi_madt_begin_gic(struct acpi_tables *tables);

/*
 * An enabled processor, a GICC. @uid: the _UID of its device in the DSDT, and
 * its number for the GIC. @mpidr: its affinity fields alone. @cpu_interface:
 * where the GICv2's is, 0 with a GICv3.
 */
void acpi_madt_gicc(struct acpi_tables *tables, uint32_t uid, uint64_t mpidr,
		    uint64_t cpu_interface);

/* The distributor, of architecture @version 2 or 3. */
void acpi_madt_gicd(struct acpi_tables *tables, uint64_t base, uint8_t version);

/* The GICv3's redistributors, one behind the other. */
void acpi_madt_gicr(struct acpi_tables *tables, uint64_t base, uint32_t size);

/* The GICv3's ITS; the IORT names it by its @id. */
void acpi_madt_its(struct acpi_tables *tables, uint32_t id, uint64_t base);

/* The GICv2m's frame, with @count SPIs from INTID @first on. */
void acpi_madt_msi_frame(struct acpi_tables *tables, uint64_t base,
			 uint16_t first, uint16_t count);

#endif
