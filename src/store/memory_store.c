/* SPDX-License-Identifier: MIT */
/*
 * A store in memory (quire/memory_store.h): a sparse array of pages.
 *
 * The bytes of a last page beyond the size are zero, so that growing the store shows zeroes.
 */
#include <quire/memory_store.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/lock.h"
#include "base/xarray.h"
#include "core/file/request.h"

#include <errno.h>
#include <string.h>

/*
 * L = lock: held for writing while pages come and go or the size changes, for reading during
 * transfers (two that are under way at a time do not overlap, so that bytes in the pages need no
 * more).
 */
struct memory_store {
	struct quire_store base;
	struct rwlock lock;
	struct xarray pages; /* L: by index */
	uint64_t size;       /* L: bytes */
};

static struct memory_store *memory_store(struct quire_store *store)
{
	return (struct memory_store *)store;
}

/* Gives every page of [offset, end) memory; under the lock for writing. 0 or -ENOMEM; pages added
 * before that stay, as zeroes. */
static int populate(struct memory_store *store, uint64_t offset, uint64_t end)
{
	for (uint64_t index = offset >> PAGE_SHIFT; index << PAGE_SHIFT < end; index++) {
		if (xa_load(&store->pages, index))
			continue;

		void *page = quire_zalloc(PAGE_SIZE);

		if (!page)
			return -ENOMEM;
		if (xa_store(&store->pages, index, page)) {
			quire_free(page);
			return -ENOMEM;
		}
	}
	return 0;
}

/* Whether a write to [offset, end) finds all its pages; under the lock. */
static bool covers(struct memory_store *store, uint64_t offset, uint64_t end)
{
	if (offset == end)
		return true;
	if (end > store->size)
		return false;
	for (uint64_t index = offset >> PAGE_SHIFT; index << PAGE_SHIFT < end; index++)
		if (!xa_load(&store->pages, index))
			return false;
	return true;
}

/* Makes it so; without the lock. 0 or -ENOMEM. */
static int extend(struct memory_store *store, uint64_t offset, uint64_t end)
{
	write_lock(&store->lock);

	int error = populate(store, offset, end);

	if (!error)
		store->size = max_u64(store->size, end);
	write_unlock(&store->lock);
	return error;
}

/* Copies between one segment and the pages, all of them below the size. */
static void copy_segment(struct memory_store *store, enum quire_direction direction,
			 uint64_t offset, const struct quire_segment *segment)
{
	char *memory = segment->memory;
	size_t left = segment->bytes;

	while (left) {
		size_t bytes = min_u64(left, PAGE_SIZE - PAGE_OFFSET(offset));
		char *page = xa_load(&store->pages, offset >> PAGE_SHIFT);

		if (direction == QUIRE_WRITE)
			memcpy(page + PAGE_OFFSET(offset), memory, bytes);
		else if (page)
			memcpy(memory, page + PAGE_OFFSET(offset), bytes);
		else
			memset(memory, 0, bytes);
		memory += bytes;
		offset += bytes;
		left -= bytes;
	}
}

/* Bytes of [offset, offset + wanted) that are copied; under the lock for reading. */
static uint64_t copy_request(struct memory_store *store, const struct quire_request *request,
			     uint64_t wanted)
{
	uint64_t offset = request->offset;
	uint64_t end = min_u64(offset + wanted, store->size);

	for (uint32_t i = 0; i < request->nr_segments && offset < end; i++) {
		struct quire_segment segment = request->segments[i];

		segment.bytes = min_u64(segment.bytes, end - offset);
		copy_segment(store, request->direction, offset, &segment);
		offset += segment.bytes;
	}
	return offset - request->offset;
}

static int memory_submit(struct quire_store *base, struct quire_request *request)
{
	struct memory_store *store = memory_store(base);
	const uint64_t wanted = request_bytes(request);

	if (request->offset > INT64_MAX || wanted > INT64_MAX - request->offset)
		return request->direction == QUIRE_WRITE ? -EFBIG : -EINVAL;

	uint64_t end = request->offset + wanted;

	read_lock(&store->lock);
	while (request->direction == QUIRE_WRITE && !covers(store, request->offset, end)) {
		read_unlock(&store->lock);

		int error = extend(store, request->offset, end);

		if (error)
			return error;
		read_lock(&store->lock);
	}

	uint64_t copied = copy_request(store, request, wanted);

	read_unlock(&store->lock);
	request->done(request, (int64_t)copied);
	return 0;
}

static int64_t memory_size(struct quire_store *base)
{
	struct memory_store *store = memory_store(base);

	read_lock(&store->lock);

	int64_t size = (int64_t)store->size;

	read_unlock(&store->lock);
	return size;
}

/* Makes [offset, end) read as zero; under the lock for writing. */
static void zero_range(struct memory_store *store, uint64_t offset, uint64_t end)
{
	uint64_t index, from, to;
	char *page;

	if (offset >= end)
		return;
	xa_for_each_range (&store->pages, index, page, offset >> PAGE_SHIFT,
			   (end - 1) >> PAGE_SHIFT) {
		from = max_u64(offset, index << PAGE_SHIFT) - (index << PAGE_SHIFT);
		to = min_u64(end - (index << PAGE_SHIFT), PAGE_SIZE);
		if (to - from == PAGE_SIZE)
			quire_free(xa_erase(&store->pages, index));
		else
			memset(page + from, 0, to - from);
	}
}

static int memory_resize(struct quire_store *base, uint64_t bytes)
{
	struct memory_store *store = memory_store(base);

	if (bytes > INT64_MAX)
		return -EFBIG;
	write_lock(&store->lock);
	zero_range(store, bytes, PAGE_ALIGN(store->size));
	store->size = bytes;
	write_unlock(&store->lock);
	return 0;
}

static int memory_discard(struct quire_store *base, uint64_t offset, uint64_t bytes)
{
	struct memory_store *store = memory_store(base);

	if (offset > INT64_MAX)
		return -EINVAL;
	write_lock(&store->lock);
	/* A last page that the range covers up to the size goes as a whole. */
	uint64_t end = offset + min_u64(bytes, INT64_MAX - offset);

	zero_range(store, offset, end >= store->size ? PAGE_ALIGN(store->size) : end);
	write_unlock(&store->lock);
	return 0;
}

static int memory_sync(struct quire_store *base)
{
	(void)base;
	return 0;
}

static void memory_close(struct quire_store *base)
{
	struct memory_store *store = memory_store(base);
	uint64_t index;
	void *page;

	xa_for_each (&store->pages, index, page)
		quire_free(page);
	xa_destroy(&store->pages);
	quire_free(store);
}

static const struct quire_store_ops memory_ops = {
	.name = "memory",
	.submit = memory_submit,
	.size = memory_size,
	.resize = memory_resize,
	.discard = memory_discard,
	.sync = memory_sync,
	.close = memory_close,
};

int quire_memory_store_create(uint64_t bytes, struct quire_store **result)
{
	struct memory_store *store = quire_zalloc(sizeof(*store));

	if (!store)
		return -ENOMEM;
	store->base.ops = &memory_ops;
	store->base.writable = true;
	rwlock_init(&store->lock, LOCK_LEAF);
	xa_init(&store->pages);
	store->size = bytes;
	*result = &store->base;
	return 0;
}

uint64_t quire_memory_store_pages(struct quire_store *base)
{
	struct memory_store *store = memory_store(base);

	read_lock(&store->lock);

	uint64_t pages = xa_count(&store->pages);

	read_unlock(&store->lock);
	return pages;
}
