/* SPDX-License-Identifier: MIT */
/*
 * Page tables that are in no mm any more, but that a machine may still know: a shadow of the
 * table's parent may go on pointing to the shadow of a table that is gone. Their frames wait here
 * until the machine has forgotten them all at once (machine.h, forget_tables). A machine without
 * that operation has nothing to forget, and the frames are freed at once.
 */
#ifndef QUIRE_CORE_PGTABLE_STALE_TABLES_H
#define QUIRE_CORE_PGTABLE_STALE_TABLES_H

#include "base/list.h"
#include "base/lock.h"
#include "base/types.h"

struct page;
struct quire;

/* L = lock. */
struct stale_tables {
	struct spinlock lock;
	struct list_head pages; /* L: by page->lru, a reference each */
	_Atomic uint64_t count; /* written under L */
};

void stale_tables_init(struct quire *quire);

/* The reference to a table that was part of an mm and has been taken out, all CPUs having been
 * revoked. No spin lock is held. */
void table_put(struct quire *quire, struct page *table);

/* Makes the machine forget all stale tables and frees them; the number. No spin lock is held. */
uint64_t forget_stale_tables(struct quire *quire);

#endif
