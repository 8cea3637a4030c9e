#include "lib/acpi.h"

#include "lib/guest.h"

struct acpi_rsdp {
	char signature[8];
	uint8_t checksum;
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt_address, length;
	uint64_t xsdt_address;
	uint8_t extended_checksum, reserved[3];
} __attribute__((packed));

/* 4.8.3.2.1 and 4.8.3.7: where SLP_TYP and SLP_EN are. */
#define PM1_CNT_SLP_TYP_SHIFT	10
#define PM1_CNT_SLP_EN		(1 << 13)
#define SLEEP_CONTROL_TYP_SHIFT 2
#define SLEEP_CONTROL_SLP_EN	(1 << 5)

/* 20.2: AML of Name (_S5, Package () {...}). */
#define AML_BYTE_PREFIX 0x0a

bool acpi_sum_ok(const void *table, uint32_t length)
{
	const uint8_t *p = table;
	uint8_t sum = 0;

	while (length--)
		sum = (uint8_t)(sum + *p++);
	return !sum;
}

static const struct acpi_header *acpi_checked(uint64_t address,
					      const char *signature)
{
	const struct acpi_header *h = (const void *)address;

	check(address);
	check(!memcmp(h->signature, signature, 4));
	check(h->length >= sizeof(*h) && h->length < 0x20000);
	check(acpi_sum_ok(h, h->length));
	return h;
}

static const struct acpi_header *acpi_xsdt(void)
{
	const struct acpi_rsdp *rsdp = (const void *)handover.rsdp;

	check(rsdp);
	check(!memcmp(rsdp->signature, "RSD PTR ", 8));
	check(rsdp->revision >= 2);
	check_eq(rsdp->length, sizeof(*rsdp));
	check(acpi_sum_ok(rsdp, 20));
	check(acpi_sum_ok(rsdp, rsdp->length));
	return acpi_checked(rsdp->xsdt_address, "XSDT");
}

const void *acpi_find(const char *signature)
{
	const struct acpi_header *xsdt = acpi_xsdt();
	uint32_t count = (xsdt->length - (uint32_t)sizeof(*xsdt)) / 8;

	if (!memcmp(signature, "XSDT", 4))
		return xsdt;
	if (!memcmp(signature, "DSDT", 4))
		return acpi_checked(acpi_fadt()->x_dsdt, signature);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t address;

		/* Entries lie at 36 + 8 n: not aligned. */
		memcpy(&address, (const uint8_t *)(xsdt + 1) + 8 * i, 8);
		if (!memcmp((const void *)address, signature, 4))
			return acpi_checked(address, signature);
	}
	return NULL;
}

const struct acpi_fadt *acpi_fadt(void)
{
	const struct acpi_fadt *fadt = acpi_find("FACP");

	check(fadt);
	check(fadt->header.length >= sizeof(*fadt));
	return fadt;
}

uint8_t acpi_s5_type(void)
{
	const struct acpi_header *dsdt = acpi_find("DSDT");
	const uint8_t *p = (const uint8_t *)dsdt;
	const uint8_t *end = p + dsdt->length - 8;

	for (; p < end; p++) {
		if (memcmp(p, "_S5_\x12", 5))
			continue;
		p += 5;
		p += 1 + (*p >> 6); /* PkgLength, 20.2.4 */
		p++;		    /* NumElements */
		return *p == AML_BYTE_PREFIX ? p[1] : *p;
	}
	guest_fail(__FILE__, __LINE__, "the DSDT has \\_S5");
}

void acpi_gas_write8(const struct acpi_gas *gas, uint8_t value)
{
	if (gas->space == ACPI_SPACE_IO)
		out8((uint16_t)gas->address, value);
	else
		write8(gas->address, value);
}

void acpi_poweroff(void)
{
	const struct acpi_fadt *fadt = acpi_fadt();
	uint8_t type = acpi_s5_type();

	if (fadt->flags & ACPI_FADT_HW_REDUCED_ACPI) {
		check(fadt->sleep_control_reg.address);
		acpi_gas_write8(&fadt->sleep_control_reg,
				(uint8_t)(type << SLEEP_CONTROL_TYP_SHIFT |
					  SLEEP_CONTROL_SLP_EN));
	} else {
		check(fadt->pm1a_cnt_blk);
		out16((uint16_t)fadt->pm1a_cnt_blk,
		      (uint16_t)(type << PM1_CNT_SLP_TYP_SHIFT |
				 PM1_CNT_SLP_EN));
	}
	cpu_hang();
}
