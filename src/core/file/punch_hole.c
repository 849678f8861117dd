/* SPDX-License-Identifier: MIT */
/*
 * fallocate(2) with FALLOC_FL_PUNCH_HOLE: whole pages leave cache, mappings and store; the parts of
 * pages at the edges are zeroed as a write would do it.
 */
#include "core/file/filemap.h"
#include "core/file/internal.h"
#include "core/file/shmem.h"
#include "core/instance/instance.h"
#include "core/rmap/rmap.h"

#include <errno.h>

/* Segments of a request that writes zeroes: all are the zero page. */
#define ZERO_SEGMENTS 64

/* A request that its submitter waits for. */
struct zero_request {
	struct quire_request request;
	struct quire_segment segments[ZERO_SEGMENTS];
	int64_t result;
	_Atomic uint32_t finished;
};

static void zero_done(struct quire_request *request, int64_t result)
{
	struct zero_request *zero = request->context;

	zero->result = result;
	atomic_store_explicit(&zero->finished, 1, memory_order_release);
	quire_unpark(&zero->finished, 1);
}

/* Writes at most a request's worth of zeroes from `offset` on; how many, or -errno. */
static int64_t write_some_zeroes(struct quire *quire, struct quire_store *store, uint64_t offset,
				 uint64_t bytes)
{
	struct zero_request zero = {
		.request = {.direction = QUIRE_WRITE, .offset = offset, .done = zero_done},
	};
	uint64_t todo = min_u64(bytes, ZERO_SEGMENTS * PAGE_SIZE);
	int error;

	zero.request.context = &zero;
	zero.request.segments = zero.segments;
	for (uint64_t done = 0; done < todo; done += PAGE_SIZE)
		zero.segments[zero.request.nr_segments++] = (struct quire_segment){
			.memory = page_address(&quire->zone, quire->zero_page),
			.bytes = min_u64(todo - done, PAGE_SIZE),
		};
	error = store->ops->submit(store, &zero.request);
	if (error)
		return error;
	while (!atomic_load_explicit(&zero.finished, memory_order_acquire))
		quire_park(&zero.finished, 0);
	return zero.result < 0 ? zero.result : (int64_t)todo;
}

static int write_zeroes(struct quire *quire, struct quire_store *store, uint64_t start,
			uint64_t end)
{
	while (start < end) {
		int64_t written = write_some_zeroes(quire, store, start, end - start);

		if (written < 0)
			return (int)written;
		start += (uint64_t)written;
	}
	return 0;
}

/*
 * [start, end) of the store reads as zero from now on. What was dropped from the cache may have
 * been the only reason for the store to grow to the file's size, so that is seen to first.
 */
static int zero_store_range(struct inode *inode, uint64_t start, uint64_t end)
{
	struct quire_store *store = inode_store(inode);
	const uint64_t size = i_size_read(inode);
	int64_t store_size = store->ops->size(store);
	int error = 0;

	end = min_u64(end, size);
	if (store_size < 0)
		return (int)store_size;
	if ((uint64_t)store_size < size)
		error = store->ops->resize(store, size);
	if (error || start >= end)
		return error;
	error = store->ops->discard(store, start, end - start);
	if (error == -EOPNOTSUPP)
		error = write_zeroes(inode->quire, store, start, end);
	return error;
}

/* Whole pages: [first, end) in pages. */
static int punch_pages(struct inode *inode, pgoff_t first, pgoff_t end)
{
	struct address_space *mapping = &inode->i_data;
	int error = 0;

	if (first >= end)
		return 0;
	write_lock(&mapping->invalidate_lock);
	unmap_mapping_pages(mapping, first, end - 1, false);
	truncate_inode_pages(mapping, first, end - 1);
	if (inode->kind == INODE_REGULAR)
		error = zero_store_range(inode, first << PAGE_SHIFT, end << PAGE_SHIFT);
	write_unlock(&mapping->invalidate_lock);
	return error;
}

/* R held. The edges go first: they may fail, and then most of the range still has its data. */
static int punch_range(struct inode *inode, uint64_t start, uint64_t end)
{
	struct address_space *mapping = &inode->i_data;
	const uint64_t inner_start = PAGE_ALIGN(start);
	const uint64_t inner_end = PAGE_ALIGN_DOWN(end);
	int error = 0;

	if (inner_start > inner_end)
		return zero_page_range(mapping, start, end);
	if (start < inner_start)
		error = zero_page_range(mapping, start, inner_start);
	if (!error && inner_end < end)
		error = zero_page_range(mapping, inner_end, end);
	if (error)
		return error;
	return punch_pages(inode, inner_start >> PAGE_SHIFT, inner_end >> PAGE_SHIFT);
}

static int punch_locked(struct inode *inode, uint64_t offset, uint64_t bytes)
{
	const uint64_t size_end = i_size_pages(inode) << PAGE_SHIFT;

	if (inode->kind == INODE_SHMEM &&
	    (atomic_load_explicit(&inode->seals, memory_order_relaxed) & QUIRE_SEAL_WRITE))
		return -EPERM;
	if (inode->kind == INODE_REGULAR && !inode_store(inode)->writable)
		return -EBADF;
	if (offset >= i_size_read(inode))
		return 0;
	/* A range that reaches the end of the file takes the last page as a whole. */
	if (offset + bytes >= i_size_read(inode))
		return punch_range(inode, offset, size_end);
	return punch_range(inode, offset, offset + bytes);
}

int file_punch_hole(struct file *file, uint64_t offset, uint64_t bytes)
{
	struct inode *inode = file->f_inode;
	int error;

	/* As numbers with a sign, both are negative beyond that. */
	if (!bytes || bytes > MAX_LFS_FILESIZE || offset > MAX_LFS_FILESIZE)
		return -EINVAL;
	if (bytes > MAX_LFS_FILESIZE - offset)
		return -EFBIG;
	if (!(file->f_mode & FMODE_WRITE))
		return -EBADF;
	if (inode->kind == INODE_ZERO)
		return -ENODEV;
	mutex_lock(&inode->i_rwsem);
	error = punch_locked(inode, offset, bytes);
	mutex_unlock(&inode->i_rwsem);
	return error;
}
