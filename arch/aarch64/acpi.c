/*
 * The machine is hardware-reduced, as Arm's all are (Arm Base Boot
 * Requirements 2.0), and starts, stops and resets by PSCI, so that there are
 * neither sleep nor reset registers nor \_S5. A global system interrupt is an
 * INTID.
 *
 * What a guest misses against the device tree: the clock, which Linux knows
 * from device trees and as a service of UEFI, and the debug exit, for which
 * there is no name; it is in its place.
 */
#include "arch/aarch64/acpi.h"

#include <assert.h>
#include <string.h>

#include "acpi/aml.h"
#include "acpi/dsdt.h"
#include "acpi/fadt.h"
#include "acpi/gtdt.h"
#include "acpi/iort.h"
#include "acpi/madt.h"
#include "acpi/spcr.h"
#include "acpi/tables.h"
#include "arch/aarch64/layout.h"
#include "arch/aarch64/pvpanic.h"

#define GSI_OF_SPI(spi) (INTID_SPI + (spi))
#define GSI_OF_PPI(ppi) (16 + (ppi))

#define ACPI_ITS_ID 0

static_assert(SPI_PCI_PINS == DSDT_PCI_PINS, "the same swizzle");

static void arm_acpi_add_pci(struct aml *aml,
			     const struct arm_acpi_config *config)
{
	const struct dsdt_pci_host host = {
		.mem32_base = LAYOUT_PCI32,
		.mem32_size = LAYOUT_PCI32_SIZE,
		.mem64_base = config->pci64_base,
		.mem64_size = config->pci64_size,
		.gsi = GSI_OF_SPI(SPI_PCI),
		.says_coherent = true,
	};

	dsdt_add_pci_host(aml, &host);
	dsdt_add_ecam(aml, LAYOUT_ECAM, LAYOUT_ECAM_SIZE);
}

static void arm_acpi_add_virtio(struct aml *aml, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		dsdt_add_virtio_mmio(
			aml, i,
			LAYOUT_VIRTIO_MMIO +
				i * (uint32_t)LAYOUT_VIRTIO_MMIO_SIZE,
			LAYOUT_VIRTIO_MMIO_SIZE,
			GSI_OF_SPI(SPI_VIRTIO_MMIO + i));
}

static acpi_table_id arm_acpi_add_dsdt(struct acpi_tables *tables,
				       const struct arm_acpi_config *config)
{
	acpi_table_id id;
	struct aml aml;

	aml_init(&aml);
	aml_scope_begin(&aml, "_SB");
	dsdt_add_processors(&aml, config->cpus);
	arm_acpi_add_pci(&aml, config);
	dsdt_add_pl011(&aml, "COM0", 0, LAYOUT_UART, LAYOUT_PAGE,
		       GSI_OF_SPI(SPI_UART));
	dsdt_add_pvpanic_mmio(&aml, LAYOUT_PVPANIC + PVPANIC_EVENTS);
	arm_acpi_add_virtio(&aml, config->virtio_mmio);
	dsdt_add_ged(&aml, LAYOUT_GED, GSI_OF_SPI(SPI_GED));
	aml_scope_end(&aml);
	id = acpi_tables_add_dsdt(tables, &aml);
	aml_fini(&aml);
	return id;
}

static void arm_acpi_add_fadt(struct acpi_tables *tables, acpi_table_id dsdt)
{
	const struct acpi_fadt fadt = {
		.preferred_pm_profile = ACPI_PM_PROFILE_UNSPECIFIED,
		.flags = ACPI_FADT_PWR_BUTTON | ACPI_FADT_SLP_BUTTON |
			 ACPI_FADT_HW_REDUCED_ACPI,
		.arm_boot_arch =
			ACPI_ARM_PSCI_COMPLIANT | ACPI_ARM_PSCI_USE_HVC,
		.dsdt = dsdt,
	};

	acpi_fadt_add(tables, &fadt);
}

static void arm_acpi_add_madt(struct acpi_tables *tables,
			      const struct arm_acpi_config *config)
{
	bool is_v3 = config->gic_version == 3;

	acpi_madt_begin_gic(tables);
	acpi_madt_gicd(tables, LAYOUT_GIC_DIST, (uint8_t)config->gic_version);
	for (unsigned int i = 0; i < config->cpus; i++)
		acpi_madt_gicc(tables, i, config->mpidr[i],
			       is_v3 ? 0 : LAYOUT_GIC_CPU);
	if (!is_v3) {
		acpi_madt_msi_frame(tables, LAYOUT_GIC_V2M, INTID_SPI + SPI_V2M,
				    SPI_V2M_COUNT);
		return;
	}
	acpi_madt_gicr(tables, LAYOUT_GIC_REDIST, LAYOUT_GIC_REDIST_SIZE);
	if (config->has_its)
		acpi_madt_its(tables, ACPI_ITS_ID, LAYOUT_GIC_ITS);
}

static void arm_acpi_add_gtdt(struct acpi_tables *tables)
{
	const struct acpi_gtdt gtdt = {
		.secure_el1 = GSI_OF_PPI(PPI_TIMER_SECURE),
		.non_secure_el1 = GSI_OF_PPI(PPI_TIMER_PHYSICAL),
		.virtual_el1 = GSI_OF_PPI(PPI_TIMER_VIRTUAL),
		.el2 = GSI_OF_PPI(PPI_TIMER_HYP),
	};

	acpi_gtdt_add(tables, &gtdt);
}

int arm_acpi_build(struct guest_mem *mem, const struct arm_acpi_config *config,
		   uint64_t base, uint64_t size, uint64_t *rsdp,
		   struct error *err)
{
	struct acpi_tables *tables;
	int ret;

	ret = acpi_tables_new(&tables);
	if (ret < 0)
		return error_set(err, -ret, "building ACPI tables failed: %s",
				 strerror(-ret));
	arm_acpi_add_fadt(tables, arm_acpi_add_dsdt(tables, config));
	arm_acpi_add_madt(tables, config);
	arm_acpi_add_gtdt(tables);
	acpi_tables_add_mcfg(tables, LAYOUT_ECAM, 0);
	acpi_spcr_add_pl011(tables, LAYOUT_UART, GSI_OF_SPI(SPI_UART));
	if (config->has_its)
		acpi_iort_add(tables, ACPI_ITS_ID);
	ret = acpi_tables_place(tables, mem, base, size, rsdp, err);
	acpi_tables_free(tables);
	return ret;
}
