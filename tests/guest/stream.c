/* Prints bytes=N without caring whether anybody reads them. */
#include "lib/guest.h"

#define BLOCK 4096

int guest_main(void)
{
	static uint8_t block[BLOCK];
	uint64_t left = option_number("bytes", BLOCK);

	for (unsigned int i = 0; i < BLOCK; i++)
		block[i] = i % 64 == 63 ? '\n' : 'a' + i % 26;
	while (left) {
		uint64_t len = left < BLOCK ? left : BLOCK;

		out_string(PORT_COM1, block, len);
		left -= len;
	}
	return 0;
}
