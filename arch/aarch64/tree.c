#include "arch/aarch64/tree.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libfdt.h>

#define TREE_NAME_MAX 32

static void tree_note(struct tree *tree, int ret)
{
	if (!tree->error && ret < 0)
		tree->error = ret;
}

int tree_open(struct tree *tree, uint64_t size)
{
	*tree = (struct tree){.blob = calloc(1, size), .size = size};
	if (!tree->blob)
		return -ENOMEM;
	tree_note(tree, fdt_create(tree->blob, (int)size));
	tree_note(tree, fdt_finish_reservemap(tree->blob));
	return 0;
}

/* What libfdt refuses other than for room is our own doing. */
int tree_close(struct tree *tree, uint32_t *len, struct error *err)
{
	tree_note(tree, fdt_finish(tree->blob));
	if (tree->error)
		return error_set(
			err, tree->error == -FDT_ERR_NOSPACE ? ENOSPC : EINVAL,
			"cannot make a device tree of up to %" PRIu64
			" bytes: %s",
			tree->size, fdt_strerror(tree->error));
	*len = fdt_totalsize(tree->blob);
	return 0;
}

void tree_free(struct tree *tree)
{
	free(tree->blob);
	tree->blob = NULL;
}

void tree_begin(struct tree *tree, const char *name)
{
	tree_note(tree, fdt_begin_node(tree->blob, name));
}

void tree_begin_at(struct tree *tree, const char *name, uint64_t address)
{
	char full[TREE_NAME_MAX];

	snprintf(full, sizeof(full), "%s@%" PRIx64, name, address);
	tree_begin(tree, full);
}

void tree_end(struct tree *tree)
{
	tree_note(tree, fdt_end_node(tree->blob));
}

void tree_bytes(struct tree *tree, const char *name, const void *data,
		size_t len)
{
	tree_note(tree, fdt_property(tree->blob, name, data, (int)len));
}

void tree_flag(struct tree *tree, const char *name)
{
	tree_bytes(tree, name, NULL, 0);
}

void tree_text(struct tree *tree, const char *name, const char *text)
{
	tree_bytes(tree, name, text, strlen(text) + 1);
}

void tree_u32(struct tree *tree, const char *name, uint32_t value)
{
	tree_note(tree, fdt_property_u32(tree->blob, name, value));
}

void tree_u64(struct tree *tree, const char *name, uint64_t value)
{
	tree_note(tree, fdt_property_u64(tree->blob, name, value));
}

void tree_array(struct tree *tree, const char *name, const uint32_t *cells,
		size_t count)
{
	fdt32_t *to;
	void *at;
	int ret;

	ret = fdt_property_placeholder(tree->blob, name,
				       (int)(count * sizeof(*to)), &at);
	tree_note(tree, ret);
	if (ret < 0)
		return;
	to = at;
	for (size_t i = 0; i < count; i++)
		to[i] = cpu_to_fdt32(cells[i]);
}
