/*
 * The host, as `bantam doctor` sees it. What might change this process for good
 * (namespaces, a seccomp filter) is tried in a child.
 *
 * Reads /proc and /sys, which belong to the kernel. Manual pages: proc(5),
 * user_namespaces(7), seccomp(2), Documentation/admin-guide/mm/hugetlbpage.rst
 * and transhuge.rst of Linux.
 */
#include "vmm/doctor_host.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "vmm/arch.h"
#include "vmm/kvm.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* MiB of free memory below which the default guest of 256 MiB gets tight. */
#define DOCTOR_HOST_MEMORY 320

/* --- /dev/kvm ------------------------------------------------------------- */

/*
 * The group's name, to be freed; NULL if the file has none. Not by getgrgid(),
 * which loads what nsswitch.conf names, and a static program should not.
 */
static char *doctor_host_group(gid_t gid)
{
	FILE *file = fopen("/etc/group", "re");
	const struct group *group;
	char *name = NULL;

	if (!file)
		return NULL;
	while (!name && (group = fgetgrent(file)) != NULL) {
		if (group->gr_gid == gid)
			name = strdup(group->gr_name);
	}
	fclose(file);
	return name;
}

static void doctor_host_explain_access(int errnum,
				       struct check_finding *finding)
{
	struct stat st;
	char *group;

	check_found(finding, CHECK_FAIL, "user %u may not open " KVM_DEVICE,
		    (unsigned int)geteuid());
	if (stat(KVM_DEVICE, &st) < 0)
		return;
	if (errnum == EPERM) {
		/* Not its mode: the device rules of a control group. */
		check_fix(finding, "give the container that this runs in the "
				   "device (--device " KVM_DEVICE ")");
	} else if ((st.st_mode & 0060) == 0060 && st.st_gid != 0) {
		group = doctor_host_group(st.st_gid);
		check_fix(finding,
			  "add the user to the group %s (usermod -aG %s USER) "
			  "and log in again",
			  group ? group : "of the device",
			  group ? group : "GROUP");
		free(group);
	} else {
		check_fix(finding,
			  "as root, give it to a group (chgrp kvm " KVM_DEVICE
			  "; chmod 660 " KVM_DEVICE
			  ") and add the user to that (usermod -aG kvm "
			  "USER), then log in again: its mode is %03o",
			  (unsigned int)st.st_mode & 0777);
	}
}

void doctor_host_explain(int errnum, struct check_finding *finding)
{
	switch (errnum) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		check_found(finding, CHECK_FAIL, "there is no " KVM_DEVICE);
		check_fix(finding,
			  "%s; if this is a container, give it the device",
			  arch_kvm_hint());
		break;
	case EACCES:
	case EPERM:
		doctor_host_explain_access(errnum, finding);
		break;
	case EBUSY:
		check_found(finding, CHECK_FAIL,
			    "another hypervisor uses the CPU's virtualisation");
		check_fix(finding, "stop its machines and unload it");
		break;
	default:
		check_found(finding, CHECK_FAIL,
			    KVM_DEVICE " creates no machine: %s",
			    strerror(errnum));
		check_fix(finding, "look for KVM's messages in the kernel's "
				   "log (dmesg)");
		break;
	}
}

/* --- Memory --------------------------------------------------------------- */

/* The first line of a file, without its end. Return: 0 or -errno. */
static int doctor_host_read(const char *path, char *line, int size)
{
	FILE *file = fopen(path, "re");
	bool got;

	if (!file)
		return -errno;
	got = fgets(line, size, file) != NULL;
	fclose(file);
	if (!got)
		return -ENODATA;
	line[strcspn(line, "\n")] = '\0';
	return 0;
}

/* A file that holds a number; 0 if there is none. */
static unsigned long doctor_host_number(const char *path)
{
	char line[64];

	if (doctor_host_read(path, line, sizeof(line)))
		return 0;
	return strtoul(line, NULL, 10);
}

/* MemAvailable in MiB, or -errno. */
static long doctor_host_available(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	long kib = -ENODATA;
	char line[128];

	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file)) {
		if (!strncmp(line, "MemAvailable:", 13)) {
			kib = strtol(line + 13, NULL, 10);
			break;
		}
	}
	fclose(file);
	return kib < 0 ? kib : kib >> 10;
}

static void doctor_host_memory(int kvm_fd, struct check_finding *finding)
{
	long mib = doctor_host_available();

	(void)kvm_fd;
	if (mib < 0) {
		check_found(finding, CHECK_SKIP, "/proc/meminfo does not tell");
		return;
	}
	check_found(finding, mib < DOCTOR_HOST_MEMORY ? CHECK_WARN : CHECK_OK,
		    "%ld MiB are available to guests", mib);
	if (finding->status == CHECK_WARN)
		check_fix(finding, "end other programs, or give guests less "
				   "than the default of 256M (--memory)");
}

#define HUGEPAGES_2M "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"
#define HUGEPAGES_1G \
	"/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages"
#define SHMEM_ENABLED "/sys/kernel/mm/transparent_hugepage/shmem_enabled"

/* What is chosen in a file of words, the choice in brackets; or "unknown". */
static void doctor_host_choice(const char *path, char *word, size_t size)
{
	char line[128];
	const char *choice;

	snprintf(word, size, "unknown");
	if (doctor_host_read(path, line, sizeof(line)))
		return;
	choice = strchr(line, '[');
	if (choice)
		snprintf(word, size, "%.*s", (int)strcspn(choice + 1, "]"),
			 choice + 1);
}

/* Guest memory is a memfd: hugetlb pages on request, otherwise shmem's. */
static void doctor_host_huge_pages(int kvm_fd, struct check_finding *finding)
{
	unsigned long free_2m = doctor_host_number(HUGEPAGES_2M);
	unsigned long free_1g = doctor_host_number(HUGEPAGES_1G);
	char shmem[64];
	bool none;

	(void)kvm_fd;
	doctor_host_choice(SHMEM_ENABLED, shmem, sizeof(shmem));
	none = !strcmp(shmem, "unknown") || !strcmp(shmem, "never") ||
	       !strcmp(shmem, "deny");
	check_found(finding,
		    none && !free_2m && !free_1g ? CHECK_WARN : CHECK_OK,
		    "%lu free of 2 MiB and %lu of 1 GiB; transparent ones for "
		    "guest memory (shmem_enabled): %s",
		    free_2m, free_1g, shmem);
	if (finding->status == CHECK_WARN)
		check_fix(
			finding,
			"for faster guests, as root, echo advise >" SHMEM_ENABLED
			", or reserve some (sysctl vm.nr_hugepages=512) for "
			"--memory SIZE,hugepages=2M");
}

/* --- What a sandbox is made of -------------------------------------------- */

/*
 * Run a function in a child, whose exit status is what it returns, 0 to 255.
 * Return: that, or -errno.
 */
static int doctor_host_in_child(int (*run)(void))
{
	int status;
	pid_t pid;

	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		_exit(run());
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -ECHILD;
}

static int doctor_host_write(const char *path, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static int doctor_host_write(const char *path, const char *fmt, ...)
{
	char text[64];
	va_list args;
	int fd, len, ret = 0;

	va_start(args, fmt);
	len = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, (size_t)len) != len)
		ret = -EIO;
	close(fd);
	return ret;
}

struct doctor_host_namespace {
	const char *name;
	int flag; /* of unshare(2) */
};

/* The first one gives the right to the others. */
static const struct doctor_host_namespace doctor_host_spaces[] = {
	{"user", CLONE_NEWUSER}, {"pid", CLONE_NEWPID}, {"mount", CLONE_NEWNS},
	{"net", CLONE_NEWNET},	 {"ipc", CLONE_NEWIPC}, {"uts", CLONE_NEWUTS},
};

/* The bit behind those of the table: IDs could not be mapped. */
#define DOCTOR_HOST_MAPS COUNT_OF(doctor_host_spaces)
static_assert(COUNT_OF(doctor_host_spaces) < 8,
	      "what is missing fits an exit status");

/* user_namespaces(7): the own ID alone, and setgroups(2) given up before. */
static int doctor_host_map_ids(uid_t uid, gid_t gid)
{
	int ret = doctor_host_write("/proc/self/setgroups", "deny");

	if (!ret)
		ret = doctor_host_write("/proc/self/uid_map", "%u %u 1\n",
					(unsigned int)uid, (unsigned int)uid);
	if (!ret)
		ret = doctor_host_write("/proc/self/gid_map", "%u %u 1\n",
					(unsigned int)gid, (unsigned int)gid);
	return ret;
}

/* Return: a bit for each that is not to be had. */
static int doctor_host_unshare(void)
{
	const uid_t uid = geteuid();
	const gid_t gid = getegid();
	int missing = 0;

	for (size_t i = 0; i < COUNT_OF(doctor_host_spaces); i++) {
		if (unshare(doctor_host_spaces[i].flag) < 0)
			missing |= 1 << i;
		else if (doctor_host_spaces[i].flag == CLONE_NEWUSER &&
			 doctor_host_map_ids(uid, gid))
			missing |= 1 << DOCTOR_HOST_MAPS;
	}
	return missing;
}

static void doctor_host_fix_namespaces(struct check_finding *finding)
{
	char line[64];

	if (!doctor_host_number("/proc/sys/user/max_user_namespaces"))
		check_fix(finding, "as root, sysctl "
				   "user.max_user_namespaces=15000");
	else if (!doctor_host_read("/proc/sys/kernel/unprivileged_userns_clone",
				   line, sizeof(line)) &&
		 !strcmp(line, "0"))
		check_fix(finding, "as root, sysctl "
				   "kernel.unprivileged_userns_clone=1");
	else if (doctor_host_number("/proc/sys/kernel/"
				    "apparmor_restrict_unprivileged_userns"))
		check_fix(finding, "as root, sysctl kernel."
				   "apparmor_restrict_unprivileged_userns=0");
	else
		check_fix(finding, "if this is a container, let its seccomp "
				   "profile and capabilities allow them");
}

static void doctor_host_namespaces(int kvm_fd, struct check_finding *finding)
{
	char list[CHECK_TEXT_MAX / 2] = "";
	int missing = doctor_host_in_child(doctor_host_unshare);

	(void)kvm_fd;
	if (missing < 0) {
		check_found(finding, CHECK_SKIP, "no child process: %s",
			    strerror(-missing));
		return;
	}
	for (size_t i = 0; i < COUNT_OF(doctor_host_spaces); i++) {
		if (!missing || missing & 1 << i)
			check_list(list, sizeof(list), ", ", "%s",
				   doctor_host_spaces[i].name);
	}
	if (!missing) {
		check_found(finding, CHECK_OK,
			    "a process can have its own of %s, with its user "
			    "ID mapped",
			    list);
		return;
	}
	if (missing & 1 << DOCTOR_HOST_MAPS)
		check_list(list, sizeof(list), ", ", "user with IDs mapped");
	check_found(finding, CHECK_WARN,
		    "a process cannot have its own of %s, which sandboxed "
		    "devices want",
		    list);
	doctor_host_fix_namespaces(finding);
}

/* What getppid(2) fails with under the filter below; no error of its own. */
#define DOCTOR_HOST_ERRNO EOWNERDEAD

enum doctor_host_seccomp {
	DOCTOR_HOST_SECCOMP,
	DOCTOR_HOST_NO_NEW_PRIVS,
	DOCTOR_HOST_NO_FILTER,
	DOCTOR_HOST_NO_EFFECT,
	DOCTOR_HOST_SECCOMPS,
};

/* seccomp(2): a filter that lets everything but getppid pass. */
static int doctor_host_filter(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K,
			 SECCOMP_RET_ERRNO | DOCTOR_HOST_ERRNO),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {
		.len = COUNT_OF(code),
		.filter = code,
	};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return DOCTOR_HOST_NO_NEW_PRIVS;
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		return DOCTOR_HOST_NO_FILTER;
	if (syscall(SYS_getppid) >= 0 || errno != DOCTOR_HOST_ERRNO)
		return DOCTOR_HOST_NO_EFFECT;
	return DOCTOR_HOST_SECCOMP;
}

static void doctor_host_seccomp(int kvm_fd, struct check_finding *finding)
{
	static const char *const wrong[] = {
		[DOCTOR_HOST_NO_NEW_PRIVS] =
			"a process cannot give up new privileges",
		[DOCTOR_HOST_NO_FILTER] = "a process cannot set a filter",
		[DOCTOR_HOST_NO_EFFECT] = "a filter has no effect",
	};
	int found = doctor_host_in_child(doctor_host_filter);

	static_assert(COUNT_OF(wrong) == DOCTOR_HOST_SECCOMPS,
		      "each has its words");
	(void)kvm_fd;
	if (found == DOCTOR_HOST_SECCOMP) {
		check_found(finding, CHECK_OK,
			    "a filter of system calls works, and so does "
			    "no_new_privs");
	} else if (found < 0 || found >= DOCTOR_HOST_SECCOMPS) {
		check_found(finding, CHECK_SKIP, "no child process");
	} else {
		check_found(finding, CHECK_WARN,
			    "%s, which sandboxed devices want", wrong[found]);
		check_fix(finding, "use a kernel with CONFIG_SECCOMP_FILTER; "
				   "if this is a container, let it allow "
				   "seccomp");
	}
}

/* --- Tools ---------------------------------------------------------------- */

/* Where in PATH a program is. Return: whether it is. */
static bool doctor_host_find(const char *name, char *path, size_t size)
{
	const char *dir = getenv("PATH");
	size_t len;

	for (; dir && *dir; dir += len + (dir[len] == ':')) {
		len = strcspn(dir, ":");
		/* An empty entry is the working directory. */
		snprintf(path, size, "%.*s/%s", len ? (int)len : 1,
			 len ? dir : ".", name);
		if (!access(path, X_OK))
			return true;
	}
	return false;
}

static void doctor_host_passt(int kvm_fd, struct check_finding *finding)
{
	char path[256];

	(void)kvm_fd;
	if (doctor_host_find("passt", path, sizeof(path))) {
		check_found(finding, CHECK_OK, "%s", path);
		return;
	}
	check_found(finding, CHECK_WARN,
		    "there is none in PATH, and so no network without "
		    "privileges");
	check_fix(finding, "install it (apt-get install passt)");
}

static const struct check doctor_host_table[] = {
	{"memory", false, doctor_host_memory},
	{"huge pages", false, doctor_host_huge_pages},
	{"namespaces", false, doctor_host_namespaces},
	{"seccomp", false, doctor_host_seccomp},
	{"passt", false, doctor_host_passt},
};

const struct check *doctor_host_checks(size_t *count)
{
	*count = COUNT_OF(doctor_host_table);
	return doctor_host_table;
}
