/*
 * Where things are in the guest's physical address space and I/O ports, and
 * which interrupt they have. Follows the PC where a guest expects it and
 * QEMU's q35 where firmware does.
 */
#ifndef ARCH_X86_64_LAYOUT_H
#define ARCH_X86_64_LAYOUT_H

#include <stdint.h>

/*
 * Low RAM. Boot data stays below the 640 KiB line: Linux and PVH want it in
 * e820 RAM, Multiboot wants it anywhere.
 */
#define LAYOUT_GDT	   UINT64_C(0x500)
#define LAYOUT_PAGE_TABLES UINT64_C(0x1000) /* PML4, PDPT, 4 PDs: 6 pages */
#define LAYOUT_ZERO_PAGE   UINT64_C(0x7000) /* struct boot_params, 4 KiB */
/* hvm_start_info, or the Multiboot information, with their tables */
#define LAYOUT_BOOT_INFO      UINT64_C(0x8000)
#define LAYOUT_BOOT_INFO_SIZE UINT64_C(0x4000)
#define LAYOUT_CMDLINE	      UINT64_C(0x20000) /* 64 KiB */
#define LAYOUT_CMDLINE_SIZE   UINT64_C(0x10000)
#define LAYOUT_BOOT_STACK     UINT64_C(0x80000) /* grows down */
#define LAYOUT_EBDA	      UINT64_C(0x9fc00) /* end of conventional RAM */
#define LAYOUT_VGA_HOLE	      UINT64_C(0xa0000)
/* RSDP first, 16-byte aligned, where a guest scans for it; tables behind. */
#define LAYOUT_ACPI	 UINT64_C(0xe0000)
#define LAYOUT_ACPI_SIZE UINT64_C(0x1fff0)
/* F000:FFF0, where a guest that wants a reset jumps to the BIOS. */
#define LAYOUT_RESET_VECTOR UINT64_C(0xffff0)
#define LAYOUT_HIGH_RAM	    UINT64_C(0x100000)

/* The hole below 4 GiB. */
#define LAYOUT_LOW_RAM_MAX UINT64_C(0xc0000000)
#define LAYOUT_PCI32	   UINT64_C(0xc0000000) /* 512 MiB of BARs */
#define LAYOUT_PCI32_SIZE  UINT64_C(0x20000000)
#define LAYOUT_ECAM	   UINT64_C(0xe0000000) /* bus 0 alone: 1 MiB */
#define LAYOUT_ECAM_SIZE   UINT64_C(0x100000)
#define LAYOUT_GED	   UINT64_C(0xfea00000) /* one page */
/* Virtio over MMIO, a page each. */
#define LAYOUT_VIRTIO_MMIO	UINT64_C(0xfeb00000)
#define LAYOUT_VIRTIO_MMIO_SIZE UINT64_C(0x1000)
#define LAYOUT_VIRTIO_MMIO_MAX	32
#define LAYOUT_IOAPIC		UINT64_C(0xfec00000)
#define LAYOUT_LAPIC		UINT64_C(0xfee00000)
#define LAYOUT_IDENTITY_PAGE	UINT64_C(0xfeffc000) /* KVM's, 1 page */
#define LAYOUT_TSS		UINT64_C(0xfeffd000) /* KVM's, 3 pages */
#define LAYOUT_4G		UINT64_C(0x100000000)

/* 64-bit BARs: above RAM, from a multiple of this. */
#define LAYOUT_PCI64_ALIGN UINT64_C(0x1000000000) /* 64 GiB */
#define LAYOUT_PCI64_SIZE  UINT64_C(0x1000000000)

/* I/O ports. */
#define PORT_PIT	0x40 /* KVM's, legacy profile */
#define PORT_I8042	0x60 /* data 0x60, status and command 0x64 */
#define PORT_RTC	0x70
#define PORT_DEBUG_EXIT 0xf4
#define PORT_COM1	0x3f8
#define PORT_PVPANIC	0x505
#define PORT_PM1	0x600 /* event 4, control 2, gap 2, timer 4 */
#define PORT_PCI_CONFIG 0xcf8
#define PORT_RESET	0xcf9 /* reset control, inside CONFIG_ADDRESS */

/* BARs: what is above the configuration ports. */
#define PORT_PCI_IO	 0xd00
#define PORT_PCI_IO_SIZE 0xf300

/* Global system interrupts: IOAPIC pins. */
#define GSI_COM1	4
#define GSI_SCI		9  /* legacy profile */
#define GSI_GED		9  /* lean profile */
#define GSI_PCI		16 /* INTA to INTD */
#define GSI_PCI_PINS	4
#define GSI_VIRTIO_MMIO 20 /* shared by all of them in turn */
#define GSI_VIRTIO_PINS 4
#define IOAPIC_PINS	24
#define IOAPIC_ID	0

/* Of the virtio device @index over MMIO. */
static inline uint64_t layout_virtio_mmio(unsigned int index)
{
	return LAYOUT_VIRTIO_MMIO + index * LAYOUT_VIRTIO_MMIO_SIZE;
}

static inline unsigned int layout_virtio_pin(unsigned int index)
{
	return index % GSI_VIRTIO_PINS;
}

#endif
