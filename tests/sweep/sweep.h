/* SPDX-License-Identifier: MIT */
/*
 * The failure sweep: what its scenarios share. A scenario is a fixed script of calls. It keeps a
 * model of what every page and file must hold, and each of its steps may meet an injected failure:
 *
 *   STEP(sweep, MAY_NOMEM, quire_munmap(mm, address, length) == 0);
 *
 * A step that fails must fail with an error that the API allows there, and only after a failure was
 * injected. Then injection ends, everything is checked and compared with the model, and the same
 * step must succeed. With failures "from then on", the step is first repeated while they last.
 */
#ifndef QUIRE_TESTS_SWEEP_SWEEP_H
#define QUIRE_TESTS_SWEEP_SWEEP_H

#include "base/fail.h"
#include "machine/soft/soft.h"

#include <quire/quire.h>

#define SWEEP_PAGES 64   /* of a region, at most */
#define SWEEP_REGIONS 48 /* in a scenario */
#define SWEEP_FILES 6
#define SWEEP_FILE_BYTES (SWEEP_PAGES * PAGE_SIZE)

enum allowed_error {
	MAY_NOMEM = 1,  /* ENOMEM; of an access: no memory, or an OOM verdict */
	MAY_IO = 2,     /* EIO; of an access: SIGBUS */
	MAY_FAULT = 4,  /* EFAULT: a buffer in an mm, or populating, met one of the two */
	MAY_AGAIN = 16, /* EAGAIN: what madvise(2) and mlock(2) say for ENOMEM */
	MAY_NOSPC = 8,  /* ENOSPC: a store without memory, an object that cannot be committed */
};

/* Contents of a page in the model: a byte that fills it, or one of these. */
enum page_value {
	VALUE_FILE = 0x100,  /* what the file holds there; beyond its end: SIGBUS */
	VALUE_GUARD = 0x101, /* an access fails */
	VALUE_ANY = 0x102,   /* not looked at */
};

/* A store in front of another one that outlives it, so that one can look what was written. */
struct kept_store {
	struct quire_store base;
	struct quire_store *inner;
	bool closed;
};

struct model_file {
	bool live;
	quire_file *file;
	struct quire_store *backing; /* holds what was written back; NULL: shmem */
	struct kept_store kept;      /* between it and the instance */
	uint64_t size;
	uint64_t uncertain_from; /* a call that failed may have changed what lies from here on */
	uint8_t bytes[SWEEP_FILE_BYTES];
};

struct region {
	bool live;
	bool shared;
	bool wiped;      /* in children */
	bool not_copied; /* to children */
	bool unreadable; /* not looked at while no access is allowed */
	quire_mm *mm;
	uint64_t address;
	uint32_t pages;
	struct model_file *file; /* NULL: anonymous private */
	uint64_t pgoff;
	uint16_t value[SWEEP_PAGES];
	uint16_t other[SWEEP_PAGES]; /* also right, while a step is under way */
};

struct sweep {
	const char *scenario;
	enum fail_site site;
	uint64_t nth;
	bool from_then_on;
	bool armed;
	bool delivered;    /* a failure was injected since the beginning */
	uint32_t attempts; /* of the present step, failed ones */
	uint32_t attempts_disarmed;
	bool abandon;
	struct quire_params params;
	uint64_t swap_pages;
	struct quire_machine *machine;
	struct quire *quire;
	struct soft_cpu *cpu;
	uint64_t frames_free; /* when the instance was new */
	struct region regions[SWEEP_REGIONS];
	struct model_file files[SWEEP_FILES];
};

struct scenario {
	const char *name;
	uint64_t memory;     /* bytes */
	uint64_t swap_pages; /* 0: none */
	const char *policy;
	void (*run)(struct sweep *sweep);
	bool abandon; /* it leaves its mms and files to quire_destroy() */
};

/* scenario_memory.c, scenario_places.c, scenario_file.c, scenario_pressure.c */
void scenario_anonymous(struct sweep *sweep);
void scenario_remap(struct sweep *sweep);
void scenario_advice(struct sweep *sweep);
void scenario_fork(struct sweep *sweep);
void scenario_file_mapping(struct sweep *sweep);
void scenario_file_calls(struct sweep *sweep);
void scenario_objects(struct sweep *sweep);
void scenario_exec(struct sweep *sweep);
void scenario_places(struct sweep *sweep);
void scenario_limits(struct sweep *sweep);
void scenario_abandon(struct sweep *sweep);
void scenario_swap(struct sweep *sweep);
void scenario_swap_fork(struct sweep *sweep);
void scenario_groups(struct sweep *sweep);

/* Ends the process with a message that says which run failed. */
__attribute__((noreturn, format(printf, 2, 3))) void sweep_die(struct sweep *sweep,
							       const char *format, ...);
/* A step failed with errno. Returns if it is to be tried again, dies if it may not fail so. */
void step_failed(struct sweep *sweep, const char *step, uint32_t allowed);

#define STEP(sweep, allowed, expression) \
	do { \
		(sweep)->attempts = (sweep)->attempts_disarmed = 0; \
		while (!(expression)) \
			step_failed((sweep), #expression, (allowed)); \
	} while (0)

#define EXPECT(sweep, expression) \
	do { \
		if (!(expression)) \
			sweep_die((sweep), "%s:%d: not so: %s", __FILE__, __LINE__, #expression); \
	} while (0)

/* The instance, with swap, and the end of it with all checks. */
void sweep_begin(struct sweep *sweep);
void sweep_end(struct sweep *sweep);

/* Compares everything with the model. Nothing is injected. */
void sweep_verify(struct sweep *sweep);

/* model_region.c */

quire_mm *model_mm(struct sweep *sweep, const char *name, quire_group *group);
quire_mm *model_fork(struct sweep *sweep, quire_mm *parent, const char *name);
void model_exit(struct sweep *sweep, quire_mm *mm);
struct region *model_map(struct sweep *sweep, quire_mm *mm, uint32_t pages, int prot, int flags,
			 struct model_file *file, uint64_t pgoff);
/* The region becomes known at an address where it is mapped already. */
struct region *model_region(struct sweep *sweep, quire_mm *mm, uint64_t address, uint32_t pages);
void model_unmap(struct sweep *sweep, struct region *region, uint32_t first, uint32_t pages);
/* The program stores the byte all over the page. */
void model_fill(struct sweep *sweep, struct region *region, uint32_t page, uint8_t byte);
/* The program reads the page, which must hold what the model says. */
void model_read(struct sweep *sweep, struct region *region, uint32_t page);
/* What the pages may hold instead if the next step succeeds; model_commit() once it has. */
void model_propose(struct region *region, uint32_t first, uint32_t pages, uint16_t value);
void model_commit(struct region *region);
void model_verify_region(struct sweep *sweep, struct region *region);

/* model_file.c */

/* A regular file of `pages` pages whose contents are made of `tag`, on a memory store behind an
 * injecting one. */
struct model_file *model_open(struct sweep *sweep, uint64_t inode, uint32_t pages, uint8_t tag);
struct model_file *model_memfd(struct sweep *sweep, uint32_t pages);
struct model_file *model_shm(struct sweep *sweep, uint32_t pages);
/* The store with injection in front of it. */
struct quire_store *model_store(struct sweep *sweep, struct quire_store *inner);
/* The object of a shared anonymous mapping: has no handle. */
struct model_file *model_shared_object(struct sweep *sweep, uint32_t pages);
void model_write(struct sweep *sweep, struct model_file *file, uint64_t offset, uint64_t bytes,
		 uint8_t byte);
void model_truncate(struct sweep *sweep, struct model_file *file, uint64_t size);
void model_punch(struct sweep *sweep, struct model_file *file, uint64_t offset, uint64_t bytes);
void model_close(struct sweep *sweep, struct model_file *file);
void model_verify_file(struct sweep *sweep, struct model_file *file);
/* All is written back: the store holds what the model says. */
void model_verify_backing(struct sweep *sweep, struct model_file *file);
/* The instance is gone. */
void model_end_file(struct sweep *sweep, struct model_file *file);

#endif
