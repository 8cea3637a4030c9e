/*
 * The boot vCPU at the kernel's entry. Registers are those that the protocols
 * ask for together: Linux, Documentation/arch/x86/boot.rst, "32-bit" and
 * "64-bit Boot Protocol"; Xen's PVH start info, docs/misc/pvh.pandoc; Multiboot
 * Specification 0.6.96, 3.2. All of them want nothing but CR0.PE (and what
 * long mode needs) set, so CR0 and CR4 are otherwise clear.
 *
 * "SDM" is the Intel 64 and IA-32 Architectures Software Developer's Manual,
 * volume 3A unless another is named.
 */
#include "arch/x86_64/vcpu_boot.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/kvm.h>

#include "arch/x86_64/layout.h"
#include "arch/x86_64/vcpu_msrs.h"
#include "vmm/base/bytes.h"

/* SDM 2.5 and 2.2.1 */
#define CR0_PE	 0x00000001
#define CR0_ET	 0x00000010
#define CR0_PG	 0x80000000
#define CR4_PAE	 0x00000020
#define EFER_LME 0x00000100
#define EFER_LMA 0x00000400

/* SDM volume 1, 3.4.3: bit 1 is always set. */
#define RFLAGS_FIXED 0x2

/* SDM 4.5.4: entries of the 4-level page tables */
#define PAGE_PRESENT 0x001
#define PAGE_WRITE   0x002
#define PAGE_SIZE_2M 0x080 /* PS, in a page directory */
#define PAGE_ENTRIES 512
#define PAGE_BYTES   4096

#define IDENTITY_GIB 4

/* SDM 3.4.5.1 and 3.5: types of segments */
#define SEGMENT_DATA 0x3 /* read/write, accessed */
#define SEGMENT_CODE 0xb /* execute/read, accessed */
#define SEGMENT_TSS  0xb /* busy TSS; not a code or data segment */

/* PVH: the base 0, the limit of the smallest TSS. */
#define TSS_LIMIT 0x67

#define GDT_ENTRIES 8

/* SDM "IA32_MTRR_DEF_TYPE MSR": E, and the default type */
#define IA32_MTRR_DEF_TYPE 0x2ff
#define MTRR_ENABLE	   0x800
#define MTRR_WRITE_BACK	   0x006

/* SDM volume 4, 2.1 */
#define IA32_MISC_ENABLE	0x1a0
#define MISC_ENABLE_FAST_STRING 0x001

static_assert(LAYOUT_GDT + GDT_ENTRIES * 8 <= LAYOUT_PAGE_TABLES,
	      "the GDT ends before the page tables");
static_assert(LAYOUT_PAGE_TABLES + (2 + IDENTITY_GIB) * PAGE_BYTES <=
		      LAYOUT_ZERO_PAGE,
	      "the page tables end before the zero page");

/* A descriptor of eight bytes, in the halves of SDM figure 3-8. */
static uint64_t vcpu_boot_descriptor(const struct kvm_segment *seg)
{
	uint32_t base = (uint32_t)seg->base;
	uint32_t limit = seg->g ? seg->limit >> 12 : seg->limit;
	uint32_t low = (base & 0xffff) << 16 | (limit & 0xffff);
	uint32_t high = (base & 0xff000000) | (uint32_t)seg->g << 23 |
			(uint32_t)seg->db << 22 | (uint32_t)seg->l << 21 |
			(uint32_t)seg->avl << 20 | (limit & 0xf0000) |
			(uint32_t)seg->present << 15 |
			(uint32_t)seg->dpl << 13 | (uint32_t)seg->s << 12 |
			(uint32_t)seg->type << 8 | (base >> 16 & 0xff);

	return (uint64_t)high << 32 | low;
}

/* All 4 GiB, ring 0. In 64-bit code (L), D must be clear (SDM 3.4.5). */
static struct kvm_segment vcpu_boot_segment(uint16_t selector, uint8_t type,
					    bool long_mode)
{
	bool code64 = type == SEGMENT_CODE && long_mode;

	return (struct kvm_segment){
		.limit = UINT32_MAX,
		.selector = selector,
		.type = type,
		.present = 1,
		.db = code64 ? 0 : 1,
		.s = 1,
		.l = code64 ? 1 : 0,
		.g = 1,
	};
}

static int vcpu_boot_write_gdt(struct guest_mem *mem,
			       const struct kvm_sregs *sregs)
{
	le64 gdt[GDT_ENTRIES] = {{0}};

	gdt[sregs->cs.selector / 8] = le64_of(vcpu_boot_descriptor(&sregs->cs));
	gdt[sregs->ds.selector / 8] = le64_of(vcpu_boot_descriptor(&sregs->ds));
	return guest_mem_write(mem, LAYOUT_GDT, gdt, sizeof(gdt));
}

/*
 * PML4, PDPT and IDENTITY_GIB page directories, a page each and in this order.
 */
static int vcpu_boot_write_page_tables(struct guest_mem *mem)
{
	const uint64_t pdpt = LAYOUT_PAGE_TABLES + PAGE_BYTES;
	const uint64_t pd = pdpt + PAGE_BYTES;
	const uint64_t flags = PAGE_PRESENT | PAGE_WRITE;
	le64 table[PAGE_ENTRIES] = {le64_of(pdpt | flags)};
	uint64_t at = 0; /* that the next entry maps */
	int ret;

	ret = guest_mem_write(mem, LAYOUT_PAGE_TABLES, table, sizeof(table));
	for (unsigned int i = 0; i < IDENTITY_GIB; i++)
		table[i] = le64_of((pd + i * PAGE_BYTES) | flags);
	if (!ret)
		ret = guest_mem_write(mem, pdpt, table, sizeof(table));
	for (unsigned int i = 0; i < IDENTITY_GIB && !ret; i++) {
		for (unsigned int j = 0; j < PAGE_ENTRIES; j++) {
			table[j] = le64_of(at | flags | PAGE_SIZE_2M);
			at += UINT64_C(2) << 20;
		}
		ret = guest_mem_write(mem, pd + i * PAGE_BYTES, table,
				      sizeof(table));
	}
	return ret;
}

static void vcpu_boot_fill_sregs(struct kvm_sregs *sregs,
				 const struct boot_entry *entry)
{
	bool long_mode = entry->long_mode;
	struct kvm_segment data =
		vcpu_boot_segment(entry->ds, SEGMENT_DATA, long_mode);

	sregs->cs = vcpu_boot_segment(entry->cs, SEGMENT_CODE, long_mode);
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
	/* VM entry wants one even where the guest never switches tasks. */
	sregs->tr = (struct kvm_segment){
		.limit = TSS_LIMIT,
		.type = SEGMENT_TSS,
		.present = 1,
	};
	sregs->gdt.base = LAYOUT_GDT;
	sregs->gdt.limit = GDT_ENTRIES * 8 - 1;
	/* No gate: an exception before the kernel has its own is a triple
	 * fault, right where it happens. */
	sregs->idt.base = 0;
	sregs->idt.limit = 0;
	sregs->cr0 = CR0_PE | CR0_ET | (long_mode ? CR0_PG : 0);
	sregs->cr3 = long_mode ? LAYOUT_PAGE_TABLES : 0;
	sregs->cr4 = long_mode ? CR4_PAE : 0;
	sregs->efer = long_mode ? EFER_LME | EFER_LMA : 0;
}

/* A call of KVM on the boot vCPU. */
static int vcpu_boot_ioctl(int vcpu_fd, unsigned long request, void *data,
			   const char *name, struct error *err)
{
	int errnum;

	if (ioctl(vcpu_fd, request, data) == 0)
		return 0;
	errnum = errno;
	return error_set(err, errnum, "%s on the boot vCPU: %s", name,
			 strerror(errnum));
}

int vcpu_boot_msrs(int vcpu_fd, struct error *err)
{
	struct vcpu_msr_batch batch;
	uint64_t misc_enable;
	int ret;

	batch.count = 0;
	batch.pad = 0;
	ret = vcpu_msr_batch_add(&batch, vcpu_fd, IA32_MTRR_DEF_TYPE,
				 MTRR_ENABLE | MTRR_WRITE_BACK, err);
	/* Intel's; KVM gives it to all. */
	if (!ret && !vcpu_msr_get(vcpu_fd, IA32_MISC_ENABLE, &misc_enable))
		ret = vcpu_msr_batch_add(&batch, vcpu_fd, IA32_MISC_ENABLE,
					 misc_enable | MISC_ENABLE_FAST_STRING,
					 err);
	return ret ? ret : vcpu_msr_batch_flush(&batch, vcpu_fd, err);
}

int vcpu_boot(int vcpu_fd, struct guest_mem *mem,
	      const struct boot_entry *entry, struct error *err)
{
	struct kvm_regs regs = {
		.rax = entry->ax,
		.rbx = entry->bx,
		.rsi = entry->si,
		.rsp = entry->sp,
		.rip = entry->ip,
		.rflags = RFLAGS_FIXED,
	};
	struct kvm_sregs sregs;
	int ret;

	assert(entry->cs / 8 > 0 && entry->cs / 8 < GDT_ENTRIES);
	assert(entry->ds / 8 > 0 && entry->ds / 8 < GDT_ENTRIES);
	assert(entry->cs / 8 != entry->ds / 8);
	ret = vcpu_boot_ioctl(vcpu_fd, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS",
			      err);
	if (ret)
		return ret;
	vcpu_boot_fill_sregs(&sregs, entry);
	ret = vcpu_boot_write_gdt(mem, &sregs);
	if (!ret && entry->long_mode)
		ret = vcpu_boot_write_page_tables(mem);
	if (ret)
		return error_set(err, -ret,
				 "--memory: no room for the boot vCPU's tables "
				 "below 0x%x",
				 (unsigned int)LAYOUT_ZERO_PAGE);
	ret = vcpu_boot_ioctl(vcpu_fd, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS",
			      err);
	if (ret)
		return ret;
	return vcpu_boot_ioctl(vcpu_fd, KVM_SET_REGS, &regs, "KVM_SET_REGS",
			       err);
}
