/* SPDX-License-Identifier: MIT */
/*
 * From faults and pages to events of a trace.
 */
#include "core/instance/trace.h"

#include "core/fault/fault.h"
#include "core/file/address_space.h"
#include "core/reclaim/swap_area.h"

/* Numbers of what is no file; those of files follow the order in which they came. */
enum trace_object {
	OBJECT_NONE,
	OBJECT_ANON,
	OBJECT_HEAP,
	OBJECT_STACK,
	OBJECT_SWAP,
	OBJECTS
};

static void name_object(struct quire_trace_event *event, enum trace_object object)
{
	static const char *const names[OBJECTS] = {"-", "[anon]", "[heap]", "[stack]", "[swap]"};

	event->object = object;
	event->mapping = names[object];
}

static void name_inode(struct quire_trace_event *event, const struct inode *inode)
{
	event->object = OBJECTS + inode->sequence;
	event->mapping = inode->path;
}

static void name_vma(struct quire_trace_event *event, const struct vm_area_struct *vma)
{
	const struct mm_struct *mm = vma->vm_mm;

	if (!vma_is_anonymous(vma))
		name_inode(event, vma->vm_file->f_inode);
	else if (vma->vm_start < mm->brk && vma->vm_end > mm->start_brk)
		name_object(event, OBJECT_HEAP);
	else if (vma->vm_start <= mm->start_stack && vma->vm_end > mm->start_stack)
		name_object(event, OBJECT_STACK);
	else
		name_object(event, OBJECT_ANON);
}

void trace_fault(struct mm_struct *mm, const struct vm_area_struct *vma, uint64_t address,
		 uint32_t flags, uint32_t result, int64_t start)
{
	const struct quire_events *events = &mm->quire->params.events;
	struct quire_trace_event event = {
		.kind = QUIRE_TRACE_FAULT,
		.flags = (flags & FAULT_WRITE ? QUIRE_TRACE_WRITE : 0) |
			 (flags & FAULT_EXEC ? QUIRE_TRACE_EXEC : 0) |
			 (flags & FAULT_REMOTE ? QUIRE_TRACE_REMOTE : 0) |
			 (result & VM_FAULT_MAJOR ? QUIRE_TRACE_MAJOR : 0),
		.result = (int32_t)(result & VM_FAULT_ERROR),
		.address = address,
		.bytes = PAGE_SIZE,
		.duration_ns = (uint64_t)(quire_now(mm->quire) - start),
	};

	if (vma)
		name_vma(&event, vma);
	else
		name_object(&event, OBJECT_NONE);
	events->trace(events->context, &event);
}

void trace_page_slow(struct quire *quire, enum quire_trace_kind kind, const struct page *page,
		     int error)
{
	const struct quire_events *events = &quire->params.events;
	struct address_space *mapping = page_mapping(page);
	struct quire_trace_event event = {
		.kind = kind,
		.result = error,
		.address = page->index << PAGE_SHIFT,
		.bytes = PAGE_SIZE,
	};

	if (mapping) {
		name_inode(&event, mapping->host);
	} else if (page_anon(page)) {
		name_object(&event, OBJECT_ANON);
	} else {
		name_object(&event, OBJECT_SWAP);
		event.address = swp_slot(page_swap_entry(page)) << PAGE_SHIFT;
	}
	events->trace(events->context, &event);
}
