/* SPDX-License-Identifier: MIT */
/*
 * mmap(2): arguments are checked in the order of Linux, so that of several errors the same one is
 * reported; then everything that can fail is prepared, and only then does the new mapping take the
 * place of what was there.
 */
#include "core/call/call.h"
#include "core/file/address_space.h"
#include "core/instance/instance.h"
#include "core/vma/account.h"
#include "core/vma/vma.h"

#include <errno.h>

/* Flags that plain MAP_SHARED and MAP_PRIVATE know; MAP_SHARED_VALIDATE refuses others. */
#define MAP_HUGE_BITS ((uint32_t)0x1f << 26)
#define LEGACY_MAP_MASK \
	(QUIRE_MAP_SHARED | QUIRE_MAP_PRIVATE | QUIRE_MAP_FIXED | QUIRE_MAP_ANONYMOUS | \
	 QUIRE_MAP_32BIT | QUIRE_MAP_GROWSDOWN | QUIRE_MAP_DENYWRITE | QUIRE_MAP_EXECUTABLE | \
	 QUIRE_MAP_LOCKED | QUIRE_MAP_NORESERVE | QUIRE_MAP_POPULATE | QUIRE_MAP_NONBLOCK | \
	 QUIRE_MAP_STACK | QUIRE_MAP_HUGETLB | MAP_HUGE_BITS)

static uint32_t map_type(const struct mmap_request *request)
{
	return request->flags & QUIRE_MAP_TYPE;
}

static struct file *request_file(const struct mmap_request *request)
{
	return request->flags & QUIRE_MAP_ANONYMOUS ? NULL : request->file;
}

static pgoff_t request_pgoff(const struct mmap_request *request)
{
	return (uint64_t)request->offset >> PAGE_SHIFT;
}

/* What the request alone tells. */
static int check_request(const struct mmap_request *request)
{
	uint64_t pages = PAGE_ALIGN(request->length) >> PAGE_SHIFT;

	if (PAGE_OFFSET(request->offset))
		return -EINVAL;
	if (!(request->flags & QUIRE_MAP_ANONYMOUS) && !request->file)
		return -EBADF;
	if (!request->length)
		return -EINVAL;
	if (!pages)
		return -ENOMEM;
	if (request_pgoff(request) + pages < pages)
		return -EOVERFLOW;
	return 0;
}

static bool reserve_nothing(const struct mm_struct *mm, const struct mmap_request *request)
{
	return (request->flags & QUIRE_MAP_NORESERVE) &&
	       mm->quire->params.overcommit != QUIRE_OVERCOMMIT_NEVER;
}

static uint64_t calc_vm_flags(const struct mm_struct *mm, const struct mmap_request *request)
{
	uint64_t vm_flags = VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC | mm->def_flags;

	vm_flags |= request->prot & (QUIRE_PROT_READ | QUIRE_PROT_WRITE | QUIRE_PROT_EXEC);
	if (request->flags & QUIRE_MAP_GROWSDOWN)
		vm_flags |= VM_GROWSDOWN;
	if (request->flags & QUIRE_MAP_LOCKED)
		vm_flags |= VM_LOCKED;
	if (request->flags & QUIRE_MAP_DENYWRITE && request->file &&
	    map_type(request) == QUIRE_MAP_PRIVATE)
		vm_flags |= VM_DENYWRITE;
	if (request->flags & QUIRE_MAP_STACK)
		vm_flags |= VM_NOHUGEPAGE;
	if (reserve_nothing(mm, request))
		vm_flags |= VM_NORESERVE;
	return vm_flags;
}

static int64_t fixed_address(struct mm_struct *mm, const struct mmap_request *request,
			     uint64_t length)
{
	uint64_t address = request->address;

	if (length > mm->task_size || address > mm->task_size - length)
		return -ENOMEM;
	if (PAGE_OFFSET(address))
		return -EINVAL;
	if (!may_map_at(mm, address))
		return -EPERM;
	if ((request->flags & QUIRE_MAP_FIXED_NOREPLACE) &&
	    find_vma_intersection(mm, address, address + length))
		return -EEXIST;
	return (int64_t)address;
}

static int64_t choose_address(struct mm_struct *mm, const struct mmap_request *request,
			      uint64_t length)
{
	uint64_t hint = PAGE_ALIGN_DOWN(request->address);

	if (request->flags & (QUIRE_MAP_FIXED | QUIRE_MAP_FIXED_NOREPLACE))
		return fixed_address(mm, request, length);
	if (hint && hint < MMAP_MIN_ADDR)
		hint = MMAP_MIN_ADDR;
	return get_unmapped_area(mm, hint, length, request->flags & QUIRE_MAP_32BIT);
}

static int check_locked(const struct mm_struct *mm, const struct mmap_request *request,
			uint64_t vm_flags, uint64_t pages)
{
	int error;

	if (!(vm_flags & VM_LOCKED))
		return 0;
	error = mlock_limit_check(mm, pages, -EAGAIN);
	/* Only who asks for a lock is told that it may have none. */
	if (error == -EPERM && !(request->flags & QUIRE_MAP_LOCKED))
		error = -EAGAIN;
	return error;
}

static int check_shared_file(const struct file *file, const struct mmap_request *request,
			     uint64_t *vm_flags)
{
	const struct address_space *mapping = file->f_mapping;

	if (map_type(request) == QUIRE_MAP_SHARED_VALIDATE && (request->flags & ~LEGACY_MAP_MASK))
		return -EOPNOTSUPP;
	if ((request->prot & QUIRE_PROT_WRITE) && !(file->f_mode & FMODE_WRITE))
		return -EACCES;
	if (atomic_load_explicit(&mapping->i_mmap_writable, memory_order_acquire) < 0) {
		if (request->prot & QUIRE_PROT_WRITE)
			return -EPERM;
		*vm_flags &= ~VM_MAYWRITE;
	}
	*vm_flags |= VM_SHARED | VM_MAYSHARE;
	if (!(file->f_mode & FMODE_WRITE))
		*vm_flags &= ~(VM_MAYWRITE | VM_SHARED);
	return 0;
}

static int check_file(const struct file *file, const struct mmap_request *request,
		      uint64_t *vm_flags)
{
	uint64_t length = PAGE_ALIGN(request->length);
	int error;

	if (length > MAX_LFS_FILESIZE ||
	    request_pgoff(request) > (MAX_LFS_FILESIZE - length) >> PAGE_SHIFT)
		return -EOVERFLOW;
	switch (map_type(request)) {
	case QUIRE_MAP_SHARED:
	case QUIRE_MAP_SHARED_VALIDATE:
		error = check_shared_file(file, request, vm_flags);
		if (error)
			return error;
		break;
	case QUIRE_MAP_PRIVATE:
		break;
	default:
		return -EINVAL;
	}
	if (!(file->f_mode & FMODE_READ))
		return -EACCES;
	if (request->flags & (QUIRE_MAP_GROWSDOWN | QUIRE_MAP_HUGETLB))
		return -EINVAL;
	if (file_is_dev_zero(file) && !(*vm_flags & VM_SHARED))
		*vm_flags |= VM_DEV_ZERO;
	return 0;
}

static int check_anonymous(const struct mmap_request *request, uint64_t *vm_flags)
{
	switch (map_type(request)) {
	case QUIRE_MAP_SHARED:
		if (request->flags & QUIRE_MAP_GROWSDOWN)
			return -EINVAL;
		*vm_flags |= VM_SHARED | VM_MAYSHARE;
		break;
	case QUIRE_MAP_DROPPABLE:
		/* Neither kept in memory nor kept at all: not locked, reserved, inherited, dumped.
		 */
		if ((request->flags & (QUIRE_MAP_LOCKED | QUIRE_MAP_HUGETLB)) ||
		    (*vm_flags & VM_GROWSDOWN))
			return -EINVAL;
		*vm_flags &= ~(uint64_t)VM_LOCKED_MASK;
		*vm_flags |= VM_DROPPABLE | VM_NORESERVE | VM_WIPEONFORK | VM_DONTDUMP;
		break;
	case QUIRE_MAP_PRIVATE:
		break;
	default:
		return -EINVAL;
	}
	/* There is no pool of huge pages. */
	return request->flags & QUIRE_MAP_HUGETLB ? -ENOMEM : 0;
}

/* What MAP_FIXED will replace, in pages. */
struct overlap {
	uint64_t pages;
	uint64_t accounted;
};

static struct overlap count_overlap(const struct vma_range *range)
{
	struct vm_area_struct *vma = find_vma(range->mm, range->start);
	struct overlap overlap = {0};

	for (; vma && vma->vm_start < range->end; vma = vma_next(vma)) {
		uint64_t start = max_u64(vma->vm_start, range->start);
		uint64_t end = min_u64(vma->vm_end, range->end);

		overlap.pages += (end - start) >> PAGE_SHIFT;
		if (vma->vm_flags & VM_ACCOUNT)
			overlap.accounted += (end - start) >> PAGE_SHIFT;
	}
	return overlap;
}

/* The VMA that the range becomes unless it merges. */
static struct vm_area_struct *new_vma(const struct vma_range *range)
{
	struct vm_area_struct *vma = vm_area_alloc(range->mm);

	if (!vma)
		return NULL;
	vma->vm_start = range->start;
	vma->vm_end = range->end;
	vma->vm_flags = range->vm_flags;
	vma->vm_pgoff = range->pgoff;
	vma->vm_file = range->file;
	if (vma->vm_file)
		get_file(vma->vm_file);
	vma_set_page_prot(vma);
	return vma;
}

/* Commits what the range needs beyond what it replaces; the rest follows when that is gone. */
static int commit_region(struct vma_range *range, const struct overlap *overlap, uint64_t *charged)
{
	uint64_t pages = (range->end - range->start) >> PAGE_SHIFT;
	int error;

	*charged = 0;
	if (!accountable_mapping(range->vm_flags))
		return 0;
	range->vm_flags |= VM_ACCOUNT;
	error = security_vm_enough_memory(range->mm, pages - overlap->accounted);
	if (!error)
		*charged = pages - overlap->accounted;
	return error;
}

/* Maps the range, with `fixed` in place of what is there. Nothing has changed when it fails. */
static int mmap_region(struct vma_range *range, bool fixed)
{
	struct mm_struct *mm = range->mm;
	uint64_t pages = (range->end - range->start) >> PAGE_SHIFT;
	struct overlap overlap = {0};
	struct vm_area_struct *vma;
	uint64_t charged;
	int error;

	if (map_deny_write_exec(mm, range->vm_flags, range->vm_flags))
		return -EACCES;
	if (fixed && range_is_sealed(find_vma(mm, range->start), range->end))
		return -EPERM;
	if (fixed)
		overlap = count_overlap(range);
	if (!may_expand_vm(mm, range->vm_flags, pages - overlap.pages))
		return -ENOMEM;
	error = commit_region(range, &overlap, &charged);
	if (error)
		return error;
	vma = new_vma(range);
	if (!vma) {
		vm_unacct_memory(mm->quire, charged);
		return -ENOMEM;
	}
	error = overlap.pages ? do_munmap_locked(mm, range->start, range->end) : 0;
	if (error) {
		vm_area_free(vma);
		vm_unacct_memory(mm->quire, charged);
		return error;
	}
	if (range->vm_flags & VM_ACCOUNT)
		vm_acct_memory(mm->quire, overlap.accounted);

	vma_merge_or_link(range, vma);
	vm_stat_account(mm, range->file, range->vm_flags, (int64_t)pages);
	if (range->vm_flags & VM_LOCKED)
		mm->locked_vm += pages;
	return 0;
}

/* Shared memory that is in no file anybody could open: an object as long as the mapping. */
static int create_object(struct mm_struct *mm, const struct mmap_request *request,
			 struct file **object)
{
	struct inode *inode;
	int error = shmem_create(mm->quire, "dev/zero", PAGE_ALIGN(request->length),
				 reserve_nothing(mm, request), &inode);

	if (error)
		return error;
	*object = file_alloc(inode, FMODE_READ | FMODE_WRITE);
	iput(inode);
	return *object ? 0 : -ENOMEM;
}

static int map_object(struct vma_range *range, const struct mmap_request *request)
{
	int error = create_object(range->mm, request, &range->file);

	if (error)
		return error;
	error = mmap_region(range, request->flags & QUIRE_MAP_FIXED);
	fput(range->file);
	return error;
}

/* What the request asks for at an address that was found good. */
static int map_at(struct vma_range *range, const struct mmap_request *request)
{
	struct file *file = request_file(request);
	uint64_t pages = (range->end - range->start) >> PAGE_SHIFT;
	int error = check_locked(range->mm, request, range->vm_flags, pages);

	if (error)
		return error;
	error = file ? check_file(file, request, &range->vm_flags)
		     : check_anonymous(request, &range->vm_flags);
	if (error)
		return error;
	range->file = file;
	if (file)
		range->pgoff = request_pgoff(request);
	else if (!(range->vm_flags & VM_SHARED))
		range->pgoff = range->start >> PAGE_SHIFT;
	if ((range->vm_flags & VM_SHARED) && (!file || file_is_dev_zero(file)))
		return map_object(range, request);
	return mmap_region(range, request->flags & QUIRE_MAP_FIXED);
}

int64_t do_mmap_locked(struct mm_struct *mm, const struct mmap_request *request, bool *populate)
{
	struct vma_range range = {.mm = mm};
	int64_t address;
	int error = check_request(request);

	mmap_assert_write_locked(mm);
	if (error)
		return error;
	if (mm->map_count > mm->quire->params.max_map_count)
		return -ENOMEM;
	address = choose_address(mm, request, PAGE_ALIGN(request->length));
	if (address < 0)
		return address;
	range.start = (uint64_t)address;
	range.end = range.start + PAGE_ALIGN(request->length);
	range.vm_flags = calc_vm_flags(mm, request);
	error = map_at(&range, request);
	if (error)
		return error;
	*populate =
		(range.vm_flags & VM_LOCKED) ||
		(request->flags & (QUIRE_MAP_POPULATE | QUIRE_MAP_NONBLOCK)) == QUIRE_MAP_POPULATE;
	return address;
}

int64_t do_mmap(struct mm_struct *mm, const struct mmap_request *request)
{
	bool populate = false;
	int64_t address;

	mmap_write_lock(mm);
	address = do_mmap_locked(mm, request, &populate);
	mmap_write_unlock(mm);
	if (populate) {
		/* What cannot be brought in now is left to a fault. */
		int error = mm_populate(mm, (uint64_t)address, PAGE_ALIGN(request->length), true);

		(void)error;
	}
	return address;
}
