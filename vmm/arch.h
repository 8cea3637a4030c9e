/*
 * What an architecture gives to the machine. Each function is defined once in
 * arch/$(ARCH)/, but for those at the end, which help in that and are in
 * vmm/arch.c; vmm/machine.c calls them in the order in which they stand here.
 * HACKING.md tells how to bring up another one.
 *
 * Threads: main, with no vCPU running, unless said otherwise.
 */
#ifndef VMM_ARCH_H
#define VMM_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>
#include <linux/kvm.h>

#include "vmm/base/check.h"
#include "vmm/base/error.h"
#include "vmm/base/guest_mem.h"
#include "vmm/base/host.h"
#include "vmm/base/image.h"

#define ARCH_CPUS_MAX 64

/* --machine */
enum arch_profile {
	ARCH_PROFILE_AUTO,
	ARCH_PROFILE_LEAN,   /* hardware-reduced ACPI, nothing legacy */
	ARCH_PROFILE_LEGACY, /* what a guest that expects a PC looks for */
	ARCH_PROFILE_DT,     /* aarch64: described by a device tree */
	ARCH_PROFILE_ACPI,   /* aarch64: by ACPI tables */
	ARCH_PROFILES,
};

/* Their names, as --machine has them, and NULL. */
extern const char *const arch_profile_names[ARCH_PROFILES + 1];

/* --kernel FILE,entry= */
enum arch_entry {
	ARCH_ENTRY_AUTO,
	ARCH_ENTRY_BZIMAGE,
	ARCH_ENTRY_PVH,
	ARCH_ENTRY_MULTIBOOT,
};

/* What the user asked for. All pointers are borrowed and outlive the arch. */
struct arch_config {
	uint64_t memory;   /* bytes, a multiple of 1 MiB */
	unsigned int cpus; /* 1 to ARCH_CPUS_MAX */
	enum arch_profile profile;
	enum arch_entry entry;
	const struct image *kernel;
	const struct image *initrd; /* NULL without */
	const char *cmdline;	    /* the user's text, "" without */
	/* If cmdline has no console=, one is added: for the serial port, or
	 * else for this, "hvc0"; NULL: for none. */
	bool console_on_serial;
	const char *console;
	struct char_backend serial; /* ops NULL: the port leads nowhere */
};

struct arch;
struct irq_pin;
struct pci_bus;

/**
 * arch_new() - Read the kernel's headers and decide what machine it gets.
 * @out: for arch_free(); nothing of KVM is touched, so that --dry-run ends here
 * @config: copied
 * @err: names the option
 *
 * May block on the files. Return: 0 or a negative errno.
 */
int arch_new(struct arch **out, const struct arch_config *config,
	     struct error *err);

void arch_free(struct arch *arch);

/* What to do where there is no /dev/kvm: a clause in the imperative. */
const char *arch_kvm_hint(void);

/* What KVM_CREATE_VM is given: the VM's type. Needs no struct arch. */
unsigned long arch_vm_type(int kvm_fd);

/**
 * arch_ram() - Where the guest's RAM lies.
 * @regions: room for GUEST_MEM_REGIONS_MAX
 *
 * Return: how many were written.
 */
unsigned int arch_ram(const struct arch *arch,
		      struct guest_mem_region *regions);

/**
 * arch_vm_init() - Check KVM and set the VM up, before any vCPU.
 * @kvm_fd, @vm_fd: borrowed, open until arch_free()
 * @mem: borrowed, already the VM's memory slots
 * @host: borrowed; devices are made and mapped here
 *
 * Return: 0 or a negative errno, @err names what KVM lacks.
 */
int arch_vm_init(struct arch *arch, int kvm_fd, int vm_fd,
		 struct guest_mem *mem, struct host *host, struct error *err);

/* The PCI bus; since arch_vm_init(), borrowed. */
struct pci_bus *arch_pci(struct arch *arch);

/* Where a memory-mapped virtio device goes. */
struct arch_mmio {
	uint64_t base;	     /* VIRTIO_MMIO_SIZE bytes */
	struct irq_pin *pin; /* borrowed */
	unsigned int source; /* of that pin */
};

/**
 * arch_mmio_add() - A place for one more, which the tables of arch_boot() will
 * describe. Since arch_vm_init().
 *
 * Return: 0 or -ENOSPC.
 */
int arch_mmio_add(struct arch *arch, struct arch_mmio *out);

/* At most, of all architectures. */
#define ARCH_IRQ_ROUTES_MAX 64

/**
 * arch_irq_routes() - The routes of the interrupt controllers' own pins, which
 * stand before those of MSIs in what KVM is told.
 * @routes: room for ARCH_IRQ_ROUTES_MAX
 *
 * Return: how many.
 */
unsigned int arch_irq_routes(const struct arch *arch,
			     struct kvm_irq_routing_entry *routes);

/* The first global system interrupt that no pin has. */
unsigned int arch_irq_count(const struct arch *arch);

/* What KVM_IRQ_LINE calls the pin of a global system interrupt. Any thread. */
uint32_t arch_irq_line(unsigned int gsi);

/**
 * arch_msi_route() - Where a message goes that no interrupt controller takes
 * for one: turn its route into that of a pin.
 * @entry: KVM_IRQ_ROUTING_MSI with what @msi says
 *
 * Any thread. Return: 0, or -EINVAL if it leads nowhere.
 */
int arch_msi_route(const struct arch *arch, const struct host_msi *msi,
		   struct kvm_irq_routing_entry *entry);

/**
 * arch_vcpu_init() - Set a new vCPU up and note its power-on state.
 * @index: 0 to cpus - 1, in ascending order
 * @vcpu_fd: borrowed
 */
int arch_vcpu_init(struct arch *arch, unsigned int index, int vcpu_fd,
		   struct error *err);

/**
 * arch_load() - What the next arch_boot() needs no devices for, and takes the
 * longest: kernel and initrd into guest memory. Since arch_vm_init(); for who
 * has something to wait for meanwhile.
 *
 * May block on the files.
 */
int arch_load(struct arch *arch, struct error *err);

/**
 * arch_boot() - Put the machine where its kernel takes over.
 *
 * Devices, interrupt controllers and vCPUs go to their power-on state, BARs to
 * where firmware would put them (so all devices are on the bus by now), kernel,
 * initrd, tables and command line into guest memory, which is all zero, and
 * vCPU 0 to the kernel's entry. Once at the start and again at each reboot.
 * May block on the files.
 */
int arch_boot(struct arch *arch, struct error *err);

/**
 * arch_power_button() - Press it; what the guest does about it is its own.
 *
 * Main thread, vCPUs may run.
 */
void arch_power_button(struct arch *arch);

/* The vCPUs are let go after a pause: a guest that asks for it can hear why
 * time has jumped. */
void arch_resumed(struct arch *arch);

/* What profile the machine has: a name of --machine. Since arch_new(). */
const char *arch_profile_name(const struct arch *arch);

/* Bytes that the serial port's receive FIFO has room for. Main thread, vCPUs
 * may run. */
size_t arch_serial_room(struct arch *arch);

/* Give the serial port input, at most arch_serial_room(). Likewise. */
void arch_serial_input(struct arch *arch, const uint8_t *data, size_t len);

/**
 * arch_vcpu_dump() - Print registers and code bytes for a crash report.
 *
 * On the vCPU's own thread, or with that thread stopped.
 */
void arch_vcpu_dump(struct arch *arch, unsigned int index, FILE *out);

/**
 * arch_save() - All state outside guest memory as one JSON object.
 * @out: a new reference
 *
 * Before the last pass over guest memory: an Arm ITS, and the redistributors,
 * write their tables there when they are saved.
 */
int arch_save(struct arch *arch, json_t **out, struct error *err);

/**
 * arch_restore() - Take the state of an arch_save().
 *
 * Into a machine of the same configuration that has not run, with its guest
 * memory as it was after arch_save().
 * Return: 0, or a negative errno with @err naming the part and member.
 */
int arch_restore(struct arch *arch, const json_t *state, struct error *err);

/**
 * arch_checks() - What `bantam doctor` looks at on this architecture, in the
 * order in which it says so.
 * @count: out, how many
 *
 * Those that need KVM run guests of a few instructions, each at most a second,
 * in a process of a single thread. Needs no struct arch.
 */
const struct check *arch_checks(size_t *count);

/* --- For the architectures -------------------------------------------------
 */

/**
 * arch_state_new() - The JSON object of an arch_save().
 * @config: with the profile that was decided on
 * @devices: taken, as @vcpus is: an array
 *
 * Return: a new reference, or NULL without memory, or if one of them is NULL.
 */
json_t *arch_state_new(const struct arch_config *config, json_t *devices,
		       json_t *vcpus);

/**
 * arch_state_check() - Is it the arch_state_new() of a machine like this one?
 *
 * Return: 0, or -EINVAL with @err naming the member.
 */
int arch_state_check(const struct arch_config *config, const json_t *state,
		     struct error *err);

#endif
