/*
 * Recognising images that are not raw, see virtio/block_format.h. The bytes
 * come from a file that a user named or a guest wrote.
 */
#include "virtio/block_format.h"

#include <string.h>

static const struct {
	const char *name;
	size_t offset, len;
	const char *magic;
} block_formats[] = {
	{"qcow2", 0, 8, "QFI\xfb\0\0\0\2"},
	{"qcow2", 0, 8, "QFI\xfb\0\0\0\3"},
	{"qcow", 0, 8, "QFI\xfb\0\0\0\1"},
	{"qed", 0, 4, "QED\0"},
	{"vmdk", 0, 4, "KDMV"},
	{"vmdk", 0, 4, "COWD"},
	{"vmdk", 0, 21, "# Disk DescriptorFile"},
	{"vdi", 64, 4, "\x7f\x10\xda\xbe"},
	{"vhdx", 0, 8, "vhdxfile"},
	{"vpc", 0, 8, "conectix"},
	{"parallels", 0, 16, "WithoutFreeSpace"},
	{"parallels", 0, 16, "WithouFreSpacExt"},
};

const char *block_format_name(const void *head, size_t len)
{
	const char *bytes = head;

	for (size_t i = 0; i < sizeof(block_formats) / sizeof(*block_formats);
	     i++) {
		if (block_formats[i].offset + block_formats[i].len <= len &&
		    memcmp(bytes + block_formats[i].offset,
			   block_formats[i].magic, block_formats[i].len) == 0)
			return block_formats[i].name;
	}
	return NULL;
}
