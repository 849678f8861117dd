/* SPDX-License-Identifier: MIT */
/*
 * The slow path of counted failure injection (base/fail.h): reached only while some site is armed.
 */
#include "base/fail.h"

#include "base/check.h"

/* All fields are atomic; arming while other threads pass the site is allowed, they then see the old
 * or the new setting. */
struct fail_state {
	_Atomic uint64_t nth; /* 0: not armed */
	_Atomic uint64_t calls;
	_Atomic bool from_then_on;
};

/* Bit per site. */
_Atomic uint32_t quire_fail_armed;

static struct fail_state states[FAIL_SITES];
static _Atomic bool delivered;

void quire_fail_arm(enum fail_site site, uint64_t nth, bool from_then_on)
{
	struct fail_state *state = &states[site];

	QUIRE_ASSERT(1, site < FAIL_SITES);
	atomic_fetch_and(&quire_fail_armed, ~(1u << site));
	atomic_store(&delivered, false);
	atomic_store(&state->calls, 0);
	atomic_store(&state->from_then_on, from_then_on);
	atomic_store(&state->nth, nth);
	if (nth)
		atomic_fetch_or(&quire_fail_armed, 1u << site);
}

bool quire_fail_disarm(void)
{
	atomic_store(&quire_fail_armed, 0);
	return atomic_load(&delivered);
}

uint64_t quire_fail_calls(enum fail_site site)
{
	return atomic_load(&states[site].calls);
}

bool quire_fail_slow(enum fail_site site)
{
	struct fail_state *state = &states[site];

	if (!(atomic_load(&quire_fail_armed) & (1u << site)))
		return false;

	uint64_t call = atomic_fetch_add(&state->calls, 1) + 1;
	uint64_t nth = atomic_load(&state->nth);

	if (call != nth && !(call > nth && atomic_load(&state->from_then_on)))
		return false;
	atomic_store(&delivered, true);
	return true;
}
