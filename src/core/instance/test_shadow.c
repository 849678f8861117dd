/* SPDX-License-Identifier: MIT */
/*
 * The test machine's cache of translations; see test_shadow.h.
 */
#include "core/instance/test_shadow.h"

#include "core/instance/instance.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const void *this_thread(void)
{
	static _Thread_local char identity;

	return &identity;
}

void test_shadow_init(struct test_shadow *shadow)
{
	*shadow = (struct test_shadow){.owner = this_thread()};
	spin_lock_init(&shadow->lock, LOCK_LEAF);
}

static pteval_t needed(bool write)
{
	return PTE_PRESENT | PTE_USER | (write ? PTE_WRITE : 0);
}

/* Whether the page table still says what was cached: the frame, and all that the cached entry
 * allows without another look. */
static bool still_allowed(const struct test_shadow_entry *entry)
{
	const pteval_t bits = PTE_PRESENT | PTE_USER | PTE_ACCESSED | PTE_FRAME_MASK;
	pte_t *pte = pte_find((struct mm_struct *)(uintptr_t)entry->mm, entry->page);
	const pteval_t now = pte ? pte_load(pte) : 0;

	if ((now ^ entry->pte) & bits)
		return false;
	return !(entry->pte & PTE_WRITE) ||
	       (now & (PTE_WRITE | PTE_DIRTY)) == (PTE_WRITE | PTE_DIRTY);
}

/* Unlocks first: what fails the test leaves by a jump. */
static void assert_allowed(struct test_shadow *shadow, const struct test_shadow_entry *entry)
{
	if (still_allowed(entry))
		return;
	spin_unlock(&shadow->lock);
	fail_msg("a translation of %#llx to frame %llu was never revoked",
		 (unsigned long long)entry->page, (unsigned long long)pte_pfn(entry->pte));
}

static struct test_shadow_entry *entry_of(struct test_shadow *shadow, const struct mm_struct *mm,
					  uint64_t page, bool write)
{
	const uint64_t hash = ((page >> PAGE_SHIFT) + mm->id * 37) * 2 + write;

	return &shadow->entries[hash % TEST_SHADOW_ENTRIES];
}

static void drop(struct test_shadow *shadow, struct test_shadow_entry *entry)
{
	entry->mm = NULL;
	shadow->used--;
}

/* As a CPU walks: sets accessed (and dirty) while the entry allows the access. 0: it does not. */
static pteval_t walk(struct mm_struct *mm, uint64_t page, bool write)
{
	const pteval_t set = PTE_ACCESSED | (write ? PTE_DIRTY : 0);
	pte_t *pte = pte_find(mm, page);
	pteval_t value = pte ? pte_load(pte) : 0;

	while ((value & needed(write)) == needed(write)) {
		if (atomic_compare_exchange_weak_explicit(
			    pte, &value, value | set, memory_order_acq_rel, memory_order_acquire))
			return value | set;
	}
	return 0;
}

/* The entry for the access, filled if need be, or NULL. Writing through a clean entry walks again,
 * to set the dirty bit. */
static const struct test_shadow_entry *translate(struct test_shadow *shadow, struct mm_struct *mm,
						 uint64_t page, bool write)
{
	struct test_shadow_entry *entry = entry_of(shadow, mm, page, write);
	pteval_t value;

	if (entry->mm == mm && entry->page == page &&
	    (entry->pte & needed(write)) == needed(write)) {
		if (!atomic_load_explicit(&shadow->threaded, memory_order_relaxed))
			assert_allowed(shadow, entry);
		return entry;
	}
	value = walk(mm, page, write);
	if (!value)
		return NULL;
	shadow->used += !entry->mm;
	*entry = (struct test_shadow_entry){
		.mm = mm,
		.context = mm->machine_context,
		.page = page,
		.pte = value & PTE_DIRTY ? value : value & ~PTE_WRITE,
	};
	return entry;
}

bool test_shadow_access(struct test_shadow *shadow, struct mm_struct *mm, uint64_t address,
			bool write, uint8_t *value)
{
	const struct test_shadow_entry *entry;

	if (this_thread() != shadow->owner)
		atomic_store_explicit(&shadow->threaded, true, memory_order_relaxed);
	spin_lock(&shadow->lock);
	entry = translate(shadow, mm, PAGE_ALIGN_DOWN(address), write);
	if (entry) {
		uint8_t *byte = (uint8_t *)mm->quire->zone.base + (entry->pte & PTE_FRAME_MASK) +
				PAGE_OFFSET(address);

		if (write)
			*byte = *value;
		else
			*value = *byte;
	}
	spin_unlock(&shadow->lock);
	return entry;
}

static bool names_frame(const struct quire_revoke *what, pfn_t pfn)
{
	for (uint32_t i = 0; i < what->nr_frames; i++)
		if (pfn - what->frames[i].first < what->frames[i].count)
			return true;
	return what->all_frames;
}

void test_shadow_revoke(struct test_shadow *shadow, const struct quire_revoke *what)
{
	spin_lock(&shadow->lock);
	for (size_t i = 0; i < TEST_SHADOW_ENTRIES && shadow->used; i++) {
		struct test_shadow_entry *entry = &shadow->entries[i];

		if (entry->mm && names_frame(what, pte_pfn(entry->pte)))
			drop(shadow, entry);
	}
	spin_unlock(&shadow->lock);
}

void test_shadow_drop_mm(struct test_shadow *shadow, void *context)
{
	spin_lock(&shadow->lock);
	for (size_t i = 0; i < TEST_SHADOW_ENTRIES; i++)
		if (shadow->entries[i].mm && shadow->entries[i].context == context)
			drop(shadow, &shadow->entries[i]);
	spin_unlock(&shadow->lock);
}

void test_shadow_check(struct test_shadow *shadow)
{
	spin_lock(&shadow->lock);
	for (size_t i = 0; i < TEST_SHADOW_ENTRIES; i++)
		if (shadow->entries[i].mm)
			assert_allowed(shadow, &shadow->entries[i]);
	spin_unlock(&shadow->lock);
}
