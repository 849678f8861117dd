/* SPDX-License-Identifier: MIT */
/*
 * Changes of a regular file's store that are made past the cache: somebody else (a system call of
 * the host, say) writes, cuts or rearranges the store, and the cache follows.
 *
 * All of it stands between bypass_begin() and bypass_end(), which keep other changes of the file
 * out, and anybody from bringing pages into the cache. Pages that are cached stay usable meanwhile:
 * programs may load from them and store to them. So what a change does to a page that stays cached
 * is done to the very bytes that changed, under the page lock, which also keeps a write of that
 * page from passing the change.
 *
 * Whoever calls these holds no lock, and the data that he writes lies in memory of his own: a fault
 * in between could wait for the caller.
 */
#ifndef QUIRE_CORE_FILE_BYPASS_H
#define QUIRE_CORE_FILE_BYPASS_H

#include "core/file/address_space.h"

/* Pages that one change may touch in part or as a whole and leave cached. */
#define BYPASS_PAGES 65

/* A stretch of the file whose cached pages are held, or looked at. */
struct bypass_range {
	struct inode *inode;
	uint64_t offset, bytes;
	uint32_t nr_pages;
	struct page *pages[BYPASS_PAGES];
};

void bypass_begin(struct inode *inode);
void bypass_end(struct inode *inode);

/*
 * The store is about to get other bytes in the range (at most BYPASS_PAGES pages): its cached pages
 * are locked. Then `done` bytes from the range's start on are `data` now (NULL: zeroes), and the
 * store has at least that size. Nothing has changed when `done` is 0.
 */
void bypass_write_begin(struct bypass_range *range);
void bypass_write_end(struct bypass_range *range, const void *data, uint64_t done);

/*
 * The store's size is about to become `size`: no write of a page beyond it is under way, or begins.
 * Afterwards the cache follows the size that the store has (the previous one: nothing came of it).
 * begin() returns the previous size, for end().
 */
uint64_t bypass_truncate_begin(struct inode *inode, uint64_t size);
void bypass_truncate_end(struct inode *inode, uint64_t previous, uint64_t size);
/* Somebody may have changed the store's size. */
void bypass_size_changed(struct inode *inode);

/*
 * Writes back the pages [first, last] and takes them out of the cache and of all mappings (not
 * private copies): the store is about to have, or has, other contents there. 0; or the error of
 * writing, and dirty pages that could not be written are still there.
 */
QUIRE_MUST_CHECK int bypass_drop(struct inode *inode, pgoff_t first, pgoff_t last);
/* The same for what is clean and can be had at once: the store was changed by others. */
void bypass_drop_clean(struct inode *inode);

/*
 * Regular files without users whose pages stayed: asks about each, with an inode that nobody else
 * may be using any more; those that are not wanted are written back, and go. How many went.
 */
uint32_t bypass_evict_idle(struct quire *quire, bool (*wanted)(struct inode *inode, void *context),
			   void *context);

/*
 * For reading past the cache, without bypass_begin(): the pages of the range (at most BYPASS_PAGES)
 * that may be newer than the store are held by a reference, and after the read their bytes replace
 * what the store gave, `done` bytes from the range's start on. True: there are such pages, and
 * bypass_read_end() must follow. bypass_newer_than_store(): whether any page of the file may be.
 */
bool bypass_newer_than_store(struct inode *inode);
bool bypass_read_begin(struct bypass_range *range);
void bypass_read_end(struct bypass_range *range, void *data, uint64_t done);

#endif
