/*
 * Writing a flattened device tree from front to back, by libfdt. Errors stick:
 * tree_close() says the first. All input is bantam's own, but for texts.
 */
#ifndef ARCH_AARCH64_TREE_H
#define ARCH_AARCH64_TREE_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"

struct tree {
	void *blob; /* owned */
	uint64_t size;
	int error; /* of libfdt, 0 or negative */
};

/* @size: bytes that the tree may have, less than 2 GiB. Return: 0 or -ENOMEM;
 * after either, tree_free() may be called. */
int tree_open(struct tree *tree, uint64_t size);

/**
 * tree_close() - End it, after the root node was ended.
 * @len: out: bytes of blob that it has
 *
 * Return: 0, -ENOSPC if it does not fit, or -EINVAL.
 */
int tree_close(struct tree *tree, uint32_t *len, struct error *err);

void tree_free(struct tree *tree);

void tree_begin(struct tree *tree, const char *name);

/* A node that is named after the address of its first register: name@address,
 * at most 31 characters. */
void tree_begin_at(struct tree *tree, const char *name, uint64_t address);

void tree_end(struct tree *tree);

/* Properties of the node that was begun last. */
void tree_bytes(struct tree *tree, const char *name, const void *data,
		size_t len);
void tree_flag(struct tree *tree, const char *name);
void tree_text(struct tree *tree, const char *name, const char *text);
void tree_u32(struct tree *tree, const char *name, uint32_t value);
void tree_u64(struct tree *tree, const char *name, uint64_t value);
void tree_array(struct tree *tree, const char *name, const uint32_t *cells,
		size_t count);

/* The cells that stand behind name; a 64-bit value is two of them. */
#define tree_cells(tree, name, ...)                             \
	tree_array(tree, name, (const uint32_t[]){__VA_ARGS__}, \
		   sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

#define CELLS64(value) (uint32_t)((value) >> 32), (uint32_t)(value)

/* Strings, in one literal with a NUL between them. */
#define tree_list(tree, name, literal) \
	tree_bytes(tree, name, literal, sizeof(literal))

#endif
