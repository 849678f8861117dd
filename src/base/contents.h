/* SPDX-License-Identifier: MIT */
/*
 * Copying and filling the contents of pages. A program may store to a page while a call reads it
 * for somebody else, and two calls may touch the same bytes of a file: as on a real machine, what
 * is read then is a mixture, and that is the programs' own affair. So a race detector must not look
 * at contents, as it does for everything else.
 */
#ifndef QUIRE_BASE_CONTENTS_H
#define QUIRE_BASE_CONTENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SANITIZE_THREAD__)
#define QUIRE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define QUIRE_TSAN 1
#endif
#endif
#ifndef QUIRE_TSAN
#define QUIRE_TSAN 0
#endif

#if QUIRE_TSAN
#define QUIRE_UNWATCHED __attribute__((no_sanitize("thread")))
#else
#define QUIRE_UNWATCHED
#endif

/* Whether all of it is zero just now; `bytes` is a multiple of 8, not 0. */
static inline QUIRE_UNWATCHED bool contents_are_zero(const void *memory, size_t bytes)
{
	const volatile uint64_t *word = memory;
	const volatile uint64_t *end = word + bytes / sizeof(*word);

	while (word < end)
		if (*word++)
			return false;
	return true;
}

/* A word of contents: any type, changed by anyone. */
typedef uint64_t contents_word __attribute__((aligned(1), may_alias));

#if QUIRE_TSAN
/* The detector's own memmove() would look. Whole words where they are aligned, so that they stay
 * atomic. */
static QUIRE_UNWATCHED __attribute__((noinline, unused)) void
contents_copy(void *to, const void *from, size_t bytes)
{
	volatile uint8_t *target = to;
	const volatile uint8_t *source = from;

	if ((uintptr_t)to - (uintptr_t)from < bytes) {
		while (bytes--)
			target[bytes] = source[bytes];
		return;
	}
	while (bytes && ((uintptr_t)target | (uintptr_t)source | bytes) % 8) {
		*target++ = *source++;
		bytes--;
	}
	for (; bytes; bytes -= 8, target += 8, source += 8)
		*(volatile contents_word *)target = *(const volatile contents_word *)source;
}

static QUIRE_UNWATCHED __attribute__((noinline, unused)) void contents_fill(void *to, uint8_t byte,
									    size_t bytes)
{
	volatile uint8_t *target = to;

	while (bytes--)
		*target++ = byte;
}
#else
/* The two may overlap. */
static inline void contents_copy(void *to, const void *from, size_t bytes)
{
	memmove(to, from, bytes);
}

static inline void contents_fill(void *to, uint8_t byte, size_t bytes)
{
	memset(to, byte, bytes);
}
#endif

#endif
