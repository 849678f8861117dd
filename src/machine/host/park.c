/* SPDX-License-Identifier: MIT */
/*
 * Waiting and waking on Linux: the host's side of base/park.h, by futex. The words are private to
 * the process.
 */
#include "base/park.h"

#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Calls to quire_relax() in one wait before the CPU is offered to others. */
#define SPINS_BEFORE_YIELD 32

void quire_park(_Atomic uint32_t *word, uint32_t expected)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}

void quire_unpark(_Atomic uint32_t *word, uint32_t count)
{
	int wake = count > INT_MAX ? INT_MAX : (int)count;

	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, wake, NULL, NULL, 0);
}

void quire_relax(uint32_t spins)
{
	if (spins >= SPINS_BEFORE_YIELD) {
		sched_yield();
		return;
	}
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}
