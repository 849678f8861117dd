/* SPDX-License-Identifier: MIT */
/*
 * The lexer: what it accepts, what it refuses, and that no line of random bytes harms it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/prng.h"
#include "tools/shell/parse.h"

static void expect_number(const char *text, uint64_t expected)
{
	uint64_t number;

	assert_true(shell_parse_number(text, &number));
	assert_int_equal(number, expected);
}

static void test_numbers(void **state)
{
	static const char *const refused[] = {"",
					      "x",
					      "-1",
					      "+1",
					      "0x",
					      "1k",
					      "1KK",
					      "1P",
					      "1 ",
					      "0xg",
					      "1.5",
					      "K",
					      "18446744073709551616",
					      "0x10000000000000000",
					      "17179869184G",
					      "0X10"};
	uint64_t number;

	(void)state;
	expect_number("0", 0);
	expect_number("4096", 4096);
	expect_number("010", 10);
	expect_number("0x1fF", 0x1ff);
	expect_number("3K", 3072);
	expect_number("2M", 2 << 20);
	expect_number("5G", (uint64_t)5 << 30);
	expect_number("7p", 7 * 4096);
	expect_number("0x10p", 16 * 4096);
	expect_number("18446744073709551615", UINT64_MAX);
	expect_number("0xffffffffffffffff", UINT64_MAX);
	expect_number("17179869183G", (uint64_t)17179869183 << 30);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		assert_false(shell_parse_number(refused[i], &number));
}

static void test_signed(void **state)
{
	int64_t number;

	(void)state;
	assert_true(shell_parse_signed("-1p", &number));
	assert_int_equal(number, -4096);
	assert_true(shell_parse_signed("+0x10", &number));
	assert_int_equal(number, 16);
	assert_true(shell_parse_signed("12", &number));
	assert_int_equal(number, 12);
	assert_false(shell_parse_signed("--1", &number));
	assert_false(shell_parse_signed("", &number));
	assert_false(shell_parse_signed("0x8000000000000000", &number));
}

static void test_prot(void **state)
{
	uint64_t prot;

	(void)state;
	assert_true(shell_parse_prot("-", &prot));
	assert_int_equal(prot, PROT_NONE);
	assert_true(shell_parse_prot("rw", &prot));
	assert_int_equal(prot, PROT_READ | PROT_WRITE);
	assert_true(shell_parse_prot("xwr", &prot));
	assert_int_equal(prot, PROT_READ | PROT_WRITE | PROT_EXEC);
	assert_false(shell_parse_prot("rr", &prot));
	assert_false(shell_parse_prot("r-", &prot));
	assert_false(shell_parse_prot("", &prot));
}

static void expect_address(const char *text, const char *region, uint64_t offset)
{
	struct shell_address address;
	char *copy = strdup(text);

	assert_true(shell_parse_address(copy, &address));
	assert_int_equal(address.offset, offset);
	if (region)
		assert_string_equal(address.region, region);
	else
		assert_null(address.region);
	free(copy);
}

static void test_addresses(void **state)
{
	static const char *const refused[] = {"",    "a-1",   "a+",  "a+b",     "+1",
					      "1+a", "a+1+1", "a b", "0x1000+1"};
	struct shell_address address;

	(void)state;
	expect_address("a", "a", 0);
	expect_address("heap+2p", "heap", 8192);
	expect_address("_x9+0x10", "_x9", 16);
	expect_address("0x7000", NULL, 0x7000);
	expect_address("1G", NULL, 1 << 30);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		char *copy = strdup(refused[i]);

		assert_false(shell_parse_address(copy, &address));
		free(copy);
	}
}

static void parse_good(const char *text, struct shell_line *line)
{
	const char *why;

	assert_int_equal(shell_line_parse(text, strlen(text), line, &why), 0);
	assert_null(why);
}

static void test_words(void **state)
{
	struct shell_line line;

	(void)state;
	parse_good(" \tmmap  a 4p\trw private,anon # comment \"", &line);
	assert_null(line.process);
	assert_int_equal(line.token_count, 5);
	assert_string_equal(line.tokens[0].text, "mmap");
	assert_string_equal(line.tokens[4].text, "private,anon");
	assert_false(line.tokens[4].quoted);
	shell_line_release(&line);

	parse_good("kid: exit\r", &line);
	assert_string_equal(line.process, "kid");
	assert_int_equal(line.token_count, 1);
	assert_string_equal(line.tokens[0].text, "exit");
	shell_line_release(&line);

	parse_good("k:exit", &line);
	assert_string_equal(line.process, "k");
	assert_string_equal(line.tokens[0].text, "exit");
	shell_line_release(&line);
}

static void test_empty_lines(void **state)
{
	static const char *const empty[] = {"", "   ", "# all comment", "\t# \"open"};
	struct shell_line line;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(empty); i++) {
		parse_good(empty[i], &line);
		assert_null(line.process);
		assert_int_equal(line.token_count, 0);
		shell_line_release(&line);
	}
}

static void test_strings(void **state)
{
	static const char expected[] = "a\n\t\\\"\0\x01\xff z\a";
	struct shell_line line;

	(void)state;
	parse_good("store a \"a\\n\\t\\\\\\\"\\0\\x01\\377 z\\a\" \"\" \"#\"#x", &line);
	assert_int_equal(line.token_count, 5);
	assert_true(line.tokens[2].quoted);
	assert_int_equal(line.tokens[2].length, sizeof(expected) - 1);
	assert_memory_equal(line.tokens[2].text, expected, sizeof(expected) - 1);
	assert_int_equal(line.tokens[3].length, 0);
	assert_string_equal(line.tokens[4].text, "#");
	shell_line_release(&line);

	/* At most two digits: what the shell prints, it reads. */
	parse_good("\"\\x00ff\"", &line);
	assert_int_equal(line.tokens[0].length, 3);
	assert_memory_equal(line.tokens[0].text, "\0ff", 3);
	shell_line_release(&line);
}

static void test_refused_lines(void **state)
{
	static const char *const refused[] = {
		"\"open",    "\"a\\\"", "\"a\"b",           "a\"b\"",     "\"\\q\"", "\"\\x\"",
		"\"\\400\"", "kid:",    " kid:  # nothing", "\"a\"\"b\"", "\"\\"};
	struct shell_line line;
	const char *why;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		assert_int_equal(shell_line_parse(refused[i], strlen(refused[i]), &line, &why),
				 -EINVAL);
		assert_non_null(why);
		assert_int_equal(line.token_count, 0);
		shell_line_release(&line);
	}
	assert_int_equal(shell_line_parse("a\0b", 3, &line, &why), -EINVAL);
	shell_line_release(&line);

	/* Who was named acts next, though the rest cannot be read. */
	assert_int_equal(shell_line_parse("kid: \"", 6, &line, &why), -EINVAL);
	assert_string_equal(line.process, "kid");
	shell_line_release(&line);
}

/* Every token lies within the line's own storage, in order, ended by a NUL; the sanitizers watch
 * the rest. */
static void check_line(const struct shell_line *line, size_t length)
{
	const char *end = line->storage;

	for (size_t i = 0; i < line->token_count; i++) {
		assert_true(line->tokens[i].text >= end);
		end = line->tokens[i].text + line->tokens[i].length;
		assert_int_equal(*end, '\0');
		assert_true(line->tokens[i].quoted || line->tokens[i].length > 0);
	}
	assert_true((size_t)(end - line->storage) <= length + 1);
}

static void test_random_lines(void **state)
{
	static const char alphabet[] = "ab1x0Kp+-:,\"\"\\\\n# \t \r_heap\0\x7f\x80\xff";
	struct prng prng;
	size_t accepted = 0;

	(void)state;
	prng_seed(&prng, 7);
	for (int round = 0; round < 200000; round++) {
		char text[24];
		size_t length = prng_below(&prng, sizeof(text) + 1);
		struct shell_line line;
		const char *why;

		for (size_t i = 0; i < length; i++)
			text[i] = alphabet[prng_below(&prng, sizeof(alphabet) - 1)];
		if (shell_line_parse(text, length, &line, &why) == 0) {
			accepted++;
			check_line(&line, length);
		} else {
			assert_non_null(why);
		}
		shell_line_release(&line);
	}
	/* Both ways are well trodden. */
	assert_in_range(accepted, 1000, 199000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),      cmocka_unit_test(test_signed),
		cmocka_unit_test(test_prot),         cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_words),        cmocka_unit_test(test_empty_lines),
		cmocka_unit_test(test_strings),      cmocka_unit_test(test_refused_lines),
		cmocka_unit_test(test_random_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
