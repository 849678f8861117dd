/* SPDX-License-Identifier: MIT */
/*
 * inode, file and address_space: an object with pages, an open handle on it, and its page cache
 * with its reverse map.
 *
 * There are two kinds of object. A regular file has a store; its clean pages can be dropped and its
 * dirty ones are written there. A shmem object (memfd, shared anonymous memory, SysV segment) has
 * none; its pages go to swap, and a swapped page leaves its swap entry as a value in i_pages.
 *
 * i_pages holds, by page offset: a page (one reference), a value entry (a swap entry of shmem, or
 * the shadow of an evicted file page: core/reclaim/workingset.h; told apart by the object's kind),
 * or nothing. Marks: XA_MARK_DIRTY, XA_MARK_WRITEBACK, XA_MARK_TOWRITE.
 *
 * Locks: R = i_rwsem, X = i_pages lock, F = i_mmap_lock, A = atomic, C = constant, N =
 * quire->inodes_lock (a leaf, as a VMA drops its file with mmap_lock held), V = invalidate_lock
 * (held shared by whoever fills the cache from the store, exclusively by whoever removes a range).
 */
#ifndef QUIRE_CORE_FILE_ADDRESS_SPACE_H
#define QUIRE_CORE_FILE_ADDRESS_SPACE_H

#include <quire/store.h>

#include "base/errseq.h"
#include "base/interval_tree.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/rbtree.h"
#include "base/xarray.h"
#include "core/frame/page.h"
#include "core/vma/mapping_stat.h"

struct check_report;
struct inode;
struct mem_cgroup;
struct mm_struct;
struct quire;

#define XA_MARK_DIRTY XA_MARK_0
#define XA_MARK_WRITEBACK XA_MARK_1
#define XA_MARK_TOWRITE XA_MARK_2

/* Largest file offset of Linux's loff_t, in bytes. */
#define MAX_LFS_FILESIZE ((uint64_t)INT64_MAX)

struct address_space {
	struct inode *host;           /* C */
	struct xarray i_pages;        /* X */
	struct spinlock i_pages_lock; /* X itself */
	_Atomic uint64_t nrpages;     /* written under X: pages, without values */
	uint64_t shadow_hand;         /* X: where the search for a shadow to forget goes on */
	struct rwlock i_mmap_lock;
	struct interval_tree_root i_mmap; /* F: VMAs by page offset, node is vma->shared */
	_Atomic int32_t i_mmap_writable;  /* A: VM_SHARED mappings that may write; negative: sealed
					     against them */
	struct rwlock invalidate_lock;
	errseq_t wb_err;                  /* A: last writeback error */
	_Atomic uint32_t wb_failures;     /* A: requests that failed: tells a waiter that one did */
	_Atomic int32_t wb_last_error;    /* A: -errno of the last of them */
	_Atomic uint64_t writeback_pages; /* written under X: pages under writeback */
};

enum inode_kind {
	INODE_REGULAR,
	INODE_SHMEM,
	INODE_ZERO, /* /dev/zero: has no pages; mapping it privately is anonymous memory, shared a
		       fresh object */
};

struct inode {
	struct quire *quire;     /* C */
	enum inode_kind kind;    /* C */
	uint64_t dev, ino;       /* C: identity of a regular file on the host */
	_Atomic uint64_t i_size; /* bytes; written under R */
	struct mutex i_rwsem;
	struct address_space i_data;
	_Atomic(struct quire_store *) store; /* written under R; regular files; owned */
	struct quire_store *old_store;  /* R: read-only store that a writable one replaced; closed
					   with the inode */
	_Atomic uint64_t store_version; /* written under R: what the store's owner knew of it when
					   it last agreed with the cache */
	_Atomic uint32_t seals;         /* written under R: F_SEAL_* of a memfd */
	_Atomic uint64_t committed;     /* A: pages counted as committed memory (shmem) */
	bool noreserve;                 /* C: shmem that commits page by page */
	bool special;                /* C: shmem whose frames stay: core/call/special_mapping.h */
	_Atomic int64_t dirty_since; /* written under X: time of the first dirtying since the last
					clean state, ns; 0: clean */
	_Atomic uint32_t refcount;   /* A; reaches its end under N */
	struct list_head i_list;     /* N: all inodes of the instance */
	struct rb_node i_node;       /* N: regular files, by (dev, ino) */
	struct list_head i_idle;     /* N: regular files that lost their users; some may have new
					ones */
	struct list_head i_files;    /* N: open handles, by f_list */
	uint64_t sequence;           /* C: order of creation */
	struct mapping_stat i_stat;  /* A: what happened to mappings of it */
	const char *name; /* C: for people: base name of the file, "memfd:NAME", "dev/zero",
			     "SYSV..." */
	char path[];      /* C: as it was first opened by, or the name */
};

#define FMODE_READ 1u
#define FMODE_WRITE 2u

/* Readahead state of one open file. Unlocked: races only cost a worse guess; fields are atomic. */
struct file_ra_state {
	_Atomic uint64_t start;      /* pages: current window */
	_Atomic uint32_t size;       /* pages */
	_Atomic uint32_t async_size; /* pages: the next window starts when so many are left */
	_Atomic uint64_t prev_index; /* last page read */
	_Atomic uint32_t mmap_miss;  /* faults that missed, less those that hit */
};

struct file {
	struct inode *f_inode;           /* C: holds a reference */
	struct address_space *f_mapping; /* C */
	uint32_t f_mode;                 /* C */
	_Atomic uint32_t
		f_wb_err; /* A: sample of wb_err: errors up to here were reported to this opener */
	struct file_ra_state f_ra;
	_Atomic uint32_t f_count; /* A */
	struct list_head f_list;  /* N: of f_inode->i_files */
	char f_path[];            /* C: as it was opened by, for people */
};

static inline uint64_t i_size_read(const struct inode *inode)
{
	return atomic_load_explicit(&inode->i_size, memory_order_acquire);
}

static inline bool mapping_is_shmem(const struct address_space *mapping)
{
	return mapping->host->kind == INODE_SHMEM;
}

static inline bool file_is_dev_zero(const struct file *file)
{
	return file->f_inode->kind == INODE_ZERO;
}

/*
 * The inode of (dev, ino), made with `store` when the instance has none yet. Takes over the store
 * in every case but an error: a store that is not needed is closed, a writable one replaces a
 * read-only one. 0 and a reference in *inode, or -ENOMEM, or the store's error of size().
 */
QUIRE_MUST_CHECK int inode_get(struct quire *quire, uint64_t dev, uint64_t ino, const char *path,
			       struct quire_store *store, struct inode **inode);
/* The regular file of an identity with a reference, or NULL: the instance has none. */
struct inode *inode_lookup(struct quire *quire, uint64_t dev, uint64_t ino);
/* A shmem object of `bytes`, committed according to the overcommit mode unless `noreserve`. 0 and a
 * reference, or -ENOMEM. */
QUIRE_MUST_CHECK int shmem_create(struct quire *quire, const char *name, uint64_t bytes,
				  bool noreserve, struct inode **inode);
void iget(struct inode *inode);
/*
 * Drops a reference. The last one of a shmem object frees its pages and swap. A regular file
 * without openers and mappings stays while it has pages (the instance's list holds a reference), so
 * that dirty data is written in its time. No lock inside
 * LOCK_MMAP is held.
 */
void iput(struct inode *inode);
/* The list of inodes against the tree and the list of idle ones. Nothing under way. */
void inodes_validate(struct quire *quire, struct check_report *report);
/* The object behind /dev/zero, which is dev:ino on the host. 0 and a reference, or -ENOMEM. */
QUIRE_MUST_CHECK int dev_zero_create(struct quire *quire, uint64_t dev, uint64_t ino,
				     struct inode **inode);
/* quire_destroy: writes back what can be, then frees every inode that is left, dirty or not. The
 * first write error, or 0. No mm is left. */
int inodes_destroy(struct quire *quire);

/* How maps shows an object that was opened by this path: paths, "/memfd:NAME (deleted)", "[vdso]".
 */
#define INODE_LABEL 4112
void inode_label(const struct inode *inode, const char *path, char label[INODE_LABEL]);

/* A handle on the inode (takes its own reference). NULL: no memory. */
struct file *file_alloc(struct inode *inode, uint32_t mode);
/* A handle that is open with this mode and path already, with one more use of it, or a new one.
 * NULL: no memory. */
struct file *file_share(struct inode *inode, uint32_t mode, const char *path);
/* The same in two steps, the second of which cannot fail, with a path of its own. A file that is
 * not bound is given back by quire_free(). */
struct file *file_prepare(const char *path);
void file_bind(struct file *file, struct inode *inode, uint32_t mode);
void get_file(struct file *file);
void fput(struct file *file);

#endif
