/*
 * libcrypto's functions by dlsym(3), so that who wants none of them does not
 * pay for the library.
 */
#include "vmm/digest_library.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <dlfcn.h>

#include <openssl/opensslv.h>

/* The library of the headers that this was compiled with. */
#define DIGEST_STRING_OF(x) #x
#define DIGEST_STRING(x)    DIGEST_STRING_OF(x)
#define DIGEST_LIBRARY	    "libcrypto.so." DIGEST_STRING(OPENSSL_SHLIB_VERSION)

static const struct {
	const char *name;
	size_t offset; /* of a function pointer in struct digest_library */
} digest_symbols[] = {
	{"SHA256_Init", offsetof(struct digest_library, begin)},
	{"SHA256_Update", offsetof(struct digest_library, update)},
	{"SHA256_Final", offsetof(struct digest_library, final)},
};

static int digest_find(struct digest_library *library)
{
	for (size_t i = 0;
	     i < sizeof(digest_symbols) / sizeof(digest_symbols[0]); i++) {
		void *symbol = dlsym(library->handle, digest_symbols[i].name);

		if (!symbol)
			return -ENOENT;
		memcpy((char *)library + digest_symbols[i].offset, &symbol,
		       sizeof(symbol));
	}
	return 0;
}

int digest_library_open(struct digest_library *library, struct error *err)
{
	library->handle = dlopen(DIGEST_LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (library->handle && digest_find(library) == 0)
		return 0;
	error_set(err, ENOENT,
		  "expected OpenSSL's " DIGEST_LIBRARY
		  " for SHA-256, found: %s; install it (Debian: libssl3)",
		  dlerror());
	if (library->handle)
		dlclose(library->handle);
	return -ENOENT;
}

void digest_library_close(struct digest_library *library)
{
	dlclose(library->handle);
}
