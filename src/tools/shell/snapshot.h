/* SPDX-License-Identifier: MIT */
/*
 * The files that a script names, kept aside so that a second run begins with what the first one
 * found.
 */
#ifndef QUIRE_TOOLS_SHELL_SNAPSHOT_H
#define QUIRE_TOOLS_SHELL_SNAPSHOT_H

#include "base/types.h"

#include <sys/types.h>

struct snapshot_file {
	char *path;
	char *copy; /* NULL: there was no such file, and what follows means nothing */
	mode_t mode;
	uid_t owner;
	gid_t group;
	dev_t device;
	ino_t inode;
};

/* Zero-filled is empty. */
struct snapshot {
	char *directory; /* of the copies */
	struct snapshot_file *files;
	size_t count;
};

/*
 * Keeps the path as it is now: a copy when it is a regular file, or that it does not exist;
 * anything else is left alone. A path that is kept already stays as it was. 0, or -errno after a
 * message on standard error.
 */
QUIRE_MUST_CHECK int snapshot_add(struct snapshot *snapshot, const char *path);
/*
 * Makes every kept path what it was. A file that is still there gets its contents back, under all
 * its names; one that is gone is made anew, and paths that were names of one file are so again.
 * Goes on after a failure. 0, or -errno of the last one after messages on standard error.
 */
QUIRE_MUST_CHECK int snapshot_restore(const struct snapshot *snapshot);
/* Removes the copies. */
void snapshot_release(struct snapshot *snapshot);

#endif
