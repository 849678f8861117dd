/* SPDX-License-Identifier: MIT */
/*
 * What threads remember of descriptors (run/file/open_file.h).
 */
#include "run/file/open_file.h"

#include <errno.h>
#include <fcntl.h>

#include "run/proc/proc.h"
#include "run/syscall/table.h"

void open_files_close_begin(struct process *process)
{
	atomic_fetch_add_explicit(&process->open_files.closing, 1, memory_order_acq_rel);
}

void open_files_close_end(struct process *process)
{
	atomic_fetch_add_explicit(&process->open_files.generation, 1, memory_order_release);
	atomic_fetch_sub_explicit(&process->open_files.closing, 1, memory_order_release);
}

void open_files_given(struct process *process)
{
	atomic_fetch_add_explicit(&process->open_files.generation, 1, memory_order_release);
}

/*
 * What is looked at now is valid for this value; 0: for the present call alone. Whoever uses a
 * number that another thread has closed finds that thread at it, or its increment.
 */
static uint64_t present_generation(struct process *process)
{
	const struct open_file_changes *changes = &process->open_files;

	if (atomic_load_explicit(&changes->closing, memory_order_acquire))
		return 0;
	return atomic_load_explicit(&changes->generation, memory_order_acquire) + 1;
}

static int look(struct thread *thread, struct open_file *file)
{
	const int flags = check_fd(thread, file->fd) ? -1 : fcntl(file->fd, F_GETFL);

	if (flags < 0 || (flags & O_PATH) || fstat(file->fd, &file->status) != 0)
		return -EBADF;
	file->special = proc_is_special(thread, file->fd);
	return 0;
}

int open_file_get(struct thread *thread, int fd, const struct open_file **result)
{
	struct open_file *file = &thread->open_files[(uint32_t)fd % OPEN_FILES_REMEMBERED];
	const uint64_t generation = present_generation(thread->process);
	int error;

	*result = file;
	if (generation && file->valid_for == generation && file->fd == fd)
		return 0;
	file->valid_for = 0;
	file->fd = fd;
	error = look(thread, file);
	if (!error && !(S_ISREG(file->status.st_mode) && !file->status.st_size))
		file->valid_for = generation;
	return error;
}
