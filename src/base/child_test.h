/* SPDX-License-Identifier: MIT */
/*
 * For tests of what aborts: a function run in a child process, how it ended and what it said.
 */
#ifndef QUIRE_BASE_CHILD_TEST_H
#define QUIRE_BASE_CHILD_TEST_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* The signal that ended the child, 0 when `body` returned; `text` gets what it printed to standard
 * error. */
static inline int run_in_child(void (*body)(void), char *text, size_t size)
{
	size_t length = 0;
	int pipe_ends[2];
	ssize_t got;
	int status;

	assert_int_equal(pipe(pipe_ends), 0);
	pid_t child = fork();

	assert_true(child >= 0);
	if (!child) {
		signal(SIGABRT, SIG_DFL);
		dup2(pipe_ends[1], STDERR_FILENO);
		body();
		_exit(0);
	}
	close(pipe_ends[1]);
	while ((got = read(pipe_ends[0], text + length, size - 1 - length)) > 0)
		length += (size_t)got;
	text[length] = '\0';
	close(pipe_ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

#endif
