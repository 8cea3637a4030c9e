/*
 * ACPI's own compiler as the judge of tables: iasl, of Debian's package
 * acpica-tools, which must be there.
 */
#ifndef TESTS_UNIT_SUPPORT_IASL_H
#define TESTS_UNIT_SUPPORT_IASL_H

#include <stdint.h>

#define IASL_TABLE_MAX (1 << 20)

/**
 * iasl_check() - Have tables taken apart and compiled again.
 * @tables: each of at most IASL_TABLE_MAX bytes, as its header says
 *
 * What comes out has to be the same, but for checksum and compiler, without an
 * error or a warning. Ends the test otherwise, and leaves a folder in /tmp to
 * look into. Some seconds under an emulator.
 */
void iasl_check(const uint8_t *const *tables, unsigned int count);

#endif
