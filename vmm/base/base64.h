/*
 * Base64 (RFC 4648, section 4): bytes as text in JSON.
 */
#ifndef VMM_BASE_BASE64_H
#define VMM_BASE_BASE64_H

#include <stddef.h>
#include <stdint.h>

/* Characters for @len bytes, without a terminator. */
#define BASE64_LEN(len) (((len) + 2) / 3 * 4)

/**
 * base64_encode() - Write BASE64_LEN(@len) characters and a NUL.
 *
 * Any thread.
 */
void base64_encode(char *out, const uint8_t *data, size_t len);

/**
 * base64_decode() - Read @text_len characters, with padding, nothing else.
 * @data: room for @text_len / 4 * 3 bytes
 * @len: how many it are
 *
 * Any thread. Return: 0, or -EINVAL: what base64_encode() does not write.
 */
int base64_decode(uint8_t *data, size_t *len, const char *text,
		  size_t text_len);

#endif
