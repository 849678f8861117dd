/* SPDX-License-Identifier: MIT */
/*
 * What base needs of the host to wait: supplied once by the machine layer (src/machine/host/park.c,
 * futex), or by a test. Thread slots stand here too, as waiting and per-thread data go together;
 * they need no host.
 */
#ifndef QUIRE_BASE_PARK_H
#define QUIRE_BASE_PARK_H

#include "base/types.h"

/* Sleeps while *word == expected; may return early for no reason, callers loop. */
void quire_park(_Atomic uint32_t *word, uint32_t expected);

/* Wakes at most `count` threads parked on the word (UINT32_MAX: all). */
void quire_unpark(_Atomic uint32_t *word, uint32_t count);

/* A hint that the thread is spinning; after a while it may give up the CPU. `spins` counts the
 * calls in one wait. */
void quire_relax(uint32_t spins);

#define QUIRE_THREAD_SLOTS 16

/* Thread-local data that every fault reads: found at a fixed offset, without a call, in a shared
 * library too. */
#define QUIRE_FAST_TLS __attribute__((tls_model("initial-exec")))

extern _Thread_local uint32_t quire_thread_slot_plus_one QUIRE_FAST_TLS;
uint32_t quire_thread_slot_assign(void);

/*
 * The calling thread's slot, 0 to QUIRE_THREAD_SLOTS - 1: threads get slots in turn at their first
 * call, and share them when there are more threads than slots. For per-thread caches and counters,
 * each of which is guarded or atomic.
 */
static inline uint32_t quire_thread_slot(void)
{
	uint32_t slot_plus_one = quire_thread_slot_plus_one;

	if (likely(slot_plus_one))
		return slot_plus_one - 1;
	return quire_thread_slot_assign();
}

/* Slots handed out so far: those from this number on have never been used by any thread. */
uint32_t quire_thread_slots_used(void);

#endif
