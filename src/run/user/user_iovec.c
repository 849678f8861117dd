/* SPDX-License-Identifier: MIT */
/*
 * The program's vectors of buffers, copied in and checked.
 */
#include "run/user/user.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

/* What one transfer moves at most: INT_MAX rounded down to a page. */
#define MAX_RW_COUNT ((uint64_t)INT_MAX & PAGE_MASK)

/* Lengths are cut so that the sum does not exceed MAX_RW_COUNT, as the kernel does. */
static int check_iovec(const struct mm_struct *mm, struct iovec *vector, uint64_t nr,
		       uint64_t *total)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < nr; i++)
		if ((int64_t)vector[i].iov_len < 0)
			return -EINVAL;
	for (uint64_t i = 0; i < nr; i++) {
		uint64_t base = (uint64_t)(uintptr_t)vector[i].iov_base;

		/* A part that does not lie in user space at all fails the whole call at once. */
		if (base > mm->task_size || vector[i].iov_len > mm->task_size - base)
			return -EFAULT;
		vector[i].iov_len = min_u64(vector[i].iov_len, MAX_RW_COUNT - sum);
		sum += vector[i].iov_len;
	}
	*total = sum;
	return 0;
}

int import_iovec(struct mm_struct *mm, uint64_t address, uint64_t nr,
		 struct iovec fast[USER_IOV_FAST], struct iovec **vector, uint64_t *total)
{
	struct iovec *copy = fast;
	int error;

	*total = 0;
	*vector = fast;
	if (nr > IOV_MAX)
		return -EINVAL;
	if (nr > USER_IOV_FAST)
		copy = malloc(nr * sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	error = copy_from_user(mm, copy, address, nr * sizeof(*copy));
	if (!error)
		error = check_iovec(mm, copy, nr, total);
	if (error)
		release_iovec(fast, copy);
	else
		*vector = copy;
	return error;
}

void release_iovec(struct iovec fast[USER_IOV_FAST], struct iovec *vector)
{
	if (vector != fast)
		free(vector);
}
