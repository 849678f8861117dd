/* SPDX-License-Identifier: MIT */
/*
 * Tables between the words of the shell's language and the constants of Linux.
 */
#include "tools/shell/symbols.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mman.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

/* Newer than the headers of some systems on which the shell is built. */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif

const struct shell_symbol shell_map_flags[] = {
	{"shared", MAP_SHARED},
	{"private", MAP_PRIVATE},
	{"droppable", MAP_DROPPABLE},
	{"anon", MAP_ANONYMOUS},
	{"fixed", MAP_FIXED},
	{"noreplace", MAP_FIXED_NOREPLACE},
	{"populate", MAP_POPULATE},
	{"locked", MAP_LOCKED},
	{"noreserve", MAP_NORESERVE},
	{"growsdown", MAP_GROWSDOWN},
	{"stack", MAP_STACK},
	{"32bit", MAP_32BIT},
	{NULL, 0},
};

const struct shell_symbol shell_mremap_flags[] = {
	{"maymove", MREMAP_MAYMOVE},
	{"fixed", MREMAP_FIXED},
	{"dontunmap", MREMAP_DONTUNMAP},
	{NULL, 0},
};

const struct shell_symbol shell_msync_flags[] = {
	{"async", MS_ASYNC},
	{"invalidate", MS_INVALIDATE},
	{"sync", MS_SYNC},
	{NULL, 0},
};

const struct shell_symbol shell_advices[] = {
	{"normal", MADV_NORMAL},
	{"random", MADV_RANDOM},
	{"sequential", MADV_SEQUENTIAL},
	{"willneed", MADV_WILLNEED},
	{"dontneed", MADV_DONTNEED},
	{"free", MADV_FREE},
	{"remove", MADV_REMOVE},
	{"dontfork", MADV_DONTFORK},
	{"dofork", MADV_DOFORK},
	{"mergeable", MADV_MERGEABLE},
	{"unmergeable", MADV_UNMERGEABLE},
	{"hugepage", MADV_HUGEPAGE},
	{"nohugepage", MADV_NOHUGEPAGE},
	{"dontdump", MADV_DONTDUMP},
	{"dodump", MADV_DODUMP},
	{"wipeonfork", MADV_WIPEONFORK},
	{"keeponfork", MADV_KEEPONFORK},
	{"cold", MADV_COLD},
	{"pageout", MADV_PAGEOUT},
	{"populate_read", MADV_POPULATE_READ},
	{"populate_write", MADV_POPULATE_WRITE},
	{"dontneed_locked", MADV_DONTNEED_LOCKED},
	{"collapse", MADV_COLLAPSE},
	{"guard_install", MADV_GUARD_INSTALL},
	{"guard_remove", MADV_GUARD_REMOVE},
	{NULL, 0},
};

const struct shell_symbol shell_limits[] = {
	{"as", RLIMIT_AS},
	{"data", RLIMIT_DATA},
	{"stack", RLIMIT_STACK},
	{"memlock", RLIMIT_MEMLOCK},
	{NULL, 0},
};

const struct shell_symbol shell_open_modes[] = {
	{"r", O_RDONLY},
	{"w", O_WRONLY},
	{"rw", O_RDWR},
	{NULL, 0},
};

const struct shell_symbol shell_open_options[] = {
	{"create", O_CREAT},
	{"trunc", O_TRUNC},
	{NULL, 0},
};

static const struct shell_symbol *find(const struct shell_symbol *table, const char *name,
				       size_t length)
{
	for (; table->name; table++)
		if (strlen(table->name) == length && memcmp(table->name, name, length) == 0)
			return table;
	return NULL;
}

const struct shell_symbol *shell_symbol_find(const struct shell_symbol *table, const char *name)
{
	return find(table, name, strlen(name));
}

bool shell_symbol_list(const struct shell_symbol *table, const char *text, uint64_t *flags)
{
	*flags = 0;
	if (strcmp(text, "-") == 0)
		return true;
	for (;;) {
		size_t length = strcspn(text, ",");
		const struct shell_symbol *symbol = find(table, text, length);

		if (!symbol || (*flags & symbol->value))
			return false;
		*flags |= symbol->value;
		text += length;
		if (*text == '\0')
			return true;
		text++;
	}
}

const char *shell_errno_name(int error, char buffer[SHELL_NAME_SIZE])
{
	const char *name = strerrorname_np(error);

	if (name)
		return name;
	snprintf(buffer, SHELL_NAME_SIZE, "E%d", error);
	return buffer;
}

const char *shell_signal_name(int signal, char buffer[SHELL_NAME_SIZE])
{
	const char *name = sigabbrev_np(signal);

	if (name)
		snprintf(buffer, SHELL_NAME_SIZE, "SIG%s", name);
	else
		snprintf(buffer, SHELL_NAME_SIZE, "SIG%d", signal);
	return buffer;
}

const char *shell_code_name(int signal, int code, char buffer[SHELL_NAME_SIZE])
{
	if (code == SI_KERNEL)
		return "SI_KERNEL";
	if (code == SI_USER)
		return "SI_USER";
	if (signal == SIGSEGV) {
		switch (code) {
		case SEGV_MAPERR:
			return "SEGV_MAPERR";
		case SEGV_ACCERR:
			return "SEGV_ACCERR";
		case SEGV_PKUERR:
			return "SEGV_PKUERR";
		}
	}
	if (signal == SIGBUS) {
		switch (code) {
		case BUS_ADRALN:
			return "BUS_ADRALN";
		case BUS_ADRERR:
			return "BUS_ADRERR";
		case BUS_OBJERR:
			return "BUS_OBJERR";
		case BUS_MCEERR_AR:
			return "BUS_MCEERR_AR";
		}
	}
	snprintf(buffer, SHELL_NAME_SIZE, "%d", code);
	return buffer;
}
