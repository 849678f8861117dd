/* SPDX-License-Identifier: MIT */
/*
 * What the units of core/file share with each other and with nobody else.
 */
#ifndef QUIRE_CORE_FILE_INTERNAL_H
#define QUIRE_CORE_FILE_INTERNAL_H

#include "core/file/filemap.h"

struct quire;

/* Pages that a walk over i_pages takes out of the lock at a time. */
#define PAGEVEC_SIZE 32

/* Pages of the file, the last one perhaps in part. */
static inline uint64_t i_size_pages(const struct inode *inode)
{
	return (i_size_read(inode) + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

static inline void i_size_write(struct inode *inode, uint64_t size)
{
	atomic_store_explicit(&inode->i_size, size, memory_order_release);
}

static inline struct quire_store *inode_store(const struct inode *inode)
{
	return atomic_load_explicit(&inode->store, memory_order_acquire);
}

/* filemap.c */

/* Under X: sets PG_dirty with its mark and counts. True when the page was clean. */
bool mapping_mark_dirty(struct address_space *mapping, struct page *page);
/* The page is locked, cleaned for I/O and not under writeback: it is from now on, until a request
 * with it is done. */
void set_page_writeback(struct address_space *mapping, struct page *page);
/* A request of writeback, or a sync, failed. */
void mapping_note_error(struct address_space *mapping, int error);
/* filemap_add_page() with the choice of how hard the charge tries. */
QUIRE_MUST_CHECK int filemap_add_page_gfp(struct page *page, struct address_space *mapping,
					  pgoff_t index, struct mem_cgroup *memcg, uint32_t gfp);
/* A page is there, uptodate or not. */
bool filemap_cached(struct address_space *mapping, pgoff_t index);
/*
 * Up to PAGEVEC_SIZE pages of [*index, last] that carry the mark (XA_PRESENT: all), each with a
 * reference; *index moves behind the last one.
 */
uint32_t filemap_get_batch(struct address_space *mapping, pgoff_t *index, pgoff_t last,
			   enum xa_mark mark, struct page **pages);
/* Locks a page that was found with a reference. False: it left the cache meanwhile, and is not
 * locked. */
bool filemap_lock_page(struct address_space *mapping, struct page *page);

/* inode.c */

/* The inode after `previous` (NULL: the first) in the instance's list, with a reference; drops that
 * of `previous`. NULL: the end. Inodes made meanwhile are met. */
struct inode *inode_next(struct quire *quire, struct inode *previous);

/* The next regular file without users, in the order of creation, with a reference; drops that of
 * `previous` (NULL: from the first). Those made after `last` (quire->next_id) are left out. */
struct inode *inode_next_idle(struct quire *quire, struct inode *previous, uint64_t last);

/* filemap_get.c */

/* A fresh page, locked, in the cache at `index`, with a reference for the caller; not uptodate.
 * 0, -EEXIST, -ENOMEM. */
QUIRE_MUST_CHECK int filemap_create_page(struct address_space *mapping, pgoff_t index,
					 struct mem_cgroup *memcg, uint32_t gfp,
					 struct page **page);

/* shadow.c */

/* Under X, a page of a regular file is about to leave `shadow`: returns it, counted, or NULL: there
 * is no room for it. May erase other shadows of the file. */
void *shadow_admit(struct address_space *mapping, void *shadow);
/* Under X: a shadow of a regular file is being erased or replaced by its page. */
void shadow_uncount(struct address_space *mapping);
/* The file's last handle is gone: forgets its shadows when others need the room. */
void mapping_forget_shadows(struct address_space *mapping);

/* truncate.c */

/* After this no write of a page from `first` on is under way, nor begins one by the old size. */
void settle_writeback(struct address_space *mapping, pgoff_t first);
/* Unmaps and drops every page that lies beyond `size`, private copies too. V held for writing. */
void drop_beyond(struct address_space *mapping, uint64_t size);

/* Zeroes from byte `size` to the end of its page, if that is cached: before the file grows past it,
 * or after it was cut there. */
void zero_cached_tail(struct address_space *mapping, uint64_t size);
/* Makes [from, to) of one page read as zero, as part of the file's contents. 0, or an error of
 * bringing the page in. R held. */
QUIRE_MUST_CHECK int zero_page_range(struct address_space *mapping, uint64_t from, uint64_t to);
/* The file of a store grows to `size` with a hole before it. R held. 0 or the store's error. */
QUIRE_MUST_CHECK int inode_extend(struct inode *inode, uint64_t size);

#endif
