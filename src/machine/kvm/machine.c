/* SPDX-License-Identifier: MIT */
/*
 * The machine itself: the VM, what KVM must be able to do, and what is said when it cannot.
 */
#include "machine/kvm/kvm.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "core/instance/instance.h"
#include "core/pgtable/pgtable.h"
#include "machine/kvm/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* Where Intel CPUs that cannot run real mode by themselves want four pages, below 4 GiB. Others
 * ignore it; on those, the section of the arena that has these addresses stays offline. */
#define IDENTITY_MAP_ADDRESS 0xfffbc000ull
#define TSS_ADDRESS (IDENTITY_MAP_ADDRESS + PAGE_SIZE)

static const struct {
	int capability;
	int needed; /* bits; 0: any value */
	const char *name;
} capabilities[] = {
	{KVM_CAP_USER_MEMORY, 0, "KVM_CAP_USER_MEMORY"},
	{KVM_CAP_SYNC_MMU, 0, "KVM_CAP_SYNC_MMU"},
	{KVM_CAP_DESTROY_MEMORY_REGION_WORKS, 0, "KVM_CAP_DESTROY_MEMORY_REGION_WORKS"},
	{KVM_CAP_EXT_CPUID, 0, "KVM_CAP_EXT_CPUID"},
	{KVM_CAP_VCPU_EVENTS, 0, "KVM_CAP_VCPU_EVENTS"},
	{KVM_CAP_XSAVE, 0, "KVM_CAP_XSAVE"},
	{KVM_CAP_XCRS, 0, "KVM_CAP_XCRS"},
	{KVM_CAP_IMMEDIATE_EXIT, 0, "KVM_CAP_IMMEDIATE_EXIT"},
	{KVM_CAP_SYNC_REGS, KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS, "KVM_CAP_SYNC_REGS"},
};

int kvm_own_fd(const struct kvm_machine *kvm, int fd)
{
	if (fd < 0)
		return -errno;
	if (!kvm->fd_base)
		return fd;

	int moved = fcntl(fd, F_DUPFD_CLOEXEC, kvm->fd_base);
	int error = moved < 0 ? -errno : 0;

	close(fd);
	return error ? error : moved;
}

static int open_kvm(struct kvm_machine *kvm, char *why, size_t why_bytes)
{
	kvm->kvm_fd = kvm_own_fd(kvm, open("/dev/kvm", O_RDWR | O_CLOEXEC));
	switch (kvm->kvm_fd) {
	case -ENOENT:
		snprintf(why, why_bytes,
			 "/dev/kvm does not exist: load the kvm module or run on a machine with "
			 "virtualisation; `quire shell` works without it");
		break;
	case -EACCES:
	case -EPERM:
		snprintf(why, why_bytes,
			 "/dev/kvm may not be opened: become a member of its group, or let its "
			 "owner give you access; `quire shell` works without it");
		break;
	case -ENODEV:
	case -ENXIO:
		kvm->kvm_fd = -ENODEV;
		snprintf(why, why_bytes,
			 "/dev/kvm has no virtualisation behind it: enable it in the firmware or "
			 "the hypervisor; `quire shell` works without it");
		break;
	default:
		if (kvm->kvm_fd < 0)
			snprintf(why, why_bytes, "/dev/kvm: %s", strerror(-kvm->kvm_fd));
	}
	return kvm->kvm_fd < 0 ? kvm->kvm_fd : 0;
}

static int create_vm(struct kvm_machine *kvm, char *why, size_t why_bytes)
{
	int fd;

	do
		fd = ioctl(kvm->kvm_fd, KVM_CREATE_VM, 0);
	while (fd < 0 && errno == EINTR);
	kvm->vm_fd = kvm_own_fd(kvm, fd);
	if (kvm->vm_fd >= 0)
		return 0;
	if (kvm->vm_fd == -EBUSY)
		snprintf(why, why_bytes,
			 "KVM cannot create a virtual machine: the CPU's virtualisation is used by "
			 "another hypervisor; stop that one");
	else if (kvm->vm_fd == -ENOTTY)
		snprintf(why, why_bytes, "/dev/kvm is not KVM's device: something else is there");
	else
		snprintf(why, why_bytes, "KVM cannot create a virtual machine: %s",
			 strerror(-kvm->vm_fd));
	return kvm->vm_fd == -ENOTTY ? -ENODEV : kvm->vm_fd;
}

static int check_capabilities(struct kvm_machine *kvm, char *why, size_t why_bytes)
{
	int version = ioctl(kvm->kvm_fd, KVM_GET_API_VERSION, 0);

	if (version != KVM_API_VERSION) {
		snprintf(why, why_bytes, "/dev/kvm speaks version %d of its interface, not %d",
			 version, KVM_API_VERSION);
		return -EOPNOTSUPP;
	}
	for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++) {
		int has = ioctl(kvm->vm_fd, KVM_CHECK_EXTENSION, capabilities[i].capability);

		if (has > 0 && (has & capabilities[i].needed) == capabilities[i].needed)
			continue;
		snprintf(why, why_bytes, "this kernel's KVM lacks %s: use a newer kernel",
			 capabilities[i].name);
		return -EOPNOTSUPP;
	}

	int cpus = ioctl(kvm->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	int slots = ioctl(kvm->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS);
	int xsave = ioctl(kvm->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);
	int run_bytes = ioctl(kvm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);

	if (run_bytes < (int)sizeof(struct kvm_run)) {
		snprintf(why, why_bytes, "this kernel's KVM has CPUs that cannot be mapped");
		return -EOPNOTSUPP;
	}
	kvm->run_bytes = (size_t)run_bytes;
	kvm->nr_cpus_max = (uint32_t)(cpus > 0 && cpus < KVM_CPUS_MAX ? cpus : KVM_CPUS_MAX);
	kvm->nr_slots_max = slots > 0 ? (uint32_t)slots : 32;
	kvm->kvm_xsave_bytes =
		(uint32_t)(xsave > (int)sizeof(struct kvm_xsave) ? xsave
								 : (int)sizeof(struct kvm_xsave));
	/* Not needed, and so not known, everywhere. */
	ioctl(kvm->vm_fd, KVM_SET_TSS_ADDR, TSS_ADDRESS);
	ioctl(kvm->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &(uint64_t){IDENTITY_MAP_ADDRESS});
	return 0;
}

static int kvm_mm_create(struct quire_machine *machine, uint64_t root, void **context)
{
	struct kvm_machine *kvm = to_kvm(machine);
	pte_t *table = table_entries(kvm->base, root);

	if (quire_should_fail(FAIL_MACHINE))
		return -ENOMEM;
	set_pte(&table[table_index(KVM_KERNEL_BASE, PGD_SHIFT)], kvm_kernel_entry(kvm));
	*context = table;
	return 0;
}

/* Its tables are forgotten as all others are, by kvm_forget_tables(), and its entries have been
 * revoked. */
static void kvm_mm_destroy(struct quire_machine *machine, void *context)
{
	(void)machine;
	(void)context;
}

static uint64_t kvm_now(struct quire_machine *machine)
{
	struct timespec now;

	(void)machine;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static const struct quire_machine_ops kvm_ops = {
	.name = "kvm",
	.arena_create = kvm_arena_create,
	.arena_destroy = kvm_arena_destroy,
	.arena_online = kvm_arena_online,
	.mm_create = kvm_mm_create,
	.mm_destroy = kvm_mm_destroy,
	.publish = kvm_publish,
	.revoke = kvm_revoke,
	.forget_tables = kvm_forget_tables,
	.now = kvm_now,
};

static int create_parts(struct kvm_machine *kvm, char *why, size_t why_bytes)
{
	int error = open_kvm(kvm, why, why_bytes);

	if (!error)
		error = create_vm(kvm, why, why_bytes);
	if (!error)
		error = check_capabilities(kvm, why, why_bytes);
	if (error)
		return error;
	error = kvm_cpuid_create(kvm);
	if (!error)
		error = kvm_kernel_create(kvm);
	if (error)
		snprintf(why, why_bytes, "KVM cannot set up the virtual machine: %s",
			 strerror(-error));
	return error;
}

int kvm_machine_create(int fd_base, struct quire_machine **machine, char *why, size_t why_bytes)
{
	struct kvm_machine *kvm = quire_zalloc(sizeof(*kvm));

	if (!kvm) {
		snprintf(why, why_bytes, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	kvm->machine.ops = &kvm_ops;
	kvm->fd_base = fd_base;
	kvm->kvm_fd = kvm->vm_fd = kvm->userfaultfd = -1;
	pthread_mutex_init(&kvm->slots_lock, NULL);
	pthread_mutex_init(&kvm->pool_lock, NULL);
	list_init(&kvm->idle);
	list_init(&kvm->retired);

	int error = create_parts(kvm, why, why_bytes);

	if (error) {
		kvm_machine_destroy(&kvm->machine);
		return error;
	}
	*machine = &kvm->machine;
	return 0;
}

void kvm_machine_destroy(struct quire_machine *machine)
{
	struct kvm_machine *kvm = to_kvm(machine);

	QUIRE_ASSERT(1, !kvm->base);
	kvm_cpus_destroy(kvm);
	if (kvm->vm_fd >= 0)
		close(kvm->vm_fd);
	kvm_kernel_destroy(kvm);
	if (kvm->kvm_fd >= 0)
		close(kvm->kvm_fd);
	quire_free(kvm->cpuid);
	pthread_mutex_destroy(&kvm->slots_lock);
	pthread_mutex_destroy(&kvm->pool_lock);
	quire_free(kvm);
}

bool kvm_tsc_is_host(const struct quire_machine *machine)
{
	return !atomic_load_explicit(&to_kvm(machine)->tsc_differs, memory_order_relaxed);
}
