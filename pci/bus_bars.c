/*
 * Where BARs are mapped. Their registers are the guest's: it may put a BAR
 * anywhere, onto another one, half out of a window, and may do so while other
 * vCPUs access it.
 *
 * Whenever a register that matters has changed, of whichever function, all
 * BARs are looked at: first those that are not where they should be are taken
 * off, then those that should be somewhere and are not are mapped. So a BAR
 * that was refused, because another one was in its place, gets there as soon
 * as the other one leaves. Refused means not decoded: reads are all ones,
 * writes are dropped.
 *
 * A handler that is running on another vCPU while its BAR is taken off ends
 * undisturbed: ranges are only of addresses, and the device outlives them (see
 * struct host_ops). A doorbell goes with its address, before another range can
 * come to it, since both happen under the bus's lock.
 */
#include <errno.h>
#include <string.h>

#include <linux/pci_regs.h>

#include "pci/bus_private.h"
#include "vmm/base/log.h"

static enum bus_kind pci_bus_kind_of(const struct pci_bar *bar)
{
	return bar->kind == PCI_BAR_IO ? BUS_PIO : BUS_MMIO;
}

static bool pci_bus_window_has(const struct pci_window *window, uint64_t base,
			       uint64_t size)
{
	return window->size && base >= window->base &&
	       base - window->base <= window->size - 1 &&
	       size - 1 <= window->size - 1 - (base - window->base);
}

static bool pci_bus_windows_have(const struct pci_bus *bus,
				 const struct pci_bar *bar, uint64_t base)
{
	if (bar->kind == PCI_BAR_IO)
		return pci_bus_window_has(&bus->config.io, base, bar->size);
	return pci_bus_window_has(&bus->config.mem32, base, bar->size) ||
	       pci_bus_window_has(&bus->config.mem64, base, bar->size);
}

static void pci_bus_tell_moved(struct pci_device *device, unsigned int index)
{
	const struct pci_bar *bar = &device->bars[index];

	if (device->ops && device->ops->bar_moved)
		device->ops->bar_moved(device->ctx, index, bar->mapped,
				       bar->base);
}

static void pci_bus_unmap_bar_locked(struct pci_bus *bus,
				     struct pci_device *device,
				     unsigned int index)
{
	struct pci_bar *bar = &device->bars[index];

	bus->host->ops->unmap(bus->host, pci_bus_kind_of(bar), bar->base);
	bar->mapped = false;
	pci_bus_tell_moved(device, index);
}

void pci_bus_unmap_bars_locked(struct pci_bus *bus, struct pci_device *device)
{
	for (unsigned int i = 0; i < PCI_DEVICE_BARS; i++) {
		device->bars[i].refused = 0;
		if (device->bars[i].mapped)
			pci_bus_unmap_bar_locked(bus, device, i);
	}
}

/* Say so once for each place, and not of how a guest asks for the size. */
static void pci_bus_refuse(unsigned int devfn, unsigned int index,
			   struct pci_bar *bar, uint64_t base, const char *why)
{
	static struct log_limit limit;
	uint64_t sizing = ~(bar->size - 1);

	if (bar->kind != PCI_BAR_MEM64)
		sizing &= UINT32_MAX;
	if (base == bar->refused || (uint32_t)base == (uint32_t)sizing)
		return;
	bar->refused = base;
	log_limited(&limit, LOG_WARN,
		    "pci %s: the guest put BAR %u (%s, 0x%llx bytes) at "
		    "0x%llx, %s: it is not decoded",
		    pci_bus_name(devfn).text, index, bar->name,
		    (unsigned long long)bar->size, (unsigned long long)base,
		    why);
}

static void pci_bus_map_bar_locked(struct pci_bus *bus, unsigned int devfn,
				   unsigned int index, uint64_t base)
{
	struct pci_device *device = bus->functions[devfn];
	struct pci_bar *bar = &device->bars[index];
	int rc;

	if (!pci_bus_windows_have(bus, bar, base)) {
		pci_bus_refuse(devfn, index, bar, base,
			       "outside the bridge's windows");
		return;
	}
	rc = bus->host->ops->map(bus->host, pci_bus_kind_of(bar), base,
				 bar->size, bar->ops, bar->ctx, bar->name);
	if (rc < 0) {
		pci_bus_refuse(devfn, index, bar, base,
			       rc == -EEXIST ? "where something else is"
					     : strerror(-rc));
		return;
	}
	bar->mapped = true;
	bar->base = base;
	bar->refused = 0;
	pci_bus_tell_moved(device, index);
}

static void pci_bus_take_off_locked(struct pci_bus *bus,
				    struct pci_device *device)
{
	uint64_t base;

	for (unsigned int i = 0; i < PCI_DEVICE_BARS; i++) {
		struct pci_bar *bar = &device->bars[i];

		if (bar->mapped &&
		    (!pci_device_bar(device, i, &base) || base != bar->base))
			pci_bus_unmap_bar_locked(bus, device, i);
	}
}

static void pci_bus_put_on_locked(struct pci_bus *bus, unsigned int devfn)
{
	struct pci_device *device = bus->functions[devfn];
	uint64_t base;

	for (unsigned int i = 0; i < PCI_DEVICE_BARS; i++) {
		if (!device->bars[i].mapped && pci_device_bar(device, i, &base))
			pci_bus_map_bar_locked(bus, devfn, i, base);
	}
}

void pci_bus_follow_bars_locked(struct pci_bus *bus)
{
	for (unsigned int i = 0; i < PCI_BUS_DEVFNS; i++) {
		if (bus->functions[i])
			pci_bus_take_off_locked(bus, bus->functions[i]);
	}
	for (unsigned int i = 0; i < PCI_BUS_DEVFNS; i++) {
		if (bus->functions[i])
			pci_bus_put_on_locked(bus, i);
	}
}

/* --- What firmware does -----------------------------------------------------
 */

/* What is left of the windows. */
struct pci_bus_room {
	struct pci_window io, mem32, mem64;
};

/* Take size bytes, size-aligned, from the front. */
static bool pci_bus_take(struct pci_window *window, uint64_t size,
			 uint64_t *base)
{
	uint64_t at, gap;

	if (__builtin_add_overflow(window->base, size - 1, &at))
		return false;
	at &= ~(size - 1);
	gap = at - window->base;
	if (window->size < gap || window->size - gap < size)
		return false;
	*base = at;
	window->base = at + size;
	window->size -= gap + size;
	return true;
}

/* 64-bit BARs also go below 4 GiB while there is room, since not every guest
 * gets above. */
static bool pci_bus_take_for(struct pci_bus_room *room,
			     const struct pci_bar *bar, uint64_t *base)
{
	if (bar->kind == PCI_BAR_IO)
		return pci_bus_take(&room->io, bar->size, base);
	return pci_bus_take(&room->mem32, bar->size, base) ||
	       (bar->kind == PCI_BAR_MEM64 &&
		pci_bus_take(&room->mem64, bar->size, base));
}

/* All BARs of that size, either those of 64 bits or the others. */
static int pci_bus_assign_size_locked(struct pci_bus *bus,
				      struct pci_bus_room *room, uint64_t size,
				      bool wide, struct error *err)
{
	uint64_t base;

	for (unsigned int i = 0; i < PCI_BUS_DEVFNS * PCI_DEVICE_BARS; i++) {
		unsigned int devfn = i / PCI_DEVICE_BARS;
		unsigned int index = i % PCI_DEVICE_BARS;
		struct pci_device *device = bus->functions[devfn];
		const struct pci_bar *bar =
			device ? &device->bars[index] : NULL;

		if (!bar || bar->kind == PCI_BAR_NONE || bar->size != size ||
		    wide != (bar->kind == PCI_BAR_MEM64))
			continue;
		if (!pci_bus_take_for(room, bar, &base))
			return error_set(err, ENOSPC,
					 "PCI device %s: no room for its BAR "
					 "%u, %s, of %llu KiB; give fewer "
					 "devices",
					 pci_bus_name(devfn).text, index,
					 bar->name,
					 (unsigned long long)(size / 1024));
		pci_device_place_bar(device, index, base);
	}
	return 0;
}

static void pci_bus_enable_locked(struct pci_device *device)
{
	uint32_t command = pci_device_read(device, PCI_COMMAND, 2);
	uint32_t enable = 0;

	for (unsigned int i = 0; i < PCI_DEVICE_BARS; i++) {
		if (device->bars[i].kind != PCI_BAR_NONE)
			enable |= PCI_COMMAND_MASTER |
				  (device->bars[i].kind == PCI_BAR_IO
					   ? PCI_COMMAND_IO
					   : PCI_COMMAND_MEMORY);
	}
	pci_device_write(device, PCI_COMMAND, 2, command | enable);
}

static int pci_bus_assign_locked(struct pci_bus *bus, struct error *err)
{
	struct pci_bus_room room = {bus->config.io, bus->config.mem32,
				    bus->config.mem64};
	int rc = 0;

	for (unsigned int wide = 0; wide < 2; wide++) {
		for (uint64_t size = UINT64_C(1) << 63; size && !rc; size /= 2)
			rc = pci_bus_assign_size_locked(bus, &room, size, wide,
							err);
	}
	for (unsigned int i = 0; i < PCI_BUS_DEVFNS && !rc; i++) {
		if (bus->functions[i])
			pci_bus_enable_locked(bus->functions[i]);
	}
	pci_bus_follow_bars_locked(bus);
	return rc;
}

int pci_bus_assign(struct pci_bus *bus, struct error *err)
{
	int rc;

	pthread_mutex_lock(&bus->lock);
	rc = pci_bus_assign_locked(bus, err);
	pthread_mutex_unlock(&bus->lock);
	return rc;
}
