/* SPDX-License-Identifier: MIT */
/*
 * Tests of base/alloc.h: zeroing, alignment, the live count across threads, injected failures.
 */
#include "base/alloc.h"
#include "base/fail.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_zeroed_and_counted(void **state)
{
	(void)state;
	uint64_t before = quire_alloc_live();

	/* The same size twice, so that the second one is likely to reuse the first one's memory. */
	for (int round = 0; round < 2; round++) {
		unsigned char *memory = quire_zalloc(500);

		assert_non_null(memory);
		for (int i = 0; i < 500; i++)
			assert_int_equal(memory[i], 0);
		memset(memory, 0xff, 500);
		assert_int_equal(quire_alloc_live(), before + 1);
		quire_free(memory);
	}
	quire_free(NULL);
	assert_int_equal(quire_alloc_live(), before);
}

static void test_aligned(void **state)
{
	(void)state;
	uint64_t before = quire_alloc_live();

	for (size_t align = 1; align <= 65536; align *= 2) {
		unsigned char *memory = quire_zalloc_aligned(align, 100);

		assert_non_null(memory);
		assert_int_equal((uintptr_t)memory % align, 0);
		for (int i = 0; i < 100; i++)
			assert_int_equal(memory[i], 0);
		quire_free(memory);
	}
	assert_null(quire_zalloc_aligned(64, SIZE_MAX - 10));
	assert_int_equal(quire_alloc_live(), before);
}

static void test_zero_size_is_memory(void **state)
{
	(void)state;
	void *plain = quire_zalloc(0);
	void *aligned = quire_zalloc_aligned(64, 0);

	assert_non_null(plain);
	assert_non_null(aligned);
	quire_free(plain);
	quire_free(aligned);
}

static void test_strdup(void **state)
{
	(void)state;
	uint64_t before = quire_alloc_live();
	char *copy = quire_strdup("quire");

	assert_string_equal(copy, "quire");
	assert_int_equal(quire_alloc_live(), before + 1);
	quire_free(copy);
}

static void test_injected_failure(void **state)
{
	(void)state;
	uint64_t before = quire_alloc_live();

	quire_fail_arm(FAIL_ALLOC, 2, true);
	void *first = quire_zalloc(8);

	assert_non_null(first);
	assert_null(quire_zalloc(8));
	assert_null(quire_zalloc_aligned(64, 8));
	assert_null(quire_strdup("quire"));
	assert_true(quire_fail_disarm());
	quire_free(first);
	assert_int_equal(quire_alloc_live(), before);
}

static void *free_it(void *memory)
{
	quire_free(memory);
	return NULL;
}

static void test_freed_by_another_thread(void **state)
{
	(void)state;
	uint64_t before = quire_alloc_live();

	for (int i = 0; i < 20; i++) {
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, free_it, quire_zalloc(16)), 0);
		pthread_join(thread, NULL);
	}
	assert_int_equal(quire_alloc_live(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zeroed_and_counted),
		cmocka_unit_test(test_aligned),
		cmocka_unit_test(test_zero_size_is_memory),
		cmocka_unit_test(test_strdup),
		cmocka_unit_test(test_injected_failure),
		cmocka_unit_test(test_freed_by_another_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
