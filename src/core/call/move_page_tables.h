/* SPDX-License-Identifier: MIT */
/*
 * Moving what the page table holds for one range of an mm to another: the middle of mremap.
 */
#ifndef QUIRE_CORE_CALL_MOVE_PAGE_TABLES_H
#define QUIRE_CORE_CALL_MOVE_PAGE_TABLES_H

#include "core/vma/mm.h"

/*
 * Makes the tables that a move of `bytes` bytes from `from` to `to` will fill, so that the move
 * cannot fail. No VMA needs to be at `to` yet. 0, or -ENOMEM with the tables made so far left for
 * discard_page_tables(). mmap_lock held for writing.
 */
QUIRE_MUST_CHECK int prepare_page_tables(struct mm_struct *mm, uint64_t from, uint64_t to,
					 uint64_t bytes);
/* Frees again what was prepared at [start, end), where there is no VMA. */
void discard_page_tables(struct mm_struct *mm, uint64_t start, uint64_t end);

struct page_table_move {
	struct vm_area_struct *vma; /* at the destination, continues the source's page offsets */
	uint64_t from, to, bytes;   /* page-aligned; the ranges do not overlap */
	bool need_rmap_locks; /* reverse maps visit the destination before the source: keep them
				 out, or they would find the page in neither */
};

/*
 * Moves every entry, present or not. When it returns, no CPU uses a translation of the old range.
 * Cannot fail. mmap_lock held for writing, the VMAs of both ranges linked, tables prepared.
 */
void move_page_tables(const struct page_table_move *move);

#endif
