/* SPDX-License-Identifier: MIT */
/*
 * Tests of base/check.h: a failed assertion aborts at the levels that were built in; reports keep
 * the first violation.
 */
#include "base/check.h"
#include "base/types.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void assert_level(int level)
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

/* The signal that ended a child which failed an assertion of the level, 0 when it passed; `text`
 * gets what it printed. */
static int signal_of_failed_assertion(int level, char *text, size_t size)
{
	int pipe_ends[2];
	int status;

	assert_int_equal(pipe(pipe_ends), 0);
	pid_t child = fork();

	assert_true(child >= 0);
	if (!child) {
		signal(SIGABRT, SIG_DFL);
		dup2(pipe_ends[1], STDERR_FILENO);
		assert_level(level);
		_exit(0);
	}
	close(pipe_ends[1]);

	ssize_t length = read(pipe_ends[0], text, size - 1);

	text[length > 0 ? length : 0] = '\0';
	close(pipe_ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void test_assertion_levels(void **state)
{
	(void)state;
	for (int level = 0; level <= 2; level++) {
		char text[300];
		int expected = level <= QUIRE_CHECK ? SIGABRT : 0;

		assert_int_equal(signal_of_failed_assertion(level, text, sizeof(text)), expected);
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
