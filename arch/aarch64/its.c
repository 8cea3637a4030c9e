/*
 * Follows arm-vgic-its.rst in Documentation/virt/kvm/devices of Linux, which
 * gives the order of a restore: the redistributors, GITS_CBASER, the other
 * registers, the tables, and GITS_CTLR, which lets it work, at the end.
 */
#include "arch/aarch64/its.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "arch/aarch64/layout.h"
#include "arch/aarch64/vgic_regs.h"
#include "vmm/base/log.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#define ITS_STATE 16 /* of 64 bits: room for all registers */

struct its {
	int dev_fd; /* owned */
	struct vgic_regs regs;
	uint64_t power_on[ITS_STATE];
};

/* IHI 0069, 12.19. KVM takes and gives 64 bits of each. */
#define ITS(reg, at, most)                                                \
	{                                                                 \
		.name = #reg, .group = KVM_DEV_ARM_VGIC_GRP_ITS_REGS,     \
		.offset = (at), .step = 8, .count = (most), .wide = true, \
	}
static const struct vgic_row its_rows[] = {
	ITS(GITS_IIDR, 0x4, 1),	   /* by which rules the tables are written */
	ITS(GITS_CBASER, 0x80, 1), /* resets the two below */
	ITS(GITS_CREADR, 0x90, 1), ITS(GITS_CWRITER, 0x88, 1),
	ITS(GITS_BASER, 0x100, 8), ITS(GITS_CTLR, 0x0, 1),
};
#define ITS_ROWS_CTLR 1 /* the last one */

/* An ITS belongs to no vCPU. */
static const uint32_t its_keys[1];

static int its_control(const struct its *its, uint64_t what, const char *name,
		       struct error *err)
{
	return vgic_attr(its->dev_fd, KVM_DEV_ARM_VGIC_GRP_CTRL, what, NULL,
			 name, err);
}

static int its_save(void *self, json_t **out)
{
	uint64_t state[ITS_STATE] = {0};
	struct its *its = self;
	int rc;

	rc = its_control(its, KVM_DEV_ARM_ITS_SAVE_TABLES, "tables", NULL);
	if (!rc)
		rc = vgic_regs_read(&its->regs, state, NULL);
	if (rc)
		return rc;
	*out = vgic_regs_save(&its->regs, state);
	return *out ? 0 : -ENOMEM;
}

static int its_restore(void *self, const json_t *value, struct error *err)
{
	unsigned int rest = COUNT_OF(its_rows) - ITS_ROWS_CTLR;
	uint64_t state[ITS_STATE];
	struct its *its = self;
	int rc;

	rc = vgic_regs_load(&its->regs, state, value, err);
	if (!rc)
		rc = its_control(its, KVM_DEV_ARM_ITS_CTRL_RESET, "reset", err);
	if (!rc)
		rc = vgic_regs_write(&its->regs, state, 0, rest, err);
	if (!rc)
		rc = its_control(its, KVM_DEV_ARM_ITS_RESTORE_TABLES,
				 "the tables in guest memory", err);
	return rc ? rc
		  : vgic_regs_write(&its->regs, state, rest, ITS_ROWS_CTLR,
				    err);
}

static void its_reset(void *self)
{
	struct its *its = self;
	struct error err;
	int rc;

	/* Of the tables' registers KVM only clears the valid bit. */
	rc = its_control(its, KVM_DEV_ARM_ITS_CTRL_RESET, "reset", &err);
	if (!rc)
		rc = vgic_regs_write(&its->regs, its->power_on, 0,
				     COUNT_OF(its_rows), &err);
	if (rc)
		log_error("the ITS keeps its state over a reset: %s", err.text);
}

static void its_free(void *self)
{
	struct its *its = self;

	if (its->dev_fd >= 0)
		close(its->dev_fd);
	free(its);
}

const struct device_ops its_device_ops = {
	.free = its_free,
	.reset = its_reset,
	.save = its_save,
	.restore = its_restore,
};

int its_new(struct its **out, int vm_fd, struct error *err)
{
	struct its *its = calloc(1, sizeof(*its));
	int rc;

	if (!its)
		return error_set(err, ENOMEM, "out of memory");
	rc = vgic_device_new(vm_fd, KVM_DEV_TYPE_ARM_VGIC_ITS, &its->dev_fd,
			     "ITS", err);
	if (rc) {
		its_free(its);
		return rc;
	}
	its->regs = (struct vgic_regs){
		.dev_fd = its->dev_fd,
		.rows = its_rows,
		.row_count = COUNT_OF(its_rows),
		.keys = its_keys,
		.cpus = 1,
	};
	*out = its;
	return 0;
}

/*
 * KVM puts memory attributes of its own into what is written: the state to go
 * back to is what it makes of the one it began with.
 */
static int its_note(struct its *its, struct error *err)
{
	int rc;

	assert(vgic_regs_size(&its->regs) <= sizeof(its->power_on));
	rc = vgic_regs_read(&its->regs, its->power_on, err);
	if (!rc)
		rc = vgic_regs_write(&its->regs, its->power_on, 0,
				     COUNT_OF(its_rows), err);
	return rc ? rc : vgic_regs_read(&its->regs, its->power_on, err);
}

int its_start(struct its *its, struct error *err)
{
	const uint64_t base = LAYOUT_GIC_ITS;
	int rc;

	rc = its_control(its, KVM_DEV_ARM_VGIC_CTRL_INIT, "starting the ITS",
			 err);
	if (!rc)
		rc = vgic_attr(its->dev_fd, KVM_DEV_ARM_VGIC_GRP_ADDR,
			       KVM_VGIC_ITS_ADDR_TYPE, &base,
			       "place of the ITS", err);
	return rc ? rc : its_note(its, err);
}
