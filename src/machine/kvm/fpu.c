/* SPDX-License-Identifier: MIT */
/*
 * FPU, SSE, AVX and AVX-512 state of a CPU, in XSAVE's standard format.
 */
#include "machine/kvm/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

/* Fields of the format, by byte. */
#define XSAVE_FCW 0
#define XSAVE_MXCSR 24
#define XSAVE_HEADER 512

#define FCW_AT_START 0x37f
#define MXCSR_AT_START 0x1f80
#define XFEATURES_FP_SSE 3ull

uint32_t kvm_xsave_bytes(const struct quire_machine *machine)
{
	return to_kvm(machine)->xsave_bytes;
}

uint64_t kvm_xfeatures(const struct quire_machine *machine)
{
	return to_kvm(machine)->xfeatures;
}

void kvm_cpu_get_xsave(struct kvm_cpu *cpu, void *area)
{
	const struct kvm_machine *kvm = cpu->machine;
	const bool large = kvm->kvm_xsave_bytes > sizeof(struct kvm_xsave);

	/* Fails only for a bad address. */
	ioctl(cpu->fd, large ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, cpu->xsave);
	memcpy(area, cpu->xsave, kvm->xsave_bytes);
}

int kvm_cpu_set_xsave(struct kvm_cpu *cpu, const void *area)
{
	const struct kvm_machine *kvm = cpu->machine;

	memcpy(cpu->xsave, area, kvm->xsave_bytes);
	memset((char *)cpu->xsave + kvm->xsave_bytes, 0, kvm->kvm_xsave_bytes - kvm->xsave_bytes);
	return ioctl(cpu->fd, KVM_SET_XSAVE, cpu->xsave) < 0 ? -EINVAL : 0;
}

void kvm_cpu_reset_fpu(struct kvm_cpu *cpu)
{
	const uint64_t present = XFEATURES_FP_SSE;
	const uint32_t mxcsr = MXCSR_AT_START;
	const uint16_t fcw = FCW_AT_START;
	char *xsave = cpu->xsave;

	/* What the header does not name is in its initial state; MXCSR has to be named. */
	memset(xsave, 0, cpu->machine->kvm_xsave_bytes);
	memcpy(xsave + XSAVE_FCW, &fcw, sizeof(fcw));
	memcpy(xsave + XSAVE_MXCSR, &mxcsr, sizeof(mxcsr));
	memcpy(xsave + XSAVE_HEADER, &present, sizeof(present));
	/* A valid state is never refused. */
	ioctl(cpu->fd, KVM_SET_XSAVE, xsave);
}
