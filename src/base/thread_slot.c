/* SPDX-License-Identifier: MIT */
/*
 * Hands thread slots out in turn (base/park.h).
 */
#include "base/park.h"

_Thread_local uint32_t quire_thread_slot_plus_one QUIRE_FAST_TLS;

static _Atomic uint32_t next_slot;

uint32_t quire_thread_slot_assign(void)
{
	/* Sequentially consistent: see percpu_rwlock.c, whose writers look at the slots used. */
	uint32_t turn = atomic_fetch_add(&next_slot, 1);
	uint32_t slot = turn % QUIRE_THREAD_SLOTS;

	quire_thread_slot_plus_one = slot + 1;
	return slot;
}

uint32_t quire_thread_slots_used(void)
{
	uint32_t turns = atomic_load(&next_slot);

	return turns < QUIRE_THREAD_SLOTS ? turns : QUIRE_THREAD_SLOTS;
}
