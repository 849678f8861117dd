/* SPDX-License-Identifier: MIT */
/*
 * Scalar types and small helpers that every unit uses.
 */
#ifndef QUIRE_BASE_TYPES_H
#define QUIRE_BASE_TYPES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_SHIFT 12
#define PAGE_SIZE ((uint64_t)1 << PAGE_SHIFT)
#define PAGE_MASK (~(PAGE_SIZE - 1))

/* Rounds a byte count or address up to a page; wraps to 0 near the top, which callers must test. */
#define PAGE_ALIGN(x) (((uint64_t)(x) + PAGE_SIZE - 1) & PAGE_MASK)
#define PAGE_ALIGN_DOWN(x) ((uint64_t)(x)&PAGE_MASK)
#define PAGE_OFFSET(x) ((uint64_t)(x) & (PAGE_SIZE - 1))

/* Page frame number: index of a frame in the arena. */
typedef uint64_t pfn_t;
/* Index of a page in a file or object, in pages. */
typedef uint64_t pgoff_t;

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define QUIRE_MUST_CHECK __attribute__((warn_unused_result))
/*
 * For what runs in a handler of signals: TSan stays away from it. Its runtime takes locks of its
 * own, and the code that the signal interrupted may hold them.
 */
#if __has_attribute(disable_sanitizer_instrumentation)
#define QUIRE_IN_SIGNAL_HANDLER __attribute__((disable_sanitizer_instrumentation))
#else
#define QUIRE_IN_SIGNAL_HANDLER __attribute__((no_sanitize_thread))
#endif
#define QUIRE_CACHE_ALIGNED __attribute__((aligned(64)))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* One more reference; false when the last one is gone already. */
static inline bool get_unless_zero(_Atomic uint32_t *refcount)
{
	uint32_t count = atomic_load_explicit(refcount, memory_order_relaxed);

	while (count)
		if (atomic_compare_exchange_weak_explicit(refcount, &count, count + 1,
							  memory_order_acq_rel,
							  memory_order_relaxed))
			return true;
	return false;
}

#endif
