/*
 * AML encoder: C that reads like the ASL it makes (ACPI 6.5, chapter 20).
 *
 *	Device (RTC) {                         aml_device_begin(aml, "RTC");
 *	    Name (_HID, EisaId ("PNP0B00"))    aml_name(aml, "_HID",
 *	                                                AML_EISAID("PNP0B00"));
 *	    Name (_CRS, ResourceTemplate () {  aml_resources_begin(aml, "_CRS");
 *	        IO (Decode16, 0x70, ..., 2)    aml_io(aml, 0x70, 2);
 *	    })                                 aml_resources_end(aml);
 *	}                                      aml_device_end(aml);
 *
 * A mistake of the caller's (a malformed name, an end without its begin) and a
 * lack of memory stick to the buffer, and aml_finish() reports the first. All
 * input is bantam's own. One thread at a time for each buffer.
 */
#ifndef ACPI_AML_H
#define ACPI_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acpi/blob.h"

#define AML_DEPTH_MAX 16

/* What is open, that is, waits for its length (for misuse to be found). */
enum aml_block {
	AML_BLOCK_SCOPE,
	AML_BLOCK_DEVICE,
	AML_BLOCK_METHOD,
	AML_BLOCK_PACKAGE,
	AML_BLOCK_BUFFER,
	AML_BLOCK_RESOURCES,
	AML_BLOCK_FIELD,
	AML_BLOCK_IF,
};

/* Embedded, so that a table is built on the stack without a failing _new();
 * members belong to aml.c. */
struct aml {
	struct blob code;
	struct {
		enum aml_block block;
		size_t start; /* offset of the content behind its PkgLength */
	} open[AML_DEPTH_MAX];
	unsigned int depth;
};

void aml_init(struct aml *aml);

void aml_fini(struct aml *aml);

/**
 * aml_finish() - Say whether all went well.
 * @code, @len: the encoded bytes, borrowed until the buffer changes
 *
 * Return: 0, -ENOMEM, or -EINVAL for a mistake in the calls before.
 */
int aml_finish(struct aml *aml, const uint8_t **code, size_t *len);

/*
 * Terms: what is an operand in ASL. The macros below make them as temporaries
 * of the enclosing block.
 */
enum aml_term_kind {
	AML_TERM_INT,
	AML_TERM_STRING,
	AML_TERM_EISAID,
	AML_TERM_PATH,
	AML_TERM_LOCAL,
	AML_TERM_ARG,
	AML_TERM_AND,
	AML_TERM_EQUAL,
};

struct aml_term {
	enum aml_term_kind kind;
	uint64_t value;		      /* INT; LOCAL and ARG: which */
	const char *text;	      /* STRING, EISAID, PATH */
	const struct aml_term *a, *b; /* the operands of AND and EQUAL */
};

#define AML_TERM(...) (&(const struct aml_term){__VA_ARGS__})

/* An integer in its shortest encoding, of a table with 64-bit integers. */
#define AML_INT(v)    AML_TERM(.kind = AML_TERM_INT, .value = (v))
#define AML_STRING(s) AML_TERM(.kind = AML_TERM_STRING, .text = (s))
/* "PNP0A08": three capitals and four hexadecimal digits (19.3.4). */
#define AML_EISAID(s) AML_TERM(.kind = AML_TERM_EISAID, .text = (s))
/* A reference to a named object: "\\_SB.PCI0", "^PWRB", "EVNT". */
#define AML_PATH(s)	AML_TERM(.kind = AML_TERM_PATH, .text = (s))
#define AML_LOCAL(n)	AML_TERM(.kind = AML_TERM_LOCAL, .value = (n)) /* 0-7 */
#define AML_ARG(n)	AML_TERM(.kind = AML_TERM_ARG, .value = (n))   /* 0-6 */
#define AML_AND(x, y)	AML_TERM(.kind = AML_TERM_AND, .a = (x), .b = (y))
#define AML_EQUAL(x, y) AML_TERM(.kind = AML_TERM_EQUAL, .a = (x), .b = (y))

/* Append a term by itself, such as an element of a package. */
void aml_term(struct aml *aml, const struct aml_term *term);

/*
 * Names. A path has segments of one to four of A-Z, 0-9 and _, the first not a
 * digit, separated by dots, and may start with \ or some ^; short segments are
 * padded with _. "\\" alone is the root.
 */

/* Name (path, term) */
void aml_name(struct aml *aml, const char *path, const struct aml_term *term);
/* Name (path, ...) where a package or buffer is to follow. */
void aml_name_of(struct aml *aml, const char *path);

/* Scope (path) { ... } */
void aml_scope_begin(struct aml *aml, const char *path);
void aml_scope_end(struct aml *aml);

/* Device (path) { ... } */
void aml_device_begin(struct aml *aml, const char *path);
void aml_device_end(struct aml *aml);

/* Method (path, args, Serialized or not) { ... }; args: 0 to 7. */
void aml_method_begin(struct aml *aml, const char *path, unsigned int args,
		      bool serialized);
void aml_method_end(struct aml *aml);

/* Package (count) { ... }; count elements must follow, 0 to 255. */
void aml_package_begin(struct aml *aml, unsigned int count);
void aml_package_end(struct aml *aml);

/* Buffer () { data } */
void aml_buffer(struct aml *aml, const void *data, size_t len);

/* Statements of a method. */
void aml_store(struct aml *aml, const struct aml_term *from,
	       const struct aml_term *to);
void aml_notify(struct aml *aml, const char *path, uint64_t value);
void aml_return(struct aml *aml, const struct aml_term *term);
void aml_if_begin(struct aml *aml, const struct aml_term *predicate);
void aml_if_end(struct aml *aml);

/* RegionSpace (19.6.100) */
enum aml_region_space {
	AML_SYSTEM_MEMORY = 0,
	AML_SYSTEM_IO = 1,
};

/* AccessType (19.6.48) */
enum aml_access_type {
	AML_ANY_ACC = 0,
	AML_BYTE_ACC = 1,
	AML_WORD_ACC = 2,
	AML_DWORD_ACC = 3,
};

/* OperationRegion (path, space, offset, len) */
void aml_operation_region(struct aml *aml, const char *path,
			  enum aml_region_space space, uint64_t offset,
			  uint64_t len);

/* Field (region, access, NoLock, Preserve) { unit, bits, ... } */
void aml_field_begin(struct aml *aml, const char *region,
		     enum aml_access_type access);
void aml_field_unit(struct aml *aml, const char *name, unsigned int bits);
/* Skip bits (Offset). */
void aml_field_skip(struct aml *aml, unsigned int bits);
void aml_field_end(struct aml *aml);

/* Name (path, ResourceTemplate () { ... }), with its end tag (6.4). */
void aml_resources_begin(struct aml *aml, const char *path);
void aml_resources_end(struct aml *aml);

/* IO (Decode16, port, port, 1, len); len: 1 to 255 ports. */
void aml_io(struct aml *aml, uint16_t port, uint8_t len);

/* Memory32Fixed (ReadWrite, base, len) */
void aml_memory32_fixed(struct aml *aml, uint32_t base, uint32_t len);

/*
 * Windows that a host bridge hands on: ResourceProducer, MinFixed, MaxFixed,
 * PosDecode, no translation; memory is NonCacheable and ReadWrite, I/O is
 * EntireRange. len: at least 1; the range must fit the descriptor's width.
 */
void aml_word_bus_number(struct aml *aml, uint16_t first, uint16_t len);
void aml_word_io(struct aml *aml, uint16_t base, uint32_t len);
void aml_dword_memory(struct aml *aml, uint32_t base, uint64_t len);
void aml_qword_memory(struct aml *aml, uint64_t base, uint64_t len);

enum aml_trigger {
	AML_LEVEL,
	AML_EDGE,
};

/* Interrupt (ResourceConsumer, trigger, ActiveHigh, Exclusive) { gsi } */
void aml_interrupt(struct aml *aml, enum aml_trigger trigger, uint32_t gsi);
/* Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { gsi } */
void aml_interrupt_shared(struct aml *aml, uint32_t gsi);

#endif
