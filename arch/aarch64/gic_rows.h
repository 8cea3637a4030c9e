/*
 * The registers of a GIC that make up its state, in the order in which KVM
 * wants them back.
 */
#ifndef ARCH_AARCH64_GIC_ROWS_H
#define ARCH_AARCH64_GIC_ROWS_H

#include "arch/aarch64/vgic_regs.h"

/* Shared peripheral interrupts of the tables: SPI_COUNT in whole registers. A
 * row that is not per_cpu, and of more than one, is of so many times a word
 * of 32. */
#define GIC_WORDS 4
#define GIC_SPIS  (GIC_WORDS * 32)

extern const struct vgic_row gic_v3_rows[];
extern const unsigned int gic_v3_row_count;

/* Of gic_v3_rows: the priorities that are active, of which there are 1, 2 or 4
 * registers, as the host's CPU has it; and what enables LPIs. */
#define GIC_V3_ROW_CTLR 4 /* GICR_CTLR */
#define GIC_V3_ROWS_AP	2 /* the last ones */

/* Where one finds out: ICC_CTLR_EL1. */
extern const struct vgic_row gic_v3_icc_ctlr;

extern const struct vgic_row gic_v2_rows[];
extern const unsigned int gic_v2_row_count;

#endif
