/* SPDX-License-Identifier: MIT */
/*
 * All families of system calls, and the index of rows by number that is made of them once.
 */
#include <pthread.h>

#include "run/file/file_calls.h"
#include "run/syscall/table.h"

const struct syscall_family *const syscall_families[] = {
	&memory_calls,
	NULL,
};
const uint32_t nr_syscall_families = sizeof(syscall_families) / sizeof(syscall_families[0]) - 1;

static const struct syscall_row *rows[SYSCALL_NUMBERS];
static pthread_once_t rows_once = PTHREAD_ONCE_INIT;

static void index_rows(void)
{
	for (uint32_t i = 0; i < nr_syscall_families; i++)
		for (uint32_t j = 0; j < syscall_families[i]->nr_rows; j++) {
			const struct syscall_row *row = &syscall_families[i]->rows[j];

			rows[row->number] = row;
		}
}

const struct syscall_row *syscall_row(int64_t number)
{
	pthread_once(&rows_once, index_rows);
	return number >= 0 && number < SYSCALL_NUMBERS ? rows[number] : NULL;
}
