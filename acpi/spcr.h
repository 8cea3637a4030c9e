/*
 * Serial Port Console Redirection Table (Microsoft, version 1.07, which is
 * revision 2). Its input is bantam's own.
 */
#ifndef ACPI_SPCR_H
#define ACPI_SPCR_H

#include <stdint.h>

#include "acpi/tables.h"

/* Append the SPCR: the console is a PL011 at @base, with that INTID. */
void acpi_spcr_add_pl011(struct acpi_tables *tables, uint64_t base,
			 uint32_t gsiv);

#endif
