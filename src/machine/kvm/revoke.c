/* SPDX-License-Identifier: MIT */
/*
 * What KVM is told of changes in the page tables: what it may take over, and what it must forget.
 */
#define _GNU_SOURCE
#include "base/check.h"
#include "core/pgtable/pgtable.h"
#include "machine/kvm/internal.h"

#include <errno.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* Frames that follow each other. */
static void populate(const struct kvm_machine *kvm, pfn_t first, uint64_t count)
{
	if (count > 1)
		madvise(kvm->slots_base + (first << PAGE_SHIFT), count << PAGE_SHIFT,
			MADV_POPULATE_READ);
}

/*
 * The core hands out frames from the lowest one up. When it has come to one of these, what follows
 * gets memory at once, as one large page if the host can: that costs a small part of as many small
 * ones, each with a fault of its own.
 */
static void prepare_behind(struct kvm_machine *kvm, pfn_t pfn)
{
	const uint64_t offset = ((pfn << PAGE_SHIFT) | (LARGE_PAGE - 1)) + 1;
	uint64_t prepared = atomic_load_explicit(&kvm->prepared, memory_order_relaxed);

	if (offset < prepared ||
	    offset + LARGE_PAGE > atomic_load_explicit(&kvm->online, memory_order_relaxed) ||
	    !atomic_compare_exchange_strong_explicit(&kvm->prepared, &prepared, offset + LARGE_PAGE,
						     memory_order_relaxed, memory_order_relaxed))
		return;
	/* Where there is nothing at all, there is nothing to collapse. */
	madvise(kvm->base + offset, PAGE_SIZE, MADV_POPULATE_READ);
	madvise(kvm->base + offset, LARGE_PAGE, MADV_COLLAPSE);
}

/* The entries are of one table. */
static void publish_table(struct kvm_machine *kvm, pte_t *entries, uint32_t count)
{
	pfn_t first = 0;
	uint64_t run = 0;

	for (uint32_t i = 0; i < count; i++) {
		pteval_t entry = pte_load(&entries[i]);

		if (!pte_present(entry))
			continue;
		if (run && pte_pfn(entry) == first + run) {
			run++;
			continue;
		}
		populate(kvm, first, run);
		first = pte_pfn(entry);
		run = 1;
	}
	populate(kvm, first, run);
	if (run)
		prepare_behind(kvm, first + run - 1);
}

/*
 * KVM takes over the neighbours of an entry that it needs, up to seven, when they bear the accessed
 * bit and are in its mapping of the arena. If that is a mapping of its own, they are put there, if
 * it is several: the host does that for sixteen pages at once.
 */
void kvm_publish(struct quire_machine *machine, void *context, uint64_t start, uint64_t end)
{
	struct kvm_machine *kvm = to_kvm(machine);
	const pfn_t root = ((uintptr_t)context - (uintptr_t)kvm->base) >> PAGE_SHIFT;

	if (kvm->slots_base == kvm->base)
		return;
	for (uint64_t address = start; address < end;) {
		const uint64_t next = min_u64((address | (PMD_SIZE - 1)) + 1, end);
		pte_t *entries = pte_walk(kvm->base, root, address);

		if (entries)
			publish_table(kvm, entries, (uint32_t)((next - address) >> PAGE_SHIFT));
		address = next;
	}
}

/*
 * Taking away a protection that is not there changes nothing, and the host need interrupt no CPU
 * for it; but it tells KVM all the same. It can only be asked to come again; after any other answer
 * frames would be reused that CPUs still reach, so there the run ends.
 */
static void forget_unprotected(const struct kvm_machine *kvm, uint64_t offset, uint64_t bytes)
{
	struct uffdio_writeprotect nothing = {
		.range = {(uintptr_t)kvm->base + offset, bytes},
		.mode = UFFDIO_WRITEPROTECT_MODE_DONTWAKE,
	};

	while (ioctl(kvm->userfaultfd, UFFDIO_WRITEPROTECT, &nothing) != 0)
		QUIRE_ASSERT(0, errno == EAGAIN);
}

/* KVM forgets what it knows of these frames. Cannot fail: the range lies in mappings of ours, and
 * nothing is split by it. */
static void forget(const struct kvm_machine *kvm, uint64_t offset, uint64_t bytes)
{
	if (!bytes)
		return;
	if (kvm->userfaultfd >= 0)
		forget_unprotected(kvm, offset, bytes);
	else
		madvise(kvm->slots_base + offset, bytes, MADV_DONTNEED);
}

/*
 * Complete for this reason. KVM never holds a translation to a page that is not in the mapping it
 * was given, so it follows every change of that mapping: before the host changes what a range maps,
 * or how, KVM is told, zaps each of its own entries that leads to one of them (whatever guest
 * address it is for), sends every CPU that is in guest mode out of it to flush its TLB, and waits
 * for that. A CPU that is about to install an entry has read ours; it looks again under the lock
 * that the zapping needs, and finds it changed, as the caller changed it before; or it was earlier,
 * and is zapped. Accessed and dirty bits are set in our entries before KVM uses them (or by the CPU
 * itself).
 */
void kvm_revoke(struct quire_machine *machine, void *context, const struct quire_revoke *revoke)
{
	struct kvm_machine *kvm = to_kvm(machine);

	(void)context;
	if (revoke->all_frames)
		forget(kvm, 0, atomic_load_explicit(&kvm->online, memory_order_acquire));
	for (uint32_t i = 0; i < revoke->nr_frames; i++)
		forget(kvm, revoke->frames[i].first << PAGE_SHIFT,
		       revoke->frames[i].count << PAGE_SHIFT);
}

/*
 * Without hardware paging KVM knows a table by its frame, and keeps its shadow, linked into that of
 * the parent, as long as nobody writes to the table from within the guest. With it, a CPU may keep
 * the place of a table in its caches of upper levels. Deleting any slot drops all shadows and all
 * roots, and makes every CPU start again from the top (that is KVM's promise for ordinary VMs).
 */
void kvm_forget_tables(struct quire_machine *machine)
{
	struct kvm_machine *kvm = to_kvm(machine);
	const uint64_t gpa = kvm->kernel_gpa + KERNEL_PAGES * PAGE_SIZE;

	pthread_mutex_lock(&kvm->slots_lock);
	/* The memory is never used: any page of ours will do. */
	(void)!kvm_set_slot(kvm, KVM_SLOT_FORGET, gpa, kvm->kernel, PAGE_SIZE);
	(void)!kvm_set_slot(kvm, KVM_SLOT_FORGET, gpa, NULL, 0);
	pthread_mutex_unlock(&kvm->slots_lock);
}
