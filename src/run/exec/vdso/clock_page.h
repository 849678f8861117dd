/* SPDX-License-Identifier: MIT */
/*
 * The page of clock data ([vvar]) that the vDSO reads, and how both it and Quire read a clock from
 * it. Freestanding: the vDSO is compiled with it too.
 *
 * CLOCK_MONOTONIC is `monotonic` at the time stamp `tsc`, and goes on at `rate`, for `valid`
 * counts; then the data is stale, and whoever needs a clock makes the system call, by which Quire
 * takes a new sample of the host's clocks. So a clock costs nothing as long as nobody looks at it.
 * New data begins where the old ended at the latest, so that time never runs backwards.
 *
 * Written under Quire's lock; readers go by the sequence, which is odd while data changes. Data is
 * loaded with acquire and stored with release order, so that it stays between the sequence's.
 */
#ifndef QUIRE_RUN_EXEC_VDSO_CLOCK_PAGE_H
#define QUIRE_RUN_EXEC_VDSO_CLOCK_PAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define CLOCK_PAGE_RATE_SHIFT 32
#define CLOCK_PAGE_SECOND 1000000000u

/* Numbers of the clocks, as in clock_gettime(2). */
enum {
	CLOCK_PAGE_REALTIME = 0,
	CLOCK_PAGE_MONOTONIC = 1,
	CLOCK_PAGE_REALTIME_COARSE = 5,
	CLOCK_PAGE_MONOTONIC_COARSE = 6,
	CLOCK_PAGE_BOOTTIME = 7,
	CLOCK_PAGE_TAI = 11,
	CLOCK_PAGE_CLOCKS = 12,
};

struct clock_page {
	_Atomic uint32_t sequence;
	_Atomic uint32_t coarse;    /* ns: step of the coarse clocks */
	_Atomic uint64_t tsc;       /* at the sample */
	_Atomic uint64_t valid;     /* counts from there; 0: no data, make the system call */
	_Atomic uint64_t rate;      /* ns for a count, << CLOCK_PAGE_RATE_SHIFT */
	_Atomic uint64_t monotonic; /* ns at the sample */
	_Atomic int64_t offset[CLOCK_PAGE_CLOCKS]; /* ns: each clock less CLOCK_MONOTONIC */
};

/* The counter, read after everything before it and before everything behind it. */
static inline uint64_t clock_page_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence\n\trdtsc\n\tlfence" : "=a"(low), "=d"(high)::"memory");
	return (uint64_t)high << 32 | low;
}

static inline bool clock_page_has(int64_t clock)
{
	const uint32_t clocks = 1u << CLOCK_PAGE_REALTIME | 1u << CLOCK_PAGE_MONOTONIC |
				1u << CLOCK_PAGE_REALTIME_COARSE |
				1u << CLOCK_PAGE_MONOTONIC_COARSE | 1u << CLOCK_PAGE_BOOTTIME |
				1u << CLOCK_PAGE_TAI;

	return clock >= 0 && clock < CLOCK_PAGE_CLOCKS && clocks >> clock & 1;
}

static inline uint64_t clock_page_at(const struct clock_page *page, uint64_t counts)
{
	return atomic_load_explicit(&page->monotonic, memory_order_acquire) +
	       (counts * atomic_load_explicit(&page->rate, memory_order_acquire) >>
		CLOCK_PAGE_RATE_SHIFT);
}

/* One of the clocks above, in ns. False: the data is stale. */
static inline bool clock_page_read(const struct clock_page *page, int64_t clock, uint64_t *ns)
{
	uint32_t sequence;
	uint64_t counts;

	do {
		uint64_t tsc;

		do
			sequence = atomic_load_explicit(&page->sequence, memory_order_acquire);
		while (sequence & 1);
		counts = clock_page_tsc();
		tsc = atomic_load_explicit(&page->tsc, memory_order_acquire);
		/* Another CPU's counter may be a little behind. */
		counts = counts > tsc ? counts - tsc : 0;
		if (counts >= atomic_load_explicit(&page->valid, memory_order_acquire))
			return false;
		*ns = clock_page_at(page, counts);
		if (clock == CLOCK_PAGE_REALTIME_COARSE || clock == CLOCK_PAGE_MONOTONIC_COARSE)
			*ns -= *ns % atomic_load_explicit(&page->coarse, memory_order_relaxed);
		*ns += (uint64_t)atomic_load_explicit(&page->offset[clock], memory_order_acquire);
	} while (atomic_load_explicit(&page->sequence, memory_order_relaxed) != sequence);
	return true;
}

#endif
