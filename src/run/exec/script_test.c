/* SPDX-License-Identifier: MIT */
/*
 * Tests of the first line of a script.
 */
#include "run/exec/script.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int read_bytes(struct script *script, const char *text, size_t bytes)
{
	memset(script, 0x55, sizeof(*script));
	memcpy(script->line, text, bytes);
	return script_read(script, bytes);
}

static int read_text(struct script *script, const char *text)
{
	return read_bytes(script, text, strlen(text));
}

static void test_interpreters(void **state)
{
	static const struct {
		const char *text;
		const char *interpreter;
		const char *argument;
	} cases[] = {
		{"#!/bin/sh\necho", "/bin/sh", NULL},
		{"#! \t/bin/sh \t\necho", "/bin/sh", NULL},
		{"#!/bin/sh", "/bin/sh", NULL},
		{"#!/usr/bin/env python3\n", "/usr/bin/env", "python3"},
		{"#!/usr/bin/env  -S a  b \t\n", "/usr/bin/env", "-S a  b"},
		{"#!sh\n", "sh", NULL},
		{"#!/bin/sh\r\n", "/bin/sh\r", NULL},
		{"#!/bin/sh\0-x\n", "/bin/sh", NULL},
	};
	struct script script;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(read_text(&script, cases[i].text), 1);
		assert_string_equal(script.interpreter, cases[i].interpreter);
		if (cases[i].argument)
			assert_string_equal(script.argument, cases[i].argument);
		else
			assert_null(script.argument);
	}
}

static void test_not_scripts(void **state)
{
	struct script script;

	(void)state;
	assert_int_equal(read_text(&script, ""), 0);
	assert_int_equal(read_text(&script, "#"), 0);
	assert_int_equal(read_text(&script, " #!/bin/sh\n"), 0);
	assert_int_equal(read_text(&script, "\177ELF"), 0);
	assert_int_equal(read_text(&script, "#!"), -ENOEXEC);
	assert_int_equal(read_text(&script, "#!\n/bin/sh\n"), -ENOEXEC);
	assert_int_equal(read_text(&script, "#! \t \n"), -ENOEXEC);
	assert_int_equal(read_bytes(&script, "#!\0/bin/sh\n", 11), -ENOEXEC);
}

/* A line that goes on behind what is looked at: a whole path will do, a part of one will not. */
static void test_long_lines(void **state)
{
	char text[SCRIPT_LINE_MAX];
	struct script script;

	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text, "#!/", 3);
	assert_int_equal(read_bytes(&script, text, sizeof(text)), -ENOEXEC);
	assert_int_equal(read_bytes(&script, text, sizeof(text) - 1), 1);
	assert_int_equal(strlen(script.interpreter), sizeof(text) - 3);
	text[sizeof(text) - 1] = '\n';
	assert_int_equal(read_bytes(&script, text, sizeof(text)), 1);
	assert_int_equal(strlen(script.interpreter), sizeof(text) - 3);
	text[sizeof(text) - 1] = 'a';
	text[100] = ' ';
	assert_int_equal(read_bytes(&script, text, sizeof(text)), 1);
	assert_int_equal(strlen(script.interpreter), 98);
	assert_int_equal(strlen(script.argument), sizeof(text) - 101);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interpreters),
		cmocka_unit_test(test_not_scripts),
		cmocka_unit_test(test_long_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
