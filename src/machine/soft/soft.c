/* SPDX-License-Identifier: MIT */
/*
 * The soft machine's side of quire/machine.h: arena, clock, and an mm's list of CPUs.
 */
#include "machine/soft/soft.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "machine/soft/internal.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Alignment of the arena, so that the host can back it by large pages. */
#define ARENA_ALIGN ((uint64_t)2 << 20)
/* What each look at the counted clock adds. */
#define CLOCK_STEP_NS 1000

static struct soft_machine *to_soft(struct quire_machine *machine)
{
	return container_of(machine, struct soft_machine, machine);
}

bool soft_barrier_available(void)
{
	/* In a program that was registered once, registering again does nothing. */
	return !syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
}

void soft_barrier_all_threads(void)
{
	/* Cannot fail once the process is registered. */
	syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

static int soft_arena_create(struct quire_machine *machine, uint64_t bytes, void **base)
{
	struct soft_machine *soft = to_soft(machine);

	if (bytes > SIZE_MAX - ARENA_ALIGN || quire_should_fail(FAIL_MACHINE))
		return -ENOMEM;

	char *memory = mmap(NULL, bytes + ARENA_ALIGN, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return -ENOMEM;

	uint64_t lead = -(uintptr_t)memory & (ARENA_ALIGN - 1);

	/* Trims to an aligned arena; a piece left over at either end costs address space only. */
	if (lead)
		munmap(memory, lead);
	munmap(memory + lead + bytes, ARENA_ALIGN - lead);
	memory += lead;
	/* Without large pages, or without memory at once, it is merely slower. */
	madvise(memory, bytes, MADV_HUGEPAGE);
	if (soft->params.populate)
		madvise(memory, bytes, MADV_POPULATE_WRITE);
	*base = memory;
	return 0;
}

static void soft_arena_destroy(struct quire_machine *machine, void *base, uint64_t bytes)
{
	(void)machine;
	munmap(base, bytes);
}

static int soft_mm_create(struct quire_machine *machine, uint64_t root, void **context)
{
	struct soft_mm *mm;

	(void)machine;
	(void)root;
	mm = quire_should_fail(FAIL_MACHINE) ? NULL : quire_zalloc(sizeof(*mm));
	if (!mm)
		return -ENOMEM;
	spin_lock_init(&mm->lock, LOCK_LEAF);
	list_init(&mm->cpus);
	*context = mm;
	return 0;
}

static void soft_mm_destroy(struct quire_machine *machine, void *context)
{
	struct soft_mm *mm = context;

	(void)machine;
	QUIRE_ASSERT(1, list_empty(&mm->cpus));
	quire_free(mm);
}

static uint64_t soft_now(struct quire_machine *machine)
{
	struct soft_machine *soft = to_soft(machine);

	if (soft->params.real_clock) {
		struct timespec now;

		clock_gettime(CLOCK_MONOTONIC, &now);
		return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	}
	return atomic_fetch_add_explicit(&soft->clock, CLOCK_STEP_NS, memory_order_relaxed) +
	       CLOCK_STEP_NS;
}

static const struct quire_machine_ops soft_ops = {
	.name = "soft",
	.arena_create = soft_arena_create,
	.arena_destroy = soft_arena_destroy,
	.mm_create = soft_mm_create,
	.mm_destroy = soft_mm_destroy,
	.revoke = soft_revoke,
	.now = soft_now,
};

int soft_machine_create(const struct soft_params *params, struct quire_machine **machine)
{
	struct soft_machine *soft = quire_zalloc(sizeof(*soft));

	if (!soft)
		return -ENOMEM;
	soft->machine.ops = &soft_ops;
	if (params)
		soft->params = *params;
	if (!soft->params.fenced)
		soft->params.fenced = !soft_barrier_available();
	*machine = &soft->machine;
	return 0;
}

void soft_machine_destroy(struct quire_machine *machine)
{
	if (machine)
		quire_free(to_soft(machine));
}

void soft_machine_advance(struct quire_machine *machine, uint64_t ns)
{
	atomic_fetch_add_explicit(&to_soft(machine)->clock, ns, memory_order_relaxed);
}
