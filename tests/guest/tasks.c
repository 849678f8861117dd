/* SPDX-License-Identifier: MIT */
/*
 * What /proc/self says of threads and limits: the program's own, and nobody else's; what prctl(2)
 * switches for the process.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* The number after `key` in the text. */
static long field(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at ? strtol(at + strlen(key), NULL, 10) : -1;
}

/* Entries of a directory that are numbers; whether these two are among them. */
static void show_tasks(DIR *directory, const pid_t wanted[2])
{
	struct dirent *entry;
	int count = 0, found = 0;

	rewinddir(directory);
	while ((entry = readdir(directory))) {
		const int number = atoi(entry->d_name);

		count += number > 0;
		found += number == wanted[0] || number == wanted[1];
	}
	show("threads listed: %d, of which known: %d", count, found);
}

static void show_links(int fd)
{
	struct stat status;
	struct statx extended;

	show("stat: %d", stat("/proc/self/task", &status));
	show("  %ld links", (long)status.st_nlink);
	fstat(fd, &status);
	show("  of the descriptor %ld", (long)status.st_nlink);
	statx(AT_FDCWD, "/proc/thread-self/../../task", 0, STATX_BASIC_STATS, &extended);
	show("  by statx %ld", (long)extended.stx_nlink);
}

/* What stands in status and stat of one thread. */
static void show_task(pid_t tid, const char *file, const char *path)
{
	show("%s: name %.5s, its number %d", file, strstr(read_text(path), "Name:") + 6,
	     field(read_text(path), "\nPid:") == tid);
}

struct other_task {
	pthread_barrier_t barrier;
	pid_t tid;
};

static void *be_a_task(void *argument)
{
	struct other_task *other = argument;

	other->tid = gettid();
	pthread_setname_np(pthread_self(), "other");
	pthread_barrier_wait(&other->barrier);
	show("status of the process: its own %d, threads %ld",
	     field(read_text("/proc/self/status"), "\nPid:") == getpid(),
	     field(read_text("/proc/thread-self/status"), "\nThreads:"));
	pthread_barrier_wait(&other->barrier);
	pthread_barrier_wait(&other->barrier);
	return NULL;
}

/* Numbers near the process's, where threads that are not the program's would be: none is there. */
static void show_neighbours(const struct other_task *other)
{
	int found = 0;

	for (pid_t tid = getpid() + 1; tid < getpid() + 40; tid++) {
		char path[64], link[8];
		int fd;

		if (tid == other->tid)
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
		fd = open(path, O_RDONLY);
		found += fd >= 0;
		if (fd >= 0)
			close(fd);
		found += access(path, F_OK) == 0;
		snprintf(path, sizeof(path), "/proc/self/task/%d/exe", tid);
		found += readlink(path, link, sizeof(link)) > 0;
	}
	show("threads of nobody: %d", found);
}

static void case_tasks(void)
{
	DIR *directory = opendir("/proc/self/task");
	struct other_task other = {0};
	const int copy = directory ? dup(dirfd(directory)) : -1;
	DIR *again = fdopendir(copy);
	pthread_t thread;
	char path[64];

	if (!directory || !again || pthread_barrier_init(&other.barrier, NULL, 2))
		guest_die("/proc/self/task");
	show_tasks(directory, (const pid_t[2]){getpid(), -1});
	show_links(copy);
	if (pthread_create(&thread, NULL, be_a_task, &other))
		guest_die("pthread_create");
	pthread_barrier_wait(&other.barrier);
	pthread_barrier_wait(&other.barrier);
	show_tasks(again, (const pid_t[2]){getpid(), other.tid});
	show_links(copy);
	snprintf(path, sizeof(path), "/proc/%d/status", getpid());
	show_task(getpid(), "of the first", path);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", getpid(), other.tid);
	show_task(other.tid, "of the other by both numbers", path);
	snprintf(path, sizeof(path), "/proc/self/task/%d/status", other.tid);
	show_task(other.tid, "of the other by self", path);
	snprintf(path, sizeof(path), "/proc/%d/status", other.tid);
	show_task(other.tid, "of the other by its own number", path);
	show_neighbours(&other);
	snprintf(path, sizeof(path), "%d/status", other.tid);
	show("in the directory: %d", openat(copy, path, O_RDONLY) >= 0);
	show("no number: %s", answer(openat(copy, "nothing", O_RDONLY)));
	pthread_barrier_wait(&other.barrier);
	pthread_join(thread, NULL);
	closedir(directory);
	closedir(again);
}

static void show_limits(int resource, const char *name, rlim_t soft, rlim_t hard)
{
	const struct rlimit limit = {soft, hard};
	const char *line;

	show("%s: %s", name, answer(setrlimit(resource, &limit)));
	line = strstr(read_text("/proc/self/limits"), name);
	show("%.*s", line ? (int)strcspn(line, "\n") : 0, line ? line : "");
}

static void case_limits(void)
{
	show("%.*s", (int)strcspn(read_text("/proc/self/limits"), "\n"),
	     read_text("/proc/self/limits"));
	show_limits(RLIMIT_NOFILE, "Max open files", 100, 200);
	show_limits(RLIMIT_AS, "Max address space", (rlim_t)1 << 40, RLIM_INFINITY);
	show_limits(RLIMIT_DATA, "Max data size", (rlim_t)1 << 39, (rlim_t)1 << 41);
	show_limits(RLIMIT_STACK, "Max stack size", 12345678, RLIM_INFINITY);
	show_limits(RLIMIT_MEMLOCK, "Max locked memory", 65536, 1 << 20);
	show_limits(RLIMIT_FSIZE, "Max file size", 123456789, 987654321);
	show_limits(RLIMIT_CORE, "Max core file size", 0, 0);
	show_limits(RLIMIT_AS, "Max address space", RLIM_INFINITY, RLIM_INFINITY);
}

static void case_large_pages(void)
{
	show("large pages are off: %s", answer(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0)));
	show("off: %s", answer(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)));
	show("they are off: %s", answer(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0)));
	show("on: %s", answer(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0)));
	show("they are off: %s", answer(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0)));
	show("one argument too many: %s", answer(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 1)));
}

int main(int argc, char **argv)
{
	static const struct guest_case cases[] = {
		{"tasks", case_tasks},
		{"limits", case_limits},
		{"large_pages", case_large_pages},
		{NULL, NULL},
	};

	return guest_main(argc, argv, cases);
}
