/* SPDX-License-Identifier: MIT */
/*
 * The table of system calls: one row for each, with its number, name, kinds of arguments and who
 * serves it. The dispatcher, the report, the trace and the page docs/syscalls.md are all made from
 * it.
 *
 * A row without a function is passed to the host as its arguments say (host_call.c): what the
 * program passes by pointer is copied in before and out after, EFAULT where the program has no
 * memory there.
 */
#ifndef QUIRE_RUN_SYSCALL_TABLE_H
#define QUIRE_RUN_SYSCALL_TABLE_H

#include "run/task/thread.h"

/* What an argument is. `size` and `of` are explained beside each. */
enum argument_kind {
	ARG_NONE,        /* the call has no such argument */
	ARG_LONG,        /* a value */
	ARG_INT,         /* a 32-bit value; the upper half is ignored */
	ARG_FD,          /* a descriptor; Quire's own ones answer EBADF */
	ARG_DIRFD,       /* the same, or AT_FDCWD */
	ARG_ADDRESS,     /* an address that the host never sees (memory calls) */
	ARG_PATH,        /* a string of at most PATH_MAX */
	ARG_FILE_PATH,   /* the same, of a link to be followed: the program's own executable takes
			    Quire's place (proc_path()); with `of`, unless that argument has
			    AT_SYMLINK_NOFOLLOW */
	ARG_STRING,      /* a string of at most `size` bytes */
	ARG_IN,          /* `size` bytes read from the program; NULL is passed on */
	ARG_OUT,         /* `size` bytes written to the program on success; NULL is passed on */
	ARG_INOUT,       /* both */
	ARG_IN_SIZED,    /* a structure whose first 32 bits say how long it is, at least `size` */
	ARG_IN_BYTES,    /* as many bytes as argument `of` says, times `size` */
	ARG_OUT_BYTES,   /* room for so many; what is copied out is the result of the call times
			    `size` */
	ARG_OUT_ALL,     /* room for so many, copied out whole */
	ARG_INOUT_BYTES, /* as ARG_IN_BYTES and ARG_OUT_ALL */
};

struct syscall_argument {
	const char *name; /* as in the manual page */
	uint8_t kind;     /* enum argument_kind */
	uint8_t of;       /* index of the argument with the count */
	uint16_t size;
};

enum syscall_how {
	HOW_HOST,    /* passed to the host */
	HOW_QUIRE,   /* served by Quire's memory system */
	HOW_FILE,    /* passed to the host, kept in agreement with mapped files */
	HOW_TASK,    /* threads, signals, process: Quire and the host together */
	HOW_REFUSED, /* known, and answers an error */
};

/* What a function answers instead of EINTR when its call must not be started again, whatever its
 * row says. No errno has this number. */
#define EINTR_FINAL 4095

typedef int64_t syscall_function(struct thread *thread, const uint64_t args[6]);

#define SYSCALL_RESTART 1u /* an interrupted call is started again after SA_RESTART */
#define SYSCALL_BLOCKS 2u  /* may wait: goes to the host interruptibly */
#define SYSCALL_NOHAND 4u  /* started again only when no handler ran (pause-like) */
#define SYSCALL_NEW_FD 8u  /* answers a new descriptor, to be seen by check_new_fd() */

struct syscall_row {
	int32_t number;
	uint8_t how; /* enum syscall_how */
	uint8_t flags;
	int16_t error; /* HOW_REFUSED: the answer, as errno */
	const char *name;
	syscall_function *function; /* NULL: by its arguments */
	struct syscall_argument args[6];
	const char *note; /* for the documentation: what is special; NULL: nothing */
};

/* A family of calls, one source file each. */
struct syscall_family {
	const char *title;
	const struct syscall_row *rows;
	uint32_t nr_rows;
};

#define SYSCALL_NUMBERS 512
extern const struct syscall_family *const syscall_families[];
extern const uint32_t nr_syscall_families;
/* NULL: unknown. */
const struct syscall_row *syscall_row(int64_t number);

/* The call in the CPU's registers: does it, stores the result in rax, delivers signals. */
void syscall_dispatch(struct thread *thread);
/* The call itself, counted and traced: a value or -errno. Also for the call server. */
int64_t syscall_serve(struct thread *thread, int64_t number, const uint64_t args[6]);
/* A row by its arguments alone: a value or -errno. */
int64_t host_call(struct thread *thread, const struct syscall_row *row, const uint64_t args[6]);
/* The same; when it succeeded, `look` sees the host's side of the arguments before what it has
 * there goes to the program. */
typedef void host_call_look(struct thread *thread, const uint64_t args[6]);
int64_t host_call_look_at(struct thread *thread, const struct syscall_row *row,
			  const uint64_t args[6], host_call_look *look);
/* A row's host call with arguments that were translated already, interruptible if the row says so.
 */
int64_t host_call_raw(struct thread *thread, long number, const uint64_t args[6], bool blocks);

/* Descriptors: 0, or -EBADF for one of Quire's own. */
int check_fd(const struct thread *thread, int fd);
/* A descriptor that the host has just made: itself, or -EMFILE (closed again) when it lies beyond
 * the program's limit; an error is passed through. */
int64_t check_new_fd(struct thread *thread, int64_t fd);

#endif
