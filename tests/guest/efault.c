/* SPDX-License-Identifier: MIT */
/*
 * System calls with every kind of bad pointer: each call of a table is made once for each kind, and
 * its answer is shown. Nothing may crash, hang, or leave a descriptor behind.
 *
 * A kind that would hand a call valid contents (zeros) is left out where the pointer is read: what
 * zeros mean to that call is not the question here.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Arguments that are known only at run time stand in the table as these. */
enum token {
	POINTER = -1000, /* the pointer that is bad */
	VALID,           /* 4096 bytes of zeros, writable */
	NAME,            /* the name of a file that there is */
	ABSENT,          /* the name of one that there is not */
	FILE_FD,
	OTHER_FD,
	DIRECTORY,
	ZERO_FD, /* /dev/zero */
	PIPE_READ,
	PIPE_WRITE,
	SOCKET,    /* a datagram waits in it */
	CONNECTED, /* the other end of that */
	EPOLL,     /* something is ready in it */
	TIMER,
	IMPORTANT, /* a struct iovec that is good */
	LENGTH,    /* a socklen_t of 64 */
	SELF,
	PROGRAM,
	NOW, /* a struct timespec of 0 */
};

enum direction {
	IN,
	OUT
};

struct call {
	const char *name;
	long number;
	enum direction direction;
	long arguments[6];
};

static const struct call calls[] = {
#define CALL(name, direction, ...) \
	{ \
#name, SYS_##name, direction, \
		{ \
			__VA_ARGS__ \
		} \
	}
	CALL(read, OUT, ZERO_FD, POINTER, 64),
	CALL(read, OUT, FILE_FD, POINTER, 64),
	CALL(write, IN, OTHER_FD, POINTER, 64),
	CALL(write, IN, PIPE_WRITE, POINTER, 64),
	CALL(pread64, OUT, FILE_FD, POINTER, 64, 0),
	CALL(pwrite64, IN, OTHER_FD, POINTER, 64, 0),
	CALL(readv, IN, ZERO_FD, POINTER, 1),
	CALL(writev, IN, OTHER_FD, POINTER, 1),
	CALL(preadv, IN, FILE_FD, POINTER, 1, 0, 0),
	CALL(pwritev, IN, OTHER_FD, POINTER, 1, 0, 0),
	CALL(preadv2, IN, FILE_FD, POINTER, 1, 0, 0, 0),
	CALL(open, IN, POINTER, O_RDONLY),
	CALL(openat, IN, AT_FDCWD, POINTER, O_RDONLY),
	CALL(openat2, IN, AT_FDCWD, NAME, POINTER, 24),
	CALL(creat, IN, POINTER, 0600),
	CALL(stat, IN, POINTER, VALID),
	CALL(stat, OUT, NAME, POINTER),
	CALL(lstat, OUT, NAME, POINTER),
	CALL(fstat, OUT, FILE_FD, POINTER),
	CALL(newfstatat, IN, AT_FDCWD, POINTER, VALID, 0),
	CALL(newfstatat, OUT, AT_FDCWD, NAME, POINTER, 0),
	CALL(statx, IN, AT_FDCWD, POINTER, 0, 0x7ff, VALID),
	CALL(statx, OUT, AT_FDCWD, NAME, 0, 0x7ff, POINTER),
	CALL(statfs, OUT, NAME, POINTER),
	CALL(fstatfs, OUT, FILE_FD, POINTER),
	CALL(access, IN, POINTER, 0),
	CALL(faccessat, IN, AT_FDCWD, POINTER, 0),
	CALL(faccessat2, IN, AT_FDCWD, POINTER, 0, 0),
	CALL(chdir, IN, POINTER),
	CALL(mkdir, IN, POINTER, 0700),
	CALL(mkdirat, IN, AT_FDCWD, POINTER, 0700),
	CALL(rmdir, IN, POINTER),
	CALL(unlink, IN, POINTER),
	CALL(unlinkat, IN, AT_FDCWD, POINTER, 0),
	CALL(rename, IN, POINTER, ABSENT),
	CALL(rename, IN, ABSENT, POINTER),
	CALL(renameat2, IN, AT_FDCWD, POINTER, AT_FDCWD, ABSENT, 0),
	CALL(link, IN, POINTER, ABSENT),
	CALL(linkat, IN, AT_FDCWD, NAME, AT_FDCWD, POINTER, 0),
	CALL(symlink, IN, POINTER, ABSENT),
	CALL(symlinkat, IN, NAME, AT_FDCWD, POINTER),
	CALL(readlink, IN, POINTER, VALID, 64),
	CALL(readlink, OUT, SELF, POINTER, 64),
	CALL(readlinkat, OUT, AT_FDCWD, SELF, POINTER, 64),
	CALL(chmod, IN, POINTER, 0600),
	CALL(fchmodat, IN, AT_FDCWD, POINTER, 0600),
	CALL(chown, IN, POINTER, -1, -1),
	CALL(fchownat, IN, AT_FDCWD, POINTER, -1, -1, 0),
	CALL(truncate, IN, POINTER, 10),
	CALL(mknod, IN, POINTER, 0100600, 0),
	CALL(getcwd, OUT, POINTER, 4000),
	CALL(getdents64, OUT, DIRECTORY, POINTER, 4000),
	CALL(utime, IN, POINTER, 0),
	CALL(utimes, IN, NAME, POINTER),
	CALL(utimensat, IN, AT_FDCWD, POINTER, VALID, 0),
	CALL(setxattr, IN, POINTER, ABSENT, VALID, 4, 0),
	CALL(setxattr, IN, NAME, POINTER, VALID, 4, 0),
	CALL(getxattr, IN, NAME, POINTER, VALID, 64),
	CALL(listxattr, IN, POINTER, VALID, 64),
	CALL(removexattr, IN, NAME, POINTER),
	CALL(ioctl, OUT, PIPE_READ, FIONREAD, POINTER),
	CALL(ioctl, IN, PIPE_READ, FIONBIO, POINTER),
	CALL(fcntl, IN, FILE_FD, F_GETLK, POINTER),
	CALL(fcntl, IN, FILE_FD, F_SETLK, POINTER),
	CALL(fcntl, OUT, FILE_FD, F_GETOWN_EX, POINTER),
	CALL(sendfile, IN, PIPE_WRITE, FILE_FD, POINTER, 8),
	CALL(copy_file_range, IN, FILE_FD, POINTER, OTHER_FD, 0, 8, 0),
	CALL(copy_file_range, IN, FILE_FD, VALID, OTHER_FD, POINTER, 8, 0),
	CALL(splice, IN, FILE_FD, POINTER, PIPE_WRITE, 0, 8, 0),
	CALL(vmsplice, IN, PIPE_WRITE, POINTER, 1, 0),
	CALL(poll, IN, POINTER, 1, 0),
	CALL(ppoll, IN, POINTER, 1, NOW, 0, 8),
	CALL(ppoll, IN, VALID, 0, POINTER, 0, 8),
	CALL(ppoll, IN, VALID, 0, NOW, POINTER, 8),
	CALL(select, IN, 4, POINTER, 0, 0, NOW),
	CALL(select, IN, 4, 0, 0, POINTER, NOW),
	CALL(pselect6, IN, 4, 0, POINTER, 0, NOW, 0),
	CALL(pselect6, IN, 0, 0, 0, 0, NOW, POINTER),
	CALL(epoll_ctl, IN, EPOLL, EPOLL_CTL_ADD, CONNECTED, POINTER),
	CALL(epoll_wait, OUT, EPOLL, POINTER, 4, 0),
	CALL(epoll_pwait, IN, EPOLL, VALID, 4, 0, POINTER, 8),
	CALL(epoll_pwait2, IN, EPOLL, VALID, 4, POINTER, 0, 8),
	CALL(pipe, OUT, POINTER),
	CALL(pipe2, OUT, POINTER, O_CLOEXEC),
	CALL(socketpair, OUT, AF_UNIX, SOCK_STREAM, 0, POINTER),
	CALL(bind, IN, SOCKET, POINTER, 20),
	CALL(connect, IN, SOCKET, POINTER, 20),
	CALL(getsockname, OUT, SOCKET, POINTER, LENGTH),
	CALL(getsockname, IN, SOCKET, VALID, POINTER),
	CALL(getpeername, OUT, SOCKET, POINTER, LENGTH),
	CALL(getsockopt, OUT, SOCKET, SOL_SOCKET, SO_TYPE, POINTER, LENGTH),
	CALL(getsockopt, IN, SOCKET, SOL_SOCKET, SO_TYPE, VALID, POINTER),
	CALL(setsockopt, IN, SOCKET, SOL_SOCKET, SO_KEEPALIVE, POINTER, 4),
	CALL(sendto, IN, CONNECTED, POINTER, 64, MSG_DONTWAIT, 0, 0),
	CALL(sendto, IN, CONNECTED, VALID, 4, MSG_DONTWAIT, POINTER, 20),
	CALL(sendmsg, IN, CONNECTED, POINTER, MSG_DONTWAIT),
	CALL(sendmmsg, IN, CONNECTED, POINTER, 1, MSG_DONTWAIT),
	CALL(recvfrom, OUT, SOCKET, POINTER, 8, MSG_PEEK | MSG_DONTWAIT, 0, 0),
	CALL(recvfrom, IN, SOCKET, VALID, 8, MSG_PEEK | MSG_DONTWAIT, VALID, POINTER),
	CALL(recvmsg, IN, SOCKET, POINTER, MSG_PEEK | MSG_DONTWAIT),
	CALL(recvmmsg, IN, SOCKET, POINTER, 1, MSG_PEEK | MSG_DONTWAIT, 0),
	CALL(nanosleep, IN, POINTER, 0),
	CALL(clock_nanosleep, IN, CLOCK_MONOTONIC, 0, POINTER, 0),
	CALL(clock_gettime, OUT, CLOCK_MONOTONIC, POINTER),
	CALL(clock_getres, OUT, CLOCK_MONOTONIC, POINTER),
	CALL(gettimeofday, OUT, POINTER, 0),
	CALL(time, OUT, POINTER),
	CALL(times, OUT, POINTER),
	CALL(getitimer, OUT, ITIMER_REAL, POINTER),
	CALL(setitimer, IN, ITIMER_REAL, POINTER, 0),
	CALL(timer_create, IN, CLOCK_MONOTONIC, POINTER, VALID),
	CALL(timer_create, OUT, CLOCK_MONOTONIC, 0, POINTER),
	CALL(timerfd_settime, IN, TIMER, 0, POINTER, 0),
	CALL(timerfd_gettime, OUT, TIMER, POINTER),
	CALL(rt_sigaction, IN, SIGUSR1, POINTER, 0, 8),
	CALL(rt_sigaction, OUT, SIGUSR1, 0, POINTER, 8),
	CALL(rt_sigprocmask, IN, SIG_BLOCK, POINTER, 0, 8),
	CALL(rt_sigprocmask, OUT, SIG_BLOCK, 0, POINTER, 8),
	CALL(rt_sigpending, OUT, POINTER, 8),
	CALL(rt_sigtimedwait, IN, POINTER, 0, NOW, 8),
	CALL(rt_sigsuspend, IN, POINTER, 8),
	CALL(rt_sigqueueinfo, IN, SELF, SIGUSR1, POINTER),
	CALL(sigaltstack, IN, POINTER, 0),
	CALL(sigaltstack, OUT, 0, POINTER),
	CALL(signalfd4, IN, -1, POINTER, 8, 0),
	CALL(uname, OUT, POINTER),
	CALL(sysinfo, OUT, POINTER),
	CALL(getrlimit, OUT, RLIMIT_CORE, POINTER),
	CALL(setrlimit, IN, RLIMIT_CORE, POINTER),
	CALL(prlimit64, IN, 0, RLIMIT_CORE, POINTER, 0),
	CALL(prlimit64, OUT, 0, RLIMIT_CORE, 0, POINTER),
	CALL(getrusage, OUT, RUSAGE_SELF, POINTER),
	CALL(getresuid, OUT, POINTER, VALID, VALID),
	CALL(getresgid, OUT, VALID, VALID, POINTER),
	CALL(getrandom, OUT, POINTER, 16, 0),
	CALL(getcpu, OUT, POINTER, 0),
	CALL(sched_getaffinity, OUT, 0, 128, POINTER),
	CALL(sched_setaffinity, IN, 0, 128, POINTER),
	CALL(sched_getparam, OUT, 0, POINTER),
	CALL(sched_setscheduler, IN, 0, SCHED_OTHER, POINTER),
	CALL(sched_rr_get_interval, OUT, 0, POINTER),
	CALL(prctl, IN, PR_SET_NAME, POINTER),
	CALL(prctl, OUT, PR_GET_NAME, POINTER),
	CALL(arch_prctl, OUT, 0x1003, POINTER),
	CALL(capget, IN, POINTER, VALID),
	CALL(waitid, OUT, P_ALL, 0, POINTER, 5, 0),
	CALL(memfd_create, IN, POINTER, 0),
	CALL(execve, IN, POINTER, 0, 0),
	CALL(execve, IN, PROGRAM, POINTER, 0),
	CALL(futex, IN, POINTER, 0, 1, 0, 0, 0),
	CALL(get_robust_list, OUT, 0, POINTER, VALID),
	CALL(process_vm_readv, IN, SELF, POINTER, 1, IMPORTANT, 1, 0),
	CALL(process_vm_readv, IN, SELF, IMPORTANT, 1, POINTER, 1, 0),
	CALL(clone3, IN, POINTER, 64),
#undef CALL
};

static struct {
	int file, other, directory, zero, pipe[2], sockets[2], epoll, timer;
	char *valid, *hole, *none, *readonly, *edge;
	struct iovec iovec;
	socklen_t length;
	struct timespec now;
} world;

static void make_world(void)
{
	struct epoll_event event = {.events = EPOLLIN};
	char *memory = map_pages(8, PROT_READ | PROT_WRITE);

	world.file = open("present", O_RDWR | O_CREAT, 0700);
	world.other = new_file(0);
	world.directory = open(".", O_RDONLY | O_DIRECTORY);
	world.zero = open("/dev/zero", O_RDWR);
	world.epoll = epoll_create1(0);
	world.timer = timerfd_create(CLOCK_MONOTONIC, 0);
	if (pipe(world.pipe) || socketpair(AF_UNIX, SOCK_DGRAM, 0, world.sockets) ||
	    epoll_ctl(world.epoll, EPOLL_CTL_ADD, world.sockets[0], &event) ||
	    write(world.sockets[1], "datagram", 8) != 8 || ftruncate(world.file, 8192) ||
	    symlink("present", "link"))
		guest_die("the descriptors");
	world.valid = memory;
	world.hole = memory + 2 * PAGE;
	munmap(world.hole, PAGE);
	world.edge = world.hole - 4; /* its first bytes are there, the rest is not */
	world.none = memory + 4 * PAGE;
	world.readonly = memory + 6 * PAGE;
	mprotect(world.none, PAGE, PROT_NONE);
	mprotect(world.readonly, PAGE, PROT_READ);
	memset(world.edge, 'e', 4);
	world.iovec = (struct iovec){memory + PAGE, 16};
}

static long resolve(long argument, uintptr_t pointer, const struct call *call)
{
	switch (argument) {
	case POINTER:
		return (long)pointer;
	case VALID:
		memset(world.valid, 0, PAGE);
		return (long)world.valid;
	case NAME:
		return (long)"present";
	case ABSENT:
		return (long)"absent";
	case FILE_FD:
		return world.file;
	case OTHER_FD:
		return world.other;
	case DIRECTORY:
		lseek(world.directory, 0, SEEK_SET);
		return world.directory;
	case ZERO_FD:
		return world.zero;
	case PIPE_READ:
		return world.pipe[0];
	case PIPE_WRITE:
		return world.pipe[1];
	case SOCKET:
		return world.sockets[0];
	case CONNECTED:
		return world.sockets[1];
	case EPOLL:
		return world.epoll;
	case TIMER:
		return world.timer;
	case IMPORTANT:
		return (long)&world.iovec;
	case LENGTH:
		world.length = 64;
		return (long)&world.length;
	case SELF:
		if (call->number == SYS_readlink || call->number == SYS_readlinkat)
			return (long)"link";
		return getpid();
	case PROGRAM:
		return (long)"/bin/true";
	case NOW:
		world.now = (struct timespec){0, 0};
		return (long)&world.now;
	default:
		return argument;
	}
}

static const char *make_call(const struct call *call, uintptr_t pointer)
{
	long arguments[6];

	for (int i = 0; i < 6; i++)
		arguments[i] = resolve(call->arguments[i], pointer, call);
	return answer(syscall(call->number, arguments[0], arguments[1], arguments[2], arguments[3],
			      arguments[4], arguments[5]));
}

static int count_descriptors(void)
{
	int count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static int which_argument(const struct call *call)
{
	int i = 0;

	while (call->arguments[i] != POINTER)
		i++;
	return i;
}

static void case_bad_pointers(void)
{
	int before;

	make_world();
	before = count_descriptors();
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		const struct call *call = &calls[i];
		const struct {
			const char *name;
			uintptr_t pointer;
		} kinds[] = {
			{"low", 1},
			{"hole", (uintptr_t)world.hole},
			{"unaligned hole", (uintptr_t)world.hole + 3},
			{"PROT_NONE", (uintptr_t)world.none},
			{"noncanonical", 0x800000000000ul},
			{"edge of the half", 0x7ffffffffffful},
			{"kernel", 0xffff800000000000ul},
			{"wrap", -4ul},
			{"read-only", (uintptr_t)world.readonly},
		};
		size_t count = sizeof(kinds) / sizeof(*kinds) - (call->direction == IN);
		const char *usual = "EFAULT";
		int unusual = 0;

		for (size_t kind = 0; kind < count; kind++) {
			const char *result = make_call(call, kinds[kind].pointer);

			if (strcmp(result, usual) != 0) {
				show("%s, argument %d, %s: %s", call->name,
				     which_argument(call) + 1, kinds[kind].name, result);
				unusual++;
			}
		}
		show("%s, argument %d: %zu of %zu EFAULT", call->name, which_argument(call) + 1,
		     count - (size_t)unusual, count);
	}
	show("descriptors left behind: %d", count_descriptors() - before);
}

static const struct {
	const char *name;
	long number;
	long arguments[6];
} null_calls[] = {
	{"read", SYS_read, {ZERO_FD, POINTER, 8}},
	{"write", SYS_write, {OTHER_FD, POINTER, 8}},
	{"open", SYS_open, {POINTER}},
	{"stat", SYS_stat, {NAME, POINTER}},
	{"statx", SYS_statx, {AT_FDCWD, NAME, 0, 0x7ff, POINTER}},
	{"pipe", SYS_pipe, {POINTER}},
	{"nanosleep", SYS_nanosleep, {POINTER}},
	{"gettimeofday", SYS_gettimeofday, {POINTER}},
	{"time", SYS_time, {POINTER}},
	{"getcwd", SYS_getcwd, {POINTER, 100}},
	{"uname", SYS_uname, {POINTER}},
	{"sysinfo", SYS_sysinfo, {POINTER}},
	{"utimensat", SYS_utimensat, {AT_FDCWD, NAME, POINTER}},
	{"clock_gettime", SYS_clock_gettime, {1, POINTER}},
	{"clock_getres", SYS_clock_getres, {1, POINTER}},
	{"rt_sigpending", SYS_rt_sigpending, {POINTER, 8}},
	{"rt_sigaction", SYS_rt_sigaction, {SIGUSR1, POINTER, 0, 8}},
	{"getsockname", SYS_getsockname, {SOCKET, POINTER, LENGTH}},
	{"memfd_create", SYS_memfd_create, {POINTER}},
	{"getrandom", SYS_getrandom, {POINTER, 8}},
	{"poll", SYS_poll, {POINTER, 1, 0}},
	{"poll of none", SYS_poll, {POINTER, 0, 0}},
	{"read of none", SYS_read, {ZERO_FD, POINTER, 0}},
	{"readv of none", SYS_readv, {ZERO_FD, POINTER, 0}},
	{"execve", SYS_execve, {POINTER}},
};

static void case_null(void)
{
	for (size_t i = 0; i < sizeof(null_calls) / sizeof(*null_calls); i++) {
		struct call call = {.number = null_calls[i].number};
		const char *result;

		memcpy(call.arguments, null_calls[i].arguments, sizeof(call.arguments));
		result = make_call(&call, 0);
		show("%s: %s", null_calls[i].name,
		     null_calls[i].number == SYS_time ? "some time" : result);
	}
}

/* The first bytes are there, the rest is not. */
static void case_straddling(void)
{
	char *edge = world.hole - 100;
	struct iovec iovec[2] = {{world.valid, 50}, {world.hole, 50}};
	struct iovec from_bad[2] = {{world.hole, 10}, {world.valid, 10}};

	memset(edge, 'x', 100);
	lseek(world.file, 0, SEEK_SET);
	show("read of a file: %s", answer(read(world.file, edge, 200)));
	show("the position: %ld", (long)lseek(world.file, 0, SEEK_CUR));
	show("read of /dev/zero: %s", answer(read(world.zero, edge, 200)));
	show("the bytes: %d %d", edge[0], edge[99]);
	show("readv, the second is bad: %s", answer(readv(world.zero, iovec, 2)));
	show("readv, the first is bad: %s", answer(readv(world.zero, from_bad, 2)));
	show("writev, the first is bad: %s", answer(writev(world.other, from_bad, 2)));
	show("write to a pipe: %s", answer(write(world.pipe[1], edge, 200)));
	show("a datagram: %s", answer(send(world.sockets[1], edge, 200, MSG_DONTWAIT)));
	memset(edge, 'n', 100);
	show("a name without an end: %s", answer(open(edge, O_RDONLY)));
	memcpy(world.hole - 8, "present", 8);
	show("a name that ends there: %s", answer(access(world.hole - 8, F_OK)));
	show("a struct: %s", answer(syscall(SYS_fstat, world.file, world.hole - 16)));
	show("two numbers: %s", answer(syscall(SYS_pipe, world.hole - 4)));
}

static void case_lengths(void)
{
	struct iovec huge[2] = {{world.valid, (size_t)-1}, {world.valid, 1}};
	struct iovec sum[2] = {{world.valid, 0x7ffffffffffffffful}, {world.valid, 1}};

	show("read of 2^63 bytes: %s",
	     answer(syscall(SYS_read, world.file, world.hole, 1ul << 63)));
	show("write of SSIZE_MAX bytes: %s",
	     answer(syscall(SYS_write, world.other, world.hole, SSIZE_MAX)));
	show("readv of a negative length: %s", answer(readv(world.zero, huge, 2)));
	show("readv whose sum overflows: %s", answer(readv(world.zero, sum, 2)));
	show("readv of 2,000 vectors: %s", answer(syscall(SYS_readv, world.zero, huge, 2000)));
	show("readv of -1 vectors: %s", answer(syscall(SYS_readv, world.zero, huge, -1)));
	show("poll of 2^31 descriptors: %s", answer(syscall(SYS_poll, world.valid, 1ul << 31, 0)));
	show("getdents of nothing: %s",
	     answer(syscall(SYS_getdents64, world.directory, world.valid, 1)));
	show("rt_sigprocmask of 4 bytes: %s",
	     answer(syscall(SYS_rt_sigprocmask, 0, world.valid, 0, 4)));
	show("getgroups of -1: %s", answer(syscall(SYS_getgroups, -1, world.valid)));
	show("getcwd of 1 byte: %s", answer(syscall(SYS_getcwd, world.valid, 1)));
	show("setsockopt of -1 bytes: %s",
	     answer(setsockopt(world.sockets[0], SOL_SOCKET, SO_KEEPALIVE, world.valid,
			       (socklen_t)-1)));
	show("bind of 2^31 bytes: %s",
	     answer(syscall(SYS_bind, world.sockets[0], world.valid, 1u << 31)));
	show("getxattr of SIZE_MAX bytes: %s",
	     answer(syscall(SYS_getxattr, "present", "user.none", world.valid, SIZE_MAX)));
	show("epoll_wait for INT_MAX: %s",
	     answer(syscall(SYS_epoll_wait, world.epoll, world.hole, 0x7fffffff, 0)));
	show("a call that does not exist: %s", answer(syscall(5000)));
	show("another: %s", answer(syscall(-1)));
}

int main(int argc, char **argv)
{
	static const struct guest_case cases[] = {
		{"bad_pointers", case_bad_pointers},
		{"null", case_null},
		{"straddling", case_straddling},
		{"lengths", case_lengths},
		{NULL, NULL},
	};

	signal(SIGPIPE, SIG_IGN);
	return guest_main(argc, argv, cases);
}
