/* SPDX-License-Identifier: MIT */
/*
 * What the test machine caches of page tables, as a machine does that knows translations by frame:
 * each access of a test fills it, and nothing leaves it but by a revocation that names the frame,
 * or with its mm. A revocation that forgets a frame so leaves a translation that is no longer
 * allowed, which the next access through it, or the next check of the instance, finds. Reads and
 * writes have an entry each for a page, as if two CPUs made them.
 */
#ifndef QUIRE_CORE_INSTANCE_TEST_SHADOW_H
#define QUIRE_CORE_INSTANCE_TEST_SHADOW_H

#include <quire/machine.h>

#include "base/lock.h"
#include "core/vma/mm.h"

#define TEST_SHADOW_ENTRIES 4096

/* L = lock. */
struct test_shadow {
	struct spinlock lock;  /* LOCK_LEAF; held around each access, so that a revocation waits */
	const void *owner;     /* C: the thread of the test */
	_Atomic bool threaded; /* A: others access too, so that entries may change at any time */
	struct test_shadow_entry {
		const struct mm_struct *mm; /* L: NULL: empty */
		void *context;              /* L: the mm's */
		uint64_t page;              /* L: address */
		uint64_t pte;               /* L: as it was when it was cached */
	} entries[TEST_SHADOW_ENTRIES];
	uint64_t used; /* L: entries */
};

void test_shadow_init(struct test_shadow *shadow);

/* One access to a byte, which is read to or written from *value. False: it must fault. */
bool test_shadow_access(struct test_shadow *shadow, struct mm_struct *mm, uint64_t address,
			bool write, uint8_t *value);

/* machine.h: revoke and mm_destroy. */
void test_shadow_revoke(struct test_shadow *shadow, const struct quire_revoke *what);
void test_shadow_drop_mm(struct test_shadow *shadow, void *context);

/* Fails the test unless the page tables allow all that is cached. Nothing is under way. */
void test_shadow_check(struct test_shadow *shadow);

#endif
