/* What the code under test prints to stderr. */
#ifndef TESTS_UNIT_SUPPORT_CAPTURE_H
#define TESTS_UNIT_SUPPORT_CAPTURE_H

#include <stddef.h>

struct capture {
	int saved;  /* the real stderr */
	int memory; /* a memfd in its place */
};

/* Catch what is written to stderr until capture_end(). */
void capture_begin(struct capture *capture);

/* Put stderr back. out: the text, cut at size - 1 bytes. Return: its length. */
size_t capture_end(struct capture *capture, char *out, size_t size);

#endif
