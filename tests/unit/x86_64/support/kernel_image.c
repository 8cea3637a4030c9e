#include "tests/unit/x86_64/support/kernel_image.h"

#include <elf.h>
#include <string.h>

#include <asm/bootparam.h>

#include <check.h>

#include "arch/x86_64/layout.h"

#define MIB UINT64_C(0x100000)

static void blob_phdr(struct blob *blob, bool is64, unsigned int index,
		      const struct blob_segment *s)
{
	if (is64) {
		Elf64_Phdr p = {
			.p_type = s->type,
			.p_offset = s->offset,
			.p_vaddr = s->vaddr,
			.p_paddr = s->paddr,
			.p_filesz = s->filesz,
			.p_memsz = s->memsz,
		};

		blob_put(blob, sizeof(Elf64_Ehdr) + index * sizeof(p), &p,
			 sizeof(p));
	} else {
		Elf32_Phdr p = {
			.p_type = s->type,
			.p_offset = (uint32_t)s->offset,
			.p_vaddr = (uint32_t)s->vaddr,
			.p_paddr = (uint32_t)s->paddr,
			.p_filesz = (uint32_t)s->filesz,
			.p_memsz = (uint32_t)s->memsz,
		};

		blob_put(blob, sizeof(Elf32_Ehdr) + index * sizeof(p), &p,
			 sizeof(p));
	}
}

void blob_elf(struct blob *blob, bool is64, uint16_t machine, uint64_t entry,
	      const struct blob_segment *segments, unsigned int count)
{
	if (is64) {
		Elf64_Ehdr e = {
			.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64,
				    ELFDATA2LSB, EV_CURRENT},
			.e_type = ET_EXEC,
			.e_machine = machine,
			.e_version = EV_CURRENT,
			.e_entry = entry,
			.e_phoff = sizeof(e),
			.e_ehsize = sizeof(e),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = (uint16_t)count,
		};

		blob_put(blob, 0, &e, sizeof(e));
	} else {
		Elf32_Ehdr e = {
			.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32,
				    ELFDATA2LSB, EV_CURRENT},
			.e_type = ET_EXEC,
			.e_machine = machine,
			.e_version = EV_CURRENT,
			.e_entry = (uint32_t)entry,
			.e_phoff = sizeof(e),
			.e_ehsize = sizeof(e),
			.e_phentsize = sizeof(Elf32_Phdr),
			.e_phnum = (uint16_t)count,
		};

		blob_put(blob, 0, &e, sizeof(e));
	}
	for (unsigned int i = 0; i < count; i++)
		blob_phdr(blob, is64, i, &segments[i]);
}

size_t blob_note(struct blob *blob, size_t offset, const char *name,
		 uint32_t type, const void *desc, uint32_t desc_size)
{
	uint32_t name_size = (uint32_t)strlen(name) + 1;
	size_t at = offset;

	blob_put32(blob, at, name_size);
	blob_put32(blob, at + 4, desc_size);
	blob_put32(blob, at + 8, type);
	at += 12;
	blob_put(blob, at, name, name_size);
	at += (name_size + 3) & ~3u;
	blob_put(blob, at, desc, desc_size);
	at += (desc_size + 3) & ~3u;
	blob_grow(blob, at);
	return at - offset;
}

void blob_simple_elf(struct blob *blob, bool is64, uint64_t paddr, size_t size)
{
	struct blob_segment s = {
		.type = PT_LOAD,
		.offset = 0x1000,
		.vaddr = 0xc0000000 + paddr,
		.paddr = paddr,
		.filesz = size,
		.memsz = size + 0x2000,
	};

	blob_elf(blob, is64, is64 ? EM_X86_64 : EM_386, paddr, &s, 1);
	blob_fill(blob, 0x1000, size);
}

void blob_bzimage(struct blob *blob, const struct blob *payload, bool gzip)
{
	const size_t code = 0x240; /* of the part before the payload */
	size_t at = BLOB_SETUP_SIZE + code;
	struct setup_header hdr = {
		.setup_sects = 1,
		.boot_flag = 0xaa55,
		/* a short jump to the end of the header */
		.jump = 0xeb | (0x1f1 + sizeof(hdr) - 0x202) << 8,
		.header = 0x53726448,
		.version = 0x020f,
		.loadflags = LOADED_HIGH | CAN_USE_HEAP,
		.type_of_loader = 0x12,
		.code32_start = 0x100000,
		.initrd_addr_max = 0x7fffffff,
		.kernel_alignment = 0x200000,
		.relocatable_kernel = 1,
		.min_alignment = 21,
		.xloadflags = XLF_KERNEL_64,
		.cmdline_size = 2047,
		.payload_offset = (uint32_t)code,
		.pref_address = 0x1000000,
		.init_size = 0x400000,
		.setup_data = 0x1234,
	};

	blob_fill(blob, BLOB_SETUP_SIZE, code);
	if (gzip)
		blob_put_gzip(blob, at, payload);
	else
		blob_put(blob, at, payload->data, payload->len);
	hdr.payload_length = (uint32_t)(blob->len - at);
	blob_grow(blob, (blob->len + 15) & ~(size_t)15);
	hdr.syssize = (uint32_t)((blob->len - BLOB_SETUP_SIZE) / 16);
	blob_put(blob, 0x1f1, &hdr, sizeof(hdr));
}

void test_machine_init(struct test_machine *m, uint64_t size)
{
	uint64_t low = size < LAYOUT_LOW_RAM_MAX ? size : LAYOUT_LOW_RAM_MAX;
	struct guest_mem_region regions[2] = {
		{0, low},
		{LAYOUT_4G, size - low},
	};

	*m = (struct test_machine){
		.map = {{0, LAYOUT_EBDA, MEMMAP_RAM},
			{LAYOUT_EBDA, LAYOUT_HIGH_RAM - LAYOUT_EBDA,
			 MEMMAP_RESERVED},
			{LAYOUT_HIGH_RAM, low - LAYOUT_HIGH_RAM, MEMMAP_RAM},
			{LAYOUT_4G, size - low, MEMMAP_RAM}},
		.map_count = size > low ? 4 : 3,
	};
	ck_assert_int_eq(
		guest_mem_new(&m->mem, regions, size > low ? 2 : 1, 0, &m->err),
		0);
}

void test_machine_fini(struct test_machine *m)
{
	guest_mem_free(m->mem);
}

int test_machine_boot(struct test_machine *m, const struct blob *kernel,
		      enum arch_entry entry, const struct blob *initrd,
		      const char *cmdline)
{
	struct image image, initrd_image;
	struct kernel *k = NULL;
	int ret;

	blob_image(kernel, kernel->len, "--kernel", &image);
	if (initrd)
		blob_image(initrd, initrd->len, "--initrd", &initrd_image);
	m->err.text[0] = '\0';
	ret = kernel_probe(&k, &image, entry, initrd ? &initrd_image : NULL,
			   cmdline, &m->err);
	if (ret == 0) {
		m->protocol = kernel_protocol(k);
		ret = kernel_load(k, m->mem, m->map, m->map_count, TEST_RSDP,
				  &m->entry, &m->err);
	}
	if (ret) {
		ck_assert_int_lt(ret, 0);
		ck_assert_uint_gt(strlen(m->err.text), 10);
		ck_assert_ptr_null(strchr(m->err.text, '\n'));
	}
	kernel_free(k);
	if (initrd)
		image_close(&initrd_image);
	image_close(&image);
	return ret;
}

bool test_machine_has(const struct test_machine *m, uint64_t gpa,
		      const struct blob *blob, size_t offset, size_t len)
{
	const void *span = guest_mem_span(m->mem, gpa, len);

	return span && memcmp(span, blob->data + offset, len) == 0;
}

uint32_t test_machine_get32(const struct test_machine *m, uint64_t gpa)
{
	uint32_t value = 0;

	ck_assert_int_eq(guest_mem_read(m->mem, gpa, &value, sizeof(value)), 0);
	return value;
}

uint64_t test_machine_get64(const struct test_machine *m, uint64_t gpa)
{
	uint64_t value = 0;

	ck_assert_int_eq(guest_mem_read(m->mem, gpa, &value, sizeof(value)), 0);
	return value;
}
