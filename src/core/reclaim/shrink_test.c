/* SPDX-License-Identifier: MIT */
/*
 * Tests of how reclaim takes pages away from CPUs: many with one revocation, and each page's
 * contents as the last CPU left them.
 */
#include "core/instance/test_instance.h"
#include "core/reclaim/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define MEMORY ((uint64_t)2 << 20)
#define PAGES ((uint64_t)4 * SCAN_BATCH)

struct fixture {
	struct test_instance test;
	quire_mm *mm;
	uint64_t base; /* PAGES pages, page i with the byte i + 1 */
};

static void begin(struct fixture *f)
{
	test_instance_create(&f->test, (struct quire_params){.memory = MEMORY});
	test_instance_add_swap(&f->test, 2 * PAGES);
	assert_int_equal(quire_mm_create(f->test.quire, "main", NULL, &f->mm), 0);
	f->base = quire_mmap(f->mm, 0, PAGES << PAGE_SHIFT, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
			     QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL, 0);
	assert_true(f->base != QUIRE_MAP_FAILED);
	for (uint64_t i = 0; i < PAGES; i++)
		test_store(f->mm, f->base + (i << PAGE_SHIFT), (uint8_t)(i + 1), NULL);
}

static void end(struct fixture *f)
{
	quire_mm_exit(f->mm);
	test_instance_destroy(&f->test);
}

static void evict_all(struct fixture *f)
{
	while (quire_reclaim(f->test.quire, NULL, PAGES))
		;
	assert_int_equal(stat_read(&f->mm->rss, MM_ANONPAGES), 0);
	test_instance_check(&f->test);
}

static void revocations_are_batched(void **state)
{
	struct fixture f;
	uint64_t before;

	(void)state;
	begin(&f);
	before = f.test.machine.revokes;
	evict_all(&f);
	/* For accessed bits and for entries; a scan begins with small batches. */
	assert_true(f.test.machine.revokes - before <= PAGES / 4);
	for (uint64_t i = 0; i < PAGES; i++)
		assert_int_equal(test_load(f.mm, f.base + (i << PAGE_SHIFT), NULL), i + 1);
	end(&f);
}

static struct {
	struct quire *quire;
	void (*revoke)(struct quire_machine *machine, void *context,
		       const struct quire_revoke *what);
} late;

/* CPUs that know the frames that are just being revoked store to them once more. */
static void late_revoke(struct quire_machine *machine, void *context,
			const struct quire_revoke *what)
{
	struct zone *zone = &late.quire->zone;

	for (uint32_t i = 0; i < what->nr_frames; i++) {
		for (uint64_t n = 0; n < what->frames[i].count; n++) {
			struct page *page = pfn_to_page(zone, what->frames[i].first + n);
			uint8_t *byte = page_address(zone, page);

			assert_true(page_count(page) > 0);
			byte[1] = 77;
		}
	}
	late.revoke(machine, context, what);
}

static void last_stores_reach_swap(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	late.quire = f.test.quire;
	late.revoke = f.test.machine.ops.revoke;
	f.test.machine.ops.revoke = late_revoke;
	evict_all(&f);
	f.test.machine.ops.revoke = late.revoke;
	for (uint64_t i = 0; i < PAGES; i++)
		assert_int_equal(test_load(f.mm, f.base + (i << PAGE_SHIFT) + 1, NULL), 77);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(revocations_are_batched),
		cmocka_unit_test(last_stores_reach_swap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
