/* SPDX-License-Identifier: MIT */
/*
 * mprotect(2): VMA by VMA, so that those before a hole are changed; the flags first, then the
 * entries that are there.
 *
 * A CPU may set accessed and dirty bits meanwhile, so each entry is changed by
 * compare-and-exchange; what became less permissive is revoked before mmap_lock is released.
 */
#include "core/call/call.h"
#include "core/fault/fault.h"
#include "core/instance/instance.h"
#include "core/pgtable/mmu_gather.h"
#include "core/vma/account.h"
#include "core/vma/vma.h"

#include <errno.h>

/* Taken, and without any meaning on x86-64. */
#define PROT_SEM 8u

#define PTE_PERMISSIONS (PTE_WRITE | PTE_USER | PTE_NX)

struct protection_change {
	struct mmu_gather *tlb;
	struct vm_area_struct *vma;
	uint64_t publish_start, publish_end; /* bytes: became more permissive; empty at first */
};

/* May the entry be writable at once? Otherwise the next write faults, and copies or notes that the
 * page is dirty. Under the entry's lock. */
static bool can_change_pte_writable(const struct vm_area_struct *vma, pteval_t pte)
{
	const struct page *page;

	if (!(vma->vm_flags & VM_WRITE) || (pte & PTE_SPECIAL))
		return false;
	if (vma->vm_flags & VM_SHARED)
		return pte & PTE_DIRTY;
	page = pfn_to_page(&vma->vm_mm->quire->zone, pte_pfn(pte));
	return page_anon(page) && page_test(page, PG_anon_exclusive);
}

static void change_pte(struct protection_change *change, pte_t *entry, uint64_t address,
		       pteval_t pte)
{
	pteval_t old = pte & PTE_PERMISSIONS;
	pteval_t new = change->vma->vm_page_prot &PTE_PERMISSIONS;

	if (!(new &PTE_WRITE) && can_change_pte_writable(change->vma, pte))
		new |= PTE_WRITE;
	if (new == old)
		return;
	pte_modify_bits(entry, old & ~new, new & ~old);
	/* NX forbids, the other two allow. */
	if ((old ^ PTE_NX) & ~(new ^ PTE_NX))
		tlb_note(change->tlb, address, pte_pfn(pte));
	if ((new ^ PTE_NX) & ~(old ^ PTE_NX)) {
		change->publish_start = min_u64(change->publish_start, address);
		change->publish_end = address + PAGE_SIZE;
	}
}

static void change_protection(struct mmu_gather *tlb, struct vm_area_struct *vma, uint64_t start,
			      uint64_t end)
{
	struct mm_struct *mm = vma->vm_mm;
	struct quire_machine *machine = mm->quire->machine;
	struct protection_change change = {.tlb = tlb, .vma = vma, .publish_start = UINT64_MAX};
	pte_t *entry;

	while ((start = pte_find_next(mm, start, end, &entry)) < end) {
		uint64_t table_end = min_u64(end, (start & ~(PMD_SIZE - 1)) + PMD_SIZE);
		struct spinlock *ptl = pte_lockptr(mm, entry);

		spin_lock(ptl);
		for (; start < table_end; start += PAGE_SIZE, entry++) {
			pteval_t pte = pte_load(entry);

			if (pte_present(pte))
				change_pte(&change, entry, start, pte);
		}
		spin_unlock(ptl);
	}
	if (change.publish_start < change.publish_end && machine->ops->publish)
		machine->ops->publish(machine, mm->machine_context, change.publish_start,
				      change.publish_end);
}

/* Commits what a private mapping needs when it becomes writable. A mapping that becomes read-only
 * gives back only what surely holds no private page. */
static int account_protection(struct vm_area_struct *vma, uint64_t pages, uint64_t *new_flags)
{
	const uint64_t old_flags = vma->vm_flags;
	struct mm_struct *mm = vma->vm_mm;

	if (!(*new_flags & VM_WRITE)) {
		if (vma_is_anonymous(vma) &&
		    !atomic_load_explicit(&vma->anon_vma, memory_order_acquire))
			*new_flags &= ~(uint64_t)VM_ACCOUNT;
		return 0;
	}
	if (!may_expand_vm(mm, *new_flags, pages) && may_expand_vm(mm, old_flags, pages))
		return -ENOMEM;
	if (old_flags & (VM_ACCOUNT | VM_WRITE | VM_SHARED | VM_NORESERVE))
		return 0;
	*new_flags |= VM_ACCOUNT;
	return security_vm_enough_memory(mm, pages);
}

/* [start, end) of *vma gets new flags; *vma becomes the VMA that holds it then. */
static int mprotect_fixup(struct mmu_gather *tlb, struct vm_area_struct **vma, uint64_t start,
			  uint64_t end, uint64_t new_flags)
{
	const uint64_t old_flags = (*vma)->vm_flags;
	struct mm_struct *mm = (*vma)->vm_mm;
	uint64_t pages = (end - start) >> PAGE_SHIFT;
	int error;

	if (old_flags & VM_SEALED)
		return -EPERM;
	if (new_flags == old_flags)
		return 0;
	error = account_protection(*vma, pages, &new_flags);
	if (error)
		return error;
	error = vma_modify_flags(*vma, start, end, new_flags, vma);
	if (error) {
		if (~old_flags & new_flags & VM_ACCOUNT)
			vm_unacct_memory(mm->quire, pages);
		return error;
	}
	if (old_flags & ~new_flags & VM_ACCOUNT)
		vm_unacct_memory(mm->quire, pages);
	vm_stat_account(mm, (*vma)->vm_file, old_flags, -(int64_t)pages);
	vm_stat_account(mm, (*vma)->vm_file, new_flags, (int64_t)pages);
	change_protection(tlb, *vma, start, end);
	/* Locked pages stay without faults: the copies that writes will need are made now. */
	if ((old_flags & (VM_WRITE | VM_SHARED | VM_LOCKED)) == VM_LOCKED &&
	    (new_flags & VM_WRITE)) {
		error = populate_vma_range(*vma, start, end, true);
		(void)error;
	}
	return 0;
}

/* From `vma`, which holds `start`, to `end` or to the first hole or error. */
static int mprotect_range(struct mmu_gather *tlb, struct vm_area_struct *vma, uint64_t start,
			  uint64_t end, uint64_t prot)
{
	while (vma && vma->vm_start <= start) {
		uint64_t new_flags = (vma->vm_flags & ~(uint64_t)VM_ACCESS_FLAGS) | prot;
		uint64_t stop = min_u64(vma->vm_end, end);
		int error;

		if (prot & ~(vma->vm_flags / VM_MAYREAD) ||
		    map_deny_write_exec(vma->vm_mm, vma->vm_flags, new_flags))
			return -EACCES;
		error = mprotect_fixup(tlb, &vma, start, stop, new_flags);
		if (error)
			return error;
		/* The VMA may have merged with what follows, which has these flags already. */
		start = vma->vm_end;
		if (start >= end)
			return 0;
		vma = vma_next(vma);
	}
	return -ENOMEM;
}

/* Where the change begins: at `start`, or, to let a stack grow with it, at the start of its VMA. */
static int mprotect_start(struct vm_area_struct *vma, uint64_t *start, uint64_t end, uint32_t prot)
{
	if (!(prot & QUIRE_PROT_GROWSDOWN))
		return vma->vm_start <= *start ? 0 : -ENOMEM;
	if (vma->vm_start >= end)
		return -ENOMEM;
	if (!(vma->vm_flags & VM_GROWSDOWN))
		return -EINVAL;
	*start = vma->vm_start;
	return 0;
}

static int mprotect_locked(struct mm_struct *mm, uint64_t start, uint64_t end, uint32_t prot)
{
	struct vm_area_struct *vma = find_vma(mm, start);
	struct mmu_gather tlb;
	int error;

	if (!vma)
		return -ENOMEM;
	error = mprotect_start(vma, &start, end, prot);
	if (error)
		return error;
	/* No area grows upwards. */
	if (prot & QUIRE_PROT_GROWSUP)
		return -EINVAL;
	tlb_gather_mmu(&tlb, mm);
	error = mprotect_range(&tlb, vma, start, end,
			       prot & (QUIRE_PROT_READ | QUIRE_PROT_WRITE | QUIRE_PROT_EXEC));
	tlb_finish_mmu(&tlb);
	return error;
}

int do_mprotect(struct mm_struct *mm, uint64_t start, uint64_t length, uint32_t prot)
{
	const uint32_t grows = QUIRE_PROT_GROWSDOWN | QUIRE_PROT_GROWSUP;
	uint64_t end = start + PAGE_ALIGN(length);
	int error;

	if ((prot & grows) == grows || PAGE_OFFSET(start))
		return -EINVAL;
	if (!length)
		return 0;
	if (end <= start)
		return -ENOMEM;
	if (prot & ~(grows | PROT_SEM | QUIRE_PROT_READ | QUIRE_PROT_WRITE | QUIRE_PROT_EXEC))
		return -EINVAL;
	mmap_write_lock(mm);
	error = mprotect_locked(mm, start, end, prot);
	mmap_write_unlock(mm);
	return error;
}
