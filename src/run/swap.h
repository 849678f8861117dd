/* SPDX-License-Identifier: MIT */
/*
 * Where a run swaps to.
 */
#ifndef QUIRE_RUN_SWAP_H
#define QUIRE_RUN_SWAP_H

#include "run/run.h"

/*
 * A store of `bytes` for run->options.swap: memory of Quire's own, or a file, which
 * is made for the run alone, readable by its owner only, and loses its name at once, so that
 * nothing is left of it however the run ends. 0; -EEXIST: there is a file of this name, which is
 * never touched; other errors of open(2) and ftruncate(2).
 */
QUIRE_MUST_CHECK int swap_store_create(const struct run *run, uint64_t bytes,
				       struct quire_store **store);

#endif
