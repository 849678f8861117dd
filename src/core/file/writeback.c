/* SPDX-License-Identifier: MIT */
/*
 * Writing dirty pages of regular files to their stores (core/file/writeback.h).
 *
 * A page goes: locked -> its mappings write-protected and its dirty flag cleared -> PG_writeback ->
 * unlocked -> in a request with the pages beside it -> done: clean, or dirty again with PG_error.
 * While pages are collected for a request we wait for no lock and no writeback: what is collected
 * is submitted first, since somebody who holds that lock may be waiting for these very pages.
 */
#include "core/file/writeback.h"

#include "base/contents.h"
#include "core/file/internal.h"
#include "core/file/page_io.h"
#include "core/instance/instance.h"

#include <errno.h>

/* Percent of all frames that may be dirty before somebody who dirties more writes, or waits. */
#define DIRTY_BACKGROUND_RATIO 10
#define DIRTY_RATIO 20
/* Pages written each time. */
#define BACKGROUND_CHUNK 1024
#define THROTTLE_CHUNK 256
/* Pages that reclaim writes at a time: dirty pages beside a victim are old as a rule, too. */
#define RECLAIM_CLUSTER 32

/* One pass over a file. */
struct write_pass {
	struct address_space *mapping;
	struct writeback_control *control;
	struct page_io_batch batch;
};

/* Bytes of the page that belong to the file; 0: none, the file is being cut. */
static uint64_t bytes_in_file(const struct address_space *mapping, const struct page *page)
{
	const uint64_t start = page->index << PAGE_SHIFT;
	const uint64_t size = i_size_read(mapping->host);

	return start < size ? min_u64(size - start, PAGE_SIZE) : 0;
}

/* The mark that says what this pass still has to write, so that pages dirtied behind it do not
 * prolong a pass that somebody waits for. */
static void tag_pages_for_writeback(struct address_space *mapping, pgoff_t first, pgoff_t last)
{
	uint64_t index;
	void *page;

	spin_lock(&mapping->i_pages_lock);
	xa_for_each_filtered (&mapping->i_pages, index, page, first, last, XA_MARK_DIRTY)
		xa_set_mark(&mapping->i_pages, index, XA_MARK_TOWRITE);
	spin_unlock(&mapping->i_pages_lock);
}

/* The locked page is in some file's cache. */
static void clear_towrite(struct page *page)
{
	struct address_space *mapping = page_mapping(page);

	spin_lock(&mapping->i_pages_lock);
	xa_clear_mark(&mapping->i_pages, page->index, XA_MARK_TOWRITE);
	spin_unlock(&mapping->i_pages_lock);
}

static void lock_for_pass(struct write_pass *pass, struct page *page)
{
	if (trylock_page(page))
		return;
	page_io_batch_submit(&pass->batch);
	lock_page(page);
}

/* Whether the locked page is to be written now. */
static bool page_wanted(struct write_pass *pass, struct page *page)
{
	if (page_mapping(page) != pass->mapping || !page_test(page, PG_dirty))
		return false;
	if (page_test(page, PG_writeback)) {
		if (!pass->control->sync)
			return false;
		page_io_batch_submit(&pass->batch);
		wait_on_page_writeback(page);
	}
	return true;
}

/*
 * The locked page is cleaned and under writeback from here on: bytes to write, or 0 when it was
 * clean or lies beyond the end. What was stored behind the end through a mapping, which is
 * write-protected now, is wiped.
 *
 * The file may grow until the mappings are write-protected; when it is being cut, who cuts it waits
 * for this write before the store becomes shorter. So the greater size is the right one.
 */
static uint64_t start_page_writeback(struct address_space *mapping, struct page *page)
{
	const struct zone *zone = &mapping->host->quire->zone;
	uint64_t bytes = bytes_in_file(mapping, page);

	if (!bytes || !clear_page_dirty_for_io(page))
		return 0;
	bytes = max_u64(bytes, bytes_in_file(mapping, page));
	if (bytes < PAGE_SIZE)
		contents_fill((char *)page_address(zone, page) + bytes, 0, PAGE_SIZE - bytes);
	set_page_writeback(mapping, page);
	return bytes;
}

static void write_page(struct write_pass *pass, struct page *page)
{
	struct address_space *mapping = pass->mapping;
	uint64_t bytes = 0;

	lock_for_pass(pass, page);
	if (page_wanted(pass, page))
		bytes = start_page_writeback(mapping, page);
	if (!bytes && page_mapping(page))
		clear_towrite(page);
	unlock_page(page);
	if (bytes) {
		page_io_batch_add(&pass->batch, page, bytes);
		pass->control->written++;
	}
}

static void write_marked_pages(struct write_pass *pass, pgoff_t index, pgoff_t last)
{
	const enum xa_mark mark = pass->control->sync ? XA_MARK_TOWRITE : XA_MARK_DIRTY;
	const uint64_t limit = pass->control->written + pass->control->nr_to_write;
	struct page *pages[PAGEVEC_SIZE];
	uint32_t count;

	/* `limit` may wrap: all. */
	while ((pass->control->written < limit || limit < pass->control->nr_to_write) &&
	       (count = filemap_get_batch(pass->mapping, &index, last, mark, pages))) {
		for (uint32_t i = 0; i < count; i++) {
			if (pass->control->written < limit || limit < pass->control->nr_to_write)
				write_page(pass, pages[i]);
			put_page(pass->mapping->host->quire, pages[i]);
		}
	}
	page_io_batch_submit(&pass->batch);
}

static void wait_for_pages(struct address_space *mapping, pgoff_t index, pgoff_t last)
{
	struct page *pages[PAGEVEC_SIZE];
	uint32_t count;

	while ((count = filemap_get_batch(mapping, &index, last, XA_MARK_WRITEBACK, pages))) {
		for (uint32_t i = 0; i < count; i++) {
			wait_on_page_writeback(pages[i]);
			put_page(mapping->host->quire, pages[i]);
		}
	}
}

static bool dirty_for_long_enough(const struct inode *inode, int64_t before)
{
	const int64_t since = atomic_load_explicit(&inode->dirty_since, memory_order_relaxed);

	return !before || (since && since < before);
}

int writeback_mapping(struct address_space *mapping, struct writeback_control *control)
{
	const pgoff_t first = control->start >> PAGE_SHIFT;
	const pgoff_t last = control->end >> PAGE_SHIFT;
	struct write_pass pass = {
		.mapping = mapping,
		.control = control,
		.batch = {.mapping = mapping, .direction = QUIRE_WRITE, .limit = PAGE_IO_MAX},
	};
	uint32_t failures = atomic_load_explicit(&mapping->wb_failures, memory_order_acquire);

	if (mapping->host->kind != INODE_REGULAR)
		return 0;
	if (dirty_for_long_enough(mapping->host, control->dirtied_before)) {
		if (control->sync)
			tag_pages_for_writeback(mapping, first, last);
		write_marked_pages(&pass, first, last);
	}
	if (control->sync) {
		wait_for_pages(mapping, first, last);
		if (atomic_load_explicit(&mapping->wb_failures, memory_order_acquire) != failures)
			return atomic_load_explicit(&mapping->wb_last_error, memory_order_relaxed);
	}
	return pass.batch.error;
}

/* Where a walk over the dirty files, oldest first, has come to. */
struct dirty_cursor {
	int64_t since;
	uint64_t sequence;
};

static bool after_cursor(const struct dirty_cursor *cursor, int64_t since, uint64_t sequence)
{
	return since > cursor->since || (since == cursor->since && sequence > cursor->sequence);
}

/* The next file that has been dirty since `until` or before, with a reference; or NULL. */
static struct inode *next_dirty_inode(struct quire *quire, struct dirty_cursor *cursor,
				      int64_t until)
{
	struct dirty_cursor best = {.since = until, .sequence = UINT64_MAX};
	struct inode *inode, *found = NULL;

	spin_lock(&quire->inodes_lock);
	list_for_each_entry (inode, &quire->inodes, i_list) {
		int64_t since = atomic_load_explicit(&inode->dirty_since, memory_order_relaxed);

		if (!since || !after_cursor(cursor, since, inode->sequence) ||
		    after_cursor(&best, since, inode->sequence))
			continue;
		best = (struct dirty_cursor){since, inode->sequence};
		found = inode;
	}
	if (found)
		iget(found);
	spin_unlock(&quire->inodes_lock);
	*cursor = best;
	return found;
}

/* Writes of a pass of everything, and those that were under way before. */
static int wait_for_instance(struct quire *quire)
{
	struct inode *inode = NULL;
	int error = 0;

	while ((inode = inode_next(quire, inode))) {
		struct address_space *mapping = &inode->i_data;
		uint32_t failures =
			atomic_load_explicit(&mapping->wb_failures, memory_order_acquire);

		wait_for_pages(mapping, 0, UINT64_MAX);
		if (!error &&
		    failures != atomic_load_explicit(&mapping->wb_failures, memory_order_acquire))
			error = atomic_load_explicit(&mapping->wb_last_error, memory_order_relaxed);
	}
	return error;
}

int writeback_instance(struct quire *quire, struct writeback_control *control)
{
	const int64_t start = quire_now(quire) > 0 ? quire_now(quire) : 1;
	const uint64_t goal = control->nr_to_write;
	struct dirty_cursor cursor = {0};
	struct inode *inode;
	int first_error = 0;

	while (control->nr_to_write && (inode = next_dirty_inode(quire, &cursor, start))) {
		const uint64_t before = control->written;
		int error = writeback_mapping(&inode->i_data, control);

		iput(inode);
		if (error && !first_error)
			first_error = error;
		if (goal != UINT64_MAX)
			control->nr_to_write -= control->written - before;
	}
	control->nr_to_write = goal;
	if (control->sync && goal == UINT64_MAX) {
		int error = wait_for_instance(quire);

		if (error && !first_error)
			first_error = error;
	}
	return first_error;
}

/* What is written in one request around a victim of reclaim: an aligned piece of the file at most.
 * The pages have a reference each. */
struct write_cluster {
	struct address_space *mapping;
	pgoff_t first;
	struct page *pages[RECLAIM_CLUSTER];
	uint64_t bytes[RECLAIM_CLUSTER];
};

static void cluster_set(struct write_cluster *cluster, struct page *page, uint64_t bytes)
{
	const uint64_t i = page->index - cluster->first;

	cluster->pages[i] = page;
	cluster->bytes[i] = bytes;
}

/* The page is under writeback from here on, if that needs no waiting. 0: it is not. */
static uint64_t start_neighbour(struct address_space *mapping, struct page *page)
{
	uint64_t bytes = 0;

	if (!page_test(page, PG_dirty) || page_test(page, PG_error) || !trylock_page(page))
		return 0;
	if (page_mapping(page) == mapping && !page_test(page, PG_writeback))
		bytes = start_page_writeback(mapping, page);
	unlock_page(page);
	return bytes;
}

/* False: the run of dirty pages ends here. */
static bool cluster_add(struct write_cluster *cluster, pgoff_t index)
{
	struct address_space *mapping = cluster->mapping;
	struct page *page = filemap_lookup(mapping, index);
	uint64_t bytes;

	if (!page)
		return false;
	bytes = start_neighbour(mapping, page);
	if (bytes)
		cluster_set(cluster, page, bytes);
	else
		put_page(mapping->host->quire, page);
	return bytes;
}

/* The victim is under writeback, which keeps its inode alive until it is submitted. */
static int write_around(struct address_space *mapping, struct page *victim, uint64_t bytes)
{
	struct quire *quire = mapping->host->quire;
	struct page_io_batch batch = {.mapping = mapping, .direction = QUIRE_WRITE};
	struct write_cluster cluster = {
		.mapping = mapping,
		.first = victim->index & ~(pgoff_t)(RECLAIM_CLUSTER - 1),
	};
	uint64_t from = victim->index - cluster.first;
	uint64_t end = from + 1;

	get_page(victim);
	cluster_set(&cluster, victim, bytes);
	if (!page_test(victim, PG_error)) {
		while (from && cluster_add(&cluster, cluster.first + from - 1))
			from--;
		while (end < RECLAIM_CLUSTER && cluster_add(&cluster, cluster.first + end))
			end++;
	}
	batch.limit = (uint32_t)(end - from);
	for (uint64_t i = from; i < end; i++)
		page_io_batch_add(&batch, cluster.pages[i], cluster.bytes[i]);
	page_io_batch_submit(&batch);
	for (uint64_t i = from; i < end; i++)
		put_page(quire, cluster.pages[i]);
	return batch.error;
}

int writeback_around_page(struct page *page)
{
	struct address_space *mapping = page_mapping(page);
	uint64_t bytes;
	bool dirty;

	QUIRE_ASSERT(1, page_locked(page) && !page_test(page, PG_writeback));
	bytes = start_page_writeback(mapping, page);
	dirty = page_test(page, PG_dirty);
	unlock_page(page);
	if (!bytes)
		return dirty ? -EAGAIN : 0;
	return write_around(mapping, page, bytes);
}

void balance_dirty_pages(struct address_space *mapping)
{
	struct quire *quire = mapping->host->quire;
	const uint64_t dirty = atomic_load_explicit(&quire->nr_dirty, memory_order_relaxed);
	const uint64_t writeback = atomic_load_explicit(&quire->nr_writeback, memory_order_relaxed);
	const uint64_t frames = quire->zone.nr_frames;
	struct writeback_control control = {.end = UINT64_MAX, .nr_to_write = BACKGROUND_CHUNK};

	/* What is being written cannot be reclaimed yet either. */
	if (unlikely((dirty + writeback) * 100 > frames * DIRTY_RATIO)) {
		control.nr_to_write = THROTTLE_CHUNK;
		control.sync = true;
	} else if (likely(dirty * 100 <= frames * DIRTY_BACKGROUND_RATIO)) {
		return;
	}
	/* Errors are noted in the mappings, for those who sync. */
	if (writeback_mapping(mapping, &control) || control.written)
		return;
	(void)!writeback_instance(quire, &control);
}
