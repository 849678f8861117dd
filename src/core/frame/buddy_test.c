/* SPDX-License-Identifier: MIT */
/*
 * Tests of the frame allocator: buddy, thread caches, watermarks, poison, against a naive model
 * that knows the owner of every frame.
 */
#include "core/frame/frame.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "base/prng.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* More than any of these zones. */
#define SECTION (1024u << MAX_ORDER)

struct arena {
	struct zone zone;
	void *memory;
	uint64_t blocks[MAX_ORDER + 1]; /* free blocks when all is free */
};

static struct arena *arena_new(uint64_t frames)
{
	struct arena *arena = quire_zalloc_aligned(64, sizeof(*arena));

	assert_non_null(arena);
	arena->memory = quire_zalloc_aligned(PAGE_SIZE, frames << PAGE_SHIFT);
	assert_non_null(arena->memory);
	assert_int_equal(zone_init(&arena->zone, &(struct zone_memory){.base = arena->memory,
								       .nr_frames = frames,
								       .section_frames = SECTION}),
			 0);
	memcpy(arena->blocks, arena->zone.nr_free_blocks, sizeof(arena->blocks));
	return arena;
}

static void assert_valid(struct zone *zone)
{
	struct check_report report = {0};

	zone_validate(zone, &report);
	if (report.violations)
		fail_msg("%s", report.first);
}

/* Everything is free and joined again. */
static void arena_delete(struct arena *arena)
{
	struct zone *zone = &arena->zone;

	zone_drain_caches(zone);
	assert_valid(zone);
	assert_int_equal(zone_nr_free(zone), zone->nr_frames);
	assert_memory_equal(zone->nr_free_blocks, arena->blocks, sizeof(arena->blocks));
	zone_destroy(zone);
	quire_free(arena->memory);
	quire_free(arena);
}

static void release(struct zone *zone, struct page *folio)
{
	atomic_store(&folio->refcount, 0);
	zone_free(zone, folio);
}

static void refuses_bad_sizes(void **state)
{
	struct zone *zone = quire_zalloc_aligned(64, sizeof(*zone));
	struct zone_memory memory = {.nr_frames = 63, .section_frames = SECTION};

	(void)state;
	assert_int_equal(zone_init(zone, &memory), -EINVAL);
	memory.nr_frames = 64;
	memory.section_frames = (1 << MAX_ORDER) + 1;
	assert_int_equal(zone_init(zone, &memory), -EINVAL);
	memory.section_frames = 0;
	assert_int_equal(zone_init(zone, &memory), -EINVAL);
	memory.section_frames = SECTION;
	quire_fail_arm(FAIL_ALLOC, 1, false);
	assert_int_equal(zone_init(zone, &memory), -ENOMEM);
	assert_true(quire_fail_disarm());
	quire_free(zone);
}

static void covers_every_frame(void **state)
{
	static const uint64_t sizes[] = {64, 65, 100, 511, 512, 513, 1000, 4096};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct arena *arena = arena_new(sizes[i]);
		uint64_t frames = 0;

		assert_valid(&arena->zone);
		for (uint32_t order = 0; order <= MAX_ORDER; order++) {
			assert_true(order == MAX_ORDER || arena->blocks[order] <= 1);
			frames += arena->blocks[order] << order;
		}
		assert_int_equal(frames, sizes[i]);
		arena_delete(arena);
	}
}

static void folio_has_head_and_tails(void **state)
{
	struct arena *arena = arena_new(1024);
	struct zone *zone = &arena->zone;

	(void)state;
	for (uint32_t order = 0; order <= MAX_ORDER; order++) {
		struct page *folio = zone_alloc(zone, order, GFP_ZERO);
		const char *memory = page_address(zone, folio);

		assert_int_equal(folio_order(folio), order);
		assert_int_equal(page_count(folio), 1);
		assert_int_equal(page_to_pfn(zone, folio) % (1u << order), 0);
		assert_ptr_equal(page_folio(folio), folio);
		for (uint32_t i = 0; i < 1u << order; i++)
			assert_ptr_equal(page_folio(folio + i), folio);
		for (uint64_t byte = 0; byte < PAGE_SIZE << order; byte++)
			assert_int_equal(memory[byte], 0);
		assert_int_equal(zone_nr_free(zone), 1024 - (1u << order));
		release(zone, folio);
	}
	arena_delete(arena);
}

/* A folio of the model; its frames all bear its number. */
struct owned {
	struct page *folio;
	uint32_t order;
	uint64_t number;
};

static void stamp(struct zone *zone, const struct owned *owned)
{
	char *memory = page_address(zone, owned->folio);

	for (uint64_t i = 0; i < (uint64_t)1 << owned->order; i++)
		memcpy(memory + (i << PAGE_SHIFT) + 8 * (owned->number % 512), &owned->number, 8);
}

static void assert_stamped(struct zone *zone, const struct owned *owned)
{
	const char *memory = page_address(zone, owned->folio);

	for (uint64_t i = 0; i < (uint64_t)1 << owned->order; i++)
		assert_memory_equal(memory + (i << PAGE_SHIFT) + 8 * (owned->number % 512),
				    &owned->number, 8);
}

#define MODEL_FOLIOS 700

static void model_run(uint64_t frames, uint64_t seed)
{
	struct arena *arena = arena_new(frames);
	struct zone *zone = &arena->zone;
	struct owned *owned = calloc(MODEL_FOLIOS, sizeof(*owned));
	unsigned char *used = calloc(frames, 1);
	uint64_t in_use = 0;
	uint32_t count = 0;
	struct prng prng;

	prng_seed(&prng, seed);
	for (uint64_t step = 0; step < 6000; step++) {
		bool allocate = count < MODEL_FOLIOS && prng_below(&prng, 100) < 55;

		if (allocate) {
			/* Mostly small ones. */
			uint32_t order = (uint32_t)__builtin_ctzll(prng_next(&prng) | 1 << 9);
			struct owned *new = &owned[count];

			new->folio = zone_alloc(zone, order, GFP_RESERVE);
			if (!new->folio)
				continue;
			new->order = order;
			new->number = step + 1;
			for (uint64_t i = 0; i < (uint64_t)1 << order; i++)
				assert_int_equal(used[page_to_pfn(zone, new->folio) + i]++, 0);
			stamp(zone, new);
			in_use += (uint64_t)1 << order;
			count++;
		} else if (count) {
			struct owned *old = &owned[prng_below(&prng, count)];

			assert_stamped(zone, old);
			for (uint64_t i = 0; i < (uint64_t)1 << old->order; i++)
				used[page_to_pfn(zone, old->folio) + i]--;
			in_use -= (uint64_t)1 << old->order;
			release(zone, old->folio);
			*old = owned[--count];
		}
		assert_int_equal(zone_nr_free(zone), frames - in_use);
		if (step % 500 == 0)
			assert_valid(zone);
	}
	while (count)
		release(zone, owned[--count].folio);
	free(used);
	free(owned);
	arena_delete(arena);
}

static void agrees_with_model(void **state)
{
	(void)state;
	model_run(4096, 1);
	model_run(1000, 2);
	model_run(70, 3);
}

static void exhaustion_keeps_the_reserve(void **state)
{
	struct arena *arena = arena_new(2048);
	struct zone *zone = &arena->zone;
	struct page **pages = calloc(2049, sizeof(*pages)); /* and the NULL at the end */
	uint32_t count = 0;

	(void)state;
	assert_true(zone->watermark[WMARK_MIN] > 0);
	assert_true(zone->watermark[WMARK_MIN] < zone->watermark[WMARK_LOW]);
	assert_true(zone->watermark[WMARK_LOW] < zone->watermark[WMARK_HIGH]);
	assert_false(zone_below(zone, WMARK_HIGH));
	while ((pages[count] = zone_alloc(zone, 0, GFP_NOWAIT)))
		count++;
	assert_int_equal(zone_nr_free(zone), zone->watermark[WMARK_MIN]);
	assert_int_equal(count, 2048 - zone->watermark[WMARK_MIN]);
	assert_true(zone_below(zone, WMARK_LOW));
	assert_false(zone_below(zone, WMARK_MIN));

	while ((pages[count] = zone_alloc(zone, 0, GFP_RESERVE)))
		count++;
	assert_int_equal(count, 2048);
	assert_int_equal(zone_nr_free(zone), 0);
	assert_true(zone_below(zone, WMARK_MIN));
	assert_valid(zone);

	/* What is freed into the reserve is not for everyone. */
	release(zone, pages[--count]);
	assert_null(zone_alloc(zone, 0, GFP_NOWAIT));
	pages[count] = zone_alloc(zone, 0, GFP_RESERVE);
	assert_non_null(pages[count++]);
	while (count)
		release(zone, pages[--count]);
	free(pages);
	arena_delete(arena);
}

static void fragments_join_again(void **state)
{
	struct arena *arena = arena_new(1024);
	struct zone *zone = &arena->zone;
	struct page *page;

	(void)state;
	for (uint32_t i = 0; i < 1024; i++)
		assert_non_null(zone_alloc(zone, 0, GFP_RESERVE));
	for (uint32_t i = 0; i < 1024; i += 2)
		release(zone, pfn_to_page(zone, i));
	assert_null(zone_alloc(zone, 1, GFP_RESERVE));
	assert_int_equal(zone_nr_free(zone), 512);
	for (uint32_t i = 1; i < 1024; i += 2)
		release(zone, pfn_to_page(zone, i));
	/* The caches are drained to join the largest blocks. */
	page = zone_alloc(zone, MAX_ORDER, GFP_RESERVE);
	assert_non_null(page);
	release(zone, page);
	page = zone_alloc(zone, MAX_ORDER, GFP_NOWAIT);
	assert_non_null(page);
	release(zone, page);
	arena_delete(arena);
}

/* Leaves frames in the cache of a thread that is gone. */
static void *fill_own_cache(void *argument)
{
	struct zone *zone = argument;
	struct page *pages[8];

	for (uint32_t i = 0; i < ARRAY_SIZE(pages); i++)
		pages[i] = zone_alloc(zone, 0, GFP_NOWAIT);
	for (uint32_t i = 0; i < ARRAY_SIZE(pages); i++)
		if (pages[i])
			release(zone, pages[i]);
	return NULL;
}

static void finds_frames_in_other_caches(void **state)
{
	struct arena *arena = arena_new(512);
	struct zone *zone = &arena->zone;
	struct page *pages[512];
	uint32_t count = 0;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, fill_own_cache, zone), 0);
	pthread_join(thread, NULL);
	assert_true(atomic_load(&zone->nr_free) < 512);
	while (count < 512 && (pages[count] = zone_alloc(zone, 0, GFP_RESERVE)))
		count++;
	assert_int_equal(count, 512);
	while (count)
		release(zone, pages[--count]);
	arena_delete(arena);
}

static void injected_failure_shows(void **state)
{
	struct arena *arena = arena_new(64);
	struct page *page;

	(void)state;
	quire_fail_arm(FAIL_FRAME, 2, false);
	page = zone_alloc(&arena->zone, 0, GFP_NOWAIT);
	assert_non_null(page);
	assert_null(zone_alloc(&arena->zone, 0, GFP_NOWAIT));
	assert_true(quire_fail_disarm());
	release(&arena->zone, page);
	arena_delete(arena);
}

#if QUIRE_CHECK >= 1
static void write_after_free_is_found(void **state)
{
	static const uint32_t orders[] = {0, 3};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
		struct arena *arena = arena_new(64);
		struct page *page = zone_alloc(&arena->zone, orders[i], GFP_ZERO);
		char *memory = page_address(&arena->zone, page);
		struct check_report report = {0};
		char kept;

		release(&arena->zone, page);
		kept = memory[5];
		memory[5] = 1;
		zone_validate(&arena->zone, &report);
		assert_int_equal(report.violations, 1);
		memory[5] = kept;
		arena_delete(arena);
	}
}

static void validation_finds_damage(void **state)
{
	struct arena *arena = arena_new(128);
	struct zone *zone = &arena->zone;
	struct check_report report = {0};
	struct page *page = zone_alloc(zone, 0, GFP_NOWAIT);

	(void)state;
	zone->nr_free_blocks[0]++;
	zone_validate(zone, &report);
	assert_true(report.violations > 0);
	zone->nr_free_blocks[0]--;

	/* A frame that is lost: without a reference, yet nowhere free. */
	report = (struct check_report){0};
	atomic_store(&page->refcount, 0);
	zone_validate(zone, &report);
	assert_int_equal(report.violations, 1);
	zone_free(zone, page);
	arena_delete(arena);
}
#endif

#define STRESS_THREADS 4

struct stress {
	struct zone *zone;
	uint64_t seed;
	uint64_t errors;
};

static void *stress_thread(void *argument)
{
	struct stress *stress = argument;
	struct zone *zone = stress->zone;
	struct page *pages[100] = {0};
	struct prng prng;

	prng_seed(&prng, stress->seed);
	for (uint32_t step = 0; step < 20000; step++) {
		uint32_t i = (uint32_t)prng_below(&prng, ARRAY_SIZE(pages));

		if (pages[i]) {
			uint64_t *memory = page_address(zone, pages[i]);

			stress->errors += *memory != (stress->seed << 32 | i);
			release(zone, pages[i]);
			pages[i] = NULL;
		} else {
			pages[i] = zone_alloc(zone, prng_below(&prng, 16) ? 0 : 2, GFP_NOWAIT);
			if (pages[i])
				*(uint64_t *)page_address(zone, pages[i]) = stress->seed << 32 | i;
		}
	}
	for (uint32_t i = 0; i < ARRAY_SIZE(pages); i++)
		if (pages[i])
			release(zone, pages[i]);
	return NULL;
}

static void threads_do_not_share_frames(void **state)
{
	struct arena *arena = arena_new(512);
	struct stress stress[STRESS_THREADS];
	pthread_t threads[STRESS_THREADS];

	(void)state;
	for (uint32_t i = 0; i < STRESS_THREADS; i++) {
		stress[i] = (struct stress){&arena->zone, i + 1, 0};
		assert_int_equal(pthread_create(&threads[i], NULL, stress_thread, &stress[i]), 0);
	}
	for (uint32_t i = 0; i < STRESS_THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(stress[i].errors, 0);
	}
	arena_delete(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_bad_sizes),
		cmocka_unit_test(covers_every_frame),
		cmocka_unit_test(folio_has_head_and_tails),
		cmocka_unit_test(agrees_with_model),
		cmocka_unit_test(exhaustion_keeps_the_reserve),
		cmocka_unit_test(fragments_join_again),
		cmocka_unit_test(finds_frames_in_other_caches),
		cmocka_unit_test(injected_failure_shows),
#if QUIRE_CHECK >= 1
		cmocka_unit_test(write_after_free_is_found),
		cmocka_unit_test(validation_finds_damage),
#endif
		cmocka_unit_test(threads_do_not_share_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
