/*
 * The ACPI tables of both machine profiles. Options: cpus=N, what bantam was
 * told; profile=lean or legacy, what it is expected to have chosen.
 */
#include "lib/acpi.h"

#include "lib/guest.h"

#define LAPIC_BASE  0xfee00000u
#define IOAPIC_BASE 0xfec00000u

/* MADT, ACPI 6.5, 5.2.12. */
struct madt {
	struct acpi_header header;
	uint32_t lapic_address, flags;
} __attribute__((packed));

#define MADT_PCAT_COMPAT 1
#define MADT_LAPIC	 0
#define MADT_IOAPIC	 1
#define MADT_X2APIC	 9
#define MADT_ENABLED	 1

/* MCFG, PCI Firmware Specification 3.3, 4.1.2. */
struct mcfg {
	struct acpi_header header;
	uint64_t reserved, base;
	uint16_t segment;
	uint8_t start_bus, end_bus;
	uint32_t reserved2;
} __attribute__((packed));

static unsigned int madt_cpus, madt_ioapics;
static bool madt_seen[256];

static void acpi_check_cpu(uint32_t id, uint32_t flags)
{
	check(flags & MADT_ENABLED);
	check(id < 256);
	check(!madt_seen[id]);
	madt_seen[id] = true;
	madt_cpus++;
}

static void acpi_check_madt_entry(const uint8_t *p)
{
	switch (p[0]) {
	case MADT_LAPIC:
		check_eq(p[1], 8);
		acpi_check_cpu(p[3], read32((uint64_t)p + 4));
		break;
	case MADT_X2APIC:
		check_eq(p[1], 16);
		acpi_check_cpu(read32((uint64_t)p + 4),
			       read32((uint64_t)p + 8));
		break;
	case MADT_IOAPIC:
		check_eq(p[1], 12);
		check_eq(read32((uint64_t)p + 4), IOAPIC_BASE);
		check_eq(read32((uint64_t)p + 8), 0);
		madt_ioapics++;
		break;
	}
}

static void acpi_check_madt(bool lean)
{
	const struct madt *madt = acpi_find("APIC");
	const uint8_t *p, *end;

	check(madt);
	check_eq(madt->lapic_address, LAPIC_BASE);
	check_eq(madt->flags & MADT_PCAT_COMPAT, lean ? 0 : 1);
	p = (const uint8_t *)(madt + 1);
	end = (const uint8_t *)madt + madt->header.length;
	while (p < end) {
		check(p[1] >= 2 && p + p[1] <= end);
		acpi_check_madt_entry(p);
		p += p[1];
	}
	check(p == end);
	check_eq(madt_ioapics, 1);
	check_eq(madt_cpus, option_number("cpus", 1));
}

static void acpi_check_fadt(bool lean)
{
	const struct acpi_fadt *fadt = acpi_fadt();

	check(fadt->flags & ACPI_FADT_RESET_REG_SUP);
	check(fadt->reset_reg.address);
	check_eq(fadt->reset_reg.bit_width, 8);
	check_eq(!!(fadt->flags & ACPI_FADT_HW_REDUCED_ACPI), lean);
	if (lean) {
		check(fadt->sleep_control_reg.address);
		check(fadt->sleep_status_reg.address);
		check_eq(fadt->pm1a_cnt_blk, 0);
		check_eq(fadt->pm_tmr_blk, 0);
		return;
	}
	check(fadt->pm1a_evt_blk && fadt->pm1_evt_len >= 4);
	check(fadt->pm1a_cnt_blk && fadt->pm1_cnt_len >= 2);
	check_eq(fadt->x_pm1a_cnt_blk.address, fadt->pm1a_cnt_blk);
	check(fadt->pm_tmr_blk && fadt->pm_tmr_len == 4);
	check(fadt->sci_int);
	/* No SMI_CMD: in ACPI mode from the start. */
	check_eq(fadt->smi_cmd, 0);
	check(in16((uint16_t)fadt->pm1a_cnt_blk) & 1);
	/* 5.2.10: without hardware reduction there is a FACS, 64-aligned. */
	check(fadt->firmware_ctrl);
	check_eq(fadt->firmware_ctrl & 63, 0);
	check(!memcmp((const void *)(uint64_t)fadt->firmware_ctrl, "FACS", 4));
}

/* 3.579545 MHz, and it must advance (4.8.3.3). */
static void acpi_check_pm_timer(void)
{
	uint16_t port = (uint16_t)acpi_fadt()->pm_tmr_blk;
	uint32_t first = in32(port), now = first;

	for (int i = 0; i < 1000 && now == first; i++)
		now = in32(port);
	check(now != first);
	/* A second read within 1 s, even if the counter wrapped. */
	check(((now - first) & 0xffffff) < 3579545);
}

static void acpi_check_mcfg(void)
{
	const struct mcfg *mcfg = acpi_find("MCFG");

	check(mcfg);
	check_eq(mcfg->header.length, sizeof(*mcfg));
	check_eq(mcfg->base, 0xe0000000);
	check_eq(mcfg->segment, 0);
	check_eq(mcfg->start_bus, 0);
	check_eq(mcfg->end_bus, 0);
}

static bool acpi_dsdt_has(const char *name)
{
	const struct acpi_header *dsdt = acpi_find("DSDT");
	const uint8_t *p = (const uint8_t *)(dsdt + 1);
	const uint8_t *end = (const uint8_t *)dsdt + dsdt->length;
	size_t len = strlen(name);

	for (; p + len <= end; p++) {
		if (!memcmp(p, name, len))
			return true;
	}
	return false;
}

static void acpi_check_dsdt(bool lean)
{
	print("S5: SLP_TYP %u\n", acpi_s5_type());
	check(acpi_s5_type() < 8);
	check(acpi_dsdt_has("_SB_"));
	check(acpi_dsdt_has("_CRS"));
	/* PNP0A08 as an EISA id: a PCI Express root. */
	check(acpi_dsdt_has("\x41\xd0\x0a\x08"));
	/* PNP0501 and PNP0B00: the 16550 and the clock. */
	check(acpi_dsdt_has("\x41\xd0\x05\x01"));
	check(acpi_dsdt_has("\x41\xd0\x0b"));
	if (lean)
		check(acpi_dsdt_has("ACPI0013")); /* generic event device */
}

int guest_main(void)
{
	const struct acpi_header *xsdt = acpi_find("XSDT");
	bool lean = acpi_fadt()->flags & ACPI_FADT_HW_REDUCED_ACPI;

	for (uint32_t at = sizeof(*xsdt); at < xsdt->length; at += 8) {
		const struct acpi_header *h =
			(const void *)read64((uint64_t)xsdt + at);

		print("table: %c%c%c%c %u bytes\n", h->signature[0],
		      h->signature[1], h->signature[2], h->signature[3],
		      h->length);
		check(acpi_sum_ok(h, h->length));
	}
	print("profile: %s\n", lean ? "lean" : "legacy");
	check(option_is("profile", lean ? "lean" : "legacy"));
	acpi_check_fadt(lean);
	acpi_check_madt(lean);
	acpi_check_mcfg();
	acpi_check_dsdt(lean);
	if (!lean)
		acpi_check_pm_timer();
	return 0;
}
