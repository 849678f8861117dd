/* SPDX-License-Identifier: MIT */
/*
 * Noting the signals that ask the shell to end.
 */
#include "tools/shell/interrupt.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "base/types.h"

static const int caught[] = {SIGINT, SIGTERM, SIGHUP};

static volatile sig_atomic_t noted;

static void note(int signal)
{
	noted = signal;
}

void shell_interrupt_catch(void)
{
	/* Reset: the second one is not waited for. No restart: a read of the next line ends. */
	struct sigaction action = {.sa_handler = note, .sa_flags = (int)SA_RESETHAND};
	struct sigaction old;

	noted = 0;
	for (size_t i = 0; i < ARRAY_SIZE(caught); i++)
		/* What nohup(1) and the like have ignored stays so. */
		if (sigaction(caught[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(caught[i], &action, NULL);
}

int shell_interrupted(void)
{
	return noted;
}

void shell_interrupt_die(int number)
{
	sigset_t set;

	signal(number, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, number);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	raise(number);
	_exit(128 + number);
}
