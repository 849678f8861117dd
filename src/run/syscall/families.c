/* SPDX-License-Identifier: MIT */
/*
 * All families of system calls, and the index of rows by number that is made of them once.
 */
#include <pthread.h>

#include "run/exec/loader.h"
#include "run/file/file_calls.h"
#include "run/syscall/families.h"
#include "run/syscall/table.h"

const struct syscall_family *const syscall_families[] = {
	&memory_calls,     &open_calls,       &path_calls,  &directory_calls,     &xattr_calls,
	&descriptor_calls, &ioctl_calls,      &time_calls,  &limit_calls,         &process_calls,
	&prctl_calls,      &system_calls,     &exec_calls,  &task_calls,          &signal_calls,
	&read_write_calls, &file_range_calls, &shm_calls,   &poll_calls,          &socket_calls,
	&message_calls,    &ipc_calls,        &mount_calls, &other_process_calls, &refused_calls,
};
const uint32_t nr_syscall_families = ARRAY_SIZE(syscall_families);

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
