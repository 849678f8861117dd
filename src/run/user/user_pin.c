/* SPDX-License-Identifier: MIT */
/*
 * The program's frames as a vector of the host, for transfers without a copy.
 */
#include "run/user/user.h"

#include <errno.h>

#include "core/fault/fault.h"
#include "core/instance/instance.h"

static void add_piece(struct user_pin *pin, char *memory, uint64_t bytes)
{
	struct iovec *last = pin->nr_vectors ? &pin->vector[pin->nr_vectors - 1] : NULL;

	if (last && (char *)last->iov_base + last->iov_len == memory)
		last->iov_len += bytes;
	else
		pin->vector[pin->nr_vectors++] =
			(struct iovec){.iov_base = memory, .iov_len = bytes};
	pin->bytes += bytes;
}

int user_pin(struct mm_struct *mm, uint64_t address, uint64_t bytes, bool write,
	     struct user_pin *pin)
{
	uint64_t offset = PAGE_OFFSET(address);
	uint64_t span, nr;
	int64_t pinned;

	pin->nr_pages = 0;
	pin->nr_vectors = 0;
	pin->bytes = 0;
	if (!bytes || address >= mm->task_size)
		return -EFAULT;
	bytes = min_u64(bytes, mm->task_size - address);
	span = min_u64(offset + bytes, (uint64_t)USER_PIN_MAX << PAGE_SHIFT);
	nr = PAGE_ALIGN(span) >> PAGE_SHIFT;
	pinned = pin_user_pages(mm, address - offset, (uint32_t)nr, write, pin->pages);
	if (pinned < 0)
		return (int)pinned;
	pin->nr_pages = (uint32_t)pinned;
	span = min_u64(span, (uint64_t)pinned << PAGE_SHIFT);
	for (uint64_t at = offset; at < span;) {
		uint64_t chunk = min_u64(PAGE_SIZE - PAGE_OFFSET(at), span - at);
		char *frame = page_address(&mm->quire->zone, pin->pages[at >> PAGE_SHIFT]);

		add_piece(pin, frame + PAGE_OFFSET(at), chunk);
		at += chunk;
	}
	return 0;
}

void user_unpin(struct mm_struct *mm, struct user_pin *pin, bool dirty)
{
	unpin_user_pages(mm->quire, pin->pages, pin->nr_pages, dirty);
	pin->nr_pages = 0;
}
