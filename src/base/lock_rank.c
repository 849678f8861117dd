/* SPDX-License-Identifier: MIT */
/*
 * Which ranks the calling thread holds, and whether it may take one more (base/lock.h). A wrong
 * order aborts before the thread waits, so that a possible deadlock shows in any run that merely
 * takes the locks, not only in the run that hangs.
 */
#include "base/lock.h"

#include <stdio.h>
#include <stdlib.h>

/* More locks than any path of Quire holds at once. */
#define MOST_HELD 48

static _Thread_local struct {
	uint32_t count;
	enum lock_rank ranks[MOST_HELD]; /* in the order of taking */
} held;

static const char *rank_name(enum lock_rank rank)
{
	static const char *const names[LOCK_RANKS] = {
		[LOCK_NONE] = "NONE",
		[LOCK_INSTANCE] = "INSTANCE",
		[LOCK_INODE] = "INODE",
		[LOCK_MMAP] = "MMAP",
		[LOCK_INVALIDATE] = "INVALIDATE",
		[LOCK_PAGE] = "PAGE",
		[LOCK_I_MMAP] = "I_MMAP",
		[LOCK_ANON_VMA] = "ANON_VMA",
		[LOCK_PAGE_TABLE] = "PAGE_TABLE",
		[LOCK_PTE] = "PTE",
		[LOCK_GROUP] = "GROUP",
		[LOCK_LRU] = "LRU",
		[LOCK_I_PAGES] = "I_PAGES",
		[LOCK_SWAP] = "SWAP",
		[LOCK_FRAME_CACHE] = "FRAME_CACHE",
		[LOCK_ZONE] = "ZONE",
		[LOCK_LEAF] = "LEAF",
	};

	return rank < LOCK_RANKS && names[rank] ? names[rank] : "(unknown rank)";
}

__attribute__((noreturn, cold)) static void rank_error(const char *what, enum lock_rank rank)
{
	fprintf(stderr, "lock rank: %s %s (%u), held in the order of taking:", what,
		rank_name(rank), rank);
	for (uint32_t i = 0; i < held.count; i++)
		fprintf(stderr, " %s (%u)", rank_name(held.ranks[i]), held.ranks[i]);
	fputs("\n", stderr);
	abort();
}

static enum lock_rank highest_held(void)
{
	enum lock_rank highest = LOCK_NONE;

	for (uint32_t i = 0; i < held.count; i++)
		if (held.ranks[i] > highest)
			highest = held.ranks[i];
	return highest;
}

void lock_rank_push(enum lock_rank rank, enum lock_rank_how how)
{
	if (rank == LOCK_NONE)
		return;
	if (how != LOCK_RANK_TRY) {
		enum lock_rank highest = highest_held();

		if (rank < highest || (rank == highest && how == LOCK_RANK_ORDERED))
			rank_error("wrong order, taking", rank);
	}
	if (held.count == MOST_HELD)
		rank_error("too many locks, taking", rank);
	held.ranks[held.count++] = rank;
}

void lock_rank_pop(enum lock_rank rank)
{
	if (rank == LOCK_NONE)
		return;
	for (uint32_t i = held.count; i-- > 0;) {
		if (held.ranks[i] != rank)
			continue;
		for (held.count--; i < held.count; i++)
			held.ranks[i] = held.ranks[i + 1];
		return;
	}
	rank_error("not held, releasing", rank);
}

void lock_rank_check_none(void)
{
	if (held.count)
		rank_error("still held, first", held.ranks[0]);
}
