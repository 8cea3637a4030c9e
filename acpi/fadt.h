/*
 * Fixed ACPI Description Table (ACPI 6.5, 5.2.9). Its input is bantam's own.
 */
#ifndef ACPI_FADT_H
#define ACPI_FADT_H

#include <stdint.h>

#include "acpi/tables.h"

/* Preferred_PM_Profile */
#define ACPI_PM_PROFILE_UNSPECIFIED 0

/* Fixed feature flags (5.2.9, table 5.10) */
#define ACPI_FADT_WBINVD	  (1u << 0)
#define ACPI_FADT_PROC_C1	  (1u << 2)
#define ACPI_FADT_PWR_BUTTON	  (1u << 4)
#define ACPI_FADT_SLP_BUTTON	  (1u << 5)
#define ACPI_FADT_FIX_RTC	  (1u << 6)
#define ACPI_FADT_TMR_VAL_EXT	  (1u << 8)
#define ACPI_FADT_RESET_REG_SUP	  (1u << 10)
#define ACPI_FADT_HW_REDUCED_ACPI (1u << 20)

/* IA-PC boot architecture flags (5.2.9.3) */
#define ACPI_IAPC_LEGACY_DEVICES       (1u << 0)
#define ACPI_IAPC_8042		       (1u << 1)
#define ACPI_IAPC_VGA_NOT_PRESENT      (1u << 2)
#define ACPI_IAPC_CMOS_RTC_NOT_PRESENT (1u << 5)

/* Arm boot architecture flags (5.2.9.4) */
#define ACPI_ARM_PSCI_COMPLIANT (1u << 0)
#define ACPI_ARM_PSCI_USE_HVC	(1u << 1)

/*
 * What differs between machines, by the names of the specification; what a
 * machine does not have stays 0. There is never SMI_CMD, GPE blocks, PM1b or a
 * PM2 block, and no C2 or C3.
 */
struct acpi_fadt {
	uint8_t preferred_pm_profile;
	uint32_t flags;
	uint16_t iapc_boot_arch;
	uint16_t arm_boot_arch;
	uint8_t century; /* CMOS index of the century, 0 for none */

	struct acpi_gas reset_reg;
	uint8_t reset_value;

	/* Hardware-reduced. */
	struct acpi_gas sleep_control_reg;
	struct acpi_gas sleep_status_reg;

	/* Otherwise; ports are named in the 32-bit fields as well. */
	uint16_t sci_int;
	struct acpi_gas pm1a_evt_blk;
	struct acpi_gas pm1a_cnt_blk;
	struct acpi_gas pm_tmr_blk;

	acpi_table_id dsdt;
	acpi_table_id facs; /* 0 only if hardware-reduced */
};

/* Append the FADT, revision 6.5. */
void acpi_fadt_add(struct acpi_tables *tables, const struct acpi_fadt *fadt);

#endif
