/*
 * SHA-256 of files, by OpenSSL's libcrypto.
 *
 * Linked, it would cost every run 1.3 MiB and its relocations for what few ask
 * for. So it is loaded when wanted; a static build has it built in.
 */
#ifndef VMM_DIGEST_H
#define VMM_DIGEST_H

#include "vmm/base/error.h"
#include "vmm/base/image.h"

#define DIGEST_TEXT_SIZE 65 /* 64 hexadecimal digits and a NUL */

struct digest;

/**
 * digest_new() - Load the library.
 * @out: for digest_free()
 * @err: names the library and the package that has it
 *
 * Return: 0, -ENOENT or -ENOMEM.
 */
int digest_new(struct digest **out, struct error *err);

/* NULL is nothing to do. */
void digest_free(struct digest *digest);

/**
 * digest_image() - SHA-256 of an open image, of the size that it had then.
 * @text: lower case; "" after a failure
 *
 * Any thread; blocks on the file. Return: 0 or a negative errno, @err set.
 */
int digest_image(struct digest *digest, const struct image *image,
		 char text[DIGEST_TEXT_SIZE], struct error *err);

#endif
