/*
 * The command line: what each option takes, and the line that a wrong one
 * gives.
 */
#include "vmm/options.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 12

static struct options options;
static struct error err;

/* words: NULL-terminated. */
static int parse(const char *const *words)
{
	char *argv[WORDS_MAX] = {NULL};
	int argc = 0, rc;

	for (; words[argc]; argc++)
		argv[argc] = strdup(words[argc]);
	err.text[0] = '\0';
	rc = options_parse(&options, argc, argv, &err);
	while (argc)
		free(argv[--argc]);
	return rc;
}

#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

static void teardown(void)
{
	options_fini(&options);
}

START_TEST(options_parse_kernel_alone_gives_defaults)
{
	ck_assert_int_eq(PARSE("vmlinuz"), 0);
	ck_assert_str_eq(options.kernel, "vmlinuz");
	ck_assert_ptr_null(options.initrd);
	ck_assert_ptr_null(options.append);
	ck_assert_uint_eq(options.memory, 256u << 20);
	ck_assert_uint_eq(options.hugepages, 0);
	ck_assert_uint_eq(options.cpus, 1);
	ck_assert_uint_eq(options.machine, ARCH_PROFILE_AUTO);
	ck_assert_uint_eq(options.entry, ARCH_ENTRY_AUTO);
	ck_assert_uint_eq(options.serial.to, OPTIONS_TO_STDIO);
	ck_assert_uint_eq(options.disks.count, 0);
	ck_assert_uint_eq(options.nets.count, 0);
	ck_assert_uint_eq(options.consoles.count, 0);
	ck_assert_uint_eq(options.rng_use, OPTIONS_RNG_ON);
	ck_assert_uint_eq(options.timeout, 0);
	ck_assert_uint_eq(options.grace, UINT64_C(5000000000));
	ck_assert(!options.no_reboot);
	ck_assert_uint_eq(options.log, LOG_WARN);
}
END_TEST

START_TEST(options_parse_all_forms_of_a_word_are_taken)
{
	ck_assert_int_eq(PARSE("-m", "1G", "-c4", "--initrd=i.img", "--append",
			       "a=b,c -- d", "-kvmlinux,entry=pvh",
			       "--no-reboot", "--serial", "file=out.txt"),
			 0);
	ck_assert_uint_eq(options.memory, 1u << 30);
	ck_assert_uint_eq(options.cpus, 4);
	ck_assert_str_eq(options.initrd, "i.img");
	ck_assert_str_eq(options.append, "a=b,c -- d");
	ck_assert_str_eq(options.kernel, "vmlinux");
	ck_assert_uint_eq(options.entry, ARCH_ENTRY_PVH);
	ck_assert(options.no_reboot);
	ck_assert_uint_eq(options.serial.to, OPTIONS_TO_FILE);
	ck_assert_str_eq(options.serial.file, "out.txt");
}
END_TEST

START_TEST(options_parse_doubled_comma_is_one_of_the_value)
{
	ck_assert_int_eq(PARSE("-k", ",,a,,b,,,entry=pvh"), 0);
	ck_assert_str_eq(options.kernel, ",a,b,");
	ck_assert_uint_eq(options.entry, ARCH_ENTRY_PVH);
}
END_TEST

START_TEST(options_parse_equals_sign_in_a_path_is_kept)
{
	ck_assert_int_eq(PARSE("-k", "dir=a/kernel"), 0);
	ck_assert_str_eq(options.kernel, "dir=a/kernel");
}
END_TEST

START_TEST(options_parse_first_item_named_like_a_key_is_the_value)
{
	ck_assert_int_eq(PARSE("-k", "entry,entry=pvh"), 0);
	ck_assert_str_eq(options.kernel, "entry");
	ck_assert_uint_eq(options.entry, ARCH_ENTRY_PVH);
}
END_TEST

START_TEST(options_parse_words_behind_two_dashes_are_kernels)
{
	ck_assert_int_eq(PARSE("--", "-k"), 0);
	ck_assert_str_eq(options.kernel, "-k");
}
END_TEST

START_TEST(options_parse_flag_takes_a_value_only_with_equals)
{
	ck_assert_int_eq(PARSE("--no-reboot=off", "k"), 0);
	ck_assert(!options.no_reboot);
	options_fini(&options);
	ck_assert_int_eq(PARSE("--no-reboot", "on"), 0);
	ck_assert_str_eq(options.kernel, "on");
}
END_TEST

static const struct {
	const char *text;
	uint64_t bytes;
} sizes[] = {
	{"32M", 32u << 20},
	{"64G", UINT64_C(64) << 30},
	{"65536K", 64u << 20},
	{"134217728", 128u << 20},
	{"128M,hugepages=2M", 128u << 20},
};

START_TEST(options_parse_size_is_taken)
{
	ck_assert_int_eq(PARSE("-m", sizes[_i].text, "k"), 0);
	ck_assert_uint_eq(options.memory, sizes[_i].bytes);
}
END_TEST

static const struct {
	const char *text;
	uint64_t ns;
} times[] = {
	{"1ms", 1000000},
	{"5s", UINT64_C(5000000000)},
	{"2m", UINT64_C(120000000000)},
};

START_TEST(options_parse_time_is_taken)
{
	ck_assert_int_eq(PARSE("--timeout", times[_i].text, "k"), 0);
	ck_assert_uint_eq(options.timeout, times[_i].ns);
}
END_TEST

/* Words that are refused, and what the line must name. */
static const struct {
	const char *words[4];
	const char *names[3];
} wrong[] = {
	{{"--memory"}, {"--memory", "value"}},
	{{"-m", "12X"}, {"--memory", "32M to 64G", "\"12X\""}},
	{{"-m", "-1"}, {"--memory", "\"-1\""}},
	{{"-m", "0"}, {"--memory", "\"0\""}},
	{{"-m", ""}, {"--memory", "\"\""}},
	{{"-m", "31M"}, {"--memory", "32M"}},
	{{"-m", "65G"}, {"--memory", "64G"}},
	{{"-m", "99999999999999999999G"}, {"--memory", "64G"}},
	{{"-m", "18446744073709551615K"}, {"--memory", "64G"}},
	{{"-m", "33554433"}, {"--memory", "multiple of 1M"}},
	{{"-m", "33M,hugepages=2M"}, {"--memory", "huge page"}},
	{{"-m", "1G,hugepages=4K"}, {"--memory,hugepages", "2M|1G", "\"4K\""}},
	{{"-m", "1G,huge=2M"}, {"--memory", "\"huge\"", "hugepages"}},
	{{"-m", "1G,"}, {"--memory", "\"\"", "hugepages"}},
	{{"-m", "1G", "-m", "1G"}, {"--memory", "twice"}},
	{{"-c", "0"}, {"--cpus", "1 to 64", "\"0\""}},
	{{"-c", "65"}, {"--cpus", "1 to 64", "\"65\""}},
	{{"-c", "1000000"}, {"--cpus", "1 to 64"}},
	{{"-c", "2,3"}, {"--cpus", "\"3\""}},
	{{"-c", "1M"}, {"--cpus", "\"1M\""}},
	{{"--machine", "pc"},
	 {"--machine", "auto|lean|legacy|dt|acpi", "\"pc\""}},
	{{"-k", ""}, {"--kernel", "text"}},
	{{"-k", "a,entry=elf"}, {"entry", "auto|bzimage|pvh|multiboot"}},
	{{"-k", "a", "b"}, {"--kernel", "twice"}},
	{{"--serial", "stdio,file=x"}, {"--serial", "twice"}},
	{{"--serial", "file="}, {"--serial,file", "text"}},
	{{"--serial", "file"},
	 {"--serial", "stdio|null|file=FILE|socket=PATH"}},
	{{"--serial", "stdio,file"}, {"--serial", "twice"}},
	{{"--serial", "file=x,socket=y"}, {"--serial", "twice"}},
	{{"--serial", "socket="}, {"--serial,socket", "text"}},
	{{"--serial", ""}, {"--serial", "file=FILE|socket=PATH", "\"\""}},
	{{"-k", "a,entry"}, {"--kernel,entry", "auto|bzimage", "\"\""}},
	{{"-m", "1G,hugepages"}, {"--memory,hugepages", "2M|1G", "\"\""}},
	{{"--timeout", "0s"}, {"--timeout", "1ms"}},
	{{"--timeout", "5"}, {"--timeout", "60s", "\"5\""}},
	{{"--timeout", "9999999m"}, {"--timeout", "year"}},
	{{"--no-reboot=maybe"}, {"--no-reboot", "on|off", "\"maybe\""}},
	{{"--log", "loud"}, {"--log", "error|warn|info|debug"}},
	{{"--expect", "a("}, {"--expect", "regular", "\"a(\": "}},
	{{"--fail-on", ""}, {"--fail-on", "regular", "empty"}},
	{{"--name", ""}, {"--name", "64", "\"\""}},
	{{"--name", "../x"}, {"--name", "64", "\"../x\""}},
	{{"--name", ".x"}, {"--name", "first"}},
	{{"--name", "-x"}, {"--name", "first"}},
	{{"--name", "a/b"}, {"--name", "\"a/b\""}},
	{{"--name", "a b"}, {"--name", "\"a b\""}},
	{{"--name", "\xc3\xa4"}, {"--name", "64"}},
	{{"--name", "a", "--name", "b"}, {"--name", "twice"}},
	{{"--idle-timeout", "0s"}, {"--idle-timeout", "1ms"}},
	{{"--result", ""}, {"--result", "path"}},
	{{"--result", "a,b"}, {"--result", "\"b\"", "comma"}},
	{{"--dry-run", "--dry-run"}, {"--dry-run", "twice"}},
	{{"--frobnicate"}, {"--frobnicate", "unknown", "help"}},
	{{"--mem", "1G"}, {"--mem", "unknown"}},
	{{"-d", ""}, {"--disk", "path", "\"\""}},
	{{"-d", "ro=on"}, {"--disk", "path", "found none"}},
	{{"-d", "a,ro=maybe"}, {"--disk,ro", "on|off", "\"maybe\""}},
	{{"-d", "a,ro,ro"}, {"--disk,ro", "twice"}},
	{{"-d", "a,queues=17"}, {"--disk,queues", "1 to 16", "\"17\""}},
	{{"-d", "a,slot=0"}, {"--disk,slot", "1 to 31", "\"0\""}},
	{{"-d", "a,slot=32"}, {"--disk,slot", "1 to 31", "\"32\""}},
	{{"-d", "a,transport=isa"}, {"--disk,transport", "pci|mmio", "isa"}},
	{{"-d", "a,bootindex=1"}, {"--disk", "\"bootindex\"", "direct"}},
	{{"-d", "a,sandbox=yes"}, {"--disk,sandbox", "on|off|log", "yes"}},
	{{"-d", "a,sandbox="}, {"--disk,sandbox", "on|off|log"}},
	{{"-d", "a,restart=maybe"}, {"--disk,restart", "maybe"}},
	{{"--sandbox", "half"}, {"--sandbox", "on|off|log", "half"}},
	{{"-n", "eth0"}, {"--net", "user|tap=NAME", "\"eth0\""}},
	{{"-n", "mtu=1500"}, {"--net", "user|tap=NAME", "found none"}},
	{{"-n", "user,tap=t"}, {"--net,tap", "twice"}},
	{{"-n", "user,mtu=67"}, {"--net,mtu", "68 to 65535"}},
	{{"-n", "user,queues=9"}, {"--net,queues", "1 to 8"}},
	{{"-n", "user,fwd="}, {"--net,fwd", "text", "\"\""}},
	{{"-n", "user,fwd"}, {"--net,fwd", "text"}},
	{{"--console", "tty"}, {"--console", "stdio|null|file=FILE|socket="}},
	{{"--console", "name=x"}, {"--console", "stdio|null", "found none"}},
	{{"--console", "file=a,socket=b"}, {"--console,socket", "twice"}},
	{{"--rng", "maybe,source=x"}, {"--rng", "off|on", "\"maybe\""}},
	{{"--rng=maybe"}, {"--rng", "off|on", "\"maybe\""}},
	{{"--rng", "sauce=x"}, {"--rng", "off|on", "\"sauce=x\""}},
	{{"--rng", "--rng"}, {"--rng", "twice"}},
	{{"-x"}, {"-x", "unknown"}},
};

START_TEST(options_parse_wrong_words_are_refused_by_name)
{
	ck_assert_int_eq(parse(wrong[_i].words), -EINVAL);
	for (unsigned int i = 0; i < 3 && wrong[_i].names[i]; i++)
		ck_assert_msg(strstr(err.text, wrong[_i].names[i]),
			      "\"%s\" does not name %s", err.text,
			      wrong[_i].names[i]);
	ck_assert_ptr_null(strchr(err.text, '\n'));
}
END_TEST

START_TEST(options_parse_disks_are_taken)
{
	const struct virtio_block_options *disk;

	static const char second[] =
		"/dev/sdb,ro,direct=off,serial=a,,b,queues=4,"
		"slot=31,transport=mmio,packed,ephemeral=true,"
		"sandbox=log,restart=off";

	ck_assert_int_eq(PARSE("k", "-d", "a.img", "--disk", second), 0);
	ck_assert_uint_eq(options.disks.count, 2);
	disk = options.disks.items;
	ck_assert_str_eq(disk[0].file, "a.img");
	ck_assert(!disk[0].ro && !disk[0].direct && !disk[0].ephemeral);
	ck_assert_ptr_null(disk[0].serial);
	ck_assert_uint_eq(disk[0].queues, 1);
	ck_assert_uint_eq(disk[0].common.slot, 0);
	ck_assert_uint_eq(disk[0].common.transport, VIRTIO_TRANSPORT_PCI);
	ck_assert(!disk[0].common.packed);
	ck_assert_uint_eq(disk[0].common.sandbox, VIRTIO_SANDBOX_UNSAID);
	ck_assert(disk[0].common.restart);
	ck_assert_str_eq(disk[1].file, "/dev/sdb");
	ck_assert(disk[1].ro && !disk[1].direct && disk[1].ephemeral);
	ck_assert_str_eq(disk[1].serial, "a,b");
	ck_assert_uint_eq(disk[1].queues, 4);
	ck_assert_uint_eq(disk[1].common.slot, 31);
	ck_assert_uint_eq(disk[1].common.transport, VIRTIO_TRANSPORT_MMIO);
	ck_assert(disk[1].common.packed);
	ck_assert_uint_eq(disk[1].common.sandbox, VIRTIO_SANDBOX_LOG);
	ck_assert(!disk[1].common.restart);
}
END_TEST

START_TEST(options_parse_nets_are_taken)
{
	const struct virtio_net_options *net;

	ck_assert_int_eq(PARSE("k", "-n", "tap=tap0,mac=52:54:00:12:34:56",
			       "--net", "user,fwd=80:80,mtu=1500,fwd=::1:22:22",
			       "-n", "user,fwd=1:2"),
			 0);
	ck_assert_uint_eq(options.nets.count, 3);
	net = options.nets.items;
	ck_assert_uint_eq(net[0].kind, VIRTIO_NET_TAP);
	ck_assert_str_eq(net[0].tap, "tap0");
	ck_assert_str_eq(net[0].mac, "52:54:00:12:34:56");
	ck_assert_uint_eq(net[0].queues, 1);
	ck_assert_uint_eq(net[0].fwd.count, 0);
	ck_assert_uint_eq(net[1].kind, VIRTIO_NET_USER);
	ck_assert_ptr_null(net[1].tap);
	ck_assert_uint_eq(net[1].mtu, 1500);
	ck_assert_uint_eq(net[1].fwd.count, 2);
	ck_assert_str_eq(net[1].fwd.items[0], "80:80");
	ck_assert_str_eq(net[1].fwd.items[1], "::1:22:22");
	ck_assert_uint_eq(net[2].fwd.count, 1);
	ck_assert_str_eq(net[2].fwd.items[0], "1:2");
}
END_TEST

/* What stands behind --rng, and whether that is its value. */
static const struct {
	const char *words[WORDS_MAX];
	unsigned int use;
	const char *source;
} rngs[] = {
	{{"k"}, OPTIONS_RNG_ON, NULL},
	{{"--rng", "k"}, OPTIONS_RNG_ON, NULL},
	{{"k", "--rng"}, OPTIONS_RNG_ON, NULL},
	{{"--rng", "-c", "2", "k"}, OPTIONS_RNG_ON, NULL},
	{{"--rng", "off", "k"}, OPTIONS_RNG_OFF, NULL},
	{{"--rng=off", "k"}, OPTIONS_RNG_OFF, NULL},
	{{"--rng", "offline"}, OPTIONS_RNG_ON, NULL},
	{{"--rng", "source=/dev/hwrng", "k"}, OPTIONS_RNG_ON, "/dev/hwrng"},
	{{"--rng", "on,source=f", "k"}, OPTIONS_RNG_ON, "f"},
};

START_TEST(options_parse_rng_needs_no_value)
{
	ck_assert_msg(parse(rngs[_i].words) == 0, "%s", err.text);
	ck_assert_ptr_nonnull(options.kernel);
	ck_assert_uint_eq(options.rng_use, rngs[_i].use);
	ck_assert_pstr_eq(options.rng.source, rngs[_i].source);
}
END_TEST

/* Where serial and console lead to; 0 is for a refusal. */
static const struct {
	const char *words[WORDS_MAX];
	unsigned int serial;
} ends[] = {
	{{"k"}, OPTIONS_TO_STDIO},
	{{"k", "--console", "null"}, OPTIONS_TO_STDIO},
	{{"k", "--console", "stdio"}, OPTIONS_TO_NULL},
	{{"k", "--console", "file=a", "--console", "stdio"}, OPTIONS_TO_NULL},
	{{"k", "--console", "stdio", "--serial", "file=a"}, OPTIONS_TO_FILE},
	{{"k", "--console", "stdio", "--serial", "stdio"}, 0},
	{{"k", "--console", "stdio", "--console", "stdio"}, 0},
};

START_TEST(options_parse_one_device_has_stdio)
{
	bool fine = ends[_i].serial;

	ck_assert_int_eq(parse(ends[_i].words), fine ? 0 : -EINVAL);
	if (fine)
		ck_assert_uint_eq(options.serial.to, ends[_i].serial);
	else
		ck_assert_ptr_nonnull(strstr(err.text, "stdio"));
}
END_TEST

START_TEST(options_parse_consoles_are_ports_of_one_device)
{
	ck_assert_int_eq(PARSE("k", "--console", "null,slot=4", "--console",
			       "socket=s,name=org.x"),
			 0);
	ck_assert_uint_eq(options.consoles.count, 2);
	ck_assert_uint_eq(options.consoles.items[0].common.slot, 4);
	ck_assert_uint_eq(options.consoles.items[1].end.to, OPTIONS_TO_SOCKET);
	ck_assert_str_eq(options.consoles.items[1].end.socket, "s");
	ck_assert_str_eq(options.consoles.items[1].name, "org.x");
	options_fini(&options);
	ck_assert_int_eq(
		PARSE("k", "--console", "null", "--console", "null,packed"),
		-EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "--console,packed"));
}
END_TEST

START_TEST(options_parse_too_many_consoles_are_refused)
{
	char option[] = "--console=null", kernel[] = "k";
	char *argv[10] = {kernel};

	for (unsigned int i = 1; i < 10; i++)
		argv[i] = option;
	ck_assert_int_eq(options_parse(&options, 9, argv, &err), 0);
	options_fini(&options);
	ck_assert_int_eq(options_parse(&options, 10, argv, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "at most 8"));
}
END_TEST

START_TEST(options_parse_too_many_forwards_are_refused)
{
	static const char forward[] = ",fwd=1:1";
	static char value[257 * sizeof(forward) + 8] = "user";
	char option[] = "-n", kernel[] = "k";
	char *argv[] = {kernel, option, value};
	char *end = value + strlen(value);

	for (unsigned int i = 0; i < 257; i++, end += strlen(forward))
		memcpy(end, forward, sizeof(forward));
	ck_assert_int_eq(options_parse(&options, 3, argv, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "--net,fwd"));
	ck_assert_ptr_nonnull(strstr(err.text, "256"));
}
END_TEST

START_TEST(options_parse_no_kernel_says_which_option)
{
	ck_assert_int_eq(PARSE("-m", "64M"), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "--kernel"));
	ck_assert_ptr_nonnull(strstr(err.text, "-k FILE"));
}
END_TEST

START_TEST(options_parse_main_key_may_be_named)
{
	ck_assert_int_eq(PARSE("-k", "entry=pvh,file=a", "-m",
			       "hugepages=2M,size=64M", "--serial", "to=null"),
			 0);
	ck_assert_str_eq(options.kernel, "a");
	ck_assert_uint_eq(options.entry, ARCH_ENTRY_PVH);
	ck_assert_uint_eq(options.memory, 64u << 20);
	ck_assert_uint_eq(options.hugepages, 2u << 20);
	ck_assert_uint_eq(options.serial.to, OPTIONS_TO_NULL);
}
END_TEST

START_TEST(options_parse_first_item_alone_is_the_main_key)
{
	ck_assert_int_eq(PARSE("-k", "entry"), 0);
	ck_assert_str_eq(options.kernel, "entry");
}
END_TEST

START_TEST(options_parse_session_options_are_taken)
{
	ck_assert_int_eq(PARSE("k", "--name", "a.B-c_9", "--result", "out,,put",
			       "--idle-timeout", "20s", "--dry-run"),
			 0);
	ck_assert_str_eq(options.name, "a.B-c_9");
	ck_assert_str_eq(options.result, "out,put");
	ck_assert_uint_eq(options.idle_timeout, UINT64_C(20000000000));
	ck_assert(options.dry_run);
	ck_assert(!options.print_config);
}
END_TEST

START_TEST(options_parse_expressions_repeat_and_are_raw)
{
	ck_assert_int_eq(PARSE("--expect", "a,b", "--expect=x{2,3}", "k",
			       "--fail-on", "=,,"),
			 0);
	ck_assert_uint_eq(options.expect.count, 2);
	ck_assert_str_eq(options.expect.items[0], "a,b");
	ck_assert_str_eq(options.expect.items[1], "x{2,3}");
	ck_assert_uint_eq(options.fail_on.count, 1);
	ck_assert_str_eq(options.fail_on.items[0], "=,,");
}
END_TEST

START_TEST(options_parse_longest_name_is_taken)
{
	char name[66];

	memset(name, 'x', sizeof(name));
	name[64] = '\0';
	ck_assert_int_eq(PARSE("k", "--name", name), 0);
	options_fini(&options);
	name[64] = 'x';
	name[65] = '\0';
	ck_assert_int_eq(PARSE("k", "--name", name), -EINVAL);
}
END_TEST

START_TEST(options_parse_help_looks_at_nothing_else)
{
	ck_assert_int_eq(PARSE("--config", "/nonexistent", "-c", "0", "-h"), 0);
	ck_assert(options.help);
}
END_TEST

START_TEST(options_parse_too_many_repeats_are_refused)
{
	char *argv[2 * 257];

	for (unsigned int i = 0; i < 257; i++) {
		static char option[] = "--expect", regex[] = "x";

		argv[2 * i] = option;
		argv[2 * i + 1] = regex;
	}
	ck_assert_int_eq(options_parse(&options, 2 * 257, argv, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "--expect"));
	ck_assert_ptr_nonnull(strstr(err.text, "256"));
}
END_TEST

/* What would exhaust the stack or the memory of regcomp(). */
static const char *const bombs[] = {
	"((a{999}){999}){999}",	   "a{1,9999}{1,9999}", "(a*){9999}",
	"(((a{64}){64}){64}){64}", "\\(a{4097}",	"(a|b|c){2,}{3000}",
};

START_TEST(options_parse_regular_expression_is_bounded)
{
	ck_assert_int_eq(PARSE("k", "--fail-on", bombs[_i]), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "--fail-on"));
	ck_assert_ptr_nonnull(strstr(err.text, "too large"));
}
END_TEST

START_TEST(options_parse_deep_regular_expression_is_refused)
{
	char deep[60001];

	memset(deep, '(', sizeof(deep));
	deep[sizeof(deep) - 1] = '\0';
	ck_assert_int_eq(PARSE("k", "--expect", deep), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "1024"));
	ck_assert_uint_lt(strlen(err.text), 400);
}
END_TEST

static const char *const expressions[] = {
	"login: $",
	"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
	"^([0-9]{1,3}\\.){3}[0-9]{1,3}$",
	".{1000}",
	"\\{[^}]*",
	"[{]9999",
};

START_TEST(options_parse_usual_regular_expression_is_taken)
{
	ck_assert_int_eq(PARSE("k", "--expect", expressions[_i]), 0);
	ck_assert_str_eq(options.expect.items[0], expressions[_i]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("options");
	TCase *tcase = tcase_create("options");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, NULL, teardown);
	tcase_add_test(tcase, options_parse_kernel_alone_gives_defaults);
	tcase_add_test(tcase, options_parse_all_forms_of_a_word_are_taken);
	tcase_add_test(tcase, options_parse_doubled_comma_is_one_of_the_value);
	tcase_add_test(tcase, options_parse_equals_sign_in_a_path_is_kept);
	tcase_add_test(tcase,
		       options_parse_first_item_named_like_a_key_is_the_value);
	tcase_add_test(tcase,
		       options_parse_words_behind_two_dashes_are_kernels);
	tcase_add_test(tcase,
		       options_parse_flag_takes_a_value_only_with_equals);
	tcase_add_loop_test(tcase, options_parse_size_is_taken, 0,
			    sizeof(sizes) / sizeof(sizes[0]));
	tcase_add_loop_test(tcase, options_parse_time_is_taken, 0,
			    sizeof(times) / sizeof(times[0]));
	tcase_add_loop_test(tcase,
			    options_parse_wrong_words_are_refused_by_name, 0,
			    sizeof(wrong) / sizeof(wrong[0]));
	tcase_add_test(tcase, options_parse_disks_are_taken);
	tcase_add_test(tcase, options_parse_nets_are_taken);
	tcase_add_loop_test(tcase, options_parse_rng_needs_no_value, 0,
			    sizeof(rngs) / sizeof(rngs[0]));
	tcase_add_loop_test(tcase, options_parse_one_device_has_stdio, 0,
			    sizeof(ends) / sizeof(ends[0]));
	tcase_add_test(tcase, options_parse_consoles_are_ports_of_one_device);
	tcase_add_test(tcase, options_parse_too_many_consoles_are_refused);
	tcase_add_test(tcase, options_parse_too_many_forwards_are_refused);
	tcase_add_test(tcase, options_parse_no_kernel_says_which_option);
	tcase_add_test(tcase, options_parse_main_key_may_be_named);
	tcase_add_test(tcase, options_parse_first_item_alone_is_the_main_key);
	tcase_add_test(tcase, options_parse_session_options_are_taken);
	tcase_add_test(tcase, options_parse_expressions_repeat_and_are_raw);
	tcase_add_test(tcase, options_parse_longest_name_is_taken);
	tcase_add_test(tcase, options_parse_help_looks_at_nothing_else);
	tcase_add_test(tcase, options_parse_too_many_repeats_are_refused);
	tcase_add_loop_test(tcase, options_parse_regular_expression_is_bounded,
			    0, sizeof(bombs) / sizeof(bombs[0]));
	tcase_add_test(tcase, options_parse_deep_regular_expression_is_refused);
	tcase_add_loop_test(tcase,
			    options_parse_usual_regular_expression_is_taken, 0,
			    sizeof(expressions) / sizeof(expressions[0]));
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
