/* SPDX-License-Identifier: MIT */
/*
 * Clocks: those of the vDSO never go back, agree with the system calls, advance while the program
 * sleeps and computes, on every thread; the vDSO itself is where the auxiliary vector says and has
 * its symbols.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const struct {
	const char *name;
	int clock;
} clocks[] = {
	{"realtime", CLOCK_REALTIME},
	{"monotonic", CLOCK_MONOTONIC},
	{"monotonic raw", CLOCK_MONOTONIC_RAW},
	{"boot time", CLOCK_BOOTTIME},
	{"realtime, coarse", CLOCK_REALTIME_COARSE},
	{"monotonic, coarse", CLOCK_MONOTONIC_COARSE},
	{"international atomic time", CLOCK_TAI},
	{"of the process", CLOCK_PROCESS_CPUTIME_ID},
	{"of the thread", CLOCK_THREAD_CPUTIME_ID},
};

static uint64_t by_call(int clock)
{
	struct timespec time;

	if (syscall(SYS_clock_gettime, clock, &time))
		guest_die("clock_gettime");
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void case_steps(void)
{
	for (size_t i = 0; i < sizeof(clocks) / sizeof(*clocks); i++) {
		uint64_t last = now_ns(clocks[i].clock), first = last, back = 0;

		for (int k = 0; k < 20000; k++) {
			uint64_t now = now_ns(clocks[i].clock);

			back += now < last;
			last = now;
		}
		pause_ms(12);
		for (volatile int k = 0; k < 100000; k++)
			;
		last = now_ns(clocks[i].clock);
		show("%s: %lu steps back, it advances: %d", clocks[i].name, back, last > first);
	}
}

/* A reading by the vDSO lies between two by the system call, but for the resolution of a coarse
 * clock. */
static void case_agreement(void)
{
	for (size_t i = 0; i < 7; i++) {
		uint64_t slack = i == 4 || i == 5 ? 0 : 2000, outside = 0;

		for (int k = 0; k < 50; k++) {
			uint64_t before = by_call(clocks[i].clock),
				 between = now_ns(clocks[i].clock);
			uint64_t after = by_call(clocks[i].clock);

			outside += between + slack < before || between > after + slack;
		}
		show("%s: %lu of 50 outside", clocks[i].name, outside);
	}
}

static void case_other_calls(void)
{
	uint64_t before = now_ns(CLOCK_REALTIME), after, got;
	struct timespec resolution = {0};
	struct timeval timeval;
	struct timezone zone = {.tz_minuteswest = 77};
	unsigned int cpu = 9999, node = 9999;
	time_t seconds, by_pointer = 0;

	gettimeofday(&timeval, &zone);
	seconds = time(&by_pointer);
	after = now_ns(CLOCK_REALTIME);
	got = (uint64_t)timeval.tv_sec * 1000000000u + (uint64_t)timeval.tv_usec * 1000u;
	show("gettimeofday between: %d, zone %d", got + 1000 >= before && got <= after,
	     zone.tz_minuteswest);
	/* time() is of the last tick. */
	show("time between: %d, stored: %d",
	     (uint64_t)seconds + 1 >= before / 1000000000u &&
		     (uint64_t)seconds <= after / 1000000000u,
	     by_pointer == seconds);
	show("getcpu: %s", answer(getcpu(&cpu, &node)));
	show("  known: %d", cpu < 4096 && node < 64);
	show("sched_getcpu: %d", sched_getcpu() >= 0);
	show("resolution of monotonic: %s", answer(clock_getres(CLOCK_MONOTONIC, &resolution)));
	show("  %ld.%09ld", (long)resolution.tv_sec, resolution.tv_nsec);
	clock_getres(CLOCK_MONOTONIC_COARSE, &resolution);
	show("of a coarse one: a tick: %d", resolution.tv_nsec >= 1000000);
	show("a clock that is not: %s", answer(clock_gettime(99, &resolution)));
	show("another: %s", answer(clock_gettime(-77777, &resolution)));
}

static _Atomic uint64_t latest;
static _Atomic uint64_t back_across;

/* Whoever reads the clock after another has stored what it read, reads no less. */
static void *race(void *argument)
{
	for (int i = 0; i < 20000; i++) {
		uint64_t known = atomic_load(&latest), now = now_ns(CLOCK_MONOTONIC);

		if (now < known)
			atomic_fetch_add(&back_across, 1);
		while (known < now && !atomic_compare_exchange_weak(&latest, &known, now))
			;
	}
	return argument;
}

static void case_across_threads(void)
{
	pthread_t threads[4];

	for (size_t i = 0; i < 4; i++)
		threads[i] = start_thread(race, NULL);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	show("four threads: %lu steps back", atomic_load(&back_across));
}

static void case_sleep(void)
{
	static const int sleepers[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME};
	struct timespec until;

	for (size_t i = 0; i < 3; i++) {
		uint64_t start = now_ns(sleepers[i]);
		uint64_t goal = start + 15000000;

		until = (struct timespec){(time_t)(goal / 1000000000u), (long)(goal % 1000000000u)};
		show("until a time: %s",
		     error_name(clock_nanosleep(sleepers[i], TIMER_ABSTIME, &until, NULL)));
		show("  not early: %d", now_ns(sleepers[i]) >= goal);
	}
	until = (struct timespec){0};
	show("the past: %s",
	     error_name(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL)));
	until.tv_nsec = 1000000000;
	show("not a time: %s", error_name(clock_nanosleep(CLOCK_MONOTONIC, 0, &until, NULL)));
}

static bool has_symbol(uintptr_t base, const char *name)
{
	const Elf64_Ehdr *header = (void *)base;
	const Elf64_Phdr *segments = (void *)(base + header->e_phoff);
	const Elf64_Dyn *dynamic = NULL;
	const Elf64_Sym *symbols = NULL;
	const char *names = NULL;
	uint32_t count = 0;
	uintptr_t bias = 0;

	for (int i = 0; i < header->e_phnum; i++) {
		if (segments[i].p_type == PT_LOAD)
			bias = base + segments[i].p_offset - segments[i].p_vaddr;
		if (segments[i].p_type == PT_DYNAMIC)
			dynamic = (void *)(base + segments[i].p_offset);
	}
	for (; dynamic && dynamic->d_tag != DT_NULL; dynamic++) {
		if (dynamic->d_tag == DT_SYMTAB)
			symbols = (void *)(bias + dynamic->d_un.d_ptr);
		if (dynamic->d_tag == DT_STRTAB)
			names = (void *)(bias + dynamic->d_un.d_ptr);
		if (dynamic->d_tag == DT_HASH)
			count = ((const uint32_t *)(bias + dynamic->d_un.d_ptr))[1];
	}
	/* Where there is but a GNU hash table, the symbols end where their names begin. */
	if (!count && (uintptr_t)names > (uintptr_t)symbols)
		count = (uint32_t)(((uintptr_t)names - (uintptr_t)symbols) / sizeof(*symbols));
	for (uint32_t i = 0; symbols && names && i < count; i++) {
		if (!strcmp(names + symbols[i].st_name, name) && symbols[i].st_shndx)
			return true;
	}
	return false;
}

static void case_vdso(void)
{
	uintptr_t base = getauxval(AT_SYSINFO_EHDR);

	show("there is one: %d", base != 0);
	if (!base)
		return;
	show("ELF: %d, page-aligned: %d", !memcmp((void *)base, ELFMAG, SELFMAG), base % PAGE == 0);
	show("clock_gettime %d, gettimeofday %d, time %d, getcpu %d",
	     has_symbol(base, "__vdso_clock_gettime"), has_symbol(base, "__vdso_gettimeofday"),
	     has_symbol(base, "__vdso_time"), has_symbol(base, "__vdso_getcpu"));
	show("in /proc/self/maps: %d", strstr(read_text("/proc/self/maps"), "[vdso]") != NULL);
}

int main(int argc, char **argv)
{
	static const struct guest_case cases[] = {
		{"steps", case_steps},
		{"agreement", case_agreement},
		{"other_calls", case_other_calls},
		{"across_threads", case_across_threads},
		{"sleep", case_sleep},
		{"vdso", case_vdso},
		{NULL, NULL},
	};

	return guest_main(argc, argv, cases);
}
