/* SPDX-License-Identifier: MIT */
/*
 * Faults and exceptions as a program sees them: which signal, si_code and si_addr, what the handler
 * finds in the ucontext and what comes of editing it, alternate stacks, the growth of the stack and
 * its end.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/ucontext.h>
#include <unistd.h>

static void show_access(const char *what, struct caught caught, const void *base)
{
	show("%s: %s", what, describe(&caught, base));
	if (!caught.signal)
		return;
	/* Whether the entry was present is a matter of residence, so that bit is left out. */
	show("  trap %d, write %d, user %d, fetch %d", (int)caught.trap,
	     (int)(caught.error >> 1 & 1), (int)(caught.error >> 2 & 1),
	     (int)(caught.error >> 4 & 1));
}

static void call_address(void *address)
{
	void (*function)(void);

	memcpy(&function, &address, sizeof(function));
	function();
}

static void case_segv(void)
{
	char *memory = map_pages(8, PROT_READ | PROT_WRITE);

	fill(memory, 8 * PAGE, 1);
	munmap(memory + 4 * PAGE, PAGE);
	show_access("read a hole", try_read(memory + 4 * PAGE + 17), memory);
	show_access("write a hole", try_write(memory + 4 * PAGE + 4095), memory);
	mprotect(memory + PAGE, PAGE, PROT_READ);
	show_access("read a read-only page", try_read(memory + PAGE), memory);
	show_access("write a read-only page", try_write(memory + PAGE + 8), memory);
	mprotect(memory + PAGE, PAGE, PROT_NONE);
	show_access("read PROT_NONE", try_read(memory + PAGE + 9), memory);
	show_access("write PROT_NONE", try_write(memory + PAGE + 10), memory);
	mprotect(memory + PAGE, PAGE, PROT_WRITE);
	show_access("read a write-only page", try_read(memory + PAGE), memory);
	show_access("run a page without PROT_EXEC", catch_fault(call_address, memory + 32), memory);
	show_access("run a hole", catch_fault(call_address, memory + 4 * PAGE + 3), memory);
	show_access("read the first page", try_read((void *)8), NULL);
	show_access("read page 15", try_read((void *)0xf123), NULL);
	show("the neighbours: %zu wrong bytes", count_wrong(memory, PAGE, 1));
}

static void case_kernel_addresses(void)
{
	void *hole = (void *)0x800000000000ul, *upper = (void *)0xffff800000000000ul;
	struct caught caught;

	/* No canonical address: a general protection exception, which knows no address. */
	caught = try_read(hole);
	show("read a non-canonical address: %s, trap %d", describe(&caught, NULL),
	     (int)caught.trap);
	caught = try_write((char *)hole + 12345);
	show("write a non-canonical address: %s, trap %d", describe(&caught, NULL),
	     (int)caught.trap);
	caught = try_read(upper);
	show("read the kernel's half: %s", describe(&caught, upper));
	caught = try_write((char *)upper + 0x123456);
	show("write the kernel's half: %s", describe(&caught, upper));
	caught = try_read((void *)0xffffffff80000000ul);
	show("read the kernel's text: %s", describe(&caught, (void *)0xffffffff80000000ul));
	caught = try_read((void *)0xfffffffffffff000ul);
	show("read the last page: %s", describe(&caught, (void *)0xfffffffffffff000ul));
	caught = try_read((void *)0x7ffffffff000ul);
	show("read the last page of the user's half: %s", describe(&caught, NULL));
	caught = catch_fault(call_address, upper);
	show("run the kernel's half: %s", describe(&caught, upper));
	caught = catch_fault(call_address, hole);
	show("run a non-canonical address: %s", describe(&caught, NULL));
}

static void case_bus(void)
{
	int fd = new_file(PAGE + 100);
	char *memory = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *private = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	struct caught caught;

	if (memory == MAP_FAILED || private == MAP_FAILED)
		guest_die("mmap of a file");
	caught = try_read(memory + 2 * PAGE - 1);
	show("read the page that holds the end of file: %s", describe(&caught, memory));
	caught = try_read(memory + 2 * PAGE + 1);
	show("read beyond the end of file: %s, trap %d", describe(&caught, memory),
	     (int)caught.trap);
	caught = try_write(memory + 3 * PAGE + 2);
	show("write beyond the end of file: %s, write %d", describe(&caught, memory),
	     (int)(caught.error >> 1 & 1));
	caught = try_write(private + 2 * PAGE);
	show("write beyond the end, private: %s", describe(&caught, private));
	if (ftruncate(fd, 4 * PAGE))
		guest_die("ftruncate");
	caught = try_write(memory + 3 * PAGE + 2);
	show("write after the file grew: %s", describe(&caught, memory));
	munmap(memory, 4 * PAGE);
	munmap(private, 4 * PAGE);
	close(fd);
}

/* Each of these ends in the exception of its name; where the handler finds the program shows
 * si_addr's meaning. */
static void divide_by_zero(void *argument)
{
	__asm__ volatile("xor %%edx, %%edx\n\txor %%ecx, %%ecx\n\tmov $1, %%eax\n\tdiv %%ecx" ::
				 : "eax", "ecx", "edx", "cc");
	(void)argument;
}

static void divide_overflow(void *argument)
{
	__asm__ volatile("mov $0x80000000, %%eax\n\tcltd\n\tmov $-1, %%ecx\n\tidiv %%ecx" ::
				 : "eax", "ecx", "edx", "cc");
	(void)argument;
}

static void sse_divide(void *argument)
{
	unsigned int control = 0x1f80 & ~(unsigned int)0x200;
	volatile double one = 1, zero = 0;

	__asm__ volatile("ldmxcsr %0" ::"m"(control));
	one = one / zero;
	(void)argument;
}

static void sse_invalid(void *argument)
{
	unsigned int control = 0x1f80 & ~(unsigned int)0x80;
	volatile double zero = 0;

	__asm__ volatile("ldmxcsr %0" ::"m"(control));
	zero = zero / zero;
	(void)argument;
}

static void x87_divide(void *argument)
{
	unsigned short control = 0x37f & ~0x4;

	__asm__ volatile("fninit\n\tfldcw %0\n\tfld1\n\tfldz\n\tfdivrp\n\tfwait" ::"m"(control));
	(void)argument;
}

static void undefined(void *argument)
{
	__asm__ volatile("ud2");
	(void)argument;
}

static void breakpoint(void *argument)
{
	__asm__ volatile("int3");
	(void)argument;
}

static void halt(void *argument)
{
	__asm__ volatile("hlt");
	(void)argument;
}

static void out_to_port(void *argument)
{
	__asm__ volatile("out %%al, $0x80" ::: "memory");
	(void)argument;
}

static void unknown_interrupt(void *argument)
{
	__asm__ volatile("int $0x20");
	(void)argument;
}

static void write_control_register(void *argument)
{
	__asm__ volatile("mov %%rax, %%cr3" ::: "memory");
	(void)argument;
}

static void single_step(void *argument)
{
	__asm__ volatile("pushfq\n\torl $0x100, (%%rsp)\n\tpopfq\n\tnop\n\tnop" ::: "cc", "memory");
	(void)argument;
}

static void case_exceptions(void)
{
	static const struct {
		const char *name;
		void (*action)(void *argument);
	} actions[] = {
		{"division by zero", divide_by_zero},
		{"overflow of a division", divide_overflow},
		{"SSE division by zero", sse_divide},
		{"SSE invalid operation", sse_invalid},
		{"x87 division by zero", x87_divide},
		{"ud2", undefined},
		{"int3", breakpoint},
		{"hlt", halt},
		{"out", out_to_port},
		{"int 0x20", unknown_interrupt},
		{"mov to cr3", write_control_register},
		{"single step", single_step},
	};

	const unsigned int default_control = 0x1f80;

	for (size_t i = 0; i < sizeof(actions) / sizeof(*actions); i++) {
		struct caught caught = catch_fault(actions[i].action, NULL);

		show("%s: %s %s, trap %d, si_addr %s", actions[i].name, signal_name(caught.signal),
		     code_name(caught.signal, caught.code), (int)caught.trap,
		     !caught.address                        ? "none"
		     : caught.address == caught.instruction ? "is the instruction"
							    : "is elsewhere");
		__asm__ volatile("fninit\n\tldmxcsr %0" ::"m"(default_control));
	}
}

/* Edits of the ucontext: where to go on, a register, the mask, an SSE register. */
static void edit_handler(int signal, siginfo_t *info, void *context)
{
	ucontext_t *user = context;
	greg_t *registers = user->uc_mcontext.gregs;

	(void)signal;
	(void)info;
	registers[REG_RIP] += 2; /* ud2 */
	registers[REG_RAX] = 0x1234567890abcdef;
	registers[REG_R13] ^= 0xff;
	registers[REG_EFL] |= 1; /* carry */
	user->uc_mcontext.fpregs->_xmm[7].element[0] = 0x3f800000;
	sigaddset(&user->uc_sigmask, SIGUSR2);
}

static void case_edit_context(void)
{
	uint64_t accumulator = 1, r13 = 0xf0;
	unsigned char carry = 0;
	float value = 0;
	sigset_t mask;

	handle(SIGILL, edit_handler, 0);
	__asm__ volatile("pxor %%xmm7, %%xmm7\n\tmov %1, %%r13\n\tclc\n\tud2\n\tsetc %2\n\t"
			 "mov %%r13, %1\n\tmovss %%xmm7, %3"
			 : "+a"(accumulator), "+r"(r13), "+m"(carry), "=m"(value)
			 :
			 : "r13", "xmm7", "cc", "memory");
	show("rax %#lx, r13 %#lx, carry %d, xmm7 %.1f", accumulator, r13, carry, (double)value);
	sigprocmask(SIG_SETMASK, NULL, &mask);
	show("SIGUSR2 is blocked: %d, SIGILL: %d", sigismember(&mask, SIGUSR2),
	     sigismember(&mask, SIGILL));
	sigdelset(&mask, SIGUSR2);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	signal(SIGILL, SIG_DFL);
}

/* A collector's barrier: the handler opens the page that was written and returns, so the store
 * happens again. */
static char *guarded;
static unsigned int openings;

static void open_page(int signal, siginfo_t *info, void *context)
{
	uintptr_t page = (uintptr_t)info->si_addr & ~(PAGE - 1);

	(void)signal;
	(void)context;
	openings++;
	if (mprotect((void *)page, PAGE, PROT_READ | PROT_WRITE))
		guest_die("mprotect in the handler");
}

static void case_write_barrier(void)
{
	enum {
		pages = 300
	};
	size_t wrong;

	guarded = map_pages(pages, PROT_READ | PROT_WRITE);
	fill(guarded, pages * PAGE, 2);
	mprotect(guarded, pages * PAGE, PROT_READ);
	handle(SIGSEGV, open_page, 0);
	for (size_t i = 0; i < pages; i += 3)
		guarded[i * PAGE + 5]++;
	for (size_t i = 0; i < pages; i += 3)
		guarded[i * PAGE + 5]--;
	wrong = count_wrong(guarded, pages * PAGE, 2);
	show("%u pages opened, %zu wrong bytes", openings, wrong);
	openings = 0;
	mprotect(guarded, pages * PAGE, PROT_NONE);
	wrong = count_wrong(guarded, pages * PAGE, 2);
	show("%zu wrong bytes after %u openings", wrong, openings);
	signal(SIGSEGV, SIG_DFL);
	munmap(guarded, pages * PAGE);
}

static sigjmp_buf out_of_overflow;
static uintptr_t overflow_address, overflow_handler_stack;
static char overflow_stack[65536];

static void overflow_handler(int signal, siginfo_t *info, void *context)
{
	char here;

	(void)signal;
	(void)context;
	overflow_address = (uintptr_t)info->si_addr;
	overflow_handler_stack = (uintptr_t)&here;
	siglongjmp(out_of_overflow, info->si_code);
}

static __attribute__((noinline)) unsigned int recurse(volatile char *deepest, unsigned int depth)
{
	volatile char frame[4000];

	frame[0] = (char)depth;
	if (depth == UINT32_MAX)
		return 0;
	return recurse(frame, depth + 1) + (unsigned int)frame[0] + (unsigned int)*deepest;
}

static void case_stack_overflow(void)
{
	stack_t stack = {.ss_sp = overflow_stack, .ss_size = sizeof(overflow_stack)};
	struct rlimit limit = {.rlim_cur = 4 << 20, .rlim_max = RLIM_INFINITY};
	char here = 0;

	getrlimit(RLIMIT_STACK, &limit);
	limit.rlim_cur = 4 << 20;
	if (setrlimit(RLIMIT_STACK, &limit) || sigaltstack(&stack, NULL))
		guest_die("setrlimit or sigaltstack");
	handle(SIGSEGV, overflow_handler, SA_ONSTACK);
	for (int round = 0; round < 2; round++) {
		volatile int code = sigsetjmp(out_of_overflow, 1);
		uintptr_t used;

		if (!code)
			code = (int)recurse(&here, 0);
		used = (uintptr_t)&here - overflow_address;
		show("the stack ends with %s after %s", code_name(SIGSEGV, code),
		     used > (3 << 20) && used < (5 << 20) ? "about 4 MiB" : "another size");
		show("the handler ran on the alternate stack: %d",
		     overflow_handler_stack - (uintptr_t)overflow_stack < sizeof(overflow_stack));
	}
	signal(SIGSEGV, SIG_DFL);
	stack.ss_flags = SS_DISABLE;
	sigaltstack(&stack, NULL);
}

static __attribute__((noinline)) size_t grow_stack(size_t bytes)
{
	volatile char *memory = __builtin_alloca(bytes);
	size_t wrong = 0;

	/* The far end first: the stack has to grow by all of it at once. */
	for (size_t i = 0; i < bytes; i += 1000)
		memory[i] = (char)(i / 1000);
	for (size_t i = 0; i < bytes; i += 1000)
		wrong += memory[i] != (char)(i / 1000);
	return wrong;
}

static void case_stack_growth(void)
{
	show("1 MiB: %zu wrong", grow_stack(1 << 20));
	show("3 MiB: %zu wrong", grow_stack(3 << 20));
	show("2 MiB again: %zu wrong", grow_stack(2 << 20));
}

int main(int argc, char **argv)
{
	static const struct guest_case cases[] = {
		{"segv", case_segv},
		{"kernel_addresses", case_kernel_addresses},
		{"bus", case_bus},
		{"exceptions", case_exceptions},
		{"edit_context", case_edit_context},
		{"write_barrier", case_write_barrier},
		{"stack_growth", case_stack_growth},
		{"stack_overflow", case_stack_overflow},
		{NULL, NULL},
	};

	return guest_main(argc, argv, cases);
}
