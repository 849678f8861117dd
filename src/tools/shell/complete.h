/* SPDX-License-Identifier: MIT */
/*
 * What may stand at the cursor: the words that complete a line of the shell's language.
 */
#ifndef QUIRE_TOOLS_SHELL_COMPLETE_H
#define QUIRE_TOOLS_SHELL_COMPLETE_H

#include "tools/shell/shell.h"

typedef void shell_complete_visitor(void *context, const char *word);

/*
 * Visits every word that may follow `before`, the line up to the word being completed, and begins
 * with `prefix`. True when a path may stand there, which the caller completes itself.
 */
bool shell_complete(struct shell *shell, const char *before, const char *prefix,
		    shell_complete_visitor *visit, void *context);

#endif
