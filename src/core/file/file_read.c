/* SPDX-License-Identifier: MIT */
/*
 * pread(2) through the page cache.
 */
#include "core/file/filemap.h"
#include "core/file/internal.h"
#include "core/file/io_buffer.h"
#include "core/file/shmem.h"
#include "core/instance/instance.h"
#include "core/reclaim/vmscan.h"

#include <errno.h>

/* Linux's MAX_RW_COUNT: what one call moves at most. */
#define MAX_RW_COUNT ((uint64_t)INT32_MAX & PAGE_MASK)

/* A page with what the file holds at `index`; for a hole of a shmem object the zero page. */
static int get_read_page(struct address_space *mapping, pgoff_t index,
			 const struct filemap_context *context, struct page **page)
{
	if (mapping_is_shmem(mapping))
		return shmem_get_page(mapping, index, context, SHMEM_READ, page);
	return filemap_get_page(mapping, index, context, page);
}

/* Several small reads of one page in a row count as one use of it. */
static void note_access(struct file *file, struct page *page, pgoff_t index)
{
	if (atomic_load_explicit(&file->f_ra.prev_index, memory_order_relaxed) == index)
		return;
	if (!page_test(page, PG_reserved))
		mark_page_accessed(page);
	atomic_store_explicit(&file->f_ra.prev_index, index, memory_order_relaxed);
}

/* Copies what there is of one page: bytes, 0 at the end of the file, or -errno. */
static int64_t read_page(struct file *file, struct io_buffer *buffer, uint64_t done,
			 const struct filemap_context *context, uint64_t position)
{
	struct address_space *mapping = file->f_mapping;
	const pgoff_t index = position >> PAGE_SHIFT;
	uint64_t size = i_size_read(mapping->host);
	struct page *page;
	int64_t bytes;
	int error;

	if (position >= size)
		return 0;
	bytes = io_buffer_prepare(
		buffer, done,
		min_u64(min_u64(PAGE_SIZE - PAGE_OFFSET(position), buffer->bytes - done),
			size - position));
	if (bytes < 0)
		return bytes;
	error = get_read_page(mapping, index, context, &page);
	if (error)
		return error == -EFAULT ? 0 : error;
	/* The file may have become shorter until the page was uptodate. */
	size = i_size_read(mapping->host);
	bytes = position >= size ? 0 : (int64_t)min_u64((uint64_t)bytes, size - position);
	if (bytes) {
		char *memory = page_address(&buffer->quire->zone, page);

		io_buffer_copy(buffer, done, memory + PAGE_OFFSET(position), (uint64_t)bytes);
	}
	note_access(file, page, index);
	put_page(buffer->quire, page);
	return bytes;
}

static int64_t read_zeroes(struct io_buffer *buffer)
{
	uint64_t done = 0;

	while (done < buffer->bytes) {
		int64_t bytes =
			io_buffer_prepare(buffer, done, min_u64(buffer->bytes - done, PAGE_SIZE));

		if (bytes < 0)
			return done ? (int64_t)done : bytes;
		io_buffer_zero(buffer, done, (uint64_t)bytes);
		done += (uint64_t)bytes;
	}
	return (int64_t)done;
}

static int64_t read_pages(struct file *file, struct mem_cgroup *memcg, struct io_buffer *buffer,
			  uint64_t offset)
{
	struct filemap_context context = {.memcg = memcg, .ra = &file->f_ra};
	uint64_t done = 0;

	while (done < buffer->bytes) {
		const uint64_t position = offset + done;
		const uint64_t left = PAGE_OFFSET(position) + buffer->bytes - done;
		int64_t bytes;

		context.pages = (left + PAGE_SIZE - 1) >> PAGE_SHIFT;
		bytes = read_page(file, buffer, done, &context, position);
		if (bytes < 0)
			return done ? (int64_t)done : bytes;
		if (!bytes)
			break;
		done += (uint64_t)bytes;
	}
	return (int64_t)done;
}

static int64_t do_read(struct file *file, struct mem_cgroup *memcg, struct io_buffer *buffer,
		       uint64_t offset)
{
	int64_t result;

	if (!(file->f_mode & FMODE_READ))
		return -EBADF;
	if (offset > MAX_LFS_FILESIZE || buffer->bytes > MAX_LFS_FILESIZE - offset)
		return -EINVAL;
	buffer->bytes = min_u64(buffer->bytes, MAX_RW_COUNT);
	buffer->quire = file->f_inode->quire;
	buffer->fill = true;
	if (file->f_inode->kind == INODE_ZERO)
		result = read_zeroes(buffer);
	else
		result = read_pages(file, memcg, buffer, offset);
	io_buffer_release(buffer);
	return result;
}

int64_t filemap_read(struct file *file, struct mem_cgroup *memcg, void *memory, uint64_t bytes,
		     uint64_t offset)
{
	struct io_buffer buffer = {.memory = memory, .bytes = bytes};

	return do_read(file, memcg, &buffer, offset);
}

int64_t filemap_read_user(struct file *file, struct mm_struct *mm, uint64_t address, uint64_t bytes,
			  uint64_t offset)
{
	struct io_buffer buffer = {.mm = mm, .address = address, .bytes = bytes};

	return do_read(file, mm->memcg, &buffer, offset);
}
