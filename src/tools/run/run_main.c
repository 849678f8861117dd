/* SPDX-License-Identifier: MIT */
/*
 * `quire run`: finds the program as execvp(3) does, and runs it.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/run/run_options.h"
#include "tools/subcommand.h"

/* As env(1) and nice(1) say it. */
enum {
	EXIT_CANNOT_EXECUTE = 126,
	EXIT_NOT_FOUND = 127,
};

#define WHY_BYTES 512
#define DEFAULT_PATH "/bin:/usr/bin"

static bool is_executable(const char *path)
{
	struct stat status;

	if (stat(path, &status) != 0)
		return false;
	if (S_ISREG(status.st_mode) && access(path, X_OK) == 0)
		return true;
	errno = EACCES;
	return false;
}

/*
 * The file that `name` means: itself when it has a slash, else the first one in PATH that can be
 * executed. NULL with errno: EACCES when one was found that cannot, else ENOENT. `found` has room
 * for PATH_MAX bytes.
 */
static const char *find_program(const char *name, char *found)
{
	const char *path = getenv("PATH");
	int error = ENOENT;

	if (strchr(name, '/'))
		return name;
	if (!path)
		path = DEFAULT_PATH;
	for (const char *at = path; *name; at++) {
		const int length = (int)strcspn(at, ":");
		/* An empty name is the present directory. */
		const char *slash = length ? "/" : "";

		if (snprintf(found, PATH_MAX, "%.*s%s%s", length, at, slash, name) < PATH_MAX) {
			if (is_executable(found))
				return found;
			if (errno == EACCES)
				error = EACCES;
		}
		at += length;
		if (!*at)
			break;
	}
	errno = error;
	return NULL;
}

/* A file without a format that is known is a script of the shell, as execvp(3) has it. Returns only
 * on failure, as run_program(). */
static int run_by_shell(struct run *run, const char *path, char **argv, char *why)
{
	size_t nr = 0;
	char **shell_argv;
	int error;

	while (argv[nr])
		nr++;
	shell_argv = calloc(nr + 2, sizeof(*shell_argv));
	if (!shell_argv)
		return -ENOMEM;
	shell_argv[0] = (char *)"/bin/sh";
	shell_argv[1] = (char *)path;
	memcpy(shell_argv + 2, argv + 1, (nr - 1) * sizeof(*argv));
	error = run_program(run, "/bin/sh", shell_argv, environ, why, WHY_BYTES);
	free(shell_argv);
	return error;
}

static int start(struct run *run, char **argv)
{
	char found[PATH_MAX];
	char why[WHY_BYTES];
	const char *path = find_program(argv[0], found);
	int error;

	if (!path) {
		error = -errno;
		snprintf(why, sizeof(why), "%s: %s", argv[0], strerror(errno));
	} else {
		error = run_program(run, path, argv, environ, why, sizeof(why));
		if (error == -ENOEXEC && path == found)
			error = run_by_shell(run, path, argv, why);
	}
	fprintf(stderr, "quire run: %s\n", why);
	return error == -ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE;
}

static bool means_missing(int error)
{
	switch (error) {
	case -ENOENT:
	case -EACCES:
	case -EPERM:
	case -ENODEV:
	case -EOPNOTSUPP:
	case -EBUSY:
		return true;
	default:
		return false;
	}
}

int run_main(int argc, char **argv)
{
	struct run_command command;
	char why[WHY_BYTES];
	struct run *run;
	int status = run_command_read(&command, argc, argv);

	if (status == 0) {
		int error = run_create(&command.options, &run, why, sizeof(why));

		if (error) {
			fprintf(stderr, "quire run: %s\n", why);
			status = means_missing(error) ? QUIRE_EXIT_MISSING : QUIRE_EXIT_FAILED;
		} else {
			status = start(run, command.argv);
			run_destroy(run);
		}
	}
	run_command_release(&command);
	return status;
}
