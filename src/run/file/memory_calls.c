/* SPDX-License-Identifier: MIT */
/*
 * The memory calls of a program: all are the core's. Here stands what the kernel does before and
 * after: arguments of system calls, descriptors, vectors in the program's memory.
 */
#include "run/file/memory_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/call/call.h"
#include "core/file/address_space.h"
#include "run/file/file_calls.h"
#include "run/file/mapped_file.h"
#include "run/syscall/rows.h"
#include "run/user/user.h"

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif

#define MEMFD_NAME_MAX 249
#define ANON_VMA_NAME_MAX 80
/* Pages that mincore answers at a time. */
#define MINCORE_BATCH 4096

static bool is_shared(const struct mmap_request *request)
{
	const uint32_t type = request->flags & QUIRE_MAP_TYPE;

	return type == QUIRE_MAP_SHARED || type == QUIRE_MAP_SHARED_VALIDATE;
}

/*
 * A memfd that may be sealed: while its lock is held nobody adds seals (mapped_add_seals()). With a
 * seal against writing, a shared mapping cannot write, now and later.
 */
static int64_t mmap_sealable(struct mm_struct *mm, struct mmap_request *request, int fd)
{
	struct file *sealed = NULL;
	struct inode *inode = request->file->f_inode;
	int64_t address;
	int seals;

	mutex_lock(&inode->i_rwsem);
	seals = fcntl(fd, F_GET_SEALS);
	if (seals >= 0 && (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) && is_shared(request)) {
		sealed = file_share(inode, FMODE_READ, request->file->f_path);
		request->file = sealed;
	}
	if (sealed && (request->prot & QUIRE_PROT_WRITE))
		address = -EPERM;
	else
		address = request->file ? do_mmap(mm, request) : -ENOMEM;
	mutex_unlock(&inode->i_rwsem);
	if (sealed)
		fput(sealed);
	return address;
}

static int64_t mmap_file(struct thread *thread, struct mmap_request *request, int fd)
{
	struct statvfs mount;
	struct file *file;
	int64_t address;
	int seals;
	int error;

	if (check_fd(thread, fd) || fcntl(fd, F_GETFL) < 0)
		return -EBADF;
	if (!request->length)
		return -EINVAL;
	if ((request->prot & QUIRE_PROT_EXEC) && fstatvfs(fd, &mount) == 0 &&
	    (mount.f_flag & ST_NOEXEC))
		return -EPERM;
	error = mapped_file_get(thread->process->run, fd, &file);
	if (error)
		return error;
	request->file = file;
	seals = fcntl(fd, F_GET_SEALS);
	if (seals >= 0 && (!(seals & F_SEAL_SEAL) || (seals & ~F_SEAL_SEAL)))
		address = mmap_sealable(thread_mm(thread), request, fd);
	else
		address = do_mmap(thread_mm(thread), request);
	fput(file);
	return address;
}

static int64_t sys_mmap(struct thread *thread, const uint64_t args[6])
{
	struct mmap_request request = {
		.address = args[0],
		.length = args[1],
		.prot = (uint32_t)args[2],
		.flags = (uint32_t)args[3],
		.offset = (int64_t)args[5],
	};

	if (PAGE_OFFSET(args[5]))
		return -EINVAL;
	if (!(request.flags & QUIRE_MAP_ANONYMOUS))
		return mmap_file(thread, &request, (int)args[4]);
	return do_mmap(thread_mm(thread), &request);
}

static int64_t sys_munmap(struct thread *thread, const uint64_t args[6])
{
	return do_munmap(thread_mm(thread), args[0], args[1]);
}

static int64_t sys_mprotect(struct thread *thread, const uint64_t args[6])
{
	return do_mprotect(thread_mm(thread), args[0], args[1], (uint32_t)args[2]);
}

/* There are no protection keys. */
static int64_t sys_pkey_mprotect(struct thread *thread, const uint64_t args[6])
{
	return (int)args[3] == -1 ? sys_mprotect(thread, args) : -EINVAL;
}

static int64_t sys_pkey_alloc(struct thread *thread, const uint64_t args[6])
{
	(void)thread;
	return args[0] || (args[1] & ~(uint64_t)3) ? -EINVAL : -ENOSPC;
}

static int64_t sys_mremap(struct thread *thread, const uint64_t args[6])
{
	return do_mremap(thread_mm(thread), args[0], args[1], args[2], (uint32_t)args[3], args[4]);
}

static int64_t sys_madvise(struct thread *thread, const uint64_t args[6])
{
	return do_madvise(thread_mm(thread), args[0], args[1], (int)args[2]);
}

/* Whether the descriptor stands for this process. */
static int64_t check_own_pidfd(struct thread *thread, int pidfd)
{
	char path[48], text[512];
	const char *field;
	ssize_t bytes;
	int fd;

	if (check_fd(thread, pidfd))
		return -EBADF;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -EBADF : -errno;
	bytes = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[bytes < 0 ? 0 : bytes] = 0;
	field = strstr(text, "\nPid:");
	if (!field)
		return -EBADF;
	return atoi(field + strlen("\nPid:")) == getpid() ? 0 : -EPERM;
}

static int64_t sys_process_madvise(struct thread *thread, const uint64_t args[6])
{
	struct mm_struct *mm = thread_mm(thread);
	struct iovec fast[USER_IOV_FAST], *vector;
	struct quire_range *parts;
	uint64_t total;
	int64_t result;

	if (args[4])
		return -EINVAL;
	result = import_iovec(mm, args[1], args[2], fast, &vector, &total);
	if (result)
		return result;
	result = check_own_pidfd(thread, (int)args[0]);
	parts = malloc((args[2] ? args[2] : 1) * sizeof(*parts));
	if (!result && !parts)
		result = -ENOMEM;
	for (uint64_t i = 0; !result && i < args[2]; i++)
		parts[i] = (struct quire_range){(uint64_t)(uintptr_t)vector[i].iov_base,
						vector[i].iov_len};
	if (!result)
		result = do_process_madvise(mm, parts, args[2], (int)args[3]);
	free(parts);
	release_iovec(fast, vector);
	return result;
}

static int64_t sys_msync(struct thread *thread, const uint64_t args[6])
{
	return do_msync(thread_mm(thread), args[0], args[1], (uint32_t)args[2]);
}

static int64_t sys_mlock(struct thread *thread, const uint64_t args[6])
{
	return do_mlock(thread_mm(thread), args[0], args[1], VM_LOCKED);
}

static int64_t sys_mlock2(struct thread *thread, const uint64_t args[6])
{
	if ((uint32_t)args[2] & ~(uint32_t)QUIRE_MLOCK_ONFAULT)
		return -EINVAL;
	return do_mlock(thread_mm(thread), args[0], args[1],
			VM_LOCKED | (args[2] & QUIRE_MLOCK_ONFAULT ? VM_LOCKONFAULT : 0));
}

static int64_t sys_munlock(struct thread *thread, const uint64_t args[6])
{
	return do_munlock(thread_mm(thread), args[0], args[1]);
}

static int64_t sys_mlockall(struct thread *thread, const uint64_t args[6])
{
	return do_mlockall(thread_mm(thread), (uint32_t)args[0]);
}

static int64_t sys_munlockall(struct thread *thread, const uint64_t args[6])
{
	(void)args;
	return do_munlockall(thread_mm(thread));
}

static bool in_user_space(const struct mm_struct *mm, uint64_t address, uint64_t bytes)
{
	return bytes <= mm->task_size && address <= mm->task_size - bytes;
}

static int64_t sys_mincore(struct thread *thread, const uint64_t args[6])
{
	struct mm_struct *mm = thread_mm(thread);
	const uint64_t pages = (args[1] >> PAGE_SHIFT) + (PAGE_OFFSET(args[1]) ? 1 : 0);
	unsigned char vector[MINCORE_BATCH];
	uint64_t done = 0;

	if (PAGE_OFFSET(args[0]))
		return -EINVAL;
	if (!in_user_space(mm, args[0], args[1]))
		return -ENOMEM;
	if (!in_user_space(mm, args[2], pages))
		return -EFAULT;
	while (done < pages) {
		const uint64_t batch = min_u64(pages - done, MINCORE_BATCH);
		int error =
			do_mincore(mm, args[0] + (done << PAGE_SHIFT), batch << PAGE_SHIFT, vector);

		if (error)
			return error;
		if (copy_to_user(mm, args[2] + done, vector, batch))
			return -EFAULT;
		done += batch;
	}
	return 0;
}

static int64_t sys_brk(struct thread *thread, const uint64_t args[6])
{
	return (int64_t)do_brk(thread_mm(thread), args[0]);
}

static int64_t sys_mseal(struct thread *thread, const uint64_t args[6])
{
	return do_mseal(thread_mm(thread), args[0], args[1], args[2]);
}

static int64_t sys_remap_file_pages(struct thread *thread, const uint64_t args[6])
{
	return do_remap_file_pages(thread_mm(thread), args[0], args[1], (uint32_t)args[2], args[3],
				   (uint32_t)args[4]);
}

/* The object is the host's, so that it can be read, written, sealed and passed on; when it is
 * mapped, it is the store of a file in Quire's cache as any other. */
static int64_t sys_memfd_create(struct thread *thread, const uint64_t args[6])
{
	char name[MEMFD_NAME_MAX + 1];
	int64_t length = strncpy_from_user(thread_mm(thread), name, args[0], sizeof(name));
	int fd;

	if (length < 0)
		return length == -ENAMETOOLONG ? -EINVAL : length;
	fd = memfd_create(name, (unsigned int)args[1]);
	return check_new_fd(thread, fd < 0 ? -errno : fd);
}

static int64_t set_vma_name(struct thread *thread, const uint64_t args[6])
{
	struct mm_struct *mm = thread_mm(thread);
	char name[ANON_VMA_NAME_MAX];
	int64_t length;

	if (args[1] != PR_SET_VMA_ANON_NAME)
		return -EINVAL;
	if (!args[4])
		return do_set_anon_vma_name(mm, args[2], args[3], NULL);
	length = strncpy_from_user(mm, name, args[4], sizeof(name));
	if (length < 0)
		return length == -ENAMETOOLONG ? -EINVAL : length;
	return do_set_anon_vma_name(mm, args[2], args[3], name);
}

bool memory_prctl(struct thread *thread, const uint64_t args[6], int64_t *result)
{
	struct mm_struct *mm = thread_mm(thread);

	switch ((int)args[0]) {
	case PR_SET_VMA:
		*result = set_vma_name(thread, args);
		return true;
	case PR_SET_MDWE:
		*result = args[2] || args[3] || args[4] ? -EINVAL : do_set_mdwe(mm, args[1]);
		return true;
	case PR_GET_MDWE:
		*result = args[1] || args[2] || args[3] || args[4] ? -EINVAL : (int)do_get_mdwe(mm);
		return true;
	case PR_SET_MM:
		/* For those who restore processes; as without CAP_SYS_RESOURCE. */
		*result = -EPERM;
		return true;
	default:
		return false;
	}
}

static const struct syscall_row rows[] = {
	ROW_OWN(mmap, HOW_QUIRE, 0, NULL, A_ADDRESS(addr), A_LONG(length), A_INT(prot),
		A_INT(flags), A_FD(fd), A_LONG(offset)),
	ROW_OWN(munmap, HOW_QUIRE, 0, NULL, A_ADDRESS(addr), A_LONG(length)),
	ROW_OWN(mprotect, HOW_QUIRE, 0, NULL, A_ADDRESS(addr), A_LONG(length), A_INT(prot)),
	ROW_OWN(pkey_mprotect, HOW_QUIRE, 0, "no keys but -1", A_ADDRESS(addr), A_LONG(length),
		A_INT(prot), A_INT(pkey)),
	ROW_OWN(pkey_alloc, HOW_QUIRE, 0, "no keys: ENOSPC", A_INT(flags), A_LONG(access_rights)),
	ROW_REFUSED(pkey_free, EINVAL, "there are no keys"),
	ROW_OWN(mremap, HOW_QUIRE, 0, NULL, A_ADDRESS(old_address), A_LONG(old_size),
		A_LONG(new_size), A_INT(flags), A_ADDRESS(new_address)),
	ROW_OWN(madvise, HOW_QUIRE, 0, NULL, A_ADDRESS(addr), A_LONG(length), A_INT(advice)),
	ROW_OWN(process_madvise, HOW_QUIRE, 0, "of the process itself", A_FD(pidfd),
		A_ADDRESS(iovec), A_LONG(n), A_INT(advice), A_INT(flags)),
	ROW_OWN(msync, HOW_QUIRE, 0, NULL, A_ADDRESS(addr), A_LONG(length), A_INT(flags)),
	ROW_OWN(mlock, HOW_QUIRE, 0, NULL, A_ADDRESS(addr), A_LONG(length)),
	ROW_OWN(mlock2, HOW_QUIRE, 0, NULL, A_ADDRESS(addr), A_LONG(length), A_INT(flags)),
	ROW_OWN(munlock, HOW_QUIRE, 0, NULL, A_ADDRESS(addr), A_LONG(length)),
	ROW_OWN(mlockall, HOW_QUIRE, 0, NULL, A_INT(flags)),
	ROW_OWN(munlockall, HOW_QUIRE, 0, NULL, {NULL, ARG_NONE, 0, 0}),
	ROW_OWN(mincore, HOW_QUIRE, 0, NULL, A_ADDRESS(addr), A_LONG(length), A_ADDRESS(vec)),
	ROW_OWN(brk, HOW_QUIRE, 0, NULL, A_ADDRESS(addr)),
	ROW_OWN(mseal, HOW_QUIRE, 0, NULL, A_ADDRESS(addr), A_LONG(length), A_LONG(flags)),
	ROW_OWN(remap_file_pages, HOW_QUIRE, 0, NULL, A_ADDRESS(addr), A_LONG(size), A_INT(prot),
		A_LONG(pgoff), A_INT(flags)),
	ROW_OWN(memfd_create, HOW_QUIRE, 0, "an object of the host; mapped through Quire's cache",
		A_STRING(name, MEMFD_NAME_MAX + 1), A_INT(flags)),
	ROW_REFUSED(map_shadow_stack, ENOSYS, "no shadow stacks"),
	ROW_REFUSED(userfaultfd, ENOSYS, "faults are Quire's"),
	ROW_REFUSED(memfd_secret, ENOSYS, "as without CONFIG_SECRETMEM"),
};
SYSCALL_FAMILY(memory_calls, "Memory", rows);
