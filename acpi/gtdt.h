/*
 * Generic Timer Description Table (ACPI 6.5, 5.2.25). Its input is bantam's
 * own.
 */
#ifndef ACPI_GTDT_H
#define ACPI_GTDT_H

#include <stdint.h>

#include "acpi/tables.h"

/* INTIDs of the timers' interrupts, all level-triggered and active high. */
struct acpi_gtdt {
	uint32_t secure_el1;
	uint32_t non_secure_el1;
	uint32_t virtual_el1;
	uint32_t el2;
};

/* Append the GTDT: the processors' own timers, which never stop, and no others.
 */
void acpi_gtdt_add(struct acpi_tables *tables, const struct acpi_gtdt *gtdt);

#endif
