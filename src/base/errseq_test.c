/* SPDX-License-Identifier: MIT */
/*
 * Tests of base/errseq.h: once to each opener, to later openers while unseen, again for each new
 * error.
 */
#include "base/errseq.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_no_error(void **state)
{
	(void)state;
	errseq_t eseq = 0;
	uint32_t since = errseq_sample(&eseq);

	assert_int_equal(errseq_check(&eseq, since), 0);
	assert_int_equal(errseq_check_and_advance(&eseq, &since), 0);
	errseq_set(&eseq, 0);
	errseq_set(&eseq, EIO);
	errseq_set(&eseq, -5000);
	assert_int_equal(errseq_check_and_advance(&eseq, &since), 0);
}

static void test_once_to_each_opener(void **state)
{
	(void)state;
	errseq_t eseq = 0;
	uint32_t first = errseq_sample(&eseq);
	uint32_t second = errseq_sample(&eseq);

	errseq_set(&eseq, -EIO);
	assert_int_equal(errseq_check(&eseq, first), -EIO);
	assert_int_equal(errseq_check(&eseq, first), -EIO);
	assert_int_equal(errseq_check_and_advance(&eseq, &first), -EIO);
	assert_int_equal(errseq_check_and_advance(&eseq, &first), 0);
	assert_int_equal(errseq_check_and_advance(&eseq, &second), -EIO);
	assert_int_equal(errseq_check_and_advance(&eseq, &second), 0);
}

static void test_later_opener(void **state)
{
	(void)state;
	errseq_t eseq = 0;

	errseq_set(&eseq, -ENOSPC);

	uint32_t unseen = errseq_sample(&eseq);

	assert_int_equal(errseq_check_and_advance(&eseq, &unseen), -ENOSPC);

	uint32_t seen = errseq_sample(&eseq);

	assert_int_equal(errseq_check_and_advance(&eseq, &seen), 0);
}

static void test_checking_does_not_mark_seen(void **state)
{
	(void)state;
	errseq_t eseq = 0;

	errseq_set(&eseq, -EIO);
	assert_int_equal(errseq_check(&eseq, errseq_sample(&eseq)), -EIO);
	assert_int_equal(errseq_check(&eseq, errseq_sample(&eseq)), -EIO);
}

static void test_same_error_again(void **state)
{
	(void)state;
	errseq_t eseq = 0;
	uint32_t since = errseq_sample(&eseq);

	for (int round = 0; round < 5; round++) {
		errseq_set(&eseq, -EIO);
		errseq_set(&eseq, -EIO);
		assert_int_equal(errseq_check_and_advance(&eseq, &since), -EIO);
		assert_int_equal(errseq_check_and_advance(&eseq, &since), 0);
	}
}

/* The second error is seen by one opener before the other looks: that one must not take it for the
 * first. */
static void test_same_error_again_to_others(void **state)
{
	(void)state;
	errseq_t eseq = 0;
	uint32_t first = 0, second = 0;

	for (int round = 0; round < 5; round++) {
		errseq_set(&eseq, -EIO);
		assert_int_equal(errseq_check_and_advance(&eseq, &first), -EIO);
		assert_int_equal(errseq_check_and_advance(&eseq, &second), -EIO);
		assert_int_equal(errseq_check_and_advance(&eseq, &first), 0);
		assert_int_equal(errseq_check_and_advance(&eseq, &second), 0);
	}
}

static void test_latest_error_wins(void **state)
{
	(void)state;
	errseq_t eseq = 0;
	uint32_t since = errseq_sample(&eseq);

	errseq_set(&eseq, -EIO);
	errseq_set(&eseq, -ENOSPC);
	assert_int_equal(errseq_check_and_advance(&eseq, &since), -ENOSPC);
	assert_int_equal(errseq_check_and_advance(&eseq, &since), 0);
}

struct openers {
	errseq_t eseq;
	_Atomic uint32_t reports;
};

static void *poll_once_each(void *argument)
{
	struct openers *openers = argument;
	uint32_t since = 0;

	for (int i = 0; i < 1000; i++)
		if (errseq_check_and_advance(&openers->eseq, &since))
			openers->reports++;
	return NULL;
}

static void test_threads_each_get_it_once(void **state)
{
	(void)state;
	struct openers openers = {0};
	pthread_t threads[4];

	errseq_set(&openers.eseq, -EIO);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, poll_once_each, &openers), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(openers.reports, ARRAY_SIZE(threads));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_error),
		cmocka_unit_test(test_once_to_each_opener),
		cmocka_unit_test(test_later_opener),
		cmocka_unit_test(test_checking_does_not_mark_seen),
		cmocka_unit_test(test_same_error_again),
		cmocka_unit_test(test_same_error_again_to_others),
		cmocka_unit_test(test_latest_error_wins),
		cmocka_unit_test(test_threads_each_get_it_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
