/* SPDX-License-Identifier: MIT */
/*
 * prctl(PR_SET_MDWE): memory-deny-write-execute. What a program could write can never be executed:
 * no mapping is both, and none becomes executable later.
 */
#include "core/call/call.h"

#include "core/instance/instance.h"

#include <errno.h>

bool map_deny_write_exec(const struct mm_struct *mm, uint64_t old_flags, uint64_t new_flags)
{
	if (!(mm->mdwe & QUIRE_MDWE_REFUSE_EXEC_GAIN) || !(new_flags & VM_EXEC))
		return false;
	return (new_flags & VM_WRITE) || !(old_flags & VM_EXEC);
}

uint32_t mdwe_inherited(const struct mm_struct *mm)
{
	return mm->mdwe & QUIRE_MDWE_NO_INHERIT ? 0 : mm->mdwe;
}

int do_set_mdwe(struct mm_struct *mm, uint64_t bits)
{
	int error = 0;

	if (bits & ~(uint64_t)(QUIRE_MDWE_REFUSE_EXEC_GAIN | QUIRE_MDWE_NO_INHERIT))
		return -EINVAL;
	if (bits == QUIRE_MDWE_NO_INHERIT)
		return -EINVAL;
	mmap_write_lock(mm);
	/* There is no way back. */
	if (mm->mdwe && mm->mdwe != bits)
		error = -EPERM;
	else
		mm->mdwe = (uint32_t)bits;
	mmap_write_unlock(mm);
	return error;
}

uint32_t do_get_mdwe(struct mm_struct *mm)
{
	uint32_t bits;

	mmap_read_lock(mm);
	bits = mm->mdwe;
	mmap_read_unlock(mm);
	return bits;
}
