/*
 * Runs commands in turn and compares how long they take:
 *
 *   compare [-n RUNS] [-u MARK] NAME COMMAND [ARG...] [-- NAME COMMAND ...]
 *
 * One round that does not count, then RUNS rounds of A B C, A B C, so that a
 * machine that grows slower does so for all. Prints minimum, median and
 * maximum of each and the median of its ratios to the first, round by round.
 *
 * Wall time is from fork to the end of the process or, with -u, to the line of
 * its output that begins with MARK; it is killed then. The number behind the
 * mark, the guest's own uptime in seconds, is printed as a second row, "own":
 * wall less uptime, which is the monitor's share.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/resource.h>
#include <sys/wait.h>

#define COMMANDS_MAX 6
#define RUNS_MAX     101
#define LINE_SIZE    4096

struct command {
	const char *name;
	char **argv; /* NULL-terminated */
	double wall[RUNS_MAX];
	double own[RUNS_MAX]; /* with a mark */
	long peak;	      /* KiB, of the largest run */
};

static const char *mark; /* NULL without */

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void die(const char *what)
{
	fprintf(stderr, "compare: %s: %s\n", what, strerror(errno));
	exit(2);
}

static pid_t start(const struct command *command, int *output)
{
	int pipes[2];
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC))
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, STDIN_FILENO);
		dup2(pipes[1], STDOUT_FILENO);
		if (command->argv[0])
			execvp(command->argv[0], command->argv);
		die(command->name);
	}
	close(pipes[1]);
	*output = pipes[0];
	return pid;
}

/* Read to the marked line, or the end. Return: the mark was there. */
static bool read_output(int output, double *uptime)
{
	char line[LINE_SIZE];
	FILE *file = fdopen(output, "r");
	bool found = false;

	while (!found && fgets(line, sizeof(line), file)) {
		if (mark && !strncmp(line, mark, strlen(mark))) {
			*uptime = strtod(line + strlen(mark), NULL);
			found = true;
		}
	}
	if (!found)
		fclose(file);
	/* With a mark the pipe stays open until the process is gone. */
	return found;
}

static void run(struct command *command, int round)
{
	struct rusage usage;
	double begin = now(), end, uptime = 0;
	int output, status;
	pid_t pid = start(command, &output);
	bool found = read_output(output, &uptime);

	end = now();
	if (found)
		kill(pid, SIGKILL);
	if (wait4(pid, &status, 0, &usage) < 0)
		die("wait4");
	if (mark && !found) {
		fprintf(stderr, "compare: %s ended without \"%s\"\n",
			command->name, mark);
		exit(2);
	}
	if (!mark) {
		end = now();
		if (!WIFEXITED(status)) {
			fprintf(stderr, "compare: %s died\n", command->name);
			exit(2);
		}
	}
	if (usage.ru_maxrss > command->peak)
		command->peak = usage.ru_maxrss;
	if (round < 0)
		return;
	command->wall[round] = end - begin;
	command->own[round] = end - begin - uptime;
}

static int compare_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(const double *values, int runs)
{
	double sorted[RUNS_MAX];

	memcpy(sorted, values, (size_t)runs * sizeof(*values));
	qsort(sorted, (size_t)runs, sizeof(*sorted), compare_double);
	return runs % 2 ? sorted[runs / 2]
			: (sorted[runs / 2 - 1] + sorted[runs / 2]) / 2;
}

static void print_row(const char *name, const char *what, const double *values,
		      const double *first, int runs)
{
	double ratios[RUNS_MAX] = {0}, low, high;

	low = high = values[0];
	for (int i = 0; i < runs; i++) {
		ratios[i] = values[i] / first[i];
		low = values[i] < low ? values[i] : low;
		high = values[i] > high ? values[i] : high;
	}
	printf("  %-18s %-5s %9.2f %9.2f %9.2f ms   x%.3f", name, what,
	       low * 1e3, median(values, runs) * 1e3, high * 1e3,
	       median(ratios, runs));
}

static void print(const struct command *commands, int count, int runs)
{
	printf("  %-18s %-5s %9s %9s %9s      ratio to %s\n", "", "", "min",
	       "median", "max", commands[0].name);
	for (int i = 0; i < count; i++) {
		print_row(commands[i].name, "wall", commands[i].wall,
			  commands[0].wall, runs);
		printf("   peak RSS %.1f MiB\n",
		       (double)commands[i].peak / 1024);
		if (!mark)
			continue;
		print_row(commands[i].name, "own", commands[i].own,
			  commands[0].own, runs);
		printf("\n");
	}
}

int main(int argc, char **argv)
{
	struct command commands[COMMANDS_MAX] = {{.name = NULL}};
	int count = 0, runs = 21, opt, at;
	bool complete = true; /* each has a command */

	while ((opt = getopt(argc, argv, "+n:u:")) != -1) {
		if (opt == 'n')
			runs = atoi(optarg);
		else if (opt == 'u')
			mark = optarg;
		else
			return 2;
	}
	for (at = optind; at + 1 < argc && count < COMMANDS_MAX; count++) {
		commands[count].name = argv[at++];
		commands[count].argv = &argv[at];
		while (at < argc && strcmp(argv[at], "--") != 0)
			at++;
		if (at < argc)
			argv[at++] = NULL;
		complete = complete && commands[count].argv[0];
	}
	if (!complete || !count || runs < 1 || runs > RUNS_MAX) {
		fprintf(stderr, "usage: compare [-n RUNS] [-u MARK] NAME "
				"COMMAND [ARG...] [-- NAME COMMAND...]\n");
		return 2;
	}
	for (int round = -1; round < runs; round++)
		for (int i = 0; i < count; i++)
			run(&commands[i], round);
	print(commands, count, runs);
	return 0;
}
