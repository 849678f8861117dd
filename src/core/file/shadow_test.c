/* SPDX-License-Identifier: MIT */
/*
 * The bound on shadows: it holds however large a file is, refaults are noticed at the bound, too,
 * and files that nobody has open make room.
 */
#include "base/prng.h"
#include "core/file/file_test.h"

#include <quire/memory_store.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define MEMORY (1u << 20)
#define FRAMES (MEMORY >> PAGE_SHIFT)
#define BIG (8 * FRAMES)

static int setup(void **state)
{
	struct file_fixture *fixture = calloc(1, sizeof(*fixture));

	file_fixture_setup(fixture, MEMORY, PAGE_SIZE, 0);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	file_fixture_teardown(*state);
	free(*state);
	return 0;
}

static struct file *open_big(struct file_fixture *fixture, uint64_t ino)
{
	struct quire_store *store;

	assert_int_equal(quire_memory_store_create((uint64_t)BIG << PAGE_SHIFT, &store), 0);
	return file_fixture_open(fixture, ino, store, FMODE_READ | FMODE_WRITE);
}

static uint64_t shadows(const struct file_fixture *fixture)
{
	return atomic_load(&fixture->quire->nr_shadows);
}

static uint64_t refaults(const struct file_fixture *fixture)
{
	return stat_read(&fixture->quire->events, EVENT_REFAULT);
}

static void read_page(struct file_fixture *fixture, struct file *file, uint64_t index)
{
	uint8_t byte = 1;

	assert_int_equal(filemap_read(file, NULL, &byte, 1, index << PAGE_SHIFT), 1);
	assert_int_equal(byte, 0);
	assert_true(shadows(fixture) <= FRAMES);
}

static void read_pages(struct file_fixture *fixture, struct file *file, uint64_t pages)
{
	for (uint64_t index = 0; index < pages; index++)
		read_page(fixture, file, index);
	test_instance_check(&fixture->test);
}

static void the_bound_holds_and_refaults_are_noticed(void **state)
{
	struct file_fixture *fixture = *state;
	struct file *file = open_big(fixture, 2);
	uint64_t before;

	read_pages(fixture, file, BIG);
	assert_true(shadows(fixture) > FRAMES - FRAMES / 8);
	/* The youngest are those that are left. */
	before = refaults(fixture);
	assert_int_equal(before, 0);
	for (uint64_t index = BIG - FRAMES - FRAMES / 2; index < BIG - FRAMES; index++)
		read_page(fixture, file, index);
	assert_true(refaults(fixture) - before > FRAMES / 4);
	before = refaults(fixture);
	for (uint64_t index = 0; index < FRAMES; index++)
		read_page(fixture, file, index);
	assert_int_equal(refaults(fixture), before);
	assert_int_equal(file_truncate(file, 0), 0);
	assert_int_equal(shadows(fixture), 0);
	fput(file);
}

static void closed_files_make_room(void **state)
{
	struct file_fixture *fixture = *state;
	struct file *first = open_big(fixture, 2);
	struct file *second = open_big(fixture, 3);
	struct file *third = open_big(fixture, 4);
	struct file *again;

	/* A few shadows survive a close, */
	read_pages(fixture, first, FRAMES + FRAMES / 4);
	again = open_big(fixture, 2);
	assert_in_range(shadows(fixture), 1, FRAMES / 2);
	fput(first);
	fput(again);
	assert_in_range(shadows(fixture), 1, FRAMES / 2);
	/* many do not, */
	read_pages(fixture, second, BIG);
	get_file(second);
	fput(second);
	assert_true(shadows(fixture) > FRAMES / 2);
	fput(second);
	assert_true(shadows(fixture) <= FRAMES / 2);
	/* and what pushes out a closed file's pages has the room for itself. */
	read_pages(fixture, third, BIG);
	assert_true(xa_count(&third->f_mapping->i_pages) - third->f_mapping->nrpages >
		    FRAMES / 2 - FRAMES / 8);
	fput(third);
}

/* In any order, with pages and shadows among each other. */
static void the_bound_holds_for_random_access(void **state)
{
	struct file_fixture *fixture = *state;
	struct file *files[] = {open_big(fixture, 2), open_big(fixture, 3)};
	struct prng prng;

	prng_seed(&prng, 1);
	for (uint32_t step = 0; step < 8 * BIG; step++) {
		const uint64_t which = prng_below(&prng, ARRAY_SIZE(files));

		read_page(fixture, files[which], prng_below(&prng, BIG));
		if (prng_below(&prng, 1000) == 0) {
			fput(files[which]);
			files[which] = open_big(fixture, 2 + which);
		}
		if (step % BIG == 0)
			test_instance_check(&fixture->test);
	}
	assert_true(refaults(fixture) > 0);
	fput(files[0]);
	fput(files[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_bound_holds_and_refaults_are_noticed, setup,
						teardown),
		cmocka_unit_test_setup_teardown(closed_files_make_room, setup, teardown),
		cmocka_unit_test_setup_teardown(the_bound_holds_for_random_access, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
