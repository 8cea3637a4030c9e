#include "tests/unit/support/iasl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "vmm/base/bytes.h"

/* ACPI 6.5, 5.2.6 */
#define HEADER_SIZE 36
#define AT_LENGTH   4
#define AT_CHECKSUM 9
#define AT_COMPILER 28 /* its name and revision, up to the header's end */

/* With these arguments. */
static void iasl_run(const char *dir, const char *arguments)
{
	char command[256];

	snprintf(command, sizeof(command), "cd %s && iasl %s >iasl.log 2>&1",
		 dir, arguments);
	ck_assert_msg(system(command) == 0,
		      "iasl %s failed: see %s/iasl.log (is iasl, of Debian's "
		      "package acpica-tools, installed?)",
		      arguments, dir);
}

static size_t iasl_slurp(const char *dir, const char *name, uint8_t *data,
			 size_t room)
{
	char path[128];
	size_t len;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "rb");
	ck_assert_msg(file != NULL, "%s is not there", path);
	len = fread(data, 1, room, file);
	fclose(file);
	return len;
}

static void iasl_spill(const char *dir, const char *name, const void *data,
		       size_t len)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "wb");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(data, 1, len, file), len);
	ck_assert_int_eq(fclose(file), 0);
}

static void iasl_check_one(const char *dir, const uint8_t *table)
{
	static uint8_t again[IASL_TABLE_MAX], log[1 << 16];
	size_t len, log_len;
	le32 raw;

	memcpy(&raw, table + AT_LENGTH, sizeof(raw));
	len = le32_get(raw);
	iasl_spill(dir, "table.dat", table, len);
	iasl_run(dir, "-p table -d table.dat");
	iasl_run(dir, "-p again table.dsl");
	log_len = iasl_slurp(dir, "iasl.log", log, sizeof(log));
	ck_assert_msg(memmem(log, log_len, "0 Errors, 0 Warnings", 20) != NULL,
		      "%.4s: %.*s", (const char *)table, (int)log_len,
		      (const char *)log);
	ck_assert_uint_eq(iasl_slurp(dir, "again.aml", again, sizeof(again)),
			  len);
	ck_assert_mem_eq(again, table, AT_CHECKSUM);
	ck_assert_mem_eq(again + AT_CHECKSUM + 1, table + AT_CHECKSUM + 1,
			 AT_COMPILER - AT_CHECKSUM - 1);
	ck_assert_mem_eq(again + HEADER_SIZE, table + HEADER_SIZE,
			 len - HEADER_SIZE);
}

void iasl_check(const uint8_t *const *tables, unsigned int count)
{
	char dir[] = "/tmp/bantam-acpi-XXXXXX";
	char command[80];

	ck_assert_ptr_nonnull(mkdtemp(dir));
	for (unsigned int i = 0; i < count; i++)
		iasl_check_one(dir, tables[i]);
	/* Only of a test that passed. */
	snprintf(command, sizeof(command), "rm -r %s", dir);
	ck_assert_int_eq(system(command), 0);
}
