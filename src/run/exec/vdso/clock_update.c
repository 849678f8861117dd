/* SPDX-License-Identifier: MIT */
/*
 * Sampling the host's clocks (see clock_update.h).
 *
 * A sample is a reading of the counter and of CLOCK_MONOTONIC at the same moment, to some 50 ns.
 * The rate between two samples is as good as they are far apart, so data is valid for as long as
 * its rate was measured, VALID_NS at most: its error at the end is about that of two samples.
 */
#include "run/exec/vdso/clock_update.h"

#include "base/types.h"
#include "run/clock.h"

#define VALID_NS 100000000u
#define ANCHOR_NS 1000000000u
#define FIRST_NS 1000000u /* no rate from less */
#define TRIES 5
/* While a busy host interrupts every reading, there are more of them. */
#define TRIES_MAX 100
#define UNDISTURBED 20000 /* counts */
/* Less than this between two readings of an offset is the error of reading. */
#define OFFSET_NOISE_NS 2000
/* Clocks are slewed by 500 ppm at most; a rate that changes by more means that counter or clock
 * jumped. */
#define RATE_JUMP(rate) ((rate) / 500)

/* The reading that took least of several: one that nothing interrupted. */
static uint64_t sample_clock(clockid_t clock, uint64_t *tsc)
{
	uint64_t least = UINT64_MAX;
	uint64_t best = 0;

	for (int i = 0; i < TRIES || (i < TRIES_MAX && least > UNDISTURBED); i++) {
		const uint64_t before = clock_page_tsc();
		const uint64_t ns = clock_ns(clock);
		const uint64_t took = clock_page_tsc() - before;

		if (took < least) {
			least = took;
			best = ns;
			*tsc = before + took / 2;
		}
	}
	return best;
}

static void store(_Atomic uint64_t *to, uint64_t value)
{
	atomic_store_explicit(to, value, memory_order_release);
}

static uint64_t load(const _Atomic uint64_t *from)
{
	return atomic_load_explicit(from, memory_order_relaxed);
}

/* A clock that keeps its distance from CLOCK_MONOTONIC, but for being set. */
static int64_t sample_offset(const struct clock_page *page, clockid_t clock,
			     const struct clock_sample *now, uint64_t rate)
{
	const int64_t old = atomic_load_explicit(&page->offset[clock], memory_order_relaxed);
	uint64_t tsc = now->tsc;
	const uint64_t ns = sample_clock(clock, &tsc);
	const uint64_t counts = tsc > now->tsc ? tsc - now->tsc : 0;
	const int64_t offset =
		(int64_t)(ns - now->monotonic - (counts * rate >> CLOCK_PAGE_RATE_SHIFT));

	return offset - old > OFFSET_NOISE_NS || old - offset > OFFSET_NOISE_NS ? offset : old;
}

/* What the present data gives at its very end: new data begins there at the earliest. */
static uint64_t last_given(const struct clock_page *page)
{
	return clock_page_at(page, load(&page->valid));
}

/* The host's rate since the anchor; 0: not known yet. */
static uint64_t measure_rate(struct clock_update *update, const struct clock_sample *now)
{
	const uint64_t counts = now->tsc - update->anchor.tsc;
	const uint64_t ns = now->monotonic - update->anchor.monotonic;
	const uint64_t old = load(&update->page->rate);
	uint64_t rate;

	if (now->tsc <= update->anchor.tsc || ns < FIRST_NS)
		return 0;
	rate = (uint64_t)(((__uint128_t)ns << CLOCK_PAGE_RATE_SHIFT) / counts);
	if (old && (rate > old + RATE_JUMP(old) || rate < old - RATE_JUMP(old)))
		return 0;
	return rate;
}

static void move_anchor(struct clock_update *update, const struct clock_sample *now)
{
	if (now->monotonic - update->next.monotonic < ANCHOR_NS)
		return;
	update->anchor = update->next;
	update->next = *now;
}

static void publish(struct clock_page *page, const struct clock_sample *now, uint64_t rate,
		    uint64_t valid)
{
	static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_BOOTTIME, CLOCK_TAI};
	const uint32_t sequence = atomic_load_explicit(&page->sequence, memory_order_relaxed);
	const uint64_t monotonic = max_u64(now->monotonic, last_given(page));
	int64_t offsets[CLOCK_PAGE_CLOCKS] = {0};

	for (size_t i = 0; i < ARRAY_SIZE(clocks); i++)
		offsets[clocks[i]] = sample_offset(page, clocks[i], now, rate);
	offsets[CLOCK_REALTIME_COARSE] = offsets[CLOCK_REALTIME];

	atomic_store_explicit(&page->sequence, sequence + 1, memory_order_relaxed);
	store(&page->tsc, now->tsc);
	store(&page->monotonic, monotonic);
	store(&page->rate, rate);
	store(&page->valid, valid);
	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++)
		atomic_store_explicit(&page->offset[i], offsets[i], memory_order_release);
	atomic_store_explicit(&page->sequence, sequence + 2, memory_order_release);
}

static void restart(struct clock_update *update, const struct clock_sample *now)
{
	store(&update->page->rate, 0);
	update->anchor = update->next = *now;
}

static void update_locked(struct clock_update *update)
{
	struct clock_sample now;
	uint64_t measured;
	uint64_t rate;

	now.monotonic = sample_clock(CLOCK_MONOTONIC, &now.tsc);
	rate = measure_rate(update, &now);
	if (!rate) {
		if (load(&update->page->rate))
			restart(update, &now);
		return;
	}
	measured = min_u64(now.monotonic - update->anchor.monotonic, VALID_NS);
	publish(update->page, &now, rate,
		(uint64_t)(((__uint128_t)measured << CLOCK_PAGE_RATE_SHIFT) / rate));
	move_anchor(update, &now);
}

void clock_update(struct clock_update *update)
{
	uint64_t ns;

	pthread_mutex_lock(&update->lock);
	if (!clock_page_read(update->page, CLOCK_PAGE_MONOTONIC, &ns))
		update_locked(update);
	pthread_mutex_unlock(&update->lock);
}

void clock_update_init(struct clock_update *update, struct clock_page *page)
{
	struct timespec resolution = {0, 1};

	update->page = page;
	pthread_mutex_init(&update->lock, NULL);
	clock_getres(CLOCK_MONOTONIC_COARSE, &resolution);
	atomic_store_explicit(&page->coarse, (uint32_t)resolution.tv_nsec, memory_order_relaxed);
	update->anchor.monotonic = sample_clock(CLOCK_MONOTONIC, &update->anchor.tsc);
	update->next = update->anchor;
}

void clock_update_destroy(struct clock_update *update)
{
	pthread_mutex_destroy(&update->lock);
}
