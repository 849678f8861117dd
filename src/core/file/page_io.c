/* SPDX-License-Identifier: MIT */
/*
 * Requests of cached pages to the store, and what happens when they are done
 * (core/file/page_io.h).
 */
#include "core/file/page_io.h"

#include "base/alloc.h"
#include "core/file/internal.h"
#include "core/file/request.h"
#include "core/instance/instance.h"
#include "core/instance/trace.h"
#include "core/reclaim/vmscan.h"

#include <errno.h>
#include <string.h>

/* Who waits may return, and the memory be gone, as soon as `finished` is set. */
static void page_io_finish(struct page_io *io, int error)
{
	if (!io->waited) {
		quire_free(io);
		return;
	}
	io->error = error;
	atomic_store_explicit(&io->finished, 1, memory_order_release);
	quire_unpark(&io->finished, 1);
}

/* `result`: bytes read; what lies beyond them is beyond the end of the store. */
static void read_done(struct quire_request *request, int64_t result)
{
	struct page_io *io = request->context;
	struct quire *quire = io->mapping->host->quire;
	uint64_t left = result < 0 ? 0 : (uint64_t)result;

	if (result >= 0) {
		count_event(quire, EVENT_FILE_READ, request->nr_segments);
		mapping_stat_event(&io->mapping->host->i_stat, MAPPING_READ, request->nr_segments);
	}
	for (uint32_t i = 0; i < request->nr_segments; i++) {
		struct quire_segment *segment = &request->segments[i];
		struct page *page = virt_to_page(&quire->zone, segment->memory);
		uint64_t valid = min_u64(left, PAGE_SIZE);

		if (result >= 0) {
			memset((char *)segment->memory + valid, 0, PAGE_SIZE - valid);
			page_set(page, PG_uptodate);
		}
		left -= valid;
		unlock_page_disowned(page);
	}
	page_io_finish(io, result < 0 ? (int)result : 0);
}

/* Nothing was written for lack of memory: no verdict on the data, whoever asked is told. */
static bool is_transient(int error)
{
	return error == -ENOMEM || error == -EAGAIN;
}

/* The pages' marks and counts, with what follows from an error, while they still are under
 * writeback. */
static void account_written(struct page_io *io, int error)
{
	struct quire_request *request = &io->request;
	struct address_space *mapping = io->mapping;
	struct quire *quire = mapping->host->quire;

	spin_lock(&mapping->i_pages_lock);
	for (uint32_t i = 0; i < request->nr_segments; i++) {
		struct page *page = virt_to_page(&quire->zone, request->segments[i].memory);

		if (error && !is_transient(error))
			page_set(page, PG_error);
		else if (!error)
			page_clear(page, PG_error);
		if (error)
			mapping_mark_dirty(mapping, page);
		xa_clear_mark(&mapping->i_pages, page->index, XA_MARK_WRITEBACK);
		trace_page(quire, QUIRE_TRACE_WRITEBACK, page, error);
	}
	atomic_fetch_sub_explicit(&mapping->writeback_pages, request->nr_segments,
				  memory_order_relaxed);
	atomic_fetch_sub_explicit(&quire->nr_writeback, request->nr_segments, memory_order_relaxed);
	spin_unlock(&mapping->i_pages_lock);

	if (!error) {
		count_event(quire, EVENT_FILE_WRITTEN, request->nr_segments);
		mapping_stat_event(&mapping->host->i_stat, MAPPING_WRITEBACK, request->nr_segments);
	} else if (!is_transient(error)) {
		count_event(quire, EVENT_WRITE_ERROR, request->nr_segments);
		mapping_note_error(mapping, error);
	}
}

static void write_complete(struct page_io *io, int error)
{
	struct quire_request *request = &io->request;
	struct quire *quire = io->mapping->host->quire;

	account_written(io, error);
	for (uint32_t i = 0; i < request->nr_segments; i++) {
		struct page *page = virt_to_page(&quire->zone, request->segments[i].memory);

		if (page_test_and_clear(page, PG_reclaim) && !error)
			deactivate_page(quire, page);
		end_page_writeback_flag(page);
	}
	page_io_finish(io, error);
}

static void write_done(struct quire_request *request, int64_t result)
{
	int error = 0;

	if (result < 0)
		error = (int)result;
	else if ((uint64_t)result < request_bytes(request))
		error = -EIO;
	write_complete(request->context, error);
}

static void page_io_init(struct page_io *io, struct address_space *mapping,
			 enum quire_direction direction)
{
	io->mapping = mapping;
	io->request.direction = direction;
	io->request.done = direction == QUIRE_READ ? read_done : write_done;
	io->request.context = io;
	io->request.segments = io->capacity == 1 ? &io->one : (struct quire_segment *)(io + 1);
}

static struct page_io *page_io_alloc(const struct page_io_batch *batch)
{
	size_t segments = batch->limit > 1 ? batch->limit * sizeof(struct quire_segment) : 0;
	struct page_io *io = quire_zalloc(sizeof(*io) + segments);

	if (!io)
		return NULL;
	io->capacity = batch->limit;
	page_io_init(io, batch->mapping, batch->direction);
	return io;
}

static void page_io_add(struct page_io *io, struct page *page, uint64_t bytes)
{
	const struct zone *zone = &io->mapping->host->quire->zone;
	struct quire_request *request = &io->request;

	if (!request->nr_segments)
		request->offset = page->index << PAGE_SHIFT;
	request->segments[request->nr_segments++] = (struct quire_segment){
		.memory = page_address(zone, page),
		.bytes = bytes,
	};
	if (request->direction == QUIRE_READ)
		disown_page_lock(page);
}

/* The io may be gone when this returns, unless it is waited for. */
static int page_io_submit(struct page_io *io)
{
	struct quire_store *store =
		atomic_load_explicit(&io->mapping->host->store, memory_order_acquire);
	int error = io->request.direction == QUIRE_WRITE && !store->writable
			    ? -EROFS
			    : store->ops->submit(store, &io->request);

	if (!error)
		return 0;
	if (io->request.direction == QUIRE_READ)
		read_done(&io->request, error);
	else
		write_complete(io, error);
	return error;
}

int page_io_wait(struct address_space *mapping, enum quire_direction direction, struct page *page,
		 uint64_t bytes)
{
	struct page_io io = {.capacity = 1, .waited = true};

	page_io_init(&io, mapping, direction);
	page_io_add(&io, page, bytes);
	if (!page_io_submit(&io))
		while (!atomic_load_explicit(&io.finished, memory_order_acquire))
			quire_park(&io.finished, 0);
	return io.error;
}

/* Consecutive, and nothing after a last page that is written in part. */
static bool page_io_continues(const struct page_io *io, const struct page *page)
{
	const struct quire_request *request = &io->request;

	return request->nr_segments < io->capacity &&
	       request->offset + ((uint64_t)request->nr_segments << PAGE_SHIFT) ==
		       page->index << PAGE_SHIFT &&
	       request->segments[request->nr_segments - 1].bytes == PAGE_SIZE;
}

static void batch_note_error(struct page_io_batch *batch, int error)
{
	if (error && !batch->error)
		batch->error = error;
}

void page_io_batch_submit(struct page_io_batch *batch)
{
	struct page_io *io = batch->io;

	batch->io = NULL;
	if (io)
		batch_note_error(batch, page_io_submit(io));
}

void page_io_batch_add(struct page_io_batch *batch, struct page *page, uint64_t bytes)
{
	/* A page whose write failed goes alone, so that it does not take its neighbours with it. */
	bool alone = batch->direction == QUIRE_WRITE && page_test(page, PG_error);

	if (batch->io && (alone || !page_io_continues(batch->io, page)))
		page_io_batch_submit(batch);
	if (!batch->io)
		batch->io = page_io_alloc(batch);
	if (!batch->io) {
		batch_note_error(batch,
				 page_io_wait(batch->mapping, batch->direction, page, bytes));
		return;
	}
	page_io_add(batch->io, page, bytes);
	if (alone)
		page_io_batch_submit(batch);
}
