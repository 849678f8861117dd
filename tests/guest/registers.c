/* SPDX-License-Identifier: MIT */
/*
 * Registers: what a thread holds in them stays, through system calls, faults, handlers of signals
 * and the turns of other threads: general registers, flags, x87, SSE, AVX, AVX-512, and the bases
 * of FS and GS. What the CPU lacks is said to be lacking on both sides.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <asm/prctl.h>
#include <cpuid.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define WIDEST 64

/* How many bytes a vector register has: 16, 32 or 64, as the CPU and the system allow. */
static unsigned int vector_bytes(void)
{
	static unsigned int bytes;
	unsigned int a, b, c, d, low, high;

	if (bytes)
		return bytes;
	bytes = 16;
	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
		return bytes;
	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	if ((c & bit_AVX) && (low & 6) == 6)
		bytes = 32;
	if (__get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX512F) && (low & 0xe6) == 0xe6)
		bytes = 64;
	return bytes;
}

/* The contents of all vector registers, and of the mask registers. */
struct vectors {
	unsigned char registers[32][WIDEST];
	uint64_t masks[8];
};

static void make_vectors(struct vectors *vectors, uint64_t seed)
{
	uint64_t state = seed * 2654435761u + 1;
	unsigned char *bytes = (void *)vectors;

	for (size_t i = 0; i < sizeof(*vectors); i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		bytes[i] = (unsigned char)(state >> 56);
	}
	for (int i = 0; i < 8; i++)
		vectors->masks[i] &= 0xffff; /* all that AVX-512F alone gives them */
}

#define EACH_OF_16(X) \
	X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define EACH_OF_16_UPPER(X) \
	X(16) \
	X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31)
#define EACH_OF_8(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)

#define CLOBBER_X(n) "xmm" #n,
#define LOAD_SSE(n) "movups " #n "*64(%0), %%xmm" #n "\n\t"
#define STORE_SSE(n) "movups %%xmm" #n ", " #n "*64(%1)\n\t"
#define LOAD_AVX(n) "vmovups " #n "*64(%0), %%ymm" #n "\n\t"
#define STORE_AVX(n) "vmovups %%ymm" #n ", " #n "*64(%1)\n\t"
#define LOAD_512(n) "vmovups " #n "*64(%0), %%zmm" #n "\n\t"
#define STORE_512(n) "vmovups %%zmm" #n ", " #n "*64(%1)\n\t"
#define LOAD_MASK(n) "kmovw 2048+" #n "*8(%0), %%k" #n "\n\t"
#define STORE_MASK(n) "kmovw %%k" #n ", 2048+" #n "*8(%1)\n\t"

#define ALL_VECTORS EACH_OF_16(CLOBBER_X) "memory", "cc", "rax", "rcx", "r11", "rdx"

/* Between loading and storing the registers, one of these happens; `%2` is the call's number or the
 * address. */
#define SYSTEM_CALL "mov %2, %%rax\n\tsyscall\n\t"
#define TOUCH "mov (%2), %%rax\n\tmov %%rax, (%2)\n\t"
#define SPIN "1:\n\tpause\n\tcmpl $0, (%2)\n\tje 1b\n\t"

#define ROUND_TRIPS(name, between) \
	static void name(const struct vectors *in, struct vectors *out, uint64_t argument) \
	{ \
		switch (vector_bytes()) { \
		case 64: \
			__asm__ volatile(EACH_OF_16(LOAD_512) EACH_OF_16_UPPER(LOAD_512) \
						 EACH_OF_8(LOAD_MASK) between EACH_OF_16( \
							 STORE_512) EACH_OF_16_UPPER(STORE_512) \
							 EACH_OF_8(STORE_MASK)::"r"(in), \
					 "r"(out), "r"(argument) \
					 : ALL_VECTORS); \
			break; \
		case 32: \
			__asm__ volatile(EACH_OF_16(LOAD_AVX) \
						 between EACH_OF_16(STORE_AVX)::"r"(in), \
					 "r"(out), "r"(argument) \
					 : ALL_VECTORS); \
			break; \
		default: \
			__asm__ volatile(EACH_OF_16(LOAD_SSE) \
						 between EACH_OF_16(STORE_SSE)::"r"(in), \
					 "r"(out), "r"(argument) \
					 : ALL_VECTORS); \
		} \
	}
ROUND_TRIPS(through_call, SYSTEM_CALL)
ROUND_TRIPS(through_touch, TOUCH)
ROUND_TRIPS(through_spin, SPIN)

static size_t count_differences(const struct vectors *in, const struct vectors *out)
{
	unsigned int bytes = vector_bytes();
	size_t wrong = 0;

	for (int i = 0; i < (bytes == 64 ? 32 : 16); i++)
		wrong += memcmp(in->registers[i], out->registers[i], bytes) != 0;
	for (int i = 0; bytes == 64 && i < 8; i++)
		wrong += in->masks[i] != out->masks[i];
	return wrong;
}

static void case_vectors_through_calls(void)
{
	struct vectors in, out = {0};
	size_t wrong = 0;

	show("vector registers of %u bytes", vector_bytes());
	for (uint64_t i = 0; i < 50; i++) {
		make_vectors(&in, i);
		through_call(&in, &out, i % 2 ? SYS_getpid : SYS_sched_yield);
		wrong += count_differences(&in, &out);
	}
	show("through calls: %zu registers wrong", wrong);
}

static void case_vectors_through_faults(void)
{
	char *memory = map_pages(100, PROT_READ | PROT_WRITE);
	struct vectors in, out = {0};
	size_t wrong = 0;

	for (uint64_t i = 0; i < 100; i++) {
		make_vectors(&in, i);
		through_touch(&in, &out, (uint64_t)(memory + i * PAGE));
		wrong += count_differences(&in, &out);
	}
	show("through faults: %zu registers wrong", wrong);
	munmap(memory, 100 * PAGE);
}

static _Atomic uint32_t go_on;
static _Atomic size_t wrong_in_threads;

static void *keep_vectors(void *argument)
{
	struct vectors in, out = {0};

	for (uint64_t i = 0; i < 200; i++) {
		make_vectors(&in, i * 1000 + (uint64_t)(uintptr_t)argument);
		through_call(&in, &out, SYS_sched_yield);
		atomic_fetch_add(&wrong_in_threads, count_differences(&in, &out));
	}
	/* The long one: the others run meanwhile, and this thread never enters the kernel by
	 * itself. */
	through_spin(&in, &out, (uint64_t)&go_on);
	atomic_fetch_add(&wrong_in_threads, count_differences(&in, &out));
	return NULL;
}

static void case_vectors_of_threads(void)
{
	pthread_t threads[6];

	for (uintptr_t i = 0; i < 6; i++)
		threads[i] = start_thread(keep_vectors, (void *)(i + 1));
	pause_ms(50);
	atomic_store(&go_on, 1);
	for (size_t i = 0; i < 6; i++)
		pthread_join(threads[i], NULL);
	show("six threads: %zu registers wrong", atomic_load(&wrong_in_threads));
}

static _Atomic uint32_t handlers_run;

static void spoil_registers(int signal, siginfo_t *info, void *context)
{
	struct vectors vectors, out = {0};
	double x = 1.5;

	(void)signal;
	(void)info;
	(void)context;
	make_vectors(&vectors, 77777 + atomic_load(&handlers_run));
	through_call(&vectors, &out, SYS_getpid);
	if (count_differences(&vectors, &out))
		atomic_fetch_add(&wrong_in_threads, 1000);
	__asm__ volatile("fldl %0\n\tfldl %0\n\tfmulp\n\tfstpl %0" : "+m"(x));
	atomic_fetch_add(&handlers_run, 1);
}

static void case_vectors_through_handlers(void)
{
	struct itimerval often = {.it_value = {.tv_usec = 1000}, .it_interval = {.tv_usec = 1000}},
			 never = {0};
	struct vectors in, out = {0};
	size_t wrong = 0;

	atomic_store(&wrong_in_threads, 0);
	handle(SIGALRM, spoil_registers, SA_RESTART);
	handle(SIGUSR1, spoil_registers, 0);
	for (uint64_t i = 0; i < 20; i++) {
		make_vectors(&in, i);
		raise(SIGUSR1);
		setitimer(ITIMER_REAL, &often, NULL);
		/* Ends as soon as a handler has run. */
		atomic_store(&handlers_run, 0);
		through_spin(&in, &out, (uint64_t)&handlers_run);
		wrong += count_differences(&in, &out);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	show("through handlers: %zu registers wrong, inside: %zu", wrong,
	     atomic_load(&wrong_in_threads));
	signal(SIGALRM, SIG_DFL);
	signal(SIGUSR1, SIG_DFL);
}

/* The x87 stack, its control word, and MXCSR. */
static void case_x87(void)
{
	uint16_t control = 0x77f, control_after = 0;
	uint32_t mxcsr = 0x1f80 | 0x6000, mxcsr_after = 0;
	double values[4] = {3.25, -7.5, 1e300, 0.1}, after[4] = {0};

	handle(SIGUSR1, spoil_registers, 0);
	for (int i = 0; i < 3; i++) {
		bool same = true;
		long number = i == 0 ? SYS_getpid : i == 1 ? SYS_sched_yield : SYS_kill;
		long arguments[2] = {i == 2 ? getpid() : 0, i == 2 ? SIGUSR1 : 0};

		__asm__ volatile(
			"fninit\n\tfldcw %2\n\tldmxcsr %3\n\t"
			"fldl 0(%6)\n\tfldl 8(%6)\n\tfldl 16(%6)\n\tfldl 24(%6)\n\t"
			"mov 0(%8), %%rdi\n\tmov 8(%8), %%rsi\n\tmov %7, %%rax\n\tsyscall\n\t"
			"fstpl 24(%5)\n\tfstpl 16(%5)\n\tfstpl 8(%5)\n\tfstpl 0(%5)\n\t"
			"fnstcw %0\n\tstmxcsr %1\n\tfninit\n\tldmxcsr %4"
			: "=m"(control_after), "=m"(mxcsr_after)
			: "m"(control), "m"(mxcsr), "m"((uint32_t){0x1f80}), "r"(after),
			  "r"(values), "r"(number), "r"(arguments)
			: "rax", "rdi", "rsi", "rcx", "r11", "memory", "cc");
		for (int k = 0; k < 4; k++)
			same = same && values[k] == after[k];
		show("x87 %d: the same values: %d, control %#x, mxcsr %#x", i, same, control_after,
		     mxcsr_after & ~0x3fu);
	}
	signal(SIGUSR1, SIG_DFL);
}

/* What a system call leaves: all but rax, rcx and r11, which hold the answer, the address and the
 * flags. */
static void case_general(void)
{
	uint64_t left[11] = {0};

	__asm__ volatile(
		"mov $0x1111, %%ebx\n\tmov $0x2222, %%edx\n\tmov $0x8888, %%r8d\n\tmov $0x9999, "
		"%%r9d\n\t"
		"mov $0x1010, %%r10d\n\tmov $0x1212, %%r12d\n\tmov $0x1515, %%r15d\n\t"
		"stc\n\tmov $39, %%eax\n\tsyscall\n1:\n\t"
		"setc %%al\n\tmovzbl %%al, %%eax\n\tlea 1b(%%rip), %%rdi\n\t"
		"mov %%rbx, 0(%0)\n\tmov %%rdx, 8(%0)\n\tmov %%r8, 16(%0)\n\tmov %%r9, 24(%0)\n\t"
		"mov %%r10, 32(%0)\n\tmov %%r12, 40(%0)\n\tmov %%r15, 48(%0)\n\tmov %%rcx, "
		"56(%0)\n\t"
		"mov %%r11, 64(%0)\n\tmov %%rdi, 72(%0)\n\tmov %%rax, 80(%0)"
		:
		: "S"(left)
		: "rax", "rbx", "rcx", "rdx", "rdi", "r8", "r9", "r10", "r11", "r12", "r15",
		  "memory", "cc");
	show("rbx %#lx rdx %#lx r8 %#lx r9 %#lx r10 %#lx r12 %#lx r15 %#lx", left[0], left[1],
	     left[2], left[3], left[4], left[5], left[6]);
	show("rcx is the next instruction: %d, carry %lu, the same in r11: %d", left[7] == left[9],
	     left[10], (int)(left[8] & 1));
}

static _Thread_local uint64_t thread_word;

static void *use_bases(void *argument)
{
	unsigned long fs = 0, gs = 0, cell = 0;
	uint64_t value = 0;

	thread_word = (uint64_t)(uintptr_t)argument;
	cell = thread_word * 1000;
	if (syscall(SYS_arch_prctl, ARCH_SET_GS, &cell) ||
	    syscall(SYS_arch_prctl, ARCH_GET_FS, &fs))
		guest_die("arch_prctl");
	for (int i = 0; i < 100; i++)
		sched_yield();
	__asm__ volatile("mov %%gs:0, %0" : "=r"(value));
	syscall(SYS_arch_prctl, ARCH_GET_GS, &gs);
	return (void *)(uintptr_t)(value == cell && gs == (unsigned long)&cell &&
				   thread_word == cell / 1000 &&
				   fs == (unsigned long)__builtin_thread_pointer());
}

static void case_bases(void)
{
	pthread_t threads[6];
	uintptr_t right = 0;

	for (uintptr_t i = 0; i < 6; i++)
		threads[i] = start_thread(use_bases, (void *)(i + 1));
	for (size_t i = 0; i < 6; i++) {
		void *value;

		pthread_join(threads[i], &value);
		right += (uintptr_t)value;
	}
	show("%lu of 6 threads kept their bases", right);
	show("a base in the kernel's half: %s",
	     answer(syscall(SYS_arch_prctl, ARCH_SET_GS, 0xffff800000000000ul)));
	show("an operation that is none: %s", answer(syscall(SYS_arch_prctl, 0x999, 0)));
}

/* rdgsbase and wrgsbase, where the kernel allows them: AT_HWCAP2 says so. */
static void case_base_instructions(void)
{
	unsigned long word = 0x5151, value = 0, old = 0, read_back = 0;

	if (!(getauxval(AT_HWCAP2) & 2)) {
		show("not allowed");
		return;
	}
	if (syscall(SYS_arch_prctl, ARCH_GET_GS, &old))
		guest_die("arch_prctl");
	__asm__ volatile("wrgsbase %3\n\trdgsbase %1\n\tmov %%gs:0, %0\n\twrgsbase %2"
			 : "=&r"(value), "=&r"(read_back)
			 : "r"(old), "r"(&word));
	show("through the base: %#lx, the same base: %d", value, read_back == (unsigned long)&word);
}

int main(int argc, char **argv)
{
	static const struct guest_case cases[] = {
		{"vectors_through_calls", case_vectors_through_calls},
		{"vectors_through_faults", case_vectors_through_faults},
		{"vectors_of_threads", case_vectors_of_threads},
		{"vectors_through_handlers", case_vectors_through_handlers},
		{"x87", case_x87},
		{"general", case_general},
		{"bases", case_bases},
		{"base_instructions", case_base_instructions},
		{NULL, NULL},
	};

	return guest_main(argc, argv, cases);
}
