#include "acpi/tables.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "acpi/blob.h"

#define ACPI_TABLES_MAX	  16
#define ACPI_POINTERS_MAX 64

/* The FACS must be aligned to this (5.2.10); the others do not mind. */
#define ACPI_TABLE_ALIGN UINT64_C(64)
#define ACPI_RSDP_ALIGN	 UINT64_C(16) /* 5.2.5.1 */

#define DSDT_REVISION 2 /* integers are 64 bits wide */
#define RSDT_REVISION 1
#define XSDT_REVISION 1
#define MCFG_REVISION 1

/* System Description Table Header (5.2.6) */
struct acpi_header {
	char signature[4];
	le32 length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	le32 oem_revision;
	char creator_id[4];
	le32 creator_revision;
} __attribute__((packed));

static_assert(sizeof(struct acpi_header) == 36, "5.2.6");
static_assert(offsetof(struct acpi_header, checksum) == 9, "5.2.6");

/* Root System Description Pointer (5.2.5.3) */
struct acpi_rsdp {
	char signature[8];
	uint8_t checksum; /* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	le32 rsdt_address;
	le32 length;
	le64 xsdt_address;
	uint8_t extended_checksum; /* of all */
	uint8_t reserved[3];
} __attribute__((packed));

#define RSDP_V1_SIZE offsetof(struct acpi_rsdp, length)

static_assert(sizeof(struct acpi_rsdp) == 36, "5.2.5.3");
static_assert(RSDP_V1_SIZE == 20, "ACPI 1.0");

/* Firmware ACPI Control Structure (5.2.10); it has no checksum. */
struct acpi_facs {
	char signature[4];
	le32 length;
	le32 hardware_signature;
	le32 firmware_waking_vector;
	le32 global_lock;
	le32 flags;
	le64 x_firmware_waking_vector;
	uint8_t version;
	uint8_t reserved[3];
	le32 ospm_flags;
	uint8_t reserved2[24];
} __attribute__((packed));

#define FACS_VERSION 2

static_assert(sizeof(struct acpi_facs) == 64, "5.2.10");

/* MCFG, behind its header: one allocation. */
struct acpi_mcfg {
	uint8_t reserved[8];
	le64 base_address;
	le16 pci_segment_group_number;
	uint8_t start_bus_number;
	uint8_t end_bus_number;
	uint8_t reserved2[4];
} __attribute__((packed));

static_assert(sizeof(struct acpi_mcfg) == 24, "4.1.2");

/* The first tables of each collection. */
enum {
	TABLE_RSDP,
	TABLE_RSDT,
	TABLE_XSDT,
	TABLE_FIRST, /* of those that are added */
};

struct acpi_table {
	struct blob bytes;
	bool has_header;
	uint64_t gpa; /* once placed */
};

/* The field of a table that holds another one's address. */
struct acpi_pointer {
	acpi_table_id from;
	size_t offset;
	unsigned int size;
	acpi_table_id to;
};

struct acpi_tables {
	struct acpi_table table[ACPI_TABLES_MAX];
	unsigned int count; /* the current table is the last */
	struct acpi_pointer pointer[ACPI_POINTERS_MAX];
	unsigned int pointer_count;
	int error; /* the first; tables have their own as well */
};

static const char acpi_oem_id[6] = {'B', 'A', 'N', 'T', 'A', 'M'};

static void acpi_tables_fail(struct acpi_tables *tables, int error)
{
	if (!tables->error)
		tables->error = error;
}

/* Start a table without header. */
static acpi_table_id acpi_tables_add(struct acpi_tables *tables)
{
	if (tables->count == ACPI_TABLES_MAX) {
		acpi_tables_fail(tables, -EINVAL);
		return 0;
	}
	return tables->count++;
}

/* Start a table with one; its length and checksum come when it is placed. */
static acpi_table_id acpi_tables_add_header(struct acpi_tables *tables,
					    const char *signature,
					    uint8_t revision)
{
	acpi_table_id id = acpi_tables_add(tables);
	struct acpi_header header = {
		.revision = revision,
		.oem_table_id = {'B', 'A', 'N', 'T', 'A', 'M', 'V', 'M'},
		.oem_revision = le32_of(1),
		.creator_id = {'B', 'N', 'T', 'M'},
		.creator_revision = le32_of(1),
	};

	if (!id)
		return 0;
	memcpy(header.signature, signature, sizeof(header.signature));
	memcpy(header.oem_id, acpi_oem_id, sizeof(header.oem_id));
	blob_append(&tables->table[id].bytes, &header, sizeof(header));
	tables->table[id].has_header = true;
	return id;
}

static void acpi_tables_add_pointer(struct acpi_tables *tables,
				    acpi_table_id from, size_t offset,
				    unsigned int size, acpi_table_id to)
{
	if (tables->pointer_count == ACPI_POINTERS_MAX ||
	    offset + size > tables->table[from].bytes.len) {
		acpi_tables_fail(tables, -EINVAL);
		return;
	}
	tables->pointer[tables->pointer_count++] = (struct acpi_pointer){
		.from = from,
		.offset = offset,
		.size = size,
		.to = to,
	};
}

/* Append the address of @to to RSDT or XSDT. */
static void acpi_tables_list(struct acpi_tables *tables, acpi_table_id root,
			     unsigned int size, acpi_table_id to)
{
	struct blob *bytes = &tables->table[root].bytes;
	size_t offset = bytes->len;

	if (blob_extend(bytes, size))
		acpi_tables_add_pointer(tables, root, offset, size, to);
}

static void acpi_tables_add_rsdp(struct acpi_tables *tables)
{
	struct acpi_rsdp rsdp = {
		.signature = {'R', 'S', 'D', ' ', 'P', 'T', 'R', ' '},
		.revision = 2,
		.length = le32_of(sizeof(rsdp)),
	};

	memcpy(rsdp.oem_id, acpi_oem_id, sizeof(rsdp.oem_id));
	acpi_tables_add(tables);
	blob_append(&tables->table[TABLE_RSDP].bytes, &rsdp, sizeof(rsdp));
	acpi_tables_add_pointer(tables, TABLE_RSDP,
				offsetof(struct acpi_rsdp, rsdt_address), 4,
				TABLE_RSDT);
	acpi_tables_add_pointer(tables, TABLE_RSDP,
				offsetof(struct acpi_rsdp, xsdt_address), 8,
				TABLE_XSDT);
}

int acpi_tables_new(struct acpi_tables **out)
{
	struct acpi_tables *tables = calloc(1, sizeof(*tables));

	if (!tables)
		return -ENOMEM;
	acpi_tables_add_rsdp(tables);
	acpi_tables_add_header(tables, "RSDT", RSDT_REVISION);
	acpi_tables_add_header(tables, "XSDT", XSDT_REVISION);
	*out = tables;
	return 0;
}

void acpi_tables_free(struct acpi_tables *tables)
{
	if (!tables)
		return;
	for (unsigned int i = 0; i < tables->count; i++)
		blob_fini(&tables->table[i].bytes);
	free(tables);
}

acpi_table_id acpi_table_begin(struct acpi_tables *tables,
			       const char *signature, uint8_t revision)
{
	acpi_table_id id = acpi_tables_add_header(tables, signature, revision);

	if (id) {
		acpi_tables_list(tables, TABLE_RSDT, 4, id);
		acpi_tables_list(tables, TABLE_XSDT, 8, id);
	}
	return id;
}

void acpi_table_append(struct acpi_tables *tables, const void *data, size_t len)
{
	blob_append(&tables->table[tables->count - 1].bytes, data, len);
}

void acpi_table_point(struct acpi_tables *tables, size_t offset,
		      unsigned int size, acpi_table_id to)
{
	acpi_tables_add_pointer(tables, tables->count - 1, offset, size, to);
}

acpi_table_id acpi_tables_add_dsdt(struct acpi_tables *tables, struct aml *aml)
{
	acpi_table_id id;
	const uint8_t *code;
	size_t len;
	int ret;

	ret = aml_finish(aml, &code, &len);
	if (ret < 0)
		acpi_tables_fail(tables, ret);
	id = acpi_tables_add_header(tables, "DSDT", DSDT_REVISION);
	if (id)
		acpi_table_append(tables, code, len);
	return id;
}

acpi_table_id acpi_tables_add_facs(struct acpi_tables *tables)
{
	acpi_table_id id = acpi_tables_add(tables);
	const struct acpi_facs facs = {
		.signature = {'F', 'A', 'C', 'S'},
		.length = le32_of(sizeof(facs)),
		.version = FACS_VERSION,
	};

	if (id)
		acpi_table_append(tables, &facs, sizeof(facs));
	return id;
}

void acpi_tables_add_mcfg(struct acpi_tables *tables, uint64_t base,
			  uint8_t last_bus)
{
	const struct acpi_mcfg mcfg = {
		.base_address = le64_of(base),
		.end_bus_number = last_bus,
	};

	if (acpi_table_begin(tables, "MCFG", MCFG_REVISION))
		acpi_table_append(tables, &mcfg, sizeof(mcfg));
}

static uint64_t acpi_align(uint64_t value, uint64_t align)
{
	return (value + align - 1) & ~(align - 1);
}

/* Give each table its address. */
static int acpi_tables_lay_out(struct acpi_tables *tables, uint64_t base,
			       uint64_t size, struct error *err)
{
	uint64_t end = acpi_align(base, ACPI_RSDP_ALIGN);
	uint64_t align = ACPI_RSDP_ALIGN;

	for (unsigned int i = 0; i < tables->count; i++) {
		struct acpi_table *table = &tables->table[i];

		if (table->bytes.error)
			return error_set(err, -table->bytes.error,
					 "building ACPI tables failed: %s",
					 strerror(-table->bytes.error));
		table->gpa = acpi_align(end, align);
		end = table->gpa + table->bytes.len;
		align = ACPI_TABLE_ALIGN;
	}
	if (end - base > size)
		return error_set(err, ENOSPC,
				 "the ACPI tables need %" PRIu64
				 " bytes, and there is room for %" PRIu64,
				 end - base, size);
	if (end > UINT32_MAX)
		return error_set(err, ERANGE,
				 "the ACPI tables end at 0x%" PRIx64
				 ", and must be below 4 GiB",
				 end);
	return 0;
}

/* The byte that makes the sum of all 0. */
static uint8_t acpi_checksum(const uint8_t *data, size_t len)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + data[i]);
	return (uint8_t)-sum;
}

static void acpi_tables_link(struct acpi_tables *tables)
{
	for (unsigned int i = 0; i < tables->pointer_count; i++) {
		const struct acpi_pointer *pointer = &tables->pointer[i];
		le64 gpa = le64_of(tables->table[pointer->to].gpa);

		/* Little-endian: the low bytes come first. */
		memcpy(tables->table[pointer->from].bytes.data +
			       pointer->offset,
		       &gpa, pointer->size);
	}
}

static void acpi_tables_sum(struct acpi_tables *tables)
{
	struct acpi_rsdp rsdp;

	for (unsigned int i = 0; i < tables->count; i++) {
		struct blob *bytes = &tables->table[i].bytes;
		struct acpi_header header;

		if (!tables->table[i].has_header)
			continue;
		memcpy(&header, bytes->data, sizeof(header));
		header.length = le32_of((uint32_t)bytes->len);
		header.checksum = 0;
		memcpy(bytes->data, &header, sizeof(header));
		bytes->data[offsetof(struct acpi_header, checksum)] =
			acpi_checksum(bytes->data, bytes->len);
	}

	memcpy(&rsdp, tables->table[TABLE_RSDP].bytes.data, sizeof(rsdp));
	rsdp.checksum = 0;
	rsdp.extended_checksum = 0;
	rsdp.checksum = acpi_checksum((const uint8_t *)&rsdp, RSDP_V1_SIZE);
	rsdp.extended_checksum =
		acpi_checksum((const uint8_t *)&rsdp, sizeof(rsdp));
	memcpy(tables->table[TABLE_RSDP].bytes.data, &rsdp, sizeof(rsdp));
}

int acpi_tables_place(struct acpi_tables *tables, struct guest_mem *mem,
		      uint64_t base, uint64_t size, uint64_t *rsdp,
		      struct error *err)
{
	int ret;

	if (tables->error)
		return error_set(err, -tables->error,
				 "building ACPI tables failed: %s",
				 strerror(-tables->error));
	ret = acpi_tables_lay_out(tables, base, size, err);
	if (ret < 0)
		return ret;
	acpi_tables_link(tables);
	acpi_tables_sum(tables);
	for (unsigned int i = 0; i < tables->count; i++) {
		const struct acpi_table *table = &tables->table[i];

		ret = guest_mem_write(mem, table->gpa, table->bytes.data,
				      table->bytes.len);
		if (ret < 0)
			return error_set(
				err, -ret,
				"the ACPI tables need RAM at 0x%" PRIx64,
				table->gpa);
	}
	*rsdp = tables->table[TABLE_RSDP].gpa;
	return 0;
}
