/* SPDX-License-Identifier: MIT */
/*
 * The end of a page's life: the last reference takes it off its list, uncharges it and frees it.
 */
#include "core/frame/frame.h"

#include "core/instance/instance.h"
#include "core/reclaim/memcg.h"
#include "core/reclaim/vmscan.h"

static void folio_free(struct quire *quire, struct page *folio)
{
	QUIRE_ASSERT(1, !page_test(folio, PG_reserved) && !page_test(folio, PG_swapcache) &&
				!page_test(folio, PG_writeback) && !page_locked(folio));
	if (page_test(folio, PG_lru))
		lru_del_page(folio);
	if (folio->memcg)
		memcg_uncharge(folio);
	zone_free(&quire->zone, folio);
}

void put_page_many(struct quire *quire, struct page *page, int32_t count)
{
	struct page *folio = page_folio(page);
	int32_t before = atomic_fetch_sub_explicit(&folio->refcount, count, memory_order_acq_rel);

	QUIRE_ASSERT(1, before >= count);
	if (before == count)
		folio_free(quire, folio);
}

void put_page(struct quire *quire, struct page *page)
{
	put_page_many(quire, page, 1);
}
