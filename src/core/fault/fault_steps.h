/* SPDX-License-Identifier: MIT */
/*
 * The steps of a fault that fault.c chooses among: one file a kind of page. Private to core/fault.
 *
 * Each step is entered with mmap_lock held and the entry's lock free unless it says otherwise, and
 * returns with the same. VM_FAULT_RETRY means that the entry changed meanwhile: look at it again.
 */
#ifndef QUIRE_CORE_FAULT_FAULT_STEPS_H
#define QUIRE_CORE_FAULT_FAULT_STEPS_H

#include "core/fault/fault.h"

/* An empty entry of anonymous memory: the zero page for a read, a fresh page for a write. */
uint32_t do_anonymous_page(struct vm_fault *vmf);
/* An empty entry of a file or shmem mapping. */
uint32_t do_file_fault(struct vm_fault *vmf);
/* A swap entry. */
uint32_t do_swap_page(struct vm_fault *vmf);
/* A write to a present entry without write permission. Entered with the entry's lock held; releases
 * it. */
uint32_t do_wp_page(struct vm_fault *vmf);

/* The VMA has its anon_vma now. False: no memory. */
bool fault_prepare_anon(struct vm_fault *vmf);
/* An empty entry of anonymous memory, the VMA having its anon_vma: fills it and empty ones around
 * it, up to params.anon_fault_around, which is more than a page. False: nothing was done. */
bool fault_anon_around(struct vm_fault *vmf, uint32_t *result);
/* After a page of a private file mapping was copied for a write: copies its neighbours too, where
 * that is likely to be wanted, and the memory for it is there. */
void fault_cow_around(struct vm_fault *vmf);
/* A charged page for new anonymous memory, zero-filled or a copy of `source`, with one reference in
 * vmf->page, after the VMA got its anon_vma; or VM_FAULT_OOM. */
uint32_t fault_alloc_anon(struct vm_fault *vmf, const struct page *source);
/* Takes the entry's lock: true when the entry is still vmf->orig_pte. False: lock released. */
bool fault_lock_pte(struct vm_fault *vmf);
/* Under the entry's lock: maps vmf->page, fresh and anonymous, over nothing or over what was
 * cleared and revoked; the page's reference becomes the entry's. */
void fault_map_new_anon(struct vm_fault *vmf);
/* The entry of another address that the same table serves. */
static inline pte_t *fault_entry_for(const struct vm_fault *vmf, uint64_t address)
{
	return vmf->pte + ((int64_t)(address - vmf->address) / (int64_t)PAGE_SIZE);
}
/* The entry, or some of [start, end), became present or more permissive. */
void fault_publish(struct vm_fault *vmf);
void fault_publish_range(struct vm_fault *vmf, uint64_t start, uint64_t end);

#endif
