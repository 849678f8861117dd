/* SPDX-License-Identifier: MIT */
/*
 * machine.h - what the core asks of a machine: the thing that puts page tables in front of a CPU.
 *
 * The page table (x86-64 format, 4 levels, pages of it in frames) is the only truth. Whatever a
 * machine holds beside it is a cache of it. The core tells a machine when an entry changed; the
 * machine sets accessed and dirty bits in entries, always with atomic operations.
 *
 * The upper half of a top-level table (entries 256 to 511) is the machine's: the core neither looks
 * at it nor changes it. It is zero when mm_create() gets the table, and tables that it refers to
 * are not the core's.
 *
 * Functions are called from any thread, also with Quire's locks held, so none of them may call back
 * into Quire.
 */
#ifndef QUIRE_MACHINE_H
#define QUIRE_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct quire_machine;

/* Frames are numbered from the start of the arena: frame n is the 4096 bytes at base + n * 4096. */
struct quire_frame_range {
	uint64_t first;
	uint64_t count;
};

/*
 * Entries that became absent or less permissive: they lie in [start, end) bytes of the mm's
 * addresses, and `frames` has every frame that one of them mapped, also uncounted ones (the zero
 * page). The ranges are not empty; they are in no order, and a frame may stand in several. A frame
 * may still be mapped elsewhere, in this mm or another. No frames at all: only tables went.
 */
struct quire_revoke {
	uint64_t start;
	uint64_t end;
	const struct quire_frame_range *frames;
	uint32_t nr_frames; /* ranges */
	bool all_frames;    /* too many to name: any frame of the arena (`frames` is empty) */
};

struct quire_machine_ops {
	const char *name;

	/*
	 * Memory for `bytes` bytes of frames (a multiple of 4096), zero-filled, at least
	 * page-aligned, the same for all mms. 0 and the address in *base, or -ENOMEM. Called once
	 * for each instance.
	 */
	int (*arena_create)(struct quire_machine *machine, uint64_t bytes, void **base);
	void (*arena_destroy)(struct quire_machine *machine, void *base, uint64_t bytes);
	/*
	 * Frames from `offset` on, `bytes` bytes of them, will be used from now on. The arena comes
	 * online section by section, in order, each when it is needed for the first time: the first
	 * one within quire_create(), after arena_create(). Others may have locks held, so it should
	 * not take long. 0 or -errno: the section is not used, perhaps tried again later. NULL:
	 * there is nothing to do.
	 */
	int (*arena_online)(struct quire_machine *machine, uint64_t offset, uint64_t bytes);

	/*
	 * A new mm whose top-level table is the frame `root`. *context is the machine's own and
	 * comes back in the calls below. 0 or -errno (ENOMEM).
	 */
	int (*mm_create)(struct quire_machine *machine, uint64_t root, void **context);
	/* No CPU runs this mm any more and no translation of it may be left. */
	void (*mm_destroy)(struct quire_machine *machine, void *context);

	/*
	 * Entries in [start, end) bytes became present or more permissive. A hint: NULL where the
	 * machine walks the tables itself and takes a missing entry as a reason to walk again.
	 */
	void (*publish)(struct quire_machine *machine, void *context, uint64_t start, uint64_t end);

	/*
	 * Entries became absent or less permissive. When it returns, no CPU uses an older
	 * translation of them, and every accessed or dirty bit that a CPU set through one stands in
	 * memory. A machine may go by the addresses in this mm, or by the frames wherever they are
	 * mapped; either is enough. Cannot fail.
	 */
	void (*revoke)(struct quire_machine *machine, void *context,
		       const struct quire_revoke *revoke);

	/*
	 * The frames of page tables that were taken out of their mm before this call are about to
	 * be used for something else: when it returns, no CPU and nothing that the machine keeps
	 * knows them as tables. (Their entries were empty and revoked before, but a machine may
	 * keep the place of a table that is gone.) Called seldom, for many tables at once, perhaps
	 * by several threads, when no spin lock is held but perhaps an mmap_lock or page locks.
	 * NULL: revoke() and mm_destroy() forget tables as well; a table's frame is used again
	 * after those.
	 */
	void (*forget_tables)(struct quire_machine *machine);

	/* Monotonic nanoseconds. The deterministic machine returns a count of its own. */
	uint64_t (*now)(struct quire_machine *machine);
};

struct quire_machine {
	const struct quire_machine_ops *ops;
};

#ifdef __cplusplus
}
#endif

#endif
