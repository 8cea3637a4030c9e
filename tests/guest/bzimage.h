/*
 * What the setup header of our hand-made bzImages says, for bzimage.S, which
 * says it, and boot.c, which wants to find it in boot_params.
 */
#ifndef TESTS_GUEST_BZIMAGE_H
#define TESTS_GUEST_BZIMAGE_H

#define BZIMAGE_SETUP_SECTS	4
#define BZIMAGE_VERSION		0x20f
#define BZIMAGE_PREF_ADDRESS	0x100000
#define BZIMAGE_INIT_SIZE	0x80000
#define BZIMAGE_CMDLINE_SIZE	255
#define BZIMAGE_INITRD_ADDR_MAX 0x1ffffff

#endif
