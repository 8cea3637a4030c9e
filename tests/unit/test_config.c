/*
 * Config files: what they may say, who wins, what is refused and by which
 * words; and that a printed configuration gives the same machine.
 */
#include "vmm/config.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/option_table.h"
#include "vmm/option_value.h"
#include "vmm/options.h"

#define WORDS_MAX 24

static struct options options;
static struct error err;
static char dir[] = "/tmp/bantam-test-config-XXXXXX";
static char path[sizeof(dir) + 16];

static void setup(void)
{
	memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/vm.json", dir);
}

static void teardown(void)
{
	options_fini(&options);
	unlink(path);
	rmdir(path);
	rmdir(dir);
}

static void write_file(const char *text, size_t len)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(text, 1, len, file), len);
	ck_assert_int_eq(fclose(file), 0);
}

/* words: NULL-terminated. */
static int parse_into(struct options *out, const char *const *words)
{
	char *argv[WORDS_MAX] = {NULL};
	int argc = 0, rc;

	for (; words[argc]; argc++)
		argv[argc] = strdup(words[argc]);
	err.text[0] = '\0';
	rc = options_parse(out, argc, argv, &err);
	while (argc)
		free(argv[--argc]);
	return rc;
}

#define PARSE(...) \
	parse_into(&options, (const char *const[]){__VA_ARGS__, NULL})

/* The file alone. */
static int parse_file(const char *text)
{
	write_file(text, strlen(text));
	return PARSE("--config", path);
}

static char *print(const struct options *from)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	ck_assert_msg(config_print(from, out, &err) == 0, "%s", err.text);
	fclose(out);
	return text;
}

static void assert_list_eq(const struct options_list *a,
			   const struct options_list *b)
{
	ck_assert_uint_eq(a->count, b->count);
	for (size_t i = 0; i < a->count; i++)
		ck_assert_str_eq(a->items[i], b->items[i]);
}

static void assert_common_eq(const struct virtio_common_options *a,
			     const struct virtio_common_options *b)
{
	ck_assert_uint_eq(a->transport, b->transport);
	ck_assert_uint_eq(a->slot, b->slot);
	ck_assert_int_eq(a->packed, b->packed);
}

static void assert_disks_eq(const struct options_disks *a,
			    const struct options_disks *b)
{
	ck_assert_uint_eq(a->count, b->count);
	for (size_t i = 0; i < a->count; i++) {
		assert_common_eq(&a->items[i].common, &b->items[i].common);
		ck_assert_pstr_eq(a->items[i].file, b->items[i].file);
		ck_assert_int_eq(a->items[i].ro, b->items[i].ro);
		ck_assert_int_eq(a->items[i].ephemeral, b->items[i].ephemeral);
		ck_assert_int_eq(a->items[i].direct, b->items[i].direct);
		ck_assert_pstr_eq(a->items[i].serial, b->items[i].serial);
		ck_assert_uint_eq(a->items[i].queues, b->items[i].queues);
	}
}

static void assert_nets_eq(const struct options_nets *a,
			   const struct options_nets *b)
{
	ck_assert_uint_eq(a->count, b->count);
	for (size_t i = 0; i < a->count; i++) {
		const struct virtio_net_options *x = &a->items[i];
		const struct virtio_net_options *y = &b->items[i];

		assert_common_eq(&x->common, &y->common);
		ck_assert_uint_eq(x->kind, y->kind);
		ck_assert_pstr_eq(x->tap, y->tap);
		ck_assert_pstr_eq(x->mac, y->mac);
		ck_assert_uint_eq(x->mtu, y->mtu);
		ck_assert_uint_eq(x->queues, y->queues);
		ck_assert_uint_eq(x->fwd.count, y->fwd.count);
		for (size_t j = 0; j < x->fwd.count; j++)
			ck_assert_str_eq(x->fwd.items[j], y->fwd.items[j]);
	}
}

static void assert_consoles_eq(const struct options_consoles *a,
			       const struct options_consoles *b)
{
	ck_assert_uint_eq(a->count, b->count);
	for (size_t i = 0; i < a->count; i++) {
		assert_common_eq(&a->items[i].common, &b->items[i].common);
		ck_assert_uint_eq(a->items[i].end.to, b->items[i].end.to);
		ck_assert_pstr_eq(a->items[i].end.file, b->items[i].end.file);
		ck_assert_pstr_eq(a->items[i].end.socket,
				  b->items[i].end.socket);
		ck_assert_pstr_eq(a->items[i].name, b->items[i].name);
	}
}

/* Member by member, but for config and print_config. */
static void assert_options_eq(const struct options *a, const struct options *b)
{
	ck_assert_pstr_eq(a->kernel, b->kernel);
	ck_assert_uint_eq(a->entry, b->entry);
	ck_assert_pstr_eq(a->initrd, b->initrd);
	ck_assert_pstr_eq(a->append, b->append);
	ck_assert_uint_eq(a->memory, b->memory);
	ck_assert_uint_eq(a->hugepages, b->hugepages);
	ck_assert_uint_eq(a->cpus, b->cpus);
	ck_assert_uint_eq(a->machine, b->machine);
	ck_assert_uint_eq(a->serial.to, b->serial.to);
	ck_assert_pstr_eq(a->serial.file, b->serial.file);
	ck_assert_pstr_eq(a->serial.socket, b->serial.socket);
	ck_assert_pstr_eq(a->name, b->name);
	assert_disks_eq(&a->disks, &b->disks);
	assert_nets_eq(&a->nets, &b->nets);
	assert_consoles_eq(&a->consoles, &b->consoles);
	ck_assert_uint_eq(a->rng_use, b->rng_use);
	assert_common_eq(&a->rng.common, &b->rng.common);
	ck_assert_pstr_eq(a->rng.source, b->rng.source);
	assert_list_eq(&a->expect, &b->expect);
	assert_list_eq(&a->fail_on, &b->fail_on);
	ck_assert_uint_eq(a->timeout, b->timeout);
	ck_assert_uint_eq(a->idle_timeout, b->idle_timeout);
	ck_assert_uint_eq(a->grace, b->grace);
	ck_assert_int_eq(a->no_reboot, b->no_reboot);
	ck_assert_pstr_eq(a->result, b->result);
	ck_assert_int_eq(a->dry_run, b->dry_run);
	ck_assert_uint_eq(a->log, b->log);
	ck_assert_int_eq(a->help, b->help);
}

/* --- Reading ---------------------------------------------------------------
 */

START_TEST(config_read_values_and_objects_are_taken)
{
	ck_assert_msg(
		parse_file("{\"kernel\": {\"file\": \"a,b\","
			   " \"entry\": \"pvh\"},"
			   "\"memory\": {\"size\": \"512M\","
			   " \"hugepages\": \"2M\"},"
			   "\"cpus\": 2, \"expect\": [\"x,y\", \"z\"],"
			   "\"serial\": {\"file\": \"out\"},"
			   "\"no-reboot\": true, \"grace\": \"500ms\"}") == 0,
		"%s", err.text);
	ck_assert_str_eq(options.kernel, "a,b");
	ck_assert_uint_eq(options.entry, ARCH_ENTRY_PVH);
	ck_assert_uint_eq(options.memory, 512u << 20);
	ck_assert_uint_eq(options.hugepages, 2u << 20);
	ck_assert_uint_eq(options.cpus, 2);
	ck_assert_uint_eq(options.expect.count, 2);
	ck_assert_str_eq(options.expect.items[0], "x,y");
	ck_assert_str_eq(options.expect.items[1], "z");
	ck_assert_uint_eq(options.serial.to, OPTIONS_TO_FILE);
	ck_assert_str_eq(options.serial.file, "out");
	ck_assert(options.no_reboot);
	ck_assert_uint_eq(options.grace, 500000000);
}
END_TEST

START_TEST(config_read_plain_values_leave_the_defaults)
{
	ck_assert_int_eq(parse_file("{\"kernel\": \"k\", \"memory\": \"1G\","
				    "\"expect\": [], \"no-reboot\": false}"),
			 0);
	ck_assert_str_eq(options.kernel, "k");
	ck_assert_uint_eq(options.memory, 1u << 30);
	ck_assert_uint_eq(options.cpus, 1);
	ck_assert_uint_eq(options.expect.count, 0);
	ck_assert_uint_eq(options.grace, UINT64_C(5000000000));
}
END_TEST

static const char config_full[] =
	"{\"kernel\": {\"file\": \"a\", \"entry\": \"pvh\"},"
	"\"memory\": {\"size\": \"512M\", \"hugepages\": \"2M\"},"
	"\"serial\": {\"file\": \"out\"}, \"expect\": [\"a\", \"b\"],"
	"\"fail-on\": [\"c\"], \"no-reboot\": true, \"name\": \"n\"}";

START_TEST(options_parse_words_win_over_the_file_key_by_key)
{
	write_file(config_full, strlen(config_full));
	/* Also when they stand before it. */
	ck_assert_int_eq(PARSE("other", "-m", "1G", "--config", path,
			       "--expect", "x", "--no-reboot=off", "--serial",
			       "null"),
			 0);
	ck_assert_str_eq(options.kernel, "other");
	ck_assert_uint_eq(options.entry, ARCH_ENTRY_PVH);
	ck_assert_uint_eq(options.memory, 1u << 30);
	ck_assert_uint_eq(options.hugepages, 2u << 20);
	ck_assert_uint_eq(options.serial.to, OPTIONS_TO_NULL);
	ck_assert_ptr_null(options.serial.file);
	ck_assert_uint_eq(options.expect.count, 1);
	ck_assert_str_eq(options.expect.items[0], "x");
	ck_assert_uint_eq(options.fail_on.count, 1);
	ck_assert(!options.no_reboot);
	ck_assert_str_eq(options.name, "n");
}
END_TEST

START_TEST(options_parse_serial_file_wins_over_a_choice_of_the_file)
{
	static const char text[] = "{\"kernel\": \"k\", \"serial\": \"null\"}";

	write_file(text, strlen(text));
	ck_assert_int_eq(PARSE("--config", path, "--serial", "file=x"), 0);
	ck_assert_uint_eq(options.serial.to, OPTIONS_TO_FILE);
	ck_assert_str_eq(options.serial.file, "x");
}
END_TEST

/* --- Refusing --------------------------------------------------------------
 */

/* Files that are refused, and what the line must say besides the file. */
static const struct {
	const char *text;
	const char *names[4];
} wrong[] = {
	{"", {"JSON", "line 1"}},
	{"{\"cpus\": 1", {"JSON", "line 1"}},
	{"{} {}", {"JSON"}},
	{"[]", {"an object of options", "an array"}},
	{"\"kernel\"", {"JSON", "'{' expected"}},
	{"{\"kernle\": \"k\"}", {"unknown option \"kernle\"", "help run"}},
	{"{\"\": 1}", {"unknown option \"\""}},
	{"{\"k\": \"vmlinuz\"}", {"unknown option \"k\""}},
	{"{\"cpus\": 1, \"cpus\": 2}", {"duplicate", "cpus"}},
	{"{\"kernel\": {\"file\": \"a\", \"file\": \"b\"}}",
	 {"duplicate", "file"}},
	{"{\"kernel\": null}", {"kernel: expected a string", "found null"}},
	{"{\"kernel\": [\"a\"]}", {"kernel: expected", "an array"}},
	{"{\"kernel\": \"\"}", {"kernel: expected text", "\"\""}},
	{"{\"kernel\": \"a\\u0000b\"}", {"JSON", "NUL"}},
	{"{\"kernel\": \"\xff\"}", {"JSON", "decode byte 0xff"}},
	{"{\"kernel\": {\"fiel\": \"a\"}}",
	 {"kernel: unknown key \"fiel\"", "file, entry"}},
	{"{\"kernel\": {\"file\": \"a\", \"entry\": \"elf\"}}",
	 {"kernel.entry: expected auto|bzimage|pvh|multiboot",
	  "found \"elf\""}},
	{"{\"kernel\": {\"file\": {\"file\": \"a\"}}}",
	 {"kernel: expected a string", "found an object"}},
	{"{\"cpus\": \"2\"}",
	 {"cpus: expected a number from 1 to 64", "the string \"2\""}},
	{"{\"cpus\": 2.0}", {"cpus: expected a number", "a fraction"}},
	{"{\"cpus\": 0}", {"cpus: expected a number", "\"0\""}},
	{"{\"cpus\": -1}", {"cpus: expected a number", "\"-1\""}},
	{"{\"cpus\": 18446744073709551617}", {"JSON", "big integer"}},
	{"{\"cpus\": {\"n\": 1}}", {"cpus: expected", "an object"}},
	{"{\"memory\": 512}",
	 {"memory: expected a string", "512M", "the number 512"}},
	{"{\"memory\": \"31M\"}", {"memory: expected a size from 32M"}},
	{"{\"memory\": {\"size\": \"1G\", \"hugepages\": \"4K\"}}",
	 {"memory.hugepages: expected 2M|1G", "\"4K\""}},
	{"{\"memory\": {\"hugepages\": true}}",
	 {"memory.hugepages: expected a string: 2M|1G", "found true"}},
	{"{\"serial\": {\"to\": \"stdio\", \"file\": \"x\"}}",
	 {"serial.file", "twice"}},
	{"{\"no-reboot\": \"on\"}",
	 {"no-reboot: expected true or false", "the string \"on\""}},
	{"{\"no-reboot\": 1}", {"no-reboot: expected true", "number 1"}},
	{"{\"expect\": \"x\"}", {"expect: expected an array", "\"x\""}},
	{"{\"expect\": [\"x\", 5]}",
	 {"expect[1]: expected a string", "the number 5"}},
	{"{\"expect\": [\"x\", \"y\", \"a(\"]}", {"expect[2]", "\"a(\": "}},
	{"{\"expect\": [[\"x\"]]}", {"expect[0]", "an array"}},
	{"{\"name\": \"a/b\"}", {"name: expected 1 to 64 letters"}},
	{"{\"config\": \"x\"}", {"config", "command line only"}},
	{"{\"print-config\": true}", {"print-config", "command line only"}},
	{"{\"timeout\": 5}", {"timeout: expected a string", "number 5"}},
	{"{\"disk\": \"a\"}", {"disk: expected an array", "\"a\""}},
	{"{\"disk\": [\"a\", {\"ro\": true}]}",
	 {"disk[1]: expected text", "found none"}},
	{"{\"net\": [{}]}", {"net[0]: expected user|tap=NAME", "none"}},
	{"{\"net\": [{\"to\": \"user\", \"fwd\": \"1:1\"}]}",
	 {"net[0].fwd: expected an array of strings", "\"1:1\""}},
	{"{\"net\": [{\"to\": \"user\", \"fwd\": [\"1:1\", 2]}]}",
	 {"net[0].fwd: expected an array of strings", "the number 2"}},
	{"{\"rng\": false}", {"rng: expected a string: off|on", "false"}},
};

START_TEST(config_read_wrong_file_is_refused_by_name)
{
	ck_assert_int_eq(parse_file(wrong[_i].text), -EINVAL);
	ck_assert_msg(strstr(err.text, path), "\"%s\" does not name the file",
		      err.text);
	for (unsigned int i = 0; i < 4 && wrong[_i].names[i]; i++)
		ck_assert_msg(strstr(err.text, wrong[_i].names[i]),
			      "\"%s\" does not say %s", err.text,
			      wrong[_i].names[i]);
	ck_assert_ptr_null(strchr(err.text, '\n'));
}
END_TEST

START_TEST(config_read_deep_file_is_refused)
{
	static char text[100000];

	memset(text, '[', sizeof(text));
	write_file(text, sizeof(text));
	ck_assert_int_eq(PARSE("--config", path), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "depth"));
}
END_TEST

START_TEST(config_read_file_of_the_largest_size_is_taken)
{
	static const char text[] = "{\"kernel\": \"k\"}";
	char *big = malloc(CONFIG_SIZE_MAX + 1);

	memset(big, ' ', CONFIG_SIZE_MAX + 1);
	memcpy(big, text, strlen(text));
	write_file(big, CONFIG_SIZE_MAX);
	ck_assert_int_eq(PARSE("--config", path), 0);
	options_fini(&options);
	write_file(big, CONFIG_SIZE_MAX + 1);
	ck_assert_int_eq(PARSE("--config", path), -EFBIG);
	ck_assert_ptr_nonnull(strstr(err.text, path));
	ck_assert_ptr_nonnull(strstr(err.text, "1048576"));
	free(big);
}
END_TEST

START_TEST(config_read_what_is_no_file_is_refused)
{
	ck_assert_int_eq(PARSE("--config", path), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, path));
	options_fini(&options);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(PARSE("--config", path), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "pipe"));
	options_fini(&options);
	unlink(path);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(PARSE("--config", path), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "a directory"));
}
END_TEST

/* --- Printing --------------------------------------------------------------
 */

START_TEST(config_print_defaults_and_what_is_set)
{
	char *text;

	ck_assert_int_eq(PARSE("vmlinuz", "--expect", "a", "-d", "a,ro"), 0);
	text = print(&options);
	ck_assert_str_eq(text, "{\n"
			       "  \"kernel\": {\n"
			       "    \"file\": \"vmlinuz\",\n"
			       "    \"entry\": \"auto\"\n"
			       "  },\n"
			       "  \"memory\": \"256M\",\n"
			       "  \"cpus\": 1,\n"
			       "  \"machine\": \"auto\",\n"
			       "  \"serial\": \"stdio\",\n"
			       "  \"disk\": [\n"
			       "    {\n"
			       "      \"file\": \"a\",\n"
			       "      \"ro\": true,\n"
			       "      \"ephemeral\": false,\n"
			       "      \"direct\": false,\n"
			       "      \"queues\": 1,\n"
			       "      \"transport\": \"pci\",\n"
			       "      \"packed\": false,\n"
			       "      \"restart\": true\n"
			       "    }\n"
			       "  ],\n"
			       "  \"rng\": {\n"
			       "    \"use\": \"on\",\n"
			       "    \"transport\": \"pci\",\n"
			       "    \"packed\": false,\n"
			       "    \"restart\": true\n"
			       "  },\n"
			       "  \"sandbox\": \"on\",\n"
			       "  \"expect\": [\n"
			       "    \"a\"\n"
			       "  ],\n"
			       "  \"grace\": \"5s\",\n"
			       "  \"no-reboot\": false,\n"
			       "  \"dry-run\": false,\n"
			       "  \"log\": \"warn\"\n"
			       "}\n");
	free(text);
}
END_TEST

/* Machines that are printed and read back. */
static const char *const machines[][WORDS_MAX] = {
	{"vmlinuz"},
	{"-k", "a,,b=c,entry=multiboot", "-i", "dir/\"i\"", "-a",
	 "a=b,c \"d\\e\"\tf", "-m", "3G,hugepages=1G", "-c", "64", "--machine",
	 "lean", "--serial", "file=x y,,z"},
	{"k", "--serial", "socket=./x,,y"},
	{"k", "--serial", "null", "--append", "", "--memory", "33M", "--name",
	 "n", "--result", "r.json", "--log", "debug", "--dry-run"},
	{"k", "--expect", "a,b\\.", "--expect", "[\"\\\\]", "--fail-on",
	 "\xc3\xa4", "--timeout", "90s", "--idle-timeout", "1ms", "--grace",
	 "0s", "--no-reboot"},
	{"k", "--timeout", "5m", "--idle-timeout", "1500ms", "--serial",
	 "stdio", "--grace", "366m"},
	{"k", "--print-config", "--memory", "65536K"},
	{"k", "-d", "a,,b,ro,serial=x,slot=5", "-d", "c,packed,queues=2", "-n",
	 "user,fwd=1:2,fwd=[::1]:3:4,mtu=9000", "-n",
	 "tap=t,transport=mmio,mac=52:54:00:00:00:01", "--console",
	 "stdio,packed", "--console", "file=f,,g,name=n", "--console",
	 "socket=s", "--rng", "source=/dev/hwrng,slot=3"},
	{"k", "--rng", "off", "--console", "null"},
};

START_TEST(config_print_read_back_is_the_same_machine)
{
	struct options again;
	char *first, *second;

	ck_assert_int_eq(parse_into(&options, machines[_i]), 0);
	first = print(&options);
	write_file(first, strlen(first));
	ck_assert_msg(parse_into(&again, (const char *const[]){"--config", path,
							       NULL}) == 0,
		      "%s", err.text);
	second = print(&again);
	ck_assert_str_eq(first, second);
	assert_options_eq(&options, &again);
	free(first);
	free(second);
	options_fini(&again);
}
END_TEST

START_TEST(config_print_text_that_json_cannot_hold_is_refused)
{
	FILE *out = fopen("/dev/null", "w");

	ck_assert_int_eq(PARSE("-k", "a\xff"), 0);
	ck_assert_int_eq(config_print(&options, out, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "--kernel"));
	ck_assert_ptr_nonnull(strstr(err.text, "UTF-8"));
	fclose(out);
}
END_TEST

START_TEST(config_print_full_device_is_an_error)
{
	FILE *out = fopen("/dev/full", "w");

	ck_assert_int_eq(PARSE("k"), 0);
	ck_assert_int_lt(config_print(&options, out, &err), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "--print-config"));
	fclose(out);
}
END_TEST

/* --- Words and files -------------------------------------------------------
 */

/* A value that the key takes and that is not its default. */
static const char *sample(const struct option_key *key)
{
	switch (key->type) {
	case OPTION_TEXT:
	case OPTION_FILE:
	case OPTION_NAME:
	case OPTION_REGEX:
		return "sample";
	case OPTION_NUMBER:
		return key->min > 3 ? "70" : "3";
	case OPTION_SIZE:
		return "2G";
	case OPTION_TIME:
		return "7s";
	case OPTION_PAGE:
		return key->choices[0];
	case OPTION_CHOICE:
		for (size_t i = 1; key->choices[i]; i++)
			if (*key->choices[i])
				return key->choices[i];
		return key->choices[0];
	case OPTION_FLAG:
		return "on";
	case OPTION_TEXTS:
		return "sample";
	case OPTION_TYPES:
		break;
	}
	return NULL;
}

/* What stands around a value in JSON. */
static const char *const forms[][2] = {
	[OPTION_FORM_TEXT] = {"\"", "\""},
	[OPTION_FORM_NUMBER] = {"", ""},
	[OPTION_FORM_FLAG] = {"", ""},
	[OPTION_FORM_TEXTS] = {"[\"", "\"]"},
};

/* The main key in front of another, where it has to be given. */
static void sample_main(const struct option *option,
			const struct option_key *key, char word[64],
			char text[64])
{
	const struct option_key *main_key = option->keys;
	bool needed = option->size || !strcmp(option->name, "kernel");

	*word = *text = '\0';
	if (key == main_key || key->alternative || !needed)
		return;
	snprintf(word, 64, "%s=%s,", main_key->name, sample(main_key));
	snprintf(text, 64, "\"%s\": \"%s\", ", main_key->name,
		 sample(main_key));
}

/* The same key by a word and by a file, for every row of the table. */
START_TEST(config_read_takes_whatever_the_words_take)
{
	const struct option *option = &option_table[_i];
	bool kernel = !strcmp(option->name, "kernel");
	struct options words;
	char word[128], text[256], value[64], with[64], with_json[64];

	if (option->words_only)
		return;
	for (size_t i = 0; i < option->key_count; i++) {
		const struct option_key *key = &option->keys[i];
		const char *const *form = forms[option_value_form(key)];

		sample_main(option, key, with, with_json);
		snprintf(word, sizeof(word), "--%s=%s%s%s%s", option->name,
			 with, key->name ? key->name : "", key->name ? "=" : "",
			 sample(key));
		snprintf(value, sizeof(value), "%s%s%s", form[0],
			 key->type == OPTION_FLAG ? "true" : sample(key),
			 form[1]);
		snprintf(text, sizeof(text),
			 key->name	? option->size
						  ? "{\"%s\": [{%s\"%s\": %s}]%s}"
						  : "{\"%s\": {%s\"%s\": %s}%s}"
			 : option->size ? "{\"%s\": [%s%s%s]%s}"
					: "{\"%s\": %s%s%s%s}",
			 option->name, with_json, key->name ? key->name : "",
			 value, kernel ? "" : ", \"kernel\": \"k\"");
		write_file(text, strlen(text));
		ck_assert_msg(PARSE("--config", path) == 0, "%s: %s", text,
			      err.text);
		ck_assert_msg(parse_into(&words,
					 (const char *const[]){
						 word, kernel ? NULL : "k",
						 NULL}) == 0,
			      "%s: %s", word, err.text);
		assert_options_eq(&options, &words);
		options_fini(&words);
		options_fini(&options);
	}
}
END_TEST

static Suite *config_suite(void)
{
	Suite *suite = suite_create("config");
	TCase *tcase = tcase_create("config");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, config_read_values_and_objects_are_taken);
	tcase_add_test(tcase, config_read_plain_values_leave_the_defaults);
	tcase_add_test(tcase, options_parse_words_win_over_the_file_key_by_key);
	tcase_add_test(
		tcase,
		options_parse_serial_file_wins_over_a_choice_of_the_file);
	tcase_add_loop_test(tcase, config_read_wrong_file_is_refused_by_name, 0,
			    sizeof(wrong) / sizeof(wrong[0]));
	tcase_add_test(tcase, config_read_deep_file_is_refused);
	tcase_add_test(tcase, config_read_file_of_the_largest_size_is_taken);
	tcase_add_test(tcase, config_read_what_is_no_file_is_refused);
	tcase_add_test(tcase, config_print_defaults_and_what_is_set);
	tcase_add_loop_test(tcase, config_print_read_back_is_the_same_machine,
			    0, sizeof(machines) / sizeof(machines[0]));
	tcase_add_test(tcase,
		       config_print_text_that_json_cannot_hold_is_refused);
	tcase_add_test(tcase, config_print_full_device_is_an_error);
	tcase_add_loop_test(tcase, config_read_takes_whatever_the_words_take, 0,
			    (int)option_table_count);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(config_suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
