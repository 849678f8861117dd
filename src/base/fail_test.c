/* SPDX-License-Identifier: MIT */
/*
 * Tests of base/fail.h: which call fails, that sites are independent, what disarming reports.
 */
#include "base/fail.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_nothing_armed(void **state)
{
	(void)state;
	assert_false(quire_fail_disarm());
	for (int site = 0; site < FAIL_SITES; site++)
		assert_false(quire_should_fail(site));
}

static void test_nth_call_only(void **state)
{
	(void)state;
	quire_fail_arm(FAIL_STORE, 3, false);
	for (int call = 1; call <= 6; call++)
		assert_int_equal(quire_should_fail(FAIL_STORE), call == 3);
	assert_true(quire_fail_disarm());
	assert_false(quire_should_fail(FAIL_STORE));
}

static void test_nth_call_and_later(void **state)
{
	(void)state;
	quire_fail_arm(FAIL_STORE, 3, true);
	for (int call = 1; call <= 6; call++)
		assert_int_equal(quire_should_fail(FAIL_STORE), call >= 3);
	assert_true(quire_fail_disarm());
}

static void test_sites_are_independent(void **state)
{
	(void)state;
	quire_fail_arm(FAIL_ALLOC, 1, false);
	assert_false(quire_should_fail(FAIL_STORE));
	assert_true(quire_should_fail(FAIL_ALLOC));
	assert_true(quire_fail_disarm());
}

static void test_not_reached_is_not_delivered(void **state)
{
	(void)state;
	quire_fail_arm(FAIL_FRAME, 2, false);
	assert_false(quire_should_fail(FAIL_FRAME));
	assert_false(quire_fail_disarm());
}

static void test_arming_again_restarts(void **state)
{
	(void)state;
	quire_fail_arm(FAIL_MACHINE, 1, false);
	assert_true(quire_should_fail(FAIL_MACHINE));
	quire_fail_arm(FAIL_MACHINE, 2, false);
	assert_false(quire_should_fail(FAIL_MACHINE));
	assert_true(quire_should_fail(FAIL_MACHINE));
	quire_fail_arm(FAIL_MACHINE, 0, true);
	assert_false(quire_should_fail(FAIL_MACHINE));
	assert_false(quire_fail_disarm());
}

#define CALLS_PER_THREAD 1000

static void *count_failures(void *failures)
{
	for (int call = 0; call < CALLS_PER_THREAD; call++)
		if (quire_should_fail(FAIL_STORE))
			atomic_fetch_add((_Atomic uint32_t *)failures, 1);
	return NULL;
}

static void test_one_failure_among_threads(void **state)
{
	(void)state;
	_Atomic uint32_t failures = 0;
	pthread_t threads[4];

	quire_fail_arm(FAIL_STORE, CALLS_PER_THREAD, false);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_failures, &failures), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(failures, 1);
	assert_true(quire_fail_disarm());
	assert_int_equal(quire_fail_calls(FAIL_STORE), 4 * CALLS_PER_THREAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_armed),
		cmocka_unit_test(test_nth_call_only),
		cmocka_unit_test(test_nth_call_and_later),
		cmocka_unit_test(test_sites_are_independent),
		cmocka_unit_test(test_not_reached_is_not_delivered),
		cmocka_unit_test(test_arming_again_restarts),
		cmocka_unit_test(test_one_failure_among_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
