/* Arm Server Base System Architecture (DEN0029), appendix E. */
#include "arch/aarch64/v2m.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/aarch64/layout.h"

#define MSI_TYPER    0x008 /* the first interrupt, and how many */
#define MSI_SETSPI   0x040 /* a write raises the interrupt that it names */
#define MSI_IIDR     0xfcc
#define TYPER_SHIFT  16
#define IIDR_PRODUCT 0x0000043b /* implementer Arm, no product */

struct v2m {
	struct host *host; /* borrowed */
};

static uint64_t v2m_read(void *ctx, uint64_t offset, unsigned int size)
{
	(void)ctx;
	(void)size;
	switch (offset) {
	case MSI_TYPER:
		return (INTID_SPI + SPI_V2M) << TYPER_SHIFT | SPI_V2M_COUNT;
	case MSI_IIDR:
		return IIDR_PRODUCT;
	default:
		return 0;
	}
}

/* Whether the interrupt is one of the frame's. */
static bool v2m_has(uint64_t intid)
{
	return intid >= INTID_SPI + SPI_V2M && intid < INTID_SPI + SPI_COUNT;
}

static void v2m_write(void *ctx, uint64_t offset, unsigned int size,
		      uint64_t value)
{
	struct v2m *v2m = ctx;
	unsigned int gsi = (unsigned int)value - INTID_SPI;

	(void)size;
	if (offset != MSI_SETSPI || !v2m_has(value))
		return;
	v2m->host->ops->irq_set(v2m->host, gsi, true);
	v2m->host->ops->irq_set(v2m->host, gsi, false);
}

static const struct bus_ops v2m_bus_ops = {
	.read = v2m_read,
	.write = v2m_write,
	.max_size = 4,
};

int v2m_route(const struct host_msi *msi, struct kvm_irq_routing_entry *entry)
{
	unsigned int gsi = entry->gsi;

	if (msi->address != LAYOUT_GIC_V2M + MSI_SETSPI || !v2m_has(msi->data))
		return -EINVAL;
	memset(entry, 0, sizeof(*entry));
	entry->gsi = gsi;
	entry->type = KVM_IRQ_ROUTING_IRQCHIP;
	entry->u.irqchip.pin = msi->data - INTID_SPI;
	return 0;
}

static void v2m_free(void *self)
{
	struct v2m *v2m = self;

	v2m->host->ops->unmap(v2m->host, BUS_MMIO, LAYOUT_GIC_V2M);
	free(v2m);
}

static void v2m_reset(void *self)
{
	(void)self;
}

static int v2m_save(void *self, json_t **out)
{
	(void)self;
	*out = json_object();
	return *out ? 0 : -ENOMEM;
}

static int v2m_restore(void *self, const json_t *value, struct error *err)
{
	(void)self;
	if (json_is_object(value) && !json_object_size(value))
		return 0;
	return error_set(err, EINVAL, "expected an object without members");
}

const struct device_ops v2m_device_ops = {
	.free = v2m_free,
	.reset = v2m_reset,
	.save = v2m_save,
	.restore = v2m_restore,
};

int v2m_new(struct v2m **out, struct host *host)
{
	struct v2m *v2m = calloc(1, sizeof(*v2m));
	int rc;

	if (!v2m)
		return -ENOMEM;
	v2m->host = host;
	rc = host->ops->map(host, BUS_MMIO, LAYOUT_GIC_V2M, LAYOUT_GIC_V2M_SIZE,
			    &v2m_bus_ops, v2m, "gicv2m");
	if (rc) {
		free(v2m);
		return rc;
	}
	*out = v2m;
	return 0;
}
