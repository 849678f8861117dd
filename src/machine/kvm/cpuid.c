/* SPDX-License-Identifier: MIT */
/*
 * What the CPUs of the machine say that they are: what KVM supports, without what a program in ring
 * 3 of a machine without a kernel cannot have.
 */
#include "machine/kvm/internal.h"

#include "base/alloc.h"
#include "core/vma/mm.h"

#include <errno.h>
#include <sys/ioctl.h>

#define ENTRIES_MAX 512

#define BIT(n) (1u << (n))

/* x87, SSE, AVX and the three parts of AVX-512. Tiles need permission from the host for each
 * process, protection keys need CR4. */
#define XFEATURES_OFFERED 0xe7ull
#define XFEATURES_LEGACY 0x3ull
#define XSAVE_LEGACY_BYTES 576 /* with the header */

#define CR4_PAE BIT(5)
#define CR4_OSFXSR BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_UMIP BIT(11)
#define CR4_FSGSBASE BIT(16)
#define CR4_OSXSAVE BIT(18)

#define CPUID_7_EBX_FSGSBASE BIT(0)
#define CPUID_7_ECX_UMIP BIT(2)

/* Page-table entries can hold no more, and nobody has so much memory. */
#define PHYSICAL_BITS_MAX 46
#define PHYSICAL_BITS_MIN 36

enum {
	EAX,
	EBX,
	ECX,
	EDX
};

/* Bits that are hidden, by leaf and subleaf. */
static const struct {
	uint32_t function, index;
	uint32_t hide[4];
} hidden[] = {
	/* MONITOR, VMX, SMX, PDCM, x2APIC, TSC deadline, hypervisor; debug store */
	{1,
	 0,
	 {[ECX] = BIT(3) | BIT(5) | BIT(6) | BIT(15) | BIT(21) | BIT(24) | BIT(31),
	  [EDX] = BIT(21)}},
	/* SGX, MPX, processor trace; PKU, OSPKE, WAITPKG, shadow stacks, LA57, key locker,
	 * SGX_LC, PKS; UINTR, LBR, IBT, AMX */
	{7,
	 0,
	 {[EBX] = BIT(2) | BIT(14) | BIT(25),
	  [ECX] = BIT(3) | BIT(4) | BIT(5) | BIT(7) | BIT(16) | BIT(23) | BIT(30) | BIT(31),
	  [EDX] = BIT(5) | BIT(19) | BIT(20) | BIT(22) | BIT(24) | BIT(25)}},
	/* FRED, LKGS, AMX, LAM; AMX, user MSRs, APX */
	{7, 1, {[EAX] = BIT(17) | BIT(18) | BIT(21) | BIT(26), [EDX] = BIT(8) | BIT(15) | BIT(21)}},
	/* XSAVES, XFD, and the state that only a kernel saves */
	{0xd, 1, {[EAX] = BIT(3) | BIT(4), [ECX] = ~0u, [EDX] = ~0u}},
	/* SVM, instruction based sampling, SKINIT, watchdog, lightweight profiling, performance
	 * counters, MWAITX */
	{0x80000001,
	 0,
	 {[ECX] = BIT(2) | BIT(10) | BIT(12) | BIT(13) | BIT(15) | BIT(23) | BIT(24) | BIT(28) |
		  BIT(29)}},
};

/* Leaves that are all zero: MONITOR, performance counters, SGX, processor trace, tiles, key locker,
 * SVM, sampling, memory encryption, and those of the hypervisor. */
static bool leaf_is_hidden(uint32_t function)
{
	switch (function) {
	case 5:
	case 0xa:
	case 0x12:
	case 0x14:
	case 0x19:
	case 0x1d:
	case 0x1e:
	case 0x23:
	case 0x8000000a:
	case 0x8000001b:
	case 0x8000001c:
	case 0x8000001f:
	case 0x80000022:
		return true;
	default:
		return function >= 0x40000000 && function < 0x50000000;
	}
}

static void hide_bits(struct kvm_cpuid_entry2 *entry)
{
	if (leaf_is_hidden(entry->function)) {
		entry->eax = entry->ebx = entry->ecx = entry->edx = 0;
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++) {
		if (hidden[i].function != entry->function || hidden[i].index != entry->index)
			continue;
		entry->eax &= ~hidden[i].hide[EAX];
		entry->ebx &= ~hidden[i].hide[EBX];
		entry->ecx &= ~hidden[i].hide[ECX];
		entry->edx &= ~hidden[i].hide[EDX];
	}
}

static struct kvm_cpuid_entry2 *find_leaf(struct kvm_cpuid2 *cpuid, uint32_t function,
					  uint32_t index)
{
	for (uint32_t i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == function && cpuid->entries[i].index == index)
			return &cpuid->entries[i];
	return NULL;
}

/* Leaf 0xd: each extended state has a subleaf with its size and place. */
static void limit_xfeatures(struct kvm_machine *kvm)
{
	struct kvm_cpuid_entry2 *all = find_leaf(kvm->cpuid, 0xd, 0);
	uint32_t bytes = XSAVE_LEGACY_BYTES;

	kvm->xfeatures = XFEATURES_LEGACY;
	if (all)
		kvm->xfeatures |= (all->eax | (uint64_t)all->edx << 32) & XFEATURES_OFFERED;
	for (uint32_t i = 0; i < kvm->cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &kvm->cpuid->entries[i];

		if (entry->function != 0xd || entry->index < 2)
			continue;
		if (entry->index < 64 && (kvm->xfeatures >> entry->index & 1))
			bytes = (uint32_t)max_u64(bytes, entry->eax + entry->ebx);
		else
			entry->eax = entry->ebx = entry->ecx = entry->edx = 0;
	}
	kvm->xsave_bytes = bytes;
	if (all) {
		all->eax = (uint32_t)kvm->xfeatures;
		all->edx = 0;
		all->ebx = all->ecx = bytes;
	}
}

static uint32_t physical_bits(struct kvm_machine *kvm)
{
	struct kvm_cpuid_entry2 *leaf = find_leaf(kvm->cpuid, 0x80000008, 0);
	uint32_t bits = leaf ? leaf->eax & 0xff : PHYSICAL_BITS_MIN;

	if (bits < PHYSICAL_BITS_MIN)
		return PHYSICAL_BITS_MIN;
	return bits > PHYSICAL_BITS_MAX ? PHYSICAL_BITS_MAX : bits;
}

static void set_cr4(struct kvm_machine *kvm)
{
	struct kvm_cpuid_entry2 *leaf = find_leaf(kvm->cpuid, 7, 0);

	kvm->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
	if (leaf && (leaf->ebx & CPUID_7_EBX_FSGSBASE))
		kvm->cr4 |= CR4_FSGSBASE;
	if (leaf && (leaf->ecx & CPUID_7_ECX_UMIP))
		kvm->cr4 |= CR4_UMIP;
}

int kvm_cpuid_create(struct kvm_machine *kvm)
{
	kvm->cpuid =
		quire_zalloc(sizeof(*kvm->cpuid) + ENTRIES_MAX * sizeof(kvm->cpuid->entries[0]));
	if (!kvm->cpuid)
		return -ENOMEM;
	kvm->cpuid->nent = ENTRIES_MAX;
	if (ioctl(kvm->kvm_fd, KVM_GET_SUPPORTED_CPUID, kvm->cpuid) < 0)
		return -errno;
	for (uint32_t i = 0; i < kvm->cpuid->nent; i++)
		hide_bits(&kvm->cpuid->entries[i]);
	limit_xfeatures(kvm);
	set_cr4(kvm);
	/* The upper half is the kernel pages', the lower the arena's. */
	kvm->kernel_gpa = (uint64_t)1 << (physical_bits(kvm) - 1);
	kvm->arena_bytes_max = kvm->kernel_gpa;
	return 0;
}
