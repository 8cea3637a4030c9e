/* Goes off by ACPI S5. */
#include "lib/acpi.h"

#include "lib/guest.h"

int guest_main(void)
{
	print("going off\n");
	acpi_poweroff();
}
