/* SPDX-License-Identifier: MIT */
/*
 * The real kernel's side: system calls, plain loads and stores. Runs in a process of its own.
 */
#include "bench/bench.h"

#include <quire/quire.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Newer than the headers of some distributions. */
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif

static uint64_t linux_map(struct bench_vm *vm, uint64_t address, uint64_t bytes, int prot,
			  int flags)
{
	void *at = mmap((void *)address, bytes, prot, flags, -1, 0);

	(void)vm;
	if (at == MAP_FAILED)
		bench_die("Linux: mmap of %llu bytes: %s", (unsigned long long)bytes,
			  strerror(errno));
	return (uint64_t)at;
}

static uint64_t linux_map_file(struct bench_vm *vm, uint64_t bytes, int prot, int flags)
{
	void *at = mmap(NULL, bytes, prot, flags, vm->fd, 0);

	if (at == MAP_FAILED)
		bench_die("Linux: mmap of a file: %s", strerror(errno));
	return (uint64_t)at;
}

static void linux_unmap(struct bench_vm *vm, uint64_t address, uint64_t bytes)
{
	(void)vm;
	if (munmap((void *)address, bytes))
		bench_die("Linux: munmap: %s", strerror(errno));
}

static void linux_protect(struct bench_vm *vm, uint64_t address, uint64_t bytes, int prot)
{
	(void)vm;
	if (mprotect((void *)address, bytes, prot))
		bench_die("Linux: mprotect: %s", strerror(errno));
}

static void linux_advise(struct bench_vm *vm, uint64_t address, uint64_t bytes, int advice)
{
	(void)vm;
	if (madvise((void *)address, bytes, advice))
		bench_die("Linux: madvise: %s", strerror(errno));
}

static void linux_store(struct bench_vm *vm, uint64_t address, uint64_t value)
{
	(void)vm;
	*(volatile uint64_t *)address = value;
}

static uint64_t linux_load(struct bench_vm *vm, uint64_t address)
{
	(void)vm;
	return *(volatile uint64_t *)address;
}

static uint64_t linux_sum(struct bench_vm *vm, uint64_t address, uint64_t bytes)
{
	const uint64_t *words = (const uint64_t *)address;
	uint64_t sum = 0;

	(void)vm;
	for (uint64_t i = 0; i < bytes / sizeof(*words); i++)
		sum += words[i];
	return sum;
}

static void linux_fork(struct bench_vm *vm, bool stay)
{
	vm->child = fork();
	if (vm->child < 0)
		bench_die("Linux: fork: %s", strerror(errno));
	if (vm->child == 0) {
		if (stay) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				pause();
		}
		_exit(EXIT_SUCCESS);
	}
}

/* A child that went by itself is waited for; the signal does not find it any more. */
static void linux_child_exit(struct bench_vm *vm)
{
	kill(vm->child, SIGKILL);
	while (waitpid(vm->child, NULL, 0) < 0 && errno == EINTR)
		;
}

static void linux_child_wait(struct bench_vm *vm)
{
	while (waitpid(vm->child, NULL, 0) < 0 && errno == EINTR)
		;
}

static void linux_read_to(struct bench_vm *vm, uint64_t address, uint64_t bytes, uint64_t offset)
{
	if (pread(vm->fd, (void *)address, bytes, (off_t)offset) != (ssize_t)bytes)
		bench_die("Linux: pread: %s", strerror(errno));
}

static void linux_read(struct bench_vm *vm, uint64_t bytes, uint64_t offset)
{
	linux_read_to(vm, (uint64_t)vm->buffer, bytes, offset);
}

/*
 * MADV_RANDOM does not switch fault-around off in the kernel. A range watched by userfaultfd for
 * write protection does, and nothing else changes for its read faults. Where the call is refused
 * (seccomp, an older kernel), a fault maps the 16 pages around it, and its figure says more than it
 * should.
 */
static uint64_t linux_one_page_a_fault(struct bench_vm *vm, uint64_t address, uint64_t bytes)
{
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_WP_ASYNC};
	struct uffdio_register range = {.range = {.start = address, .len = bytes},
					.mode = UFFDIO_REGISTER_MODE_WP};
	static bool said;

	if (vm->userfault >= 0)
		close(vm->userfault);
	vm->userfault = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	if (vm->userfault >= 0 && !ioctl(vm->userfault, UFFDIO_API, &api) &&
	    !ioctl(vm->userfault, UFFDIO_REGISTER, &range))
		return 1;
	if (!said)
		fprintf(stderr,
			"bench: userfaultfd: %s: fault-around stays on in the kernel, "
			"a fault maps 16 pages there\n",
			strerror(errno));
	said = true;
	return 16;
}

static const struct bench_vm_ops linux_ops = {
	.name = "Linux",
	.map = linux_map,
	.map_file = linux_map_file,
	.unmap = linux_unmap,
	.protect = linux_protect,
	.advise = linux_advise,
	.store = linux_store,
	.load = linux_load,
	.sum = linux_sum,
	.fork = linux_fork,
	.child_exit = linux_child_exit,
	.child_wait = linux_child_wait,
	.read = linux_read,
	.read_to = linux_read_to,
	.one_page_a_fault = linux_one_page_a_fault,
};

/*
 * The kernel places a mapping beside another one and merges the two if they are alike. What the
 * program itself has (its heap, its libraries) is fenced off by pages without access, so that the
 * first page of a workload is a VMA of its own, as in Quire's empty address space.
 */
static void fence(void)
{
	for (int i = 0; i < 64; i++) {
		if (mmap(NULL, QUIRE_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
		    MAP_FAILED)
			bench_die("Linux: mmap: %s", strerror(errno));
	}
}

void bench_linux_open(struct bench_vm *vm, int fd)
{
	memset(vm, 0, sizeof(*vm));
	vm->ops = &linux_ops;
	vm->fd = fd;
	vm->userfault = -1;
	vm->buffer = malloc(BENCH_BUFFER);
	if (!vm->buffer)
		bench_die("no memory");
	memset(vm->buffer, 1, BENCH_BUFFER);
	fence();
}
