/*
 * A byte buffer that grows, under AML and the static tables. What is built
 * here comes from bantam's own code alone. An error sticks: after the first
 * one nothing more is stored, so that a builder checks once, at its end.
 */
#ifndef ACPI_BLOB_H
#define ACPI_BLOB_H

#include <stddef.h>
#include <stdint.h>

/* Embedded: it is the first thing that any builder is made of. All zero is an
 * empty one. */
struct blob {
	uint8_t *data; /* owned */
	size_t len;    /* bytes */
	size_t room;   /* bytes allocated */
	int error;     /* the first failure, a negative errno */
};

/* Free the bytes and make it empty, without error. */
void blob_fini(struct blob *blob);

/* Note an error, unless one is noted already. */
void blob_fail(struct blob *blob, int error);

/**
 * blob_extend() - Append @len zero bytes.
 *
 * Return: where they are until the next call, or NULL after an error.
 */
uint8_t *blob_extend(struct blob *blob, size_t len);

void blob_append(struct blob *blob, const void *data, size_t len);

/* Put @len bytes at offset @at (at most blob->len); the rest moves up. */
void blob_insert(struct blob *blob, size_t at, const void *data, size_t len);

/* Append @value as @size bytes (1 to 8), little-endian, cut to that size. */
void blob_append_le(struct blob *blob, uint64_t value, unsigned int size);

#endif
