#include "acpi/fadt.h"

#include <assert.h>
#include <stddef.h>

#define FADT_MAJOR_VERSION 6
#define FADT_MINOR_VERSION 5

/* Latencies that say that there is no C2 and no C3 (5.2.9). */
#define P_LVL2_LAT_NONE 101
#define P_LVL3_LAT_NONE 1001

#define HEADER_SIZE 36

/* The table behind its header. */
struct acpi_fadt_body {
	le32 firmware_ctrl;
	le32 dsdt;
	uint8_t reserved;
	uint8_t preferred_pm_profile;
	le16 sci_int;
	le32 smi_cmd;
	uint8_t acpi_enable;
	uint8_t acpi_disable;
	uint8_t s4bios_req;
	uint8_t pstate_cnt;
	le32 pm1a_evt_blk;
	le32 pm1b_evt_blk;
	le32 pm1a_cnt_blk;
	le32 pm1b_cnt_blk;
	le32 pm2_cnt_blk;
	le32 pm_tmr_blk;
	le32 gpe0_blk;
	le32 gpe1_blk;
	uint8_t pm1_evt_len;
	uint8_t pm1_cnt_len;
	uint8_t pm2_cnt_len;
	uint8_t pm_tmr_len;
	uint8_t gpe0_blk_len;
	uint8_t gpe1_blk_len;
	uint8_t gpe1_base;
	uint8_t cst_cnt;
	le16 p_lvl2_lat;
	le16 p_lvl3_lat;
	le16 flush_size;
	le16 flush_stride;
	uint8_t duty_offset;
	uint8_t duty_width;
	uint8_t day_alrm;
	uint8_t mon_alrm;
	uint8_t century;
	le16 iapc_boot_arch;
	uint8_t reserved2;
	le32 flags;
	struct acpi_gas reset_reg;
	uint8_t reset_value;
	le16 arm_boot_arch;
	uint8_t fadt_minor_version;
	le64 x_firmware_ctrl;
	le64 x_dsdt;
	struct acpi_gas x_pm1a_evt_blk;
	struct acpi_gas x_pm1b_evt_blk;
	struct acpi_gas x_pm1a_cnt_blk;
	struct acpi_gas x_pm1b_cnt_blk;
	struct acpi_gas x_pm2_cnt_blk;
	struct acpi_gas x_pm_tmr_blk;
	struct acpi_gas x_gpe0_blk;
	struct acpi_gas x_gpe1_blk;
	struct acpi_gas sleep_control_reg;
	struct acpi_gas sleep_status_reg;
	char hypervisor_vendor_identity[8];
} __attribute__((packed));

/* Offset in the whole table. */
#define FADT_OFFSET(field) \
	(HEADER_SIZE + offsetof(struct acpi_fadt_body, field))

static_assert(HEADER_SIZE + sizeof(struct acpi_fadt_body) == 276, "5.2.9");
static_assert(FADT_OFFSET(pm1a_evt_blk) == 56, "5.2.9");
static_assert(FADT_OFFSET(flags) == 112, "5.2.9");
static_assert(FADT_OFFSET(x_dsdt) == 140, "5.2.9");
static_assert(FADT_OFFSET(sleep_control_reg) == 244, "5.2.9");

/* The 32-bit form of a block of ports; a block elsewhere has none. */
static le32 fadt_port(const struct acpi_gas *block)
{
	if (block->address_space_id != ACPI_SYSTEM_IO)
		return le32_of(0);
	return le32_of((uint32_t)le64_get(block->address));
}

void acpi_fadt_add(struct acpi_tables *tables, const struct acpi_fadt *fadt)
{
	const struct acpi_fadt_body body = {
		.preferred_pm_profile = fadt->preferred_pm_profile,
		.sci_int = le16_of(fadt->sci_int),
		.pm1a_evt_blk = fadt_port(&fadt->pm1a_evt_blk),
		.pm1a_cnt_blk = fadt_port(&fadt->pm1a_cnt_blk),
		.pm_tmr_blk = fadt_port(&fadt->pm_tmr_blk),
		.pm1_evt_len = fadt->pm1a_evt_blk.register_bit_width / 8,
		.pm1_cnt_len = fadt->pm1a_cnt_blk.register_bit_width / 8,
		.pm_tmr_len = fadt->pm_tmr_blk.register_bit_width / 8,
		.p_lvl2_lat = le16_of(P_LVL2_LAT_NONE),
		.p_lvl3_lat = le16_of(P_LVL3_LAT_NONE),
		.century = fadt->century,
		.iapc_boot_arch = le16_of(fadt->iapc_boot_arch),
		.flags = le32_of(fadt->flags),
		.reset_reg = fadt->reset_reg,
		.reset_value = fadt->reset_value,
		.arm_boot_arch = le16_of(fadt->arm_boot_arch),
		.fadt_minor_version = FADT_MINOR_VERSION,
		.x_pm1a_evt_blk = fadt->pm1a_evt_blk,
		.x_pm1a_cnt_blk = fadt->pm1a_cnt_blk,
		.x_pm_tmr_blk = fadt->pm_tmr_blk,
		.sleep_control_reg = fadt->sleep_control_reg,
		.sleep_status_reg = fadt->sleep_status_reg,
		.hypervisor_vendor_identity = "BANTAM",
	};

	if (!acpi_table_begin(tables, "FACP", FADT_MAJOR_VERSION))
		return;
	acpi_table_append(tables, &body, sizeof(body));
	acpi_table_point(tables, FADT_OFFSET(dsdt), 4, fadt->dsdt);
	acpi_table_point(tables, FADT_OFFSET(x_dsdt), 8, fadt->dsdt);
	/* X_FIRMWARE_CTRL stays 0: OSPM takes the 32-bit field then. */
	if (fadt->facs)
		acpi_table_point(tables, FADT_OFFSET(firmware_ctrl), 4,
				 fadt->facs);
}
