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

/* An instruction that faults, after others that lead to it. */
#define GUEST_FAULT(name, before, instruction) \
	GUEST_CODE(name, \
		   before "\n.globl guest_" #name "_at, guest_" #name "_behind\nguest_" #name \
			  "_at:" instruction "\nguest_" #name "_behind: ud2"); \
	extern const uint8_t guest_##name##_at[], guest_##name##_behind[]

GUEST_FAULT(divide, "xor %ecx, %ecx", "div %ecx");
GUEST_FAULT(int3, "", "int3");
GUEST_FAULT(int3_long, "", ".byte 0xcd, 3");
GUEST_FAULT(overflow, "", ".byte 0xcd, 4");
GUEST_FAULT(bound, "", ".byte 0x62, 0x00");
GUEST_FAULT(ud2, "", "ud2");
GUEST_FAULT(lock_prefix, "", "lock; nop");
GUEST_FAULT(hlt, "", "hlt");
GUEST_FAULT(cli, "", "cli");
GUEST_FAULT(sti, "", "sti");
GUEST_FAULT(in, "", "in $0x80, %al");
GUEST_FAULT(out, "", "out %al, $14");
GUEST_FAULT(out_syscall_port, "", "out %al, $0x80");
GUEST_FAULT(in_dx, "mov $0x3f8, %edx", "inl %dx, %eax");
GUEST_FAULT(outs, "mov $0x3f8, %edx; mov %rsp, %rsi; push %rax; pop %rax; sub $8, %rsi", "outsb");
GUEST_FAULT(ins, "mov $0x3f8, %edx; push %rax; mov %rsp, %rdi", "rep insb");
GUEST_FAULT(mov_from_cr, "", "mov %cr3, %rax");
GUEST_FAULT(mov_to_cr, "xor %eax, %eax", "mov %rax, %cr0");
GUEST_FAULT(mov_from_dr, "", "mov %dr7, %rax");
GUEST_FAULT(rdmsr, "mov $0xc0000082, %ecx", "rdmsr");
GUEST_FAULT(wrmsr, "mov $0xc0000082, %ecx", "wrmsr");
GUEST_FAULT(rdpmc, "xor %ecx, %ecx", "rdpmc");
GUEST_FAULT(lgdt, "push %rax; push %rax", "lgdt (%rsp)");
GUEST_FAULT(lidt, "push %rax; push %rax", "lidt (%rsp)");
GUEST_FAULT(lldt, "xor %eax, %eax", "lldt %ax");
GUEST_FAULT(ltr, "mov $0x40, %eax", "ltr %ax");
GUEST_FAULT(lmsw, "xor %eax, %eax", "lmsw %ax");
GUEST_FAULT(clts, "", "clts");
GUEST_FAULT(invlpg, "", "invlpg (%rsp)");
GUEST_FAULT(invd, "", "invd");
GUEST_FAULT(wbinvd, "", "wbinvd");
GUEST_FAULT(swapgs, "", "swapgs");
GUEST_FAULT(sysret, "", "sysretq");
GUEST_FAULT(xsetbv, "xor %ecx, %ecx; xgetbv", "xsetbv");
GUEST_FAULT(int_80, "", "int $0x80");
GUEST_FAULT(int_21, "", "int $0x21");
GUEST_FAULT(int_13, "", "int $13");
GUEST_FAULT(far_selector, "mov $0x10, %eax", "mov %eax, %ss");
GUEST_FAULT(task_selector, "mov $0x40, %eax", "mov %eax, %ds");
GUEST_FAULT(far_jump, "pushq $0x10; lea (%rip), %rax; push %rax", "lretq");
GUEST_FAULT(far_jump_32, "pushq $0x23; lea (%rip), %rax; push %rax", "lretq");
GUEST_FAULT(load_not_canonical, "movabs $0x800000000000, %rax", "mov (%rax), %rcx");
GUEST_FAULT(jump_not_canonical, "movabs $0x4000000000000000, %rax", "jmp *%rax");
GUEST_FAULT(stack_not_canonical, "movabs $0x4000000000000000, %rsp", "push %rax");
GUEST_FAULT(sse_unaligned, "mov %rsp, %rax; sub $24, %rax", "movaps %xmm0, 1(%rax)");
GUEST_FAULT(alignment, "push %rax; pushf; orl $0x40000, (%rsp); popf", "mov 1(%rsp), %eax");
GUEST_FAULT(x87, "fninit; pushq $0x340; fldcw (%rsp); fld1; fldz; fdivrp", "fwait");
GUEST_FAULT(simd,
	    "pushq $0x1d80; ldmxcsr (%rsp); xorps %xmm1, %xmm1; mov $1, %eax; cvtsi2ss %eax, %xmm0",
	    "divss %xmm1, %xmm0");
GUEST_FAULT(single_step, "pushf; orl $0x100, (%rsp); popf", "nop");

struct fault_case {
	const char *name;
	const uint8_t *start, *end;
	const uint8_t *rip; /* where the program is then to be */
	uint32_t vector;
	uint64_t error_code;
};

#define FAULT_CASE(name, vector, error_code, behind) \
	{ \
#name, guest_##name##_start, guest_##name##_end, \
			(behind) ? guest_##name##_behind : guest_##name##_at, vector, error_code \
	}

static const struct fault_case fault_cases[] = {
	FAULT_CASE(divide, 0, 0x0, false),
	FAULT_CASE(int3, 3, 0x0, true),
	FAULT_CASE(int3_long, 3, 0x0, true),
	FAULT_CASE(overflow, 4, 0x0, true),
	FAULT_CASE(bound, 6, 0x0, false),
	FAULT_CASE(ud2, 6, 0x0, false),
	FAULT_CASE(lock_prefix, 6, 0x0, false),
	FAULT_CASE(hlt, 13, 0x0, false),
	FAULT_CASE(cli, 13, 0x0, false),
	FAULT_CASE(sti, 13, 0x0, false),
	FAULT_CASE(in, 13, 0x0, false),
	FAULT_CASE(out, 13, 0x0, false),
	FAULT_CASE(out_syscall_port, 13, 0x0, false),
	FAULT_CASE(in_dx, 13, 0x0, false),
	FAULT_CASE(outs, 13, 0x0, false),
	FAULT_CASE(ins, 13, 0x0, false),
	FAULT_CASE(mov_from_cr, 13, 0x0, false),
	FAULT_CASE(mov_to_cr, 13, 0x0, false),
	FAULT_CASE(mov_from_dr, 13, 0x0, false),
	FAULT_CASE(rdmsr, 13, 0x0, false),
	FAULT_CASE(wrmsr, 13, 0x0, false),
	FAULT_CASE(rdpmc, 13, 0x0, false),
	FAULT_CASE(lgdt, 13, 0x0, false),
	FAULT_CASE(lidt, 13, 0x0, false),
	FAULT_CASE(lldt, 13, 0x0, false),
	FAULT_CASE(ltr, 13, 0x0, false),
	FAULT_CASE(lmsw, 13, 0x0, false),
	FAULT_CASE(clts, 13, 0x0, false),
	FAULT_CASE(invlpg, 13, 0x0, false),
	FAULT_CASE(invd, 13, 0x0, false),
	FAULT_CASE(wbinvd, 13, 0x0, false),
	FAULT_CASE(swapgs, 13, 0x0, false),
	FAULT_CASE(sysret, 13, 0x0, false),
	FAULT_CASE(xsetbv, 13, 0x0, false),
	FAULT_CASE(int_80, 13, 0x402, false),
	FAULT_CASE(int_21, 13, 0x10a, false),
	FAULT_CASE(int_13, 13, 0x6a, false),
	FAULT_CASE(far_selector, 13, 0x10, false),
	FAULT_CASE(task_selector, 13, 0x40, false),
	FAULT_CASE(far_jump, 13, 0x10, false),
	FAULT_CASE(far_jump_32, 13, 0x20, false),
	FAULT_CASE(load_not_canonical, 13, 0x0, false),
	FAULT_CASE(jump_not_canonical, 13, 0x0, false),
	FAULT_CASE(stack_not_canonical, 12, 0x0, false),
	FAULT_CASE(sse_unaligned, 13, 0x0, false),
	FAULT_CASE(alignment, 17, 0x0, false),
	FAULT_CASE(x87, 16, 0x0, false),
	FAULT_CASE(simd, 19, 0x0, false),
	FAULT_CASE(single_step, 1, 0x0, true),
};

static void check_fault(struct fixture *f, const struct fault_case *c)
{
	const uint64_t rip = f->code + (uint64_t)(c->rip - c->start);

	run_code(f, c->start, (uint64_t)(c->end - c->start));
	if (f->exit.reason != KVM_CPU_EXCEPTION || f->exit.vector != c->vector ||
	    f->exit.error_code != c->error_code || kvm_cpu_regs(f->cpu)->rip != rip)
		fail_msg("%s: reason %d, vector %u, error code %#llx, rip %#llx for %#llx", c->name,
			 (int)f->exit.reason, f->exit.vector,
			 (unsigned long long)f->exit.error_code,
			 (unsigned long long)kvm_cpu_regs(f->cpu)->rip, (unsigned long long)rip);
	assert_int_equal(kvm_cpu_regs(f->cpu)->rflags & 0x202, 0x202);
}

/* Each on the same CPU, which so must be none the worse for it. */
static void exceptions_come_out(void **state)
{
	struct fixture f;

	(void)state;
	fixture_create(&f, 4 << 20);
	for (size_t i = 0; i < ARRAY_SIZE(fault_cases); i++) {
		check_fault(&f, &fault_cases[i]);
		kvm_cpu_regs(f.cpu)->rflags = 0;
		kvm_cpu_reset_fpu(f.cpu);
		run_code(&f, CODE(syscall));
		assert_int_equal(f.exit.reason, KVM_CPU_SYSCALL);
	}
	fixture_destroy(&f);
}

GUEST_CODE(access, "mov (%rax), %rcx\nmov %rcx, (%rbx)\njmp *%rdx");

static void expect_fault(struct fixture *f, uint64_t address, int access)
{
	kvm_cpu_run(f->cpu, &f->exit);
	assert_int_equal(f->exit.reason, KVM_CPU_FAULT);
	assert_int_equal(f->exit.address, address);
	assert_int_equal(f->exit.access, access);
}

static void serve(struct fixture *f)
{
	enum quire_signal signal;

	assert_int_equal(quire_handle_fault(f->mm, f->exit.address, f->exit.access, &signal), 0);
}

static void faults_say_what_was_wanted(void **state)
{
	enum quire_signal signal;
	struct kvm_regs *regs;
	uint64_t data, word;
	struct fixture f;

	(void)state;
	fixture_create(&f, 4 << 20);
	data = fixture_mmap(&f, 3, QUIRE_PROT_READ | QUIRE_PROT_WRITE);
	assert_int_equal(quire_mprotect(f.mm, data + 2 * PAGE_SIZE, PAGE_SIZE, QUIRE_PROT_READ), 0);
	load_code(&f, f.cpu, CODE(access));
	regs = kvm_cpu_regs(f.cpu);
	regs->rax = data;
	regs->rbx = data + PAGE_SIZE + 8;
	regs->rdx = data + 2 * PAGE_SIZE;
	expect_fault(&f, data, QUIRE_ACCESS_READ);
	assert_int_equal(regs->rip, f.code);
	word = 0x1122334455667788;
	assert_int_equal(quire_write_memory(f.mm, data, &word, 8), 8);
	expect_fault(&f, data + PAGE_SIZE + 8, QUIRE_ACCESS_WRITE);
	assert_int_equal(regs->rcx, word);
	serve(&f);
	expect_fault(&f, data + 2 * PAGE_SIZE, QUIRE_ACCESS_EXEC);
	assert_int_equal(regs->rip, data + 2 * PAGE_SIZE);
	assert_int_equal(quire_handle_fault(f.mm, f.exit.address, f.exit.access, &signal), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(signal, QUIRE_SEGV_ACCERR);
	assert_int_equal(quire_read_memory(f.mm, data + PAGE_SIZE + 8, &word, 8), 8);
	assert_int_equal(word, 0x1122334455667788);
	fixture_destroy(&f);
}

GUEST_CODE(jump_rdx, "jmp *%rdx");
GUEST_CODE(read_rdx, "mov (%rdx), %eax");
GUEST_CODE(write_rdx, "mov %eax, (%rdx)");

static void check_out_of_reach(struct fixture *f, const uint8_t *code, uint64_t bytes, int access)
{
	/* The entries of the stub, tables, CPU pages, and places where nothing is. */
	const uint64_t step = 0x180;

	for (uint64_t address = KVM_KERNEL_BASE; address < KVM_KERNEL_BASE + 5 * PAGE_SIZE;
	     address += step) {
		load_code(f, f->cpu, code, bytes);
		kvm_cpu_regs(f->cpu)->rdx = address;
		kvm_cpu_regs(f->cpu)->rcx = f->code;
		do
			kvm_cpu_run(f->cpu, &f->exit);
		while (f->exit.reason == KVM_CPU_FAULT && f->exit.address == f->code &&
		       (serve(f), true));
		assert_int_equal(f->exit.reason, KVM_CPU_FAULT);
		assert_int_equal(f->exit.address, address);
		assert_int_equal(f->exit.access, access);
	}
}

static void kernel_pages_are_out_of_reach(void **state)
{
	struct fixture f;

	(void)state;
	fixture_create(&f, 4 << 20);
	check_out_of_reach(&f, CODE(jump_rdx), QUIRE_ACCESS_EXEC);
	check_out_of_reach(&f, CODE(read_rdx), QUIRE_ACCESS_READ);
	check_out_of_reach(&f, CODE(write_rdx), QUIRE_ACCESS_WRITE);
	fixture_destroy(&f);
}

/* Whatever the owner writes: the CPU runs the program in ring 3, or says why not. */
static void registers_are_checked(void **state)
{
	struct kvm_regs *regs;
	struct fixture f;

	(void)state;
	fixture_create(&f, 4 << 20);
	regs = kvm_cpu_regs(f.cpu);
	load_code(&f, f.cpu, CODE(syscall));
	regs->rip = (uint64_t)1 << 60;
	kvm_cpu_run(f.cpu, &f.exit);
	assert_int_equal(f.exit.reason, KVM_CPU_EXCEPTION);
	assert_int_equal(f.exit.vector, 13);
	assert_int_equal(regs->rip, (uint64_t)1 << 60);
	regs->rip = KVM_KERNEL_BASE + PAGE_SIZE;
	expect_fault(&f, KVM_KERNEL_BASE + PAGE_SIZE, QUIRE_ACCESS_EXEC);
	/* Privilege level 3 for input and output, virtual 8086 mode, interrupts off. */
	regs->rip = f.code;
	regs->rflags = UINT64_MAX & ~(uint64_t)0x40100;
	run_serving_faults(&f, f.cpu, &f.exit);
	assert_int_equal(f.exit.reason, KVM_CPU_SYSCALL);
	assert_int_equal(regs->rflags & 0x1a3202, 0x202);
	load_code(&f, f.cpu, guest_out_start, (uint64_t)(guest_out_end - guest_out_start));
	regs->rflags = 0x3202;
	run_serving_faults(&f, f.cpu, &f.exit);
	assert_int_equal(f.exit.reason, KVM_CPU_EXCEPTION);
	assert_int_equal(f.exit.vector, 13);
	fixture_destroy(&f);
}

GUEST_CODE(step_syscall, "pushf\norl $0x100, (%rsp)\npopf\nsyscall\nnop\nnop");

static void single_steps_go_on_behind_a_system_call(void **state)
{
	struct fixture f;

	(void)state;
	fixture_create(&f, 4 << 20);
	run_code(&f, CODE(step_syscall));
	assert_int_equal(f.exit.reason, KVM_CPU_SYSCALL);
	assert_true(kvm_cpu_regs(f.cpu)->rflags & 0x100);
	for (uint64_t step = 1; step <= 2; step++) {
		run_serving_faults(&f, f.cpu, &f.exit);
		assert_int_equal(f.exit.reason, KVM_CPU_EXCEPTION);
		assert_int_equal(f.exit.vector, 1);
		assert_int_equal(kvm_cpu_regs(f.cpu)->rip, f.code + 11 + step);
	}
	fixture_destroy(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(system_calls_come_out),
		cmocka_unit_test(exceptions_come_out),
		cmocka_unit_test(faults_say_what_was_wanted),
		cmocka_unit_test(kernel_pages_are_out_of_reach),
		cmocka_unit_test(registers_are_checked),
		cmocka_unit_test(single_steps_go_on_behind_a_system_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
