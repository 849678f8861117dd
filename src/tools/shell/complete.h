/* SPDX-License-Identifier: MIT */
/*
 * What may stand at the cursor: the words that complete a line of the shell's language.
 */
#ifndef QUIRE_TOOLS_SHELL_COMPLETE_H
#define QUIRE_TOOLS_SHELL_COMPLETE_H

#include "tools/shell/shell.h"

typedef void shell_complete_visitor(void *context, const char *word);

/* What stands at the cursor. */
enum shell_completion {
	SHELL_COMPLETE_WORD, /* a word, which a blank follows */
	SHELL_COMPLETE_PART, /* something that may go on: a list of flags, an address */
	SHELL_COMPLETE_PATH  /* a path, which the caller completes itself */
};

/*
 * Visits every word that may follow `before`, the line up to the word being completed, and begins
 * with `prefix`.
 */
enum shell_completion shell_complete(struct shell *shell, const char *before, const char *prefix,
				     shell_complete_visitor *visit, void *context);

#endif
