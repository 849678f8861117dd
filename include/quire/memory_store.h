/* SPDX-License-Identifier: MIT */
/*
 * A store in memory: for swap without a file, and for tests. Pages come when they are first written
 * and go when they are discarded or cut off; what was never written reads as zero and takes no
 * memory. Writing beyond the end makes the store longer. Every transfer is done in submit().
 */
#ifndef QUIRE_MEMORY_STORE_H
#define QUIRE_MEMORY_STORE_H

#include <quire/store.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A writable store of `bytes` zero bytes. 0 and *store, or -ENOMEM. */
int quire_memory_store_create(uint64_t bytes, struct quire_store **store);

/* Number of pages that take memory. */
uint64_t quire_memory_store_pages(struct quire_store *store);

#ifdef __cplusplus
}
#endif

#endif
