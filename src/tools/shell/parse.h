/* SPDX-License-Identifier: MIT */
/*
 * Reading one line of the shell's language: words, strings, numbers, addresses. Nothing here knows
 * a command or a process; a line that breaks these rules is `error EINVAL`.
 *
 *   line     = [ NAME ":" ] { word | string } [ "#" anything ]
 *   string   = '"' bytes with the escapes of C '"', apart from its neighbours by blanks
 *   number   = ( decimal | "0x" hexadecimal ) [ "K" | "M" | "G" | "p" ]
 *   address  = number | NAME | NAME "+" number
 *   NAME     = letter or "_", then letters, digits, "_"
 */
#ifndef QUIRE_TOOLS_SHELL_PARSE_H
#define QUIRE_TOOLS_SHELL_PARSE_H

#include "base/types.h"

struct shell_token {
	char *text; /* ends with a NUL that `length` does not count */
	size_t length;
	bool quoted; /* was "…": may hold any byte, and stands for no name, number or keyword */
};

struct shell_line {
	char *storage;       /* holds all the text of the line */
	const char *process; /* from the NAME: prefix, or NULL */
	struct shell_token *tokens;
	size_t token_count;
};

/* An address before names are looked up: `region` is NULL for a bare number. */
struct shell_address {
	char *region;
	uint64_t offset;
};

/*
 * Splits `length` bytes of one line, without its newline. 0, or -EINVAL with a sentence in *why (a
 * constant); the line then has no tokens, but the process if it was named. An empty line, or one
 * with only a comment, is a success with neither process nor tokens. The caller releases the line
 * with shell_line_release() in any case.
 */
QUIRE_MUST_CHECK int shell_line_parse(const char *text, size_t length, struct shell_line *line,
				      const char **why);
void shell_line_release(struct shell_line *line);

bool shell_is_name(const char *text);

/* These give false when the text is anything else, or the value does not fit. */
QUIRE_MUST_CHECK bool shell_parse_number(const char *text, uint64_t *number);
/* A number with an optional sign. */
QUIRE_MUST_CHECK bool shell_parse_signed(const char *text, int64_t *number);
/* What stands behind the last colon of a name; the text is cut there. */
QUIRE_MUST_CHECK bool shell_cut_size(char *text, uint64_t *size);
/* Any of `r w x`, each at most once, or `-`; the result is PROT_*. */
QUIRE_MUST_CHECK bool shell_parse_prot(const char *text, uint64_t *prot);
/* Cuts the text at its "+": `address->region` points into it. */
QUIRE_MUST_CHECK bool shell_parse_address(char *text, struct shell_address *address);

#endif
