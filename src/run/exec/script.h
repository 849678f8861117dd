/* SPDX-License-Identifier: MIT */
/*
 * The first line of a script: `#!`, the interpreter's path, and at most one argument, which is all
 * of the line behind the path.
 */
#ifndef QUIRE_RUN_EXEC_SCRIPT_H
#define QUIRE_RUN_EXEC_SCRIPT_H

#include "base/types.h"

/* As much of a file's beginning as counts. */
#define SCRIPT_LINE_MAX 256
/* Scripts whose interpreter is a script, and so on. */
#define SCRIPT_NESTING_MAX 5

struct script {
	char line[SCRIPT_LINE_MAX + 1];
	const char *interpreter; /* in `line` */
	const char *argument;    /* in `line`; NULL: none */
};

/*
 * Reads the line out of the first `bytes` bytes of a file, which script->line holds (at most
 * SCRIPT_LINE_MAX). 1: a script; 0: not one; -ENOEXEC: one whose interpreter is not named, or not
 * within these bytes.
 */
QUIRE_MUST_CHECK int script_read(struct script *script, size_t bytes);

#endif
