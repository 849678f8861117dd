/* SPDX-License-Identifier: MIT */
/*
 * Moving pages between memory and a swap area's store.
 *
 * Writes: those of one scan are collected in its plug, so that neighbouring slots become one
 * request. A page is under writeback and unlocked from then on; when the write fails it is dirty
 * again and stays in the cache, so its contents are never lost.
 *
 * Reads: the page is locked until its contents are there, with neighbours that lie beside it. When
 * the read fails the page leaves the cache, not uptodate; the entry stays and can be tried again.
 */
#include "base/alloc.h"
#include "core/instance/trace.h"
#include "core/reclaim/lruvec.h"
#include "core/reclaim/swap_area.h"
#include "core/reclaim/workingset.h"

#include <errno.h>

/* The slot of `entry` lies right behind that of the page. */
static bool slot_follows(const struct page *page, swp_entry_t entry)
{
	const swp_entry_t own = page_swap_entry(page);

	return entry.value == swp_entry(swp_type(own), swp_slot(own) + 1).value;
}

/* A request for pages in neighbouring slots. */
struct swap_io {
	struct quire_request request;
	struct swap_area *area;
	uint32_t capacity;               /* segments */
	struct quire_segment segments[]; /* each a page with a reference */
};

static struct swap_io *swap_io_alloc(struct swap_area *area, enum quire_direction direction,
				     uint64_t slot, uint32_t capacity)
{
	struct swap_io *io = quire_zalloc(sizeof(*io) + capacity * sizeof(io->segments[0]));

	if (!io)
		return NULL;
	io->area = area;
	io->capacity = capacity;
	io->request.direction = direction;
	io->request.offset = slot << PAGE_SHIFT;
	io->request.segments = io->segments;
	io->request.context = io;
	return io;
}

static void swap_io_add(struct swap_io *io, struct page *page)
{
	get_page(page);
	io->segments[io->request.nr_segments++] = (struct quire_segment){
		.memory = page_address(&io->area->quire->zone, page),
		.bytes = PAGE_SIZE,
	};
}

static struct page *swap_io_page(const struct swap_io *io, uint32_t i)
{
	return virt_to_page(&io->area->quire->zone, io->segments[i].memory);
}

/* 0, or an error, with which the request is done; the io may be gone in either case. */
static int swap_io_submit(struct swap_io *io)
{
	struct quire_store *store = io->area->store;
	int error;

	atomic_fetch_add_explicit(&io->area->nr_requests, 1, memory_order_relaxed);
	error = store->ops->submit(store, &io->request);

	if (error)
		io->request.done(&io->request, error);
	return error;
}

/* The last that a completion does: from here on nothing tells that the request ever was. */
static void swap_io_end(struct swap_io *io)
{
	struct swap_area *area = io->area;

	quire_free(io);
	atomic_fetch_sub_explicit(&area->nr_requests, 1, memory_order_release);
}

void swap_wait_idle(struct quire *quire)
{
	for (uint32_t type = 0; type < MAX_SWAP_AREAS; type++) {
		struct swap_area *area = swap_area_of_type(quire, type);
		uint32_t spins = 0;

		while (area && atomic_load_explicit(&area->nr_requests, memory_order_acquire))
			quire_relax(spins++);
	}
}

static void swap_write_end_page(struct quire *quire, struct page *page, bool success)
{
	if (success) {
		count_event(quire, EVENT_SWAP_OUT, 1);
		trace_page(quire, QUIRE_TRACE_SWAP_OUT, page, 0);
		page_clear(page, PG_error);
	} else {
		count_event(quire, EVENT_WRITE_ERROR, 1);
		page_set(page, PG_error);
		page_set(page, PG_dirty);
	}
	page_clear(page, PG_reclaim);
	end_page_writeback_flag(page);
	swap_cache_release(quire, page);
	put_page(quire, page);
}

static void swap_write_done(struct quire_request *request, int64_t result)
{
	struct swap_io *io = request->context;
	const bool success = result == (int64_t)request->nr_segments << PAGE_SHIFT;

	for (uint32_t i = 0; i < request->nr_segments; i++)
		swap_write_end_page(io->area->quire, swap_io_page(io, i), success);
	swap_io_end(io);
}

static bool swap_io_continues(const struct swap_io *io, const struct swap_area *area, uint64_t slot)
{
	const struct quire_request *request = &io->request;

	return io->area == area && request->nr_segments < io->capacity &&
	       (request->offset >> PAGE_SHIFT) + request->nr_segments == slot;
}

void swap_plug_flush(struct swap_plug *plug)
{
	struct swap_io *io = plug->io;

	plug->io = NULL;
	/* The pages are told of an error. */
	if (io)
		(void)!swap_io_submit(io);
}

int swap_writepage(struct quire *quire, struct page *page, struct swap_plug *plug)
{
	const swp_entry_t entry = page_swap_entry(page);
	const uint64_t slot = swp_slot(entry);
	struct swap_area *area = swap_entry_area(quire, entry);
	/* A page whose write failed goes alone, so that it does not take its neighbours with it. */
	const uint32_t capacity = page_test(page, PG_error) ? 1 : SWAP_CLUSTER;
	struct swap_plug full = {.io = NULL};
	int error = 0;

	QUIRE_ASSERT(1, page_locked(page) && page_test(page, PG_swapcache) &&
				!page_test(page, PG_writeback));
	if (plug->io && (capacity == 1 || !swap_io_continues(plug->io, area, slot))) {
		full = *plug;
		plug->io = NULL;
	}
	if (!plug->io)
		plug->io = swap_io_alloc(area, QUIRE_WRITE, slot, capacity);
	if (plug->io) {
		swap_io_add(plug->io, page);
		plug->io->request.done = swap_write_done;
		page_set(page, PG_writeback);
		page_clear(page, PG_dirty);
	} else {
		error = -ENOMEM;
	}
	unlock_page(page);
	swap_plug_flush(&full);
	return error;
}

static void swap_read_end_page(struct quire *quire, struct page *page, bool success)
{
	if (success) {
		page_set(page, PG_uptodate);
		count_event(quire, EVENT_SWAP_IN, 1);
		trace_page(quire, QUIRE_TRACE_SWAP_IN, page, 0);
	} else {
		page_set(page, PG_error);
		delete_from_swap_cache(quire, page);
	}
	unlock_page_disowned(page);
	swap_cache_release(quire, page);
	put_page(quire, page);
}

static void swap_read_done(struct quire_request *request, int64_t result)
{
	struct swap_io *io = request->context;

	for (uint32_t i = 0; i < request->nr_segments; i++)
		swap_read_end_page(io->area->quire, swap_io_page(io, i),
				   result >= (int64_t)((i + 1) * PAGE_SIZE));
	swap_io_end(io);
}

/* A page for the entry, locked and in the cache, on the lists, with a reference. 0, -ENOMEM,
 * -EEXIST: another has it, or the entry was freed. */
static int swap_new_page(struct quire *quire, swp_entry_t entry, struct mem_cgroup *memcg,
			 uint32_t gfp, struct page **result)
{
	struct page *page = alloc_locked_page(quire, gfp);
	void *shadow = NULL;
	int error;

	if (!page)
		return -ENOMEM;
	page_set(page, PG_swapbacked);
	error = memcg_charge(quire, memcg, page, gfp);
	if (!error)
		error = swap_cache_add(quire, page, entry, &shadow);
	if (error) {
		unlock_page(page);
		put_page(quire, page);
		return error;
	}
	if (shadow)
		workingset_refault(page, shadow);
	lru_add_page(quire, page);
	/* The end of its read unlocks it. */
	disown_page_lock(page);
	*result = page;
	return 0;
}

/* The locked pages of one request, which takes over their references. */
static int swap_read_pages(struct quire *quire, struct swap_area *area, struct page **pages,
			   uint32_t count)
{
	const swp_entry_t entry = page_swap_entry(pages[0]);
	struct swap_io *io = swap_io_alloc(area, QUIRE_READ, swp_slot(entry), count);

	if (io) {
		for (uint32_t i = 0; i < count; i++) {
			swap_io_add(io, pages[i]);
			put_page(quire, pages[i]);
		}
		io->request.done = swap_read_done;
		return swap_io_submit(io);
	}
	for (uint32_t i = 0; i < count; i++)
		swap_read_end_page(quire, pages[i], false);
	return -ENOMEM;
}

/* Nobody waits for these: what fails is read again by who needs it. */
static void swap_read_ahead(struct quire *quire, struct page **pages, uint32_t count)
{
	if (count)
		(void)!swap_read_pages(quire, swap_entry_area(quire, page_swap_entry(pages[0])),
				       pages, count);
}

/*
 * The window grows with the pages that were read ahead and then used, and shrinks by halves when
 * none were; entries next to each other alone are a reason to try.
 */
static uint32_t swap_readahead_window(struct swap_area *area, uint64_t slot)
{
	const uint32_t hits =
		atomic_exchange_explicit(&area->readahead_hits, 0, memory_order_relaxed);
	const uint32_t last = atomic_load_explicit(&area->readahead_pages, memory_order_relaxed);
	const uint64_t before =
		atomic_exchange_explicit(&area->readahead_last, slot, memory_order_relaxed);
	uint32_t pages = 1;

	if (hits)
		while (pages < hits + 2 && pages < SWAP_READAHEAD)
			pages *= 2;
	else if (slot == before + 1 || slot + 1 == before)
		pages = 2;
	if (pages < last / 2)
		pages = last / 2;
	atomic_store_explicit(&area->readahead_pages, pages, memory_order_relaxed);
	return pages;
}

/*
 * Neighbours of `slot` in the aligned window around it join the page already at pages[slot -
 * first]. They cost no reclaim: readahead must not push out what is in use.
 */
static void swap_add_neighbours(struct quire *quire, swp_entry_t entry, struct mem_cgroup *memcg,
				uint32_t window, struct page **pages)
{
	struct swap_area *area = swap_entry_area(quire, entry);
	const uint64_t slot = swp_slot(entry);
	const uint64_t first = slot & ~(uint64_t)(window - 1);

	for (uint32_t i = 0; i < window; i++) {
		if (first + i == slot || !swap_slot_is_only_stored(area, first + i))
			continue;
		if (swap_new_page(quire, swp_entry(swp_type(entry), first + i), memcg, GFP_NOWAIT,
				  &pages[i])) {
			pages[i] = NULL;
			continue;
		}
		page_set(pages[i], PG_readahead);
	}
}

/* Reads the page of the entry, already in the cache and locked, and its neighbours: one request for
 * each run. The error of the submission of the page itself. */
static int swap_read_cluster(struct quire *quire, swp_entry_t entry, struct mem_cgroup *memcg,
			     bool readahead, struct page *page)
{
	struct swap_area *area = swap_entry_area(quire, entry);
	const uint64_t slot = swp_slot(entry);
	const uint32_t window = readahead ? swap_readahead_window(area, slot) : 1;
	struct page *pages[SWAP_READAHEAD] = {NULL};
	const uint32_t own = (uint32_t)(slot & (window - 1));
	int result = 0;

	pages[own] = page;
	get_page(page);
	swap_add_neighbours(quire, entry, memcg, window, pages);
	for (uint32_t i = 0; i < window;) {
		uint32_t end = i;
		int error;

		while (end < window && pages[end])
			end++;
		if (end == i) {
			i++;
			continue;
		}
		error = swap_read_pages(quire, area, &pages[i], end - i);
		if (i <= own && own < end)
			result = error;
		i = end;
	}
	return result;
}

/* Waits for the contents of a page found or put in the cache; consumes its reference on failure. */
static int swap_wait_uptodate(struct quire *quire, struct page *page, bool *major)
{
	if (!page_test(page, PG_uptodate)) {
		*major = true;
		lock_page(page);
		unlock_page(page);
		swap_cache_release(quire, page);
	}
	if (likely(page_test(page, PG_uptodate)))
		return 0;
	put_page(quire, page);
	return -EIO;
}

void swap_note_readahead_hit(struct quire *quire, swp_entry_t entry, struct page *page)
{
	if (page_test_and_clear(page, PG_readahead))
		atomic_fetch_add_explicit(&swap_entry_area(quire, entry)->readahead_hits, 1,
					  memory_order_relaxed);
}

int swapin_page(struct quire *quire, swp_entry_t entry, struct mem_cgroup *memcg, bool readahead,
		bool *major, struct page **result)
{
	struct page *page;
	int error;

	for (;;) {
		page = swap_cache_get_page(quire, entry);
		if (page) {
			swap_note_readahead_hit(quire, entry, page);
			break;
		}
		if (!swap_count(quire, entry))
			return -ENOENT;
		error = swap_new_page(quire, entry, memcg, GFP_RECLAIM, &page);
		if (error == -EEXIST)
			continue;
		if (error)
			return error;
		*major = true;
		error = swap_read_cluster(quire, entry, memcg, readahead, page);
		if (error) {
			put_page(quire, page);
			return error;
		}
		break;
	}
	error = swap_wait_uptodate(quire, page, major);
	if (!error)
		*result = page;
	return error;
}

bool swapin_ahead(struct quire *quire, const swp_entry_t *entries, uint32_t count,
		  struct mem_cgroup *memcg)
{
	struct page *pages[SWAP_CLUSTER];
	uint32_t collected = 0;
	int error = 0;

	for (uint32_t i = 0; i < count && error != -ENOMEM; i++) {
		if (collected == SWAP_CLUSTER ||
		    (collected && !slot_follows(pages[collected - 1], entries[i]))) {
			swap_read_ahead(quire, pages, collected);
			collected = 0;
		}
		error = swap_new_page(quire, entries[i], memcg, GFP_NOWAIT, &pages[collected]);
		collected += !error;
	}
	swap_read_ahead(quire, pages, collected);
	return error != -ENOMEM;
}
