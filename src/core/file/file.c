/* SPDX-License-Identifier: MIT */
/*
 * Open handles on inodes (core/file/address_space.h).
 */
#include "core/file/address_space.h"

#include "base/alloc.h"
#include "core/file/internal.h"
#include "core/instance/instance.h"

struct file *file_prepare(void)
{
	return quire_zalloc(sizeof(struct file));
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
	struct file *file = file_prepare();

	if (file)
		file_bind(file, inode, mode);
	return file;
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
