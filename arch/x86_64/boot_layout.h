/*
 * The boot data of a PC: what vmm/base/boot_mem.h has to know, and what the
 * boot protocols share.
 */
#ifndef ARCH_X86_64_BOOT_LAYOUT_H
#define ARCH_X86_64_BOOT_LAYOUT_H

#include "vmm/base/boot_mem.h"
#include "vmm/base/error.h"

/* GDT selectors of the flat segments: __BOOT_CS and __BOOT_DS of Linux, which
 * the other protocols, content with any, are given, too. */
#define BOOT_CS 0x10
#define BOOT_DS 0x18

extern const struct boot_layout boot_layout;

/**
 * boot_layout_cmdline() - Write @cmdline with its NUL at LAYOUT_CMDLINE.
 *
 * Return: 0, -E2BIG, or -EFAULT without RAM there.
 */
int boot_layout_cmdline(struct boot_mem *bm, const char *cmdline,
			struct error *err);

#endif
