/* SPDX-License-Identifier: MIT */
/*
 * System calls of the host that a caught signal can keep from starting, and the way out of Quire's
 * signal handler.
 *
 * host_syscall_checked() looks whether a signal was caught and then makes the call. A signal that
 * arrives between the look and the call would be slept over; so the handler, when it interrupts
 * anything from host_syscall_window to host_syscall_instruction (both included: after an
 * interrupted call the kernel may step back to the instruction to start it again), goes on at
 * host_syscall_abort instead.
 */

	.text

/* The number (rdi) and arguments (at rsi) of a call to where the kernel takes them from. */
	.macro load_call
	mov %rdi, %rax
	mov %rsi, %r11
	mov 0(%r11), %rdi
	mov 8(%r11), %rsi
	mov 16(%r11), %rdx
	mov 24(%r11), %r10
	mov 32(%r11), %r8
	mov 40(%r11), %r9
	.endm

/* int64_t host_syscall(long nr, const uint64_t args[6]) */
	.globl host_syscall_begin
host_syscall_begin:
	.globl host_syscall
	.type host_syscall, @function
	.p2align 4
host_syscall:
	.cfi_startproc
	load_call
	syscall
	ret
	.cfi_endproc
	.size host_syscall, . - host_syscall

/* int64_t host_syscall_checked(long nr, const uint64_t args[6], const volatile sig_atomic_t *caught)
 */
	.globl host_syscall_checked
	.type host_syscall_checked, @function
	.p2align 4
host_syscall_checked:
	.cfi_startproc
	mov %rdx, %rcx
	load_call
	.globl host_syscall_window
host_syscall_window:
	cmpl $0, (%rcx)
	jne host_syscall_abort
	.globl host_syscall_instruction
host_syscall_instruction:
	syscall
	ret
	.globl host_syscall_abort
host_syscall_abort:
	mov $-4096, %rax /* HOST_SYSCALL_NOT_BEGUN: no errno is so large */
	ret
	.cfi_endproc
	.size host_syscall_checked, . - host_syscall_checked
	.globl host_syscall_end
host_syscall_end:

/* Where the kernel returns to from a handler of Quire's: rt_sigreturn. */
	.globl host_sigreturn
	.type host_sigreturn, @function
	.p2align 4
	nop /* unwinders look one byte before a return address */
host_sigreturn:
	mov $15, %eax
	syscall
	.size host_sigreturn, . - host_sigreturn

	.section .note.GNU-stack, "", @progbits
