/* SPDX-License-Identifier: MIT */
/*
 * For tests of what happens when memory is short: frames that the test takes, so that nobody else
 * has them.
 */
#ifndef QUIRE_CORE_FRAME_TAKEN_TEST_H
#define QUIRE_CORE_FRAME_TAKEN_TEST_H

#include "core/frame/frame.h"
#include "core/instance/instance.h"

#define TAKEN_MAX 4096 /* as many as an instance that such a test makes has */

struct taken {
	struct page *pages[TAKEN_MAX];
	uint32_t count;
};

/* False: there was none to be had in this way. */
static inline bool take(struct quire *quire, struct taken *taken, uint32_t gfp)
{
	struct page *page = alloc_page(quire, gfp);

	if (page)
		taken->pages[taken->count++] = page;
	return page;
}

static inline void give_back(struct quire *quire, struct taken *taken)
{
	while (taken->count)
		put_page(quire, taken->pages[--taken->count]);
}

#endif
