/* SPDX-License-Identifier: MIT */
/*
 * soft.h - the soft machine: CPUs in software that walk Quire's page tables, each with a TLB of its
 * own. For simulators, emulators, tests and teaching: it runs anywhere and needs no privileges.
 *
 * A CPU executes nothing; its owner calls it for each access of the program that it simulates.
 * Accesses are checked, faults are served by Quire, accessed and dirty bits are set in the page
 * table as a CPU sets them.
 *
 * A CPU belongs to the thread that last called quire_cpu_switch() on it, and only that thread uses
 * it. Different CPUs run side by side.
 */
#ifndef QUIRE_SOFT_H
#define QUIRE_SOFT_H

#include <quire/quire.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct soft_cpu quire_cpu;

/* Zero is the default. `size` must be sizeof(struct quire_soft_params). */
struct quire_soft_params {
	size_t size;
	bool real_clock; /* the host's monotonic clock; else a count that is the same in each run */
	bool populate;   /* the arena gets its memory at once */
};

/*
 * A machine for any number of instances. `params` NULL: all defaults. 0, or -1 with errno ENOMEM,
 * EINVAL (size).
 */
int quire_soft_machine_create(const struct quire_soft_params *params,
			      struct quire_machine **machine);
/* All its instances and CPUs are gone. */
void quire_soft_machine_destroy(struct quire_machine *machine);

/* A CPU that runs no address space, owned by the calling thread. 0, or -1 with errno ENOMEM. */
int quire_cpu_create(struct quire_machine *machine, quire_cpu **cpu);
void quire_cpu_destroy(quire_cpu *cpu);
/* The CPU runs `mm` from now on (NULL: none). To be called with another before `mm` exits or execs.
 */
void quire_cpu_switch(quire_cpu *cpu, quire_mm *mm);

/* Why an access stopped. */
struct quire_trap {
	enum quire_signal signal;
	uint64_t address; /* si_addr: the first byte that could not be accessed */
	uint64_t done;    /* bytes before it that were */
};

/*
 * Accesses of any length and alignment. 0; or -1 with *trap filled in and errno EFAULT (the program
 * gets trap->signal), or ENOMEM (there is no memory, and the verdict fell on another address space:
 * end that one and try again). What a store did before the fault stays done. Each page's bytes are
 * accessed as one; aligned 8-byte accesses are atomic.
 */
int quire_cpu_load(quire_cpu *cpu, uint64_t address, void *buffer, uint64_t bytes,
		   struct quire_trap *trap);
int quire_cpu_store(quire_cpu *cpu, uint64_t address, const void *buffer, uint64_t bytes,
		    struct quire_trap *trap);
/* As a load, with the permission to execute. */
int quire_cpu_fetch(quire_cpu *cpu, uint64_t address, void *buffer, uint64_t bytes,
		    struct quire_trap *trap);
/*
 * Atomic operations on 1, 2, 4 or 8 bytes, sequentially consistent; also errno EINVAL: another
 * size, or an address that is not a multiple of it. quire_cpu_cmpxchg() stores `desired` if the
 * memory holds *expected, which becomes what it held.
 */
int quire_cpu_cmpxchg(quire_cpu *cpu, uint64_t address, uint32_t size, uint64_t *expected,
		      uint64_t desired, struct quire_trap *trap);
/* Adds *value, which becomes what the memory held. */
int quire_cpu_fetch_add(quire_cpu *cpu, uint64_t address, uint32_t size, uint64_t *value,
			struct quire_trap *trap);

#ifdef __cplusplus
}
#endif

#endif
