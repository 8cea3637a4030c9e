#include "acpi/aml.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

/* Opcodes and prefixes (20.3). */
#define ZERO_OP		  0x00
#define ONE_OP		  0x01
#define NAME_OP		  0x08
#define BYTE_PREFIX	  0x0a
#define WORD_PREFIX	  0x0b
#define DWORD_PREFIX	  0x0c
#define STRING_PREFIX	  0x0d
#define QWORD_PREFIX	  0x0e
#define SCOPE_OP	  0x10
#define BUFFER_OP	  0x11
#define PACKAGE_OP	  0x12
#define METHOD_OP	  0x14
#define DUAL_NAME_PREFIX  0x2e
#define MULTI_NAME_PREFIX 0x2f
#define EXT_OP_PREFIX	  0x5b
#define LOCAL0_OP	  0x60
#define ARG0_OP		  0x68
#define STORE_OP	  0x70
#define AND_OP		  0x7b
#define NOTIFY_OP	  0x86
#define LEQUAL_OP	  0x93
#define IF_OP		  0xa0
#define RETURN_OP	  0xa4
#define ONES_OP		  0xff
/* Behind EXT_OP_PREFIX. */
#define OP_REGION_OP 0x80
#define FIELD_OP     0x81
#define DEVICE_OP    0x82

#define NULL_NAME      0x00
#define RESERVED_FIELD 0x00

#define NAME_SEG_LEN   4
#define PKG_LENGTH_MAX 0x0fffffff /* 20.2.4 */

/* MethodFlags (20.2.5.2) */
#define METHOD_SERIALIZED (1 << 3)
#define METHOD_ARGS_MAX	  7

/* Resource data types (6.4); large items have bit 7 set. */
#define IO_PORT_DESCRIPTOR	      0x47
#define END_TAG			      0x79
#define MEMORY32_FIXED_DESCRIPTOR     0x86
#define DWORD_ADDRESS_DESCRIPTOR      0x87
#define WORD_ADDRESS_DESCRIPTOR	      0x88
#define EXTENDED_INTERRUPT_DESCRIPTOR 0x89
#define QWORD_ADDRESS_DESCRIPTOR      0x8a

#define IO_DECODE16	  (1 << 0)
#define MEMORY_READ_WRITE (1 << 0)

/* Extended interrupt flags (6.4.3.6). */
#define INTERRUPT_CONSUMER (1 << 0)
#define INTERRUPT_EDGE	   (1 << 1)
#define INTERRUPT_SHARED   (1 << 3)

/* Address space resource types and flags (6.4.3.5). */
#define ADDRESS_MEMORY	     0
#define ADDRESS_IO	     1
#define ADDRESS_BUS	     2
#define ADDRESS_MIN_FIXED    (1 << 2)
#define ADDRESS_MAX_FIXED    (1 << 3)
#define ADDRESS_ENTIRE_RANGE 3

void aml_init(struct aml *aml)
{
	*aml = (struct aml){0};
}

void aml_fini(struct aml *aml)
{
	blob_fini(&aml->code);
}

int aml_finish(struct aml *aml, const uint8_t **code, size_t *len)
{
	if (aml->depth)
		blob_fail(&aml->code, -EINVAL);
	*code = aml->code.data;
	*len = aml->code.len;
	return aml->code.error;
}

static void aml_byte(struct aml *aml, uint8_t byte)
{
	blob_append(&aml->code, &byte, 1);
}

static void aml_misuse(struct aml *aml)
{
	blob_fail(&aml->code, -EINVAL);
}

/*
 * PkgLength (20.2.4). A single byte holds 6 bits; otherwise the lead byte says
 * how many follow and holds the 4 low bits.
 */
static size_t aml_pkg_length(uint8_t out[4], size_t value)
{
	size_t follow = value > 0xfffff ? 3 : value > 0xfff ? 2 : 1;

	if (value <= 0x3f) {
		out[0] = (uint8_t)value;
		return 1;
	}
	out[0] = (uint8_t)(follow << 6 | (value & 0xf));
	value >>= 4;
	for (size_t i = 1; i <= follow; i++, value >>= 8)
		out[i] = (uint8_t)value;
	return 1 + follow;
}

static void aml_begin(struct aml *aml, enum aml_block block)
{
	if (aml->depth == AML_DEPTH_MAX) {
		aml_misuse(aml);
		return;
	}
	aml->open[aml->depth].block = block;
	aml->open[aml->depth].start = aml->code.len;
	aml->depth++;
}

/* Close the innermost block: its PkgLength counts itself as well. */
static void aml_end(struct aml *aml, enum aml_block block)
{
	uint8_t bytes[4];
	size_t start, len, width = 1;

	if (!aml->depth || aml->open[aml->depth - 1].block != block) {
		aml_misuse(aml);
		return;
	}
	start = aml->open[--aml->depth].start;
	len = aml->code.len - start;
	if (len > PKG_LENGTH_MAX - sizeof(bytes)) {
		aml_misuse(aml);
		return;
	}
	while (aml_pkg_length(bytes, len + width) > width)
		width++;
	blob_insert(&aml->code, start, bytes, width);
}

static bool aml_is_name_char(char c, bool lead)
{
	return (c >= 'A' && c <= 'Z') || c == '_' ||
	       (!lead && c >= '0' && c <= '9');
}

/* One NameSeg, padded; returns what is behind it, or NULL if it is none. */
static const char *aml_name_seg(struct blob *out, const char *path)
{
	char seg[NAME_SEG_LEN] = {'_', '_', '_', '_'};
	size_t len = 0;

	while (len < NAME_SEG_LEN && aml_is_name_char(path[len], len == 0)) {
		seg[len] = path[len];
		len++;
	}
	if (len == 0)
		return NULL;
	blob_append(out, seg, sizeof(seg));
	return path + len;
}

/* The segments of a path, behind the prefix that their number asks for. */
static void aml_name_path(struct aml *aml, const char *path)
{
	size_t start = aml->code.len;
	uint8_t prefix[2] = {MULTI_NAME_PREFIX};
	unsigned int count = 0;

	for (;;) {
		path = aml_name_seg(&aml->code, path);
		count++;
		if (!path || *path != '.')
			break;
		path++;
	}
	if (!path || *path || count > UINT8_MAX) {
		aml_misuse(aml);
		return;
	}
	if (count == 2) {
		prefix[0] = DUAL_NAME_PREFIX;
		blob_insert(&aml->code, start, prefix, 1);
	} else if (count > 2) {
		prefix[1] = (uint8_t)count;
		blob_insert(&aml->code, start, prefix, 2);
	}
}

/* NameString (20.2.2) */
static void aml_name_string(struct aml *aml, const char *path)
{
	bool prefixed = *path == '\\' || *path == '^';

	if (*path == '\\')
		aml_byte(aml, (uint8_t)*path++);
	else
		while (*path == '^')
			aml_byte(aml, (uint8_t)*path++);
	if (prefixed && !*path)
		aml_byte(aml, NULL_NAME);
	else
		aml_name_path(aml, path);
}

static void aml_const(struct aml *aml, uint8_t prefix, uint64_t value,
		      unsigned int size)
{
	aml_byte(aml, prefix);
	blob_append_le(&aml->code, value, size);
}

static void aml_int(struct aml *aml, uint64_t value)
{
	if (value <= 1)
		aml_byte(aml, value ? ONE_OP : ZERO_OP);
	else if (value == UINT64_MAX)
		aml_byte(aml, ONES_OP);
	else if (value <= UINT8_MAX)
		aml_const(aml, BYTE_PREFIX, value, 1);
	else if (value <= UINT16_MAX)
		aml_const(aml, WORD_PREFIX, value, 2);
	else if (value <= UINT32_MAX)
		aml_const(aml, DWORD_PREFIX, value, 4);
	else
		aml_const(aml, QWORD_PREFIX, value, 8);
}

/* AsciiCharList NullChar: 0x01 to 0x7f. */
static void aml_string(struct aml *aml, const char *text)
{
	for (const char *c = text; *c; c++) {
		if (!isascii(*c))
			aml_misuse(aml);
	}
	aml_byte(aml, STRING_PREFIX);
	blob_append(&aml->code, text, strlen(text) + 1);
}

/*
 * EISAID (19.3.4): three letters of 5 bits and four hexadecimal digits, big
 * endian, as an integer in memory order.
 */
static void aml_eisaid(struct aml *aml, const char *id)
{
	static const char digits[] = "0123456789ABCDEF";
	uint32_t value = 0;

	if (strlen(id) != 7) {
		aml_misuse(aml);
		return;
	}
	for (unsigned int i = 0; i < 3; i++) {
		if (id[i] < 'A' || id[i] > 'Z')
			aml_misuse(aml);
		value = value << 5 | ((uint32_t)(id[i] - '@') & 0x1f);
	}
	for (unsigned int i = 3; i < 7; i++) {
		const char *digit = strchr(digits, id[i]);

		if (!digit) {
			aml_misuse(aml);
			return;
		}
		value = value << 4 | (uint32_t)(digit - digits);
	}
	aml_int(aml, __builtin_bswap32(value));
}

/* An opcode that is the first of a run: Local0Op, Arg0Op. */
static void aml_numbered(struct aml *aml, uint8_t op, uint64_t n, uint64_t max)
{
	if (n > max)
		aml_misuse(aml);
	else
		aml_byte(aml, (uint8_t)(op + n));
}

void aml_term(struct aml *aml, const struct aml_term *term)
{
	switch (term->kind) {
	case AML_TERM_INT:
		aml_int(aml, term->value);
		break;
	case AML_TERM_STRING:
		aml_string(aml, term->text);
		break;
	case AML_TERM_EISAID:
		aml_eisaid(aml, term->text);
		break;
	case AML_TERM_PATH:
		aml_name_string(aml, term->text);
		break;
	case AML_TERM_LOCAL:
		aml_numbered(aml, LOCAL0_OP, term->value, 7);
		break;
	case AML_TERM_ARG:
		aml_numbered(aml, ARG0_OP, term->value, 6);
		break;
	case AML_TERM_AND:
		aml_byte(aml, AND_OP);
		aml_term(aml, term->a);
		aml_term(aml, term->b);
		/* The target: the value is used where it stands. */
		aml_byte(aml, NULL_NAME);
		break;
	case AML_TERM_EQUAL:
		aml_byte(aml, LEQUAL_OP);
		aml_term(aml, term->a);
		aml_term(aml, term->b);
		break;
	}
}

void aml_name_of(struct aml *aml, const char *path)
{
	aml_byte(aml, NAME_OP);
	aml_name_string(aml, path);
}

void aml_name(struct aml *aml, const char *path, const struct aml_term *term)
{
	aml_name_of(aml, path);
	aml_term(aml, term);
}

void aml_scope_begin(struct aml *aml, const char *path)
{
	aml_byte(aml, SCOPE_OP);
	aml_begin(aml, AML_BLOCK_SCOPE);
	aml_name_string(aml, path);
}

void aml_scope_end(struct aml *aml)
{
	aml_end(aml, AML_BLOCK_SCOPE);
}

void aml_device_begin(struct aml *aml, const char *path)
{
	aml_byte(aml, EXT_OP_PREFIX);
	aml_byte(aml, DEVICE_OP);
	aml_begin(aml, AML_BLOCK_DEVICE);
	aml_name_string(aml, path);
}

void aml_device_end(struct aml *aml)
{
	aml_end(aml, AML_BLOCK_DEVICE);
}

void aml_method_begin(struct aml *aml, const char *path, unsigned int args,
		      bool serialized)
{
	if (args > METHOD_ARGS_MAX)
		aml_misuse(aml);
	aml_byte(aml, METHOD_OP);
	aml_begin(aml, AML_BLOCK_METHOD);
	aml_name_string(aml, path);
	aml_byte(aml, (uint8_t)(args | (serialized ? METHOD_SERIALIZED : 0)));
}

void aml_method_end(struct aml *aml)
{
	aml_end(aml, AML_BLOCK_METHOD);
}

void aml_package_begin(struct aml *aml, unsigned int count)
{
	if (count > UINT8_MAX)
		aml_misuse(aml);
	aml_byte(aml, PACKAGE_OP);
	aml_begin(aml, AML_BLOCK_PACKAGE);
	aml_byte(aml, (uint8_t)count);
}

void aml_package_end(struct aml *aml)
{
	aml_end(aml, AML_BLOCK_PACKAGE);
}

void aml_buffer(struct aml *aml, const void *data, size_t len)
{
	aml_byte(aml, BUFFER_OP);
	aml_begin(aml, AML_BLOCK_BUFFER);
	aml_int(aml, len);
	blob_append(&aml->code, data, len);
	aml_end(aml, AML_BLOCK_BUFFER);
}

void aml_store(struct aml *aml, const struct aml_term *from,
	       const struct aml_term *to)
{
	aml_byte(aml, STORE_OP);
	aml_term(aml, from);
	aml_term(aml, to);
}

void aml_notify(struct aml *aml, const char *path, uint64_t value)
{
	aml_byte(aml, NOTIFY_OP);
	aml_name_string(aml, path);
	aml_int(aml, value);
}

void aml_return(struct aml *aml, const struct aml_term *term)
{
	aml_byte(aml, RETURN_OP);
	aml_term(aml, term);
}

void aml_if_begin(struct aml *aml, const struct aml_term *predicate)
{
	aml_byte(aml, IF_OP);
	aml_begin(aml, AML_BLOCK_IF);
	aml_term(aml, predicate);
}

void aml_if_end(struct aml *aml)
{
	aml_end(aml, AML_BLOCK_IF);
}

void aml_operation_region(struct aml *aml, const char *path,
			  enum aml_region_space space, uint64_t offset,
			  uint64_t len)
{
	aml_byte(aml, EXT_OP_PREFIX);
	aml_byte(aml, OP_REGION_OP);
	aml_name_string(aml, path);
	aml_byte(aml, (uint8_t)space);
	aml_int(aml, offset);
	aml_int(aml, len);
}

void aml_field_begin(struct aml *aml, const char *region,
		     enum aml_access_type access)
{
	aml_byte(aml, EXT_OP_PREFIX);
	aml_byte(aml, FIELD_OP);
	aml_begin(aml, AML_BLOCK_FIELD);
	aml_name_string(aml, region);
	/* FieldFlags: NoLock (bit 4) and Preserve (bits 5-6) are 0. */
	aml_byte(aml, (uint8_t)access);
}

/* In a FieldList PkgLength counts bits, and not itself. */
static void aml_field_bits(struct aml *aml, unsigned int bits)
{
	uint8_t bytes[4];

	if (bits > PKG_LENGTH_MAX)
		aml_misuse(aml);
	else
		blob_append(&aml->code, bytes, aml_pkg_length(bytes, bits));
}

void aml_field_unit(struct aml *aml, const char *name, unsigned int bits)
{
	const char *end = aml_name_seg(&aml->code, name);

	if (!end || *end)
		aml_misuse(aml);
	aml_field_bits(aml, bits);
}

void aml_field_skip(struct aml *aml, unsigned int bits)
{
	aml_byte(aml, RESERVED_FIELD);
	aml_field_bits(aml, bits);
}

void aml_field_end(struct aml *aml)
{
	aml_end(aml, AML_BLOCK_FIELD);
}

void aml_resources_begin(struct aml *aml, const char *path)
{
	aml_name_of(aml, path);
	aml_byte(aml, BUFFER_OP);
	aml_begin(aml, AML_BLOCK_RESOURCES);
}

void aml_resources_end(struct aml *aml)
{
	struct aml size;
	size_t start;

	/* A checksum of 0 says that there is none (6.4.2.9). */
	aml_byte(aml, END_TAG);
	aml_byte(aml, 0);
	if (!aml->depth) {
		aml_misuse(aml);
		return;
	}

	/* Only now is BufferSize known, and with it its width. */
	start = aml->open[aml->depth - 1].start;
	aml_init(&size);
	aml_int(&size, aml->code.len - start);
	if (size.code.error)
		blob_fail(&aml->code, size.code.error);
	blob_insert(&aml->code, start, size.code.data, size.code.len);
	aml_fini(&size);
	aml_end(aml, AML_BLOCK_RESOURCES);
}

void aml_io(struct aml *aml, uint16_t port, uint8_t len)
{
	aml_byte(aml, IO_PORT_DESCRIPTOR);
	aml_byte(aml, IO_DECODE16);
	blob_append_le(&aml->code, port, 2); /* _MIN */
	blob_append_le(&aml->code, port, 2); /* _MAX */
	aml_byte(aml, 1);		     /* _ALN */
	aml_byte(aml, len);
}

/* The head of a large item whose content has @len bytes. */
static void aml_large_item(struct aml *aml, uint8_t type, uint16_t len)
{
	aml_byte(aml, type);
	blob_append_le(&aml->code, len, 2);
}

void aml_memory32_fixed(struct aml *aml, uint32_t base, uint32_t len)
{
	aml_large_item(aml, MEMORY32_FIXED_DESCRIPTOR, 9);
	aml_byte(aml, MEMORY_READ_WRITE);
	blob_append_le(&aml->code, base, 4);
	blob_append_le(&aml->code, len, 4);
}

/* Word, DWord and QWord address space descriptors differ in @width alone. */
static void aml_address_space(struct aml *aml, uint8_t descriptor,
			      unsigned int width, uint8_t type,
			      uint8_t type_flags, uint64_t base, uint64_t len)
{
	uint64_t limit = UINT64_MAX >> (64 - 8 * width);
	uint64_t last;

	if (len == 0 || __builtin_add_overflow(base, len - 1, &last) ||
	    last > limit || len > limit) {
		aml_misuse(aml);
		return;
	}
	aml_large_item(aml, descriptor, (uint16_t)(3 + 5 * width));
	aml_byte(aml, type);
	aml_byte(aml, ADDRESS_MIN_FIXED | ADDRESS_MAX_FIXED);
	aml_byte(aml, type_flags);
	blob_append_le(&aml->code, 0, width); /* _GRA */
	blob_append_le(&aml->code, base, width);
	blob_append_le(&aml->code, last, width);
	blob_append_le(&aml->code, 0, width); /* _TRA */
	blob_append_le(&aml->code, len, width);
}

void aml_word_bus_number(struct aml *aml, uint16_t first, uint16_t len)
{
	aml_address_space(aml, WORD_ADDRESS_DESCRIPTOR, 2, ADDRESS_BUS, 0,
			  first, len);
}

void aml_word_io(struct aml *aml, uint16_t base, uint32_t len)
{
	aml_address_space(aml, WORD_ADDRESS_DESCRIPTOR, 2, ADDRESS_IO,
			  ADDRESS_ENTIRE_RANGE, base, len);
}

void aml_dword_memory(struct aml *aml, uint32_t base, uint64_t len)
{
	aml_address_space(aml, DWORD_ADDRESS_DESCRIPTOR, 4, ADDRESS_MEMORY,
			  MEMORY_READ_WRITE, base, len);
}

void aml_qword_memory(struct aml *aml, uint64_t base, uint64_t len)
{
	aml_address_space(aml, QWORD_ADDRESS_DESCRIPTOR, 8, ADDRESS_MEMORY,
			  MEMORY_READ_WRITE, base, len);
}

/* Bit 2 of the flags, _POL, is 0: ActiveHigh. */
static void aml_interrupt_of(struct aml *aml, uint8_t flags, uint32_t gsi)
{
	aml_large_item(aml, EXTENDED_INTERRUPT_DESCRIPTOR, 6);
	aml_byte(aml, INTERRUPT_CONSUMER | flags);
	aml_byte(aml, 1); /* interrupt table length */
	blob_append_le(&aml->code, gsi, 4);
}

void aml_interrupt(struct aml *aml, enum aml_trigger trigger, uint32_t gsi)
{
	aml_interrupt_of(aml, trigger == AML_EDGE ? INTERRUPT_EDGE : 0, gsi);
}

void aml_interrupt_shared(struct aml *aml, uint32_t gsi)
{
	aml_interrupt_of(aml, INTERRUPT_SHARED, gsi);
}
