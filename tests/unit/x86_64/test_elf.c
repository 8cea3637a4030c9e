/* ELF parsing, notes, and segments on their way into memory. */
#include "arch/x86_64/elf.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "arch/x86_64/boot_layout.h"
#include "tests/unit/x86_64/support/kernel_image.h"

#define PADDR UINT64_C(0x200000)

static int parse(const struct blob *blob, size_t len, struct elf *elf,
		 struct error *err)
{
	struct image image = {.option = "--kernel", .path = "FILE", .fd = -1};

	err->text[0] = '\0';
	return elf_parse(elf, &image, blob->data,
			 len < ELF_HEAD_MAX ? len : ELF_HEAD_MAX, len, err);
}

START_TEST(elf_parse_elf64_reads_segments)
{
	const struct blob_segment s[] = {
		{PT_LOAD, 0x1000, 0xffff0000, PADDR, 0x800, 0x900},
		{PT_NOTE, 0x1100, 0, 0, 0x20, 0x20},
		{PT_LOAD, 0x1800, 0x1000, 0x300000, 0, 0x1000},
		{PT_LOAD, 0x1800, 0x1000, 0x400000, 0, 0},
	};
	struct blob b = {0};
	struct error err;
	struct elf elf;

	blob_elf(&b, true, EM_X86_64, PADDR + 4, s, 4);
	blob_grow(&b, 0x1800);
	ck_assert_int_eq(parse(&b, b.len, &elf, &err), 0);
	ck_assert(elf.is64);
	ck_assert_uint_eq(elf.entry, PADDR + 4);
	ck_assert_uint_eq(elf.load_count, 2); /* the empty one is left out */
	ck_assert_uint_eq(elf.note_count, 1);
	ck_assert_uint_eq(elf.loads[0].offset, 0x1000);
	ck_assert_uint_eq(elf.loads[0].filesz, 0x800);
	ck_assert_uint_eq(elf.loads[1].index, 2);
	ck_assert_uint_eq(elf.loads[1].paddr, 0x300000);
	blob_free(&b);
}
END_TEST

START_TEST(elf_parse_elf32_reads_segments)
{
	struct blob b = {0};
	struct error err;
	struct elf elf;

	blob_simple_elf(&b, false, PADDR, 0x300);
	ck_assert_int_eq(parse(&b, b.len, &elf, &err), 0);
	ck_assert(!elf.is64);
	ck_assert_uint_eq(elf.machine, EM_386);
	ck_assert_uint_eq(elf.load_count, 1);
	ck_assert_uint_eq(elf.loads[0].memsz, 0x2300);
	blob_free(&b);
}
END_TEST

/* Fields of the 64-bit headers, and what the message must name. */
static const struct {
	size_t offset;
	unsigned int size;
	uint64_t value;
	const char *says;
} bad_fields[] = {
	{0, 1, 0, "not an ELF file"},
	{EI_CLASS, 1, 0, "class 0"},
	{EI_CLASS, 1, 3, "class 3"},
	{EI_DATA, 1, ELFDATA2MSB, "byte order 2"},
	{offsetof(Elf64_Ehdr, e_type), 2, ET_REL, "type 1"},
	{offsetof(Elf64_Ehdr, e_type), 2, ET_CORE, "type 4"},
	{offsetof(Elf64_Ehdr, e_machine), 2, EM_AARCH64, "arm64"},
	{offsetof(Elf64_Ehdr, e_machine), 2, EM_RISCV, "RISC-V"},
	{offsetof(Elf64_Ehdr, e_machine), 2, EM_386, "i386"},
	{offsetof(Elf64_Ehdr, e_machine), 2, 0xfffe, "machine 65534"},
	{offsetof(Elf64_Ehdr, e_phoff), 8, UINT64_MAX, "beyond the first"},
	{offsetof(Elf64_Ehdr, e_phoff), 8, UINT64_MAX - 55, "beyond the"},
	{offsetof(Elf64_Ehdr, e_phoff), 8, 0x10000, "beyond the first"},
	{offsetof(Elf64_Ehdr, e_phentsize), 2, 55, "of 55 bytes"},
	{offsetof(Elf64_Ehdr, e_phentsize), 2, 0, "of 0 bytes"},
	{offsetof(Elf64_Ehdr, e_phnum), 2, 0, "no segment to load"},
	{offsetof(Elf64_Ehdr, e_phnum), 2, 0xffff, "65535 program headers"},
	{64 + offsetof(Elf64_Phdr, p_type), 4, PT_NULL, "no segment to load"},
	{64 + offsetof(Elf64_Phdr, p_offset), 8, 0x1301, "segment 0 has"},
	{64 + offsetof(Elf64_Phdr, p_offset), 8, UINT64_MAX, "segment 0 has"},
	{64 + offsetof(Elf64_Phdr, p_filesz), 8, 0x301, "segment 0 has"},
	{64 + offsetof(Elf64_Phdr, p_filesz), 8, UINT64_MAX, "segment 0 has"},
	{64 + offsetof(Elf64_Phdr, p_memsz), 8, 0x2ff, "only 0x2ff in memory"},
	{64 + offsetof(Elf64_Phdr, p_memsz), 8, 0, "only 0x0 in memory"},
};

START_TEST(elf_parse_bad_field_is_named)
{
	struct blob b = {0};
	struct error err;
	struct elf elf;

	blob_simple_elf(&b, true, PADDR, 0x300);
	ck_assert_int_eq(parse(&b, b.len, &elf, &err), 0);
	blob_put(&b, bad_fields[_i].offset, &bad_fields[_i].value,
		 bad_fields[_i].size);
	ck_assert_int_eq(parse(&b, b.len, &elf, &err), -EINVAL);
	ck_assert_msg(strstr(err.text, bad_fields[_i].says), "%s", err.text);
	blob_free(&b);
}
END_TEST

START_TEST(elf_parse_any_cut_is_error)
{
	struct error err;
	struct elf elf;

	for (int is64 = 0; is64 < 2; is64++) {
		struct blob b = {0};

		blob_simple_elf(&b, is64, PADDR, 0x300);
		for (size_t len = 0; len < b.len; len++) {
			/* Exactly that long, so that ASan sees an overrun. */
			struct blob cut = {0};

			blob_put(&cut, 0, b.data, len);
			ck_assert_int_eq(parse(&cut, len, &elf, &err), -EINVAL);
			blob_free(&cut);
		}
		blob_free(&b);
	}
}
END_TEST

START_TEST(elf_parse_too_many_segments_is_error)
{
	struct blob_segment s[ELF_LOADS_MAX + 1];
	struct blob b = {0};
	struct error err;
	struct elf elf;

	for (unsigned int i = 0; i < ELF_LOADS_MAX + 1; i++)
		s[i] = (struct blob_segment){PT_LOAD, 0, 0, PADDR, 0, 16};
	blob_elf(&b, true, EM_X86_64, PADDR, s, ELF_LOADS_MAX + 1);
	ck_assert_int_eq(parse(&b, b.len, &elf, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "more than 32"));
	blob_elf(&b, true, EM_X86_64, PADDR, s, ELF_LOADS_MAX);
	ck_assert_int_eq(parse(&b, b.len, &elf, &err), 0);
	blob_free(&b);
}
END_TEST

START_TEST(elf_phys_physical_goes_before_virtual)
{
	struct elf elf = {
		.load_count = 2,
		.loads = {{.vaddr = 0x300000, .paddr = PADDR, .memsz = 0x1000},
			  {.vaddr = 0, .paddr = 0x300000, .memsz = 0x1000}},
	};
	uint64_t phys;

	ck_assert_int_eq(elf_phys(&elf, PADDR + 0xfff, &phys), 0);
	ck_assert_uint_eq(phys, PADDR + 0xfff);
	ck_assert_int_eq(elf_phys(&elf, 0x300004, &phys), 0);
	ck_assert_uint_eq(phys, 0x300004);
	ck_assert_int_eq(elf_phys(&elf, 0x10, &phys), 0);
	ck_assert_uint_eq(phys, 0x300010);
	ck_assert_int_eq(elf_phys(&elf, PADDR + 0x1000, &phys), -ENOENT);
}
END_TEST

static void read_notes(struct blob *b, size_t offset, size_t size,
		       struct elf_notes *notes)
{
	struct elf elf = {
		.note_count = 1,
		.notes = {{.offset = offset, .filesz = size}},
	};
	struct error err;
	struct image image;

	blob_image(b, b->len, "--kernel", &image);
	ck_assert_int_eq(elf_read_notes(&elf, &image, notes, &err), 0);
	image_close(&image);
}

START_TEST(elf_read_notes_finds_linux_and_pvh)
{
	const uint32_t entry32 = 0x1234567;
	const uint64_t entry64 = 0x7654321;
	const uint64_t high = UINT64_C(0x1234567800000000);
	struct elf_notes notes;
	struct blob b = {0};
	size_t n = 0;

	n += blob_note(&b, n, "GNU", 3, "build-id", 7);
	read_notes(&b, 0, n, &notes);
	ck_assert(!notes.has_linux && !notes.has_pvh);
	n += blob_note(&b, n, "Xen", 18, &entry32, 4);
	read_notes(&b, 0, n, &notes);
	ck_assert(!notes.has_linux && notes.has_pvh);
	ck_assert_uint_eq(notes.pvh_entry, entry32);
	n += blob_note(&b, n, "Xen", 6, "linux", 6);
	n += blob_note(&b, n, "Linux", 0x100, "", 0);
	n += blob_note(&b, n, "Xen", 18, &entry64, 8);
	read_notes(&b, 0, n, &notes);
	ck_assert(notes.has_linux && notes.has_pvh);
	ck_assert_uint_eq(notes.pvh_entry, entry64);
	/* Nothing of a longer one shows behind a shorter one. */
	n += blob_note(&b, n, "Xen", 18, &high, 8);
	n += blob_note(&b, n, "Xen", 18, &entry32, 4);
	read_notes(&b, 0, n, &notes);
	ck_assert_uint_eq(notes.pvh_entry, entry32);
	blob_free(&b);
}
END_TEST

START_TEST(elf_read_notes_lying_sizes_are_harmless)
{
	static const uint32_t extremes[] = {0,		1,	    4,
					    0x7fffffff, 0xfffffff0, 0xffffffff};
	struct elf_notes notes;

	for (size_t i = 0; i < 6; i++) {
		for (size_t field = 0; field < 12; field += 4) {
			struct blob b = {0};

			blob_note(&b, 0, "Xen", 18, "abcdefgh", 8);
			blob_put32(&b, field, extremes[i]);
			read_notes(&b, 0, b.len, &notes);
			/* A true name size, or a descriptor of 4 bytes. */
			if (notes.has_pvh)
				ck_assert_uint_eq(extremes[i], 4);
			blob_free(&b);
		}
	}
}
END_TEST

/* Load a two-segment file, by elf_load() or streamed in pieces of @piece. */
static void load_both(size_t piece)
{
	const struct blob_segment s[] = {
		{PT_LOAD, 0x200, 0, PADDR + 0x10000, 0x5001, 0x6000},
		/* Shares bytes of the file with the first. */
		{PT_LOAD, 0x100, 0, PADDR, 0x999, 0x1000},
	};
	struct test_machine m;
	struct blob b = {0};
	struct image image;
	struct elf elf;

	test_machine_init(&m, 32 << 20);
	blob_elf(&b, true, EM_X86_64, PADDR, s, 2);
	blob_fill(&b, b.len, 0x5300 - b.len);
	blob_image(&b, b.len, "--kernel", &image);
	ck_assert_int_eq(parse(&b, b.len, &elf, &m.err), 0);
	struct boot_mem bm = {.layout = &boot_layout,
			      .mem = m.mem,
			      .map = m.map,
			      .map_count = m.map_count};
	ck_assert_int_eq(elf_take(&elf, &image, &bm, &m.err), 0);
	if (piece == 0) {
		ck_assert_int_eq(elf_load(&elf, &image, &bm, &m.err), 0);
	} else {
		struct elf_stream stream = {.elf = &elf, .mem = m.mem};

		for (size_t i = 0; i < b.len; i += piece) {
			size_t n = b.len - i < piece ? b.len - i : piece;

			ck_assert_int_eq(
				elf_stream_feed(&stream, b.data + i, n), 0);
		}
		ck_assert_uint_eq(stream.offset, b.len);
	}
	ck_assert(test_machine_has(&m, PADDR, &b, 0x100, 0x999));
	ck_assert_uint_eq(test_machine_get32(&m, PADDR + 0x999), 0);
	ck_assert(test_machine_has(&m, PADDR + 0x10000, &b, 0x200, 0x5001));
	ck_assert_uint_eq(test_machine_get32(&m, PADDR + 0x15001), 0);
	image_close(&image);
	blob_free(&b);
	test_machine_fini(&m);
}

START_TEST(elf_load_file_puts_segments_in_place)
{
	load_both(0);
}
END_TEST

START_TEST(elf_stream_feed_pieces_of_any_size_put_segments_in_place)
{
	static const size_t pieces[] = {1, 7, 0x100, 0x201, 0x1000, 1 << 20};

	load_both(pieces[_i]);
}
END_TEST

START_TEST(elf_load_file_cut_meanwhile_is_error)
{
	struct test_machine m;
	struct blob b = {0};
	struct image image;
	struct elf elf;

	test_machine_init(&m, 32 << 20);
	blob_simple_elf(&b, true, PADDR, 0x3000);
	blob_image(&b, b.len - 1, "--kernel", &image);
	ck_assert_int_eq(parse(&b, b.len, &elf, &m.err), 0);
	struct boot_mem bm = {.layout = &boot_layout,
			      .mem = m.mem,
			      .map = m.map,
			      .map_count = m.map_count};
	ck_assert_int_eq(elf_load(&elf, &image, &bm, &m.err), -ENODATA);
	ck_assert_ptr_nonnull(strstr(m.err.text, "shorter"));
	image_close(&image);
	blob_free(&b);
	test_machine_fini(&m);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("elf");
	TCase *tc = tcase_create("elf");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, elf_parse_elf64_reads_segments);
	tcase_add_test(tc, elf_parse_elf32_reads_segments);
	tcase_add_loop_test(tc, elf_parse_bad_field_is_named, 0,
			    sizeof(bad_fields) / sizeof(*bad_fields));
	tcase_add_test(tc, elf_parse_any_cut_is_error);
	tcase_add_test(tc, elf_parse_too_many_segments_is_error);
	tcase_add_test(tc, elf_phys_physical_goes_before_virtual);
	tcase_add_test(tc, elf_read_notes_finds_linux_and_pvh);
	tcase_add_test(tc, elf_read_notes_lying_sizes_are_harmless);
	tcase_add_test(tc, elf_load_file_puts_segments_in_place);
	tcase_add_loop_test(
		tc, elf_stream_feed_pieces_of_any_size_put_segments_in_place, 0,
		6);
	tcase_add_test(tc, elf_load_file_cut_meanwhile_is_error);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
