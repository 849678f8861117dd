/* SPDX-License-Identifier: MIT */
/*
 * Where SYSCALL lands on a CPU whose calls may be served without an exit (call.c): code that runs in
 * ring 3, in a page that the program has, with a call area at a fixed distance. It changes nothing
 * of the program's but what SYSCALL itself changes.
 *
 * The call is posted in the area and awaited for a while. If nobody listens, or the wait is too long, it
 * goes on to the supervisor's stub, which makes the CPU exit. Whoever interrupts this code finds
 * out by the label that it has passed how far the call has come (kvm_call_settle()).
 */

#define AREA(offset) kvm_call_stub + KVM_CALL_AREA_OFFSET + (offset)(%rip)

/* As in kvm.h. */
#define KVM_CALL_AREA_OFFSET 32768

/* struct kvm_call_area */
#define STATE 0
#define OPEN 4
#define RESULT 8
#define STACK 16
#define NUMBER 64
#define ARGUMENTS 72
#define RIP 120
#define RFLAGS 128
#define ALLOWED 192

#define IDLE 0
#define POSTED 1
#define ANSWERED 3
#define REFUSED 4

#define CALLS 512
/* Trap, direction, nested task, alignment check, identification: not restored here. */
#define RFLAGS_UNUSUAL 0x244500
#define TURNS 4000

	.section .rodata.kvm_call_stub, "a"
	.globl kvm_call_stub
	.p2align 12
kvm_call_stub:
	cmpl $0, AREA(OPEN)
	je exit
	test $RFLAGS_UNUSUAL, %r11d
	jnz exit
	cmp $CALLS, %rax
	jae exit
	bt %rax, AREA(ALLOWED)
	jnc exit
	mov %rax, AREA(NUMBER)
	mov %rdi, AREA(ARGUMENTS)
	mov %rsi, AREA(ARGUMENTS + 8)
	mov %rdx, AREA(ARGUMENTS + 16)
	mov %r10, AREA(ARGUMENTS + 24)
	mov %r8, AREA(ARGUMENTS + 32)
	mov %r9, AREA(ARGUMENTS + 40)
	mov %rcx, AREA(RIP)
	mov %r11, AREA(RFLAGS)
	movl $POSTED, AREA(STATE)

	.globl kvm_call_stub_posted
kvm_call_stub_posted:
	mov $TURNS, %ecx
turn:
	pause
	mov AREA(STATE), %r11d
	cmp $ANSWERED, %r11d
	je kvm_call_stub_answered
	cmp $REFUSED, %r11d
	je exit_posted
	dec %ecx
	jnz turn
	/* Taken back, unless it is being served: then the answer is waited for outside. */
	mov $POSTED, %eax
	xor %r11d, %r11d
	lock cmpxchg %r11d, AREA(STATE)

exit_posted:
	mov AREA(NUMBER), %rax
	mov AREA(RIP), %rcx
	mov AREA(RFLAGS), %r11
	.globl kvm_call_stub_exit
kvm_call_stub_exit:
exit:
	jmp *supervisor_stub(%rip)

	.globl kvm_call_stub_answered
kvm_call_stub_answered:
	movl $IDLE, AREA(STATE)
	mov %rsp, AREA(STACK)
	.globl kvm_call_stub_stack
kvm_call_stub_stack:
	lea AREA(RFLAGS), %rsp
	popfq
	mov AREA(STACK), %rsp
	.globl kvm_call_stub_done
kvm_call_stub_done:
	mov AREA(RESULT), %rax
	mov AREA(RFLAGS), %r11
	mov AREA(RIP), %rcx
	jmp *%rcx

	.p2align 3
	.globl kvm_call_stub_target
kvm_call_stub_target:
supervisor_stub:
	.quad 0
	.globl kvm_call_stub_end
kvm_call_stub_end:

	.section .note.GNU-stack, "", @progbits
