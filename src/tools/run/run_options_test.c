/* SPDX-License-Identifier: MIT */
/*
 * Tests of the command line of `quire run`.
 */
#include "tools/run/run_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tools/subcommand.h"

#define ARGUMENTS 20

/* Reads "run" and what `words` holds, apart by single blanks. `words` is taken apart. */
static int read_words(struct run_command *command, char *words)
{
	static char *argv[ARGUMENTS + 1];
	static char name[] = "run";
	int argc = 0;
	char *rest;

	argv[argc++] = name;
	for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		assert_true(argc < ARGUMENTS);
		argv[argc++] = word;
	}
	argv[argc] = NULL;
	return run_command_read(command, argc, argv);
}

static void test_defaults(void **state)
{
	char words[] = "/bin/true";
	struct run_command command;

	(void)state;
	assert_int_equal(read_words(&command, words), 0);
	assert_int_equal(command.options.memory, 0);
	assert_null(command.options.swap);
	assert_null(command.options.policy);
	assert_int_equal(command.options.readahead, 0);
	assert_false(command.options.no_aslr);
	assert_false(command.options.report);
	assert_null(command.options.trace_file);
	assert_string_equal(command.argv[0], "/bin/true");
	assert_null(command.argv[1]);
	run_command_release(&command);
}

static void test_all(void **state)
{
	char words[] = "-m 64M --swap=a:b:1G --policy sieve --readahead=256K --no-aslr "
		       "--report=r.json --trace t prog --report x";
	struct run_command command;

	(void)state;
	assert_int_equal(read_words(&command, words), 0);
	assert_int_equal(command.options.memory, 64 << 20);
	assert_string_equal(command.options.swap, "a:b");
	assert_int_equal(command.options.swap_size, 1 << 30);
	assert_string_equal(command.options.policy, "sieve");
	assert_int_equal(command.options.readahead, 256 << 10);
	assert_true(command.options.no_aslr);
	assert_true(command.options.report);
	assert_string_equal(command.options.report_file, "r.json");
	assert_string_equal(command.options.trace_file, "t");
	/* What follows the program is the program's. */
	assert_string_equal(command.argv[0], "prog");
	assert_string_equal(command.argv[1], "--report");
	assert_string_equal(command.argv[2], "x");
	assert_null(command.argv[3]);
	run_command_release(&command);
}

static void test_ends(void **state)
{
	char report[] = "--report prog";
	char dashes[] = "-m64M -- -prog -m 1";
	char readahead[] = "--readahead 0 prog";
	struct run_command command;

	(void)state;
	assert_int_equal(read_words(&command, report), 0);
	assert_true(command.options.report);
	assert_null(command.options.report_file);
	assert_string_equal(command.argv[0], "prog");
	run_command_release(&command);
	assert_int_equal(read_words(&command, dashes), 0);
	assert_string_equal(command.argv[0], "-prog");
	assert_string_equal(command.argv[1], "-m");
	run_command_release(&command);
	assert_int_equal(read_words(&command, readahead), 0);
	assert_int_equal(command.options.readahead, UINT32_MAX);
	run_command_release(&command);
}

static void test_swap(void **state)
{
	static const struct {
		const char *word;
		const char *swap;
		uint64_t size;
	} cases[] = {
		{"--swap=memory", "memory", 0}, {"--swap=memory:16M", "memory", 16 << 20},
		{"--swap=/a/b", "/a/b", 0},     {"--swap=a:b", "a:b", 0},
		{"--swap=a:4096", "a", 4096},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct run_command command;
		char words[64];

		snprintf(words, sizeof(words), "%s prog", cases[i].word);
		assert_int_equal(read_words(&command, words), 0);
		assert_string_equal(command.options.swap, cases[i].swap);
		assert_int_equal(command.options.swap_size, cases[i].size);
		run_command_release(&command);
	}
}

static void test_refused(void **state)
{
	static const char *const lines[] = {
		"",
		"--",
		"-m 64M",
		"-m 4096 prog",
		"-m 64X prog",
		"-m -1 prog",
		"-m 99999999999999999999 prog",
		"--memory= prog",
		"--swap= prog",
		"--swap=:4096 prog",
		"--swap=a:100 prog",
		"--swap=a:0 prog",
		"--swap=memory:1GB prog",
		"--readahead=4G prog",
		"--readahead=x prog",
		"--what prog",
		"-x prog",
		"--trace",
		"--no-aslr=1 prog",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct run_command command;
		char words[64];

		snprintf(words, sizeof(words), "%s", lines[i]);
		assert_int_equal(read_words(&command, words), QUIRE_EXIT_USAGE);
		run_command_release(&command);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults), cmocka_unit_test(test_all),
		cmocka_unit_test(test_ends),     cmocka_unit_test(test_swap),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
