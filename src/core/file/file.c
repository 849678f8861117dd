/* SPDX-License-Identifier: MIT */
/*
 * Open handles on inodes (core/file/address_space.h).
 */
#include "core/file/address_space.h"

#include "base/alloc.h"
#include "core/file/internal.h"
#include "core/instance/instance.h"

#include <string.h>

struct file *file_prepare(const char *path)
{
	const size_t bytes = strlen(path) + 1;
	struct file *file = quire_zalloc(sizeof(*file) + bytes);

	if (file)
		memcpy(file->f_path, path, bytes);
	return file;
}

void file_bind(struct file *file, struct inode *inode, uint32_t mode)
{
	iget(inode);
	file->f_inode = inode;
	file->f_mapping = &inode->i_data;
	file->f_mode = mode;
	file->f_wb_err = errseq_sample(&inode->i_data.wb_err);
	/* No page precedes the first one read, so that starting at 0 is in sequence. */
	file->f_ra.prev_index = UINT64_MAX;
	file->f_count = 1;
	spin_lock(&inode->quire->inodes_lock);
	list_add_tail(&file->f_list, &inode->i_files);
	spin_unlock(&inode->quire->inodes_lock);
}

struct file *file_alloc(struct inode *inode, uint32_t mode)
{
	struct file *file = file_prepare(inode->path);

	if (file)
		file_bind(file, inode, mode);
	return file;
}

struct file *file_share(struct inode *inode, uint32_t mode, const char *path)
{
	struct file *file, *found = NULL;

	spin_lock(&inode->quire->inodes_lock);
	list_for_each_entry (file, &inode->i_files, f_list) {
		if (file->f_mode == mode && !strcmp(file->f_path, path) &&
		    get_unless_zero(&file->f_count)) {
			found = file;
			break;
		}
	}
	spin_unlock(&inode->quire->inodes_lock);
	if (!found) {
		found = file_prepare(path);
		if (found)
			file_bind(found, inode, mode);
	}
	return found;
}

void get_file(struct file *file)
{
	atomic_fetch_add_explicit(&file->f_count, 1, memory_order_relaxed);
}

void fput(struct file *file)
{
	struct inode *inode = file->f_inode;
	bool last;

	if (atomic_fetch_sub_explicit(&file->f_count, 1, memory_order_acq_rel) != 1)
		return;
	spin_lock(&inode->quire->inodes_lock);
	list_del(&file->f_list);
	last = list_empty(&inode->i_files);
	spin_unlock(&inode->quire->inodes_lock);
	quire_free(file);
	if (last)
		mapping_forget_shadows(&inode->i_data);
	iput(inode);
}
