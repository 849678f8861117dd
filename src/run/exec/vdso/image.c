/* SPDX-License-Identifier: MIT */
/*
 * The vDSO itself: a shared object that is mapped into every program, right behind the clock page.
 * It has no data of its own and needs no relocation.
 */
#include "run/exec/vdso/clock_page.h"

#define SYS_GETTIMEOFDAY 96
#define SYS_TIME 201
#define SYS_CLOCK_GETTIME 228
#define SYS_CLOCK_GETRES 229
#define SYS_GETCPU 309

#define EXPORT __attribute__((visibility("default")))

struct seconds_nanoseconds {
	int64_t seconds;
	int64_t nanoseconds;
};

struct seconds_microseconds {
	int64_t seconds;
	int64_t microseconds;
};

extern const struct clock_page vdso_clock_page __attribute__((visibility("hidden")));

EXPORT int __vdso_clock_gettime(int clock, struct seconds_nanoseconds *time);
EXPORT int __vdso_clock_getres(int clock, struct seconds_nanoseconds *resolution);
EXPORT int __vdso_gettimeofday(struct seconds_microseconds *time, void *zone);
EXPORT int64_t __vdso_time(int64_t *time);
EXPORT int64_t __vdso_getcpu(uint32_t *cpu, uint32_t *node, void *unused);

static inline int64_t system_call(int64_t number, const void *first, void *second)
{
	int64_t result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(first), "S"(second), "d"(0)
			 : "rcx", "r11", "memory");
	return result;
}

int __vdso_clock_gettime(int clock, struct seconds_nanoseconds *time)
{
	uint64_t ns;

	if (!clock_page_has(clock) || !clock_page_read(&vdso_clock_page, clock, &ns))
		return (int)system_call(SYS_CLOCK_GETTIME, (void *)(int64_t)clock, time);
	time->seconds = (int64_t)(ns / CLOCK_PAGE_SECOND);
	time->nanoseconds = (int64_t)(ns % CLOCK_PAGE_SECOND);
	return 0;
}

int __vdso_clock_getres(int clock, struct seconds_nanoseconds *resolution)
{
	return (int)system_call(SYS_CLOCK_GETRES, (void *)(int64_t)clock, resolution);
}

int __vdso_gettimeofday(struct seconds_microseconds *time, void *zone)
{
	uint64_t ns;

	if (zone || !time || !clock_page_read(&vdso_clock_page, CLOCK_PAGE_REALTIME, &ns))
		return (int)system_call(SYS_GETTIMEOFDAY, time, zone);
	time->seconds = (int64_t)(ns / CLOCK_PAGE_SECOND);
	time->microseconds = (int64_t)(ns % CLOCK_PAGE_SECOND / 1000);
	return 0;
}

int64_t __vdso_time(int64_t *time)
{
	uint64_t ns;

	if (!clock_page_read(&vdso_clock_page, CLOCK_PAGE_REALTIME, &ns))
		return system_call(SYS_TIME, time, 0);
	if (time)
		*time = (int64_t)(ns / CLOCK_PAGE_SECOND);
	return (int64_t)(ns / CLOCK_PAGE_SECOND);
}

/* The thread may be on another CPU of the host each time; only the host knows. */
int64_t __vdso_getcpu(uint32_t *cpu, uint32_t *node, void *unused)
{
	(void)unused;
	return system_call(SYS_GETCPU, cpu, node);
}
