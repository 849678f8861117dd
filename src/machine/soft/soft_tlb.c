/* SPDX-License-Identifier: MIT */
/*
 * CPUs of the soft machine: their TLBs, the walk that fills them, and shootdown (soft.h has the
 * protocol).
 */
#include "machine/soft/soft.h"

#include "base/alloc.h"
#include "core/instance/instance.h"
#include "core/vma/mm.h"
#include "machine/soft/internal.h"

#include <errno.h>

const void *soft_thread_identity(void)
{
	static _Thread_local char identity;

	return &identity;
}

static void clear_tag(_Atomic uint64_t *tag)
{
	atomic_store_explicit(tag, SOFT_TAG_NONE, SOFT_ACCESS_ORDER);
}

static void clear_entry(struct soft_tlb_entry *entry)
{
	clear_tag(&entry->read);
	clear_tag(&entry->write);
	clear_tag(&entry->exec);
}

static void clear_all(struct soft_cpu *cpu)
{
	for (uint32_t i = 0; i < SOFT_TLB_ENTRIES; i++)
		clear_entry(&cpu->tlb[i]);
}

int soft_cpu_create(struct quire_machine *machine, struct soft_cpu **cpu)
{
	struct soft_cpu *new = quire_zalloc_aligned(64, sizeof(*new));

	if (!new)
		return -ENOMEM;
	new->machine = container_of(machine, struct soft_machine, machine);
	new->fenced = new->machine->params.fenced;
	new->owner = soft_thread_identity();
	clear_all(new);
	*cpu = new;
	return 0;
}

void soft_cpu_destroy(struct soft_cpu *cpu)
{
	if (!cpu)
		return;
	soft_cpu_switch(cpu, NULL);
	quire_free(cpu);
}

/* Off the mm's list: nobody revokes here any more, so nothing may stay cached. */
static void detach(struct soft_cpu *cpu)
{
	struct soft_mm *context = cpu->context;

	if (!context)
		return;
	spin_lock(&context->lock);
	list_del(&cpu->cpus);
	cpu->context = NULL;
	spin_unlock(&context->lock);
	clear_all(cpu);
}

void soft_cpu_switch(struct soft_cpu *cpu, quire_mm *mm)
{
	QUIRE_ASSERT(1, !atomic_load_explicit(&cpu->inside, memory_order_relaxed));
	detach(cpu);
	cpu->owner = soft_thread_identity();
	cpu->mm = mm;
	if (!mm)
		return;
	cpu->base = mm->quire->zone.base;
	cpu->root = mm->pgd;

	struct soft_mm *context = mm->machine_context;

	/* A revocation before this saw the entry changed already; one after it sees this CPU. */
	spin_lock(&context->lock);
	list_add_tail(&cpu->cpus, &context->cpus);
	cpu->context = context;
	spin_unlock(&context->lock);
}

/*
 * Another thread's revocation may clear a tag of the page while the owner puts another page in its
 * place: then that one is lost, which is only a miss. Each tag is looked at by itself, as such a
 * race may have left any of them alone.
 */
static void clear_tag_of(_Atomic uint64_t *tag, uint64_t start, uint64_t end)
{
	uint64_t page = atomic_load_explicit(tag, memory_order_seq_cst);

	if (page >= start && page < end)
		clear_tag(tag);
}

static void clear_entry_of(struct soft_tlb_entry *entry, uint64_t start, uint64_t end)
{
	clear_tag_of(&entry->read, start, end);
	clear_tag_of(&entry->write, start, end);
	clear_tag_of(&entry->exec, start, end);
}

static void clear_range(struct soft_cpu *cpu, uint64_t start, uint64_t end)
{
	if ((end - start) >> PAGE_SHIFT >= SOFT_TLB_ENTRIES) {
		for (uint32_t i = 0; i < SOFT_TLB_ENTRIES; i++)
			clear_entry_of(&cpu->tlb[i], start, end);
		return;
	}
	for (uint64_t page = start; page < end; page += PAGE_SIZE)
		clear_entry_of(soft_tlb_entry(cpu, page), page, page + PAGE_SIZE);
}

static bool names_frame(const struct quire_revoke *revoke, pfn_t pfn)
{
	for (uint32_t i = 0; i < revoke->nr_frames; i++)
		if (pfn - revoke->frames[i].first < revoke->frames[i].count)
			return true;
	return revoke->all_frames;
}

/*
 * As a machine does that knows translations by frame. An entry that its owner replaces meanwhile
 * may show the tag of one page and the bias of another: then the owner started after the revocation
 * did, or finds the generation changed.
 */
static void clear_frames(struct soft_cpu *cpu, const struct quire_revoke *revoke)
{
	for (uint32_t i = 0; i < SOFT_TLB_ENTRIES; i++) {
		struct soft_tlb_entry *entry = &cpu->tlb[i];
		_Atomic uint64_t *tags[] = {&entry->read, &entry->write, &entry->exec};

		for (size_t kind = 0; kind < ARRAY_SIZE(tags); kind++) {
			uint64_t page = atomic_load_explicit(tags[kind], memory_order_seq_cst);
			uint64_t host = soft_bias(entry) + page - (uint64_t)(uintptr_t)cpu->base;

			if (page != SOFT_TAG_NONE && names_frame(revoke, host >> PAGE_SHIFT))
				clear_tag(tags[kind]);
		}
	}
}

/* Steps 2 and 3 of the protocol, for the CPUs of other threads; context->lock held. */
static void wait_until_outside(struct soft_machine *soft, struct soft_mm *context, const void *self)
{
	struct soft_cpu *cpu;

#if !QUIRE_TSAN
	if (soft->params.fenced)
		atomic_thread_fence(memory_order_seq_cst);
	else
		soft_barrier_all_threads();
#else
	(void)soft;
#endif
	list_for_each_entry (cpu, &context->cpus, cpus) {
		if (cpu->owner == self)
			continue;
		for (uint32_t spins = 0; atomic_load_explicit(&cpu->inside, memory_order_seq_cst);
		     spins++)
			quire_relax(spins);
	}
}

void soft_revoke(struct quire_machine *machine, void *context, const struct quire_revoke *revoke)
{
	struct soft_machine *soft = container_of(machine, struct soft_machine, machine);
	struct soft_mm *mm = context;
	const void *self = soft_thread_identity();
	bool others = false;
	struct soft_cpu *cpu;

	spin_lock(&mm->lock);
	list_for_each_entry (cpu, &mm->cpus, cpus) {
		if (cpu->owner == self) {
			QUIRE_ASSERT(1, !atomic_load_explicit(&cpu->inside, memory_order_relaxed));
		} else {
			others = true;
			atomic_fetch_add_explicit(&cpu->generation, 1, memory_order_seq_cst);
		}
		if (unlikely(soft->params.by_frame))
			clear_frames(cpu, revoke);
		else
			clear_range(cpu, revoke->start, revoke->end);
	}
	if (others)
		wait_until_outside(soft, mm, self);
	spin_unlock(&mm->lock);
}

/* Whether the entry allows the access. */
static bool pte_allows(pteval_t pte, int access)
{
	pteval_t needed = PTE_PRESENT | PTE_USER;

	if (access == QUIRE_ACCESS_WRITE)
		needed |= PTE_WRITE;
	if ((pte & needed) != needed)
		return false;
	return access != QUIRE_ACCESS_EXEC || !(pte & PTE_NX);
}

/*
 * Walks the tables for an access, setting accessed (and dirty) bits as a CPU does. The entry, or 0
 * when it forbids the access. The CPU is inside.
 */
static pteval_t walk(struct soft_cpu *cpu, uint64_t address, int access)
{
	pteval_t set = access == QUIRE_ACCESS_WRITE ? PTE_ACCESSED | PTE_DIRTY : PTE_ACCESSED;
	pte_t *pte = address < TASK_SIZE_MAX ? pte_walk(cpu->base, cpu->root, address) : NULL;

	if (!pte)
		return 0;
	cpu->walks++;
	for (pteval_t value = pte_load(pte);;) {
		if (!pte_allows(value, access))
			return 0;
		if ((value & set) == set ||
		    atomic_compare_exchange_weak_explicit(
			    pte, &value, value | set, memory_order_acq_rel, memory_order_acquire))
			return value | set;
	}
}

/*
 * Puts a translation into the TLB unless a revocation came meanwhile: it stores the tags and then
 * looks at the generation; revoke() moves the generation on and then looks at the tags. All four
 * are sequentially consistent, so one of the two sees the other and clears the tags.
 */
static void fill(struct soft_cpu *cpu, uint64_t address, pteval_t pte, uint64_t generation)
{
	struct soft_tlb_entry *entry = soft_tlb_entry(cpu, address);
	uint64_t page = PAGE_ALIGN_DOWN(address);

	clear_entry(entry);
	atomic_store_explicit(&entry->bias,
			      (uint64_t)(uintptr_t)cpu->base + (pte_pfn(pte) << PAGE_SHIFT) - page,
			      memory_order_relaxed);
	if ((pte & PTE_WRITE) && (pte & PTE_DIRTY))
		atomic_store_explicit(&entry->write, page, memory_order_relaxed);
	if (!(pte & PTE_NX))
		atomic_store_explicit(&entry->exec, page, memory_order_relaxed);
	atomic_store_explicit(&entry->read, page, memory_order_seq_cst);
	if (unlikely(atomic_load_explicit(&cpu->generation, memory_order_seq_cst) != generation))
		clear_entry(entry);
}

static _Atomic uint64_t *tag_for(struct soft_tlb_entry *entry, int access)
{
	if (access == QUIRE_ACCESS_WRITE)
		return &entry->write;
	return access == QUIRE_ACCESS_EXEC ? &entry->exec : &entry->read;
}

bool soft_tlb_cached(const struct soft_cpu *cpu, uint64_t address, int access)
{
	struct soft_tlb_entry *entry = soft_tlb_entry((struct soft_cpu *)(uintptr_t)cpu, address);

	return atomic_load_explicit(tag_for(entry, access), memory_order_relaxed) ==
	       PAGE_ALIGN_DOWN(address);
}

/* A translation of the page, with the CPU inside, or 0 and the CPU outside. */
static uint64_t translate_once(struct soft_cpu *cpu, uint64_t address, int access)
{
	struct soft_tlb_entry *entry = soft_tlb_entry(cpu, address);

	soft_enter(cpu);
	if (likely(atomic_load_explicit(tag_for(entry, access), SOFT_ACCESS_ORDER) ==
		   PAGE_ALIGN_DOWN(address)))
		return soft_bias(entry) + address;

	uint64_t generation = atomic_load_explicit(&cpu->generation, memory_order_seq_cst);
	pteval_t pte = walk(cpu, address, access);

	if (!pte) {
		soft_leave(cpu);
		return 0;
	}
	fill(cpu, address, pte, generation);
	/* The frame stays ours to use until we leave, even if the entry was cleared again. */
	return (uint64_t)(uintptr_t)cpu->base + (pte_pfn(pte) << PAGE_SHIFT) + PAGE_OFFSET(address);
}

uint64_t soft_translate(struct soft_cpu *cpu, uint64_t address, int access,
			struct soft_outcome *outcome)
{
	QUIRE_ASSERT(1, cpu->mm && cpu->owner == soft_thread_identity());
	for (;;) {
		uint64_t host = translate_once(cpu, address, access);

		if (likely(host))
			return host;
		cpu->faults++;

		enum quire_signal signal = QUIRE_SIGNAL_NONE;

		if (quire_handle_fault(cpu->mm, address, access, &signal)) {
			outcome->signal = signal;
			outcome->address = address;
			return 0;
		}
	}
}
