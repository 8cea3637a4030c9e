/*
 * SHA-256 (FIPS 180-4) through libcrypto's functions, which are called by way
 * of a table: filled by dlsym(3), or by the linker in a static build.
 *
 * These and not EVP's, which OpenSSL prefers: EVP finds its algorithms through
 * providers, which take dlopen(3) and name services into a static program.
 */
#define OPENSSL_API_COMPAT 10100 /* where they are not deprecated */

#include "vmm/digest.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dlfcn.h>

#include <openssl/opensslv.h>
#include <openssl/sha.h>

#define DIGEST_STEP ((size_t)256 << 10)

/* The library of the headers that this was compiled with. */
#define DIGEST_STRING_OF(x) #x
#define DIGEST_STRING(x)    DIGEST_STRING_OF(x)
#define DIGEST_LIBRARY	    "libcrypto.so." DIGEST_STRING(OPENSSL_SHLIB_VERSION)

struct digest {
	void *library; /* owned, of dlopen(3); NULL when built in */

	__typeof__(SHA256_Init) *begin;
	__typeof__(SHA256_Update) *update;
	__typeof__(SHA256_Final) *final;
};

#ifdef BANTAM_STATIC

static int digest_load(struct digest *digest, struct error *err)
{
	(void)err;
	digest->begin = SHA256_Init;
	digest->update = SHA256_Update;
	digest->final = SHA256_Final;
	return 0;
}

#else

static const struct {
	const char *name;
	size_t offset; /* of a function pointer in struct digest */
} digest_symbols[] = {
	{"SHA256_Init", offsetof(struct digest, begin)},
	{"SHA256_Update", offsetof(struct digest, update)},
	{"SHA256_Final", offsetof(struct digest, final)},
};

static int digest_load(struct digest *digest, struct error *err)
{
	digest->library = dlopen(DIGEST_LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!digest->library)
		goto err_missing;
	for (size_t i = 0;
	     i < sizeof(digest_symbols) / sizeof(digest_symbols[0]); i++) {
		void *symbol = dlsym(digest->library, digest_symbols[i].name);

		if (!symbol)
			goto err_missing;
		memcpy((char *)digest + digest_symbols[i].offset, &symbol,
		       sizeof(symbol));
	}
	return 0;

err_missing:
	error_set(err, ENOENT,
		  "expected OpenSSL's " DIGEST_LIBRARY
		  " for SHA-256, found: %s; install it (Debian: libssl3)",
		  dlerror());
	return -ENOENT;
}

#endif

int digest_new(struct digest **out, struct error *err)
{
	struct digest *digest = calloc(1, sizeof(*digest));
	int rc;

	if (!digest)
		return error_set(err, ENOMEM, "out of memory");
	rc = digest_load(digest, err);
	if (rc) {
		digest_free(digest);
		return rc;
	}
	*out = digest;
	return 0;
}

void digest_free(struct digest *digest)
{
	if (!digest)
		return;
	if (digest->library)
		dlclose(digest->library);
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
		if (!rc && !digest->update(ctx, buf, len))
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
	else if (!digest->begin(&ctx))
		rc = error_set(err, EIO, "libcrypto failed");
	else
		rc = digest_update(digest, &ctx, image, buf, err);
	if (!rc && !digest->final(sum, &ctx))
		rc = error_set(err, EIO, "libcrypto failed");
	if (!rc)
		digest_print(text, sum);
	free(buf);
	return rc;
}
