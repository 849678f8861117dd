/* SPDX-License-Identifier: MIT */
/*
 * Exceptions of the CPU, as the signals that Linux makes of them.
 */
#include <string.h>

#include "run/signal/frame.h"
#include "run/task/internal.h"

/* Places in the XSAVE area. */
#define FCW_OFFSET 0
#define FSW_OFFSET 2
#define MXCSR_OFFSET 24
#define MXCSR_MASK_SHIFT 7

#define FP_INVALID 0x01u
#define FP_DENORMAL 0x02u
#define FP_DIVIDE 0x04u
#define FP_OVERFLOW 0x08u
#define FP_UNDERFLOW 0x10u
#define FP_INEXACT 0x20u

enum exception_address {
	ADDRESS_NONE, /* si_addr is 0 */
	ADDRESS_RIP,
};

struct exception {
	int signal;
	int code;
	enum exception_address address;
};

#define VECTOR_X87 16
#define VECTOR_SIMD 19

static const struct exception exceptions[32] = {
	[0] = {SIGFPE, FPE_INTDIV, ADDRESS_RIP},   [1] = {SIGTRAP, TRAP_TRACE, ADDRESS_RIP},
	[3] = {SIGTRAP, SI_KERNEL, ADDRESS_NONE},  [4] = {SIGSEGV, SI_KERNEL, ADDRESS_NONE},
	[5] = {SIGSEGV, SI_KERNEL, ADDRESS_NONE},  [6] = {SIGILL, ILL_ILLOPN, ADDRESS_RIP},
	[9] = {SIGFPE, SI_KERNEL, ADDRESS_NONE},   [10] = {SIGSEGV, SI_KERNEL, ADDRESS_NONE},
	[11] = {SIGBUS, SI_KERNEL, ADDRESS_NONE},  [12] = {SIGBUS, SI_KERNEL, ADDRESS_NONE},
	[13] = {SIGSEGV, SI_KERNEL, ADDRESS_NONE}, [VECTOR_X87] = {SIGFPE, 0, ADDRESS_RIP},
	[17] = {SIGBUS, BUS_ADRALN, ADDRESS_NONE}, [VECTOR_SIMD] = {SIGFPE, 0, ADDRESS_RIP},
};

/* What the FPU complains of and is not masked; 0: nothing (any more). */
static int fpe_code(struct thread *thread, uint32_t vector)
{
	_Alignas(64) uint8_t area[XSAVE_BYTES_MAX];
	uint16_t control, status;
	uint32_t mxcsr, errors;

	kvm_cpu_get_xsave(thread->cpu, area);
	memcpy(&control, area + FCW_OFFSET, sizeof(control));
	memcpy(&status, area + FSW_OFFSET, sizeof(status));
	memcpy(&mxcsr, area + MXCSR_OFFSET, sizeof(mxcsr));
	errors = vector == VECTOR_X87 ? (uint32_t)(status & ~control)
				      : mxcsr & ~(mxcsr >> MXCSR_MASK_SHIFT);
	if (errors & FP_INVALID)
		return FPE_FLTINV;
	if (errors & FP_DIVIDE)
		return FPE_FLTDIV;
	if (errors & FP_OVERFLOW)
		return FPE_FLTOVF;
	if (errors & (FP_DENORMAL | FP_UNDERFLOW))
		return FPE_FLTUND;
	return errors & FP_INEXACT ? FPE_FLTRES : 0;
}

int exception_signal(struct thread *thread, uint32_t vector, int *code, uint64_t *address)
{
	static const struct exception other = {SIGSEGV, SI_KERNEL, ADDRESS_NONE};
	const struct exception *exception = &other;

	if (vector < ARRAY_SIZE(exceptions) && exceptions[vector].signal)
		exception = &exceptions[vector];
	*code = exception->code;
	*address = exception->address == ADDRESS_RIP ? kvm_cpu_regs(thread->cpu)->rip : 0;
	if (!*code)
		*code = fpe_code(thread, vector);
	return *code ? exception->signal : 0;
}
