/* SPDX-License-Identifier: MIT */
/*
 * The host's clocks: as one number of nanoseconds, which is what is measured, stored and compared
 * in, and as the struct timespec that calls of the host take.
 */
#ifndef QUIRE_RUN_CLOCK_H
#define QUIRE_RUN_CLOCK_H

#include <limits.h>
#include <stdint.h>
#include <time.h>

#define NS_PER_SECOND 1000000000

/* Neither negative nor later than 2^64 ns. */
static inline uint64_t timespec_ns(const struct timespec *time)
{
	return (uint64_t)time->tv_sec * NS_PER_SECOND + (uint64_t)time->tv_nsec;
}

static inline struct timespec timespec_of_ns(uint64_t ns)
{
	return (struct timespec){(time_t)(ns / NS_PER_SECOND), (long)(ns % NS_PER_SECOND)};
}

static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return timespec_ns(&now);
}

/* For durations and deadlines: the clock that nobody sets. */
static inline uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* The moment that comes so long after now; the last one of all when it would come later. */
static inline struct timespec clock_after(clockid_t clock, const struct timespec *span)
{
	struct timespec moment;

	clock_gettime(clock, &moment);
	moment.tv_nsec += span->tv_nsec;
	if (moment.tv_nsec >= NS_PER_SECOND) {
		moment.tv_nsec -= NS_PER_SECOND;
		moment.tv_sec++;
	}
	if (__builtin_add_overflow(moment.tv_sec, span->tv_sec, &moment.tv_sec))
		moment.tv_sec = LONG_MAX;
	return moment;
}

#endif
