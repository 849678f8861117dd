/* SPDX-License-Identifier: MIT */
/*
 * Seals of memfd objects: fcntl(2), F_ADD_SEALS and F_GET_SEALS (core/file/shmem.h).
 */
#include "core/file/shmem.h"

#include <errno.h>

/* No writable shared mapping from now on; false when there is one. */
static bool deny_writable_mappings(struct address_space *mapping)
{
	int32_t count = atomic_load_explicit(&mapping->i_mmap_writable, memory_order_acquire);

	while (count <= 0)
		if (atomic_compare_exchange_weak_explicit(&mapping->i_mmap_writable, &count,
							  count - 1, memory_order_acq_rel,
							  memory_order_acquire))
			return true;
	return false;
}

static int add_seals(struct inode *inode, uint32_t seals)
{
	const uint32_t old = atomic_load_explicit(&inode->seals, memory_order_relaxed);

	if (old & QUIRE_SEAL_SEAL)
		return -EPERM;
	if ((seals & QUIRE_SEAL_WRITE) && !(old & QUIRE_SEAL_WRITE) &&
	    !deny_writable_mappings(&inode->i_data))
		return -EBUSY;
	atomic_store_explicit(&inode->seals, old | seals, memory_order_release);
	return 0;
}

int memfd_add_seals(struct file *file, uint32_t seals)
{
	struct inode *inode = file->f_inode;
	int error;

	if (!(file->f_mode & FMODE_WRITE))
		return -EPERM;
	if (inode->kind != INODE_SHMEM || (seals & ~MEMFD_ALL_SEALS))
		return -EINVAL;
	mutex_lock(&inode->i_rwsem);
	error = add_seals(inode, seals);
	mutex_unlock(&inode->i_rwsem);
	return error;
}

int memfd_get_seals(struct file *file)
{
	if (file->f_inode->kind != INODE_SHMEM)
		return -EINVAL;
	return (int)atomic_load_explicit(&file->f_inode->seals, memory_order_acquire);
}

void memfd_allow_sealing(struct inode *inode)
{
	mutex_lock(&inode->i_rwsem);
	atomic_fetch_and_explicit(&inode->seals, ~QUIRE_SEAL_SEAL, memory_order_acq_rel);
	mutex_unlock(&inode->i_rwsem);
}
