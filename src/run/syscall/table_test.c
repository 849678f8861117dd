/* SPDX-License-Identifier: MIT */
/*
 * The table of system calls as a whole: every call of the kernel that it was made for has exactly
 * one row, and every row makes sense.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "run/syscall/numbers.h"
#include "run/syscall/table.h"

/* Numbers that were never given to a call: the room between the old and the common ones. */
#define FIRST_UNUSED 337
#define LAST_UNUSED 423
/* The newest call of Linux 6.18. */
#define NEWEST __NR_file_setattr

static void test_every_number_has_one_row(void **state)
{
	uint32_t rows[SYSCALL_NUMBERS] = {0};

	(void)state;
	for (uint32_t i = 0; i < nr_syscall_families; i++)
		for (uint32_t j = 0; j < syscall_families[i]->nr_rows; j++)
			rows[syscall_families[i]->rows[j].number]++;
	for (int number = 0; number < SYSCALL_NUMBERS; number++) {
		const bool used =
			number <= NEWEST && (number < FIRST_UNUSED || number > LAST_UNUSED);

		if (rows[number] != used)
			print_error("system call %d has %u rows\n", number, rows[number]);
		assert_int_equal(rows[number], used);
		assert_int_equal(syscall_row(number) != NULL, used);
	}
	assert_null(syscall_row(-1));
	assert_null(syscall_row(SYSCALL_NUMBERS));
}

static bool counts(uint8_t kind)
{
	return kind == ARG_INT || kind == ARG_LONG || kind == ARG_INOUT || kind == ARG_FD;
}

static void check_argument(const struct syscall_row *row, uint32_t i)
{
	const struct syscall_argument *argument = &row->args[i];

	assert_int_equal(argument->kind == ARG_NONE, argument->name == NULL);
	if (argument->kind >= ARG_STRING)
		assert_true(argument->size > 0);
	if (argument->kind >= ARG_IN_BYTES)
		assert_true(argument->of != i && counts(row->args[argument->of].kind));
}

static void test_rows_make_sense(void **state)
{
	(void)state;
	for (int64_t number = 0; number < SYSCALL_NUMBERS; number++) {
		const struct syscall_row *row = syscall_row(number);

		if (!row)
			continue;
		assert_non_null(row->name);
		assert_int_equal(row->how == HOW_REFUSED, row->error != 0);
		assert_false(row->how == HOW_REFUSED && (row->function || !row->note));
		/* Only the host can be asked by the arguments alone. */
		assert_true(row->function || row->how == HOW_HOST || row->how == HOW_REFUSED);
		for (uint32_t i = 0; i < 6; i++)
			check_argument(row, i);
		for (uint32_t i = 1; i < 6; i++)
			assert_false(!row->args[i - 1].name && row->args[i].name);
	}
}

/* The C library's names are those of the table. */
static void test_names(void **state)
{
	(void)state;
	assert_string_equal(syscall_row(__NR_read)->name, "read");
	assert_string_equal(syscall_row(__NR_newfstatat)->name, "newfstatat");
	assert_string_equal(syscall_row(__NR_pread64)->name, "pread64");
	assert_string_equal(syscall_row(NEWEST)->name, "file_setattr");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_number_has_one_row),
		cmocka_unit_test(test_rows_make_sense),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
