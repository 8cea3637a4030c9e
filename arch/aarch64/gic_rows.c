/*
 * The tables. Arm IHI 0069 ("GICv3") chapter 12, IHI 0048 ("GICv2") chapter 4,
 * and what arm-vgic-v3.rst and arm-vgic.rst say of each: that user space sets
 * and clears pending bits of a GICv3 at once by GICx_ISPENDR, that the level of
 * lines is an attribute of its own, and that GICD_IIDR comes first, since it
 * says by which rules the rest is meant.
 *
 * KVM has no attribute for the level of a GICv2's lines: each device drives its
 * own when it is restored, which comes after this; what was pending by the
 * level is pending until it is taken, as a GICv2 has it for what software sets.
 *
 * What KVM has as a constant is left out: GICD_STATUSR, GICR_STATUSR,
 * GICR_WAKER.
 */
#include "arch/aarch64/gic_rows.h"

#include <assert.h>

#include <linux/kvm.h>

#include "arch/aarch64/layout.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static_assert(SPI_COUNT <= GIC_SPIS, "all have a bit");

/* Registers with so many bits for each interrupt, from SPI 0 on. */
#define SPI_WORDS(bits)	      (GIC_SPIS * (bits) / 32)
#define SPI_OFFSET(reg, bits) ((reg) + 32 * (bits) / 8)

#define V3_GICR_SGI 0x10000 /* the second frame of a redistributor */

/* A level of lines: VGIC_LEVEL_INFO_LINE_LEVEL, and the first interrupt. */
#define LEVEL(intid)                                         \
	((uint32_t)VGIC_LEVEL_INFO_LINE_LEVEL                \
		 << KVM_DEV_ARM_VGIC_LINE_LEVEL_INFO_SHIFT | \
	 (intid))

#define DIST(reg, at, words)                                           \
	{                                                              \
		.name = #reg, .group = KVM_DEV_ARM_VGIC_GRP_DIST_REGS, \
		.offset = (at), .step = 4, .count = (words),           \
	}
#define DIST_CLEAR(reg, at, words, clear_at)                           \
	{                                                              \
		.name = #reg, .group = KVM_DEV_ARM_VGIC_GRP_DIST_REGS, \
		.offset = (at), .step = 4, .count = (words),           \
		.clear = (clear_at),                                   \
	}

/* --- GICv3 ----------------------------------------------------------------
 */

#define REDIST(reg, at, words)                                                \
	{                                                                     \
		.name = #reg, .group = KVM_DEV_ARM_VGIC_GRP_REDIST_REGS,      \
		.offset = (at), .step = 4, .count = (words), .per_cpu = true, \
	}
#define REDIST_CLEAR(reg, at, words, clear_at)                                \
	{                                                                     \
		.name = #reg, .group = KVM_DEV_ARM_VGIC_GRP_REDIST_REGS,      \
		.offset = (at), .step = 4, .count = (words), .per_cpu = true, \
		.clear = (clear_at),                                          \
	}

/* As arm-vgic-v3.rst has the encoding of a system register. */
#define ICC(reg, crn, crm, op2, most)                                          \
	{                                                                      \
		.name = #reg, .group = KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS,       \
		.offset = 3 << 14 | 0 << 11 | (crn) << 7 | (crm) << 3 | (op2), \
		.step = 1, .count = (most), .per_cpu = true, .wide = true,     \
	}

const struct vgic_row gic_v3_rows[] = {
	DIST(GICD_IIDR, 0x8, 1),
	DIST(GICD_CTLR, 0x0, 1),
	REDIST(GICR_PROPBASER, 0x70, 2),
	REDIST(GICR_PENDBASER, 0x78, 2),
	/* Behind the tables, whose registers KVM keeps once LPIs are on. */
	REDIST(GICR_CTLR, 0x0, 1),
	REDIST(GICR_IGROUPR0, V3_GICR_SGI + 0x80, 1),
	REDIST_CLEAR(GICR_ISENABLER0, V3_GICR_SGI + 0x100, 1,
		     V3_GICR_SGI + 0x180),
	/* Before the pending bits, which its writing clears. */
	REDIST(GICR_ICFGR, V3_GICR_SGI + 0xc00, 2),
	{
		.name = "GICR_LEVEL",
		.group = KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO,
		.offset = LEVEL(0),
		.count = 1,
		.per_cpu = true,
	},
	REDIST(GICR_ISPENDR0, V3_GICR_SGI + 0x200, 1),
	REDIST_CLEAR(GICR_ISACTIVER0, V3_GICR_SGI + 0x300, 1,
		     V3_GICR_SGI + 0x380),
	REDIST(GICR_IPRIORITYR, V3_GICR_SGI + 0x400, 8),

	DIST(GICD_IGROUPR, SPI_OFFSET(0x80, 1), SPI_WORDS(1)),
	DIST_CLEAR(GICD_ISENABLER, SPI_OFFSET(0x100, 1), SPI_WORDS(1),
		   SPI_OFFSET(0x180, 1)),
	DIST(GICD_ICFGR, SPI_OFFSET(0xc00, 2), SPI_WORDS(2)),
	{
		.name = "GICD_LEVEL",
		.group = KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO,
		.offset = LEVEL(INTID_SPI),
		.step = 32,
		.count = SPI_WORDS(1),
	},
	DIST(GICD_ISPENDR, SPI_OFFSET(0x200, 1), SPI_WORDS(1)),
	DIST_CLEAR(GICD_ISACTIVER, SPI_OFFSET(0x300, 1), SPI_WORDS(1),
		   SPI_OFFSET(0x380, 1)),
	DIST(GICD_IPRIORITYR, SPI_OFFSET(0x400, 8), SPI_WORDS(8)),
	DIST(GICD_IROUTER, SPI_OFFSET(0x6000, 64), SPI_WORDS(64)),

	ICC(ICC_SRE_EL1, 12, 12, 5, 1),
	ICC(ICC_CTLR_EL1, 12, 12, 4, 1),
	ICC(ICC_IGRPEN0_EL1, 12, 12, 6, 1),
	ICC(ICC_IGRPEN1_EL1, 12, 12, 7, 1),
	ICC(ICC_PMR_EL1, 4, 6, 0, 1),
	ICC(ICC_BPR0_EL1, 12, 8, 3, 1),
	ICC(ICC_BPR1_EL1, 12, 12, 3, 1),
	ICC(ICC_AP0R_EL1, 12, 8, 4, 4),
	ICC(ICC_AP1R_EL1, 12, 9, 0, 4),
};

const unsigned int gic_v3_row_count = COUNT_OF(gic_v3_rows);

const struct vgic_row gic_v3_icc_ctlr = ICC(ICC_CTLR_EL1, 12, 12, 4, 1);

/* --- GICv2 ----------------------------------------------------------------
 */

/* Banked: each vCPU has its own of the first 32 interrupts. */
#define BANKED(reg, at, words)                                                \
	{                                                                     \
		.name = #reg, .group = KVM_DEV_ARM_VGIC_GRP_DIST_REGS,        \
		.offset = (at), .step = 4, .count = (words), .per_cpu = true, \
	}
#define BANKED_CLEAR(reg, at, words, clear_at)                                \
	{                                                                     \
		.name = #reg, .group = KVM_DEV_ARM_VGIC_GRP_DIST_REGS,        \
		.offset = (at), .step = 4, .count = (words), .per_cpu = true, \
		.clear = (clear_at),                                          \
	}
#define CPU(reg, at, words)                                                   \
	{                                                                     \
		.name = #reg, .group = KVM_DEV_ARM_VGIC_GRP_CPU_REGS,         \
		.offset = (at), .step = 4, .count = (words), .per_cpu = true, \
	}

const struct vgic_row gic_v2_rows[] = {
	DIST(GICD_IIDR, 0x8, 1),
	DIST(GICD_CTLR, 0x0, 1),
	BANKED(GICD_IGROUPR0, 0x80, 1),
	BANKED_CLEAR(GICD_ISENABLER0, 0x100, 1, 0x180),
	BANKED(GICD_ICFGR0, 0xc00, 2),
	BANKED_CLEAR(GICD_ISPENDR0, 0x200, 1, 0x280),
	BANKED_CLEAR(GICD_SPENDSGIR, 0xf20, 4, 0xf10),
	BANKED_CLEAR(GICD_ISACTIVER0, 0x300, 1, 0x380),
	BANKED(GICD_IPRIORITYR0, 0x400, 8),

	DIST(GICD_IGROUPR, SPI_OFFSET(0x80, 1), SPI_WORDS(1)),
	DIST_CLEAR(GICD_ISENABLER, SPI_OFFSET(0x100, 1), SPI_WORDS(1),
		   SPI_OFFSET(0x180, 1)),
	DIST(GICD_ITARGETSR, SPI_OFFSET(0x800, 8), SPI_WORDS(8)),
	DIST(GICD_ICFGR, SPI_OFFSET(0xc00, 2), SPI_WORDS(2)),
	DIST_CLEAR(GICD_ISPENDR, SPI_OFFSET(0x200, 1), SPI_WORDS(1),
		   SPI_OFFSET(0x280, 1)),
	DIST_CLEAR(GICD_ISACTIVER, SPI_OFFSET(0x300, 1), SPI_WORDS(1),
		   SPI_OFFSET(0x380, 1)),
	DIST(GICD_IPRIORITYR, SPI_OFFSET(0x400, 8), SPI_WORDS(8)),

	CPU(GICC_CTLR, 0x0, 1),
	CPU(GICC_PMR, 0x4, 1),
	CPU(GICC_BPR, 0x8, 1),
	CPU(GICC_ABPR, 0x1c, 1),
	CPU(GICC_APR, 0xd0, 4),
};

const unsigned int gic_v2_row_count = COUNT_OF(gic_v2_rows);
