/* Multiboot: the header's search and checks, flat and ELF, the information. */
#include "arch/x86_64/multiboot.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "arch/x86_64/layout.h"
#include "tests/unit/x86_64/support/kernel_image.h"

#define MAGIC 0x1badb002u
#define FLAT  0x10000u
#define PADDR UINT64_C(0x100000)

static void put_header(struct blob *b, size_t at, uint32_t flags)
{
	blob_put32(b, at, MAGIC);
	blob_put32(b, at + 4, flags);
	blob_put32(b, at + 8, -(MAGIC + flags));
}

static void put_addresses(struct blob *b, size_t at, uint32_t header_addr,
			  uint32_t load_addr, uint32_t load_end_addr,
			  uint32_t bss_end_addr, uint32_t entry_addr)
{
	blob_put32(b, at + 12, header_addr);
	blob_put32(b, at + 16, load_addr);
	blob_put32(b, at + 20, load_end_addr);
	blob_put32(b, at + 24, bss_end_addr);
	blob_put32(b, at + 28, entry_addr);
}

static void make_elf(struct blob *b, bool is64, uint32_t flags)
{
	blob_simple_elf(b, is64, PADDR, 0x800);
	put_header(b, 0x1000, flags);
}

static int parse(const struct blob *b, struct multiboot *mb, struct error *err)
{
	struct image image = {
		.option = "--kernel", .path = "FILE", .fd = -1, .size = b->len};

	return multiboot_parse(mb, &image, b->data, b->len, err);
}

START_TEST(multiboot_is_header_anywhere_in_8192_is_found)
{
	static const size_t at[] = {0, 4, 0x1000, 8192 - 12};
	struct blob b = {0};

	put_header(&b, at[_i], 3);
	ck_assert(multiboot_is(b.data, b.len));
	ck_assert(!multiboot_is(b.data, b.len - 1));
	b.data[at[_i] + 8] ^= 1; /* the checksum */
	ck_assert(!multiboot_is(b.data, b.len));
	blob_free(&b);
}
END_TEST

START_TEST(multiboot_is_header_elsewhere_is_not_found)
{
	static const size_t at[] = {2, 8192 - 8, 8192, 0x10000};
	struct blob b = {0};

	put_header(&b, at[_i], 0);
	ck_assert(!multiboot_is(b.data, b.len));
	blob_free(&b);
}
END_TEST

START_TEST(multiboot_parse_unmet_requirement_is_named)
{
	struct multiboot mb;
	struct error err;

	for (unsigned int bit = 2; bit < 16; bit++) {
		struct blob b = {0};
		char flags[32];

		make_elf(&b, false, 3 | 1u << bit);
		ck_assert_int_eq(parse(&b, &mb, &err), -ENOTSUP);
		snprintf(flags, sizeof(flags), "flags 0x%x", 1u << bit);
		ck_assert_msg(strstr(err.text, flags), "%s", err.text);
		ck_assert_int_eq(strstr(err.text, "video mode") != NULL,
				 bit == 2);
		blob_free(&b);
	}
}
END_TEST

START_TEST(multiboot_parse_unknown_options_are_ignored)
{
	struct multiboot mb;
	struct error err;
	struct blob b = {0};

	make_elf(&b, false, 0xfffe0003);
	ck_assert_int_eq(parse(&b, &mb, &err), 0);
	ck_assert(!mb.is_flat);
	blob_free(&b);
}
END_TEST

START_TEST(multiboot_parse_address_fields_place_the_image)
{
	struct multiboot mb;
	struct error err;
	struct blob b = {0};

	blob_fill(&b, 0, 0x3000);
	put_header(&b, 0x40, FLAT);
	/* What is before load_addr in the file, 0x10 bytes, is left out. */
	put_addresses(&b, 0x40, PADDR + 0x30, PADDR, PADDR + 0x2000,
		      PADDR + 0x8000, PADDR + 0x60);
	ck_assert_int_eq(parse(&b, &mb, &err), 0);
	ck_assert(mb.is_flat);
	ck_assert_uint_eq(mb.offset, 0x10);
	ck_assert_uint_eq(mb.size, 0x2000);
	ck_assert_uint_eq(mb.base, PADDR);
	ck_assert_uint_eq(mb.memsz, 0x8000);
	ck_assert_uint_eq(mb.entry, PADDR + 0x60);
	/* Zeros: to the end of the file, and no bss. */
	put_addresses(&b, 0x40, PADDR + 0x30, PADDR, 0, 0, PADDR);
	ck_assert_int_eq(parse(&b, &mb, &err), 0);
	ck_assert_uint_eq(mb.size, 0x3000 - 0x10);
	ck_assert_uint_eq(mb.memsz, mb.size);
	blob_free(&b);
}
END_TEST

/* header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr from PADDR
 * on, of a file of 0x3000 bytes with its header at 0x40. */
static const struct {
	uint32_t field[5];
	const char *says;
} bad_addresses[] = {
	{{0x41, 0, 0, 0, 0}, "header_addr"},
	{{0x40, 0x41, 0, 0, 0x41}, "load_addr"},
	{{0x40, 0, 0x3001, 0, 0}, "load_end_addr"},
	{{0x40, 0, 0xefe00000, 0, 0}, "load_end_addr"},
	{{0x40, 0x10, 0x10, 0, 0x10}, "load_end_addr"},
	{{0x40, 0, 0x2000, 0x1fff, 0}, "bss_end_addr"},
	{{0x40, 0x10, 0x2000, 0x8, 0x10}, "bss_end_addr"},
	{{0x40, 0, 0x2000, 0x3000, 0x2000}, "entry_addr"},
	{{0x40, 0, 0, 0, 0x3000}, "entry_addr"},
	{{0x40, 0, 0, 0, 0xfff00000}, "entry_addr"},
};

START_TEST(multiboot_parse_bad_address_is_named)
{
	const uint32_t *f = bad_addresses[_i].field;
	const uint32_t p = PADDR;
	struct multiboot mb;
	struct error err;
	struct blob b = {0};

	blob_fill(&b, 0, 0x3000);
	put_header(&b, 0x40, FLAT);
	put_addresses(&b, 0x40, p + f[0], p + f[1], f[2] ? p + f[2] : 0,
		      f[3] ? p + f[3] : 0, p + f[4]);
	ck_assert_int_eq(parse(&b, &mb, &err), -EINVAL);
	ck_assert_msg(strstr(err.text, bad_addresses[_i].says), "%s", err.text);
	blob_free(&b);
}
END_TEST

static void check_entry(const struct test_machine *m, uint64_t ip)
{
	ck_assert_int_eq(m->protocol, KERNEL_MULTIBOOT);
	ck_assert(!m->entry.long_mode);
	ck_assert_uint_eq(m->entry.ip, ip);
	ck_assert_uint_eq(m->entry.ax, 0x2badb002);
	ck_assert_uint_eq(m->entry.bx, LAYOUT_BOOT_INFO);
	ck_assert_uint_eq(m->entry.cs, 0x10);
	ck_assert_uint_eq(m->entry.ds, 0x18);
}

START_TEST(multiboot_load_flat_image_is_in_place)
{
	struct test_machine m;
	struct blob b = {0};

	blob_fill(&b, 0, 0x3000);
	put_header(&b, 0x40, FLAT | 3);
	put_addresses(&b, 0x40, PADDR + 0x30, PADDR, PADDR + 0x2000,
		      PADDR + 0x8000, PADDR + 0x60);
	test_machine_init(&m, 32 << 20);
	ck_assert_int_eq(test_machine_boot(&m, &b, ARCH_ENTRY_AUTO, NULL, ""),
			 0);
	check_entry(&m, PADDR + 0x60);
	ck_assert(test_machine_has(&m, PADDR, &b, 0x10, 0x2000));
	ck_assert_uint_eq(test_machine_get32(&m, PADDR + 0x2000), 0);
	blob_free(&b);
	test_machine_fini(&m);
}
END_TEST

START_TEST(multiboot_load_elf_with_address_fields_uses_them)
{
	struct test_machine m;
	struct blob b = {0};

	blob_simple_elf(&b, false, 0x400000, 0x800);
	put_header(&b, 0x1000, FLAT);
	put_addresses(&b, 0x1000, PADDR, PADDR, 0, 0, PADDR + 0x20);
	test_machine_init(&m, 32 << 20);
	ck_assert_int_eq(test_machine_boot(&m, &b, ARCH_ENTRY_AUTO, NULL, ""),
			 0);
	check_entry(&m, PADDR + 0x20);
	ck_assert(test_machine_has(&m, PADDR, &b, 0x1000, 0x800));
	ck_assert_uint_eq(test_machine_get32(&m, 0x400000), 0);
	blob_free(&b);
	test_machine_fini(&m);
}
END_TEST

START_TEST(multiboot_setup_info_is_complete)
{
	const uint32_t info = LAYOUT_BOOT_INFO;
	struct test_machine m;
	struct blob b = {0};
	uint32_t at, end;
	char text[16];

	make_elf(&b, _i, 3);
	test_machine_init(&m, 32 << 20);
	ck_assert_int_eq(
		test_machine_boot(&m, &b, ARCH_ENTRY_AUTO, NULL, "a b c"), 0);
	check_entry(&m, PADDR);
	ck_assert(test_machine_has(&m, PADDR, &b, 0x1000, 0x800));
	/* memory, command line, modules, map, loader name; no boot device */
	ck_assert_uint_eq(test_machine_get32(&m, info), 0x24d);
	ck_assert_uint_eq(test_machine_get32(&m, info + 4), 639);
	ck_assert_uint_eq(test_machine_get32(&m, info + 8), 31 * 1024);
	at = test_machine_get32(&m, info + 16);
	guest_mem_read(m.mem, at, text, sizeof(text));
	ck_assert_str_eq(text, "a b c");
	ck_assert_uint_eq(test_machine_get32(&m, info + 20), 0);
	at = test_machine_get32(&m, info + 64);
	guest_mem_read(m.mem, at, text, sizeof(text));
	ck_assert_str_eq(text, "bantam");

	at = test_machine_get32(&m, info + 48);
	end = at + test_machine_get32(&m, info + 44);
	for (unsigned int i = 0; i < m.map_count; i++) {
		ck_assert_uint_lt(at, end);
		ck_assert_uint_eq(test_machine_get32(&m, at), 20);
		ck_assert_uint_eq(test_machine_get64(&m, at + 4),
				  m.map[i].base);
		ck_assert_uint_eq(test_machine_get64(&m, at + 12),
				  m.map[i].size);
		ck_assert_uint_eq(test_machine_get32(&m, at + 20),
				  m.map[i].type);
		at += test_machine_get32(&m, at) + 4;
	}
	ck_assert_uint_eq(at, end);
	blob_free(&b);
	test_machine_fini(&m);
}
END_TEST

START_TEST(multiboot_setup_initrd_is_the_module_above_the_kernel)
{
	const uint32_t info = LAYOUT_BOOT_INFO;
	struct blob b = {0}, initrd = {0};
	struct test_machine m;
	uint32_t mod, at;
	char text[16];

	make_elf(&b, false, 1);
	blob_fill(&initrd, 0, 0x1801);
	test_machine_init(&m, 32 << 20);
	ck_assert_int_eq(
		test_machine_boot(&m, &b, ARCH_ENTRY_MULTIBOOT, &initrd, ""),
		0);
	ck_assert_uint_eq(test_machine_get32(&m, info + 20), 1);
	mod = test_machine_get32(&m, info + 24);
	at = test_machine_get32(&m, mod);
	/* The kernel has 0x2800 bytes of memory. */
	ck_assert_uint_eq(at, PADDR + 0x3000);
	ck_assert_uint_eq(test_machine_get32(&m, mod + 4), at + 0x1801);
	ck_assert(test_machine_has(&m, at, &initrd, 0, 0x1801));
	guest_mem_read(m.mem, test_machine_get32(&m, mod + 8), text,
		       sizeof(text));
	ck_assert_str_eq(text, "FILE");
	ck_assert_uint_eq(test_machine_get32(&m, mod + 12), 0);
	blob_free(&initrd);
	blob_free(&b);
	test_machine_fini(&m);
}
END_TEST

START_TEST(multiboot_setup_kernel_at_the_top_has_module_below)
{
	struct blob b = {0}, initrd = {0};
	struct test_machine m;
	uint32_t mod;

	blob_simple_elf(&b, false, (32 << 20) - 0x3000, 0x1000);
	put_header(&b, 0x1000, 0);
	blob_fill(&initrd, 0, 0x2000);
	test_machine_init(&m, 32 << 20);
	ck_assert_int_eq(
		test_machine_boot(&m, &b, ARCH_ENTRY_AUTO, &initrd, ""), 0);
	mod = test_machine_get32(&m, LAYOUT_BOOT_INFO + 24);
	ck_assert_uint_eq(test_machine_get32(&m, mod), (32 << 20) - 0x5000);
	blob_free(&initrd);
	blob_free(&b);
	test_machine_fini(&m);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("multiboot");
	TCase *tc = tcase_create("multiboot");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(tc, multiboot_is_header_anywhere_in_8192_is_found,
			    0, 4);
	tcase_add_loop_test(tc, multiboot_is_header_elsewhere_is_not_found, 0,
			    4);
	tcase_add_test(tc, multiboot_parse_unmet_requirement_is_named);
	tcase_add_test(tc, multiboot_parse_unknown_options_are_ignored);
	tcase_add_test(tc, multiboot_parse_address_fields_place_the_image);
	tcase_add_loop_test(tc, multiboot_parse_bad_address_is_named, 0,
			    sizeof(bad_addresses) / sizeof(*bad_addresses));
	tcase_add_test(tc, multiboot_load_flat_image_is_in_place);
	tcase_add_test(tc, multiboot_load_elf_with_address_fields_uses_them);
	tcase_add_loop_test(tc, multiboot_setup_info_is_complete, 0, 2);
	tcase_add_test(tc,
		       multiboot_setup_initrd_is_the_module_above_the_kernel);
	tcase_add_test(tc, multiboot_setup_kernel_at_the_top_has_module_below);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
