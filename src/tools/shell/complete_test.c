/* SPDX-License-Identifier: MIT */
/*
 * Completion: what is offered at each place of a line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tools/shell/complete.h"
#include "tools/shell/memory.h"

static struct shell shell;

static int set_up(void **state)
{
	(void)state;
	memset(&shell, 0, sizeof(shell));
	list_init(&shell.processes);
	shell.current = shell_process_new("main", NULL, 0x1000);
	list_add_tail(&shell.current->link, &shell.processes);
	shell_region_bind(shell.current, "alpha", 0x10000, 0x1000);
	shell_region_bind(shell.current, "area", 0x20000, 0x1000);
	shell_file_bind(shell.current, "book", 3);
	list_add_tail(&shell_process_new("mover", NULL, 0x1000)->link, &shell.processes);
	return 0;
}

static int tear_down(void **state)
{
	struct shell_process *process, *next;

	(void)state;
	list_for_each_entry_safe (process, next, &shell.processes, link)
		shell_process_free(process);
	return 0;
}

static void collect(void *context, const char *word)
{
	shell_buffer_printf(context, "%s ", word);
}

/* Offered words, each followed by a blank. */
static void expect(const char *before, const char *prefix, const char *expected)
{
	struct shell_buffer words = {0};

	assert_false(shell_complete(&shell, before, prefix, collect, &words));
	shell_buffer_append(&words, "", 1);
	assert_string_equal(words.data, expected);
	shell_buffer_release(&words);
}

static void test_commands(void **state)
{
	(void)state;
	expect("", "mm", "mmap ");
	expect("  ", "mo", "mover: ");
	expect("mover: ", "mo", "");
	expect("mover:", "mma", "mmap ");
	expect("", "zzz", "");
}

static void test_arguments(void **state)
{
	(void)state;
	expect("load ", "a", "alpha area ");
	expect("load ", "h", "heap ");
	expect("pread ", "", "book ");
	expect("madvise alpha 1p ", "guard", "guard_install guard_remove ");
	expect("mmap a 1p rw ", "no", "noreplace noreserve ");
	expect("mmap a 1p rw private,anon at ", "a", "alpha area ");
	expect("open f path ", "r", "r rw ");
	expect("limit ", "", "as data stack memlock ");
	expect("budget ", "m", "main mover ");
	expect("show ", "s", "swap stat state ");
	expect("show vma ", "al", "alpha ");
	expect("show cache ", "b", "book ");
	expect("mover: load ", "a", "");
	expect("nothing ", "a", "");
	expect("nobody: load ", "a", "");
	expect("exit ", "", "");
}

static void test_paths(void **state)
{
	struct shell_buffer words = {0};

	(void)state;
	assert_true(shell_complete(&shell, "open f ", "boo", collect, &words));
	assert_true(shell_complete(&shell, "exec ", "", collect, &words));
	assert_int_equal(words.length, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_commands, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_arguments, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_paths, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
