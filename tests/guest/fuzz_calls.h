/* SPDX-License-Identifier: MIT */
/*
 * What fuzz_syscalls knows of system calls by their numbers.
 */
#ifndef TESTS_GUEST_FUZZ_CALLS_H
#define TESTS_GUEST_FUZZ_CALLS_H

#include <stdbool.h>

#define CALLS 470 /* numbers from here on are of no call */

/* It would do harm, to the program or to others. */
bool is_left_out(long number);
/* Its first arguments are names of files. */
bool takes_names(long number);
/* Its first argument is a directory's descriptor, and the next ones are names. */
bool takes_directory(long number);

#endif
