/*
 * Reboots in place, by the ways there are in turn, until the CMOS byte that
 * survives a reset has counted count=N of them; ends with that number. Each
 * time everything else must be as at power-on. how=i8042, cf9, acpi or triple
 * picks one way.
 */
#include "lib/acpi.h"
#include "lib/guest.h"
#include "lib/irq.h"

#define RTC_INDEX  0x70
#define RTC_DATA   0x71
#define CMOS_COUNT 0x40

#define I8042_COMMAND	  0x64
#define I8042_PULSE	  0xfe
#define RESET_CONTROL	  0xcf9
#define RESET_CONTROL_RST 0x06

#define SERIAL_IER (PORT_COM1 + 1)
#define SERIAL_SCR (PORT_COM1 + 7)

/* Zero in the file and zeroed by the loader: what is in it after a reset is
 * from the life before. */
static volatile uint32_t reboot_marks[4];

/* Free memory that no loader writes: near the middle and below the top. */
static const uint64_t reboot_free[] = {0x40000, 0x800000, 0x1800000};

static uint8_t reboot_count(void)
{
	out8(RTC_INDEX, CMOS_COUNT);
	return in8(RTC_DATA);
}

static void reboot_set_count(uint8_t count)
{
	out8(RTC_INDEX, CMOS_COUNT);
	out8(RTC_DATA, count);
}

static void reboot_check_fresh(void)
{
	for (unsigned int i = 0; i < 4; i++)
		check_eq(reboot_marks[i], 0);
	for (unsigned int i = 0; i < 3; i++)
		check_eq(read64(reboot_free[i]), 0);
	check_eq(in8(SERIAL_SCR), 0);
	check_eq(in8(SERIAL_IER), 0);
	check_eq(rdmsr(MSR_APIC_BASE) & MSR_APIC_BASE_X2APIC, 0);
	check_eq(rdmsr(MSR_TSC_DEADLINE), 0);
}

static void reboot_leave_marks(void)
{
	for (unsigned int i = 0; i < 4; i++)
		reboot_marks[i] = ~i;
	for (unsigned int i = 0; i < 3; i++)
		write64(reboot_free[i], 0x1122334455667788);
	out8(SERIAL_SCR, 0x77);
	out8(SERIAL_IER, 0x01);
	irq_init();
}

static void reboot_acpi(void)
{
	const struct acpi_fadt *fadt = acpi_fadt();

	acpi_gas_write8(&fadt->reset_reg, fadt->reset_value);
}

static void reboot_triple_fault(void)
{
	static const struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} nothing;

	asm volatile("lidt %0; ud2" : : "m"(nothing));
}

static void reboot_by(unsigned int way)
{
	switch (way) {
	case 0:
		out8(I8042_COMMAND, I8042_PULSE);
		break;
	case 1:
		out8(RESET_CONTROL, RESET_CONTROL_RST);
		break;
	case 2:
		reboot_acpi();
		break;
	case 3:
		reboot_triple_fault();
		break;
	}
	print("still here after reset %u\n", way);
	guest_exit(GUEST_FAILED);
}

int guest_main(void)
{
	static const char *const ways[] = {"i8042", "cf9", "acpi", "triple"};
	uint8_t count = reboot_count();
	unsigned int way = count % 3u;

	print("boot %u\n", count);
	reboot_check_fresh();
	if (count >= option_number("count", 1))
		return count;
	for (unsigned int i = 0; i < 4; i++) {
		if (option_is("how", ways[i]))
			way = i;
	}
	reboot_set_count((uint8_t)(count + 1));
	reboot_leave_marks();
	reboot_by(way);
	return GUEST_FAILED;
}
