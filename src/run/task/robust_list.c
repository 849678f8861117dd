/* SPDX-License-Identifier: MIT */
/*
 * The list of locks that a thread holds when it ends (get_robust_list(2)): each is marked as its
 * owner's having died, and one waiter is woken. The list is in the program's memory, so anything
 * may be in it.
 */
#include <linux/futex.h>

#include "run/task/futex.h"
#include "run/user/user.h"

/* Pointers carry in bit 0 whether the lock is one with priority inheritance. */
#define ENTRY_PI 1u

/* As in the program's memory. */
struct guest_robust_head {
	uint64_t next;
	int64_t futex_offset;
	uint64_t list_op_pending;
};

static void mark_dead(struct thread *thread, uint64_t address, bool pi, bool pending)
{
	struct mm_struct *mm = thread_mm(thread);
	struct user_pin pin;
	_Atomic uint32_t *word;
	uint32_t value, dead;
	bool wake;

	if (address % sizeof(uint32_t) || user_pin(mm, address, sizeof(uint32_t), true, &pin) != 0)
		return;
	word = (_Atomic uint32_t *)pin.vector[0].iov_base;
	value = atomic_load(word);
	do {
		/* Unlocked already, but not yet told to those who wait. */
		wake = pending && !pi && !(value & FUTEX_TID_MASK);
		if ((value & FUTEX_TID_MASK) != (uint32_t)thread->tid)
			break;
		wake = !pi && value & FUTEX_WAITERS;
		dead = (value & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
	} while (!atomic_compare_exchange_weak(word, &value, dead));
	user_unpin(mm, &pin, true);
	if (wake)
		futex_wake(thread, address, 1);
}

void futex_exit_robust_list(struct thread *thread)
{
	struct mm_struct *mm = thread_mm(thread);
	const uint64_t address = atomic_load_explicit(&thread->robust_list, memory_order_relaxed);
	struct guest_robust_head head;
	uint64_t pending, entry;

	if (!address || copy_from_user(mm, &head, address, sizeof(head)) != 0)
		return;
	pending = head.list_op_pending & ~(uint64_t)ENTRY_PI;
	entry = head.next;
	for (uint32_t i = 0; i < ROBUST_LIST_LIMIT && (entry & ~(uint64_t)ENTRY_PI) != address;
	     i++) {
		const uint64_t at = entry & ~(uint64_t)ENTRY_PI;
		const bool pi = entry & ENTRY_PI;
		uint64_t next;

		/* The lock is another thread's once it is marked: the list goes on here before. */
		if (copy_from_user(mm, &next, at, sizeof(next)) != 0)
			next = address;
		if (at != pending)
			mark_dead(thread, at + (uint64_t)head.futex_offset, pi, false);
		entry = next;
	}
	if (pending)
		mark_dead(thread, pending + (uint64_t)head.futex_offset,
			  head.list_op_pending & ENTRY_PI, true);
}
