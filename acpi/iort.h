/*
 * IO Remapping Table (Arm DEN 0049, issue B). Its input is bantam's own.
 */
#ifndef ACPI_IORT_H
#define ACPI_IORT_H

#include <stdint.h>

#include "acpi/tables.h"

/* Append the IORT: all requesters of PCI segment 0, whose DMA is coherent, send
 * their messages to the ITS of that id, unchanged. */
void acpi_iort_add(struct acpi_tables *tables, uint32_t its_id);

#endif
