/*
 * Sleeps until the power button is pressed, by the GED's interrupt or the SCI,
 * and goes off then; with ignore=1 it takes note and stays.
 */
#include "lib/acpi.h"
#include "lib/guest.h"
#include "lib/irq.h"

/* What the DSDT's _EVT does, without an AML interpreter. */
#define GED_EVENT	       0xfea00000ull
#define GED_EVENT_POWER_BUTTON 1
#define GED_GSI		       9
#define GED_VECTOR	       0x49

#define PM1_PWRBTN (1 << 8) /* ACPI 6.5, 4.8.3.1 */

static volatile unsigned int button_presses;
static uint16_t button_pm1; /* PM1 event block; 0 where there is a GED */

static void __attribute__((interrupt)) button_irq(struct interrupt_frame *frame)
{
	(void)frame;
	if (!button_pm1) {
		if (read32(GED_EVENT) & GED_EVENT_POWER_BUTTON)
			button_presses++;
	} else if (in16(button_pm1) & PM1_PWRBTN) {
		out16(button_pm1, PM1_PWRBTN);
		button_presses++;
	}
	wrmsr(X2APIC_EOI, 0);
}

int guest_main(void)
{
	const struct acpi_fadt *fadt = acpi_fadt();
	unsigned int gsi = GED_GSI;

	irq_init();
	irq_set(GED_VECTOR, button_irq);
	if (!(fadt->flags & ACPI_FADT_HW_REDUCED_ACPI)) {
		button_pm1 = (uint16_t)fadt->pm1a_evt_blk;
		gsi = fadt->sci_int;
		out16((uint16_t)(button_pm1 + 2), PM1_PWRBTN);
	}
	ioapic_route(gsi, GED_VECTOR, true);
	print("ready\n");
	while (!button_presses)
		irq_wait();
	/* Acknowledged, so the line is low and it has come once. */
	print("pressed %u\n", button_presses);
	check_eq(button_presses, 1);
	while (option_number("ignore", 0))
		irq_wait();
	print("off\n");
	acpi_poweroff();
}
