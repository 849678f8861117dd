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
static void expect(const char *before, const char *prefix, const char *expected,
		   enum shell_completion what)
{
	struct shell_buffer words = {0};

	assert_int_equal(shell_complete(&shell, before, prefix, collect, &words), what);
	shell_buffer_append(&words, "", 1);
	assert_string_equal(words.data, expected);
	shell_buffer_release(&words);
}

static void test_commands(void **state)
{
	(void)state;
	expect("", "mm", "mmap ", SHELL_COMPLETE_WORD);
	expect("  ", "mo", "mover: ", SHELL_COMPLETE_WORD);
	expect("mover: ", "mo", "", SHELL_COMPLETE_WORD);
	expect("mover:", "mma", "mmap ", SHELL_COMPLETE_WORD);
	expect("", "zzz", "", SHELL_COMPLETE_WORD);
}

static void test_arguments(void **state)
{
	(void)state;
	expect("load ", "a", "alpha area ", SHELL_COMPLETE_PART);
	expect("load ", "h", "heap ", SHELL_COMPLETE_PART);
	expect("pread ", "", "book ", SHELL_COMPLETE_WORD);
	expect("madvise alpha 1p ", "guard", "guard_install guard_remove ", SHELL_COMPLETE_WORD);
	expect("mmap a 1p rw ", "no", "noreplace noreserve ", SHELL_COMPLETE_PART);
	expect("mmap a 1p rw private,anon at ", "a", "alpha area ", SHELL_COMPLETE_PART);
	expect("open f path ", "r", "r rw ", SHELL_COMPLETE_WORD);
	expect("mmap a 1p rw private,", "an", "anon ", SHELL_COMPLETE_PART);
	expect("load alpha+", "", "", SHELL_COMPLETE_PART);
	expect("limit ", "", "as data stack memlock ", SHELL_COMPLETE_WORD);
	expect("budget ", "m", "main mover ", SHELL_COMPLETE_WORD);
	expect("show ", "s", "swap stat state ", SHELL_COMPLETE_WORD);
	expect("show vma ", "al", "alpha ", SHELL_COMPLETE_PART);
	expect("show cache ", "b", "book ", SHELL_COMPLETE_WORD);
	expect("mover: load ", "a", "", SHELL_COMPLETE_PART);
	expect("nothing ", "a", "", SHELL_COMPLETE_WORD);
	expect("nobody: load ", "a", "", SHELL_COMPLETE_WORD);
	expect("exit ", "", "", SHELL_COMPLETE_WORD);
}

static void test_paths(void **state)
{
	struct shell_buffer words = {0};

	(void)state;
	assert_int_equal(shell_complete(&shell, "open f ", "boo", collect, &words),
			 SHELL_COMPLETE_PATH);
	assert_int_equal(shell_complete(&shell, "exec ", "", collect, &words), SHELL_COMPLETE_PATH);
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
