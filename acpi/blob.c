#include "acpi/blob.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BLOB_ROOM_MIN 256

void blob_fini(struct blob *blob)
{
	free(blob->data);
	*blob = (struct blob){0};
}

void blob_fail(struct blob *blob, int error)
{
	if (!blob->error)
		blob->error = error;
}

/* Room for @len more bytes. */
static int blob_reserve(struct blob *blob, size_t len)
{
	size_t room = blob->room ? blob->room : BLOB_ROOM_MIN;
	uint8_t *data;
	size_t need;

	if (blob->error)
		return blob->error;
	if (__builtin_add_overflow(blob->len, len, &need) ||
	    need > SIZE_MAX / 2)
		goto err_memory;
	if (need <= blob->room)
		return 0;
	while (room < need)
		room *= 2;
	data = realloc(blob->data, room);
	if (!data)
		goto err_memory;
	blob->data = data;
	blob->room = room;
	return 0;

err_memory:
	blob_fail(blob, -ENOMEM);
	return blob->error;
}

uint8_t *blob_extend(struct blob *blob, size_t len)
{
	uint8_t *at;

	if (blob_reserve(blob, len) < 0)
		return NULL;
	at = blob->data + blob->len;
	memset(at, 0, len);
	blob->len += len;
	return at;
}

void blob_append(struct blob *blob, const void *data, size_t len)
{
	blob_insert(blob, blob->len, data, len);
}

void blob_insert(struct blob *blob, size_t at, const void *data, size_t len)
{
	if (len == 0 || blob_reserve(blob, len) < 0)
		return;
	memmove(blob->data + at + len, blob->data + at, blob->len - at);
	memcpy(blob->data + at, data, len);
	blob->len += len;
}

void blob_append_le(struct blob *blob, uint64_t value, unsigned int size)
{
	uint8_t bytes[8];

	for (unsigned int i = 0; i < size; i++)
		bytes[i] = (uint8_t)(value >> 8 * i);
	blob_append(blob, bytes, size);
}
