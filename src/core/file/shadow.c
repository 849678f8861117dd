/* SPDX-License-Identifier: MIT */
/*
 * The number of shadows that files keep (core/reclaim/workingset.h says what they are, and the
 * bound).
 *
 * quire->nr_shadows is the sum over all files of the values in i_pages; it changes under the lock
 * of the i_pages in question.
 */
#include "core/file/internal.h"
#include "core/instance/instance.h"

/* Entries looked at for a shadow that makes room. */
#define SHADOW_SEARCH 16

static uint64_t shadow_limit(const struct quire *quire)
{
	return quire->zone.nr_frames;
}

/* From half of the limit on, shadows are for files that are in use. */
static bool shadows_are_scarce(const struct quire *quire)
{
	return atomic_load_explicit(&quire->nr_shadows, memory_order_relaxed) >=
	       shadow_limit(quire) / 2;
}

void shadow_uncount(struct address_space *mapping)
{
	atomic_fetch_sub_explicit(&mapping->host->quire->nr_shadows, 1, memory_order_relaxed);
}

static uint64_t mapping_shadows(const struct address_space *mapping)
{
	return xa_count(&mapping->i_pages) -
	       atomic_load_explicit(&mapping->nrpages, memory_order_relaxed);
}

/*
 * Under X: the next shadow from the hand on goes, which in a file read in order is an old one.
 * False: there is none nearby.
 */
static bool shadow_replace(struct address_space *mapping)
{
	if (!mapping_shadows(mapping))
		return false;
	for (uint32_t looked = 0; looked < SHADOW_SEARCH; looked++) {
		uint64_t index = mapping->shadow_hand;
		void *entry = xa_find(&mapping->i_pages, &index, UINT64_MAX, XA_PRESENT);

		mapping->shadow_hand = entry ? index + 1 : 0;
		if (entry && xa_is_value(entry)) {
			xa_erase(&mapping->i_pages, index);
			shadow_uncount(mapping);
			return true;
		}
	}
	return false;
}

void *shadow_admit(struct address_space *mapping, void *shadow)
{
	struct inode *inode = mapping->host;
	struct quire *quire = inode->quire;

	/* Only the list of inodes refers to a file that nobody has open. */
	if (shadows_are_scarce(quire) &&
	    atomic_load_explicit(&inode->refcount, memory_order_relaxed) == 1)
		return NULL;
	if (atomic_fetch_add_explicit(&quire->nr_shadows, 1, memory_order_relaxed) <
		    shadow_limit(quire) ||
	    shadow_replace(mapping))
		return shadow;
	shadow_uncount(mapping);
	return NULL;
}

/* A stretch of the walk. False: it has come to the end. */
static bool forget_some(struct address_space *mapping, uint64_t *index)
{
	uint32_t looked = 0;
	void *entry;

	spin_lock(&mapping->i_pages_lock);
	xa_for_each_range (&mapping->i_pages, *index, entry, *index, UINT64_MAX) {
		if (xa_is_value(entry)) {
			xa_erase(&mapping->i_pages, *index);
			shadow_uncount(mapping);
		}
		if (++looked == PAGEVEC_SIZE)
			break;
	}
	spin_unlock(&mapping->i_pages_lock);
	return entry;
}

void mapping_forget_shadows(struct address_space *mapping)
{
	uint64_t index = 0;
	bool any;

	if (mapping->host->kind != INODE_REGULAR || !shadows_are_scarce(mapping->host->quire))
		return;
	spin_lock(&mapping->i_pages_lock);
	any = mapping_shadows(mapping);
	spin_unlock(&mapping->i_pages_lock);
	while (any && forget_some(mapping, &index))
		;
}
