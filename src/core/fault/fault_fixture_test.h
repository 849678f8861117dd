/* SPDX-License-Identifier: MIT */
/*
 * What the tests of faults stand on: the memory calls' fixture, with a file and a swap area whose
 * stores can be made to fail.
 */
#ifndef QUIRE_CORE_FAULT_FAULT_FIXTURE_TEST_H
#define QUIRE_CORE_FAULT_FAULT_FIXTURE_TEST_H

#include "core/call/fixture_test.h"
#include "core/reclaim/swap.h"

#include <quire/inject_store.h>

#define PRIVATE QUIRE_MAP_PRIVATE
#define SHARED QUIRE_MAP_SHARED
#define ANON (QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS)

/* The stores behind f->file and behind swap, in front of which failures are injected. */
struct fault_stores {
	struct quire_store *file;
	struct quire_store *file_memory;
	struct quire_store *swap;
};
static struct fault_stores stores;

static inline struct quire_store *injecting_store(uint64_t pages, struct quire_store **memory)
{
	struct quire_store *store;

	assert_ok(quire_memory_store_create(PAGES(pages), memory));
	assert_ok(quire_inject_store_create(*memory, &store));
	return store;
}

/* An instance with one mm, and swap of which failures can be asked. */
static inline void fault_setup_params(struct fixture *f, struct quire_params params)
{
	struct quire_store *memory;

	memset(f, 0, sizeof(*f));
	test_instance_create(&f->instance, params);
	f->quire = f->instance.quire;
	stores.swap = injecting_store(SWAP_PAGES, &memory);
	assert_ok(quire_swapon(f->quire, stores.swap, PAGES(SWAP_PAGES)));
	assert_ok(quire_mm_create(f->quire, "main", NULL, &f->mm));
}

static inline int fault_setup(void **state)
{
	static struct fixture f;

	fault_setup_params(&f, (struct quire_params){.memory = (uint64_t)8 << 20});
	*state = &f;
	return 0;
}

/* f->file: page i is full of the byte first + i, in the store only. */
static inline void make_stored_file(struct fixture *f, uint64_t pages, uint8_t first)
{
	static uint8_t page[PAGE_SIZE];

	stores.file = injecting_store(pages, &stores.file_memory);
	assert_ok(quire_open(f->quire, "file", 1, 1, stores.file, QUIRE_O_READ | QUIRE_O_WRITE,
			     &f->file));
	for (uint64_t i = 0; i < pages; i++) {
		memset(page, (int)(first + i), sizeof(page));
		assert_int_equal(quire_pwrite(f->file, NULL, page, sizeof(page), PAGES(i)),
				 PAGE_SIZE);
	}
	assert_ok(quire_writeback(f->quire));
	evict_all(f);
}

struct stored_read {
	struct quire_request request;
	int64_t result;
};

static inline void stored_read_done(struct quire_request *request, int64_t result)
{
	((struct stored_read *)request)->result = result;
}

/* The first byte of a page in the file's store. */
static inline uint8_t stored_byte(uint64_t page)
{
	uint8_t bytes[PAGE_SIZE];
	struct quire_segment segment = {bytes, sizeof(bytes)};
	struct stored_read read = {
		.request = {.direction = QUIRE_READ,
			    .offset = PAGES(page),
			    .segments = &segment,
			    .nr_segments = 1,
			    .done = stored_read_done},
	};

	assert_ok(stores.file_memory->ops->submit(stores.file_memory, &read.request));
	assert_int_equal(read.result, PAGE_SIZE);
	return bytes[0];
}

static inline void fail_store(struct quire_store *store, enum quire_inject_kind kind)
{
	const struct quire_inject_rule rule = {.nth = 1, .from_then_on = true, .error = -EIO};

	quire_inject_set(store, kind, &rule);
}

static inline void mend_store(struct quire_store *store, enum quire_inject_kind kind)
{
	quire_inject_set(store, kind, NULL);
}

static inline struct page *page_of(quire_mm *mm, uint64_t page)
{
	pteval_t pte = pte_at(mm, page);

	return pte_present(pte) ? pfn_to_page(&mm->quire->zone, pte_pfn(pte)) : NULL;
}

static inline uint64_t event(struct fixture *f, enum quire_event event)
{
	return stat_read(&f->quire->events, event);
}

static inline void write_byte(quire_mm *mm, uint64_t page, uint8_t byte)
{
	assert_int_equal(quire_write_memory(mm, AT(page), &byte, 1), 1);
}

static inline void make_read_only(struct fixture *f, uint64_t page, uint64_t pages)
{
	assert_ok(quire_mprotect(f->mm, AT(page), PAGES(pages), QUIRE_PROT_READ));
}

static inline uint32_t mapped_pages(quire_mm *mm, uint64_t page, uint64_t pages)
{
	uint32_t count = 0;

	for (uint64_t i = 0; i < pages; i++)
		count += pte_present(pte_at(mm, page + i));
	return count;
}

#endif
