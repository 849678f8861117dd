/* SPDX-License-Identifier: MIT */
/*
 * The commands of the language: one row each, and the reading of their arguments.
 */
#ifndef QUIRE_TOOLS_SHELL_COMMAND_H
#define QUIRE_TOOLS_SHELL_COMMAND_H

#include "tools/shell/parse.h"
#include "tools/shell/shell.h"

/* What may stand at one place of a command. Each fills the members of struct shell_value that its
 * comment names. */
enum shell_argument {
	ARGUMENT_END,
	ARGUMENT_NEW_REGION,   /* word: a name to bind, not `heap` */
	ARGUMENT_NEW_FILE,     /* word: a name to bind, not `at` */
	ARGUMENT_NEW_PROCESS,  /* word */
	ARGUMENT_PROCESS,      /* process */
	ARGUMENT_FILE,         /* word, file */
	ARGUMENT_PATH,         /* word */
	ARGUMENT_NUMBER,       /* number */
	ARGUMENT_SIGNED,       /* delta */
	ARGUMENT_BYTE,         /* number, at most 255 */
	ARGUMENT_BYTES,        /* bytes, length */
	ARGUMENT_ADDRESS,      /* number */
	ARGUMENT_AT,           /* number: two words, `at ADDR` */
	ARGUMENT_PROT,         /* number: PROT_* */
	ARGUMENT_MAP_FLAGS,    /* number: MAP_* */
	ARGUMENT_MREMAP_FLAGS, /* number: MREMAP_* */
	ARGUMENT_MSYNC_FLAGS,  /* number: MS_* */
	ARGUMENT_ADVICE,       /* number: MADV_* */
	ARGUMENT_LIMIT,        /* number: RLIMIT_* */
	ARGUMENT_OPEN_MODE,    /* number: O_* */
	ARGUMENT_OPEN_OPTIONS, /* number: O_*, of any number of words */
	ARGUMENT_SHOW,         /* word: what to show; it says what follows */
	ARGUMENT_REST,         /* all words that are left: shell_call's `rest` */
	ARGUMENT_OPTIONAL = 64 /* added to one of the above */
};

#define SHELL_ARGUMENTS 8

struct shell_value {
	bool given;
	uint64_t number;
	int64_t delta;
	char *word;
	char *region; /* of an address whose region is not looked up yet */
	const char *bytes;
	size_t length;
	struct shell_file *file;
	struct shell_process *process;
};

/* One command being carried out. */
struct shell_call {
	struct shell *shell;
	const struct shell_command *command;
	struct shell_process *process;
	unsigned char kinds[SHELL_ARGUMENTS];
	struct shell_value values[SHELL_ARGUMENTS];
	const struct shell_token *rest;
	size_t rest_count;
	struct shell_reply *reply;
};

struct shell_command {
	const char *name;
	const char *usage;
	unsigned char arguments[SHELL_ARGUMENTS]; /* enum shell_argument */
	void (*run)(struct shell_call *call);
	const char *help;
	bool quire_only; /* needs a machine that is Quire: ENOSYS on linux */
};

/* Ends with a row without a name. */
extern const struct shell_command shell_commands[];

struct shell_show_topic {
	const char *name;
	unsigned char arguments[SHELL_ARGUMENTS];
};

/* Ends with a row without a name. */
extern const struct shell_show_topic shell_show_topics[];

const struct shell_command *shell_command_find(const char *name);

/*
 * Reads the words behind the command's name into call->values, as far as that needs no process. On
 * failure the reply becomes `error EINVAL` and explains.
 */
QUIRE_MUST_CHECK bool shell_arguments_read(struct shell_call *call,
					   const struct shell_token *tokens, size_t count);
/* Looks up the regions (EINVAL) and files (EBADF) of the acting process, and other processes
 * (ESRCH). */
QUIRE_MUST_CHECK bool shell_arguments_resolve(struct shell_call *call);

/* Makes the reply of a machine's result; `ok` when it succeeded. */
void shell_reply_result(struct shell_reply *reply, const struct shell_result *result);
/* The same for a result whose value is printed. */
void shell_reply_value(struct shell_reply *reply, const struct shell_result *result);

/* command_memory.c */
void shell_run_mmap(struct shell_call *call);
void shell_run_munmap(struct shell_call *call);
void shell_run_mprotect(struct shell_call *call);
void shell_run_mremap(struct shell_call *call);
void shell_run_madvise(struct shell_call *call);
void shell_run_msync(struct shell_call *call);
void shell_run_mseal(struct shell_call *call);
void shell_run_remap_file_pages(struct shell_call *call);
void shell_run_mdwe(struct shell_call *call);
void shell_run_mlock(struct shell_call *call);
void shell_run_munlock(struct shell_call *call);
void shell_run_mincore(struct shell_call *call);
void shell_run_brk(struct shell_call *call);
void shell_run_load(struct shell_call *call);
void shell_run_store(struct shell_call *call);
void shell_run_fill(struct shell_call *call);
void shell_run_sum(struct shell_call *call);
void shell_run_maps(struct shell_call *call);

/* command_file.c */
void shell_run_open(struct shell_call *call);
void shell_run_close(struct shell_call *call);
void shell_run_memfd(struct shell_call *call);
void shell_run_unlink(struct shell_call *call);
void shell_run_pread(struct shell_call *call);
void shell_run_pwrite(struct shell_call *call);
void shell_run_read(struct shell_call *call);
void shell_run_write(struct shell_call *call);
void shell_run_size(struct shell_call *call);
void shell_run_ftruncate(struct shell_call *call);
void shell_run_punch(struct shell_call *call);
void shell_run_fsync(struct shell_call *call);

/* command_process.c */
void shell_run_fork(struct shell_call *call);
void shell_run_exec(struct shell_call *call);
void shell_run_exit(struct shell_call *call);
void shell_run_limit(struct shell_call *call);
void shell_run_help(struct shell_call *call);
void shell_run_show(struct shell_call *call);
void shell_run_reclaim(struct shell_call *call);
void shell_run_writeback(struct shell_call *call);
void shell_run_budget(struct shell_call *call);
void shell_run_check(struct shell_call *call);

#endif
