/* SPDX-License-Identifier: MIT */
/*
 * Tests of CPUs: what is kept between two runs, what a CPU that is used again has forgotten, and
 * that no kick is lost.
 */
#include "machine/kvm/fixture_test.h"

#include "base/fail.h"
#include "core/pgtable/pgtable.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

GUEST_CODE(bases, "mov %fs:8, %rax\n"
		  "mov %gs:16, %rbx\n"
		  "syscall\n"
		  "wrfsbase %rdi\n"
		  "wrgsbase %rsi\n"
		  "syscall\n"
		  "mov %fs:0, %rcx\n"
		  "ud2\n");

static void bases_are_kept(void **state)
{
	uint64_t data, words[3] = {1, 0x2222, 0x3333};
	struct kvm_regs *regs;
	struct fixture f;

	(void)state;
	fixture_create(&f, 4 << 20);
	data = fixture_mmap(&f, 1, QUIRE_PROT_READ | QUIRE_PROT_WRITE);
	assert_int_equal(quire_write_memory(f.mm, data, words, sizeof(words)), sizeof(words));
	load_code(&f, f.cpu, CODE(bases));
	kvm_cpu_set_fs_base(f.cpu, data);
	kvm_cpu_set_gs_base(f.cpu, data);
	regs = kvm_cpu_regs(f.cpu);
	regs->rdi = data + 8;
	regs->rsi = data + 100;
	run_serving_faults(&f, f.cpu, &f.exit);
	assert_int_equal(regs->rax, 0x2222);
	assert_int_equal(regs->rbx, 0x3333);
	assert_int_equal(kvm_cpu_fs_base(f.cpu), data);
	run_serving_faults(&f, f.cpu, &f.exit);
	assert_int_equal(f.exit.reason, KVM_CPU_SYSCALL);
	assert_int_equal(kvm_cpu_fs_base(f.cpu), data + 8);
	assert_int_equal(kvm_cpu_gs_base(f.cpu), data + 100);
	run_serving_faults(&f, f.cpu, &f.exit);
	assert_int_equal(regs->rcx, 0x2222);
	fixture_destroy(&f);
}

/* Loads each register of the file at rdi, tells, and stores them behind it. */
GUEST_CODE(sse, "movups (%rdi), %xmm0\n"
		"movups 16(%rdi), %xmm15\n"
		"ldmxcsr 32(%rdi)\n"
		"fldcw 36(%rdi)\n"
		"fldl 40(%rdi)\n"
		"syscall\n"
		"movups %xmm0, 48(%rdi)\n"
		"movups %xmm15, 64(%rdi)\n"
		"stmxcsr 80(%rdi)\n"
		"fstcw 84(%rdi)\n"
		"fstl 88(%rdi)\n"
		"syscall\n");

GUEST_CODE(avx512, "vmovdqu64 (%rdi), %zmm31\n"
		   "vmovdqu64 64(%rdi), %zmm1\n"
		   "kmovw 128(%rdi), %k3\n"
		   "syscall\n"
		   "vmovdqu64 %zmm31, 192(%rdi)\n"
		   "vmovdqu64 %zmm1, 256(%rdi)\n"
		   "kmovw %k3, 320(%rdi)\n"
		   "syscall\n");

/*
 * Runs code that loads from a page of random bytes, calls, and stores `bytes` behind them: what it
 * loaded is to be in the state, a cleared state to come out as zeros, and the old one, put back, as
 * it was.
 */
static void check_state(struct fixture *f, const uint8_t *code, uint64_t code_bytes,
			const uint8_t *image, uint64_t bytes)
{
	const uint32_t area_bytes = kvm_xsave_bytes(f->machine);
	uint8_t *area = aligned_alloc(64, (area_bytes + 63) & ~63u);
	uint64_t data = fixture_mmap(f, 1, QUIRE_PROT_READ | QUIRE_PROT_WRITE);
	struct kvm_regs saved;
	uint8_t out[256];

	assert_non_null(area);
	assert_int_equal(quire_write_memory(f->mm, data, image, bytes), bytes);
	load_code(f, f->cpu, code, code_bytes);
	kvm_cpu_regs(f->cpu)->rdi = data;
	run_serving_faults(f, f->cpu, &f->exit);
	assert_int_equal(f->exit.reason, KVM_CPU_SYSCALL);
	kvm_cpu_get_xsave(f->cpu, area);
	saved = *kvm_cpu_regs(f->cpu);

	kvm_cpu_reset_fpu(f->cpu);
	run_serving_faults(f, f->cpu, &f->exit);
	assert_int_equal(quire_read_memory(f->mm, data + bytes, out, bytes), bytes);
	assert_memory_not_equal(out, image, bytes);
	for (uint32_t i = 0; i < 32; i++)
		assert_int_equal(out[i], 0);

	*kvm_cpu_regs(f->cpu) = saved;
	assert_int_equal(kvm_cpu_set_xsave(f->cpu, area), 0);
	run_serving_faults(f, f->cpu, &f->exit);
	assert_int_equal(quire_read_memory(f->mm, data + bytes, out, bytes), bytes);
	assert_memory_equal(out, image, bytes);
	free(area);
}

static void floating_point_state_is_kept(void **state)
{
	/* MXCSR 0x1fbf, control word 0x27f, 1.5. */
	static const uint8_t image[64] = {1,  2,  3,           4,    5,  6,    7,    8,  9,  10,
					  11, 12, 13,          14,   15, 16,   17,   18, 19, 20,
					  21, 22, 23,          24,   25, 26,   27,   28, 29, 30,
					  31, 32, [32] = 0xbf, 0x1f, 0,  0,    0x7f, 2,  0,  0,
					  0,  0,  0,           0,    0,  0xf8, 0x3f};
	struct fixture f;

	(void)state;
	fixture_create(&f, 4 << 20);
	check_state(&f, CODE(sse), image, 48);
	fixture_destroy(&f);
}

static void wide_registers_are_kept(void **state)
{
	static uint8_t image[192];
	struct fixture f;

	(void)state;
	fixture_create(&f, 4 << 20);
	if ((kvm_xfeatures(f.machine) & 0xe0) == 0xe0) {
		for (uint32_t i = 0; i < 130; i++)
			image[i] = (uint8_t)(i * 7 + 3);
		check_state(&f, CODE(avx512), image, 192);
	}
	fixture_destroy(&f);
}

static void bad_state_is_refused(void **state)
{
	static _Alignas(64) uint8_t good[8192], area[8192];
	struct fixture f;

	(void)state;
	fixture_create(&f, 4 << 20);
	assert_true(kvm_xsave_bytes(f.machine) >= 576 &&
		    kvm_xsave_bytes(f.machine) <= sizeof(good));
	assert_int_equal(kvm_xfeatures(f.machine) & 3, 3);
	kvm_cpu_get_xsave(f.cpu, good);
	memcpy(area, good, sizeof(area));
	area[27] = 0xff; /* MXCSR */
	assert_int_equal(kvm_cpu_set_xsave(f.cpu, area), -EINVAL);
	memcpy(area, good, sizeof(area));
	area[512 + 7] = 0x40; /* a feature that nobody has */
	assert_int_equal(kvm_cpu_set_xsave(f.cpu, area), -EINVAL);
	memcpy(area, good, sizeof(area));
	area[512 + 30] = 1; /* reserved */
	assert_int_equal(kvm_cpu_set_xsave(f.cpu, area), -EINVAL);
	kvm_cpu_get_xsave(f.cpu, area);
	assert_memory_equal(area, good, kvm_xsave_bytes(f.machine));
	assert_int_equal(kvm_cpu_set_xsave(f.cpu, good), 0);
	fixture_destroy(&f);
}

GUEST_CODE(dirty, "mov $1, %eax\n"
		  "movups (%rsp), %xmm5\n"
		  "wrfsbase %rsp\n"
		  "std\n"
		  "mov $0x1234, %r15\n"
		  "syscall\n"
		  "ud2\n");
GUEST_CODE(look, "movups %xmm5, -32(%rsp)\n"
		 "pushf\n"
		 "pop %rbx\n"
		 "syscall\n");

static void used_cpus_have_forgotten(void **state)
{
	static const uint8_t ones[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
	struct kvm_cpu *cpu = NULL, *other = NULL;
	struct kvm_cpu_exit exit;
	struct kvm_regs *regs;
	uint8_t xmm5[16];
	struct fixture f;

	(void)state;
	fixture_create(&f, 4 << 20);
	assert_int_equal(kvm_cpu_create(f.machine, &cpu), 0);
	kvm_cpu_switch(cpu, f.mm);
	load_code(&f, cpu, CODE(dirty));
	kvm_cpu_regs(cpu)->rsp -= 64;
	assert_int_equal(quire_write_memory(f.mm, f.stack - 64, ones, 16), 16);
	run_serving_faults(&f, cpu, &exit);
	assert_int_equal(exit.reason, KVM_CPU_SYSCALL);
	kvm_cpu_kick(cpu);
	kvm_cpu_switch(cpu, NULL);
	kvm_cpu_destroy(cpu);

	assert_int_equal(kvm_cpu_create(f.machine, &other), 0);
	assert_ptr_equal(other, cpu);
	regs = kvm_cpu_regs(other);
	assert_int_equal(regs->r15, 0);
	assert_int_equal(regs->rip, 0);
	assert_int_equal(kvm_cpu_fs_base(other), 0);
	kvm_cpu_switch(other, f.mm);
	load_code(&f, other, CODE(look));
	run_serving_faults(&f, other, &exit);
	assert_int_equal(exit.reason, KVM_CPU_SYSCALL);
	assert_int_equal(regs->r15, 0);
	assert_int_equal(regs->rbx & 0x400, 0);
	assert_int_equal(quire_read_memory(f.mm, f.stack - 32, xmm5, 16), 16);
	for (uint32_t i = 0; i < 16; i++)
		assert_int_equal(xmm5[i], 0);
	kvm_cpu_switch(other, NULL);
	kvm_cpu_destroy(other);
	fixture_destroy(&f);
}

GUEST_CODE(loop, "1: inc %rax\n"
		 "jmp 1b\n");

static void a_kick_before_the_run_ends_it(void **state)
{
	struct fixture f;

	(void)state;
	fixture_create(&f, 4 << 20);
	load_code(&f, f.cpu, CODE(loop));
	for (uint32_t i = 0; i < 3; i++) {
		kvm_cpu_kick(f.cpu);
		kvm_cpu_kick(f.cpu);
		run_serving_faults(&f, f.cpu, &f.exit);
		assert_int_equal(f.exit.reason, KVM_CPU_INTERRUPTED);
		assert_int_equal(kvm_cpu_regs(f.cpu)->rsp, f.stack);
	}
	/* It was one run that was to end. */
	run_code(&f, CODE(bases));
	assert_int_equal(f.exit.reason, KVM_CPU_FAULT);
	fixture_destroy(&f);
}

static struct kvm_cpu *_Atomic kicked_cpu;
static _Atomic uint32_t kicks_noted;

static void kick_from_handler(int number)
{
	struct kvm_cpu *cpu = atomic_load(&kicked_cpu);

	(void)number;
	atomic_fetch_add(&kicks_noted, 1);
	if (cpu)
		kvm_cpu_kick(cpu);
}

struct kicker {
	pthread_t target;
	_Atomic uint32_t seen; /* kicks that the target has seen */
	uint32_t rounds;
};

/* Kicks at any moment, also between two runs, and waits each time until it was seen. */
static void *kick_until_done(void *argument)
{
	struct kicker *kicker = argument;

	for (uint32_t round = 1; round <= kicker->rounds; round++) {
		pthread_kill(kicker->target, SIGUSR2);
		while (atomic_load(&kicker->seen) < round)
			sched_yield();
	}
	return NULL;
}

/* Counts and calls the system: what is not interrupted sees each number once. */
GUEST_CODE(count, "1: inc %rbx\n"
		  "mov (%rdi), %rcx\n"
		  "mov %rbx, (%rdi)\n"
		  "test $7, %bl\n"
		  "jnz 1b\n"
		  "mov %rbx, %rax\n"
		  "syscall\n"
		  "jmp 1b\n");

static void no_kick_is_lost(void **state)
{
	struct sigaction action = {.sa_handler = kick_from_handler}, old;
	struct kicker kicker = {.target = pthread_self(), .rounds = 300};
	uint64_t data, expected = 8, interrupts = 0;
	struct kvm_regs *regs;
	struct fixture f;
	pthread_t thread;

	(void)state;
	fixture_create(&f, 4 << 20);
	data = fixture_mmap(&f, 1, QUIRE_PROT_READ | QUIRE_PROT_WRITE);
	load_code(&f, f.cpu, CODE(count));
	regs = kvm_cpu_regs(f.cpu);
	regs->rdi = data;
	atomic_store(&kicked_cpu, f.cpu);
	atomic_store(&kicks_noted, 0);
	assert_int_equal(sigaction(SIGUSR2, &action, &old), 0);
	assert_int_equal(pthread_create(&thread, NULL, kick_until_done, &kicker), 0);
	while (atomic_load(&kicker.seen) < kicker.rounds) {
		/* Exits of every kind under kicks: the page is taken away again and again. */
		if (expected % 64 == 0)
			assert_int_equal(quire_madvise(f.mm, data, PAGE_SIZE, QUIRE_MADV_DONTNEED),
					 0);
		run_serving_faults(&f, f.cpu, &f.exit);
		if (f.exit.reason == KVM_CPU_INTERRUPTED) {
			atomic_store(&kicker.seen, atomic_load(&kicks_noted));
			interrupts++;
			continue;
		}
		assert_int_equal(f.exit.reason, KVM_CPU_SYSCALL);
		assert_int_equal(regs->rax, expected);
		expected += 8;
	}
	pthread_join(thread, NULL);
	assert_true(interrupts > 0 && interrupts <= kicker.rounds);
	sigaction(SIGUSR2, &old, NULL);
	atomic_store(&kicked_cpu, NULL);
	fixture_destroy(&f);
}

static void cpus_run_out_at_the_limit(void **state)
{
	struct kvm_cpu **cpus = calloc(4096, sizeof(*cpus));
	uint32_t count = 0;
	struct fixture f;
	struct rlimit limit;
	int error;

	(void)state;
	require_kvm();
	assert_non_null(cpus);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	fixture_create(&f, 4 << 20);
	while (!(error = kvm_cpu_create(f.machine, &cpus[count])))
		assert_true(++count < 4096);
	assert_int_equal(error, -EAGAIN);
	assert_true(count >= 3);
	/* The last one works as the first does. */
	kvm_cpu_switch(cpus[count - 1], f.mm);
	load_code(&f, cpus[count - 1], CODE(bases));
	run_serving_faults(&f, cpus[count - 1], &f.exit);
	assert_int_equal(f.exit.address, 8);
	kvm_cpu_destroy(cpus[0]);
	assert_int_equal(kvm_cpu_create(f.machine, &cpus[0]), 0);
	while (count)
		kvm_cpu_destroy(cpus[--count]);
	free(cpus);
	fixture_destroy(&f);
}

static uint32_t open_descriptors(int from)
{
	DIR *directory = opendir("/proc/self/fd");
	struct dirent *entry;
	uint32_t count = 0;

	assert_non_null(directory);
	while ((entry = readdir(directory)))
		if (entry->d_name[0] != '.' && atoi(entry->d_name) >= from) {
			assert_true(fcntl(atoi(entry->d_name), F_GETFD) & FD_CLOEXEC ||
				    atoi(entry->d_name) < FD_BASE);
			count++;
		}
	closedir(directory);
	return count;
}

static bool may_have_userfaultfd(void)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	struct uffdio_api api = {.api = UFFD_API};
	struct rlimit data;

	assert_int_equal(getrlimit(RLIMIT_DATA, &data), 0);
	if (fd < 0)
		return false;
	assert_int_equal(ioctl(fd, UFFDIO_API, &api), 0);
	close(fd);
	/* UFFD_FEATURE_WP_UNPOPULATED, which is of Linux 6.4. */
	return api.features >> 13 & 1 && data.rlim_cur == RLIM_INFINITY;
}

static void descriptors_lie_at_the_base(void **state)
{
	const uint32_t low = open_descriptors(0) - open_descriptors(FD_BASE);
	struct fixture f;

	(void)state;
	fixture_create(&f, 4 << 20);
	/* KVM, the VM, a CPU, and a userfaultfd where there may be one. */
	assert_int_equal(open_descriptors(FD_BASE), 3 + may_have_userfaultfd());
	assert_int_equal(open_descriptors(0) - open_descriptors(FD_BASE), low);
	fixture_destroy(&f);
	assert_int_equal(open_descriptors(FD_BASE), 0);
	assert_int_equal(open_descriptors(0), low);
}

/* Of this process's private memory; a sanitizer has much. */
static uint64_t data_bytes(void)
{
	FILE *status = fopen("/proc/self/status", "r");
	unsigned long kib = 0;
	char line[256];

	assert_non_null(status);
	while (fgets(line, sizeof(line), status) && sscanf(line, "VmData: %lu kB", &kib) != 1)
		;
	fclose(status);
	assert_true(kib > 0);
	return (uint64_t)kib << 10;
}

static void a_limit_of_data_is_for_other_memory(void **state)
{
	const uint64_t room = (uint64_t)1 << 30;
	struct rlimit limit, before;
	struct fixture f;

	(void)state;
	require_kvm();
	assert_int_equal(getrlimit(RLIMIT_DATA, &before), 0);
	limit = before;
	limit.rlim_cur = data_bytes() + room;
	assert_int_equal(setrlimit(RLIMIT_DATA, &limit), 0);
	fixture_create(&f, 2 * room);
	fixture_destroy(&f);
	assert_int_equal(setrlimit(RLIMIT_DATA, &before), 0);
}

static void failures_leave_nothing(void **state)
{
	struct fixture f;

	(void)state;
	require_kvm();
	for (uint32_t site = 0; site < FAIL_SITES; site++) {
		for (uint64_t nth = 1;; nth++) {
			const uint64_t allocations = quire_alloc_live();
			struct quire_machine *machine;
			struct kvm_cpu *cpu;
			char why[256];
			bool failed;
			int error;

			quire_fail_arm(site, nth, false);
			error = kvm_machine_create(FD_BASE, &machine, why, sizeof(why));
			if (!error) {
				error = kvm_cpu_create(machine, &cpu);
				if (!error)
					kvm_cpu_destroy(cpu);
				kvm_machine_destroy(machine);
			}
			failed = quire_fail_disarm();
			assert_int_equal(error, failed ? -ENOMEM : 0);
			assert_int_equal(quire_alloc_live(), allocations);
			assert_int_equal(open_descriptors(FD_BASE), 0);
			if (!failed)
				break;
		}
	}
	fixture_create(&f, 4 << 20);
	fixture_destroy(&f);
}

GUEST_CODE(tsc, "rdtsc\n"
		"syscall\n");

GUEST_CODE(stray, "mov (%rdi), %rax\n"
		  "syscall\n");

/* An entry that leads to where the guest has no memory, as it must never be. */
static void a_broken_cpu_says_so(void **state)
{
	const uint64_t address = (uint64_t)1 << PGD_SHIFT;
	struct kvm_cpu *cpu, *other;
	char text[128] = "";
	struct fixture f;
	pte_t *pte;

	(void)state;
	fixture_create(&f, 4 << 20);
	pte = pte_alloc(f.mm, address);
	assert_non_null(pte);
	set_pte(pte, pfn_pte((1 << 30) >> PAGE_SHIFT, PTE_PRESENT | PTE_USER | PTE_WRITE));
	assert_int_equal(kvm_cpu_create(f.machine, &cpu), 0);
	kvm_cpu_switch(cpu, f.mm);
	load_code(&f, cpu, CODE(stray));
	kvm_cpu_regs(cpu)->rdi = address + 16;
	do
		kvm_cpu_run(cpu, &f.exit);
	while (f.exit.reason == KVM_CPU_FAULT &&
	       !quire_handle_fault(f.mm, f.exit.address, f.exit.access,
				   &(enum quire_signal){QUIRE_SIGNAL_NONE}));
	assert_int_equal(f.exit.reason, KVM_CPU_BROKEN);
	kvm_describe_broken(&f.exit, text, sizeof(text));
	assert_true(strlen(text) > 10);
	pte_exchange(pte, 0);
	kvm_cpu_switch(cpu, NULL);
	kvm_cpu_destroy(cpu);
	assert_int_equal(kvm_cpu_create(f.machine, &other), 0);
	assert_ptr_not_equal(other, cpu);
	kvm_cpu_destroy(other);
	/* Nobody else is the worse for it. */
	run_code(&f, CODE(tsc));
	assert_int_equal(f.exit.reason, KVM_CPU_SYSCALL);
	fixture_destroy(&f);
}

static void the_clock_is_the_hosts(void **state)
{
	uint64_t before, after, tsc;
	struct kvm_regs *regs;
	struct fixture f;

	(void)state;
	fixture_create(&f, 4 << 20);
	if (kvm_tsc_is_host(f.machine)) {
		before = __builtin_ia32_rdtsc();
		run_code(&f, CODE(tsc));
		after = __builtin_ia32_rdtsc();
		regs = kvm_cpu_regs(f.cpu);
		tsc = regs->rdx << 32 | (uint32_t)regs->rax;
		assert_true(before <= tsc && tsc <= after);
	}
	fixture_destroy(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bases_are_kept),
		cmocka_unit_test(floating_point_state_is_kept),
		cmocka_unit_test(wide_registers_are_kept),
		cmocka_unit_test(bad_state_is_refused),
		cmocka_unit_test(used_cpus_have_forgotten),
		cmocka_unit_test(a_kick_before_the_run_ends_it),
		cmocka_unit_test(no_kick_is_lost),
		cmocka_unit_test(cpus_run_out_at_the_limit),
		cmocka_unit_test(descriptors_lie_at_the_base),
		cmocka_unit_test(a_limit_of_data_is_for_other_memory),
		cmocka_unit_test(failures_leave_nothing),
		cmocka_unit_test(a_broken_cpu_says_so),
		cmocka_unit_test(the_clock_is_the_hosts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
