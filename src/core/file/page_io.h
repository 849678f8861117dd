/* SPDX-License-Identifier: MIT */
/*
 * Transfers of cached pages between i_pages and the store: runs of consecutive pages become one
 * request of many segments, so that a window of readahead or a run of dirty pages is one call of
 * the store.
 *
 * A page that is read stays locked until its data is there, or the read failed: then it is not
 * uptodate. A page that is written has PG_writeback until then. The store may call back on any
 * thread, also before submit() returns; what happens there only takes spinlocks: it sets flags,
 * counts, unlocks and wakes. It never drops a page's last reference, as the cache keeps one while
 * the page is locked or under writeback; and it looks at the address_space only before the last
 * page of the request is released, since after that nothing keeps the inode alive.
 */
#ifndef QUIRE_CORE_FILE_PAGE_IO_H
#define QUIRE_CORE_FILE_PAGE_IO_H

#include "core/file/address_space.h"

#define PAGE_IO_MAX 256

/* One request. O = owner before submission, then whoever completes it. */
struct page_io {
	struct quire_request request;  /* O */
	struct address_space *mapping; /* C */
	uint32_t capacity;             /* C: segments */
	bool waited;                   /* C: the submitter waits and owns the memory */
	int error;                     /* O; of a waited one: read once it finished */
	_Atomic uint32_t finished;     /* A: of a waited one */
	struct quire_segment one;      /* the only segment when capacity is 1 */
};

/*
 * A sequence of pages on their way: collects consecutive ones and submits them when the next page
 * is not the next one, or the request is full. Memory for requests may run out: then each page goes
 * by itself, and is waited for.
 */
struct page_io_batch {
	struct address_space *mapping;
	enum quire_direction direction;
	uint32_t limit; /* pages in a request, at most PAGE_IO_MAX */
	struct page_io *io;
	int error; /* first error of a submission, or of a page that went by itself */
};

/*
 * Adds a page with its first `bytes` bytes: for a read it is locked, and the lock goes with it; for
 * a write it is under writeback and unlocked.
 */
void page_io_batch_add(struct page_io_batch *batch, struct page *page, uint64_t bytes);
/* Starts what is collected. */
void page_io_batch_submit(struct page_io_batch *batch);

/* Reads or writes one page and waits for the end. The lock or writeback flag is given back. 0 or
 * -errno. */
QUIRE_MUST_CHECK int page_io_wait(struct address_space *mapping, enum quire_direction direction,
				  struct page *page, uint64_t bytes);

#endif
