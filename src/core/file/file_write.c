/* SPDX-License-Identifier: MIT */
/*
 * pwrite(2) through the page cache.
 *
 * A page that is written in part is read first, unless what is left of it lies beyond the end of
 * the file. i_size moves while the page with the new last byte is locked, so that writeback, which
 * looks at both under that lock, never writes less than there is nor more.
 */
#include "core/file/filemap.h"
#include "core/file/internal.h"
#include "core/file/io_buffer.h"
#include "core/file/page_io.h"
#include "core/file/shmem.h"
#include "core/file/writeback.h"
#include "core/instance/instance.h"
#include "core/reclaim/vmscan.h"

#include <errno.h>
#include <string.h>

#define MAX_RW_COUNT ((uint64_t)INT32_MAX & PAGE_MASK)

/* The part of one page that is written next. */
struct write_piece {
	struct address_space *mapping;
	struct mem_cgroup *memcg;
	pgoff_t index;
	uint64_t from, to; /* bytes in the page */
};

/* The page, cached and locked, perhaps not uptodate. */
static int lock_page_for_write(const struct write_piece *piece, struct page **result)
{
	struct address_space *mapping = piece->mapping;

	for (;;) {
		struct page *page = filemap_lookup(mapping, piece->index);
		int error;

		if (page) {
			if (filemap_lock_page(mapping, page)) {
				*result = page;
				return 0;
			}
			put_page(mapping->host->quire, page);
			continue;
		}
		error = filemap_create_page(mapping, piece->index, piece->memcg, GFP_RECLAIM,
					    result);
		if (error != -EEXIST)
			return error;
	}
}

/* True when the bytes around the piece need no reading; they are zero then. */
static bool surroundings_known(const struct write_piece *piece, struct page *page)
{
	const struct inode *inode = piece->mapping->host;
	const uint64_t start = piece->index << PAGE_SHIFT;
	char *memory = page_address(&inode->quire->zone, page);

	if (piece->from ? start < i_size_read(inode)
			: piece->to < PAGE_SIZE && start + piece->to < i_size_read(inode))
		return false;
	memset(memory, 0, piece->from);
	memset(memory + piece->to, 0, PAGE_SIZE - piece->to);
	return true;
}

static int write_begin_regular(const struct write_piece *piece, struct page **result)
{
	struct quire *quire = piece->mapping->host->quire;

	for (;;) {
		struct page *page;
		int error = lock_page_for_write(piece, &page);

		if (error)
			return error;
		/* A store reads the memory while it writes: it should see one state of it. */
		wait_on_page_writeback(page);
		if (page_test(page, PG_uptodate) || surroundings_known(piece, page)) {
			*result = page;
			return 0;
		}
		error = page_io_wait(piece->mapping, QUIRE_READ, page, PAGE_SIZE);
		put_page(quire, page);
		if (error)
			return error;
	}
}

static int write_begin_shmem(const struct write_piece *piece, struct page **result)
{
	const struct filemap_context context = {.memcg = piece->memcg};

	for (;;) {
		int error =
			shmem_get_page(piece->mapping, piece->index, &context, SHMEM_WRITE, result);

		if (error || filemap_lock_page(piece->mapping, *result))
			return error;
		put_page(piece->mapping->host->quire, *result);
	}
}

static void write_end(const struct write_piece *piece, struct page *page)
{
	struct inode *inode = piece->mapping->host;
	const uint64_t end = (piece->index << PAGE_SHIFT) + piece->to;

	page_set(page, PG_uptodate);
	set_page_dirty(page);
	if (end > i_size_read(inode))
		i_size_write(inode, end);
	unlock_page(page);
	mark_page_accessed(page);
	put_page(inode->quire, page);
}

static int write_begin(const struct write_piece *piece, struct page **page)
{
	struct inode *inode = piece->mapping->host;
	const uint64_t size = i_size_read(inode);
	const uint64_t end = max_u64((piece->index << PAGE_SHIFT) + piece->to, size);
	int error;

	if (inode->kind == INODE_REGULAR)
		return write_begin_regular(piece, page);
	error = shmem_account_size(inode, size, end);
	if (error)
		return error;
	error = write_begin_shmem(piece, page);
	/* Giving back does not fail. */
	if (error && shmem_account_size(inode, end, size))
		return -ENOMEM;
	return error;
}

static int write_piece(const struct write_piece *piece, struct io_buffer *buffer, uint64_t done)
{
	struct page *page;
	int error = write_begin(piece, &page);

	if (error)
		return error;
	io_buffer_copy(buffer, done, (char *)page_address(&buffer->quire->zone, page) + piece->from,
		       piece->to - piece->from);
	write_end(piece, page);
	return 0;
}

/*
 * Linux moves the end of a memory object to where a write finds no buffer, and tries again (a
 * regular file has been extended before): the buffer may be a mapping of the object itself. 1: it
 * moved, 0: nothing to do, or -ENOMEM.
 */
static int extend_shmem(struct inode *inode, uint64_t position)
{
	const uint64_t size = i_size_read(inode);

	if (inode->kind != INODE_SHMEM || position <= size)
		return 0;
	if (shmem_account_size(inode, size, position))
		return -ENOMEM;
	i_size_write(inode, position);
	return 1;
}

static int64_t write_pages(struct file *file, struct mem_cgroup *memcg, struct io_buffer *buffer,
			   uint64_t offset)
{
	uint64_t done = 0;

	while (done < buffer->bytes) {
		const uint64_t position = offset + done;
		struct write_piece piece = {
			.mapping = file->f_mapping,
			.memcg = memcg,
			.index = position >> PAGE_SHIFT,
			.from = PAGE_OFFSET(position),
		};
		int64_t bytes = io_buffer_prepare(
			buffer, done, min_u64(PAGE_SIZE - piece.from, buffer->bytes - done));
		int error;

		if (bytes < 0) {
			error = extend_shmem(file->f_inode, position);
			if (error > 0)
				continue;
			return done ? (int64_t)done : error ? error : bytes;
		}
		piece.to = piece.from + (uint64_t)bytes;
		error = write_piece(&piece, buffer, done);
		if (error)
			return done ? (int64_t)done : error;
		done += (uint64_t)bytes;
		balance_dirty_pages(file->f_mapping);
	}
	return (int64_t)done;
}

/* What seals allow of the write; may make it shorter. R held. */
static int check_seals(const struct inode *inode, struct io_buffer *buffer, uint64_t offset)
{
	const uint32_t seals = atomic_load_explicit(&inode->seals, memory_order_relaxed);
	const uint64_t size = i_size_read(inode);

	if (seals & QUIRE_SEAL_WRITE)
		return -EPERM;
	if (!(seals & QUIRE_SEAL_GROW) || offset + buffer->bytes <= size)
		return 0;
	if (offset >= size)
		return -EPERM;
	buffer->bytes = size - offset;
	return 0;
}

static int64_t write_locked(struct file *file, struct mem_cgroup *memcg, struct io_buffer *buffer,
			    uint64_t offset)
{
	struct inode *inode = file->f_inode;
	int error = 0;

	if (inode->kind == INODE_SHMEM)
		error = check_seals(inode, buffer, offset);
	else if (offset > i_size_read(inode))
		error = inode_extend(inode, offset);
	return error ? error : write_pages(file, memcg, buffer, offset);
}

static int64_t do_write(struct file *file, struct mem_cgroup *memcg, struct io_buffer *buffer,
			uint64_t offset)
{
	struct inode *inode = file->f_inode;
	int64_t result;

	if (!(file->f_mode & FMODE_WRITE))
		return -EBADF;
	if (offset > MAX_LFS_FILESIZE || buffer->bytes > MAX_LFS_FILESIZE - offset)
		return -EINVAL;
	buffer->bytes = min_u64(buffer->bytes, MAX_RW_COUNT);
	buffer->quire = inode->quire;
	/* /dev/zero takes everything and keeps nothing. */
	if (!buffer->bytes || inode->kind == INODE_ZERO)
		return (int64_t)buffer->bytes;
	mutex_lock(&inode->i_rwsem);
	result = write_locked(file, memcg, buffer, offset);
	mutex_unlock(&inode->i_rwsem);
	io_buffer_release(buffer);
	return result;
}

int64_t filemap_write(struct file *file, struct mem_cgroup *memcg, const void *memory,
		      uint64_t bytes, uint64_t offset)
{
	/* Only read, as `fill` stays false. */
	struct io_buffer buffer = {.memory = (char *)(uintptr_t)memory, .bytes = bytes};

	return do_write(file, memcg, &buffer, offset);
}

int64_t filemap_write_user(struct file *file, struct mm_struct *mm, uint64_t address,
			   uint64_t bytes, uint64_t offset)
{
	struct io_buffer buffer = {.mm = mm, .address = address, .bytes = bytes};

	return do_write(file, mm->memcg, &buffer, offset);
}
