/* SPDX-License-Identifier: MIT */
/*
 * System calls in close succession: each is made once and answered once, whatever interrupts it,
 * and leaves the registers as it must. Under `quire run` such calls are answered in another way
 * than single ones, through pages that the program finds in its maps; what it does to these pages
 * is its own affair.
 */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#define CALLS 20000

/* What SYSCALL leaves: everything but rax, rcx and r11, and these two as they are defined. */
static long checked_call(long number, long argument, int *wrong)
{
	register long rdi __asm__("rdi") = argument;
	register long rsi __asm__("rsi") = 0x1111;
	register long rdx __asm__("rdx") = 0x2222;
	register long r10 __asm__("r10") = 0x3333;
	register long r8 __asm__("r8") = 0x4444;
	register long r9 __asm__("r9") = 0x5555;
	long result = number;
	unsigned long where, here, flags;

	__asm__ volatile(
		"stc\n\tlea 1f(%%rip), %[here]\n\tsyscall\n1:\tmov %%rcx, %[where]\n\t"
		"pushfq\n\tpop %[flags]"
		: "+a"(result), [where] "=&r"(where), [here] "=&r"(here), [flags] "=&r"(flags),
		  "+r"(rdi), "+r"(rsi), "+r"(rdx), "+r"(r10), "+r"(r8), "+r"(r9)
		:
		: "rcx", "r11", "memory", "cc");
	*wrong += rdi != argument || rsi != 0x1111 || rdx != 0x2222 || r10 != 0x3333 ||
		  r8 != 0x4444 || r9 != 0x5555 || where != here || !(flags & 1);
	return result;
}

static void registers_stay(void)
{
	long pid = getpid();
	int wrong = 0, other = 0;

	for (int i = 0; i < CALLS; i++)
		other += checked_call(SYS_getpid, i, &wrong) != pid;
	show("%d wrong, %d other answers", wrong, other);
}

/* The file's position counts the calls. */
static long count_calls(int fd, int calls)
{
	long wrong = 0;

	for (int i = 0; i < calls; i++) {
		off_t before = lseek(fd, 0, SEEK_CUR);

		wrong += lseek(fd, 1, SEEK_CUR) != before + 1;
	}
	return wrong;
}

static void each_call_once(void)
{
	int fd = new_file(0);
	long wrong = count_calls(fd, CALLS);

	show("%ld wrong, position %ld", wrong, (long)lseek(fd, 0, SEEK_CUR));
	close(fd);
}

static _Atomic int alarms;

static void on_alarm(int signal)
{
	char byte;

	(void)signal;
	atomic_fetch_add(&alarms, 1);
	/* Calls of the handler's own, among those it interrupts. */
	for (int i = 0; i < 10; i++)
		if (pread(-1, &byte, 1, 0) != -1)
			abort();
}

static void interrupted_calls(void)
{
	const struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	int fd = new_file(0);
	long wrong = 0;
	long calls = 0;

	sigaction(SIGALRM, &action, NULL);
	/* Armed again for each alarm: a slow machine gets on between them. */
	for (int round = 0; round < 200; round++) {
		const struct itimerval soon = {{0, 0}, {0, 1 + round * 37 % 500}};

		setitimer(ITIMER_REAL, &soon, NULL);
		while (atomic_load(&alarms) == round) {
			wrong += count_calls(fd, 20);
			calls += 20;
		}
	}
	show("%ld wrong, position %s", wrong,
	     lseek(fd, 0, SEEK_CUR) == calls ? "as many as calls" : "other");
	close(fd);
}

static void reads_and_writes(void)
{
	char page[PAGE];
	int fd = new_file(64 * PAGE);
	size_t wrong = 0;

	for (unsigned int i = 0; i < CALLS; i++) {
		fill(page, PAGE, i);
		if (pwrite(fd, page, PAGE, (i % 64) * PAGE) != PAGE)
			wrong++;
		memset(page, 0, PAGE);
		if (pread(fd, page, PAGE, (i % 64) * PAGE) != PAGE)
			wrong++;
		wrong += count_wrong(page, PAGE, i);
	}
	show("%zu wrong", wrong);
	close(fd);
}

static void faults_between(void)
{
	long pid = getpid();
	int wrong = 0;

	for (int round = 0; round < 20; round++) {
		char *memory = map_pages(256, PROT_READ | PROT_WRITE);

		for (int i = 0; i < 256; i++) {
			memory[i * PAGE] = (char)i;
			wrong += syscall(SYS_getpid) != pid;
		}
		munmap(memory, 256 * PAGE);
	}
	show("%d wrong", wrong);
}

/* Writes `calls` times what a pipe takes whole, and reads it. */
static size_t through_pipe(int calls)
{
	char block[PAGE];
	size_t wrong = 0;
	int ends[2];

	if (pipe(ends))
		abort();
	for (int i = 0; i < calls; i++) {
		const size_t bytes = 1 + (size_t)i * 37 % PAGE;

		fill(block, bytes, (unsigned int)i);
		wrong += write(ends[1], block, bytes) != (ssize_t)bytes;
		memset(block, 0, bytes);
		wrong += read(ends[0], block, PAGE) != (ssize_t)bytes;
		wrong += count_wrong(block, bytes, (unsigned int)i);
	}
	close(ends[0]);
	close(ends[1]);
	return wrong;
}

static void *drain(void *data)
{
	char block[PAGE];
	long *bytes = data;
	ssize_t got;

	/* The end of the pipe that this thread reads. */
	while ((got = read((int)*bytes, block, sizeof(block))) > 0)
		bytes[1] += got;
	return NULL;
}

/* More than the pipe holds: the writer waits for the reader. */
static long filled_pipe(int calls)
{
	char block[PAGE] = {0};
	long bytes[2] = {0};
	pthread_t reader;
	int ends[2];

	if (pipe(ends))
		abort();
	bytes[0] = ends[0];
	reader = start_thread(drain, bytes);
	for (int i = 0; i < calls; i++)
		if (write(ends[1], block, PAGE) != PAGE)
			abort();
	close(ends[1]);
	pthread_join(reader, NULL);
	close(ends[0]);
	return bytes[1] / PAGE;
}

static _Atomic int broken;

static void on_broken_pipe(int signal)
{
	(void)signal;
	atomic_fetch_add(&broken, 1);
}

static void pipes(void)
{
	const struct sigaction action = {.sa_handler = on_broken_pipe};
	size_t wrong = through_pipe(CALLS / 4);
	int failed = 0;
	int ends[2];

	show("%zu wrong, %ld through a full one", wrong, filled_pipe(2000));
	if (pipe(ends) || fcntl(ends[1], F_SETFL, O_NONBLOCK))
		abort();
	while (write(ends[1], "full", 4) == 4)
		failed++;
	show("%d fit in, then %s", failed, error_name(errno));
	close(ends[0]);
	sigaction(SIGPIPE, &action, NULL);
	failed = 0;
	for (int i = 0; i < 100; i++) {
		(void)count_calls(ends[1], 5);
		failed += write(ends[1], "gone", 4) == -1 && errno == EPIPE;
	}
	show("%d failed, %d signals", failed, atomic_load(&broken));
	close(ends[1]);
}

/* The pages of the calls, if there are any. */
static char *find_pages(size_t *bytes)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	char *found = NULL;

	*bytes = 0;
	while (maps && fgets(line, sizeof(line), maps)) {
		unsigned long start, end;

		if (!strstr(line, "[calls]") || sscanf(line, "%lx-%lx", &start, &end) != 2)
			continue;
		if (!found)
			found = (char *)start;
		*bytes = (size_t)((char *)end - found);
	}
	if (maps)
		fclose(maps);
	return found;
}

#define AREA_POSTED 1
#define AREA_TAKEN 2

/* Posts a call that nobody makes, and waits until it is answered, or for a while. */
static void forge(volatile unsigned char *area, long number)
{
	volatile unsigned int *state = (volatile unsigned int *)area;

	*(volatile long *)(area + 64) = number;
	*state = AREA_POSTED;
	for (int i = 0; i < 20000 && *state == AREA_POSTED; i++)
		__builtin_ia32_pause();
	/* Taken back as a call would be, or awaited. */
	if (__sync_bool_compare_and_swap(state, AREA_POSTED, 0))
		return;
	while (*state == AREA_TAKEN)
		sched_yield();
	*state = 0;
}

/* What is not made by a call is served all the same, but only what is served without an exit. */
static void forged_calls(void)
{
	int fd = new_file(0);
	long wrong = count_calls(fd, 1000);
	size_t bytes;
	unsigned char *pages = (unsigned char *)find_pages(&bytes);

	for (int i = 0; i < 300; i++) {
		static const long numbers[] = {SYS_getppid, SYS_exit_group, SYS_rt_sigreturn, 9999};

		wrong += count_calls(fd, 20);
		for (size_t at = bytes / 2; at < bytes; at += PAGE)
			forge(pages + at, numbers[i % 4]);
	}
	show("%ld wrong, position %ld", wrong, (long)lseek(fd, 0, SEEK_CUR));
	close(fd);
}

static void without_pages(void)
{
	int fd = new_file(0);
	long wrong = count_calls(fd, 2000);
	size_t bytes;
	char *pages = find_pages(&bytes);

	if (pages) {
		munmap(pages, bytes / 2);
		munmap(pages + bytes / 2, bytes / 2);
	}
	wrong += count_calls(fd, 2000);
	show("%ld wrong, position %ld", wrong, (long)lseek(fd, 0, SEEK_CUR));
	close(fd);
}

static void *count_in_thread(void *data)
{
	int fd = new_file(0);
	long *wrong = data;

	*wrong = count_calls(fd, CALLS / 4) + (lseek(fd, 0, SEEK_CUR) != CALLS / 4);
	close(fd);
	return NULL;
}

static void threads(void)
{
	pthread_t thread[4];
	long wrong[4];
	long sum = 0;

	for (int i = 0; i < 4; i++)
		thread[i] = start_thread(count_in_thread, &wrong[i]);
	for (int i = 0; i < 4; i++) {
		pthread_join(thread[i], NULL);
		sum += wrong[i];
	}
	show("%ld wrong", sum);
}

int main(int argc, char **argv)
{
	static const struct guest_case cases[] = {
		{"registers", registers_stay},
		{"once", each_call_once},
		{"interrupted", interrupted_calls},
		{"files", reads_and_writes},
		{"pipes", pipes},
		{"faults", faults_between},
		{"threads", threads},
		{"forged", forged_calls},
		{"unmapped", without_pages},
		{NULL, NULL},
	};

	return guest_main(argc, argv, cases);
}
