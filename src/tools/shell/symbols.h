/* SPDX-License-Identifier: MIT */
/*
 * The words of the shell's language that stand for constants of Linux, and the names by which
 * results are printed.
 *
 * The values are Linux's own (x86-64), on every machine: the core takes them as they are.
 */
#ifndef QUIRE_TOOLS_SHELL_SYMBOLS_H
#define QUIRE_TOOLS_SHELL_SYMBOLS_H

#include "base/types.h"

/* A word and its value; a table ends with a NULL name. */
struct shell_symbol {
	const char *name;
	uint64_t value;
};

extern const struct shell_symbol shell_map_flags[];
extern const struct shell_symbol shell_mremap_flags[];
extern const struct shell_symbol shell_msync_flags[];
extern const struct shell_symbol shell_advices[];
/* Values are RLIMIT_*. */
extern const struct shell_symbol shell_limits[];
/* Values are O_*. */
extern const struct shell_symbol shell_open_modes[];
extern const struct shell_symbol shell_open_options[];

/* The entry of that name, or NULL. */
const struct shell_symbol *shell_symbol_find(const struct shell_symbol *table, const char *name);

/*
 * A comma list of names of the table; `-` alone is the empty list. False when a name is unknown,
 * empty or given twice.
 */
QUIRE_MUST_CHECK bool shell_symbol_list(const struct shell_symbol *table, const char *text,
					uint64_t *flags);

/* Enough for every name below, with its number where there is no name. */
#define SHELL_NAME_SIZE 32

/* `ENOMEM`; a number without a name is printed as `E<number>`. */
const char *shell_errno_name(int error, char buffer[SHELL_NAME_SIZE]);
/* `SIGSEGV`. */
const char *shell_signal_name(int signal, char buffer[SHELL_NAME_SIZE]);
/* `SEGV_MAPERR`: what si_code means for that signal. */
const char *shell_code_name(int signal, int code, char buffer[SHELL_NAME_SIZE]);

#endif
