/* SPDX-License-Identifier: MIT */
/*
 * What /proc/PID shows of an address space, as plain numbers: maps, smaps, pagemap, statm, status,
 * clear_refs. Who prints them needs to know nothing of VMAs and page tables.
 *
 * Everything here takes mmap_lock for reading. Amounts are in bytes unless they say pages.
 */
#ifndef QUIRE_CORE_CALL_PROC_VIEW_H
#define QUIRE_CORE_CALL_PROC_VIEW_H

#include "core/file/address_space.h"
#include "core/vma/mm.h"

/* Longest name with its end: a path, "/memfd:NAME (deleted)", "[anon:NAME]". */
#define VMA_VIEW_NAME INODE_LABEL

/* One VMA: a line of maps. */
struct vma_view {
	uint64_t start, end;
	uint64_t vm_flags; /* VM_* */
	uint64_t offset;   /* in the file; 0 for anonymous memory */
	uint64_t dev, ino; /* of a file, as quire_open() got them; 0:1 and a number of our own for
			      objects in memory (makedev(0, 1)); 0 and 0 for anonymous memory */
	bool regular;      /* maps a file of the host: only its owner knows if it was deleted */
	char name[VMA_VIEW_NAME]; /* the last column of maps; "" for none */
};

/* What the entries of one VMA hold: the counts of smaps and numa_maps. Proportional amounts are in
 * bytes << PSS_SHIFT; sums may be taken of several VMAs. */
#define PSS_SHIFT 12
struct smaps_view {
	uint64_t rss, referenced, anonymous, lazyfree, swap;
	uint64_t shared_clean, shared_dirty, private_clean, private_dirty;
	uint64_t pss, pss_anon, pss_file, pss_shmem, pss_dirty, pss_locked, swap_pss;
	/* pages */
	uint64_t file_pages, anon_pages, dirty_pages, writeback_pages, active_pages,
		swapcache_pages, mapcount_max;
};

/*
 * The first VMA that ends above `address` in *view, and, unless `smaps` is NULL, what it holds
 * *added* to *smaps. False: there is none.
 */
bool mm_view_next(struct mm_struct *mm, uint64_t address, struct vma_view *view,
		  struct smaps_view *smaps);

/* "rd wr mr mw me ac " for the line VmFlags: two letters and a blank for each flag, in the order of
 * Linux. At most VM_FLAGS_TEXT bytes with the end. */
#define VM_FLAGS_TEXT 128
void vm_flags_text(uint64_t vm_flags, char text[VM_FLAGS_TEXT]);

/* The mm as a whole, in pages: statm and the Vm lines of status. */
struct mm_view {
	uint64_t total_vm, hiwater_vm, locked_vm, data_vm, exec_vm, stack_vm;
	uint64_t rss_anon, rss_file, rss_shmem, swapents;
	uint64_t hiwater_rss; /* at most 64 pages too low */
	uint64_t pgtables;    /* frames */
	uint64_t map_count;
	/* bytes */
	uint64_t start_code, end_code, start_data, end_data, start_brk, brk, start_stack;
	uint64_t arg_start, arg_end, env_start, env_end;
};
void mm_view(struct mm_struct *mm, struct mm_view *view);

/* Bits of a word of pagemap. The soft-dirty bit (55) is never set: as in a kernel without it. */
#define PM_PFN_MASK (((uint64_t)1 << 55) - 1) /* frame; or swap: type in 5 bits, offset above */
#define PM_MMAP_EXCLUSIVE ((uint64_t)1 << 56)
#define PM_GUARD_REGION ((uint64_t)1 << 58)
#define PM_FILE ((uint64_t)1 << 61)
#define PM_SWAP ((uint64_t)1 << 62)
#define PM_PRESENT ((uint64_t)1 << 63)
/* A word for each of `pages` pages from `address` on, which is page-aligned. */
void mm_pagemap(struct mm_struct *mm, uint64_t address, uint64_t pages, uint64_t *words);

/* What is written to clear_refs. */
enum clear_refs_type {
	CLEAR_REFS_ALL = 1,
	CLEAR_REFS_ANON = 2,
	CLEAR_REFS_MAPPED = 3,
	CLEAR_REFS_SOFT_DIRTY = 4, /* accepted, without effect */
	CLEAR_REFS_MM_HIWATER_RSS = 5,
};
/* 0, or -EINVAL: not one of them. */
QUIRE_MUST_CHECK int mm_clear_refs(struct mm_struct *mm, int type);

#endif
