/* SPDX-License-Identifier: MIT */
/*
 * Accounting of address space: limits of the mm, committed memory of the instance (overcommit modes
 * 0, 1, 2).
 */
#ifndef QUIRE_CORE_VMA_ACCOUNT_H
#define QUIRE_CORE_VMA_ACCOUNT_H

#include "core/vma/mm.h"

/* total_vm and its parts grow (or shrink) by `pages` of an area with these flags; and so does what
 * is mapped of the file (NULL: of anonymous memory). */
void vm_stat_account(struct mm_struct *mm, struct file *file, uint64_t vm_flags, int64_t pages);
/* total_vm and its parts alone. */
void vm_stat_count(struct mm_struct *mm, uint64_t vm_flags, int64_t pages);
/* LIMIT_AS, and LIMIT_DATA for private writable areas: may the mm grow by this? */
bool may_expand_vm(const struct mm_struct *mm, uint64_t vm_flags, uint64_t pages);
bool is_data_mapping(uint64_t vm_flags);
bool is_stack_mapping(uint64_t vm_flags);
/* Private and writable: counts as committed memory. */
bool accountable_mapping(uint64_t vm_flags);

/* Commits `pages`: 0, or -ENOMEM when the instance's overcommit mode forbids. vm_unacct_memory()
 * gives back. */
QUIRE_MUST_CHECK int security_vm_enough_memory(struct mm_struct *mm, uint64_t pages);
/* The same for an object that belongs to no mm (shmem). */
QUIRE_MUST_CHECK int vm_commit_memory(struct quire *quire, uint64_t pages);
void vm_unacct_memory(struct quire *quire, uint64_t pages);
/* Commits what takes the place of as much that was just given back, without asking. */
void vm_acct_memory(struct quire *quire, uint64_t pages);
uint64_t vm_commit_limit(const struct quire *quire);

/* May `pages` more be locked? 0, -EPERM (limit 0), or `over` (-ENOMEM, -EAGAIN). */
QUIRE_MUST_CHECK int mlock_limit_check(const struct mm_struct *mm, uint64_t pages, int over);

#endif
