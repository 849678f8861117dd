/* SPDX-License-Identifier: MIT */
/*
 * The linux machine: every command is the real system call, made by a real process
 * (linux_process.c). It is the oracle that the others are compared with. The kvm machine is the
 * same program with its memory in Quire, under `quire run`.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tools/shell/linux_task.h"
#include "tools/shell/memory.h"

#ifndef SYS_mseal
#define SYS_mseal 462
#endif
#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#endif

_Static_assert(SHELL_TRANSFER_SIZE <= LINUX_BUFFER_SIZE, "a transfer fits in one message");
_Static_assert(SHELL_MINCORE_PAGES <= LINUX_BUFFER_SIZE, "a mincore vector fits in one message");

static int start(bool under_quire, struct shell_machine **machine, struct shell_task **first)
{
	int error;

	*machine = shell_allocate(sizeof(**machine));
	list_init(&(*machine)->tasks);
	(*machine)->under_quire = under_quire;
	error = linux_task_start(*machine, first);
	if (error)
		free(*machine);
	return error;
}

static int linux_start(const struct shell_machine_options *options, struct shell_machine **machine,
		       struct shell_task **first)
{
	(void)options;
	return start(false, machine, first);
}

static int kvm_start(const struct shell_machine_options *options, struct shell_machine **machine,
		     struct shell_task **first)
{
	(void)options;
	return start(true, machine, first);
}

static int linux_stop(struct shell_machine *machine)
{
	struct shell_task *task, *next;

	list_for_each_entry_safe (task, next, &machine->tasks, link)
		linux_task_end(task);
	free(machine);
	return 0;
}

static struct shell_result linux_fork(struct shell_task *task, const char *name,
				      struct shell_task **child)
{
	(void)name;
	return linux_task_fork(task, child);
}

static struct shell_result linux_exec(struct shell_task *task, const char *path, char *const *argv)
{
	(void)task;
	(void)path;
	(void)argv;
	return (struct shell_result){.error = ENOSYS};
}

static bool linux_alive(struct shell_task *task)
{
	return !task->dead;
}

static uint64_t linux_heap_start(struct shell_task *task)
{
	return task->heap_start;
}

static struct shell_result linux_brk(struct shell_task *task, int64_t delta)
{
	struct shell_result result = LINUX_CALL(task, SYS_brk, 0);
	uint64_t wanted = result.value + (uint64_t)delta;

	if (result.error)
		return result;
	/* The real heap begins lower (linux_task.c), and the call wraps as little as an address
	 * does. */
	if (wanted < task->heap_start || (delta < 0) != (wanted < result.value))
		return (struct shell_result){.error = ENOMEM};
	result = LINUX_CALL(task, SYS_brk, wanted);
	/* The system call answers a refusal with the break as it is. */
	if (!result.error && result.value != wanted)
		result.error = ENOMEM;
	return result;
}

static struct shell_result linux_mmap(struct shell_task *task, const struct shell_mmap *request)
{
	return LINUX_CALL(task, SYS_mmap, request->address, request->length, request->prot,
			  request->flags, (uint64_t)(int64_t)request->fd, request->offset);
}

static struct shell_result linux_mremap(struct shell_task *task, const struct shell_mremap *request)
{
	return LINUX_CALL(task, SYS_mremap, request->old_address, request->old_length,
			  request->new_length, request->flags, request->new_address);
}

static struct shell_result linux_munmap(struct shell_task *task, uint64_t address, uint64_t length)
{
	return LINUX_CALL(task, SYS_munmap, address, length);
}

static struct shell_result linux_mprotect(struct shell_task *task, uint64_t address,
					  uint64_t length, uint64_t prot)
{
	return LINUX_CALL(task, SYS_mprotect, address, length, prot);
}

static struct shell_result linux_madvise(struct shell_task *task, uint64_t address, uint64_t length,
					 uint64_t advice)
{
	return LINUX_CALL(task, SYS_madvise, address, length, advice);
}

static struct shell_result linux_mseal(struct shell_task *task, uint64_t address, uint64_t length)
{
	return LINUX_CALL(task, SYS_mseal, address, length, 0);
}

static struct shell_result linux_remap_file_pages(struct shell_task *task, uint64_t address,
						  uint64_t length, uint64_t offset)
{
	return LINUX_CALL(task, SYS_remap_file_pages, address, length, 0, offset / PAGE_SIZE, 0);
}

static struct shell_result linux_mdwe(struct shell_task *task, uint64_t bits)
{
	return LINUX_CALL(task, SYS_prctl, PR_SET_MDWE, bits, 0, 0, 0);
}

static struct shell_result linux_msync(struct shell_task *task, uint64_t address, uint64_t length,
				       uint64_t flags)
{
	return LINUX_CALL(task, SYS_msync, address, length, flags);
}

static struct shell_result linux_mlock(struct shell_task *task, uint64_t address, uint64_t length)
{
	return LINUX_CALL(task, SYS_mlock, address, length);
}

static struct shell_result linux_munlock(struct shell_task *task, uint64_t address, uint64_t length)
{
	return LINUX_CALL(task, SYS_munlock, address, length);
}

static struct shell_result linux_mincore(struct shell_task *task, uint64_t address, uint64_t length,
					 unsigned char *vector)
{
	size_t pages = (size_t)(length / PAGE_SIZE + (length % PAGE_SIZE != 0));
	struct linux_request request = {
		.operation = LINUX_SYSCALL,
		.buffer_arguments = 1u << 2,
		.answer = (uint32_t)pages,
		.number = SYS_mincore,
		.argument = {address, length},
	};

	return linux_task_ask(task, &request,
			      &(struct linux_payload){.in = vector, .in_length = pages});
}

static struct shell_result linux_open(struct shell_task *task, const char *path, uint64_t flags)
{
	struct linux_request request = {
		.number = SYS_openat,
		.argument = {(uint64_t)AT_FDCWD, 0, flags, 0666},
	};

	return linux_task_call_string(task, &request, 1, path);
}

static struct shell_result linux_memfd(struct shell_task *task, const char *name)
{
	struct linux_request request = {.number = SYS_memfd_create};

	return linux_task_call_string(task, &request, 0, name);
}

static struct shell_result linux_close(struct shell_task *task, int fd)
{
	return LINUX_CALL(task, SYS_close, (uint64_t)fd);
}

static struct shell_result linux_unlink(struct shell_task *task, const char *path)
{
	struct linux_request request = {
		.number = SYS_unlinkat,
		.argument = {(uint64_t)AT_FDCWD},
	};

	return linux_task_call_string(task, &request, 1, path);
}

static struct shell_result linux_pread(struct shell_task *task, int fd, void *buffer, size_t length,
				       uint64_t offset)
{
	struct linux_request request = {
		.operation = LINUX_SYSCALL,
		.buffer_arguments = 1u << 1,
		.answer = (uint32_t)length,
		.answer_value = 1,
		.number = SYS_pread64,
		.argument = {(uint64_t)fd, 0, length, offset},
	};

	return linux_task_ask(task, &request,
			      &(struct linux_payload){.in = buffer, .in_length = length});
}

static struct shell_result linux_pwrite(struct shell_task *task, int fd, const void *buffer,
					size_t length, uint64_t offset)
{
	struct linux_request request = {
		.operation = LINUX_SYSCALL,
		.buffer_arguments = 1u << 1,
		.number = SYS_pwrite64,
		.argument = {(uint64_t)fd, 0, length, offset},
	};

	return linux_task_ask(task, &request,
			      &(struct linux_payload){.out = buffer, .out_length = length});
}

static struct shell_result linux_read(struct shell_task *task, int fd, uint64_t address,
				      uint64_t length, uint64_t offset)
{
	return LINUX_CALL(task, SYS_pread64, (uint64_t)fd, address, length, offset);
}

static struct shell_result linux_write(struct shell_task *task, int fd, uint64_t address,
				       uint64_t length, uint64_t offset)
{
	return LINUX_CALL(task, SYS_pwrite64, (uint64_t)fd, address, length, offset);
}

static struct shell_result linux_size(struct shell_task *task, int fd)
{
	return LINUX_CALL(task, SYS_lseek, (uint64_t)fd, 0, SEEK_END);
}

static struct shell_result linux_ftruncate(struct shell_task *task, int fd, uint64_t length)
{
	return LINUX_CALL(task, SYS_ftruncate, (uint64_t)fd, length);
}

static struct shell_result linux_punch(struct shell_task *task, int fd, uint64_t offset,
				       uint64_t length)
{
	return LINUX_CALL(task, SYS_fallocate, (uint64_t)fd,
			  FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
}

static struct shell_result linux_fsync(struct shell_task *task, int fd)
{
	return LINUX_CALL(task, SYS_fsync, (uint64_t)fd);
}

static struct shell_result linux_load(struct shell_task *task, uint64_t address, void *buffer,
				      size_t length)
{
	struct linux_request request = {
		.operation = LINUX_LOAD,
		.answer = (uint32_t)length,
		.argument = {address, length},
	};

	return linux_task_ask(task, &request,
			      &(struct linux_payload){.in = buffer, .in_length = length});
}

static struct shell_result linux_store(struct shell_task *task, uint64_t address,
				       const void *buffer, size_t length)
{
	struct linux_request request = {.operation = LINUX_STORE, .argument = {address}};

	return linux_task_ask(task, &request,
			      &(struct linux_payload){.out = buffer, .out_length = length});
}

static struct shell_result linux_fill(struct shell_task *task, uint64_t address, unsigned char byte,
				      uint64_t length)
{
	struct linux_request request = {
		.operation = LINUX_FILL,
		.argument = {address, length, byte},
	};

	return linux_task_ask(task, &request, NULL);
}

static struct shell_result linux_limit(struct shell_task *task, int resource, uint64_t limit)
{
	uint64_t own = resource == RLIMIT_AS     ? task->own_as
		       : resource == RLIMIT_DATA ? task->own_data
						 : 0;
	struct rlimit rlimit;
	/* The process changes its own limit, with nothing but its buffer. */
	struct linux_request request = {
		.operation = LINUX_SYSCALL,
		.buffer_arguments = 1u << 3,
		.answer = sizeof(rlimit),
		.number = SYS_prlimit64,
		.argument = {0, (uint64_t)resource},
	};
	struct shell_result result;

	if (__builtin_add_overflow(limit, own, &limit))
		limit = RLIM_INFINITY;
	result =
		linux_task_ask(task, &request,
			       &(struct linux_payload){.in = &rlimit, .in_length = sizeof(rlimit)});
	if (result.error)
		return result;
	rlimit.rlim_cur = limit;
	request.buffer_arguments = 1u << 2;
	request.answer = 0;
	return linux_task_ask(
		task, &request,
		&(struct linux_payload){.out = &rlimit, .out_length = sizeof(rlimit)});
}

/* Gives the kernel's names the shell's form on their way to the shell. */
struct name_filter {
	shell_vma_visitor *visit;
	void *context;
};

static const char *shell_vma_name(const struct shell_vma *vma, char *text)
{
	static const char deleted[] = " (deleted)";
	size_t length = strlen(text);
	char *slash;

	if (length == 0 || strncmp(text, "[anon:", 6) == 0)
		return "anon";
	if (strcmp(text, "[heap]") == 0)
		return "heap";
	if (strcmp(text, "[stack]") == 0)
		return "stack";
	if (strncmp(text, "[anon_shmem:", 12) == 0)
		return "shared";
	if (length > sizeof(deleted) - 1 &&
	    strcmp(text + length - (sizeof(deleted) - 1), deleted) == 0)
		text[length - (sizeof(deleted) - 1)] = '\0';
	if (strcmp(text, "/dev/zero") == 0)
		return vma->perms[3] == 's' ? "shared" : "zero";
	slash = strrchr(text, '/');
	return slash ? slash + 1 : text;
}

static void rename_vma(void *context, const struct shell_vma *vma)
{
	const struct name_filter *filter = context;
	char *text = shell_copy_string(vma->name);
	struct shell_vma renamed = *vma;

	renamed.name = shell_vma_name(vma, text);
	filter->visit(filter->context, &renamed);
	free(text);
}

static int linux_maps(struct shell_task *task, shell_vma_visitor *visit, void *context)
{
	struct name_filter filter = {visit, context};

	return linux_task_maps(task, rename_vma, &filter);
}

/* The two machines differ in who serves the calls of their processes. */
#define LINUX_OPERATIONS \
	.stop = linux_stop, .fork = linux_fork, .exec = linux_exec, .exit = linux_task_end, \
	.alive = linux_alive, .heap_start = linux_heap_start, .brk = linux_brk, \
	.mmap = linux_mmap, .mremap = linux_mremap, .munmap = linux_munmap, \
	.mprotect = linux_mprotect, .madvise = linux_madvise, .msync = linux_msync, \
	.mseal = linux_mseal, .remap_file_pages = linux_remap_file_pages, .mdwe = linux_mdwe, \
	.mlock = linux_mlock, .munlock = linux_munlock, .mincore = linux_mincore, \
	.open = linux_open, .memfd = linux_memfd, .close = linux_close, .unlink = linux_unlink, \
	.pread = linux_pread, .pwrite = linux_pwrite, .read = linux_read, .write = linux_write, \
	.size = linux_size, .ftruncate = linux_ftruncate, .punch = linux_punch, \
	.fsync = linux_fsync, .load = linux_load, .store = linux_store, .fill = linux_fill, \
	.limit = linux_limit, .maps = linux_maps

const struct shell_machine_ops shell_linux_machine = {
	.name = "linux",
	.start = linux_start,
	LINUX_OPERATIONS,
};

const struct shell_machine_ops shell_kvm_machine = {
	.name = "kvm",
	.start = kvm_start,
	LINUX_OPERATIONS,
};
