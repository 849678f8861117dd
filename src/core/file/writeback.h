/* SPDX-License-Identifier: MIT */
/*
 * Writeback: dirty pages of regular files go to their stores, in file order, by range, by age, or
 * because too many are dirty.
 *
 * A page whose write fails is dirty again when its writeback ends, and the error is noted in
 * mapping->wb_err (base/errseq.h), from where each opener hears of it once. It is never dropped for
 * the error.
 */
#ifndef QUIRE_CORE_FILE_WRITEBACK_H
#define QUIRE_CORE_FILE_WRITEBACK_H

#include "core/file/address_space.h"

struct writeback_control {
	uint64_t start, end;    /* bytes, inclusive; 0 and UINT64_MAX: all */
	uint64_t nr_to_write;   /* pages at most; UINT64_MAX: all */
	bool sync;              /* wait for the writes (and for those already under way) */
	int64_t dirtied_before; /* only files dirty since before this time, ns; 0: any */
	uint64_t written;       /* out: pages submitted */
};

/* 0, or the first error of a submission or, with sync, of a write. */
QUIRE_MUST_CHECK int writeback_mapping(struct address_space *mapping,
				       struct writeback_control *control);
/* All files of the instance, oldest dirty first. */
QUIRE_MUST_CHECK int writeback_instance(struct quire *quire, struct writeback_control *control);
/*
 * One locked dirty page (reclaim): starts its write and unlocks it. Dirty pages right beside it
 * that can be locked at once go with it, in the same request. -EIO etc.: still dirty, unlocked.
 */
QUIRE_MUST_CHECK int writeback_around_page(struct page *page);
/*
 * Called by who dirties pages, with no page locked: starts writeback when the instance's dirty
 * pages pass the background ratio, waits for some beyond the hard one. A call does it after
 * writing; a fault before it allows the store, since writing the page again would forbid it, for
 * ever if the store keeps failing.
 */
void balance_dirty_pages(struct address_space *mapping);

#endif
