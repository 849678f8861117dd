/* SPDX-License-Identifier: MIT */
/*
 * Counted failure injection: the Nth call at a kind of site fails, or every call from the Nth on.
 * Tests sweep N from 1 until a run reaches no failure.
 *
 * The counters are process-wide and atomic. When nothing is armed, quire_should_fail() costs one
 * relaxed load.
 */
#ifndef QUIRE_BASE_FAIL_H
#define QUIRE_BASE_FAIL_H

#include "base/types.h"

enum fail_site {
	FAIL_ALLOC,   /* metadata allocation (base/alloc.c) */
	FAIL_FRAME,   /* frame allocation (core/frame) */
	FAIL_STORE,   /* a store operation (store/inject_store.c) */
	FAIL_MACHINE, /* a machine operation that may fail */
	FAIL_SITES
};

/* Makes call number `nth` (1 is the next one) at `site` fail; with `from_then_on`, all later ones
 * too. 0 disarms. */
void quire_fail_arm(enum fail_site site, uint64_t nth, bool from_then_on);

/* Disarms all sites; says whether any injected failure was delivered since the last arming. */
bool quire_fail_disarm(void);

/* Calls at the site since it was armed, to know what a sweep has to cover. */
uint64_t quire_fail_calls(enum fail_site site);

extern _Atomic uint32_t quire_fail_armed;
bool quire_fail_slow(enum fail_site site);

static inline bool quire_should_fail(enum fail_site site)
{
	if (likely(!atomic_load_explicit(&quire_fail_armed, memory_order_relaxed)))
		return false;
	return quire_fail_slow(site);
}

#endif
