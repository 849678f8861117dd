/* SPDX-License-Identifier: MIT */
/*
 * Tests of base/check.h: a failed assertion aborts at the levels that were built in; reports keep
 * the first violation.
 */
#include "base/check.h"
#include "base/child_test.h"
#include "base/types.h"

#include <string.h>

static int level;

static void assert_level(void)
{
	switch (level) {
	case 0:
		QUIRE_ASSERT(0, level != 0);
		break;
	case 1:
		QUIRE_ASSERT(1, level != 1);
		break;
	default:
		QUIRE_ASSERT(2, level != 2);
	}
}

static void test_assertion_levels(void **state)
{
	(void)state;
	for (level = 0; level <= 2; level++) {
		char text[300];
		int expected = level <= QUIRE_CHECK ? SIGABRT : 0;

		assert_int_equal(run_in_child(assert_level, text, sizeof(text)), expected);
		if (expected) {
			assert_non_null(strstr(text, "check_test.c:"));
			assert_non_null(strstr(text, "level !="));
		}
	}
}

static void test_report_keeps_first(void **state)
{
	(void)state;
	struct check_report report = {0};

	CHECK_THAT(&report, 1 + 1 == 2, "arithmetic");
	assert_int_equal(report.violations, 0);
	CHECK_THAT(&report, 1 + 1 == 3, "first %d", 1);
	CHECK_THAT(&report, 1 + 1 == 4, "second %d", 2);
	assert_int_equal(report.violations, 2);
	assert_string_equal(report.first, "first 1");
}

static void test_report_truncates(void **state)
{
	(void)state;
	struct check_report report = {0};

	check_violation(&report, "%500d", 7);
	assert_int_equal(strlen(report.first), sizeof(report.first) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_assertion_levels),
		cmocka_unit_test(test_report_keeps_first),
		cmocka_unit_test(test_report_truncates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
