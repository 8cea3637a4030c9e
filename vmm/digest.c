/*
 * SHA-256 (FIPS 180-4) through libcrypto's functions.
 */
#include "vmm/digest.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "vmm/digest_library.h"

#define DIGEST_STEP ((size_t)256 << 10)

struct digest {
	struct digest_library library;
};

int digest_new(struct digest **out, struct error *err)
{
	struct digest *digest = calloc(1, sizeof(*digest));
	int rc;

	if (!digest)
		return error_set(err, ENOMEM, "out of memory");
	rc = digest_library_open(&digest->library, err);
	if (rc) {
		free(digest);
		return rc;
	}
	*out = digest;
	return 0;
}

void digest_free(struct digest *digest)
{
	if (!digest)
		return;
	digest_library_close(&digest->library);
	free(digest);
}

static int digest_update(const struct digest *digest, SHA256_CTX *ctx,
			 const struct image *image, uint8_t *buf,
			 struct error *err)
{
	uint64_t offset = 0;
	int rc = 0;

	while (offset < image->size && !rc) {
		uint64_t left = image->size - offset;
		size_t len = left < DIGEST_STEP ? (size_t)left : DIGEST_STEP;

		rc = image_read(image, offset, buf, len, err);
		if (!rc && !digest->library.update(ctx, buf, len))
			rc = error_set(err, EIO, "libcrypto failed");
		offset += len;
	}
	return rc;
}

static void digest_print(char *text, const uint8_t *bytes)
{
	for (size_t i = 0; i < SHA256_DIGEST_LENGTH; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

int digest_image(struct digest *digest, const struct image *image,
		 char text[DIGEST_TEXT_SIZE], struct error *err)
{
	uint8_t *buf = malloc(DIGEST_STEP);
	uint8_t sum[SHA256_DIGEST_LENGTH];
	SHA256_CTX ctx;
	int rc;

	text[0] = '\0';
	if (!buf)
		rc = error_set(err, ENOMEM, "out of memory");
	else if (!digest->library.begin(&ctx))
		rc = error_set(err, EIO, "libcrypto failed");
	else
		rc = digest_update(digest, &ctx, image, buf, err);
	if (!rc && !digest->library.final(sum, &ctx))
		rc = error_set(err, EIO, "libcrypto failed");
	if (!rc)
		digest_print(text, sum);
	free(buf);
	return rc;
}
