/* SPDX-License-Identifier: MIT */
/*
 * The layout of signal frames and what their parts mean: no CPU, no memory of a program.
 */
#include "run/signal/frame.h"

#include <errno.h>
#include <string.h>

#include "run/signal/internal.h"

#define RED_ZONE 128
#define FPSTATE_ALIGNMENT 64
#define STACK_ALIGNMENT 16

/* The bits of rflags that a program may set. */
#define RFLAGS_CARRY 0x1u
#define RFLAGS_PARITY 0x4u
#define RFLAGS_ADJUST 0x10u
#define RFLAGS_ZERO 0x40u
#define RFLAGS_SIGN 0x80u
#define RFLAGS_TRAP 0x100u
#define RFLAGS_DIRECTION 0x400u
#define RFLAGS_OVERFLOW 0x800u
#define RFLAGS_RESUME 0x10000u
#define RFLAGS_ALIGNMENT_CHECK 0x40000u
#define RFLAGS_RESTORED \
	(RFLAGS_CARRY | RFLAGS_PARITY | RFLAGS_ADJUST | RFLAGS_ZERO | RFLAGS_SIGN | RFLAGS_TRAP | \
	 RFLAGS_DIRECTION | RFLAGS_OVERFLOW | RFLAGS_RESUME | RFLAGS_ALIGNMENT_CHECK)

bool on_altstack(const stack_t *altstack, uint64_t stack_pointer)
{
	const uint64_t start = (uintptr_t)altstack->ss_sp;

	/* One that is disarmed while a handler runs on it is never in use. */
	if (altstack->ss_flags & (int)SS_AUTODISARM_FLAG)
		return false;
	return stack_pointer > start && stack_pointer - start <= altstack->ss_size;
}

int altstack_flags(const stack_t *altstack, uint64_t stack_pointer)
{
	if (!altstack->ss_size)
		return SS_DISABLE;
	return on_altstack(altstack, stack_pointer) ? SS_ONSTACK : 0;
}

int altstack_set(stack_t *altstack, const stack_t *wanted, uint64_t stack_pointer)
{
	const int mode = wanted->ss_flags & ~(int)SS_AUTODISARM_FLAG;

	if (on_altstack(altstack, stack_pointer))
		return -EPERM;
	if (mode != 0 && mode != SS_ONSTACK && mode != SS_DISABLE)
		return -EINVAL;
	if (mode == SS_DISABLE) {
		*altstack = (stack_t){.ss_flags = wanted->ss_flags};
		return 0;
	}
	if (wanted->ss_size < KERNEL_MINSIGSTKSZ)
		return -ENOMEM;
	*altstack = *wanted;
	return 0;
}

struct frame_stack frame_stack(const stack_t *altstack, int32_t flags)
{
	return (struct frame_stack){
		.ss_sp = (uintptr_t)altstack->ss_sp,
		.ss_flags = flags,
		.ss_size = altstack->ss_size,
	};
}

int frame_place(uint64_t stack_pointer, const stack_t *altstack, bool onstack, uint32_t xsave_bytes,
		struct frame_place *place)
{
	const bool already = on_altstack(altstack, stack_pointer);
	const bool entering = onstack && altstack->ss_size && !already;
	uint64_t address = stack_pointer - RED_ZONE;

	if (entering)
		address = (uintptr_t)altstack->ss_sp + altstack->ss_size;
	address -= xsave_bytes + FPX_MAGIC2_BYTES;
	place->fpstate = address & ~(uint64_t)(FPSTATE_ALIGNMENT - 1);
	address = place->fpstate - sizeof(struct rt_sigframe);
	/* As at the entry of a function, behind a call. */
	place->frame = (address & ~(uint64_t)(STACK_ALIGNMENT - 1)) - 8;
	if ((already || entering) && place->frame <= (uintptr_t)altstack->ss_sp)
		return -EFAULT;
	return 0;
}

void sigcontext_from_regs(struct frame_sigcontext *context, const struct kvm_regs *regs)
{
	context->r8 = regs->r8;
	context->r9 = regs->r9;
	context->r10 = regs->r10;
	context->r11 = regs->r11;
	context->r12 = regs->r12;
	context->r13 = regs->r13;
	context->r14 = regs->r14;
	context->r15 = regs->r15;
	context->di = regs->rdi;
	context->si = regs->rsi;
	context->bp = regs->rbp;
	context->bx = regs->rbx;
	context->dx = regs->rdx;
	context->ax = regs->rax;
	context->cx = regs->rcx;
	context->sp = regs->rsp;
	context->ip = regs->rip;
	context->flags = regs->rflags;
	context->cs = SEGMENT_USER_CS;
	context->ss = SEGMENT_USER_SS;
}

void sigcontext_to_regs(const struct frame_sigcontext *context, struct kvm_regs *regs)
{
	regs->r8 = context->r8;
	regs->r9 = context->r9;
	regs->r10 = context->r10;
	regs->r11 = context->r11;
	regs->r12 = context->r12;
	regs->r13 = context->r13;
	regs->r14 = context->r14;
	regs->r15 = context->r15;
	regs->rdi = context->di;
	regs->rsi = context->si;
	regs->rbp = context->bp;
	regs->rbx = context->bx;
	regs->rdx = context->dx;
	regs->rax = context->ax;
	regs->rcx = context->cx;
	regs->rsp = context->sp;
	regs->rip = context->ip;
	regs->rflags =
		(regs->rflags & ~(uint64_t)RFLAGS_RESTORED) | (context->flags & RFLAGS_RESTORED);
}

void fpstate_mark(uint8_t *area, uint32_t bytes, uint64_t xfeatures)
{
	const struct frame_fpx_sw sw = {
		.magic1 = FPX_MAGIC1,
		.extended_size = bytes + FPX_MAGIC2_BYTES,
		.xfeatures = xfeatures,
		.xstate_size = bytes,
	};
	const uint32_t magic2 = FPX_MAGIC2;

	memcpy(area + FPX_SW_OFFSET, &sw, sizeof(sw));
	memcpy(area + bytes, &magic2, sizeof(magic2));
}

uint32_t fpstate_claims(const uint8_t legacy[XSAVE_LEGACY_BYTES], uint32_t bytes,
			uint64_t xfeatures)
{
	struct frame_fpx_sw sw;

	memcpy(&sw, legacy + FPX_SW_OFFSET, sizeof(sw));
	if (sw.magic1 != FPX_MAGIC1 || sw.xstate_size < XSAVE_LEGACY_BYTES + XSAVE_HEADER_BYTES ||
	    sw.xstate_size > bytes || sw.xstate_size > sw.extended_size ||
	    sw.xfeatures & ~xfeatures)
		return 0;
	return sw.xstate_size + FPX_MAGIC2_BYTES;
}

void fpstate_unmark(uint8_t *area, uint32_t bytes, uint64_t xfeatures, bool extended)
{
	uint8_t *header = area + XSAVE_LEGACY_BYTES;
	uint32_t known = XSAVE_LEGACY_BYTES;
	uint64_t features = XFEATURES_LEGACY;
	struct frame_fpx_sw sw;

	if (extended) {
		memcpy(&sw, area + FPX_SW_OFFSET, sizeof(sw));
		known = sw.xstate_size;
		memcpy(&features, header, sizeof(features));
		features &= sw.xfeatures & xfeatures;
	}
	memset(area + FPX_SW_OFFSET, 0, sizeof(sw));
	memset(area + known, 0, bytes - known);
	memcpy(header, &features, sizeof(features));
}
