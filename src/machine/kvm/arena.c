/* SPDX-License-Identifier: MIT */
/*
 * The arena, the slots of guest-physical memory that it is given to KVM in, and what makes KVM
 * forget.
 */
#define _GNU_SOURCE
#include "base/fail.h"
#include "core/pgtable/pgtable.h"
#include "machine/kvm/internal.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define LARGE_PAGE PMD_SIZE
/* Programs smaller than this do without large pages. */
#define PREPARE_FROM (2 * LARGE_PAGE)

#define FRAMES_PER_SHADOW_PAGE 8
/* Less is refused, or not enough. */
#define SHADOW_PAGES_MIN 1024

int kvm_set_slot(const struct kvm_machine *kvm, uint32_t slot, uint64_t gpa, void *memory,
		 uint64_t bytes)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)memory,
	};

	return ioctl(kvm->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? -errno : 0;
}

/* Addresses at a multiple of a large page's size; NULL: there is no room. */
static char *reserve(uint64_t bytes)
{
	const uint64_t room = bytes + LARGE_PAGE;
	char *memory, *aligned;

	memory = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return NULL;
	aligned = memory + (-(uintptr_t)memory & (LARGE_PAGE - 1));
	if (aligned > memory)
		munmap(memory, (size_t)(aligned - memory));
	munmap(aligned + bytes, (size_t)(memory + room - (aligned + bytes)));
	return aligned;
}

/*
 * Shared memory without a file: no limit on the size of files concerns it. Moving nothing of a
 * shared mapping elsewhere is Linux's way to map it once more.
 */
static int map_twice(struct kvm_machine *kvm, uint64_t bytes)
{
	char *base = reserve(bytes), *slots_base = reserve(bytes);

	if (!base || !slots_base ||
	    mmap(base, bytes, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED ||
	    mremap(base, 0, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, slots_base) == MAP_FAILED) {
		if (base)
			munmap(base, bytes);
		if (slots_base)
			munmap(slots_base, bytes);
		return -ENOMEM;
	}
	/* The program's memory is no use in a dump of this process without its page tables. */
	madvise(base, bytes, MADV_DONTDUMP);
	madvise(slots_base, bytes, MADV_DONTDUMP);
	madvise(slots_base, bytes, MADV_DONTFORK);
	/* Dropping one page of a large one would drop them all. */
	madvise(slots_base, bytes, MADV_NOHUGEPAGE);
	kvm->base = base;
	kvm->slots_base = slots_base;
	atomic_store_explicit(&kvm->prepared, PREPARE_FROM, memory_order_relaxed);
	return 0;
}

/* Page-table entries hold frame numbers as they are, so the VM has room for one arena. */
int kvm_arena_create(struct quire_machine *machine, uint64_t bytes, void **base)
{
	struct kvm_machine *kvm = to_kvm(machine);

	if (kvm->base || bytes > kvm->arena_bytes_max || quire_should_fail(FAIL_MACHINE))
		return -ENOMEM;

	int error = map_twice(kvm, bytes);

	if (!error)
		*base = kvm->base;
	return error;
}

void kvm_arena_destroy(struct quire_machine *machine, void *base, uint64_t bytes)
{
	struct kvm_machine *kvm = to_kvm(machine);

	pthread_mutex_lock(&kvm->slots_lock);
	while (kvm->nr_sections) {
		/* Deleting a slot that exists fails for lack of memory only; then the mapping below
		 * goes and KVM cannot reach it either way. */
		(void)!kvm_set_slot(kvm, KVM_SLOT_ARENA + --kvm->nr_sections, 0, NULL, 0);
	}
	atomic_store_explicit(&kvm->online, 0, memory_order_relaxed);
	pthread_mutex_unlock(&kvm->slots_lock);
	munmap(kvm->slots_base, bytes);
	munmap(base, bytes);
	kvm->base = kvm->slots_base = NULL;
}

/*
 * Without hardware paging KVM keeps a page of its own for each table of ours, but by default only a
 * few for an amount of memory that is mostly used densely. A program with its pages far apart has a
 * table for each: KVM would forget some all the time. With hardware paging it has no effect.
 */
static void allow_shadow_pages(const struct kvm_machine *kvm, uint64_t online)
{
	ioctl(kvm->vm_fd, KVM_SET_NR_MMU_PAGES,
	      max_u64(SHADOW_PAGES_MIN, (online >> PAGE_SHIFT) / FRAMES_PER_SHADOW_PAGE));
}

int kvm_arena_online(struct quire_machine *machine, uint64_t offset, uint64_t bytes)
{
	struct kvm_machine *kvm = to_kvm(machine);
	int error = -ENOMEM;

	if (quire_should_fail(FAIL_MACHINE))
		return error;
	pthread_mutex_lock(&kvm->slots_lock);
	if (KVM_SLOT_ARENA + kvm->nr_sections < kvm->nr_slots_max)
		error = kvm_set_slot(kvm, KVM_SLOT_ARENA + kvm->nr_sections, offset,
				     kvm->slots_base + offset, bytes);
	if (!error) {
		kvm->nr_sections++;
		allow_shadow_pages(kvm, offset + bytes);
		atomic_store_explicit(&kvm->online, offset + bytes, memory_order_release);
	}
	pthread_mutex_unlock(&kvm->slots_lock);
	return error;
}

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
 * bit and are in its mapping of the arena. So they are put there, if it is several: the host does
 * that for sixteen pages at once.
 */
void kvm_publish(struct quire_machine *machine, void *context, uint64_t start, uint64_t end)
{
	struct kvm_machine *kvm = to_kvm(machine);
	const pfn_t root = ((uintptr_t)context - (uintptr_t)kvm->base) >> PAGE_SHIFT;

	for (uint64_t address = start; address < end;) {
		const uint64_t next = min_u64((address | (PMD_SIZE - 1)) + 1, end);
		pte_t *entries = pte_walk(kvm->base, root, address);

		if (entries)
			publish_table(kvm, entries, (uint32_t)((next - address) >> PAGE_SHIFT));
		address = next;
	}
}

/* Cannot fail: the range lies in a mapping of ours, and nothing is split by it. */
static void drop(const struct kvm_machine *kvm, uint64_t offset, uint64_t bytes)
{
	madvise(kvm->slots_base + offset, bytes, MADV_DONTNEED);
}

/*
 * Complete for this reason. KVM never holds a translation to a page that is not in the mapping it
 * was given, so it follows every change of that mapping: before madvise() takes pages out, KVM is
 * told, zaps each of its own entries that leads to one of them (whatever guest address it is for),
 * sends every CPU that is in guest mode out of it to flush its TLB, and waits for that. A CPU that
 * is about to install an entry has read ours; it looks again under the lock that the zapping
 * needs, and finds it changed, as the caller changed it before; or it was earlier, and is zapped.
 * Accessed and dirty bits are set in our entries before KVM uses them (or by the CPU itself).
 */
void kvm_revoke(struct quire_machine *machine, void *context, const struct quire_revoke *revoke)
{
	struct kvm_machine *kvm = to_kvm(machine);

	(void)context;
	if (revoke->all_frames)
		drop(kvm, 0, atomic_load_explicit(&kvm->online, memory_order_acquire));
	for (uint32_t i = 0; i < revoke->nr_frames; i++)
		drop(kvm, revoke->frames[i].first << PAGE_SHIFT,
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
