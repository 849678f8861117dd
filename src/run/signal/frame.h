/* SPDX-License-Identifier: MIT */
/*
 * The frame of a signal on the program's stack, exactly as Linux lays it out on x86-64: C
 * libraries, language runtimes and debuggers read and change it.
 */
#ifndef QUIRE_RUN_SIGNAL_FRAME_H
#define QUIRE_RUN_SIGNAL_FRAME_H

#include <linux/kvm.h>
#include <signal.h>

#include "base/types.h"

struct frame_sigcontext {
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t di, si, bp, bx, dx, ax, cx, sp, ip, flags;
	uint16_t cs, gs, fs, ss;
	uint64_t err, trapno, oldmask, cr2;
	uint64_t fpstate; /* address of the XSAVE area */
	uint64_t reserved[8];
};

struct frame_stack {
	uint64_t ss_sp;
	int32_t ss_flags;
	uint32_t padding;
	uint64_t ss_size;
};

struct frame_ucontext {
	uint64_t uc_flags;
	uint64_t uc_link;
	struct frame_stack uc_stack;
	struct frame_sigcontext uc_mcontext;
	uint64_t uc_sigmask;
};

struct rt_sigframe {
	uint64_t pretcode; /* where the handler returns to */
	struct frame_ucontext uc;
	siginfo_t info;
};

_Static_assert(sizeof(struct frame_sigcontext) == 256, "as the kernel's");
_Static_assert(offsetof(struct rt_sigframe, uc.uc_sigmask) == 8 + 296, "as the kernel's");
_Static_assert(sizeof(struct rt_sigframe) == 440, "as the kernel's");

#define UC_FP_XSTATE 1u
#define UC_SIGCONTEXT_SS 2u
#define UC_STRICT_RESTORE_SS 4u

/* In the XSAVE area, in the bytes that the legacy format leaves to software: what is behind it. */
struct frame_fpx_sw {
	uint32_t magic1;
	uint32_t extended_size; /* bytes of the area with the second magic number */
	uint64_t xfeatures;
	uint32_t xstate_size; /* bytes of the area */
	uint32_t padding[7];
};

#define FPX_SW_OFFSET 464
#define FPX_MAGIC1 0x46505853u
#define FPX_MAGIC2 0x46505845u
#define FPX_MAGIC2_BYTES 4
#define XSAVE_LEGACY_BYTES 512
#define XSAVE_HEADER_BYTES 64
#define XFEATURES_LEGACY 3u /* x87, SSE */
/* No XSAVE area that the machine offers is larger. */
#define XSAVE_BYTES_MAX 4096

#define SEGMENT_USER_CS 0x33
#define SEGMENT_USER_SS 0x2b

/* Where a frame stands. */
struct frame_place {
	uint64_t frame;   /* address of struct rt_sigframe: the handler's stack pointer */
	uint64_t fpstate; /* address of the XSAVE area */
};

/* Below `stack_pointer` and its red zone, or on the alternate stack. -EFAULT when that one is too
 * small. */
QUIRE_MUST_CHECK int frame_place(uint64_t stack_pointer, const stack_t *altstack, bool onstack,
				 uint32_t xsave_bytes, struct frame_place *place);
/* The alternate stack as a frame or sigaltstack(2) shows it. */
struct frame_stack frame_stack(const stack_t *altstack, int32_t flags);

/* Registers into a context and back; rflags only as far as a program may set them. */
void sigcontext_from_regs(struct frame_sigcontext *context, const struct kvm_regs *regs);
void sigcontext_to_regs(const struct frame_sigcontext *context, struct kvm_regs *regs);

/* Completes an XSAVE area of the CPU to one of a frame: `area` has FPX_MAGIC2_BYTES more than
 * `bytes`. */
void fpstate_mark(uint8_t *area, uint32_t bytes, uint64_t xfeatures);
/* How many bytes of the frame's area at whose start `legacy` stands are to be read, when the area
 * claims to be an extended one that this machine can restore; else 0: only the legacy part counts.
 */
uint32_t fpstate_claims(const uint8_t legacy[XSAVE_LEGACY_BYTES], uint32_t bytes,
			uint64_t xfeatures);
/* Makes the area one for the CPU: what the frame's features leave out becomes initial. `extended`:
 * it was complete, with both magic numbers. */
void fpstate_unmark(uint8_t *area, uint32_t bytes, uint64_t xfeatures, bool extended);

#endif
