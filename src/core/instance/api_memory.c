/* SPDX-License-Identifier: MIT */
/*
 * The public memory calls (include/quire/quire.h): the calls of core/call with errno.
 */
#include "core/call/call.h"
#include "core/fault/fault.h"
#include "core/instance/api.h"
#include "core/instance/instance.h"

uint64_t quire_mmap(quire_mm *mm, uint64_t address, uint64_t length, int prot, int flags,
		    quire_file *file, int64_t offset)
{
	const struct mmap_request request = {
		.address = address,
		.length = length,
		.prot = (uint32_t)prot,
		.flags = (uint32_t)flags,
		.file = file,
		.offset = offset,
	};

	return (uint64_t)api_result(do_mmap(mm, &request));
}

int quire_munmap(quire_mm *mm, uint64_t address, uint64_t length)
{
	return api_status(do_munmap(mm, address, length));
}

int quire_mprotect(quire_mm *mm, uint64_t address, uint64_t length, int prot)
{
	return api_status(do_mprotect(mm, address, length, (uint32_t)prot));
}

uint64_t quire_mremap(quire_mm *mm, uint64_t address, uint64_t old_length, uint64_t new_length,
		      int flags, uint64_t new_address)
{
	return (uint64_t)api_result(
		do_mremap(mm, address, old_length, new_length, (uint32_t)flags, new_address));
}

int quire_madvise(quire_mm *mm, uint64_t address, uint64_t length, int advice)
{
	return api_status(do_madvise(mm, address, length, advice));
}

int64_t quire_process_madvise(quire_mm *mm, const struct quire_range *ranges, uint64_t count,
			      int advice)
{
	return api_result(do_process_madvise(mm, ranges, count, advice));
}

int quire_mseal(quire_mm *mm, uint64_t address, uint64_t length, unsigned long flags)
{
	return api_status(do_mseal(mm, address, length, flags));
}

int quire_remap_file_pages(quire_mm *mm, uint64_t address, uint64_t length, int prot,
			   uint64_t page_offset, int flags)
{
	return api_status(do_remap_file_pages(mm, address, length, (uint32_t)prot, page_offset,
					      (uint32_t)flags));
}

int quire_set_mdwe(quire_mm *mm, unsigned long bits)
{
	return api_status(do_set_mdwe(mm, bits));
}

int quire_get_mdwe(quire_mm *mm)
{
	return (int)do_get_mdwe(mm);
}

int quire_set_anon_name(quire_mm *mm, uint64_t address, uint64_t length, const char *name)
{
	return api_status(do_set_anon_vma_name(mm, address, length, name));
}

int quire_msync(quire_mm *mm, uint64_t address, uint64_t length, int flags)
{
	return api_status(do_msync(mm, address, length, (uint32_t)flags));
}

int quire_mlock(quire_mm *mm, uint64_t address, uint64_t length)
{
	return api_status(do_mlock(mm, address, length, VM_LOCKED));
}

int quire_mlock2(quire_mm *mm, uint64_t address, uint64_t length, unsigned int flags)
{
	if (flags & ~(unsigned int)QUIRE_MLOCK_ONFAULT)
		return api_status(-EINVAL);
	return api_status(do_mlock(mm, address, length,
				   VM_LOCKED | (flags & QUIRE_MLOCK_ONFAULT ? VM_LOCKONFAULT : 0)));
}

int quire_munlock(quire_mm *mm, uint64_t address, uint64_t length)
{
	return api_status(do_munlock(mm, address, length));
}

int quire_mlockall(quire_mm *mm, int flags)
{
	return api_status(do_mlockall(mm, (uint32_t)flags));
}

int quire_munlockall(quire_mm *mm)
{
	return api_status(do_munlockall(mm));
}

int quire_mincore(quire_mm *mm, uint64_t address, uint64_t length, unsigned char *vector)
{
	return api_status(do_mincore(mm, address, length, vector));
}

int quire_exec(quire_mm *mm, struct quire_exec *exec)
{
	return api_status(do_execve(mm, exec));
}

uint64_t quire_brk(quire_mm *mm, uint64_t address)
{
	return do_brk(mm, address);
}

static enum quire_signal result_to_signal(quire_mm *mm, uint32_t result)
{
	if (result & VM_FAULT_MAPERR)
		return QUIRE_SEGV_MAPERR;
	if (result & VM_FAULT_ACCERR)
		return QUIRE_SEGV_ACCERR;
	if (result & VM_FAULT_SIGBUS)
		return QUIRE_BUS_ADRERR;
	return atomic_load_explicit(&mm->oom_killed, memory_order_acquire) ? QUIRE_KILL_OOM
									   : QUIRE_SIGNAL_NONE;
}

int quire_handle_fault(quire_mm *mm, uint64_t address, int access, enum quire_signal *signal)
{
	uint32_t flags = 0;
	uint32_t result;

	if (access == QUIRE_ACCESS_WRITE)
		flags = FAULT_WRITE;
	else if (access == QUIRE_ACCESS_EXEC)
		flags = FAULT_EXEC;
	result = handle_user_fault(mm, address, flags);
	lock_rank_assert_none();
	if (likely(!(result & VM_FAULT_ERROR)))
		return 0;
	*signal = result_to_signal(mm, result);
	errno = *signal == QUIRE_SIGNAL_NONE ? ENOMEM : EFAULT;
	return -1;
}

int64_t quire_read_memory(quire_mm *mm, uint64_t address, void *buffer, uint64_t bytes)
{
	return api_result(access_process_vm(mm, address, buffer, bytes, false));
}

int64_t quire_write_memory(quire_mm *mm, uint64_t address, const void *buffer, uint64_t bytes)
{
	return api_result(access_process_vm(mm, address, (void *)buffer, bytes, true));
}
