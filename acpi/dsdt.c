#include "acpi/dsdt.h"

#include <stdio.h>

#include "acpi/ged.h"

#define NOTIFY_BUTTON_PRESSED 0x80 /* 5.6.6: S0 power button pressed */

#define PROCESSORS_MAX 4096

/* A package of _PRT (6.2.13): all functions of a slot, pin, GSI. */
static void dsdt_add_prt_entry(struct aml *aml, unsigned int slot,
			       unsigned int pin, uint32_t gsi)
{
	aml_package_begin(aml, 4);
	aml_term(aml, AML_INT((uint64_t)slot << 16 | 0xffff));
	aml_term(aml, AML_INT(pin));
	aml_term(aml, AML_INT(0)); /* Source: none, Source Index is a GSI */
	aml_term(aml, AML_INT(gsi));
	aml_package_end(aml);
}

static void dsdt_add_prt(struct aml *aml, uint32_t gsi)
{
	aml_name_of(aml, "_PRT");
	aml_package_begin(aml, DSDT_PCI_SLOTS * DSDT_PCI_PINS);
	for (unsigned int slot = 0; slot < DSDT_PCI_SLOTS; slot++) {
		for (unsigned int pin = 0; pin < DSDT_PCI_PINS; pin++)
			dsdt_add_prt_entry(aml, slot, pin,
					   gsi + (slot + pin) % DSDT_PCI_PINS);
	}
	aml_package_end(aml);
}

static void dsdt_add_pci_windows(struct aml *aml,
				 const struct dsdt_pci_host *host)
{
	aml_resources_begin(aml, "_CRS");
	aml_word_bus_number(aml, 0, 1);
	if (host->config_port)
		aml_io(aml, host->config_port, 8);
	if (host->io_size)
		aml_word_io(aml, host->io_base, host->io_size);
	aml_dword_memory(aml, host->mem32_base, host->mem32_size);
	if (host->mem64_size)
		aml_qword_memory(aml, host->mem64_base, host->mem64_size);
	aml_resources_end(aml);
}

void dsdt_add_pci_host(struct aml *aml, const struct dsdt_pci_host *host)
{
	aml_device_begin(aml, "PCI0");
	aml_name(aml, "_HID", AML_EISAID("PNP0A08"));
	aml_name(aml, "_CID", AML_EISAID("PNP0A03"));
	aml_name(aml, "_UID", AML_INT(0));
	aml_name(aml, "_SEG", AML_INT(0));
	aml_name(aml, "_BBN", AML_INT(0));
	if (host->says_coherent)
		aml_name(aml, "_CCA", AML_INT(1));
	dsdt_add_pci_windows(aml, host);
	dsdt_add_prt(aml, host->gsi);
	aml_device_end(aml);
}

void dsdt_add_ecam(struct aml *aml, uint32_t base, uint32_t size)
{
	aml_device_begin(aml, "ECAM");
	aml_name(aml, "_HID", AML_EISAID("PNP0C02"));
	aml_name(aml, "_UID", AML_INT(0));
	aml_resources_begin(aml, "_CRS");
	aml_memory32_fixed(aml, base, size);
	aml_resources_end(aml);
	aml_device_end(aml);
}

void dsdt_add_uart(struct aml *aml, const char *name, unsigned int uid,
		   uint16_t port, uint32_t gsi)
{
	aml_device_begin(aml, name);
	aml_name(aml, "_HID", AML_EISAID("PNP0501"));
	aml_name(aml, "_UID", AML_INT(uid));
	aml_resources_begin(aml, "_CRS");
	aml_io(aml, port, 8);
	aml_interrupt(aml, AML_EDGE, gsi);
	aml_resources_end(aml);
	aml_device_end(aml);
}

void dsdt_add_pl011(struct aml *aml, const char *name, unsigned int uid,
		    uint32_t base, uint32_t size, uint32_t gsi)
{
	aml_device_begin(aml, name);
	aml_name(aml, "_HID", AML_STRING("ARMH0011"));
	aml_name(aml, "_UID", AML_INT(uid));
	aml_resources_begin(aml, "_CRS");
	aml_memory32_fixed(aml, base, size);
	aml_interrupt(aml, AML_LEVEL, gsi);
	aml_resources_end(aml);
	aml_device_end(aml);
}

void dsdt_add_rtc(struct aml *aml, uint16_t port)
{
	aml_device_begin(aml, "RTC");
	aml_name(aml, "_HID", AML_EISAID("PNP0B00"));
	aml_resources_begin(aml, "_CRS");
	aml_io(aml, port, 2);
	aml_resources_end(aml);
	aml_device_end(aml);
}

void dsdt_add_pvpanic(struct aml *aml, uint16_t port)
{
	aml_device_begin(aml, "PEVT");
	aml_name(aml, "_HID", AML_STRING("QEMU0001"));
	aml_resources_begin(aml, "_CRS");
	aml_io(aml, port, 1);
	aml_resources_end(aml);
	aml_operation_region(aml, "PEOR", AML_SYSTEM_IO, port, 1);
	aml_field_begin(aml, "PEOR", AML_BYTE_ACC);
	aml_field_unit(aml, "PEPT", 8);
	aml_field_end(aml);
	/* Present, enabled and working, and nothing for a user to see. */
	aml_name(aml, "_STA", AML_INT(0xb));
	aml_method_begin(aml, "RDPT", 0, true);
	aml_return(aml, AML_PATH("PEPT"));
	aml_method_end(aml);
	aml_method_begin(aml, "WRPT", 1, true);
	aml_store(aml, AML_ARG(0), AML_PATH("PEPT"));
	aml_method_end(aml);
	aml_device_end(aml);
}

void dsdt_add_pvpanic_mmio(struct aml *aml, uint32_t base)
{
	aml_device_begin(aml, "PEVT");
	aml_name(aml, "_HID", AML_STRING("QEMU0001"));
	aml_name(aml, "_STA", AML_INT(0xb));
	aml_resources_begin(aml, "_CRS");
	aml_memory32_fixed(aml, base, 2);
	aml_resources_end(aml);
	aml_device_end(aml);
}

static void dsdt_add_power_button(struct aml *aml)
{
	aml_device_begin(aml, "PWRB");
	aml_name(aml, "_HID", AML_EISAID("PNP0C0C"));
	aml_name(aml, "_UID", AML_INT(0));
	aml_device_end(aml);
}

void dsdt_add_ged(struct aml *aml, uint64_t base, uint32_t gsi)
{
	dsdt_add_power_button(aml);

	aml_device_begin(aml, "GED");
	aml_name(aml, "_HID", AML_STRING("ACPI0013"));
	aml_name(aml, "_UID", AML_INT(0));
	aml_resources_begin(aml, "_CRS");
	aml_interrupt(aml, AML_LEVEL, gsi);
	aml_resources_end(aml);
	aml_operation_region(aml, "EREG", AML_SYSTEM_MEMORY, base + GED_EVENT,
			     4);
	aml_field_begin(aml, "EREG", AML_DWORD_ACC);
	aml_field_unit(aml, "EVNT", 32);
	aml_field_end(aml);
	/* Arg0 is the GSI, of which there is one. Reading EVNT lowers it. */
	aml_method_begin(aml, "_EVT", 1, true);
	aml_store(aml, AML_PATH("EVNT"), AML_LOCAL(0));
	aml_if_begin(aml,
		     AML_AND(AML_LOCAL(0), AML_INT(GED_EVENT_POWER_BUTTON)));
	aml_notify(aml, "PWRB", NOTIFY_BUTTON_PRESSED);
	aml_if_end(aml);
	aml_method_end(aml);
	aml_device_end(aml);
}

void dsdt_add_virtio_mmio(struct aml *aml, unsigned int uid, uint32_t base,
			  uint32_t size, uint32_t gsi)
{
	char name[] = "VR00";

	snprintf(name, sizeof(name), "VR%02X", uid & 0xff);
	aml_device_begin(aml, name);
	aml_name(aml, "_HID", AML_STRING("LNRO0005"));
	aml_name(aml, "_UID", AML_INT(uid));
	aml_name(aml, "_CCA", AML_INT(1)); /* DMA is coherent */
	aml_resources_begin(aml, "_CRS");
	aml_memory32_fixed(aml, base, size);
	aml_interrupt_shared(aml, gsi);
	aml_resources_end(aml);
	aml_device_end(aml);
}

void dsdt_add_processors(struct aml *aml, unsigned int count)
{
	char name[] = "C000";

	if (count > PROCESSORS_MAX)
		count = PROCESSORS_MAX;
	for (unsigned int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "C%03X", i);
		aml_device_begin(aml, name);
		aml_name(aml, "_HID", AML_STRING("ACPI0007"));
		aml_name(aml, "_UID", AML_INT(i));
		aml_device_end(aml);
	}
}

void dsdt_add_s5(struct aml *aml)
{
	aml_name_of(aml, "_S5");
	aml_package_begin(aml, 4);
	aml_term(aml, AML_INT(DSDT_SLP_TYP_S5)); /* PM1a_CNT.SLP_TYP */
	aml_term(aml, AML_INT(DSDT_SLP_TYP_S5)); /* PM1b_CNT.SLP_TYP */
	aml_term(aml, AML_INT(0));
	aml_term(aml, AML_INT(0));
	aml_package_end(aml);
}
