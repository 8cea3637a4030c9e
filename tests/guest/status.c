/* Ends with status=N of the command line. */
#include "lib/guest.h"

int guest_main(void)
{
	return (int)option_number("status", GUEST_FAILED);
}
