/* Whether a host leads anywhere, by tables as kernels write them. */
#include "virtio/net_route.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>
#include <unistd.h>

#define HEAD                                                                 \
	"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\t" \
	"MTU\tWindow\tIRTT\n"
#define LINK	"eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
#define DEFAULT "eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
#define POINT	"tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n"
#define HALF	"tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0\n"
#define REFUSED "*\t00000000\t00000000\t0201\t0\t0\t0\t00000000\t0\t0\t0\n"
#define DOWN	"eth0\t00000000\t010200C0\t0002\t0\t0\t0\t00000000\t0\t0\t0\n"
#define NOWHERE "00000000000000000000000000000000"
#define ROUTER	"fe800000000000000000000000000001"
#define SIX(to, len, next, flags, name)    \
	to " " len " " NOWHERE " 00 " next \
	   " 00000400 00000003 00000000 " flags "     " name "\n"
#define SIX_LINK    SIX(ROUTER, "40", NOWHERE, "00000001", "eth0")
#define SIX_DEFAULT SIX(NOWHERE, "00", ROUTER, "00000003", "eth0")
#define SIX_REFUSED SIX(NOWHERE, "00", NOWHERE, "00200200", "lo")
#define SIX_LO	    SIX(NOWHERE, "00", NOWHERE, "00000001", "lo")
#define SIX_HALF    SIX(NOWHERE, "01", ROUTER, "00000003", "eth0")

static char folder[] = "/tmp/bantam-route-XXXXXX";

static void put(const char *name, const char *text)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	unlink(path);
	if (!text)
		return;
	file = fopen(path, "we");
	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

static const struct {
	const char *four, *six; /* NULL: no such table */
	bool found;
} rows[] = {
	{HEAD LINK DEFAULT, SIX_LINK, true},
	{HEAD POINT, NULL, true},
	{HEAD LINK, SIX_LINK SIX_DEFAULT SIX_REFUSED, true},
	{HEAD, SIX_DEFAULT, true},
	{NULL, NULL, true}, /* nobody knows */
	{HEAD, NULL, false},
	{HEAD LINK HALF, SIX_LINK SIX_HALF, false},
	{HEAD REFUSED DOWN, SIX_REFUSED SIX_LO, false},
	{"", "", false},
	{"eth0\n\teth0 0\n", "0 0 0\n" NOWHERE "\n", false},
};

START_TEST(default_of_tables_is_found_or_not)
{
	ck_assert_ptr_nonnull(mkdtemp(folder));
	put("route", rows[_i].four);
	put("ipv6_route", rows[_i].six);
	ck_assert_int_eq(net_route_default(folder), rows[_i].found);
	put("route", NULL);
	put("ipv6_route", NULL);
	rmdir(folder);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("net_route");
	TCase *tc = tcase_create("net_route");

	tcase_add_loop_test(tc, default_of_tables_is_found_or_not, 0,
			    sizeof(rows) / sizeof(rows[0]));
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	SRunner *runner = srunner_create(suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
