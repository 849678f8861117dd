/* SPDX-License-Identifier: MIT */
/*
 * Objects in memory: memfd, shared anonymous memory, SysV segments. Their pages live in i_pages
 * like a file's, are always uptodate and dirty (there is no store that holds them too), and go to
 * swap: then the swap entry stands in i_pages as a value, and is one use of its slot.
 *
 * What is committed: the size, or, with `noreserve`, each page when it first gets contents.
 */
#ifndef QUIRE_CORE_FILE_SHMEM_H
#define QUIRE_CORE_FILE_SHMEM_H

#include <quire/quire.h>

#include "core/file/filemap.h"
#include "core/reclaim/swap.h"

#define MEMFD_ALL_SEALS (QUIRE_SEAL_SEAL | QUIRE_SEAL_SHRINK | QUIRE_SEAL_GROW | QUIRE_SEAL_WRITE)

enum shmem_intent {
	SHMEM_READ,  /* to copy from: a hole is the zero page */
	SHMEM_CACHE, /* to map: a hole gets a page */
	SHMEM_WRITE, /* the same, also beyond the end, as the caller will move that */
	SHMEM_FIND,  /* only what has contents: -ENOENT for a hole */
};

/* As filemap_get_page(), by intent. Also -ENOSPC: a page could not be committed. */
QUIRE_MUST_CHECK int shmem_get_page(struct address_space *mapping, pgoff_t index,
				    const struct filemap_context *context, enum shmem_intent intent,
				    struct page **page);

/* Starts bringing what is swapped of [index, index + pages) into the swap cache, as long as there
 * are free frames. */
void shmem_readahead(struct address_space *mapping, pgoff_t index, uint64_t pages,
		     struct mem_cgroup *memcg);

static inline void *swp_to_xa_entry(swp_entry_t entry)
{
	return xa_mk_value(entry.value);
}

static inline swp_entry_t xa_to_swp_entry(const void *entry)
{
	return (swp_entry_t){xa_to_value(entry)};
}

/* The size changes: commits or gives back the difference unless the object is committed page by
 * page. R held. 0 or -ENOMEM (only when growing). */
QUIRE_MUST_CHECK int shmem_account_size(struct inode *inode, uint64_t old_size, uint64_t new_size);
/* `pages` pages with contents are gone. */
void shmem_account_freed(struct inode *inode, uint64_t pages);

/*
 * Adds seals, all or none. A new object carries QUIRE_SEAL_SEAL; memfd_allow_sealing() takes it
 * away before anybody else knows the object, as QUIRE_MFD_ALLOW_SEALING does. -EPERM (handle not
 * for writing, QUIRE_SEAL_SEAL), -EBUSY (QUIRE_SEAL_WRITE with a writable shared mapping), -EINVAL
 * (not shmem, unknown seal). With QUIRE_SEAL_WRITE mapping->i_mmap_writable is negative.
 */
QUIRE_MUST_CHECK int memfd_add_seals(struct file *file, uint32_t seals);
/* The seals, or -EINVAL. */
int memfd_get_seals(struct file *file);
void memfd_allow_sealing(struct inode *inode);

#endif
