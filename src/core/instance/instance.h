/* SPDX-License-Identifier: MIT */
/*
 * struct quire: one instance of the virtual memory system: its frames, groups, files, swap, mms,
 * and settings.
 *
 * Locks: I = lock (LOCK_INSTANCE), A = atomic, C = constant after creation.
 */
#ifndef QUIRE_CORE_INSTANCE_INSTANCE_H
#define QUIRE_CORE_INSTANCE_INSTANCE_H

#include <quire/machine.h>
#include <quire/quire.h>

#include "base/prng.h"
#include "base/rbtree.h"
#include "base/stat.h"
#include "core/frame/frame.h"
#include "core/pgtable/stale_tables.h"
#include "core/reclaim/memcg.h"
#include "core/reclaim/swap.h"
#include "core/vma/mapping_stat.h"

struct swap_area;

enum quire_event {
	EVENT_FAULT,              /* faults handled */
	EVENT_FAULT_MAJOR,        /* of those, with I/O */
	EVENT_FAULT_AROUND,       /* pages mapped beside the faulting one */
	EVENT_COW_COPY,           /* private pages copied on a write */
	EVENT_COW_REUSE,          /* writes to a page found exclusive */
	EVENT_ZERO_PAGE,          /* reads served by the zero page */
	EVENT_FILE_READ,          /* pages read from stores */
	EVENT_FILE_WRITTEN,       /* pages written to stores */
	EVENT_READAHEAD,          /* of those read, ahead of need */
	EVENT_SWAP_IN,            /* pages */
	EVENT_SWAP_OUT,           /* pages */
	EVENT_SCANNED,            /* pages looked at by reclaim */
	EVENT_RECLAIMED,          /* pages freed by reclaim */
	EVENT_RECLAIM_DIRECT,     /* rounds in an allocation */
	EVENT_RECLAIM_BACKGROUND, /* rounds in balance_instance() */
	EVENT_REFAULT,            /* evicted pages that came back */
	EVENT_WORKINGSET,         /* of those, within the working set */
	EVENT_REVOKE,             /* calls of the machine's revoke */
	EVENT_WRITE_ERROR,        /* page writes that failed */
	EVENT_OOM,                /* verdicts */
	EVENT_ZERO_DROPPED,       /* anonymous pages of zeros, freed instead of swapped out */
	QUIRE_EVENTS
};

struct anon_vma;
struct charge_stock;
struct lru_batch;
struct memcg_table;

struct quire {
	const struct quire_params params; /* C: as given, defaults filled in */
	struct quire_machine *machine;    /* C */
	struct zone zone;
	struct stale_tables stale_tables;
	struct page *zero_page;        /* C: mapped wherever anonymous memory was only read */
	struct mem_cgroup *root_memcg; /* C */
	struct spinlock group_lock;    /* LOCK_GROUP: shape of the tree of groups */
	_Atomic uint64_t next_id;      /* A: ids of mms and groups */

	struct mutex lock;
	struct list_head mms; /* I */
	struct spinlock inodes_lock;
	struct list_head inodes;      /* inodes_lock */
	struct rb_root inode_tree;    /* inodes_lock: regular files by (dev, ino) */
	struct list_head idle_inodes; /* inodes_lock: regular files without users, oldest first */

	_Atomic(struct swap_area *) swap[MAX_SWAP_AREAS]; /* A: set once */
	_Atomic int64_t committed;                        /* A: pages */
	_Atomic uint64_t nr_dirty;                        /* A: dirty pages of regular files */
	_Atomic uint64_t nr_writeback;                    /* A: pages under writeback */
	_Atomic uint64_t nr_shadows;                      /* A: shadows in regular files */
	struct stat_counters events;                      /* A: enum quire_event */
	struct lru_batch *lru_batches;        /* C: core/reclaim, one for each thread slot */
	struct charge_stock *charge_stocks;   /* C: core/reclaim, one for each thread slot */
	struct memcg_table *memcgs;           /* C: core/reclaim, ids and memory of groups */
	struct spinlock anon_vma_lock;        /* LOCK_LEAF */
	struct anon_vma *anon_vma_free;       /* anon_vma_lock: memory of those not in use */
	struct spinlock mapping_lock;         /* LOCK_LEAF */
	struct rb_root mappings_kept;         /* mapping_lock: core/vma/mapping_stat.c */
	struct mapping_report mappings_other; /* mapping_lock: what is kept without a name */
	uint32_t nr_mappings_kept;            /* mapping_lock */
	struct spinlock prng_lock;
	struct prng prng; /* prng_lock */
};

static inline void count_event(struct quire *quire, enum quire_event event, int64_t n)
{
	stat_add(&quire->events, event, n);
}

static inline int64_t quire_now(struct quire *quire)
{
	return (int64_t)quire->machine->ops->now(quire->machine);
}

/* quire_create() and quire_destroy(), with -errno. */
QUIRE_MUST_CHECK int instance_create(struct quire_machine *machine,
				     const struct quire_params *params, struct quire **quire);
int instance_destroy(struct quire *quire);

/* Every structure of the instance; nothing else is under way. */
void instance_validate(struct quire *quire, struct check_report *report);

#endif
