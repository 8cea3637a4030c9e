#include "acpi/iort.h"

#include <assert.h>
#include <stddef.h>

#define IORT_REVISION 0

/* Node types (3.1.1) */
#define IORT_ITS_GROUP	  0
#define IORT_ROOT_COMPLEX 2

#define ROOT_COMPLEX_REVISION 1 /* with a memory address size limit */

#define IORT_COHERENT	  1 /* table 14: fully coherent device */
#define IORT_MEMORY_FLAGS 3 /* CPM and DACS */
#define IORT_ADDRESS_BITS 64
#define IORT_REQUESTERS	  0x10000

#define HEADER_SIZE 36

struct iort_node {
	uint8_t type;
	le16 length;
	uint8_t revision;
	uint8_t reserved[4];
	le32 mapping_count;
	le32 mapping_offset;
} __attribute__((packed));

/* 3.1.1.1, with one identifier */
struct iort_its_group {
	struct iort_node node;
	le32 its_count;
	le32 its_id;
} __attribute__((packed));

/* 3.1.1.3 */
struct iort_root_complex {
	struct iort_node node;
	le32 cache_coherent;
	uint8_t allocation_hints;
	uint8_t reserved[2];
	uint8_t memory_access_flags;
	le32 ats_attribute;
	le32 pci_segment;
	uint8_t address_bits;
	uint8_t reserved2[3];
} __attribute__((packed));

/* 3.1.1.6 */
struct iort_id_mapping {
	le32 input_base;
	le32 id_count; /* less one */
	le32 output_base;
	le32 output_reference;
	le32 flags;
} __attribute__((packed));

/* The table behind its header. */
struct acpi_iort_body {
	le32 node_count;
	le32 node_offset;
	uint8_t reserved[4];
	struct iort_its_group its;
	struct iort_root_complex root;
	struct iort_id_mapping mapping;
} __attribute__((packed));

static_assert(sizeof(struct iort_node) == 16, "3.1.1");
static_assert(sizeof(struct iort_root_complex) == 36, "3.1.1.3");
static_assert(sizeof(struct iort_id_mapping) == 20, "3.1.1.6");

#define IORT_OFFSET(member) \
	(HEADER_SIZE + offsetof(struct acpi_iort_body, member))

void acpi_iort_add(struct acpi_tables *tables, uint32_t its_id)
{
	const struct acpi_iort_body body = {
		.node_count = le32_of(2),
		.node_offset = le32_of(IORT_OFFSET(its)),
		.its =
			{
				.node =
					{
						.type = IORT_ITS_GROUP,
						.length = le16_of(
							sizeof(body.its)),
					},
				.its_count = le32_of(1),
				.its_id = le32_of(its_id),
			},
		.root =
			{
				.node =
					{
						.type = IORT_ROOT_COMPLEX,
						.length = le16_of(
							sizeof(body.root) +
							sizeof(body.mapping)),
						.revision =
							ROOT_COMPLEX_REVISION,
						.mapping_count = le32_of(1),
						.mapping_offset = le32_of(
							sizeof(body.root)),
					},
				.cache_coherent = le32_of(IORT_COHERENT),
				.memory_access_flags = IORT_MEMORY_FLAGS,
				.address_bits = IORT_ADDRESS_BITS,
			},
		.mapping =
			{
				.id_count = le32_of(IORT_REQUESTERS - 1),
				.output_reference = le32_of(IORT_OFFSET(its)),
			},
	};

	if (acpi_table_begin(tables, "IORT", IORT_REVISION))
		acpi_table_append(tables, &body, sizeof(body));
}
