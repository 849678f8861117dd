/* SPDX-License-Identifier: MIT */
/*
 * The stress test: what its two files share. Each worker is a thread with a CPU of its own; it owns
 * regions in its address space and pages of the shared file, of which it always knows what they
 * hold. What threads share are the address spaces, frames, swap, files, and counters that the CPUs
 * change by atomic operations.
 */
#ifndef QUIRE_TESTS_STRESS_STRESS_H
#define QUIRE_TESTS_STRESS_STRESS_H

#include "base/fail.h"
#include "base/prng.h"
#include "machine/soft/soft.h"

#include <pthread.h>
#include <quire/quire.h>

#define STRESS_THREADS_MAX 16
#define STRESS_REGIONS 3       /* of a worker */
#define STRESS_REGION_PAGES 40 /* at most */
#define STRESS_COUNTERS 64
#define STRESS_FILE_PAGES 96 /* and one more, of counters */
#define STRESS_CUT_PAGES 64

/* What kind of page holds the counters. */
enum stress_counters {
	COUNTERS_SHARED,  /* shared anonymous memory: one page for both mms */
	COUNTERS_PRIVATE, /* private memory: one page for each, which their threads share */
	COUNTERS_FILE,    /* a page of the shared file */
	STRESS_COUNTER_KINDS
};

#define TAG_UNKNOWN 0x100 /* given up by MADV_FREE: old contents or zero */

/* What all workers see; constant while they run, but for `failed`. */
struct stress {
	struct quire_machine *machine;
	struct quire *quire;
	uint32_t threads;
	uint64_t operations; /* of each */
	uint64_t seed;
	bool host_files;           /* hold files and swap */
	bool eager;                /* see stress.c */
	bool failures;             /* are injected while the workers run */
	_Atomic uint64_t failed;   /* calls and accesses */
	pthread_barrier_t barrier; /* of the workers, after their operations */
	uint64_t frames;           /* bytes of them */
	quire_mm *mms[2];
	struct quire_store *store; /* of `file` */
	quire_file *file;          /* each page belongs to a worker */
	quire_file *cut;    /* is truncated and extended all the time; holds zeroes and 0xcc */
	quire_file *memory; /* memfd: as `cut` */
	/* Addresses of STRESS_COUNTERS words each, in both mms. */
	uint64_t counters[STRESS_COUNTER_KINDS];
	uint64_t file_map; /* addresses of the three, shared, in both mms */
	uint64_t cut_map;
	uint64_t memory_map;
};

struct stress_region {
	uint64_t address; /* 0: not mapped */
	uint32_t pages;
	bool read_only;
	uint16_t tag[STRESS_REGION_PAGES];
};

/* Owned by its thread. */
struct worker {
	struct stress *stress;
	uint32_t number;
	struct prng prng;
	quire_mm *mm;
	quire_mm *child;                   /* forked off earlier, or NULL */
	struct stress_region child_region; /* what one of the regions held then */
	struct soft_cpu *cpu;
	uint64_t operation;
	uint64_t increments[STRESS_COUNTER_KINDS];
	struct stress_region regions[STRESS_REGIONS];
	uint8_t file_tag[STRESS_FILE_PAGES]; /* of the pages that are this worker's */
};

__attribute__((noreturn, format(printf, 2, 3))) void stress_die(const struct worker *worker,
								const char *format, ...);
#define STRESS_EXPECT(worker, expression) \
	do { \
		if (!(expression)) \
			stress_die((worker), "%s:%d: not so: %s", __FILE__, __LINE__, \
				   #expression); \
	} while (0)

/* A call failed, with errno: returns if that is due to injected failures, which end here. */
void stress_failed(const struct worker *worker, const char *call);
/* A call that must succeed, after failures at most. */
#define STRESS_CALL(worker, expression) \
	do { \
		while (!(expression)) \
			stress_failed((worker), #expression); \
	} while (0)

/* All operations of a worker; ends with nothing mapped by it and no child. (stress_worker.c) */
void worker_run(struct worker *worker);

#endif
