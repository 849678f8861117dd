/* SPDX-License-Identifier: MIT */
/*
 * What carries out the shell's commands: `linux`, real system calls in real processes, or `soft`,
 * Quire's own core on the software machine. The shell keeps names, regions and files; a machine
 * keeps processes ("tasks") with their address spaces and file descriptors.
 *
 * A machine serves one thread. Addresses, protections, flags, advices and limits are Linux's
 * numbers.
 */
#ifndef QUIRE_TOOLS_SHELL_MACHINE_H
#define QUIRE_TOOLS_SHELL_MACHINE_H

#include "base/types.h"
#include "tools/shell/print.h"

struct shell_machine;
struct shell_task;

/* How one call ended: by a signal, by an error, or with a value. */
struct shell_result {
	uint64_t value;
	int error;  /* positive errno, or 0 */
	int signal; /* signal number, or 0 */
	int code;   /* si_code that came with the signal */
};

struct shell_machine_options {
	uint64_t memory;       /* bytes of frames */
	const char *swap_path; /* file of the swap area, or NULL */
	uint64_t swap_size;    /* its size in bytes */
	uint64_t seed;         /* of everything random; 0: nothing is */
};

struct shell_mmap {
	uint64_t address;
	uint64_t length;
	uint64_t prot;
	uint64_t flags;
	int fd; /* -1: none */
	uint64_t offset;
};

struct shell_mremap {
	uint64_t old_address;
	uint64_t old_length;
	uint64_t new_length;
	uint64_t flags;
	uint64_t new_address;
};

struct shell_vma {
	uint64_t start;
	uint64_t end;
	char perms[5];
	uint64_t offset; /* bytes into the file; 0 when anonymous */
	const char *name;
};

typedef void shell_vma_visitor(void *context, const struct shell_vma *vma);

/* What `show` is to show; the members that it does not name are 0. */
struct shell_show {
	const char *what;
	uint64_t address;
	uint64_t length;
	int fd;
};

/* Looking into a machine that is Quire. Each fills the reply: `ok` with a view, or an error. */
struct shell_inspect_ops {
	void (*show)(struct shell_task *task, const struct shell_show *show,
		     struct shell_reply *reply);
	void (*reclaim)(struct shell_machine *machine, uint64_t bytes, struct shell_reply *reply);
	void (*writeback)(struct shell_machine *machine, struct shell_reply *reply);
	/* `task` NULL: the budget of the whole instance. */
	void (*budget)(struct shell_machine *machine, struct shell_task *task, uint64_t bytes,
		       struct shell_reply *reply);
	void (*check)(struct shell_machine *machine, struct shell_reply *reply);
};

struct shell_machine_ops {
	const char *name;
	const struct shell_inspect_ops *inspect; /* NULL: this machine is not Quire */

	/*
	 * Makes the machine and its first task. 0, or -errno after a message on standard error that
	 * says what is missing.
	 */
	int (*start)(const struct shell_machine_options *options, struct shell_machine **machine,
		     struct shell_task **first);
	/* Ends every task that is left, then the machine. 0, or -errno after a message: data was
	 * lost. */
	int (*stop)(struct shell_machine *machine);

	/* `name` is for messages. */
	struct shell_result (*fork)(struct shell_task *task, const char *name,
				    struct shell_task **child);
	/* argv ends with NULL. */
	struct shell_result (*exec)(struct shell_task *task, const char *path, char *const *argv);
	/* The task is gone afterwards. */
	void (*exit)(struct shell_task *task);
	/* False after a task died without being told to: the shell then calls exit() for it. */
	bool (*alive)(struct shell_task *task);

	/* Where the heap begins: page aligned, never changes but by exec. */
	uint64_t (*heap_start)(struct shell_task *task);
	/* Value: the new break. ENOMEM when it could not move. */
	struct shell_result (*brk)(struct shell_task *task, int64_t delta);

	/* Value: the address. */
	struct shell_result (*mmap)(struct shell_task *task, const struct shell_mmap *request);
	struct shell_result (*mremap)(struct shell_task *task, const struct shell_mremap *request);
	struct shell_result (*munmap)(struct shell_task *task, uint64_t address, uint64_t length);
	struct shell_result (*mprotect)(struct shell_task *task, uint64_t address, uint64_t length,
					uint64_t prot);
	struct shell_result (*madvise)(struct shell_task *task, uint64_t address, uint64_t length,
				       uint64_t advice);
	struct shell_result (*msync)(struct shell_task *task, uint64_t address, uint64_t length,
				     uint64_t flags);
	struct shell_result (*mseal)(struct shell_task *task, uint64_t address, uint64_t length);
	/* `offset` in bytes, a whole number of pages. */
	struct shell_result (*remap_file_pages)(struct shell_task *task, uint64_t address,
						uint64_t length, uint64_t offset);
	/* `bits` are PR_MDWE_*. */
	struct shell_result (*mdwe)(struct shell_task *task, uint64_t bits);
	struct shell_result (*mlock)(struct shell_task *task, uint64_t address, uint64_t length);
	struct shell_result (*munlock)(struct shell_task *task, uint64_t address, uint64_t length);
	/* One byte a page into `vector`, bit 0 says resident; at most SHELL_MINCORE_PAGES pages. */
	struct shell_result (*mincore)(struct shell_task *task, uint64_t address, uint64_t length,
				       unsigned char *vector);

	/* Value: the file descriptor. `flags` are O_*; a new file has mode 0666 less the umask. */
	struct shell_result (*open)(struct shell_task *task, const char *path, uint64_t flags);
	struct shell_result (*memfd)(struct shell_task *task, const char *name);
	struct shell_result (*close)(struct shell_task *task, int fd);
	struct shell_result (*unlink)(struct shell_task *task, const char *path);
	/* Value: the number of bytes; `length` is at most SHELL_TRANSFER_SIZE. */
	struct shell_result (*pread)(struct shell_task *task, int fd, void *buffer, size_t length,
				     uint64_t offset);
	struct shell_result (*pwrite)(struct shell_task *task, int fd, const void *buffer,
				      size_t length, uint64_t offset);
	/* The same with a buffer in the task's own memory, of any length. */
	struct shell_result (*read)(struct shell_task *task, int fd, uint64_t address,
				    uint64_t length, uint64_t offset);
	struct shell_result (*write)(struct shell_task *task, int fd, uint64_t address,
				     uint64_t length, uint64_t offset);
	/* Value: bytes. */
	struct shell_result (*size)(struct shell_task *task, int fd);
	struct shell_result (*ftruncate)(struct shell_task *task, int fd, uint64_t length);
	struct shell_result (*punch)(struct shell_task *task, int fd, uint64_t offset,
				     uint64_t length);
	struct shell_result (*fsync)(struct shell_task *task, int fd);

	/*
	 * The CPU's accesses, in ascending order; `length` is at most SHELL_TRANSFER_SIZE. A fault
	 * ends them, and what came before it stays done.
	 */
	struct shell_result (*load)(struct shell_task *task, uint64_t address, void *buffer,
				    size_t length);
	struct shell_result (*store)(struct shell_task *task, uint64_t address, const void *buffer,
				     size_t length);
	struct shell_result (*fill)(struct shell_task *task, uint64_t address, unsigned char byte,
				    uint64_t length);

	/* `resource` is RLIMIT_*; the soft limit becomes `limit`. */
	struct shell_result (*limit)(struct shell_task *task, int resource, uint64_t limit);
	/* Visits every VMA in address order; the names live as long as the visit. 0 or -errno. */
	int (*maps)(struct shell_task *task, shell_vma_visitor *visit, void *context);
};

#define SHELL_TRANSFER_SIZE ((size_t)64 << 10)
#define SHELL_MINCORE_PAGES ((size_t)64 << 10)

extern const struct shell_machine_ops shell_kvm_machine;
extern const struct shell_machine_ops shell_linux_machine;
extern const struct shell_machine_ops shell_soft_machine;

#endif
