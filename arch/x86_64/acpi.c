/*
 * What the two profiles have in common is said once, in x86_acpi_add_*(); what
 * they differ in is in the functions whose names end with their names.
 *
 * The lean machine is hardware-reduced (ACPI 6.5, 4.1): no PM1 registers, no
 * timers of the PC, no 8259, and no meaning to ISA interrupt numbers, so that
 * every interrupt is a GSI of the IO-APIC with its trigger mode given.
 */
#include "arch/x86_64/acpi.h"

#include <assert.h>
#include <string.h>

#include "acpi/aml.h"
#include "acpi/dsdt.h"
#include "acpi/fadt.h"
#include "acpi/ged.h"
#include "acpi/madt.h"
#include "acpi/pm.h"
#include "acpi/tables.h"
#include "arch/x86_64/layout.h"
#include "arch/x86_64/rtc.h"
#include "pci/bus.h"

/* Ports of what only the legacy machine has. */
#define PORT_PIC_MASTER 0x20
#define PORT_PIC_SLAVE	0xa0
#define PORT_PIC_ELCR	0x4d0

/* The ISA interrupt of the PIT and the pin where the IO-APIC has it. */
#define ISA_IRQ_PIT 0
#define GSI_PIT	    2

#define LINT_NMI 1

static_assert(LAYOUT_ECAM_SIZE == PCI_BUS_ECAM_SIZE, "bus 0 alone");
static_assert(PORT_RESET == PORT_PCI_CONFIG + PCI_BUS_RESET_CONTROL,
	      "pci/bus.c implements it");
static_assert(PORT_PCI_IO == PORT_PCI_CONFIG + PCI_BUS_PORTS &&
		      PORT_PCI_IO + PORT_PCI_IO_SIZE == 0x10000,
	      "BARs get the ports above those of the configuration");
static_assert(GSI_PCI + GSI_PCI_PINS <= IOAPIC_PINS, "pins for INTx");
static_assert(GSI_PCI_PINS == DSDT_PCI_PINS, "the same swizzle");

static void x86_acpi_add_pci(struct aml *aml,
			     const struct x86_acpi_config *config)
{
	const struct dsdt_pci_host host = {
		.config_port = PORT_PCI_CONFIG,
		.io_base = PORT_PCI_IO,
		.io_size = PORT_PCI_IO_SIZE,
		.mem32_base = LAYOUT_PCI32,
		.mem32_size = LAYOUT_PCI32_SIZE,
		.mem64_base = config->pci64_base,
		.mem64_size = config->pci64_size,
		.gsi = GSI_PCI,
	};

	dsdt_add_pci_host(aml, &host);
	dsdt_add_ecam(aml, LAYOUT_ECAM, LAYOUT_ECAM_SIZE);
}

static void x86_acpi_add_virtio(struct aml *aml, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		dsdt_add_virtio_mmio(aml, i, (uint32_t)layout_virtio_mmio(i),
				     LAYOUT_VIRTIO_MMIO_SIZE,
				     GSI_VIRTIO_MMIO + layout_virtio_pin(i));
}

/* 8259 and 8254. Their interrupts need no telling: the MADT has the PIT's. */
static void x86_acpi_add_devices_legacy(struct aml *aml)
{
	aml_device_begin(aml, "PIC");
	aml_name(aml, "_HID", AML_EISAID("PNP0000"));
	aml_resources_begin(aml, "_CRS");
	aml_io(aml, PORT_PIC_MASTER, 2);
	aml_io(aml, PORT_PIC_SLAVE, 2);
	aml_io(aml, PORT_PIC_ELCR, 2);
	aml_resources_end(aml);
	aml_device_end(aml);

	aml_device_begin(aml, "TIMR");
	aml_name(aml, "_HID", AML_EISAID("PNP0100"));
	aml_resources_begin(aml, "_CRS");
	aml_io(aml, PORT_PIT, 4);
	aml_resources_end(aml);
	aml_device_end(aml);
}

static acpi_table_id x86_acpi_add_dsdt(struct acpi_tables *tables,
				       const struct x86_acpi_config *config)
{
	acpi_table_id id;
	struct aml aml;

	aml_init(&aml);
	dsdt_add_s5(&aml);
	aml_scope_begin(&aml, "_SB");
	dsdt_add_processors(&aml, config->cpus);
	x86_acpi_add_pci(&aml, config);
	dsdt_add_rtc(&aml, PORT_RTC);
	if (config->has_serial)
		dsdt_add_uart(&aml, "COM1", 1, PORT_COM1, GSI_COM1);
	dsdt_add_pvpanic(&aml, PORT_PVPANIC);
	x86_acpi_add_virtio(&aml, config->virtio_mmio);
	if (config->profile == ARCH_PROFILE_LEGACY)
		x86_acpi_add_devices_legacy(&aml);
	else
		dsdt_add_ged(&aml, LAYOUT_GED, GSI_GED);
	aml_scope_end(&aml);
	id = acpi_tables_add_dsdt(tables, &aml);
	aml_fini(&aml);
	return id;
}

/* An 8-bit register of the GED's page. */
static struct acpi_gas x86_acpi_ged_register(uint64_t offset)
{
	return acpi_gas_of(ACPI_SYSTEM_MEMORY, LAYOUT_GED + offset, 8,
			   ACPI_ACCESS_BYTE);
}

static void x86_acpi_add_fadt_lean(struct acpi_tables *tables,
				   acpi_table_id dsdt)
{
	const struct acpi_fadt fadt = {
		.preferred_pm_profile = ACPI_PM_PROFILE_UNSPECIFIED,
		.flags = ACPI_FADT_WBINVD | ACPI_FADT_PROC_C1 |
			 ACPI_FADT_PWR_BUTTON | ACPI_FADT_SLP_BUTTON |
			 ACPI_FADT_RESET_REG_SUP | ACPI_FADT_HW_REDUCED_ACPI,
		/* All there is can be found through the DSDT. */
		.iapc_boot_arch = ACPI_IAPC_VGA_NOT_PRESENT,
		.century = RTC_CENTURY,
		.reset_reg = x86_acpi_ged_register(GED_RESET),
		.reset_value = GED_RESET_VALUE,
		.sleep_control_reg = x86_acpi_ged_register(GED_SLEEP_CONTROL),
		.sleep_status_reg = x86_acpi_ged_register(GED_SLEEP_STATUS),
		.dsdt = dsdt,
	};

	acpi_fadt_add(tables, &fadt);
}

static void x86_acpi_add_fadt_legacy(struct acpi_tables *tables,
				     acpi_table_id dsdt)
{
	const struct acpi_fadt fadt = {
		.preferred_pm_profile = ACPI_PM_PROFILE_UNSPECIFIED,
		/* PWR_BUTTON clear: it is a fixed feature, PWRBTN_STS. */
		.flags = ACPI_FADT_WBINVD | ACPI_FADT_PROC_C1 |
			 ACPI_FADT_SLP_BUTTON | ACPI_FADT_FIX_RTC |
			 ACPI_FADT_RESET_REG_SUP,
		.iapc_boot_arch =
			ACPI_IAPC_LEGACY_DEVICES | ACPI_IAPC_VGA_NOT_PRESENT,
		.century = RTC_CENTURY,
		.reset_reg = acpi_gas_of(ACPI_SYSTEM_IO, PORT_RESET, 8,
					 ACPI_ACCESS_BYTE),
		.reset_value = PCI_BUS_RESET_CONTROL_VALUE,
		.sci_int = GSI_SCI,
		.pm1a_evt_blk =
			acpi_gas_of(ACPI_SYSTEM_IO, PORT_PM1 + PM_PM1A_EVT_BLK,
				    32, ACPI_ACCESS_WORD),
		.pm1a_cnt_blk =
			acpi_gas_of(ACPI_SYSTEM_IO, PORT_PM1 + PM_PM1A_CNT_BLK,
				    16, ACPI_ACCESS_WORD),
		.pm_tmr_blk = acpi_gas_of(ACPI_SYSTEM_IO, PORT_PM1 + PM_TMR_BLK,
					  32, ACPI_ACCESS_DWORD),
		.dsdt = dsdt,
		.facs = acpi_tables_add_facs(tables),
	};

	acpi_fadt_add(tables, &fadt);
}

static void x86_acpi_add_madt(struct acpi_tables *tables,
			      const struct x86_acpi_config *config)
{
	bool legacy = config->profile == ARCH_PROFILE_LEGACY;

	acpi_madt_begin(tables, LAYOUT_LAPIC,
			legacy ? ACPI_MADT_PCAT_COMPAT : 0);
	for (unsigned int i = 0; i < config->cpus; i++)
		acpi_madt_local_apic(tables, i, i);
	acpi_madt_io_apic(tables, IOAPIC_ID, LAYOUT_IOAPIC, 0);
	if (legacy) {
		acpi_madt_source_override(tables, ISA_IRQ_PIT, GSI_PIT,
					  ACPI_INTI_CONFORMS);
		acpi_madt_source_override(tables, GSI_SCI, GSI_SCI,
					  ACPI_INTI_LEVEL |
						  ACPI_INTI_ACTIVE_HIGH);
	}
	acpi_madt_local_apic_nmi(tables, LINT_NMI);
}

int x86_acpi_build(struct guest_mem *mem, const struct x86_acpi_config *config,
		   uint64_t *rsdp, struct error *err)
{
	struct acpi_tables *tables;
	acpi_table_id dsdt;
	int ret;

	ret = acpi_tables_new(&tables);
	if (ret < 0)
		return error_set(err, -ret, "building ACPI tables failed: %s",
				 strerror(-ret));
	dsdt = x86_acpi_add_dsdt(tables, config);
	if (config->profile == ARCH_PROFILE_LEGACY)
		x86_acpi_add_fadt_legacy(tables, dsdt);
	else
		x86_acpi_add_fadt_lean(tables, dsdt);
	x86_acpi_add_madt(tables, config);
	acpi_tables_add_mcfg(tables, LAYOUT_ECAM, 0);
	ret = acpi_tables_place(tables, mem, LAYOUT_ACPI, LAYOUT_ACPI_SIZE,
				rsdp, err);
	acpi_tables_free(tables);
	return ret;
}
