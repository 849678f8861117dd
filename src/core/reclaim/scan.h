/* SPDX-License-Identifier: MIT */
/*
 * One reclaim: what it is after and how far it got. Shared by vmscan.c, which chooses where to
 * look, and shrink_page.c, which gets rid of a page.
 */
#ifndef QUIRE_CORE_RECLAIM_SCAN_H
#define QUIRE_CORE_RECLAIM_SCAN_H

#include "core/reclaim/swap.h"
#include "core/reclaim/vmscan.h"

#define SCAN_BATCH 32
/* Lists are scanned by 1 / 2^priority of their size, more of it each time. */
#define DEF_PRIORITY 12

struct revoke_batch;

struct scan_control {
	struct quire *quire;
	struct mem_cgroup *target;
	uint64_t nr_to_reclaim;
	uint64_t nr_reclaimed;
	int priority;
	bool may_swap;                /* there is a place for anonymous pages */
	bool avoid_anon;              /* swappiness 0, and there are file pages */
	bool last_resort;             /* evict what is in use too, wait for reverse maps */
	bool once;                    /* neither wait nor take what is in use */
	bool wait_writeback;          /* nothing else is left: wait for pages under writeback */
	uint64_t nr_writeback;        /* pages met that are under writeback */
	uint64_t nr_busy;             /* pages met that somebody had locked */
	struct swap_plug plug;        /* empty but within shrink_pages() */
	struct revoke_batch *revokes; /* within shrink_pages(); NULL: nothing is put off */
};

/*
 * Gets rid of isolated pages, linked by lru, or puts them back on their lists; the references of
 * the isolation are used up. Pages that had to be written, and are by the end of the batch, are
 * freed, too.
 */
void shrink_pages(struct list_head *pages, struct scan_control *control);

#endif
