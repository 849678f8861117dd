/* SPDX-License-Identifier: MIT */
/*
 * shmget, shmat, shmdt and shmctl (run/file/sysv_shm.h).
 *
 * A segment that was removed goes when nobody has it attached any more; that is looked at whenever
 * one of these calls is made, as its attachments may end by munmap(2) or exec as well.
 */
#include "run/file/sysv_shm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/shm.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "core/call/call.h"
#include "core/file/address_space.h"
#include "core/file/shmem.h"
#include "core/vma/vma.h"
#include "run/file/file_calls.h"
#include "run/syscall/rows.h"
#include "run/user/user.h"

#define SEGMENTS 4096
/* An id is the index of its segment and how often that place was used. */
#define ID_STEP 32768
#define SEGMENT_MAX (UINT64_MAX - ((uint64_t)1 << 24))

#ifndef SHM_STAT_ANY
#define SHM_STAT_ANY 15
#endif

struct segment {
	struct inode *inode; /* NULL: the place is free */
	struct shmid_ds status;
	uint32_t uses;
};

/* All under lock. */
struct sysv_shm {
	struct mutex lock;
	uint32_t highest; /* places used ever */
	struct segment segments[SEGMENTS];
};

int sysv_shm_create(struct run *run)
{
	run->shm = quire_zalloc(sizeof(*run->shm));
	if (!run->shm)
		return -ENOMEM;
	mutex_init(&run->shm->lock, LOCK_NONE);
	return 0;
}

/* As the kernel counts: areas that map it. */
static uint64_t attachments(struct inode *inode)
{
	struct address_space *mapping = &inode->i_data;
	struct interval_tree_node *node;
	uint64_t count = 0;

	read_lock(&mapping->i_mmap_lock);
	for (node = interval_tree_iter_first(&mapping->i_mmap, 0, UINT64_MAX); node;
	     node = interval_tree_iter_next(node, 0, UINT64_MAX))
		count++;
	read_unlock(&mapping->i_mmap_lock);
	return count;
}

static void free_segment(struct segment *segment)
{
	iput(segment->inode);
	segment->inode = NULL;
	segment->uses++;
}

void sysv_shm_destroy(struct run *run)
{
	if (!run->shm)
		return;
	for (uint32_t i = 0; i < run->shm->highest; i++)
		if (run->shm->segments[i].inode)
			free_segment(&run->shm->segments[i]);
	quire_free(run->shm);
}

static struct sysv_shm *shm_lock(struct thread *thread)
{
	struct sysv_shm *shm = thread->process->run->shm;

	mutex_lock(&shm->lock);
	for (uint32_t i = 0; i < shm->highest; i++) {
		struct segment *segment = &shm->segments[i];

		if (segment->inode && (segment->status.shm_perm.mode & SHM_DEST) &&
		    !attachments(segment->inode))
			free_segment(segment);
	}
	return shm;
}

static int id_of(const struct sysv_shm *shm, const struct segment *segment)
{
	return (int)((segment - shm->segments) + (segment->uses % (INT32_MAX / ID_STEP)) * ID_STEP);
}

static struct segment *find_id(struct sysv_shm *shm, int id)
{
	struct segment *segment = &shm->segments[(uint32_t)id % ID_STEP % SEGMENTS];

	return id >= 0 && segment->inode && id_of(shm, segment) == id ? segment : NULL;
}

static struct segment *find_key(struct sysv_shm *shm, key_t key)
{
	for (uint32_t i = 0; i < shm->highest; i++)
		if (shm->segments[i].inode && shm->segments[i].status.shm_perm.__key == key)
			return &shm->segments[i];
	return NULL;
}

static int64_t new_segment(struct thread *thread, struct sysv_shm *shm, key_t key, uint64_t size,
			   uint32_t flags)
{
	struct segment *segment = shm->segments;
	char name[32];
	int error;

	if (!size || size > SEGMENT_MAX)
		return -EINVAL;
	/* There is no pool of huge pages. */
	if (flags & SHM_HUGETLB)
		return -ENOMEM;
	while (segment < shm->segments + SEGMENTS && segment->inode)
		segment++;
	if (segment == shm->segments + SEGMENTS)
		return -ENOSPC;
	snprintf(name, sizeof(name), "SYSV%08x", (unsigned int)key);
	error = shmem_create(thread->process->run->quire, name, PAGE_ALIGN(size),
			     flags & SHM_NORESERVE, &segment->inode);
	if (error)
		return error;
	segment->status = (struct shmid_ds){
		.shm_perm = {.__key = key,
			     .uid = geteuid(),
			     .gid = getegid(),
			     .cuid = geteuid(),
			     .cgid = getegid(),
			     .mode = flags & 0777},
		.shm_segsz = size,
		.shm_ctime = time(NULL),
		.shm_cpid = getpid(),
	};
	segment->status.shm_perm.__seq = (unsigned short)segment->uses;
	if (shm->highest < (uint32_t)(segment - shm->segments) + 1)
		shm->highest = (uint32_t)(segment - shm->segments) + 1;
	return id_of(shm, segment);
}

static int64_t sys_shmget(struct thread *thread, const uint64_t args[6])
{
	const key_t key = (key_t)args[0];
	const uint32_t flags = (uint32_t)args[2];
	struct sysv_shm *shm = shm_lock(thread);
	struct segment *segment = key == IPC_PRIVATE ? NULL : find_key(shm, key);
	int64_t result;

	if (!segment && key != IPC_PRIVATE && !(flags & IPC_CREAT))
		result = -ENOENT;
	else if (!segment)
		result = new_segment(thread, shm, key, args[1], flags);
	else if ((flags & IPC_CREAT) && (flags & IPC_EXCL))
		result = -EEXIST;
	else if (args[1] > segment->status.shm_segsz)
		result = -EINVAL;
	else
		result = id_of(shm, segment);
	mutex_unlock(&shm->lock);
	return result;
}

/* A handle on the segment, and its object with a reference for as long as it is mapped. */
static int64_t open_segment(struct thread *thread, int id, uint32_t mode,
			    struct mmap_request *request)
{
	struct sysv_shm *shm = shm_lock(thread);
	struct segment *segment = find_id(shm, id);
	int64_t result = -EINVAL;
	char path[48];

	if (segment) {
		snprintf(path, sizeof(path), "/%s (deleted)", segment->inode->name);
		request->file = file_share(segment->inode, mode, path);
		request->length = PAGE_ALIGN(segment->status.shm_segsz);
		segment->status.shm_atime = time(NULL);
		segment->status.shm_lpid = getpid();
		result = request->file ? 0 : -ENOMEM;
	}
	mutex_unlock(&shm->lock);
	return result;
}

/* Where it is wanted: 0, or -EINVAL. */
static int attach_address(struct mmap_request *request, uint64_t address, uint32_t flags)
{
	if (address && PAGE_OFFSET(address)) {
		if (!(flags & SHM_RND))
			return -EINVAL;
		address = PAGE_ALIGN_DOWN(address);
		if (!address && (flags & SHM_REMAP))
			return -EINVAL;
	} else if (!address && (flags & SHM_REMAP)) {
		return -EINVAL;
	}
	request->address = address;
	if (address)
		request->flags |= flags & SHM_REMAP ? QUIRE_MAP_FIXED : QUIRE_MAP_FIXED_NOREPLACE;
	return 0;
}

static int64_t sys_shmat(struct thread *thread, const uint64_t args[6])
{
	const uint32_t flags = (uint32_t)args[2];
	const uint32_t mode = flags & SHM_RDONLY ? FMODE_READ : FMODE_READ | FMODE_WRITE;
	struct mmap_request request = {.flags = QUIRE_MAP_SHARED, .prot = QUIRE_PROT_READ};
	int64_t result = attach_address(&request, args[1], flags);

	if (!(flags & SHM_RDONLY))
		request.prot |= QUIRE_PROT_WRITE;
	if (flags & SHM_EXEC)
		request.prot |= QUIRE_PROT_EXEC;
	if (!result)
		result = open_segment(thread, (int)args[0], mode, &request);
	if (result)
		return result;
	result = do_mmap(thread_mm(thread), &request);
	fput(request.file);
	return result == -EEXIST ? -EINVAL : result;
}

static struct segment *find_object(struct sysv_shm *shm, const struct inode *inode)
{
	for (uint32_t i = 0; i < shm->highest; i++)
		if (shm->segments[i].inode == inode)
			return &shm->segments[i];
	return NULL;
}

/* The next area of the attachment that began at `start`, from `*at` on; *segment is found with the
 * first. */
static bool next_area(struct mm_struct *mm, struct sysv_shm *shm, uint64_t start, uint64_t *at,
		      uint64_t *end, struct segment **segment)
{
	struct vm_area_struct *vma;
	bool found = false;

	mmap_read_lock(mm);
	for (vma = find_vma(mm, *at); vma && !found; vma = vma_next(vma)) {
		struct segment *its = vma->vm_file ? find_object(shm, vma->vm_file->f_inode) : NULL;

		if (*segment && vma->vm_start - start >= (*segment)->status.shm_segsz)
			break;
		if (!its || (*segment && its != *segment) || vma->vm_start < start ||
		    vma->vm_pgoff != (vma->vm_start - start) >> PAGE_SHIFT)
			continue;
		*segment = its;
		*at = vma->vm_start;
		*end = vma->vm_end;
		found = true;
	}
	mmap_read_unlock(mm);
	return found;
}

static int64_t sys_shmdt(struct thread *thread, const uint64_t args[6])
{
	struct mm_struct *mm = thread_mm(thread);
	struct segment *segment = NULL;
	struct sysv_shm *shm;
	uint64_t at = args[0], end = 0;
	int64_t result = -EINVAL;

	if (PAGE_OFFSET(at))
		return -EINVAL;
	shm = shm_lock(thread);
	while (next_area(mm, shm, args[0], &at, &end, &segment)) {
		result = do_munmap(mm, at, end - at);
		if (result)
			break;
		at = end;
	}
	if (segment && !result) {
		segment->status.shm_dtime = time(NULL);
		segment->status.shm_lpid = getpid();
		if ((segment->status.shm_perm.mode & SHM_DEST) && !attachments(segment->inode))
			free_segment(segment);
	}
	mutex_unlock(&shm->lock);
	return result;
}

static int64_t copy_status(struct thread *thread, const struct segment *segment, uint64_t address)
{
	struct shmid_ds status = segment->status;

	status.shm_nattch = attachments(segment->inode);
	return copy_to_user(thread_mm(thread), address, &status, sizeof(status));
}

static int64_t set_status(struct thread *thread, struct segment *segment, uint64_t address)
{
	struct shmid_ds status;

	if (copy_from_user(thread_mm(thread), &status, address, sizeof(status)))
		return -EFAULT;
	segment->status.shm_perm.uid = status.shm_perm.uid;
	segment->status.shm_perm.gid = status.shm_perm.gid;
	segment->status.shm_perm.mode = (segment->status.shm_perm.mode & ~(unsigned int)0777) |
					(status.shm_perm.mode & 0777);
	segment->status.shm_ctime = time(NULL);
	return 0;
}

static void remove_segment(struct segment *segment)
{
	segment->status.shm_perm.mode |= SHM_DEST;
	segment->status.shm_perm.__key = IPC_PRIVATE;
	if (!attachments(segment->inode))
		free_segment(segment);
}

/* Commands on a segment. */
static int64_t control(struct thread *thread, struct segment *segment, int command,
		       uint64_t address)
{
	switch (command) {
	case IPC_STAT:
		return copy_status(thread, segment, address);
	case IPC_SET:
		return set_status(thread, segment, address);
	case IPC_RMID:
		remove_segment(segment);
		return 0;
	case SHM_LOCK:
		segment->status.shm_perm.mode |= SHM_LOCKED;
		return 0;
	case SHM_UNLOCK:
		segment->status.shm_perm.mode &= ~(unsigned int)SHM_LOCKED;
		return 0;
	default:
		return -EINVAL;
	}
}

/* Commands on all segments: the highest index in use. */
static int64_t control_all(struct thread *thread, struct sysv_shm *shm, int command,
			   uint64_t address)
{
	struct shm_info info = {0};
	const struct shminfo limits = {
		.shmmax = SEGMENT_MAX,
		.shmmin = 1,
		.shmmni = SEGMENTS,
		.shmseg = SEGMENTS,
		.shmall = SEGMENT_MAX,
	};
	int64_t highest = 0;
	int error;

	for (uint32_t i = 0; i < shm->highest; i++) {
		struct inode *inode = shm->segments[i].inode;

		if (!inode)
			continue;
		highest = i;
		info.used_ids++;
		info.shm_tot += i_size_read(inode) >> PAGE_SHIFT;
		info.shm_rss += atomic_load_explicit(&inode->i_data.nrpages, memory_order_relaxed);
	}
	if (command == IPC_INFO)
		error = copy_to_user(thread_mm(thread), address, &limits, sizeof(limits));
	else
		error = copy_to_user(thread_mm(thread), address, &info, sizeof(info));
	return error ? error : highest;
}

static int64_t sys_shmctl(struct thread *thread, const uint64_t args[6])
{
	const int command = (int)args[1];
	struct sysv_shm *shm = shm_lock(thread);
	struct segment *segment;
	int64_t result = -EINVAL;

	if (command == IPC_INFO || command == SHM_INFO) {
		result = control_all(thread, shm, command, args[2]);
	} else if (command == SHM_STAT || command == SHM_STAT_ANY) {
		segment = args[0] < SEGMENTS ? &shm->segments[args[0]] : NULL;
		if (segment && segment->inode) {
			result = copy_status(thread, segment, args[2]);
			if (!result)
				result = id_of(shm, segment);
		}
	} else {
		segment = find_id(shm, (int)args[0]);
		if (segment)
			result = control(thread, segment, command, args[2]);
	}
	mutex_unlock(&shm->lock);
	return result;
}

#define OF_RUN "segments are known to the programs of one run only"

static const struct syscall_row rows[] = {
	ROW_OWN(shmget, HOW_QUIRE, 0, OF_RUN, A_INT(key), A_LONG(size), A_INT(shmflg)),
	ROW_OWN(shmat, HOW_QUIRE, 0, NULL, A_INT(shmid), A_ADDRESS(shmaddr), A_INT(shmflg)),
	ROW_OWN(shmdt, HOW_QUIRE, 0, NULL, A_ADDRESS(shmaddr)),
	ROW_OWN(shmctl, HOW_QUIRE, 0, "SHM_LOCK is noted only", A_INT(shmid), A_INT(op),
		A_ADDRESS(buf)),
};
SYSCALL_FAMILY(shm_calls, "Shared memory of System V", rows);
