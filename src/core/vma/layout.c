/* SPDX-License-Identifier: MIT */
/*
 * Where things lie in an address space, as on x86-64 Linux:
 *
 *   0          nothing below MMAP_MIN_ADDR but what the privileged put there
 *   4M         a program linked for a fixed address
 *   2/3        a position-independent program, then its heap, growing up; only the heap when the
 *              program has no interpreter, as it lies in the mmap area then
 *   mmap_base  mappings, from here downwards
 *              room for the stack to grow (LIMIT_STACK, 128 MiB at least), and its guard gap
 *   task_size  the stack, growing down
 *
 * With a seed in the instance each of the last four moves by a random number of pages, unless the
 * mm is not to be randomised.
 */
#include "core/instance/instance.h"
#include "core/vma/mm.h"

#define STACK_GAP_MIN ((uint64_t)128 << 20)
#define STACK_GAP_MAX (TASK_SIZE_MAX / 6 * 5)
#define ELF_ET_DYN_BASE (TASK_SIZE_MAX / 3 * 2)

/* Width of the random part, in pages. */
#define STACK_RANDOM_PAGES ((uint64_t)1 << 22)
#define MMAP_RANDOM_PAGES ((uint64_t)1 << 28)
#define BRK_RANDOM_PAGES ((uint64_t)1 << 13)

static bool is_randomized(const struct mm_struct *mm)
{
	return mm->quire->params.seed && !mm->no_randomize;
}

/* Bytes, a whole number of pages below `pages`; 0 when nothing is random. */
static uint64_t random_offset(struct mm_struct *mm, uint64_t pages)
{
	struct quire *quire = mm->quire;
	uint64_t page;

	if (!is_randomized(mm))
		return 0;
	spin_lock(&quire->prng_lock);
	page = prng_below(&quire->prng, pages);
	spin_unlock(&quire->prng_lock);
	return page << PAGE_SHIFT;
}

void arch_pick_mmap_layout(struct mm_struct *mm)
{
	uint64_t pad = STACK_GUARD_GAP;
	uint64_t gap = mm->limit[LIMIT_STACK];

	if (is_randomized(mm))
		pad += STACK_RANDOM_PAGES << PAGE_SHIFT;
	if (gap + pad > gap)
		gap += pad;
	gap = min_u64(max_u64(gap, STACK_GAP_MIN), STACK_GAP_MAX);
	mm->mmap_base = PAGE_ALIGN(mm->task_size - gap - random_offset(mm, MMAP_RANDOM_PAGES));
}

uint64_t randomize_stack_top(struct mm_struct *mm)
{
	return mm->task_size - random_offset(mm, STACK_RANDOM_PAGES);
}

uint64_t elf_et_dyn_base(struct mm_struct *mm)
{
	return PAGE_ALIGN_DOWN(ELF_ET_DYN_BASE) + random_offset(mm, MMAP_RANDOM_PAGES);
}

uint64_t elf_et_dyn_brk(struct mm_struct *mm)
{
	return arch_randomize_brk(mm, ELF_ET_DYN_BASE);
}

uint64_t arch_randomize_brk(struct mm_struct *mm, uint64_t brk)
{
	return PAGE_ALIGN(brk) + random_offset(mm, BRK_RANDOM_PAGES);
}
