/*
 * What Arm's PrimeCell peripherals have in common: 32-bit registers, of which
 * the last eight identify the part (Arm IHI 0029, "Component and Peripheral
 * ID registers", which Linux's amba bus matches drivers by).
 */
#ifndef ARCH_AARCH64_PRIMECELL_H
#define ARCH_AARCH64_PRIMECELL_H

#include <stdint.h>

#define PRIMECELL_REG_SIZE  4
#define PRIMECELL_PERIPH_ID UINT64_C(0xfe0) /* PeriphID0 to 3 */
#define PRIMECELL_PCELL_ID  UINT64_C(0xff0) /* PCellID0 to 3 */

#define PRIMECELL_ID UINT32_C(0xb105f00d)

/*
 * The identification register at @offset, a byte of @periph_id or of the
 * PrimeCell's own; 0 for any other offset.
 */
static inline uint32_t primecell_id(uint32_t periph_id, uint64_t offset)
{
	unsigned int shift = (unsigned int)(offset % 16) / PRIMECELL_REG_SIZE;

	if (offset >= PRIMECELL_PCELL_ID + 16 || offset % PRIMECELL_REG_SIZE)
		return 0;
	if (offset >= PRIMECELL_PCELL_ID)
		return PRIMECELL_ID >> shift * 8 & 0xff;
	if (offset >= PRIMECELL_PERIPH_ID)
		return periph_id >> shift * 8 & 0xff;
	return 0;
}

#endif
