/* SPDX-License-Identifier: MIT */
/*
 * What the files of the soft machine share.
 */
#ifndef QUIRE_MACHINE_SOFT_INTERNAL_H
#define QUIRE_MACHINE_SOFT_INTERNAL_H

#include "base/lock.h"
#include "machine/soft/soft.h"

#include <errno.h>

struct soft_machine {
	struct quire_machine machine;
	struct soft_params params; /* C; `fenced` also where membarrier is refused */
	_Atomic uint64_t clock;    /* A: ns, unless real_clock */
};

/* The machine's part of an mm. */
struct soft_mm {
	struct spinlock lock;
	struct list_head cpus; /* L: CPUs that run this mm */
};

/* A different address in each thread. */
const void *soft_thread_identity(void);

/* Interrupts all other threads of the process that run, so that each passes a full barrier. */
void soft_barrier_all_threads(void);
/* Whether that is to be had. */
bool soft_barrier_available(void);

/*
 * Enters an access to the page of `address` and translates it. The host address of the byte, with
 * the CPU inside (soft_leave() ends it). 0: a fault that Quire could not serve; *outcome has signal
 * and address, and the CPU is not inside.
 */
uint64_t soft_translate(struct soft_cpu *cpu, uint64_t address, int access,
			struct soft_outcome *outcome);

/* What an access returns that stopped there, `done` bytes having been accessed. */
static inline int soft_stopped(struct soft_outcome *outcome, uint64_t done)
{
	outcome->done = done;
	return outcome->signal == QUIRE_SIGNAL_NONE ? -ENOMEM : -EFAULT;
}

void soft_revoke(struct quire_machine *machine, void *context, const struct quire_revoke *revoke);

#endif
