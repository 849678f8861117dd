/* SPDX-License-Identifier: MIT */
/*
 * The soft machine: CPUs in software that walk Quire's page tables, each with a TLB of its own. It
 * runs anywhere and needs no privileges.
 *
 * A soft_cpu executes nothing; its owner calls it for each access that a program makes. Accesses
 * are checked, faults are served by Quire, and accessed and dirty bits are set in the page table as
 * a CPU sets them: accessed when an entry enters the TLB, dirty by the first write through it.
 *
 * Shootdown. An access looks at a TLB entry (or walks the tables) and then touches the frame; a
 * revocation must not return in between. So a CPU marks itself `inside` by a plain store around
 * each access, and revoke()
 *
 *   1. moves the CPU's generation on and clears its entries of the range,
 *   2. makes every CPU's stores visible and orders its loads after them (membarrier(2), which
 *      interrupts the other threads: that is what lets the access do without a fence),
 *   3. waits until each CPU that is inside has left.
 *
 * An access that begins after 2 misses the cleared entry and walks a page table that has changed
 * already; one that began before has ended. A walk that was under way fills its entry only if the
 * generation stands still meanwhile. CPUs of the revoking thread itself need no barrier and no
 * wait: they are not inside an access, as faults are served outside of it. Where membarrier is
 * refused, each access has a fence instead.
 *
 * Locks: O = the thread that owns the CPU, L = soft_mm->lock, A = atomic, C = constant.
 */
#ifndef QUIRE_MACHINE_SOFT_SOFT_H
#define QUIRE_MACHINE_SOFT_SOFT_H

#include <quire/quire.h>

#include "base/contents.h"
#include "base/list.h"
#include "base/types.h"
#include "core/pgtable/pgtable.h"

/* A race detector does not know membarrier, so its builds order everything by the atomics. */
#if QUIRE_TSAN
#define SOFT_ACCESS_ORDER memory_order_seq_cst
#else
#define SOFT_ACCESS_ORDER memory_order_relaxed
#endif

struct soft_machine;
struct soft_mm;

struct soft_params {
	bool real_clock; /* now() is the host's monotonic clock; else a count that is the same in
			    each run */
	bool populate;   /* give the arena its memory at once (benchmarks) */
	bool fenced;     /* do without membarrier even where it is there (tests) */
	bool by_frame;   /* go by the frames of a revocation, not its addresses (tests) */
};

/* A machine for any number of instances. `params` NULL: all false. 0, or -ENOMEM. */
QUIRE_MUST_CHECK int soft_machine_create(const struct soft_params *params,
					 struct quire_machine **machine);
/* All its instances and CPUs are gone. */
void soft_machine_destroy(struct quire_machine *machine);
/* Moves the counted clock on by `ns`; nothing with a real clock. */
void soft_machine_advance(struct quire_machine *machine, uint64_t ns);

#define SOFT_TLB_ENTRIES 512
/* Matches no page, as it is not aligned. */
#define SOFT_TAG_NONE ((uint64_t)1)

/*
 * Translation of one page. A tag is the page's address when that kind of access may use the entry.
 * `write` is only set when the page-table entry is dirty. Tags are set by O and cleared by anyone;
 * the bias is O's, written while all tags are clear.
 */
struct soft_tlb_entry {
	_Atomic uint64_t read;
	_Atomic uint64_t write;
	_Atomic uint64_t exec;
	_Atomic uint64_t bias; /* O, read by anyone: host address of a byte less its address in the
				  mm */
};

struct soft_cpu {
	_Atomic uint32_t inside;      /* A, written by O: an access is under way */
	bool fenced;                  /* C */
	_Atomic uint64_t generation;  /* A: moves on with each revocation by another thread */
	const void *base;             /* O: arena */
	pfn_t root;                   /* O: top-level table */
	quire_mm *mm;                 /* O: NULL: none */
	struct soft_mm *context;      /* O, and L: the mm's, or NULL */
	const void *owner;            /* L (O itself may read): the thread, see soft_cpu_switch() */
	struct list_head cpus;        /* L: of the mm's CPUs */
	struct soft_machine *machine; /* C */
	uint64_t walks;               /* O: TLB misses that walked the tables */
	uint64_t faults;              /* O: calls of quire_handle_fault() */
	struct soft_tlb_entry tlb[SOFT_TLB_ENTRIES] QUIRE_CACHE_ALIGNED;
};

/* Why an access stopped. */
struct soft_outcome {
	enum quire_signal signal;
	uint64_t address; /* si_addr: the first byte that could not be accessed */
	uint64_t done;    /* bytes before it that were */
};

/* A CPU that runs no mm, owned by the calling thread. 0, or -ENOMEM. */
QUIRE_MUST_CHECK int soft_cpu_create(struct quire_machine *machine, struct soft_cpu **cpu);
void soft_cpu_destroy(struct soft_cpu *cpu);
/*
 * The CPU runs `mm` from now on (NULL: none) and belongs to the calling thread, which alone may use
 * it until another thread calls this. Must be called with another mm or NULL before the mm exits or
 * execs.
 */
void soft_cpu_switch(struct soft_cpu *cpu, quire_mm *mm);

/*
 * Accesses. Each returns 0, or with *outcome filled in (which is untouched otherwise) -EFAULT, or
 * -ENOMEM: there is no memory for the page and no signal, as the verdict fell on another mm. A
 * store that fails leaves the bytes before the fault stored; memory behind it is untouched.
 * soft_fetch() reads as instruction fetch does. Any alignment; pages may be crossed. Bytes of one
 * page are accessed as one; aligned 8-byte accesses are atomic.
 */
QUIRE_MUST_CHECK int soft_load(struct soft_cpu *cpu, uint64_t address, void *buffer, uint64_t bytes,
			       struct soft_outcome *outcome);
QUIRE_MUST_CHECK int soft_store(struct soft_cpu *cpu, uint64_t address, const void *buffer,
				uint64_t bytes, struct soft_outcome *outcome);
QUIRE_MUST_CHECK int soft_fetch(struct soft_cpu *cpu, uint64_t address, void *buffer,
				uint64_t bytes, struct soft_outcome *outcome);
QUIRE_MUST_CHECK int soft_fill(struct soft_cpu *cpu, uint64_t address, uint64_t bytes,
			       uint8_t value, struct soft_outcome *outcome);
/* Copies within the mm, lowest byte first, through a buffer of a page. */
QUIRE_MUST_CHECK int soft_copy(struct soft_cpu *cpu, uint64_t to, uint64_t from, uint64_t bytes,
			       struct soft_outcome *outcome);
/*
 * Calls `span` for each piece of the range, in order, that lies in one page: for checksums and
 * searches without a copy. The memory is valid during the call only, which must not call Quire and
 * should be short, as a revocation waits for it. `access`: QUIRE_ACCESS_*; written only with WRITE.
 */
typedef void (*soft_span_fn)(void *context, void *memory, size_t bytes);
QUIRE_MUST_CHECK int soft_for_each_span(struct soft_cpu *cpu, uint64_t address, uint64_t bytes,
					int access, soft_span_fn span, void *context,
					struct soft_outcome *outcome);

/*
 * Atomic operations on 1, 2, 4 or 8 bytes, sequentially consistent. -EINVAL: another size, or an
 * address that is not a multiple of it. soft_cmpxchg() stores `desired` if the memory holds
 * *expected, which becomes what it held; both need write permission in any case.
 */
QUIRE_MUST_CHECK int soft_cmpxchg(struct soft_cpu *cpu, uint64_t address, uint32_t size,
				  uint64_t *expected, uint64_t desired,
				  struct soft_outcome *outcome);
QUIRE_MUST_CHECK int soft_fetch_add(struct soft_cpu *cpu, uint64_t address, uint32_t size,
				    uint64_t *value, struct soft_outcome *outcome);

/* Whether the TLB has an entry that this access may use: for tests and displays. */
bool soft_tlb_cached(const struct soft_cpu *cpu, uint64_t address, int access);

static inline QUIRE_UNWATCHED uint64_t soft_peek(uint64_t host)
{
	return *(const volatile contents_word *)(uintptr_t)host;
}

static inline QUIRE_UNWATCHED void soft_poke(uint64_t host, uint64_t value)
{
	*(volatile contents_word *)(uintptr_t)host = value;
}

static inline struct soft_tlb_entry *soft_tlb_entry(struct soft_cpu *cpu, uint64_t address)
{
	return &cpu->tlb[(address >> PAGE_SHIFT) % SOFT_TLB_ENTRIES];
}

static inline uint64_t soft_bias(const struct soft_tlb_entry *entry)
{
	return atomic_load_explicit(&entry->bias, memory_order_relaxed);
}

static inline void soft_enter(struct soft_cpu *cpu)
{
	atomic_store_explicit(&cpu->inside, 1, SOFT_ACCESS_ORDER);
#if !QUIRE_TSAN
	if (unlikely(cpu->fenced))
		atomic_thread_fence(memory_order_seq_cst);
	atomic_signal_fence(memory_order_seq_cst);
#endif
}

static inline void soft_leave(struct soft_cpu *cpu)
{
	atomic_store_explicit(&cpu->inside, 0, memory_order_release);
}

/* The fast paths: an 8-byte access within a page that the TLB has. */

static inline int soft_load_u64(struct soft_cpu *cpu, uint64_t address, uint64_t *value,
				struct soft_outcome *outcome)
{
	const struct soft_tlb_entry *entry = soft_tlb_entry(cpu, address);

	soft_enter(cpu);
	/* The page of the last byte: an access that crosses pages matches no tag. */
	if (likely(atomic_load_explicit(&entry->read, SOFT_ACCESS_ORDER) ==
		   PAGE_ALIGN_DOWN(address + 7))) {
		*value = soft_peek(soft_bias(entry) + address);
		soft_leave(cpu);
		return 0;
	}
	soft_leave(cpu);
	return soft_load(cpu, address, value, sizeof(*value), outcome);
}

static inline int soft_store_u64(struct soft_cpu *cpu, uint64_t address, uint64_t value,
				 struct soft_outcome *outcome)
{
	const struct soft_tlb_entry *entry = soft_tlb_entry(cpu, address);

	soft_enter(cpu);
	if (likely(atomic_load_explicit(&entry->write, SOFT_ACCESS_ORDER) ==
		   PAGE_ALIGN_DOWN(address + 7))) {
		soft_poke(soft_bias(entry) + address, value);
		soft_leave(cpu);
		return 0;
	}
	soft_leave(cpu);
	return soft_store(cpu, address, &value, sizeof(value), outcome);
}

#endif
