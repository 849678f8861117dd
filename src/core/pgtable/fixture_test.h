/* SPDX-License-Identifier: MIT */
/*
 * What the tests of page tables stand on: a zone, and an mm with nothing but a page table, on a
 * machine that notes its revocations.
 */
#ifndef QUIRE_CORE_PGTABLE_FIXTURE_TEST_H
#define QUIRE_CORE_PGTABLE_FIXTURE_TEST_H

#include "base/alloc.h"
#include "core/instance/instance.h"
#include "core/pgtable/mmu_gather.h"
#include "core/vma/mm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
	struct quire_machine machine;
	struct quire *quire;
	struct mm_struct *mm;
	void *memory;
	uint64_t revokes;
	struct quire_revoke last;
	struct quire_frame_range frames[MMU_GATHER_BATCH]; /* of the last one */
	void (*on_revoke)(struct fixture *f);              /* may be NULL */
	void *context;                                     /* the test's */
};

static void fixture_revoke(struct quire_machine *machine, void *context,
			   const struct quire_revoke *what)
{
	struct fixture *f = context;

	assert_ptr_equal(machine, &f->machine);
	f->revokes++;
	assert_true(what->nr_frames <= MMU_GATHER_BATCH);
	memcpy(f->frames, what->frames, what->nr_frames * sizeof(f->frames[0]));
	f->last = *what;
	f->last.frames = f->frames;
	if (f->on_revoke)
		f->on_revoke(f);
}

static const struct quire_machine_ops fixture_ops = {.name = "fixture", .revoke = fixture_revoke};

static inline void fixture_create(struct fixture *f, uint64_t frames)
{
	*f = (struct fixture){.machine.ops = &fixture_ops};
	f->quire = quire_zalloc_aligned(64, sizeof(*f->quire));
	f->mm = quire_zalloc_aligned(64, sizeof(*f->mm));
	f->memory = quire_zalloc_aligned(PAGE_SIZE, frames << PAGE_SHIFT);
	assert_true(f->quire && f->mm && f->memory);
	f->quire->machine = &f->machine;
	assert_int_equal(stat_init(&f->quire->events, QUIRE_EVENTS), 0);
	assert_int_equal(
		zone_init(&f->quire->zone, &(struct zone_memory){.base = f->memory,
								 .nr_frames = frames,
								 .section_frames = 1 << MAX_ORDER}),
		0);
	f->mm->quire = f->quire;
	f->mm->machine_context = f;
	spin_lock_init(&f->mm->page_table_lock, LOCK_PAGE_TABLE);
	assert_int_equal(pgd_alloc(f->mm), 0);
}

/* The page table must validate, and all frames must come back. */
static inline void fixture_destroy(struct fixture *f)
{
	struct check_report report = {0};

	pgtable_validate(f->mm, &report);
	assert_string_equal(report.first, "");
	pgd_free(f->mm);
	zone_validate(&f->quire->zone, &report);
	assert_string_equal(report.first, "");
	assert_int_equal(zone_nr_free(&f->quire->zone), f->quire->zone.nr_frames);
	zone_destroy(&f->quire->zone);
	stat_destroy(&f->quire->events);
	quire_free(f->memory);
	quire_free(f->mm);
	quire_free(f->quire);
}

#endif
