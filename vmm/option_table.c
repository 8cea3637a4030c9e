/*
 * The options of a machine: rows, and how to find one.
 */
#include "vmm/option_table.h"

#include <string.h>

#include "pci/bus.h"
#include "vmm/arch.h"
#include "vmm/base/log.h"
#include "vmm/option_number.h"
#include "vmm/options.h"

#define TABLE_MEMORY_MIN (UINT64_C(32) << 20)
#define TABLE_MEMORY_MAX (UINT64_C(64) << 30)
#define TABLE_TIME_MAX	 (366 * 24 * 3600 * OPTION_NS_PER_S)

#define TABLE_AT(member) .offset = offsetof(struct options, member)
#define TABLE_KEYS(array) \
	.keys = (array), .key_count = sizeof(array) / sizeof((array)[0])
#define TABLE_LIST(member)                        \
	.list = offsetof(struct options, member), \
	.size = sizeof(((struct options *)0)->member.items[0])

static const char *const table_entries[] = {
	[ARCH_ENTRY_AUTO] = "auto",
	[ARCH_ENTRY_BZIMAGE] = "bzimage",
	[ARCH_ENTRY_PVH] = "pvh",
	[ARCH_ENTRY_MULTIBOOT] = "multiboot",
	NULL,
};

/* What is empty here is chosen by a key of its own, or left out. */
static const char *const table_ends[] = {
	[OPTIONS_TO_UNSAID] = "",   [OPTIONS_TO_STDIO] = "stdio",
	[OPTIONS_TO_FILE] = "",	    [OPTIONS_TO_SOCKET] = "",
	[OPTIONS_TO_NULL] = "null", NULL,
};

static const char *const table_nets[] = {
	[VIRTIO_NET_TAP] = "",
	[VIRTIO_NET_USER] = "user",
	NULL,
};

static const char *const table_rngs[] = {
	[OPTIONS_RNG_OFF] = "off",
	[OPTIONS_RNG_ON] = "on",
	NULL,
};

static const char *const table_transports[] = {
	[VIRTIO_TRANSPORT_PCI] = "pci",
	[VIRTIO_TRANSPORT_MMIO] = "mmio",
	NULL,
};

/* The first is for a device's key, and cannot be written. */
static const char *const table_sandboxes[] = {
	[VIRTIO_SANDBOX_UNSAID] = "",
	[VIRTIO_SANDBOX_ON] = "on",
	[VIRTIO_SANDBOX_OFF] = "off",
	[VIRTIO_SANDBOX_LOG] = "log",
	NULL,
};

static const char *const table_levels[] = {
	[LOG_ERROR] = "error",
	[LOG_WARN] = "warn",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
	NULL,
};

static const char *const table_pages[] = {"2M", "1G", NULL};

static const struct option_key table_kernel[] = {
	{
		.name = "file",
		.value = "FILE",
		.type = OPTION_FILE,
		TABLE_AT(kernel),
	},
	{
		.name = "entry",
		.type = OPTION_CHOICE,
		TABLE_AT(entry),
		.choices = table_entries,
		.preset = "auto",
		.help = "how it is entered; bzimage keeps the guest's KASLR",
	},
};

static const struct option_key table_initrd[] = {
	{.value = "FILE", .type = OPTION_FILE, TABLE_AT(initrd)},
};

static const struct option_key table_append[] = {
	{.value = "TEXT", .type = OPTION_TEXT, TABLE_AT(append)},
};

static const struct option_key table_memory[] = {
	{
		.name = "size",
		.value = "SIZE",
		.type = OPTION_SIZE,
		TABLE_AT(memory),
		.min = TABLE_MEMORY_MIN,
		.max = TABLE_MEMORY_MAX,
		.preset = "256M",
	},
	{
		.name = "hugepages",
		.type = OPTION_PAGE,
		TABLE_AT(hugepages),
		.choices = table_pages,
		.help = "take it from the host's huge pages of that size",
	},
};

static const struct option_key table_cpus[] = {
	{
		.value = "N",
		.type = OPTION_NUMBER,
		TABLE_AT(cpus),
		.min = 1,
		.max = ARCH_CPUS_MAX,
		.preset = "1",
	},
};

static const struct option_key table_machine[] = {
	{
		.type = OPTION_CHOICE,
		TABLE_AT(machine),
		.choices = arch_profile_names,
		.preset = "auto",
	},
};

/* Where a port leads to: the keys of a struct options_end in a record. */
/* NOLINTBEGIN(bugprone-macro-parentheses): a type and a member's name */
#define TABLE_END(record, end)                                               \
	{                                                                    \
		.name = "to",                                                \
		.type = OPTION_CHOICE,                                       \
		.offset = offsetof(record, end.to),                          \
		.choices = table_ends,                                       \
	},                                                                   \
		{                                                            \
			.name = "file",                                      \
			.value = "FILE",                                     \
			.type = OPTION_FILE,                                 \
			.offset = offsetof(record, end.file),                \
			.alternative = true,                                 \
			.choice = OPTIONS_TO_FILE,                           \
			.help = "to this file; what was in it is lost",      \
		},                                                           \
	{                                                                    \
		.name = "socket", .value = "PATH", .type = OPTION_FILE,      \
		.offset = offsetof(record, end.socket), .alternative = true, \
		.choice = OPTIONS_TO_SOCKET,                                 \
		.help = "to a Unix socket that is made there, for one "      \
			"client at a time",                                  \
	}
/* NOLINTEND(bugprone-macro-parentheses) */

static const struct option_key table_serial[] = {
	TABLE_END(struct options, serial),
};

/* What every device has, in the member of a record that is its common. */
/* NOLINTBEGIN(bugprone-macro-parentheses): a type and a member's name */
#define TABLE_COMMON(record, member)                                                 \
	{                                                                            \
		.name = "transport",                                                 \
		.type = OPTION_CHOICE,                                               \
		.offset = offsetof(record, member.transport),                        \
		.choices = table_transports,                                         \
		.preset = "pci",                                                     \
		.help = "how the guest finds it",                                    \
	},                                                                           \
		{                                                                    \
			.name = "slot",                                              \
			.value = "N",                                                \
			.type = OPTION_NUMBER,                                       \
			.offset = offsetof(record, member.slot),                     \
			.min = 1,                                                    \
			.max = PCI_BUS_SLOTS - 1,                                    \
			.help = "its place on the PCI bus; without, the first that " \
				"is free",                                           \
		},                                                                   \
		{                                                                    \
			.name = "packed",                                            \
			.type = OPTION_FLAG,                                         \
			.offset = offsetof(record, member.packed),                   \
			.help = "offer packed virtqueues",                           \
		},                                                                   \
		{                                                                    \
			.name = "sandbox",                                           \
			.type = OPTION_CHOICE,                                       \
			.offset = offsetof(record, member.sandbox),                  \
			.choices = table_sandboxes,                                  \
			.help = "as --sandbox, for this device",                     \
		},                                                                   \
	{                                                                            \
		.name = "restart", .type = OPTION_FLAG,                              \
		.offset = offsetof(record, member.restart), .preset = "on",          \
		.help = "start a process of its own again when it died, or look "    \
			"for a --vhost-user backend again",                          \
	}
/* NOLINTEND(bugprone-macro-parentheses) */

#define TABLE_DISK(member) \
	.offset = offsetof(struct virtio_block_options, member)

static const struct option_key table_disk[] = {
	{
		.name = "file",
		.value = "FILE",
		.type = OPTION_FILE,
		TABLE_DISK(file),
	},
	{
		.name = "ro",
		.type = OPTION_FLAG,
		TABLE_DISK(ro),
		.help = "the guest may not write",
	},
	{
		.name = "ephemeral",
		.type = OPTION_FLAG,
		TABLE_DISK(ephemeral),
		.help = "what the guest writes is gone at the end",
	},
	{
		.name = "direct",
		.type = OPTION_FLAG,
		TABLE_DISK(direct),
		.help = "bypass the host's page cache",
	},
	{
		.name = "serial",
		.value = "TEXT",
		.type = OPTION_TEXT,
		TABLE_DISK(serial),
		.help = "serial number, at most 20 bytes",
	},
	{
		.name = "queues",
		.value = "N",
		.type = OPTION_NUMBER,
		TABLE_DISK(queues),
		.min = 1,
		.max = 16,
		.preset = "1",
		.help = "number of request queues",
	},
	TABLE_COMMON(struct virtio_block_options, common),
};

#define TABLE_NET(member) .offset = offsetof(struct virtio_net_options, member)

static const struct option_key table_net[] = {
	{
		.name = "to",
		.type = OPTION_CHOICE,
		TABLE_NET(kind),
		.choices = table_nets,
	},
	{
		.name = "tap",
		.value = "NAME",
		.type = OPTION_TEXT,
		TABLE_NET(tap),
		.alternative = true,
		.choice = VIRTIO_NET_TAP,
		.help = "by this tap interface of the host",
	},
	{
		.name = "mac",
		.value = "ADDRESS",
		.type = OPTION_TEXT,
		TABLE_NET(mac),
		.help = "hardware address, such as 52:54:00:12:34:56; without, "
			"one is made up",
	},
	{
		.name = "mtu",
		.value = "BYTES",
		.type = OPTION_NUMBER,
		TABLE_NET(mtu),
		.min = 68,
		.max = 65535,
		.help = "the largest packet, as the guest is told",
	},
	{
		.name = "queues",
		.value = "N",
		.type = OPTION_NUMBER,
		TABLE_NET(queues),
		.min = 1,
		.max = 8,
		.preset = "1",
		.help = "number of queue pairs",
	},
	{
		.name = "fwd",
		.value = "[HOST:]PORT:PORT",
		.type = OPTION_TEXTS,
		TABLE_NET(fwd),
		.help = "with user: lead this port of the host to that of the "
			"guest",
	},
	TABLE_COMMON(struct virtio_net_options, common),
};

#define TABLE_CONSOLE(member) .offset = offsetof(struct options_console, member)

static const struct option_key table_console[] = {
	TABLE_END(struct options_console, end),
	{
		.name = "name",
		.value = "TEXT",
		.type = OPTION_TEXT,
		TABLE_CONSOLE(name),
		.help = "not a terminal but a port of this name, "
			"/dev/virtio-ports/TEXT",
	},
	TABLE_COMMON(struct options_console, common),
};

static const struct option_key table_rng[] = {
	{
		.name = "use",
		.type = OPTION_CHOICE,
		TABLE_AT(rng_use),
		.choices = table_rngs,
		.preset = "on",
	},
	{
		.name = "source",
		.value = "FILE",
		.type = OPTION_FILE,
		TABLE_AT(rng.source),
		.help = "from this file or device instead of the host's kernel",
	},
	TABLE_COMMON(struct options, rng.common),
};

#define TABLE_VHOST(member) \
	.offset = offsetof(struct virtio_vhost_options, member)

static const struct option_key table_vhost_user[] = {
	{
		.name = "type",
		.value = "TYPE",
		.type = OPTION_TEXT,
		TABLE_VHOST(type),
	},
	{
		.name = "socket",
		.value = "PATH",
		.type = OPTION_FILE,
		TABLE_VHOST(socket),
		.help = "where the backend listens",
	},
	{
		.name = "tag",
		.value = "TEXT",
		.type = OPTION_TEXT,
		TABLE_VHOST(tag),
		.help = "fs: by which the guest mounts it",
	},
	{
		.name = "mac",
		.value = "ADDRESS",
		.type = OPTION_TEXT,
		TABLE_VHOST(mac),
		.help = "net: the guest's address (default: one is made up)",
	},
	{
		.name = "queues",
		.value = "N",
		.type = OPTION_NUMBER,
		TABLE_VHOST(queues),
		.min = 1,
		.max = 16,
		.preset = "1",
		.help = "number of request queues (block, fs) or queue pairs (net)",
	},
	TABLE_COMMON(struct virtio_vhost_options, common),
};

static const struct option_key table_sandbox[] = {
	{
		.type = OPTION_CHOICE,
		TABLE_AT(sandbox),
		.choices = table_sandboxes,
		.preset = "on",
	},
};

static const struct option_key table_socket[] = {
	{.value = "PATH", .type = OPTION_FILE, TABLE_AT(device_socket)},
};

static const struct option_key table_fd[] = {
	{
		.value = "N",
		.type = OPTION_NUMBER,
		TABLE_AT(device_fd),
		.min = 3,
		.max = INT32_MAX,
	},
};

static const struct option_key table_name[] = {
	{.value = "NAME", .type = OPTION_NAME, TABLE_AT(name)},
};

static const struct option_key table_regex[] = {
	{.value = "REGEX", .type = OPTION_REGEX, .offset = 0},
};

static const struct option_key table_timeout[] = {
	{
		.value = "TIME",
		.type = OPTION_TIME,
		TABLE_AT(timeout),
		.min = OPTION_NS_PER_MS,
		.max = TABLE_TIME_MAX,
	},
};

static const struct option_key table_idle_timeout[] = {
	{
		.value = "TIME",
		.type = OPTION_TIME,
		TABLE_AT(idle_timeout),
		.min = OPTION_NS_PER_MS,
		.max = TABLE_TIME_MAX,
	},
};

static const struct option_key table_grace[] = {
	{
		.value = "TIME",
		.type = OPTION_TIME,
		TABLE_AT(grace),
		.max = TABLE_TIME_MAX,
		.preset = "5s",
	},
};

static const struct option_key table_no_reboot[] = {
	{.type = OPTION_FLAG, TABLE_AT(no_reboot)},
};

static const struct option_key table_result[] = {
	{.value = "FILE", .type = OPTION_FILE, TABLE_AT(result)},
};

static const struct option_key table_dry_run[] = {
	{.type = OPTION_FLAG, TABLE_AT(dry_run)},
};

static const struct option_key table_config[] = {
	{.value = "FILE", .type = OPTION_FILE, TABLE_AT(config)},
};

static const struct option_key table_print_config[] = {
	{.type = OPTION_FLAG, TABLE_AT(print_config)},
};

static const struct option_key table_log[] = {
	{
		.type = OPTION_CHOICE,
		TABLE_AT(log),
		.choices = table_levels,
		.preset = "warn",
	},
};

static const struct option_key table_help[] = {
	{.type = OPTION_FLAG, TABLE_AT(help)},
};

const struct option option_table[] = {
	{
		.name = "kernel",
		.letter = 'k',
		TABLE_KEYS(table_kernel),
		.help = "the kernel: bzImage, vmlinux, PVH or Multiboot; also "
			"the argument without an option",
	},
	{
		.name = "initrd",
		.letter = 'i',
		TABLE_KEYS(table_initrd),
		.help = "the initial RAM disk or Multiboot module",
	},
	{
		.name = "append",
		.letter = 'a',
		TABLE_KEYS(table_append),
		.raw = true,
		.help = "the kernel's command line",
		.manual = "When it has no\n.Ql console= ,\n"
			  "one for the device that leads to stdio is added.",
	},
	{
		.name = "memory",
		.letter = 'm',
		TABLE_KEYS(table_memory),
		.help = "guest memory",
	},
	{
		.name = "cpus",
		.letter = 'c',
		TABLE_KEYS(table_cpus),
		.help = "number of vCPUs",
	},
	{
		.name = "machine",
		TABLE_KEYS(table_machine),
		.help = "what hardware the guest finds; auto: by the kernel",
		.manual = "On x86_64: the lean machine has hardware-reduced "
			  "ACPI\nand no PIC, PIT or PM timer;\nthe legacy one "
			  "has what a guest that expects a PC looks for.\n"
			  "On aarch64: the kernel finds the hardware by a "
			  "device tree\n(dt, the default), or by ACPI tables,\n"
			  "by which it finds no real-time clock.",
	},
	{
		.name = "serial",
		TABLE_KEYS(table_serial),
		.help = "where the serial port leads to; stdio, unless a "
			"console does",
		.manual = "A socket has mode 0600;\n"
			  "one that a dead process left is replaced.\n"
			  "A second client is turned away.\n"
			  "What is printed while nobody is connected, or "
			  "faster than is read,\nis dropped and counted.",
	},
	{
		.name = "disk",
		.letter = 'd',
		TABLE_KEYS(table_disk),
		TABLE_LIST(disks),
		.use = OPTION_OF_BOTH,
		.help = "a disk: a raw image or a block device",
		.manual = "The image stays locked while the machine runs.",
	},
	{
		.name = "net",
		.letter = 'n',
		TABLE_KEYS(table_net),
		TABLE_LIST(nets),
		.use = OPTION_OF_BOTH,
		.help = "a network card; user: by passt, without privileges",
	},
	{
		.name = "console",
		TABLE_KEYS(table_console),
		TABLE_LIST(consoles),
		.help = "a virtio console; of several, each is a port of one "
			"device",
		.manual = "With\n.Ql stdio\n"
			  "the serial port leads nowhere, unless it is asked "
			  "for.\n"
			  "What every device has is said with the first.",
	},
	{
		.name = "rng",
		TABLE_KEYS(table_rng),
		.bare = "on",
		.use = OPTION_OF_BOTH,
		.help = "a source of random numbers",
	},
	{
		.name = "vhost-user",
		TABLE_KEYS(table_vhost_user),
		TABLE_LIST(vhost_users),
		.help = "a device that another program serves: block, console, "
			"fs, net or rng",
		.manual = "The program listens on the socket, and gets the "
			  "guest's memory.\n"
			  "When it ends, or is silent for a second, it is "
			  "looked for there again.\n"
			  "Until it is found, the guest's requests wait.\n"
			  "The device fails if nobody can know what it had in "
			  "hand, as with fs.",
	},
	{
		.name = "sandbox",
		TABLE_KEYS(table_sandbox),
		.help = "run each device in a jailed process of its own",
		.manual = "With\n.Ql log\n"
			  "a system call that a device is not expected to make "
			  "is reported and goes on.\n"
			  "With\n.Ql off\n"
			  "the devices run in the machine's own process.",
	},
	{
		.name = "socket",
		TABLE_KEYS(table_socket),
		.use = OPTION_OF_DEVICE,
		.words_only = true,
		.help = "with the verb device: listen at this path",
	},
	{
		.name = "fd",
		TABLE_KEYS(table_fd),
		.use = OPTION_OF_DEVICE,
		.words_only = true,
		.help = "with the verb device: serve whoever is connected to "
			"this descriptor",
	},
	{
		.name = "name",
		TABLE_KEYS(table_name),
		.help = "give the machine a name and with it a control socket",
		.manual = "It is 1 to 64 letters, digits,\n"
			  ".Ql - ,\n.Ql _\nand\n.Ql \\&. ,\n"
			  "and begins with a letter or digit.\n"
			  "A socket that a dead machine left is replaced; that "
			  "of a live one is an error.",
	},
	{
		.name = "expect",
		TABLE_KEYS(table_regex),
		TABLE_LIST(expect),
		.raw = true,
		.help = "end with status 0 when a line of output matches; "
			"status 123 if the guest ends before",
		.manual = "It is an extended regular expression, as of "
			  "grep -E;\n"
			  "of several, one that matches is enough.",
	},
	{
		.name = "fail-on",
		TABLE_KEYS(table_regex),
		TABLE_LIST(fail_on),
		.raw = true,
		.help = "end with status 123 when a line of output matches",
	},
	{
		.name = "timeout",
		TABLE_KEYS(table_timeout),
		.help = "end the machine after this time, status 124",
	},
	{
		.name = "idle-timeout",
		TABLE_KEYS(table_idle_timeout),
		.help = "end it when it has printed nothing for this time, "
			"status 124",
	},
	{
		.name = "grace",
		TABLE_KEYS(table_grace),
		.help = "time from the power button to the stop",
	},
	{
		.name = "no-reboot",
		TABLE_KEYS(table_no_reboot),
		.help = "a guest that resets ends, status 122",
	},
	{
		.name = "result",
		TABLE_KEYS(table_result),
		.help = "write how it ended, and when, to this file as JSON",
	},
	{
		.name = "dry-run",
		TABLE_KEYS(table_dry_run),
		.help = "check all that can be checked and start nothing",
	},
	{
		.name = "config",
		TABLE_KEYS(table_config),
		.words_only = true,
		.help = "take options from this file, JSON; those of the "
			"command line win",
		.manual = "See\n.Sx CONFIGURATION FILE .",
	},
	{
		.name = "print-config",
		TABLE_KEYS(table_print_config),
		.words_only = true,
		.help = "print the resulting configuration, for --config, and "
			"start nothing",
	},
	{
		.name = "log",
		TABLE_KEYS(table_log),
		.use = OPTION_OF_BOTH,
		.help = "how much bantam itself says on stderr",
	},
	{
		.name = "help",
		.letter = 'h',
		TABLE_KEYS(table_help),
		.use = OPTION_OF_BOTH,
		.words_only = true,
		.help = "show this",
	},
};

const size_t option_table_count =
	sizeof(option_table) / sizeof(option_table[0]);

/* Is text these len bytes, which a caller may have cut out of more? */
static bool table_is(const char *text, const char *name, size_t len)
{
	return strlen(text) == len && !memcmp(text, name, len);
}

bool option_is_of(const struct option *option, bool device)
{
	return option->use == OPTION_OF_BOTH ||
	       (option->use == OPTION_OF_DEVICE) == device;
}

const struct option *option_find(const char *name, size_t len)
{
	for (size_t i = 0; i < option_table_count; i++)
		if (table_is(option_table[i].name, name, len))
			return &option_table[i];
	return NULL;
}

const struct option *option_find_letter(char letter)
{
	for (size_t i = 0; letter && i < option_table_count; i++)
		if (option_table[i].letter == letter)
			return &option_table[i];
	return NULL;
}

const struct option_key *option_find_key(const struct option *option,
					 const char *name, size_t len)
{
	for (size_t i = 0; i < option->key_count; i++)
		if (option->keys[i].name &&
		    table_is(option->keys[i].name, name, len))
			return &option->keys[i];
	return NULL;
}
