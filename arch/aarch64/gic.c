/*
 * KVM's GIC. The guest reaches its registers without us; this makes it, saves
 * it, and puts it back: the state after gic_start() is kept, and a reset is the
 * restoring of that.
 */
#include "arch/aarch64/gic.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "arch/aarch64/gic_rows.h"
#include "arch/aarch64/layout.h"
#include "arch/aarch64/vgic_regs.h"
#include "vmm/arch.h"
#include "vmm/base/log.h"

#define GIC_ROWS_MAX 32

/* ICC_CTLR_EL1: bits of a priority, less one (IHI 0069, 12.2.6) */
#define ICC_CTLR_PRIBITS(ctlr) (((ctlr) >> 8 & 7) + 1)

/* What gic_open() writes: groups enabled, and a mask that lets all through.
 * KVM has the interrupts of a GICv3 in group 1, those of a GICv2 in group 0. */
#define GICD_CTLR_GROUP0 1
#define GICD_CTLR_GROUP1 2
#define GICC_CTLR_GROUP0 1
#define GIC_PRIORITY_ALL 0xf8

struct gic {
	int dev_fd; /* owned */
	unsigned int version;
	uint32_t keys[ARCH_CPUS_MAX];	    /* of vCPUs, in attributes */
	struct vgic_row rows[GIC_ROWS_MAX]; /* as this host has them */
	struct vgic_regs regs;
	void *power_on; /* owned; of regs */
};

static int gic_control(const struct gic *gic, uint64_t what, const char *name,
		       struct error *err)
{
	return vgic_attr(gic->dev_fd, KVM_DEV_ARM_VGIC_GRP_CTRL, what, NULL,
			 name, err);
}

/* --- State ----------------------------------------------------------------
 */

static int gic_write(const struct gic *gic, const void *state,
		     struct error *err)
{
	int rc = 0;

	/* LPIs off: only then can their tables be changed. */
	if (gic->version == 3)
		rc = vgic_regs_fill(&gic->regs, &gic->rows[GIC_V3_ROW_CTLR], 0,
				    err);
	return rc ? rc
		  : vgic_regs_write(&gic->regs, state, 0, gic->regs.row_count,
				    err);
}

static int gic_save(void *self, json_t **out)
{
	struct gic *gic = self;
	void *state = calloc(1, vgic_regs_size(&gic->regs));
	int rc = state ? 0 : -ENOMEM;

	if (!rc && gic->version == 3)
		rc = gic_control(gic, KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES,
				 "pending tables", NULL);
	if (!rc)
		rc = vgic_regs_read(&gic->regs, state, NULL);
	if (!rc) {
		*out = vgic_regs_save(&gic->regs, state);
		rc = *out ? 0 : -ENOMEM;
	}
	free(state);
	return rc;
}

static int gic_restore(void *self, const json_t *value, struct error *err)
{
	struct gic *gic = self;
	void *state = calloc(1, vgic_regs_size(&gic->regs));
	int rc;

	if (!state)
		return error_set(err, ENOMEM, "out of memory");
	rc = vgic_regs_load(&gic->regs, state, value, err);
	if (!rc)
		rc = gic_write(gic, state, err);
	free(state);
	return rc;
}

static void gic_reset(void *self)
{
	struct gic *gic = self;
	struct error err;

	/* What KVM gave is what it takes. */
	if (gic_write(gic, gic->power_on, &err))
		log_error("the interrupt controller keeps its state over a "
			  "reset: %s",
			  err.text);
}

/* --- Life -----------------------------------------------------------------
 */

static void gic_free(void *self)
{
	struct gic *gic = self;

	if (gic->dev_fd >= 0)
		close(gic->dev_fd);
	free(gic->power_on);
	free(gic);
}

const struct device_ops gic_device_ops = {
	.free = gic_free,
	.reset = gic_reset,
	.save = gic_save,
	.restore = gic_restore,
};

unsigned int gic_probe(int vm_fd)
{
	if (vgic_device_there(vm_fd, KVM_DEV_TYPE_ARM_VGIC_V3))
		return 3;
	return vgic_device_there(vm_fd, KVM_DEV_TYPE_ARM_VGIC_V2) ? 2 : 0;
}

/* Where its two halves are. */
static int gic_place(const struct gic *gic, struct error *err)
{
	bool v3 = gic->version == 3;
	uint64_t dist = LAYOUT_GIC_DIST;
	uint64_t cpu = v3 ? LAYOUT_GIC_REDIST : LAYOUT_GIC_CPU;
	int rc;

	rc = vgic_attr(gic->dev_fd, KVM_DEV_ARM_VGIC_GRP_ADDR,
		       v3 ? KVM_VGIC_V3_ADDR_TYPE_DIST
			  : KVM_VGIC_V2_ADDR_TYPE_DIST,
		       &dist, "distributor", err);
	if (!rc)
		rc = vgic_attr(gic->dev_fd, KVM_DEV_ARM_VGIC_GRP_ADDR,
			       v3 ? KVM_VGIC_V3_ADDR_TYPE_REDIST
				  : KVM_VGIC_V2_ADDR_TYPE_CPU,
			       &cpu, v3 ? "redistributors" : "CPU interfaces",
			       err);
	return rc;
}

int gic_new(struct gic **out, int vm_fd, unsigned int version,
	    unsigned int cpus, struct error *err)
{
	struct gic *gic = calloc(1, sizeof(*gic));
	int rc;

	if (!gic)
		return error_set(err, ENOMEM, "out of memory");
	gic->version = version;
	gic->regs.cpus = cpus;
	rc = vgic_device_new(vm_fd,
			     version == 3 ? KVM_DEV_TYPE_ARM_VGIC_V3
					  : KVM_DEV_TYPE_ARM_VGIC_V2,
			     &gic->dev_fd, "interrupt controller", err);
	if (!rc)
		rc = gic_place(gic, err);
	if (rc) {
		gic_free(gic);
		return rc;
	}
	*out = gic;
	return 0;
}

/* The affinity as KVM_DEV_ARM_VGIC_V3_MPIDR_MASK has it. */
static uint32_t gic_affinity(uint64_t mpidr)
{
	return (uint32_t)(mpidr >> 32 & 0xff) << 24 |
	       ((uint32_t)mpidr & 0xffffff);
}

/* How many registers of active priorities the host's CPU has. */
static int gic_count_priorities(struct gic *gic, struct error *err)
{
	struct vgic_regs one = gic->regs;
	uint64_t ctlr[ARCH_CPUS_MAX];
	unsigned int bits;
	int rc;

	one.rows = &gic_v3_icc_ctlr;
	one.row_count = 1;
	rc = vgic_regs_read(&one, ctlr, err);
	if (rc)
		return rc;
	bits = ICC_CTLR_PRIBITS(ctlr[0]);
	for (unsigned int i = 1; i <= GIC_V3_ROWS_AP; i++)
		gic->rows[gic->regs.row_count - i].count =
			bits <= 5 ? 1 : 1u << (bits - 5);
	return 0;
}

/*
 * So many shared interrupts in whole registers. Each has some that a guest's
 * driver writes while it boots, and each write is an exit.
 */
static int gic_set_count(struct gic *gic, unsigned int spis, struct error *err)
{
	const unsigned int words = (spis + 31) / 32;
	const uint32_t intids = INTID_SPI + words * 32;

	assert(spis > 0 && spis <= GIC_SPIS);
	for (unsigned int i = 0; i < gic->regs.row_count; i++) {
		struct vgic_row *row = &gic->rows[i];

		/* The others are of a vCPU, or one of the whole. */
		if (!row->per_cpu && row->count > 1)
			row->count = row->count / GIC_WORDS * words;
	}
	return vgic_attr(gic->dev_fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &intids,
			 "number of interrupts", err);
}

static int gic_note(struct gic *gic, struct error *err)
{
	gic->power_on = calloc(1, vgic_regs_size(&gic->regs));
	if (!gic->power_on)
		return error_set(err, ENOMEM, "out of memory");
	return vgic_regs_read(&gic->regs, gic->power_on, err);
}

int gic_start(struct gic *gic, const uint64_t *mpidr, unsigned int spis,
	      struct error *err)
{
	bool v3 = gic->version == 3;
	int rc;

	for (unsigned int i = 0; i < gic->regs.cpus; i++)
		gic->keys[i] = v3 ? gic_affinity(mpidr[i]) : i;
	gic->regs.dev_fd = gic->dev_fd;
	gic->regs.keys = gic->keys;
	gic->regs.row_count = v3 ? gic_v3_row_count : gic_v2_row_count;
	assert(gic->regs.row_count <= GIC_ROWS_MAX);
	memcpy(gic->rows, v3 ? gic_v3_rows : gic_v2_rows,
	       gic->regs.row_count * sizeof(gic->rows[0]));
	gic->regs.rows = gic->rows;
	rc = gic_set_count(gic, spis, err);
	if (!rc)
		rc = gic_control(gic, KVM_DEV_ARM_VGIC_CTRL_INIT,
				 "starting the interrupt controller", err);
	if (!rc && v3)
		rc = gic_count_priorities(gic, err);
	return rc ? rc : gic_note(gic, err);
}

/* --- In place of a driver -------------------------------------------------
 */

static int gic_set(struct gic *gic, const char *name, unsigned int index,
		   uint64_t value, struct error *err)
{
	for (unsigned int i = 0; i < gic->regs.row_count; i++) {
		struct vgic_row row = gic->rows[i];

		if (strcmp(row.name, name) != 0)
			continue;
		row.offset += index * row.step;
		row.count = 1;
		return vgic_regs_fill(&gic->regs, &row, value, err);
	}
	return error_set(err, EINVAL, "no register %s", name);
}

static int gic_open_v3(struct gic *gic, struct error *err)
{
	int rc = gic_set(gic, "GICD_CTLR", 0, GICD_CTLR_GROUP1, err);

	if (!rc)
		rc = gic_set(gic, "ICC_PMR_EL1", 0, GIC_PRIORITY_ALL, err);
	return rc ? rc : gic_set(gic, "ICC_IGRPEN1_EL1", 0, 1, err);
}

static int gic_open_v2(struct gic *gic, struct error *err)
{
	int rc = gic_set(gic, "GICD_CTLR", 0, GICD_CTLR_GROUP0, err);

	if (!rc)
		rc = gic_set(gic, "GICC_PMR", 0, GIC_PRIORITY_ALL, err);
	return rc ? rc : gic_set(gic, "GICC_CTLR", 0, GICC_CTLR_GROUP0, err);
}

int gic_open(struct gic *gic, unsigned int intid, struct error *err)
{
	bool v3 = gic->version == 3;
	const char *banked = v3 ? "GICR_ISENABLER0" : "GICD_ISENABLER0";
	int rc = v3 ? gic_open_v3(gic, err) : gic_open_v2(gic, err);

	if (rc)
		return rc;
	return gic_set(gic, intid < INTID_SPI ? banked : "GICD_ISENABLER",
		       intid < INTID_SPI ? 0 : intid / 32 - 1, 1u << intid % 32,
		       err);
}
