/* SPDX-License-Identifier: MIT */
/*
 * Limits of an mm, and the committed memory of an instance (account.h).
 */
#include "core/vma/account.h"

#include "core/instance/instance.h"
#include "core/reclaim/swap.h"
#include "core/vma/vma_stat.h"

#include <errno.h>

bool is_data_mapping(uint64_t vm_flags)
{
	return (vm_flags & (VM_WRITE | VM_SHARED | VM_GROWSDOWN)) == VM_WRITE;
}

bool is_stack_mapping(uint64_t vm_flags)
{
	return vm_flags & VM_GROWSDOWN;
}

static bool is_exec_mapping(uint64_t vm_flags)
{
	return (vm_flags & (VM_EXEC | VM_WRITE | VM_GROWSDOWN)) == VM_EXEC;
}

bool accountable_mapping(uint64_t vm_flags)
{
	return (vm_flags & (VM_NORESERVE | VM_SHARED | VM_WRITE)) == VM_WRITE;
}

void vm_stat_account(struct mm_struct *mm, struct file *file, uint64_t vm_flags, int64_t pages)
{
	struct mapping_stat *stat = mapping_stat_of(mm, file, vm_flags);

	mapping_stat_add(&stat->mapped, &stat->peak_mapped, pages);
	vm_stat_count(mm, vm_flags, pages);
}

void vm_stat_count(struct mm_struct *mm, uint64_t vm_flags, int64_t pages)
{
	mm->total_vm += (uint64_t)pages;
	mm->hiwater_vm = max_u64(mm->hiwater_vm, mm->total_vm);
	if (is_exec_mapping(vm_flags))
		mm->exec_vm += (uint64_t)pages;
	else if (is_stack_mapping(vm_flags))
		mm->stack_vm += (uint64_t)pages;
	else if (is_data_mapping(vm_flags))
		mm->data_vm += (uint64_t)pages;
}

static bool within(uint64_t used, uint64_t pages, uint64_t limit_bytes)
{
	uint64_t limit = limit_bytes >> PAGE_SHIFT;

	return used <= limit && pages <= limit - used;
}

bool may_expand_vm(const struct mm_struct *mm, uint64_t vm_flags, uint64_t pages)
{
	if (!within(mm->total_vm, pages, mm->limit[LIMIT_AS]))
		return false;
	return !is_data_mapping(vm_flags) || within(mm->data_vm, pages, mm->limit[LIMIT_DATA]);
}

int mlock_limit_check(const struct mm_struct *mm, uint64_t pages, int over)
{
	if (mm->may_lock)
		return 0;
	if (!mm->limit[LIMIT_MEMLOCK])
		return -EPERM;
	return within(mm->locked_vm, pages, mm->limit[LIMIT_MEMLOCK]) ? 0 : over;
}

uint64_t vm_commit_limit(const struct quire *quire)
{
	return quire->zone.nr_frames * quire->params.overcommit_ratio / 100 + swap_total(quire);
}

/* What is to be committed in all, and by this call alone, in pages. */
static bool may_commit(const struct quire *quire, uint64_t committed, uint64_t pages)
{
	switch (quire->params.overcommit) {
	case QUIRE_OVERCOMMIT_ALWAYS:
		return true;
	case QUIRE_OVERCOMMIT_NEVER:
		return committed <= vm_commit_limit(quire);
	case QUIRE_OVERCOMMIT_GUESS:
		break;
	}
	/* Refuses only what could never be there. */
	return pages <= max_u64(quire->zone.nr_frames + swap_total(quire),
				quire->params.overcommit_most >> PAGE_SHIFT);
}

int vm_commit_memory(struct quire *quire, uint64_t pages)
{
	int64_t before =
		atomic_fetch_add_explicit(&quire->committed, (int64_t)pages, memory_order_relaxed);

	if (may_commit(quire, (uint64_t)before + pages, pages))
		return 0;
	vm_unacct_memory(quire, pages);
	return -ENOMEM;
}

int security_vm_enough_memory(struct mm_struct *mm, uint64_t pages)
{
	return vm_commit_memory(mm->quire, pages);
}

void vm_acct_memory(struct quire *quire, uint64_t pages)
{
	atomic_fetch_add_explicit(&quire->committed, (int64_t)pages, memory_order_relaxed);
}

void vm_unacct_memory(struct quire *quire, uint64_t pages)
{
	atomic_fetch_sub_explicit(&quire->committed, (int64_t)pages, memory_order_relaxed);
}
