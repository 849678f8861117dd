/* SPDX-License-Identifier: MIT */
/*
 * The page cache: finding, filling, dirtying, removing pages of an address_space, and the file
 * calls over them.
 *
 * Who makes a page `uptodate` holds its lock meanwhile. A page found uptodate with a reference may
 * be read at any time; who maps it or changes its place in the cache takes the page lock and looks
 * at page->mapping again.
 */
#ifndef QUIRE_CORE_FILE_FILEMAP_H
#define QUIRE_CORE_FILE_FILEMAP_H

#include "core/file/address_space.h"

struct vm_area_struct;
struct vm_fault;

/* On whose behalf a page is looked for. */
struct filemap_context {
	struct mem_cgroup *memcg; /* charged for pages brought in */
	struct file_ra_state *ra; /* NULL: no readahead */
	uint64_t vm_flags;        /* VM_RAND_READ, VM_SEQ_READ of a fault's VMA; 0 for file calls */
	bool mmap;                /* from a fault */
	bool *major;              /* set when I/O was needed; may be NULL */
	uint64_t pages;           /* wanted from the page on, for the size of the window; 0: one */
};

/* The page at `index` with a reference when it is cached (uptodate or not), or NULL. */
struct page *filemap_lookup(struct address_space *mapping, pgoff_t index);

/*
 * The uptodate page at `index`, with a reference, not locked; read in, with readahead, when need be
 * (regular file) or swapped in or made zero (shmem). `index` beyond the end of the file: -EFAULT
 * (callers turn it into SIGBUS or a short read). -ENOMEM, -EIO or the store's error.
 */
QUIRE_MUST_CHECK int filemap_get_page(struct address_space *mapping, pgoff_t index,
				      const struct filemap_context *context, struct page **page);

/* Adds a locked page, with a reference of the cache's own; charges it unless it is, and puts it on
 * the lists. 0, -EEXIST, -ENOMEM. */
QUIRE_MUST_CHECK int filemap_add_page(struct address_space *mapping, struct page *page,
				      pgoff_t index, struct mem_cgroup *memcg);
/*
 * Takes a locked, unmapped page out of the cache, leaving `value` (a shadow or swap entry as xarray
 * value, or NULL) in its place. Drops the cache's reference; the caller has its own. What was dirty
 * is forgotten, except in a shmem page that goes to swap.
 */
void filemap_remove_page(struct page *page, void *value);
/* As above, only if nobody but the caller (one reference) and the cache refers to it and it is
 * clean; for reclaim. False: still in use. */
bool filemap_remove_if_unused(struct page *page, void *value);

/* The caller holds the page lock, or the lock of a page-table entry that maps it. True when it was
 * clean. */
bool set_page_dirty(struct page *page);
/* Under the page lock: the page is about to be written: cleans it and write-protects its mappings.
 * True when it was dirty. */
bool clear_page_dirty_for_io(struct page *page);

/* Cached, uptodate; of shmem also in the swap cache: for mincore. */
bool filemap_resident(struct address_space *mapping, pgoff_t index);

/*
 * File calls, with a buffer of Quire's own (`buffer` in the caller's memory). Bytes done, or
 * -errno: -EBADF (mode), -EINVAL (offset overflows), -EFBIG, -EIO and other errors of the store,
 * -ENOMEM, -EPERM (seals), -ENOSPC.
 */
int64_t filemap_read(struct file *file, struct mem_cgroup *memcg, void *buffer, uint64_t bytes,
		     uint64_t offset);
int64_t filemap_write(struct file *file, struct mem_cgroup *memcg, const void *buffer,
		      uint64_t bytes, uint64_t offset);
/* The same with a buffer at `address` of an mm: -EFAULT where that has no memory, after what could
 * be done. mmap_lock not held. */
int64_t filemap_read_user(struct file *file, struct mm_struct *mm, uint64_t address, uint64_t bytes,
			  uint64_t offset);
int64_t filemap_write_user(struct file *file, struct mm_struct *mm, uint64_t address,
			   uint64_t bytes, uint64_t offset);

/* ftruncate: sets the size, unmaps and drops pages beyond it, zeroes the tail of the last page.
 * -EINVAL, -EBADF, -EFBIG, -EPERM (seals), store's errors. */
QUIRE_MUST_CHECK int file_truncate(struct file *file, uint64_t size);
/* fallocate(PUNCH_HOLE|KEEP_SIZE): the range reads as zero in file and mappings; pages at the edges
 * are zeroed in part. */
QUIRE_MUST_CHECK int file_punch_hole(struct file *file, uint64_t offset, uint64_t bytes);
/* Writes dirty pages of [start, end] (bytes, inclusive), waits, syncs the store; reports an error
 * once to this opener. */
QUIRE_MUST_CHECK int vfs_fsync_range(struct file *file, uint64_t start, uint64_t end);

/* Drops the pages [first, last] of the cache (and shmem's swap entries and shadows); pages still
 * mapped are unmapped here, private copies are the caller's. V held for writing. */
void truncate_inode_pages(struct address_space *mapping, pgoff_t first, pgoff_t last);
/* Drops of the pages [first, last] those that are clean, in no mapping and can be locked at once:
 * nothing is lost by it. How many. */
uint64_t invalidate_mapping_pages(struct address_space *mapping, pgoff_t first, pgoff_t last);

/*
 * Fault support (core/fault calls them). filemap_map_pages() maps what is cached and uptodate of
 * the pages around the fault, never waiting and never allocating a frame, and says whether the
 * faulting one is among them.
 */
bool filemap_map_pages(struct vm_fault *vmf, pgoff_t first, pgoff_t last);

/* Starts reading [index, index + pages) into the cache, what is swapped of shmem into the swap
 * cache, without waiting: MADV_WILLNEED. */
void force_page_cache_readahead(struct address_space *mapping, pgoff_t index, uint64_t pages,
				const struct filemap_context *context);

/* Consistency of i_pages, counts, marks against page flags, i_mmap. Nothing under way. */
struct check_report;
void address_space_validate(struct address_space *mapping, struct check_report *report);

#endif
