#include "arch/aarch64/efi.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <zlib.h>

#include "vmm/base/bytes.h"

#define EFI_PAGE_SHIFT	 12
#define EFI_GRANULE	 UINT64_C(0x10000) /* UEFI 2.10, 2.3.6 */
#define EFI_REVISION	 (2u << 16 | 100)  /* 2.10 */
#define EFI_DESC_VERSION 1
#define EFI_NO_ADDRESS	 UINT64_MAX

/* 7.2, memory types and attributes */
#define EFI_RUNTIME_SERVICES_DATA 6
#define EFI_CONVENTIONAL_MEMORY	  7
#define EFI_ACPI_RECLAIM_MEMORY	  9
#define EFI_MEMORY_CACHES	  UINT64_C(0xf) /* UC, WC, WT and WB */
#define EFI_MEMORY_RUNTIME	  (UINT64_C(1) << 63)

/* 4.2 */
struct efi_table_header {
	char signature[8];
	le32 revision;
	le32 header_size;
	le32 crc32;
	le32 reserved;
} __attribute__((packed));

/* 4.3; there are neither consoles nor services. */
struct efi_system_table {
	struct efi_table_header hdr;
	le64 firmware_vendor;
	le32 firmware_revision;
	uint8_t reserved[4];
	le64 consoles[6];
	le64 runtime_services;
	le64 boot_services;
	le64 table_count;
	le64 tables;
} __attribute__((packed));

/* As it is in memory: the first three numbers are little-endian. */
struct efi_guid {
	uint8_t bytes[16];
};

/* 4.6 */
struct efi_config_table {
	struct efi_guid guid;
	le64 table;
} __attribute__((packed));

/* 4.6, "EFI_RT_PROPERTIES_TABLE": none of the services is there. */
struct efi_rt_properties {
	le16 version;
	le16 length;
	le32 supported;
} __attribute__((packed));

/* 7.2, "EFI_MEMORY_DESCRIPTOR" */
struct efi_memory_descriptor {
	le32 type;
	uint8_t reserved[4];
	le64 physical_start;
	le64 virtual_start;
	le64 number_of_pages;
	le64 attribute;
} __attribute__((packed));

static_assert(sizeof(struct efi_system_table) == 120, "4.3");
static_assert(sizeof(struct efi_config_table) == 24, "4.6");
static_assert(sizeof(struct efi_memory_descriptor) == 40, "7.2");

/* struct linux_efi_memreserve of Linux's efi.h: a list, empty yet, of what the
 * kernel keeps from a kernel that it hands over to, such as the tables that the
 * GIC reads. */
struct efi_memreserve {
	le32 size;
	le32 count;
	le64 next;
} __attribute__((packed));

enum efi_tables {
	EFI_ACPI_20_TABLE,
	EFI_RT_PROPERTIES_TABLE,
	EFI_MEMRESERVE_TABLE,
	EFI_TABLES,
};

/* The first granule. */
struct efi_data {
	struct efi_system_table system;
	struct efi_config_table table[EFI_TABLES];
	struct efi_rt_properties properties;
	/* Linux maps a hundred characters, however few there are. */
	le16 vendor[100];
} __attribute__((packed));

/* The second one: each region of RAM and, in one of them, the area; behind that
 * the list, which begins as zeros, as guest memory does. */
#define EFI_MMAP_MAX (GUEST_MEM_REGIONS_MAX + 3)

struct efi_mmap {
	struct efi_memory_descriptor desc[EFI_MMAP_MAX];
	unsigned int count;
};

#define EFI_MEMRESERVE_OFFSET UINT64_C(0x1000)

static_assert(sizeof(struct efi_data) <= EFI_GRANULE, "");
static_assert(sizeof(((struct efi_mmap *)0)->desc) <= EFI_MEMRESERVE_OFFSET,
	      "");
static_assert(EFI_MEMRESERVE_OFFSET + sizeof(struct efi_memreserve) <=
		      EFI_GRANULE,
	      "");
static_assert(EFI_SIZE == 2 * EFI_GRANULE, "data and map");

/* 8868e871-e4f1-11d3-bc22-0080c73c8881 */
static const struct efi_guid efi_acpi_20_guid = {{
	0x71,
	0xe8,
	0x68,
	0x88,
	0xf1,
	0xe4,
	0xd3,
	0x11,
	0xbc,
	0x22,
	0x00,
	0x80,
	0xc7,
	0x3c,
	0x88,
	0x81,
}};

/* eb66918a-7eef-402a-842e-931d21c38ae9 */
static const struct efi_guid efi_rt_properties_guid = {{
	0x8a,
	0x91,
	0x66,
	0xeb,
	0xef,
	0x7e,
	0x2a,
	0x40,
	0x84,
	0x2e,
	0x93,
	0x1d,
	0x21,
	0xc3,
	0x8a,
	0xe9,
}};

/* 888eb0c6-8ede-4ff5-a8f0-9aee5cb977c2 */
static const struct efi_guid efi_memreserve_guid = {{
	0xc6,
	0xb0,
	0x8e,
	0x88,
	0xde,
	0x8e,
	0xf5,
	0x4f,
	0xa8,
	0xf0,
	0x9a,
	0xee,
	0x5c,
	0xb9,
	0x77,
	0xc2,
}};

/* @base: where it is going to be */
static void efi_fill_data(struct efi_data *data, uint64_t base, uint64_t rsdp)
{
	static const char vendor[] = "bantam";
	struct efi_system_table *system = &data->system;

	for (size_t i = 0; i < sizeof(vendor); i++)
		data->vendor[i] = le16_of((uint8_t)vendor[i]);
	data->properties.version = le16_of(1);
	data->properties.length = le16_of(sizeof(data->properties));
	data->table[EFI_ACPI_20_TABLE] = (struct efi_config_table){
		.guid = efi_acpi_20_guid,
		.table = le64_of(rsdp),
	};
	data->table[EFI_RT_PROPERTIES_TABLE] = (struct efi_config_table){
		.guid = efi_rt_properties_guid,
		.table = le64_of(base + offsetof(struct efi_data, properties)),
	};
	data->table[EFI_MEMRESERVE_TABLE] = (struct efi_config_table){
		.guid = efi_memreserve_guid,
		.table = le64_of(base + EFI_GRANULE + EFI_MEMRESERVE_OFFSET),
	};
	memcpy(system->hdr.signature, "IBI SYST", 8);
	system->hdr.revision = le32_of(EFI_REVISION);
	system->hdr.header_size = le32_of(sizeof(*system));
	system->firmware_vendor =
		le64_of(base + offsetof(struct efi_data, vendor));
	system->table_count = le64_of(EFI_TABLES);
	system->tables = le64_of(base + offsetof(struct efi_data, table));
	system->hdr.crc32 = le32_of(
		(uint32_t)crc32(0, (const uint8_t *)system, sizeof(*system)));
}

static void efi_add_range(struct efi_mmap *map, uint32_t type, uint64_t base,
			  uint64_t end)
{
	bool runtime = type == EFI_RUNTIME_SERVICES_DATA;

	if (base == end)
		return;
	/*
	 * Runtime data without a virtual address: Linux calls no service then,
	 * with or without efi=noruntime.
	 */
	map->desc[map->count++] = (struct efi_memory_descriptor){
		.type = le32_of(type),
		.physical_start = le64_of(base),
		.virtual_start = le64_of(runtime ? EFI_NO_ADDRESS : 0),
		.number_of_pages = le64_of((end - base) >> EFI_PAGE_SHIFT),
		.attribute = le64_of(EFI_MEMORY_CACHES |
				     (runtime ? EFI_MEMORY_RUNTIME : 0)),
	};
}

static void efi_fill_map(struct efi_mmap *map, const struct guest_mem *mem,
			 uint64_t base, uint64_t size)
{
	const struct guest_mem_region *regions;
	unsigned int count = guest_mem_regions(mem, &regions);

	for (unsigned int i = 0; i < count; i++) {
		uint64_t start = regions[i].base;
		uint64_t end = start + regions[i].size;

		if (base >= start && base < end) {
			efi_add_range(map, EFI_CONVENTIONAL_MEMORY, start,
				      base);
			efi_add_range(map, EFI_RUNTIME_SERVICES_DATA, base,
				      base + EFI_GRANULE);
			efi_add_range(map, EFI_ACPI_RECLAIM_MEMORY,
				      base + EFI_GRANULE, base + size);
			start = base + size;
		}
		efi_add_range(map, EFI_CONVENTIONAL_MEMORY, start, end);
	}
}

int efi_build(struct guest_mem *mem, uint64_t base, uint64_t size,
	      uint64_t rsdp, struct efi_handoff *out, struct error *err)
{
	struct efi_data data = {.system = {.reserved = {0}}};
	struct efi_mmap map = {.count = 0};
	uint32_t map_size;
	int ret;

	if (!guest_mem_span(mem, base, size))
		return error_set(err, EFAULT,
				 "--memory: no RAM at 0x%" PRIx64
				 " for the EFI tables",
				 base);
	efi_fill_data(&data, base, rsdp);
	efi_fill_map(&map, mem, base, size);
	map_size = map.count * (uint32_t)sizeof(map.desc[0]);
	ret = guest_mem_write(mem, base, &data, sizeof(data));
	if (!ret)
		ret = guest_mem_write(mem, base + EFI_GRANULE, map.desc,
				      map_size);
	if (ret)
		return error_set(err, -ret, "--memory: no RAM for EFI tables");
	*out = (struct efi_handoff){
		.system_table = base,
		.mmap = base + EFI_GRANULE,
		.mmap_size = map_size,
		.desc_size = sizeof(map.desc[0]),
		.desc_version = EFI_DESC_VERSION,
	};
	return 0;
}
