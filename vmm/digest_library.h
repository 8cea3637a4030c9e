/*
 * What is called of OpenSSL's libcrypto, and where it is:
 * digest_library_loaded.c looks for it when the program runs,
 * digest_library_linked.c is for a static one, and the Makefile takes one of
 * the two.
 *
 * These and not EVP's, which OpenSSL prefers: EVP finds its algorithms through
 * providers, which take dlopen(3) and name services into a static program.
 */
#ifndef VMM_DIGEST_LIBRARY_H
#define VMM_DIGEST_LIBRARY_H

#define OPENSSL_API_COMPAT 10100 /* where they are not deprecated */
#include <openssl/sha.h>

#include "vmm/base/error.h"

struct digest_library {
	void *handle; /* of dlopen(3); NULL when built in */

	__typeof__(SHA256_Init) *begin;
	__typeof__(SHA256_Update) *update;
	__typeof__(SHA256_Final) *final;
};

/**
 * digest_library_open() - Find the functions.
 * @library: filled; for digest_library_close() when this succeeds
 * @err: names the library and the package that has it
 *
 * Any thread; may read files. Return: 0 or -ENOENT.
 */
int digest_library_open(struct digest_library *library, struct error *err);

void digest_library_close(struct digest_library *library);

#endif
