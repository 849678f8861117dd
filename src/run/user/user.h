/* SPDX-License-Identifier: MIT */
/*
 * The program's memory, as system calls see it. Addresses come from the program and are never
 * trusted: every access goes through the mm and faults as the program itself would.
 *
 * All functions are thread-safe; no lock of Quire is held when they are called.
 */
#ifndef QUIRE_RUN_USER_USER_H
#define QUIRE_RUN_USER_USER_H

#include <sys/uio.h>

#include "base/types.h"
#include "core/vma/mm.h"

struct page;

/* A struct iovec of the program holds its addresses as pointers, and a call of the host gets
 * Quire's as numbers. */
static inline uint64_t as_number(const void *pointer)
{
	return (uint64_t)(uintptr_t)pointer;
}

static inline void *as_pointer(uint64_t number)
{
	return (void *)(uintptr_t)number;
}

/* All of it or -EFAULT (then a part may have been copied). */
QUIRE_MUST_CHECK int copy_from_user(struct mm_struct *mm, void *to, uint64_t from, uint64_t bytes);
QUIRE_MUST_CHECK int copy_to_user(struct mm_struct *mm, uint64_t to, const void *from,
				  uint64_t bytes);
/* As much of it as there is, from the start on: bytes, perhaps 0. */
uint64_t copy_some_from_user(struct mm_struct *mm, void *to, uint64_t from, uint64_t bytes);
uint64_t copy_some_to_user(struct mm_struct *mm, uint64_t to, const void *from, uint64_t bytes);
/* A string with its zero into `to`: its length, -EFAULT, or -ENAMETOOLONG when the zero is not
 * among the first `bytes`. */
int64_t strncpy_from_user(struct mm_struct *mm, char *to, uint64_t from, uint64_t bytes);

/* How many bytes from `address` on lie in areas that allow the access, at most `bytes`. Looks at
 * VMAs only and faults nothing in. */
uint64_t user_range(struct mm_struct *mm, uint64_t address, uint64_t bytes, bool write);

/* An array of struct iovec of the program, copied in and checked as the kernel does: *total is the
 * sum, cut to MAX_RW_COUNT. The vector is malloc()ed (or `fast`). -EINVAL (nr > 1024, negative
 * length), -EFAULT, -ENOMEM. */
#define USER_IOV_FAST 8
QUIRE_MUST_CHECK int import_iovec(struct mm_struct *mm, uint64_t address, uint64_t nr,
				  struct iovec fast[USER_IOV_FAST], struct iovec **vector,
				  uint64_t *total);
void release_iovec(struct iovec fast[USER_IOV_FAST], struct iovec *vector);

/*
 * Frames of the program under a pin, as a host vector, for large transfers: neighbours are one
 * element. `nr_pages` at most USER_PIN_MAX.
 */
#define USER_PIN_MAX 64
struct user_pin {
	struct page *pages[USER_PIN_MAX];
	struct iovec vector[USER_PIN_MAX];
	uint32_t nr_pages;
	uint32_t nr_vectors;
	uint64_t bytes;
};
/* Pins up to `bytes` from `address` on: pin->bytes are, at least 1. -EFAULT, -ENOMEM. `write`: the
 * host will store into them. */
QUIRE_MUST_CHECK int user_pin(struct mm_struct *mm, uint64_t address, uint64_t bytes, bool write,
			      struct user_pin *pin);
void user_unpin(struct mm_struct *mm, struct user_pin *pin, bool dirty);

#endif
