/* SPDX-License-Identifier: MIT */
/*
 * Tests of what a program's CPU stops for: system calls, faults, every exception that ring 3 can
 * raise, with rip where Linux has it; and that nothing else gets out.
 */
#include "machine/kvm/fixture_test.h"

GUEST_CODE(syscall, "mov $39, %eax\n"
		    "mov $0x1111, %edi\n"
		    "syscall\n"
		    "mov %rax, %rbx\n"
		    "mov %rcx, %r12\n"
		    "mov %r11, %r13\n"
		    "mov $60, %eax\n"
		    "syscall\n");

static void system_calls_come_out(void **state)
{
	struct kvm_regs *regs;
	struct fixture f;

	(void)state;
	require_kvm();
	fixture_create(&f, 4 << 20);
	regs = kvm_cpu_regs(f.cpu);
	run_code(&f, CODE(syscall));
	assert_int_equal(f.exit.reason, KVM_CPU_SYSCALL);
	assert_int_equal(regs->rax, 39);
	assert_int_equal(regs->rdi, 0x1111);
	assert_int_equal(regs->rip, f.code + 12);
	assert_int_equal(regs->rsp, f.stack);
	assert_true(regs->rflags & 0x200);
	regs->rax = 4242;
	run_serving_faults(&f, f.cpu, &f.exit);
	assert_int_equal(f.exit.reason, KVM_CPU_SYSCALL);
	assert_int_equal(regs->rax, 60);
	assert_int_equal(regs->rbx, 4242);
	assert_int_equal(regs->r12, f.code + 12);
	assert_true(regs->r13 & 0x200);
	fixture_destroy(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(system_calls_come_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
