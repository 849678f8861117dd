/* SPDX-License-Identifier: MIT */
/*
 * Page tables in x86-64's 4-level format. Tables live in frames of the arena, so that hardware can
 * walk them.
 *
 * An entry is a 64-bit word that a CPU may change under us (accessed and dirty), so a present entry
 * is changed only by exchange or compare-and-exchange. An empty or non-present one is changed by a
 * plain atomic store under the lock.
 *
 * Present:
 *   [63] NX, [52..62] software, [12..51] frame, [6] D, [5] A, [2] U, [1] W, [0] P = 1
 *
 * A mapping without access (PROT_NONE) keeps its frame: P set, U clear, so that no user access
 * succeeds.
 *
 * Not present:
 *   [62] = 1 so that it is never all zero, [12..61] slot, [8] anon-exclusive, [3..7] type, [0] = 0
 *
 * The type is a swap area, or SWP_TYPE_GUARD: a guard marker (MADV_GUARD_INSTALL).
 *
 * Tables: upper levels change under mm->page_table_lock; entries of the last level under the lock
 * in the table's struct page (LOCK_PTE). A table is freed only with mm->mmap_lock held for writing,
 * after every VMA that it served has been unlinked from its reverse maps; so a reverse-map walk,
 * which holds the reverse map's lock, may use tables without mmap_lock.
 */
#ifndef QUIRE_CORE_PGTABLE_PGTABLE_H
#define QUIRE_CORE_PGTABLE_PGTABLE_H

#include "base/types.h"
#include "core/frame/frame.h"

struct mm_struct;
struct vm_area_struct;

typedef uint64_t pteval_t;
typedef _Atomic uint64_t pte_t;

#define PTE_PRESENT ((pteval_t)1 << 0)
#define PTE_WRITE ((pteval_t)1 << 1)
#define PTE_USER ((pteval_t)1 << 2)
#define PTE_ACCESSED ((pteval_t)1 << 5)
#define PTE_DIRTY ((pteval_t)1 << 6)
#define PTE_SPECIAL ((pteval_t)1 << 9) /* the frame is not counted: the zero page */
#define PTE_NX ((pteval_t)1 << 63)
#define PTE_FRAME_MASK (((pteval_t)1 << 52) - PAGE_SIZE)

/* An entry of an upper level: permissions are those of the last level alone. */
#define PTE_TABLE (PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED)

#define PTRS_PER_TABLE 512
/* Entries of a top-level table that are the mm's; those behind are the machine's. */
#define PTRS_PER_PGD_USER 256
#define PMD_SHIFT 21
#define PUD_SHIFT 30
#define PGD_SHIFT 39
#define PMD_SIZE ((uint64_t)1 << PMD_SHIFT)

#define SWP_TYPE_GUARD 31
#define MAX_SWAP_AREAS 8
#define SWP_EXCLUSIVE ((pteval_t)1 << 8)

/* A swap entry as kept in page->private, shmem's xarray and, encoded, in a pte: type and slot. 0 is
 * no entry. */
typedef struct {
	uint64_t value; /* (slot << 5 | type) + 1 */
} swp_entry_t;

static inline swp_entry_t swp_entry(uint32_t type, uint64_t slot)
{
	return (swp_entry_t){(slot << 5 | type) + 1};
}

static inline uint32_t swp_type(swp_entry_t entry)
{
	return (uint32_t)((entry.value - 1) & 31);
}

static inline uint64_t swp_slot(swp_entry_t entry)
{
	return (entry.value - 1) >> 5;
}

static inline pteval_t swp_entry_to_pte(swp_entry_t entry)
{
	return (swp_slot(entry) << 12) | ((pteval_t)swp_type(entry) << 3) | ((pteval_t)1 << 62);
}

static inline swp_entry_t pte_to_swp_entry(pteval_t pte)
{
	return swp_entry((uint32_t)(pte >> 3) & 31, (pte & (((pteval_t)1 << 62) - 1)) >> 12);
}

static inline pteval_t pte_make_marker(uint32_t type)
{
	return swp_entry_to_pte(swp_entry(type, 0));
}

static inline pteval_t pte_load(pte_t *pte)
{
	return atomic_load_explicit(pte, memory_order_acquire);
}

static inline bool pte_none(pteval_t pte)
{
	return pte == 0;
}

static inline bool pte_present(pteval_t pte)
{
	return pte & PTE_PRESENT;
}

static inline bool pte_marker(pteval_t pte, uint32_t type)
{
	return pte && !(pte & PTE_PRESENT) && ((pte >> 3) & 31) == type;
}

static inline bool pte_guard(pteval_t pte)
{
	return pte_marker(pte, SWP_TYPE_GUARD);
}

static inline bool pte_swap(pteval_t pte)
{
	return pte && !(pte & PTE_PRESENT) && ((pte >> 3) & 31) < MAX_SWAP_AREAS;
}

static inline pfn_t pte_pfn(pteval_t pte)
{
	return (pte & PTE_FRAME_MASK) >> PAGE_SHIFT;
}

static inline pteval_t pfn_pte(pfn_t pfn, pteval_t bits)
{
	return (pfn << PAGE_SHIFT) | bits;
}

/* Sets an entry that is not present, so that no CPU can be changing it. Under the table's lock. */
static inline void set_pte(pte_t *pte, pteval_t value)
{
	atomic_store_explicit(pte, value, memory_order_release);
}

/* Empties (or replaces) an entry and returns it with the final accessed and dirty bits. Under the
 * table's lock. */
static inline pteval_t pte_exchange(pte_t *pte, pteval_t value)
{
	return atomic_exchange_explicit(pte, value, memory_order_acq_rel);
}

/* Clears and sets bits of a present entry without losing concurrent A/D updates; returns the old
 * entry. */
static inline pteval_t pte_modify_bits(pte_t *pte, pteval_t clear, pteval_t set)
{
	pteval_t old = pte_load(pte);

	while (!atomic_compare_exchange_weak_explicit(pte, &old, (old & ~clear) | set,
						      memory_order_acq_rel, memory_order_acquire))
		;
	return old;
}

/* Place of an address in the table whose entries span 1 << shift bytes each. */
static inline uint32_t table_index(uint64_t address, uint32_t shift)
{
	return (address >> shift) & (PTRS_PER_TABLE - 1);
}

static inline uint32_t pte_index(uint64_t address)
{
	return table_index(address, PAGE_SHIFT);
}

/* How many entries of a table of this level are the mm's. */
static inline uint32_t table_entries_of_mm(uint32_t shift)
{
	return shift == PGD_SHIFT ? PTRS_PER_PGD_USER : PTRS_PER_TABLE;
}

/* The entries of the table in a frame of the arena at `base`. */
static inline pte_t *table_entries(const void *base, pfn_t table)
{
	return (pte_t *)((uintptr_t)base + (table << PAGE_SHIFT));
}

/*
 * The walk itself, as a CPU does it: the last-level entry for an address below 2^47, or NULL when a
 * table is missing. For those who keep the arena's base and the root at hand: machines.
 */
static inline pte_t *pte_walk(const void *base, pfn_t root, uint64_t address)
{
	pfn_t table = root;

	for (uint32_t shift = PGD_SHIFT; shift > PAGE_SHIFT; shift -= PGD_SHIFT - PUD_SHIFT) {
		pteval_t entry = pte_load(&table_entries(base, table)[table_index(address, shift)]);

		if (unlikely(!pte_present(entry)))
			return NULL;
		table = pte_pfn(entry);
	}
	return &table_entries(base, table)[pte_index(address)];
}

/* A new, empty top-level table / all remaining tables of the mm. 0 or -ENOMEM. */
QUIRE_MUST_CHECK int pgd_alloc(struct mm_struct *mm);
void pgd_free(struct mm_struct *mm);

/*
 * The entry for `address`, tables being made on the way; mmap_lock held. NULL: no frames. The
 * pointer stays valid while mmap_lock (or the reverse map's lock) is held. Does not take the
 * table's lock.
 */
pte_t *pte_alloc(struct mm_struct *mm, uint64_t address);
/* As pte_alloc(), but NULL when the tables are not there. Lock-free. */
pte_t *pte_find(struct mm_struct *mm, uint64_t address);
/* Start of the next region that has no last-level table missing: for walks that skip absent tables.
 * Returns the first address >= `address` and < `end` with a last-level table (its entry in *pte),
 * or `end` (NULL in *pte). */
uint64_t pte_find_next(struct mm_struct *mm, uint64_t address, uint64_t end, pte_t **pte);

/* The lock of the last-level table that holds this entry. */
struct spinlock *pte_lockptr(struct mm_struct *mm, pte_t *pte);

/*
 * Frees the tables that serve an address in [start, end), given that no VMA uses [floor, ceiling)
 * around it: those whose whole span lies in there. `floor` is the end of the VMA before (0: none),
 * `ceiling` the start of the VMA behind (0: none). mmap_lock held for writing, the range unmapped
 * and its VMAs unlinked from the reverse maps. The frames go through `tlb` (mmu_gather.h).
 */
struct mmu_gather;
void free_pgtables(struct mmu_gather *tlb, uint64_t start, uint64_t end, uint64_t floor,
		   uint64_t ceiling);

/* Every table and entry: formats, frames within the arena and in use, counts of tables, locks free.
 * mmap_lock held; no CPU runs the mm. */
void pgtable_validate(struct mm_struct *mm, struct check_report *report);

#endif
