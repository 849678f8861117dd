/* SPDX-License-Identifier: MIT */
/*
 * Memory for Quire's own structures (VMAs, tree nodes, tables of operations): the C library's
 * allocator behind one door, so that each allocation can be counted and made to fail (base/fail.h).
 *
 * Every function is thread-safe. NULL means that memory ran out or a failure was injected; callers
 * turn it into -ENOMEM.
 */
#ifndef QUIRE_BASE_ALLOC_H
#define QUIRE_BASE_ALLOC_H

#include "base/types.h"

/* Zeroed memory of `size` bytes; the caller owns it and returns it with quire_free(). */
QUIRE_MUST_CHECK void *quire_zalloc(size_t size);

/* As quire_zalloc(), aligned to `align` bytes, a power of two; `size` need not be a multiple of it.
 */
QUIRE_MUST_CHECK void *quire_zalloc_aligned(size_t align, size_t size);

/* A copy of the string, owned by the caller. */
QUIRE_MUST_CHECK char *quire_strdup(const char *string);

/* NULL is allowed. */
void quire_free(void *memory);

/* Number of allocations not yet freed; leak checks compare it before and after. */
uint64_t quire_alloc_live(void);

#endif
