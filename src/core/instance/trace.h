/* SPDX-License-Identifier: MIT */
/*
 * Telling the owner's trace what happened (struct quire_events). Without one each of these is a
 * test of a constant.
 */
#ifndef QUIRE_CORE_INSTANCE_TRACE_H
#define QUIRE_CORE_INSTANCE_TRACE_H

#include "core/instance/instance.h"
#include "core/vma/mm.h"

struct page;

static inline bool trace_enabled(const struct quire *quire)
{
	return unlikely(quire->params.events.trace != NULL);
}

/* A fault at `address` that began at `start` (quire_now()) has the result `result` (enum
 * vm_fault_result). mmap_lock held; `vma` NULL: there is none. */
void trace_fault(struct mm_struct *mm, const struct vm_area_struct *vma, uint64_t address,
		 uint32_t flags, uint32_t result, int64_t start);
void trace_page_slow(struct quire *quire, enum quire_trace_kind kind, const struct page *page,
		     int error);

/* What happened to a page that still belongs to a file or to anonymous memory. */
static inline void trace_page(struct quire *quire, enum quire_trace_kind kind,
			      const struct page *page, int error)
{
	if (trace_enabled(quire))
		trace_page_slow(quire, kind, page, error);
}

#endif
