/* SPDX-License-Identifier: MIT */
/*
 * fsync(2): writes a range, waits, makes it durable, and reports errors once to each opener.
 */
#include "core/file/filemap.h"
#include "core/file/internal.h"
#include "core/file/writeback.h"
#include "core/instance/instance.h"

/*
 * An error of the file that this opener has not heard of yet. Two callers on one handle advance its
 * sample one after the other, so that only one of them gets it.
 */
static int file_check_and_advance_wb_err(struct file *file)
{
	errseq_t *wb_err = &file->f_mapping->wb_err;
	uint32_t old = atomic_load_explicit(&file->f_wb_err, memory_order_acquire);

	for (;;) {
		uint32_t since = old;
		int error = errseq_check_and_advance(wb_err, &since);

		if (since == old || atomic_compare_exchange_strong_explicit(
					    &file->f_wb_err, &old, since, memory_order_acq_rel,
					    memory_order_acquire))
			return error;
	}
}

int vfs_fsync_range(struct file *file, uint64_t start, uint64_t end)
{
	struct inode *inode = file->f_inode;
	struct writeback_control control = {
		.start = start,
		.end = end,
		.nr_to_write = UINT64_MAX,
		.sync = true,
	};
	struct quire_store *store;
	int error, reported;

	if (inode->kind != INODE_REGULAR)
		return 0;
	error = writeback_mapping(file->f_mapping, &control);
	store = inode_store(inode);
	if (store->writable) {
		int sync_error = store->ops->sync(store);

		if (sync_error)
			mapping_note_error(file->f_mapping, sync_error);
		if (!error)
			error = sync_error;
	}
	reported = file_check_and_advance_wb_err(file);
	return reported ? reported : error;
}
