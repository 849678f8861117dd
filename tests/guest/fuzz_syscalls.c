/* SPDX-License-Identifier: MIT */
/*
 * Random system calls: fuzz_syscalls SEED COUNT THREADS makes COUNT calls in each thread, with
 * arguments chosen from what is likely to hurt: bad addresses, edges of mappings, huge lengths,
 * closed descriptors. It prints one line at its end; getting there is all that it shows. Threads
 * share memory and descriptors. Called with a fourth argument it names each call.
 *
 * It may be started by root, so calls that reach beyond the present directory, which is to be an
 * empty one, are left out: those that act on other processes, on the system, on memory outside its
 * own playground, or on how it ends. Root's file system is that directory; anybody else may do
 * little harm elsewhere. Descriptors 0 to 2 are files of its own, and no file grows beyond a
 * megabyte. Timers interrupt what waits.
 */
#define _GNU_SOURCE
#include "fuzz_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ul
#define PLAYGROUND (64 * PAGE)
#define FENCE (16ul << 20) /* on both sides of it, so that no long transfer hits what is beyond */
#define FILE_MOST (1 << 20)
#define TIMER_US 5000
#define THREADS_MOST 8
#define TALK 900 /* descriptor that the program speaks through */
#define HOME 901 /* its directory */

static _Thread_local uint64_t state;
static char *playground;
static const char zeros[PAGE] __attribute__((aligned(4096)));

static uint64_t next_random(void)
{
	uint64_t mixed = state += 0x9e3779b97f4a7c15;

	mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
	mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
	return mixed ^ mixed >> 31;
}

static uint64_t below(uint64_t limit)
{
	return next_random() % limit;
}

#define PICK(list) ((list)[below(sizeof(list) / sizeof((list)[0]))])

static uint64_t any_length(void)
{
	static const uint64_t lengths[] = {
		0,          1,          2,          3,          8,          16,         24,
		64,         128,        255,        256,        1024,       PAGE - 1,   PAGE,
		PAGE + 1,   3 * PAGE,   1 << 16,    1 << 20,    1 << 21,    0x7fffffff, 0x80000000,
		0xffffffff, 1ull << 32, 1ull << 47, 1ull << 62, 1ull << 63, -PAGE,      -1ull,
	};

	return below(4) ? below(300) : PICK(lengths);
}

static uint64_t any_pointer(void)
{
	static const uint64_t bad[] = {
		0,
		1,
		PAGE,
		0x7ffffffff000,
		0x800000000000,
		1ull << 63,
		0xffff800000000000,
		0xffffffffff600000,
		-PAGE,
		-8ull,
	};
	uint64_t page = (uint64_t)playground + below(64) * PAGE;

	switch (below(10)) {
	case 0:
		return PICK(bad);
	case 1:
		return page + PAGE - below(64);
	case 2:
		return page + below(PAGE);
	case 3:
		return (uint64_t)zeros + below(PAGE);
	case 4:
		return next_random();
	default:
		return page + below(16) * 64;
	}
}

static uint64_t any_descriptor(void)
{
	static const int descriptors[] = {-1, -100, 60, 99, 1023, 20000, 49152, 49153, 0x7fffffff};

	return below(5) ? below(24) : (uint64_t)PICK(descriptors);
}

/* Names stand at the starts of pages, where random calls may overwrite them. */
static uint64_t any_name(void)
{
	static const char *const names[] = {"a", "b", "c", "dir", "dir/a", ".", "link", ""};

	return below(8) ? (uint64_t)PICK(names) : (uint64_t)zeros;
}

static uint64_t any_argument(void)
{
	switch (below(8)) {
	case 0:
	case 1:
	case 2:
		return any_pointer();
	case 3:
		return any_descriptor();
	case 4:
		return any_length();
	case 5:
		return below(40);
	case 6:
		return 1ull << below(64);
	default:
		return next_random();
	}
}

/* Commands that name other processes or signals are none of these. */
static uint64_t any_fcntl(void)
{
	static const int commands[] = {F_DUPFD,
				       F_GETFD,
				       F_SETFD,
				       F_GETFL,
				       F_SETLK,
				       F_GETLK,
				       F_SETLKW,
				       F_OFD_SETLK,
				       F_OFD_GETLK,
				       F_OFD_SETLKW,
				       F_DUPFD_CLOEXEC,
				       F_SETPIPE_SZ,
				       F_GETPIPE_SZ,
				       F_ADD_SEALS,
				       F_GET_SEALS,
				       F_GETOWN_EX,
				       F_GETLEASE,
				       F_GETSIG,
				       17,
				       1035,
				       1036,
				       1037,
				       1038,
				       9999};

	return (uint64_t)PICK(commands);
}

static uint64_t any_ioctl(void)
{
	static const uint32_t requests[] = {
		0x5401,     0x5413,     0x541b,     0x5421,     0x5450,     0x5451, 0x5452,
		0x80086601, 0xc020660b, 0x8912,     0x8910,     0x8913,     0x8933, 0x1260,
		0x80081272, 2,          0x40049409, 0x4020940d, 0xc0189436, 0x8904, 0x8905,
		0x80045430, 0x5403,     0x12345678, 0,
	};

	return PICK(requests);
}

/* What stands after the playground is not the program's to lose. */
static void stay_in_playground(uint64_t args[6])
{
	uint64_t start = (uint64_t)playground;

	args[0] = start + below(64) * PAGE + (below(8) ? 0 : below(PAGE));
	args[1] = below(start + PLAYGROUND - args[0] + 1);
}

static void fit_to_call(long number, uint64_t args[6])
{
	switch (number) {
	case SYS_munmap:
	case SYS_mprotect:
	case SYS_pkey_mprotect:
	case SYS_madvise:
	case SYS_remap_file_pages:
	case SYS_mlock:
	case SYS_mlock2:
		stay_in_playground(args);
		break;
	case SYS_mmap:
		stay_in_playground(args);
		args[2] = below(8);
		args[3] =
			1 + below(3) + (below(2) ? MAP_ANONYMOUS : 0) + (below(2) ? MAP_FIXED : 0);
		args[4] = any_descriptor();
		break;
	case SYS_mremap:
		stay_in_playground(args);
		args[2] = below(8 * PAGE);
		args[3] &= MREMAP_MAYMOVE;
		break;
	case SYS_fcntl:
		args[0] = any_descriptor();
		args[1] = any_fcntl();
		break;
	case SYS_ioctl:
		args[0] = any_descriptor();
		args[1] = any_ioctl();
		args[2] = below(2) ? any_pointer() : below(24);
		break;
	case SYS_socket:
	case SYS_socketpair:
		args[0] = below(3);
		args[1] = below(6);
		args[2] = 0;
		break;
	case SYS_close_range:
		args[1] = below(100);
		break;
	case SYS_ppoll:
		args[3] = below(2) ? (uint64_t)zeros : PAGE;
		break;
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
		args[4] = below(2) ? (uint64_t)zeros : PAGE;
		break;
	case SYS_pselect6:
		args[5] = below(2) ? (uint64_t)zeros : PAGE;
		break;
	case SYS_process_vm_readv:
		args[0] = below(2) ? (uint64_t)getpid() : 0x7fffffff;
		break;
	case SYS_fallocate:
		args[2] = below(FILE_MOST);
		args[3] = below(FILE_MOST);
		break;
	case SYS_timer_settime:
	case SYS_timer_delete:
		args[0] = 0x7fffffff;
		break;
	default:
		break;
	}
}

static long make_call(bool verbose)
{
	uint64_t args[6];
	long number;

	do
		number = below(200) ? (long)below(CALLS) : (long)next_random();
	while (is_left_out(number));
	for (int i = 0; i < 6; i++)
		args[i] = any_argument();
	if (takes_names(number) || takes_directory(number)) {
		int name = takes_directory(number);

		if (name)
			args[0] = below(4) ? (uint64_t)AT_FDCWD : any_descriptor();
		for (; name < 5; name++)
			if (below(3))
				args[name] = any_name();
	} else if (below(2)) {
		args[0] = any_descriptor();
	}
	fit_to_call(number, args);
	if (verbose)
		dprintf(TALK, "%ld(%#lx, %#lx, %#lx, %#lx, %#lx, %#lx)\n", number, args[0], args[1],
			args[2], args[3], args[4], args[5]);
	return syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]);
}

/* The playground: anonymous memory with holes, read-only and inaccessible pages in it. */
static void build_playground(void)
{
	uint64_t words[PAGE / 8];
	const struct iovec from = {words, sizeof(words)};

	if (!playground) {
		char *room = mmap(NULL, PLAYGROUND + 2 * FENCE, PROT_NONE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		playground = room + FENCE;
	}
	if (mmap(playground, PLAYGROUND, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != playground)
		_exit(2);
	/* By a call, since another thread may unmap it meanwhile. */
	for (int page = 0; page < 32; page++) {
		for (unsigned int i = 0; i < PAGE / 8; i++)
			words[i] = below(4) ? below(64) : any_pointer();
		process_vm_writev(getpid(), &from, 1,
				  &(struct iovec){playground + page * PAGE, PAGE}, 1, 0);
	}
	mprotect(playground + 40 * PAGE, PAGE, PROT_READ);
	mprotect(playground + 44 * PAGE, PAGE, PROT_NONE);
	munmap(playground + 48 * PAGE, PAGE);
}

/* Descriptors 0 to 23: files, a directory, pipes, sockets and the like; some numbers are closed. */
static void open_descriptors(void)
{
	int pair[2];

	close_range(0, TALK - 1, 0);
	/* Calls may have gone elsewhere, and forbidden everything. */
	umask(0);
	if (fchmod(HOME, 0777) || fchdir(HOME) || open("own-0", O_RDWR | O_CREAT, 0666) < 0 ||
	    open("own-1", O_RDWR | O_CREAT | O_NONBLOCK, 0666) < 0)
		_exit(3);
	close(open("a", O_RDWR | O_CREAT, 0666));
	(void)!dup(0);
	(void)!ftruncate(0, 5 * PAGE);
	mkdir("dir", 0777);
	open(".", O_RDONLY | O_DIRECTORY);
	open("dir", O_PATH);
	(void)!pipe(pair);
	(void)!pipe2(pair, O_NONBLOCK);
	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair);
	socket(AF_INET, SOCK_DGRAM, 0);
	epoll_create1(0);
	eventfd(3, 0);
	memfd_create("object", MFD_ALLOW_SEALING);
	syscall(SYS_timerfd_create, 1, 0);
	syscall(SYS_inotify_init1, O_NONBLOCK);
}

static void interrupt(int signal)
{
	(void)signal;
}

/* The calling thread is interrupted all the time. */
static void start_timer(void)
{
	const struct itimerspec often = {{0, TIMER_US * 1000}, {0, TIMER_US * 1000}};
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM};
	timer_t timer;

	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &often, NULL))
		_exit(4);
}

struct work {
	pthread_t thread;
	uint64_t seed;
	long count;
	long failed; /* out: how many calls answered an error */
	bool first;  /* builds what all use */
	bool verbose;
};

static void *make_calls(void *argument)
{
	struct work *work = argument;

	state = work->seed;
	start_timer();
	for (long i = 0; i < work->count; i++) {
		if (work->first && i % 64 == 0) {
			build_playground();
			open_descriptors();
		}
		work->failed += make_call(work->verbose) == -1;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	const struct rlimit file_size = {FILE_MOST, FILE_MOST};
	const struct sigaction action = {.sa_handler = interrupt};
	const long threads = argc > 3 ? atol(argv[3]) : 1;
	struct work work[THREADS_MOST] = {0};
	long failed = 0, count = argc > 2 ? atol(argv[2]) : 1000;

	if (dup2(1, TALK) != TALK || dup2(open(".", O_RDONLY), HOME) != HOME ||
	    setrlimit(RLIMIT_FSIZE, &file_size) || signal(SIGXFSZ, SIG_IGN) == SIG_ERR ||
	    signal(SIGPIPE, SIG_IGN) == SIG_ERR || signal(SIGIO, SIG_IGN) == SIG_ERR ||
	    sigaction(SIGALRM, &action, NULL) || threads < 1 || threads > THREADS_MOST)
		return 1;
	/* A path made of chance may begin with a slash. */
	if (!geteuid() && chroot("."))
		return 1;
	build_playground();
	for (long i = 0; i < threads; i++) {
		work[i].seed = (argc > 1 ? strtoull(argv[1], NULL, 0) : 1) + (uint64_t)i * 1000000;
		work[i].count = count;
		work[i].first = !i;
		work[i].verbose = argc > 4;
		if (i && pthread_create(&work[i].thread, NULL, make_calls, &work[i]))
			return 1;
	}
	make_calls(&work[0]);
	for (long i = 1; i < threads; i++)
		pthread_join(work[i].thread, NULL);
	for (long i = 0; i < threads; i++)
		failed += work[i].failed;
	dprintf(TALK, "made %ld calls, some of which %s\n", threads * count,
		failed > 0 && failed < threads * count ? "failed" : "did not fail");
	return 0;
}
