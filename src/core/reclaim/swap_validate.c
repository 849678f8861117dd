/* SPDX-License-Identifier: MIT */
/*
 * swap_validate(): slot maps, the swap cache, and the entries that page tables and shmem objects
 * hold, against each other. Nothing is under way.
 */
#include "base/alloc.h"
#include "base/check.h"
#include "core/file/address_space.h"
#include "core/reclaim/lruvec.h"
#include "core/reclaim/swap_area.h"
#include "core/vma/mm.h"
#include "core/vma/vma.h"

struct slot_census {
	const struct swap_area *area;
	uint32_t *uses; /* by slot: entries found */
};

static void count_entry(struct slot_census *census, swp_entry_t entry, struct check_report *report)
{
	const uint64_t slot = swp_slot(entry);

	if (swp_type(entry) != census->area->type)
		return;
	if (slot < census->area->nr_slots)
		census->uses[slot]++;
	else
		check_violation(report, "an entry names slot %llu of an area of %llu",
				(unsigned long long)slot,
				(unsigned long long)census->area->nr_slots);
}

static void count_vma_entries(struct slot_census *census, struct vm_area_struct *vma,
			      struct check_report *report)
{
	uint64_t address = vma->vm_start;
	pte_t *pte;

	while ((address = pte_find_next(vma->vm_mm, address, vma->vm_end, &pte)) < vma->vm_end) {
		pteval_t value = pte_load(pte);

		if (pte_swap(value))
			count_entry(census, pte_to_swp_entry(value), report);
		address += PAGE_SIZE;
	}
}

static void count_all_entries(struct slot_census *census, struct check_report *report)
{
	struct quire *quire = census->area->quire;
	struct mm_struct *mm;
	struct inode *inode;

	list_for_each_entry (mm, &quire->mms, mm_list) {
		struct vm_area_struct *vma;

		for_each_vma (mm, vma)
			count_vma_entries(census, vma, report);
	}
	list_for_each_entry (inode, &quire->inodes, i_list) {
		uint64_t index;
		void *entry;

		if (!mapping_is_shmem(&inode->i_data))
			continue;
		xa_for_each (&inode->i_data.i_pages, index, entry)
			if (xa_is_value(entry))
				count_entry(census, (swp_entry_t){xa_to_value(entry)}, report);
	}
}

static void validate_slot(const struct slot_census *census, uint64_t slot,
			  struct check_report *report)
{
	const struct swap_area *area = census->area;
	const uint32_t value = area->map[slot];
	const bool used = area->used[slot / SWAP_CLUSTER] >> (slot % SWAP_CLUSTER) & 1;
	const void *entry = xa_load(&area->cache, slot);
	const bool cached = entry && !xa_is_value(entry);

	CHECK_THAT(report, used == !!value && used == !!area->owner[slot],
		   "slot %llu is %s, but its count is %u", (unsigned long long)slot,
		   used ? "used" : "free", value & SWAP_COUNT_MASK);
	CHECK_THAT(report, !!(value & SWAP_HAS_CACHE) == cached,
		   "slot %llu and the swap cache disagree", (unsigned long long)slot);
	CHECK_THAT(report, !entry || used, "the swap cache has an entry for the free slot %llu",
		   (unsigned long long)slot);
	CHECK_THAT(report, (value & SWAP_COUNT_MASK) == census->uses[slot],
		   "slot %llu counts %u uses, but %u entries name it", (unsigned long long)slot,
		   value & SWAP_COUNT_MASK, census->uses[slot]);
}

static void validate_cache(struct swap_area *area, struct check_report *report)
{
	const uint64_t expected = atomic_load_explicit(&area->nr_cached, memory_order_relaxed);
	uint64_t pages = 0;
	uint64_t slot;
	void *entry;

	xa_validate(&area->cache, report);
	xa_for_each (&area->cache, slot, entry) {
		const struct page *page = entry;

		if (xa_is_value(entry))
			continue;
		pages++;
		CHECK_THAT(report,
			   page_test(page, PG_swapcache) &&
				   page->private == swp_entry(area->type, slot).value &&
				   page_count(page) > 0,
			   "the page cached for slot %llu does not know it",
			   (unsigned long long)slot);
	}
	CHECK_THAT(report, pages == expected, "the swap cache counts %llu pages of %llu",
		   (unsigned long long)expected, (unsigned long long)pages);
}

static void validate_area(struct swap_area *area, struct check_report *report)
{
	struct slot_census census = {.area = area};
	uint64_t used = 0;

	validate_cache(area, report);
	census.uses = quire_zalloc(area->nr_slots * sizeof(*census.uses));
	if (!census.uses) {
		check_violation(report, "no memory to count the uses of swap slots");
		return;
	}
	count_all_entries(&census, report);
	for (uint64_t slot = 0; slot < area->nr_slots; slot++) {
		validate_slot(&census, slot, report);
		used += !!area->map[slot];
	}
	quire_free(census.uses);
	CHECK_THAT(report,
		   used + atomic_load_explicit(&area->nr_free, memory_order_relaxed) ==
			   area->nr_slots,
		   "of %llu slots %llu are used and %llu free", (unsigned long long)area->nr_slots,
		   (unsigned long long)used,
		   (unsigned long long)atomic_load_explicit(&area->nr_free, memory_order_relaxed));
}

void swap_validate(struct quire *quire, struct check_report *report)
{
	for (uint32_t type = 0; type < MAX_SWAP_AREAS; type++) {
		struct swap_area *area = swap_area_of_type(quire, type);

		if (area)
			validate_area(area, report);
	}
}
