/* SPDX-License-Identifier: MIT */
/*
 * Page faults: a chain of short named steps over one struct vm_fault.
 */
#ifndef QUIRE_CORE_FAULT_FAULT_H
#define QUIRE_CORE_FAULT_FAULT_H

#include "core/pgtable/pgtable.h"
#include "core/vma/mm.h"

enum fault_flags {
	FAULT_WRITE = 1,
	FAULT_EXEC = 2,
	FAULT_REMOTE = 4, /* not by the program itself (a file call's buffer, populate): no stack
			     growth signal, errors instead */
	FAULT_FORCE = 8,  /* as a debugger: past what mprotect() took away for now */
};

/* Result of a fault, as bits. */
enum vm_fault_result {
	VM_FAULT_DONE = 0,
	VM_FAULT_MAJOR = 1,  /* I/O was needed */
	VM_FAULT_MAPERR = 2, /* SIGSEGV, SEGV_MAPERR */
	VM_FAULT_ACCERR = 4, /* SIGSEGV, SEGV_ACCERR */
	VM_FAULT_SIGBUS = 8, /* SIGBUS, BUS_ADRERR */
	VM_FAULT_OOM = 16,   /* no memory; a verdict fell */
	VM_FAULT_RETRY = 32, /* something changed: look again (internal) */
	VM_FAULT_ERROR = VM_FAULT_MAPERR | VM_FAULT_ACCERR | VM_FAULT_SIGBUS | VM_FAULT_OOM,
};

struct vm_fault {
	struct mm_struct *mm;
	struct vm_area_struct *vma;
	uint64_t address; /* page-aligned */
	uint32_t flags;
	pgoff_t pgoff;        /* of the address in the VMA's file or anonymous numbering */
	pte_t *pte;           /* entry */
	struct spinlock *ptl; /* its lock, held while a step says so */
	pteval_t orig_pte;    /* what the entry held when looked at */
	struct page *page;    /* the page found or made, with a reference */
	uint32_t result;      /* VM_FAULT_MAJOR collects here */
};

/*
 * One access that the page table did not allow: finds the VMA, checks permission, grows a stack,
 * brings the page in, and maps it. mmap_lock not held. Returns enum vm_fault_result bits; with
 * VM_FAULT_DONE (perhaps MAJOR) the access is to be tried again.
 */
uint32_t handle_user_fault(struct mm_struct *mm, uint64_t address, uint32_t flags);
/* The same for an address known to lie in `vma`, mmap_lock held (either way). Never drops the lock.
 */
uint32_t handle_mm_fault(struct vm_area_struct *vma, uint64_t address, uint32_t flags);

/*
 * Pins the frames under [address, address + bytes) for copying (GUP_PIN_BIAS references): up to
 * `nr` pages into pages[]. Returns how many (at least 1), or -EFAULT for the first one, -ENOMEM.
 * mmap_lock not held.
 */
int64_t pin_user_pages(struct mm_struct *mm, uint64_t address, uint32_t nr, bool write,
		       struct page **pages);
/* `dirty`: data was copied into them. */
void unpin_user_pages(struct quire *quire, struct page **pages, uint32_t nr, bool dirty);
/* Populates [start, end): mlock, MAP_POPULATE, MADV_POPULATE_*. mmap_lock held for reading. 0, or
 * -errno of the first page that failed (-EFAULT, -ENOMEM). */
QUIRE_MUST_CHECK int populate_vma_range(struct vm_area_struct *vma, uint64_t start, uint64_t end,
					bool write);

/* Copies between Quire's memory and an mm, faulting as the program would; bytes done, or -EFAULT
 * when none. */
int64_t access_process_vm(struct mm_struct *mm, uint64_t address, void *buffer, uint64_t bytes,
			  bool write);
/*
 * The same with a debugger's rights (/proc/PID/mem): reads what has no permission, and writes what
 * is read-only, of private mappings. Such a write goes to the mm's own copy, which stays read-only.
 */
int64_t force_access_process_vm(struct mm_struct *mm, uint64_t address, void *buffer,
				uint64_t bytes, bool write);

/*
 * Unmaps [start, end) of the VMA: drops pages, swap entries, guard markers; mmap_lock held (either
 * way) or the reverse map's lock. `keep_guards`: MADV_DONTNEED leaves guard markers. `file_only`:
 * private copies stay (hole punching).
 */
struct zap_details {
	bool keep_guards;
	bool file_only;
};
struct mmu_gather;
void zap_page_range(struct mmu_gather *tlb, struct vm_area_struct *vma, uint64_t start,
		    uint64_t end, const struct zap_details *details);

#endif
