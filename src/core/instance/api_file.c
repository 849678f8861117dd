/* SPDX-License-Identifier: MIT */
/*
 * The public file calls (include/quire/quire.h).
 */
#include "base/alloc.h"
#include "core/file/filemap.h"
#include "core/file/shmem.h"
#include "core/instance/api.h"
#include "core/instance/instance.h"

#include <string.h>

/* memfd_create(2): 255 bytes of a name less "memfd:". */
#define MEMFD_NAME_MAX 249

/* A handle on the inode takes the place of the caller's reference, also when it cannot be made. */
static int open_inode(struct inode *inode, const char *path, uint32_t mode, quire_file **file)
{
	*file = file_prepare(path);
	if (*file)
		file_bind(*file, inode, mode);
	iput(inode);
	return *file ? 0 : -ENOMEM;
}

int quire_open(struct quire *quire, const char *path, uint64_t device, uint64_t inode_number,
	       struct quire_store *store, int mode, quire_file **file)
{
	struct file *opened;
	struct inode *inode;
	int error;

	if (!mode || (mode & ~(QUIRE_O_READ | QUIRE_O_WRITE)) ||
	    ((mode & QUIRE_O_WRITE) && !store->writable))
		return api_status(-EINVAL);
	/* Before the store is taken over: from then on nothing may fail. */
	opened = file_prepare(path);
	if (!opened)
		return api_status(-ENOMEM);
	error = inode_get(quire, device, inode_number, path, store, &inode);
	if (error) {
		quire_free(opened);
		return api_status(error);
	}
	file_bind(opened, inode, (uint32_t)mode);
	iput(inode);
	*file = opened;
	return api_status(0);
}

static int open_shmem(struct quire *quire, const char *name, uint64_t bytes, bool noreserve,
		      quire_file **file)
{
	struct inode *inode;
	int error = shmem_create(quire, name, bytes, noreserve, &inode);

	if (error)
		return error;
	return open_inode(inode, name, FMODE_READ | FMODE_WRITE, file);
}

int quire_memfd_create(struct quire *quire, const char *name, int flags, quire_file **file)
{
	char label[MEMFD_NAME_MAX + sizeof("memfd:")] = "memfd:";
	int error;

	if (strlen(name) > MEMFD_NAME_MAX || (flags & ~QUIRE_MFD_ALLOW_SEALING))
		return api_status(-EINVAL);
	memcpy(label + strlen(label), name, strlen(name) + 1);
	error = open_shmem(quire, label, 0, true, file);
	if (!error && (flags & QUIRE_MFD_ALLOW_SEALING))
		memfd_allow_sealing((*file)->f_inode);
	return api_status(error);
}

int quire_add_seals(quire_file *file, int seals)
{
	return api_status(memfd_add_seals(file, (uint32_t)seals));
}

int quire_get_seals(quire_file *file)
{
	return api_status(memfd_get_seals(file));
}

int quire_shm_create(struct quire *quire, const char *name, uint64_t bytes, quire_file **file)
{
	return api_status(open_shmem(quire, name, bytes, false, file));
}

int quire_open_zero(struct quire *quire, quire_file **file)
{
	struct inode *inode;
	int error = dev_zero_create(quire, 0, 0, &inode);

	if (!error)
		error = open_inode(inode, inode->path, FMODE_READ | FMODE_WRITE, file);
	return api_status(error);
}

quire_file *quire_file_get(quire_file *file)
{
	get_file(file);
	return file;
}

void quire_close(quire_file *file)
{
	fput(file);
}

int64_t quire_pread(quire_file *file, quire_group *group, void *buffer, uint64_t bytes,
		    uint64_t offset)
{
	return api_result(filemap_read(file, group, buffer, bytes, offset));
}

int64_t quire_pwrite(quire_file *file, quire_group *group, const void *buffer, uint64_t bytes,
		     uint64_t offset)
{
	return api_result(filemap_write(file, group, buffer, bytes, offset));
}

int64_t quire_pread_user(quire_file *file, quire_mm *mm, uint64_t address, uint64_t bytes,
			 uint64_t offset)
{
	return api_result(filemap_read_user(file, mm, address, bytes, offset));
}

int64_t quire_pwrite_user(quire_file *file, quire_mm *mm, uint64_t address, uint64_t bytes,
			  uint64_t offset)
{
	return api_result(filemap_write_user(file, mm, address, bytes, offset));
}

int64_t quire_file_size(quire_file *file)
{
	return (int64_t)i_size_read(file->f_inode);
}

int quire_ftruncate(quire_file *file, uint64_t bytes)
{
	return api_status(file_truncate(file, bytes));
}

int quire_punch_hole(quire_file *file, uint64_t offset, uint64_t bytes)
{
	return api_status(file_punch_hole(file, offset, bytes));
}

int quire_fsync(quire_file *file)
{
	return api_status(vfs_fsync_range(file, 0, UINT64_MAX));
}
