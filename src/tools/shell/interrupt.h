/* SPDX-License-Identifier: MIT */
/*
 * Signals that ask the shell to end. The command under way ends first, with `error EINTR` where it
 * goes on piece by piece; then what is dirty is written back and nothing is left behind. A second
 * signal ends the shell at once.
 */
#ifndef QUIRE_TOOLS_SHELL_INTERRUPT_H
#define QUIRE_TOOLS_SHELL_INTERRUPT_H

/* From now on SIGINT, SIGTERM and SIGHUP are noted; none is any more. */
void shell_interrupt_catch(void);

/* The signal that came, or 0. */
int shell_interrupted(void);

/* Ends the program by that signal, so that whoever started it sees why. */
__attribute__((noreturn)) void shell_interrupt_die(int signal);

#endif
