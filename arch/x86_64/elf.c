/*
 * ELF kernels. Follows the System V ABI (gABI 4.1, chapters 4 and 5). The file
 * is the user's and may lie in every field: each is checked here once, against
 * the file's size, and each address by boot_mem_take().
 */
#include "arch/x86_64/elf.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Xen's include/public/elfnote.h */
#define XEN_ELFNOTE_PHYS32_ENTRY 18

/* More than all notes of a kernel; the rest is not looked at. */
#define ELF_NOTE_SEGMENT_MAX 0x10000

static const struct {
	uint16_t machine;
	const char *name;
} elf_machines[] = {
	{EM_386, "i386"},      {EM_X86_64, "x86-64"}, {EM_ARM, "32-bit Arm"},
	{EM_AARCH64, "arm64"}, {EM_RISCV, "RISC-V"},  {EM_MIPS, "MIPS"},
	{EM_PPC, "PowerPC"},   {EM_PPC64, "PowerPC"}, {EM_S390, "s390"},
	{EM_SPARCV9, "SPARC"}, {EM_IA_64, "Itanium"}, {EM_BPF, "BPF"},
	{258, "LoongArch"},
};

static const char *elf_machine_name(uint16_t machine)
{
	for (size_t i = 0; i < sizeof(elf_machines) / sizeof(*elf_machines);
	     i++)
		if (elf_machines[i].machine == machine)
			return elf_machines[i].name;
	return "another machine";
}

bool elf_is(const uint8_t *head, size_t len)
{
	return len >= SELFMAG && memcmp(head, ELFMAG, SELFMAG) == 0;
}

/* What elf_parse_header() takes from an ELF header of either class. */
struct elf_table {
	uint64_t phoff;
	uint16_t phnum;
	uint16_t phentsize;
	uint16_t type;
};

static void elf_parse_header32(struct elf *elf, struct elf_table *table,
			       const uint8_t *head)
{
	Elf32_Ehdr e;

	memcpy(&e, head, sizeof(e));
	elf->entry = e.e_entry;
	elf->machine = e.e_machine;
	*table = (struct elf_table){e.e_phoff, e.e_phnum, e.e_phentsize,
				    e.e_type};
}

static void elf_parse_header64(struct elf *elf, struct elf_table *table,
			       const uint8_t *head)
{
	Elf64_Ehdr e;

	memcpy(&e, head, sizeof(e));
	elf->entry = e.e_entry;
	elf->machine = e.e_machine;
	*table = (struct elf_table){e.e_phoff, e.e_phnum, e.e_phentsize,
				    e.e_type};
}

static int elf_parse_header(struct elf *elf, struct elf_table *table,
			    const struct image *image, const uint8_t *head,
			    size_t len, struct error *err)
{
	if (len < EI_NIDENT || !elf_is(head, len))
		return boot_error(image, err, EINVAL, "is not an ELF file");
	elf->is64 = head[EI_CLASS] == ELFCLASS64;
	if ((!elf->is64 && head[EI_CLASS] != ELFCLASS32) ||
	    head[EI_DATA] != ELFDATA2LSB)
		return boot_error(image, err, EINVAL,
				  "is an ELF file of class %u and byte order "
				  "%u; an x86 kernel has class 1 or 2 and "
				  "byte order 1",
				  head[EI_CLASS], head[EI_DATA]);
	if (len < (elf->is64 ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr)))
		return boot_error(image, err, EINVAL,
				  "is cut within its ELF header");
	if (elf->is64)
		elf_parse_header64(elf, table, head);
	else
		elf_parse_header32(elf, table, head);
	if (elf->machine != EM_X86_64 && (elf->is64 || elf->machine != EM_386))
		return boot_error(image, err, EINVAL,
				  "is an ELF file for %s (machine %u); "
				  "expected x86-64 or i386",
				  elf_machine_name(elf->machine), elf->machine);
	if (table->type != ET_EXEC && table->type != ET_DYN)
		return boot_error(image, err, EINVAL,
				  "is an ELF file of type %u; a kernel has "
				  "type 2 (executable)",
				  table->type);
	return 0;
}

static void elf_parse_phdr32(struct elf_segment *s, uint32_t *type,
			     const uint8_t *data)
{
	Elf32_Phdr p;

	memcpy(&p, data, sizeof(p));
	*type = p.p_type;
	s->offset = p.p_offset;
	s->vaddr = p.p_vaddr;
	s->paddr = p.p_paddr;
	s->filesz = p.p_filesz;
	s->memsz = p.p_memsz;
	s->align = p.p_align;
}

static void elf_parse_phdr64(struct elf_segment *s, uint32_t *type,
			     const uint8_t *data)
{
	Elf64_Phdr p;

	memcpy(&p, data, sizeof(p));
	*type = p.p_type;
	s->offset = p.p_offset;
	s->vaddr = p.p_vaddr;
	s->paddr = p.p_paddr;
	s->filesz = p.p_filesz;
	s->memsz = p.p_memsz;
	s->align = p.p_align;
}

static int elf_add_segment(struct elf *elf, const struct image *image,
			   const struct elf_segment *s, uint32_t type,
			   uint64_t size, struct error *err)
{
	uint64_t end;

	if (type == PT_INTERP)
		elf->is_user = true;
	if (type != PT_LOAD && type != PT_NOTE)
		return 0;
	if (__builtin_add_overflow(s->offset, s->filesz, &end) || end > size)
		return boot_error(image, err, EINVAL,
				  "segment %u has 0x%" PRIx64
				  " bytes at 0x%" PRIx64
				  ", but the ELF file ends at 0x%" PRIx64
				  "; it is cut or damaged",
				  s->index, s->filesz, s->offset, size);
	if (type == PT_NOTE) {
		if (elf->note_count < ELF_NOTES_MAX)
			elf->notes[elf->note_count++] = *s;
		return 0;
	}
	if (s->filesz > s->memsz)
		return boot_error(image, err, EINVAL,
				  "segment %u has 0x%" PRIx64
				  " bytes in the file and only 0x%" PRIx64
				  " in memory",
				  s->index, s->filesz, s->memsz);
	if (s->memsz == 0)
		return 0;
	if (elf->load_count == ELF_LOADS_MAX)
		return boot_error(image, err, EINVAL,
				  "has more than %d segments to load",
				  ELF_LOADS_MAX);
	elf->loads[elf->load_count++] = *s;
	return 0;
}

int elf_parse(struct elf *elf, const struct image *image, const uint8_t *head,
	      size_t len, uint64_t size, struct error *err)
{
	struct elf_segment s;
	struct elf_table table = {0};
	uint64_t phdr_size, end;
	uint32_t type;
	int ret;

	memset(elf, 0, sizeof(*elf));
	ret = elf_parse_header(elf, &table, image, head, len, err);
	if (ret)
		return ret;
	phdr_size = elf->is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
	if (table.phentsize != phdr_size)
		return boot_error(image, err, EINVAL,
				  "has program headers of %u bytes; expected "
				  "%" PRIu64,
				  table.phentsize, phdr_size);
	if (__builtin_add_overflow(table.phoff, table.phnum * phdr_size,
				   &end) ||
	    end > len)
		return boot_error(image, err, EINVAL,
				  "has %u program headers at 0x%" PRIx64
				  ", beyond the first 0x%zx bytes",
				  table.phnum, table.phoff, len);
	for (unsigned int i = 0; i < table.phnum; i++) {
		const uint8_t *data = head + table.phoff + i * phdr_size;

		s.index = i;
		if (elf->is64)
			elf_parse_phdr64(&s, &type, data);
		else
			elf_parse_phdr32(&s, &type, data);
		ret = elf_add_segment(elf, image, &s, type, size, err);
		if (ret)
			return ret;
	}
	if (elf->load_count == 0)
		return boot_error(image, err, EINVAL,
				  "is an ELF file with no segment to load");
	return 0;
}

int elf_phys(const struct elf *elf, uint64_t addr, uint64_t *phys)
{
	const struct elf_segment *s;

	for (s = elf->loads; s < elf->loads + elf->load_count; s++) {
		if (addr >= s->paddr && addr - s->paddr < s->memsz) {
			*phys = addr;
			return 0;
		}
	}
	for (s = elf->loads; s < elf->loads + elf->load_count; s++) {
		if (addr >= s->vaddr && addr - s->vaddr < s->memsz) {
			*phys = s->paddr + (addr - s->vaddr);
			return 0;
		}
	}
	return -ENOENT;
}

/* One note: the name with its NUL, and the descriptor. */
static void elf_visit_note(struct elf_notes *notes, uint32_t type,
			   const uint8_t *name, uint32_t namesz,
			   const uint8_t *desc, uint32_t descsz)
{
	if (namesz == sizeof("Linux") && memcmp(name, "Linux", namesz) == 0)
		notes->has_linux = true;
	if (namesz != sizeof("Xen") || memcmp(name, "Xen", namesz) != 0 ||
	    type != XEN_ELFNOTE_PHYS32_ENTRY)
		return;
	/* Linux wrote a pointer here at first and a 32-bit number later. */
	if (descsz != sizeof(uint32_t) && descsz != sizeof(uint64_t))
		return;
	notes->pvh_entry = 0;
	memcpy(&notes->pvh_entry, desc, descsz);
	notes->has_pvh = true;
}

static void elf_scan_notes(struct elf_notes *notes, const uint8_t *data,
			   uint64_t size, uint64_t align)
{
	uint64_t pos = 0;

	while (size - pos >= sizeof(Elf64_Nhdr)) {
		uint64_t name = pos + sizeof(Elf64_Nhdr);
		uint64_t desc, end;
		Elf64_Nhdr n; /* the same in both classes */

		/* 32-bit sizes added to a position below 64 KiB: no wrap. */
		memcpy(&n, data + pos, sizeof(n));
		desc = (name + n.n_namesz + align - 1) & ~(align - 1);
		end = desc + n.n_descsz;
		if (end > size)
			return;
		elf_visit_note(notes, n.n_type, data + name, n.n_namesz,
			       data + desc, n.n_descsz);
		pos = (end + align - 1) & ~(align - 1);
		if (pos > size)
			return;
	}
}

int elf_read_notes(const struct elf *elf, const struct image *image,
		   struct elf_notes *notes, struct error *err)
{
	const struct elf_segment *s;
	uint8_t *data;
	int ret = 0;

	memset(notes, 0, sizeof(*notes));
	if (elf->note_count == 0)
		return 0;
	data = malloc(ELF_NOTE_SEGMENT_MAX);
	if (!data)
		return boot_error(image, err, ENOMEM, "out of memory");
	for (s = elf->notes; s < elf->notes + elf->note_count; s++) {
		uint64_t size = s->filesz;

		if (size > ELF_NOTE_SEGMENT_MAX)
			size = ELF_NOTE_SEGMENT_MAX;
		ret = image_read(image, s->offset, data, size, err);
		if (ret)
			break;
		elf_scan_notes(notes, data, size, s->align == 8 ? 8 : 4);
	}
	free(data);
	return ret;
}

int elf_take(const struct elf *elf, const struct image *image,
	     struct boot_mem *bm, struct error *err)
{
	const struct elf_segment *s;
	char what[24];
	int ret;

	for (s = elf->loads; s < elf->loads + elf->load_count; s++) {
		snprintf(what, sizeof(what), "segment %u", s->index);
		ret = boot_mem_take(bm, image, what, s->paddr, s->memsz, err);
		if (ret)
			return ret;
	}
	return 0;
}

int elf_load(const struct elf *elf, const struct image *image,
	     struct boot_mem *bm, struct error *err)
{
	const struct elf_segment *s;
	int ret;

	for (s = elf->loads; s < elf->loads + elf->load_count; s++) {
		if (s->filesz == 0)
			continue;
		ret = guest_mem_read_file(bm->mem, s->paddr, image->fd,
					  s->offset, s->filesz);
		if (ret)
			return boot_error(
				image, err, -ret,
				"segment %u cannot be read: %s", s->index,
				ret == -ENODATA ? "the file has become "
						  "shorter"
						: strerror(-ret));
	}
	return 0;
}

int elf_stream_feed(void *ctx, const uint8_t *data, size_t len)
{
	struct elf_stream *stream = ctx;
	const struct elf_segment *s = stream->elf->loads;
	const struct elf_segment *end = s + stream->elf->load_count;
	uint64_t from = stream->offset;
	uint64_t to = from + len;
	int ret;

	for (; s < end; s++) {
		uint64_t first = s->offset > from ? s->offset : from;
		uint64_t last = s->offset + s->filesz;

		if (last > to)
			last = to;
		if (first >= last)
			continue;
		ret = guest_mem_write(stream->mem,
				      s->paddr + (first - s->offset),
				      data + (first - from), last - first);
		if (ret)
			return ret;
	}
	stream->offset = to;
	return 0;
}
