/* SPDX-License-Identifier: MIT */
/*
 * Tests of base/prng.h: the published sequence, and that bounded numbers stay in bounds and cover
 * them evenly.
 */
#include "base/prng.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* The first outputs of the reference implementation of splitmix64 for the seed 1234567. */
static void test_reference_sequence(void **state)
{
	(void)state;
	static const uint64_t expected[] = {
		UINT64_C(6457827717110365317),  UINT64_C(3203168211198807973),
		UINT64_C(9817491932198370423),  UINT64_C(4593380528125082431),
		UINT64_C(16408922859458223821),
	};
	struct prng prng;

	prng_seed(&prng, 1234567);
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		assert_true(prng_next(&prng) == expected[i]);
}

static void test_below(void **state)
{
	(void)state;
	unsigned int hits[7] = {0};
	struct prng prng;

	prng_seed(&prng, 0);
	for (int i = 0; i < 70000; i++) {
		uint64_t number = prng_below(&prng, 7);

		assert_true(number < 7);
		hits[number]++;
	}
	for (int i = 0; i < 7; i++)
		assert_in_range(hits[i], 9500, 10500);
	assert_int_equal(prng_below(&prng, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reference_sequence),
		cmocka_unit_test(test_below),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
