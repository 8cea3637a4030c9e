/*
 * The ACPI tables of one machine (ACPI 6.5, chapter 5.2): they are collected
 * first, as blobs that know where they point to each other, and placed in
 * guest memory afterwards. RSDP, RSDT and XSDT are kept by the collection; a
 * guest finds the same tables through either.
 *
 * Errors stick, as with AML: acpi_tables_place() reports the first. All input
 * is bantam's own. Main thread.
 */
#ifndef ACPI_TABLES_H
#define ACPI_TABLES_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "acpi/aml.h"
#include "vmm/base/bytes.h"
#include "vmm/base/error.h"
#include "vmm/base/guest_mem.h"

/* Generic Address Structure (5.2.3.2), as it stands in tables. */
enum acpi_address_space {
	ACPI_SYSTEM_MEMORY = 0,
	ACPI_SYSTEM_IO = 1,
};

enum acpi_access_size {
	ACPI_ACCESS_UNDEFINED = 0,
	ACPI_ACCESS_BYTE = 1,
	ACPI_ACCESS_WORD = 2,
	ACPI_ACCESS_DWORD = 3,
	ACPI_ACCESS_QWORD = 4,
};

struct acpi_gas {
	uint8_t address_space_id;
	uint8_t register_bit_width;
	uint8_t register_bit_offset;
	uint8_t access_size;
	le64 address;
} __attribute__((packed));

static_assert(sizeof(struct acpi_gas) == 12, "5.2.3.2");

/* The address of a register of @bits bits. */
static inline struct acpi_gas acpi_gas_of(enum acpi_address_space space,
					  uint64_t address, uint8_t bits,
					  enum acpi_access_size access)
{
	return (struct acpi_gas){
		.address_space_id = (uint8_t)space,
		.register_bit_width = bits,
		.access_size = (uint8_t)access,
		.address = le64_of(address),
	};
}

struct acpi_tables;

/* Return: 0 or -ENOMEM. */
int acpi_tables_new(struct acpi_tables **out);

/* NULL is nothing to do. */
void acpi_tables_free(struct acpi_tables *tables);

/* Stands for a table of the collection, to point to; 0 is none. */
typedef unsigned int acpi_table_id;

/**
 * acpi_table_begin() - Start a table, with its header, as the current one.
 * @signature: four letters
 * @revision: of that table's layout
 *
 * It is listed in RSDT and XSDT.
 */
acpi_table_id acpi_table_begin(struct acpi_tables *tables,
			       const char *signature, uint8_t revision);

/* Append @len bytes to the current table. */
void acpi_table_append(struct acpi_tables *tables, const void *data,
		       size_t len);

/**
 * acpi_table_point() - Make a field of the current table the address of @to.
 * @offset: of the field, from the table's start; it is there already
 * @size: of the field, 4 or 8 bytes
 */
void acpi_table_point(struct acpi_tables *tables, size_t offset,
		      unsigned int size, acpi_table_id to);

/**
 * acpi_tables_add_dsdt() - The DSDT, for integers of 64 bits.
 * @aml: finished; copied, and its error, if it has one, taken over
 *
 * Not listed: the FADT points to it.
 */
acpi_table_id acpi_tables_add_dsdt(struct acpi_tables *tables, struct aml *aml);

/* The FACS, with nothing in it. Not listed: the FADT points to it. */
acpi_table_id acpi_tables_add_facs(struct acpi_tables *tables);

/**
 * acpi_tables_add_mcfg() - One ECAM window (PCI Firmware Specification 3.3,
 * 4.1.2).
 * @base: of bus 0 of segment 0
 * @last_bus: the last bus that it has
 */
void acpi_tables_add_mcfg(struct acpi_tables *tables, uint64_t base,
			  uint8_t last_bus);

/**
 * acpi_tables_place() - Put all tables into guest memory, linked and with
 * their checksums.
 * @base: guest physical address; the RSDP is at its first multiple of 16
 * @size: bytes that may be used from @base
 * @rsdp: guest physical address of the RSDP
 * @err: set on failure
 *
 * May be called again, for another place. Return: 0, the first error of the
 * building (-ENOMEM, -EINVAL), -ENOSPC if they need more than @size, -ERANGE
 * if they reach beyond 4 GiB, or -EFAULT if that is not RAM.
 */
int acpi_tables_place(struct acpi_tables *tables, struct guest_mem *mem,
		      uint64_t base, uint64_t size, uint64_t *rsdp,
		      struct error *err);

#endif
