/*
 * Base64 (RFC 4648, section 4). What is decoded comes from a control client:
 * each character, the padding, and the bits behind the last byte are checked.
 */
#include "vmm/base/base64.h"

#include <errno.h>
#include <string.h>

static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* 1 to 3 bytes as four characters. */
static void base64_encode_group(char *out, const uint8_t *data, size_t len)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < 3; i++)
		bits = bits << 8 | (i < len ? data[i] : 0);
	for (size_t i = 0; i < 4; i++)
		out[i] = i <= len ? base64_digits[bits >> (18 - 6 * i) & 63]
				  : '=';
}

void base64_encode(char *out, const uint8_t *data, size_t len)
{
	while (len) {
		size_t part = len < 3 ? len : 3;

		base64_encode_group(out, data, part);
		out += 4;
		data += part;
		len -= part;
	}
	*out = '\0';
}

/* The value of a digit, -1 if it is none. */
static int base64_digit(char c)
{
	const char *at = c ? strchr(base64_digits, c) : NULL;

	return at ? (int)(at - base64_digits) : -1;
}

/* Four characters, the last two of which may be padding. */
static int base64_decode_group(uint8_t *data, size_t *len, const char *text,
			       size_t padding)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < 4 - padding; i++) {
		int digit = base64_digit(text[i]);

		if (digit < 0)
			return -EINVAL;
		bits |= (uint32_t)digit << (18 - 6 * i);
	}
	if (bits & ((UINT32_C(1) << (8 * padding)) - 1))
		return -EINVAL;
	for (size_t i = 0; i < 3 - padding; i++)
		data[(*len)++] = (uint8_t)(bits >> (16 - 8 * i));
	return 0;
}

int base64_decode(uint8_t *data, size_t *len, const char *text, size_t text_len)
{
	size_t padding = 0;

	*len = 0;
	if (text_len % 4)
		return -EINVAL;
	while (padding < 2 && padding < text_len &&
	       text[text_len - 1 - padding] == '=')
		padding++;
	for (size_t i = 0; i < text_len; i += 4) {
		size_t last = i + 4 == text_len ? padding : 0;

		if (base64_decode_group(data, len, text + i, last) < 0)
			return -EINVAL;
	}
	return 0;
}
