/* SPDX-License-Identifier: MIT */
/*
 * Working-set detection: what is left in place of an evicted page (its shadow), and what it says
 * when the page comes back.
 *
 * A shadow packs the evicting group's id, its nonresident_age at that moment, and PG_workingset.
 * The refault distance is how much the age grew since; when it is within the size of the lists that
 * the page could have stayed on, the page belongs to the working set and goes to the active list.
 *
 * Shadows outlive their pages, so they are bounded: those of files by the number of frames, since a
 * page that was evicted longer ago than as many others could not have stayed anyway; those of the
 * swap cache by its slots. At the bound a new shadow takes the place of one of the same file, in
 * file order, or is not kept. From half of it on, a file forgets its shadows when its last handle
 * is closed, and leaves no new ones meanwhile: so what nobody uses takes no room from what is in
 * use.
 */
#ifndef QUIRE_CORE_RECLAIM_WORKINGSET_H
#define QUIRE_CORE_RECLAIM_WORKINGSET_H

#include "core/reclaim/memcg.h"

/* The shadow for a page about to be evicted: an xarray value. Page locked. */
void *workingset_eviction(struct page *page);
/* A page was brought back where `shadow` stood. True: within the working set; sets PG_workingset
 * and counts. Page locked and charged, not on a list yet. */
bool workingset_refault(struct page *page, void *shadow);

#endif
