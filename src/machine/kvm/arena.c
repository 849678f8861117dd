/* SPDX-License-Identifier: MIT */
/*
 * The arena, and the slots of guest-physical memory that it is given to KVM in.
 */
#define _GNU_SOURCE
#include "base/fail.h"
#include "core/pgtable/pgtable.h"
#include "machine/kvm/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FRAMES_PER_SHADOW_PAGE 8
/* Less is refused, or not enough. */
#define SHADOW_PAGES_MIN 1024

#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif

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

static char *map_arena(uint64_t bytes, int sharing)
{
	char *base = reserve(bytes);

	if (!base || mmap(base, bytes, PROT_READ | PROT_WRITE,
			  sharing | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != MAP_FAILED)
		return base;
	munmap(base, bytes);
	return NULL;
}

/*
 * A userfaultfd over the arena, as a way to make KVM forget (revoke.c). Nothing is ever protected
 * by it, so it needs no rights beyond those of any process; but not every host lets programs have
 * one. Before Linux 6.3 what is taken away of private memory is also the right to write, until the
 * next fault, and a range has to lie in one mapping. The feature, of Linux 6.4, is not used: it
 * tells the kernel's age.
 */
static int register_arena(const struct kvm_machine *kvm, char *base, uint64_t bytes)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register range = {
		.range = {(uintptr_t)base, bytes},
		.mode = UFFDIO_REGISTER_MODE_WP,
	};
	int fd = kvm_own_fd(
		kvm, (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY));

	if (fd < 0)
		return -1;
	if (ioctl(fd, UFFDIO_API, &api) == 0 && api.features & UFFD_FEATURE_WP_UNPOPULATED &&
	    ioctl(fd, UFFDIO_REGISTER, &range) == 0 &&
	    range.ioctls & (uint64_t)1 << _UFFDIO_WRITEPROTECT)
		return fd;
	close(fd);
	return -1;
}

/* Private memory counts as data of this process, whatever is in it; shared memory does not. Within
 * a limit the arena would leave nothing for Quire itself. */
static bool data_is_limited(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_DATA, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

/* One mapping for both. Once a program has come so far, its memory comes in large pages, where the
 * host has them: that costs a small part of as many small ones, each with a fault of its own. */
static int map_once(struct kvm_machine *kvm, uint64_t bytes)
{
	char *base;

	if (data_is_limited())
		return -ENOSYS;
	base = map_arena(bytes, MAP_PRIVATE);
	if (!base)
		return -ENOMEM;
	kvm->userfaultfd = register_arena(kvm, base, bytes);
	if (kvm->userfaultfd < 0) {
		munmap(base, bytes);
		return -ENOSYS;
	}
	if (bytes > LARGE_FROM)
		madvise(base + LARGE_FROM, bytes - LARGE_FROM, MADV_HUGEPAGE);
	kvm->base = kvm->slots_base = base;
	return 0;
}

/*
 * Shared memory without a file: no limit on the size of files concerns it. Moving nothing of a
 * shared mapping elsewhere is Linux's way to map it once more.
 */
static int map_twice(struct kvm_machine *kvm, uint64_t bytes)
{
	char *base = map_arena(bytes, MAP_SHARED), *slots_base = reserve(bytes);

	if (!base || !slots_base ||
	    mremap(base, 0, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, slots_base) == MAP_FAILED) {
		if (base)
			munmap(base, bytes);
		if (slots_base)
			munmap(slots_base, bytes);
		return -ENOMEM;
	}
	/* Dropping one page of a large one would drop them all. */
	madvise(slots_base, bytes, MADV_NOHUGEPAGE);
	kvm->base = base;
	kvm->slots_base = slots_base;
	atomic_store_explicit(&kvm->prepared, LARGE_FROM, memory_order_relaxed);
	return 0;
}

/* Page-table entries hold frame numbers as they are, so the VM has room for one arena. */
int kvm_arena_create(struct quire_machine *machine, uint64_t bytes, void **base)
{
	struct kvm_machine *kvm = to_kvm(machine);

	if (kvm->base || bytes > kvm->arena_bytes_max || quire_should_fail(FAIL_MACHINE))
		return -ENOMEM;

	int error = map_once(kvm, bytes);

	if (error == -ENOSYS)
		error = map_twice(kvm, bytes);
	if (error)
		return error;
	/* The program's memory is no use in a dump of this process without its page tables. */
	madvise(kvm->base, bytes, MADV_DONTDUMP);
	madvise(kvm->slots_base, bytes, MADV_DONTDUMP);
	madvise(kvm->slots_base, bytes, MADV_DONTFORK);
	*base = kvm->base;
	return 0;
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
	if (kvm->userfaultfd >= 0)
		close(kvm->userfaultfd);
	kvm->userfaultfd = -1;
	if (kvm->slots_base != base)
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
