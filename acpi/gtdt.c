#include "acpi/gtdt.h"

#include <assert.h>

#define GTDT_REVISION 3

/* CntControlBase and CntReadBase: there is none. */
#define GTDT_NO_ADDRESS UINT64_MAX

/* Timer flags: level and active high are 0. */
#define GTDT_ALWAYS_ON (1u << 2)

#define HEADER_SIZE 36

struct acpi_gtdt_timer {
	le32 gsiv;
	le32 flags;
} __attribute__((packed));

/* The table behind its header. */
struct acpi_gtdt_body {
	le64 cnt_control_base;
	uint8_t reserved[4];
	struct acpi_gtdt_timer secure_el1;
	struct acpi_gtdt_timer non_secure_el1;
	struct acpi_gtdt_timer virtual_el1;
	struct acpi_gtdt_timer el2;
	le64 cnt_read_base;
	le32 platform_timer_count;
	le32 platform_timer_offset;
	struct acpi_gtdt_timer virtual_el2;
} __attribute__((packed));

static_assert(sizeof(struct acpi_gtdt_body) == 104 - HEADER_SIZE, "5.2.25");

static struct acpi_gtdt_timer acpi_gtdt_timer_of(uint32_t gsiv)
{
	return (struct acpi_gtdt_timer){
		.gsiv = le32_of(gsiv),
		.flags = le32_of(GTDT_ALWAYS_ON),
	};
}

void acpi_gtdt_add(struct acpi_tables *tables, const struct acpi_gtdt *gtdt)
{
	const struct acpi_gtdt_body body = {
		.cnt_control_base = le64_of(GTDT_NO_ADDRESS),
		.secure_el1 = acpi_gtdt_timer_of(gtdt->secure_el1),
		.non_secure_el1 = acpi_gtdt_timer_of(gtdt->non_secure_el1),
		.virtual_el1 = acpi_gtdt_timer_of(gtdt->virtual_el1),
		.el2 = acpi_gtdt_timer_of(gtdt->el2),
		.cnt_read_base = le64_of(GTDT_NO_ADDRESS),
	};

	if (acpi_table_begin(tables, "GTDT", GTDT_REVISION))
		acpi_table_append(tables, &body, sizeof(body));
}
