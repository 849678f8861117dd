/* SPDX-License-Identifier: MIT */
/*
 * The printed forms of replies, as text and as JSON, and that quoted bytes read back as themselves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "tools/shell/parse.h"
#include "tools/shell/print.h"
#include "tools/shell/symbols.h"

static void expect_text(struct shell_reply *reply, const char *expected)
{
	struct shell_buffer out = {0};

	shell_reply_print(reply, &out);
	shell_buffer_append(&out, "", 1);
	assert_string_equal(out.data, expected);
	shell_buffer_release(&out);
	shell_reply_reset(reply);
}

static void expect_json(struct shell_reply *reply, const char *expected)
{
	struct shell_reply_place place = {.line = 3, .process = "main", .command = "test"};
	struct shell_buffer out = {0};

	shell_reply_print_json(reply, &place, &out);
	shell_buffer_append(&out, "", 1);
	assert_string_equal(out.data, expected);
	shell_buffer_release(&out);
	shell_reply_reset(reply);
}

static void test_text(void **state)
{
	struct shell_reply reply = {0};

	(void)state;
	expect_text(&reply, "ok\n");
	reply.kind = SHELL_REPLY_NUMBER;
	reply.number = UINT64_MAX;
	expect_text(&reply, "= 18446744073709551615\n");
	reply.kind = SHELL_REPLY_TEXT;
	shell_buffer_printf(&reply.value, "0110");
	expect_text(&reply, "= 0110\n");
	reply.kind = SHELL_REPLY_BYTES;
	shell_buffer_append(&reply.value, "a\n\t\\\"\0\x1f~\x7f\xff ", 11);
	expect_text(&reply, "= \"a\\n\\t\\\\\\\"\\x00\\x1f~\\x7f\\xff \"\n");
	shell_reply_fail(&reply, ENOMEM, "because");
	expect_text(&reply, "error ENOMEM\n");
	reply.kind = SHELL_REPLY_SIGNAL;
	reply.signal = SIGBUS;
	reply.code = BUS_ADRERR;
	expect_text(&reply, "signal SIGBUS BUS_ADRERR\n");
	shell_reply_line(&reply, "one %d", 1);
	shell_reply_line(&reply, "two");
	expect_text(&reply, "  one 1\n  two\nok\n");
}

static void test_long_view_line(void **state)
{
	struct shell_reply reply = {0};
	char longer[2000];

	(void)state;
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	shell_reply_line(&reply, "%s", longer);
	assert_int_equal(reply.view.length, 2 + sizeof(longer) - 1 + 1);
	assert_int_equal(reply.view.data[reply.view.length - 1], '\n');
	shell_reply_reset(&reply);
}

static void test_json(void **state)
{
	struct shell_reply reply = {0};

	(void)state;
	expect_json(&reply,
		    "{\"line\":3,\"process\":\"main\",\"command\":\"test\",\"result\":\"ok\"}\n");
	reply.kind = SHELL_REPLY_BYTES;
	shell_buffer_append(&reply.value, "\xff\"", 2);
	expect_json(&reply,
		    "{\"line\":3,\"process\":\"main\",\"command\":\"test\",\"result\":\"value\","
		    "\"value\":\"\\\\xff\\\\\\\"\"}\n");
	shell_reply_fail(&reply, EBADF, "no file '\xff'");
	expect_json(&reply,
		    "{\"line\":3,\"process\":\"main\",\"command\":\"test\",\"result\":\"error\","
		    "\"error\":\"EBADF\",\"why\":\"no file '\\\\xff'\"}\n");
	reply.kind = SHELL_REPLY_SIGNAL;
	reply.signal = SIGSEGV;
	reply.code = SEGV_ACCERR;
	expect_json(&reply,
		    "{\"line\":3,\"process\":\"main\",\"command\":\"test\",\"result\":\"signal\","
		    "\"signal\":\"SIGSEGV\",\"code\":\"SEGV_ACCERR\"}\n");
	shell_reply_begin_list(&reply, "maps");
	shell_reply_add_json(&reply, json_integer(7));
	expect_json(&reply,
		    "{\"line\":3,\"process\":\"main\",\"command\":\"test\",\"result\":\"ok\","
		    "\"maps\":[7]}\n");
}

static void test_quoted_reads_back(void **state)
{
	struct shell_buffer text = {0};
	struct shell_line line;
	unsigned char bytes[512];
	const char *why;

	(void)state;
	/* Each byte before a hexadecimal digit, and in front of every other. */
	for (unsigned i = 0; i < 256; i++) {
		bytes[2 * i] = (unsigned char)i;
		bytes[2 * i + 1] = 'f';
	}
	shell_print_quoted(&text, bytes, sizeof(bytes));
	assert_int_equal(shell_line_parse(text.data, text.length, &line, &why), 0);
	assert_int_equal(line.token_count, 1);
	assert_int_equal(line.tokens[0].length, sizeof(bytes));
	assert_memory_equal(line.tokens[0].text, bytes, sizeof(bytes));
	shell_line_release(&line);
	shell_buffer_release(&text);
}

static void test_symbols(void **state)
{
	char name[SHELL_NAME_SIZE];
	uint64_t flags;

	(void)state;
	assert_string_equal(shell_errno_name(EOPNOTSUPP, name), "EOPNOTSUPP");
	assert_string_equal(shell_errno_name(EAGAIN, name), "EAGAIN");
	assert_string_equal(shell_errno_name(4000, name), "E4000");
	assert_string_equal(shell_signal_name(SIGKILL, name), "SIGKILL");
	assert_string_equal(shell_code_name(SIGSEGV, SEGV_MAPERR, name), "SEGV_MAPERR");
	assert_string_equal(shell_code_name(SIGSEGV, SI_KERNEL, name), "SI_KERNEL");
	assert_true(shell_symbol_list(shell_map_flags, "shared,private", &flags));
	assert_int_equal(flags, 3);
	assert_true(shell_symbol_list(shell_msync_flags, "-", &flags));
	assert_int_equal(flags, 0);
	assert_false(shell_symbol_list(shell_map_flags, "", &flags));
	assert_false(shell_symbol_list(shell_map_flags, "anon,", &flags));
	assert_false(shell_symbol_list(shell_map_flags, "anon,anon", &flags));
	assert_false(shell_symbol_list(shell_map_flags, "ano", &flags));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),    cmocka_unit_test(test_long_view_line),
		cmocka_unit_test(test_json),    cmocka_unit_test(test_quoted_reads_back),
		cmocka_unit_test(test_symbols),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
