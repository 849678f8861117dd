/* SPDX-License-Identifier: MIT */
/*
 * The memory calls as a program uses them: brk, mremap, madvise, mincore, mlock, mseal, memory
 * files and their seals, process_madvise, remap_file_pages, limits. The scripts of the shell go
 * deeper; here the calls meet the CPU.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef SYS_mseal
#define SYS_mseal 462
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif

/* Of a call that answers an address: its distance from `base`, or the error. */
static const char *placed(const void *address, const char *base)
{
	if (address == MAP_FAILED)
		return answer(-1);
	return answer((const char *)address - base);
}

static void show_try(const char *what, struct caught caught, const void *base)
{
	show("%s: %s", what, describe(&caught, base));
}

static void case_brk(void)
{
	char *start = sbrk(0), *end;

	show("grow by 10 pages: %d", sbrk(10 * PAGE) == start);
	end = sbrk(0);
	show("the end: %+ld", (long)(end - start));
	fill(start, 10 * PAGE, 1);
	show("shrink to 3: %d", brk(start + 3 * PAGE));
	show_try("touch the old end",
		 try_read((char *)(((uintptr_t)start + 3 * PAGE + PAGE - 1) & ~(PAGE - 1))),
		 (char *)(((uintptr_t)start + PAGE - 1) & ~(PAGE - 1)));
	show("%zu wrong in what stayed", count_wrong(start, 3 * PAGE, 1));
	show("grow again: %d", brk(start + 10 * PAGE));
	/* The break need not be at a page's start: only what was given back as whole pages is new.
	 */
	show("new memory is zero: %d", start[9 * PAGE] == 0);
	show("below the start: %d", syscall(SYS_brk, 4096) == (long)sbrk(0));
	show("as much as there is not: %s", answer(brk(start + (1ul << 46)) ? -1 : 0));
	brk(start);
}

static void case_mremap(void)
{
	char *area = map_pages(32, PROT_READ | PROT_WRITE), *moved;

	fill(area, 8 * PAGE, 3);
	munmap(area + 8 * PAGE, 24 * PAGE);
	show("shrink: %s", placed(mremap(area, 8 * PAGE, 4 * PAGE, 0), area));
	show_try("touch the tail", try_read(area + 5 * PAGE), area);
	show("grow in place: %s", placed(mremap(area, 4 * PAGE, 16 * PAGE, 0), area));
	show("%zu wrong, new %d", count_wrong(area, 4 * PAGE, 3), area[15 * PAGE]);
	show("a neighbour: %s", placed(mmap(area + 16 * PAGE, PAGE, PROT_READ,
					    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
				       area));
	show("no room: %s", placed(mremap(area, 16 * PAGE, 20 * PAGE, 0), area));
	moved = mremap(area, 16 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
	show("moved: %d, %zu wrong", moved != area && moved != MAP_FAILED,
	     count_wrong(moved, 4 * PAGE, 3));
	show_try("touch the old place", try_read(area), area);
	area = map_pages(64, PROT_NONE);
	show("to a place: %s", placed(mremap(moved, 4 * PAGE, 4 * PAGE,
					     MREMAP_MAYMOVE | MREMAP_FIXED, area + 10 * PAGE),
				      area));
	show("%zu wrong there", count_wrong(area + 10 * PAGE, 4 * PAGE, 3));
	show("leave the old mapping: %s",
	     placed(mremap(area + 10 * PAGE, 4 * PAGE, 4 * PAGE,
			   MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, area + 30 * PAGE),
		    area));
	show("%zu wrong there, here: %d", count_wrong(area + 30 * PAGE, 4 * PAGE, 3),
	     area[10 * PAGE + 5]);
	show("onto itself: %s",
	     placed(mremap(area, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, area + PAGE),
		    area));
	show("what is not mapped: %s",
	     placed(mremap((void *)PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE), area));
	munmap(area, 64 * PAGE);
	munmap(moved, 64 * PAGE);
}

static void case_madvise(void)
{
	char *area = map_pages(16, PROT_READ | PROT_WRITE);
	struct iovec iovec[2];
	int fd;

	fill(area, 16 * PAGE, 4);
	show("DONTNEED: %s", answer(madvise(area + PAGE, PAGE, MADV_DONTNEED)));
	show("  then: %d", area[PAGE + 100]);
	show("PAGEOUT: %s", answer(madvise(area, 16 * PAGE, MADV_PAGEOUT)));
	show("%zu wrong", count_wrong(area, PAGE, 4) + count_wrong(area, 16 * PAGE, 4) -
				  count_wrong(area, 2 * PAGE, 4));
	show("COLD: %s, WILLNEED: %s, RANDOM: %s", answer(madvise(area, 16 * PAGE, MADV_COLD)),
	     answer(madvise(area, 16 * PAGE, MADV_WILLNEED)),
	     answer(madvise(area, 16 * PAGE, MADV_RANDOM)));
	madvise(area, 16 * PAGE, MADV_NORMAL);
	show("GUARD_INSTALL: %s", answer(madvise(area + 4 * PAGE, 2 * PAGE, MADV_GUARD_INSTALL)));
	show_try("touch it", try_write(area + 5 * PAGE + 9), area);
	show_try("touch its neighbour", try_write(area + 6 * PAGE), area);
	show("GUARD_REMOVE: %s", answer(madvise(area + 4 * PAGE, 2 * PAGE, MADV_GUARD_REMOVE)));
	show("then: %d", area[5 * PAGE + 9]);
	show("POPULATE_WRITE: %s", answer(madvise(area, 16 * PAGE, 23)));
	munmap(area + 8 * PAGE, PAGE);
	show("a hole: %s", answer(madvise(area, 16 * PAGE, MADV_DONTNEED)));
	show("beyond it: %d", area[12 * PAGE + 100]);
	show("unaligned: %s", answer(madvise(area + 1, PAGE, MADV_DONTNEED)));
	show("unknown advice: %s", answer(madvise(area, PAGE, 12345)));
	iovec[0] = (struct iovec){area, PAGE};
	iovec[1] = (struct iovec){area + 2 * PAGE, PAGE};
	fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	show("process_madvise: %s",
	     answer(syscall(SYS_process_madvise, fd, iovec, 2, MADV_COLD, 0)));
	show("its flags: %s", answer(syscall(SYS_process_madvise, fd, iovec, 2, MADV_COLD, 1)));
	close(fd);
	munmap(area, 16 * PAGE);
}

static void case_mincore_mlock(void)
{
	char *area = map_pages(8, PROT_READ | PROT_WRITE);
	unsigned char vector[8];

	/* A kernel may map more than the page that is touched, but nothing where nothing may be. */
	mprotect(area, 2 * PAGE, PROT_NONE);
	mprotect(area + 3 * PAGE, PAGE, PROT_NONE);
	mprotect(area + 7 * PAGE, PAGE, PROT_NONE);
	area[2 * PAGE] = 1;
	show("mlock of three: %s", answer(mlock(area + 4 * PAGE, 3 * PAGE)));
	show("mincore: %s", answer(mincore(area, 8 * PAGE, vector)));
	show("  %d%d%d%d%d%d%d%d", vector[0] & 1, vector[1] & 1, vector[2] & 1, vector[3] & 1,
	     vector[4] & 1, vector[5] & 1, vector[6] & 1, vector[7] & 1);
	show("DONTNEED of locked pages: %s", answer(madvise(area + 4 * PAGE, PAGE, MADV_DONTNEED)));
	show("munlock: %s", answer(munlock(area, 8 * PAGE)));
	show("mlock2, on fault: %s", answer(mlock2(area, PAGE, MLOCK_ONFAULT)));
	show("mlock2, flag 8: %s", answer(syscall(SYS_mlock2, area, PAGE, 8)));
	show("mlockall of what comes: %s", answer(mlockall(MCL_FUTURE)));
	show("munlockall: %s", answer(munlockall()));
	show("mincore, unaligned: %s", answer(mincore(area + 1, PAGE, vector)));
	munmap(area + 3 * PAGE, PAGE);
	show("mincore, a hole: %s", answer(mincore(area, 8 * PAGE, vector)));
	show("mlock, a hole: %s", answer(mlock(area, 8 * PAGE)));
	munlockall();
	munmap(area, 8 * PAGE);
}

static long seal(void *address, size_t bytes)
{
	return syscall(SYS_mseal, address, bytes, 0);
}

static void case_mseal(void)
{
	char *area = map_pages(8, PROT_READ | PROT_WRITE);

	if (seal(area + 2 * PAGE, 2 * PAGE) && errno == ENOSYS) {
		show("mseal is not there");
		return;
	}
	show("munmap: %s", answer(munmap(area, 8 * PAGE)));
	show("mprotect: %s", answer(mprotect(area + 2 * PAGE, PAGE, PROT_READ)));
	show("mremap: %s", placed(mremap(area + 2 * PAGE, PAGE, 4 * PAGE, MREMAP_MAYMOVE), area));
	show("mmap over it: %s", placed(mmap(area + 3 * PAGE, PAGE, PROT_READ,
					     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
					area));
	show("munmap of the rest: %s %s", answer(munmap(area, 2 * PAGE)),
	     answer(munmap(area + 4 * PAGE, 4 * PAGE)));
	show_try("write it", try_write(area + 2 * PAGE), area);
	show("flags: %s", answer(syscall(SYS_mseal, area + 2 * PAGE, PAGE, 1)));
	show("a hole: %s", answer(seal(area, 8 * PAGE)));
}

static void case_memory_files(void)
{
	int fd = memfd_create("sealed", MFD_ALLOW_SEALING | MFD_CLOEXEC),
	    plain = memfd_create("plain", 0);
	char *shared;

	show("ftruncate: %s", answer(ftruncate(fd, 4 * PAGE)));
	shared = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	memcpy(shared, "through the mapping", sizeof("through the mapping"));
	char text[32] = "";
	show("pread: %s", answer(pread(fd, text, 20, 0)));
	show("  %s", text);
	show("seals: %s", answer(fcntl(fd, F_GET_SEALS)));
	show("seal writing while it is mapped: %s", answer(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)));
	show("seal shrinking and growing: %s",
	     answer(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW)));
	show("shrink: %s, grow: %s", answer(ftruncate(fd, PAGE)), answer(ftruncate(fd, 5 * PAGE)));
	munmap(shared, 4 * PAGE);
	show("seal writing: %s", answer(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)));
	show("map it writable: %s",
	     answer(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ? -1
											      : 0));
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	show("map it privately: %d, %s", shared != MAP_FAILED, shared);
	show("write: %s", answer(pwrite(fd, "x", 1, 0)));
	show("seals: %s, of one without: %s", answer(fcntl(fd, F_GET_SEALS)),
	     answer(fcntl(plain, F_GET_SEALS)));
	show("seal the other: %s", answer(fcntl(plain, F_ADD_SEALS, F_SEAL_WRITE)));
	munmap(shared, PAGE);
	close(fd);
	close(plain);
}

/* Shared anonymous memory is one object, also for those who get to it by mremap. */
static void case_shared_anonymous(void)
{
	char *area = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			  0),
	     *second;

	fill(area, 8 * PAGE, 9);
	second = mremap(area, 0, 8 * PAGE, MREMAP_MAYMOVE);
	show("a second mapping: %d, %zu wrong", second != MAP_FAILED,
	     count_wrong(second, 8 * PAGE, 9));
	second[3 * PAGE] = 33;
	show("seen through the first: %d", area[3 * PAGE]);
	show("REMOVE: %s", answer(madvise(area + 3 * PAGE, PAGE, MADV_REMOVE)));
	show("seen through the second: %d", second[3 * PAGE]);
	show("PAGEOUT: %s", answer(madvise(area, 8 * PAGE, MADV_PAGEOUT)));
	fill(area + 3 * PAGE, PAGE, 0);
	fill(second, 8 * PAGE, 9);
	show("%zu wrong", count_wrong(area, 8 * PAGE, 9));
	munmap(second, 8 * PAGE);
	area[7 * PAGE] = 0;
	show("%zu wrong", count_wrong(area, 7 * PAGE, 9));
	munmap(area, 8 * PAGE);
}

static void case_remap_file_pages(void)
{
	int fd = memfd_create("pages", 0);
	char *area;

	if (fd < 0 || ftruncate(fd, 4 * PAGE))
		guest_die("memfd_create");
	area = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	for (int i = 0; i < 4; i++)
		area[(size_t)i * PAGE] = (char)('a' + i);
	show("reverse: %s %s", answer(syscall(SYS_remap_file_pages, area, PAGE, 0, 3, 0)),
	     answer(syscall(SYS_remap_file_pages, area + 3 * PAGE, PAGE, 0, 0, 0)));
	show("  %c%c%c%c", area[0], area[PAGE], area[2 * PAGE], area[3 * PAGE]);
	show("with a protection: %s", answer(syscall(SYS_remap_file_pages, area, PAGE, 1, 3, 0)));
	munmap(area, 4 * PAGE);
	close(fd);
}

static void case_limits(void)
{
	struct rlimit limit, old;

	getrlimit(RLIMIT_AS, &old);
	limit = old;
	limit.rlim_cur = 1ul << 30;
	show("limit the address space: %s", answer(setrlimit(RLIMIT_AS, &limit)));
	show("map 2 GiB: %s", answer(mmap(NULL, 2ul << 30, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
					  -1, 0) == MAP_FAILED
					     ? -1
					     : 0));
	setrlimit(RLIMIT_AS, &old);
	getrlimit(RLIMIT_DATA, &old);
	limit = old;
	limit.rlim_cur = 1 << 20;
	show("limit the data: %s", answer(setrlimit(RLIMIT_DATA, &limit)));
	show("break: %s", answer(sbrk(16 << 20) == (void *)-1 ? -1 : 0));
	setrlimit(RLIMIT_DATA, &old);
}

int main(int argc, char **argv)
{
	static const struct guest_case cases[] = {
		{"brk", case_brk},
		{"mremap", case_mremap},
		{"madvise", case_madvise},
		{"mincore_mlock", case_mincore_mlock},
		{"mseal", case_mseal},
		{"memory_files", case_memory_files},
		{"shared_anonymous", case_shared_anonymous},
		{"remap_file_pages", case_remap_file_pages},
		{"limits", case_limits},
		{NULL, NULL},
	};

	return guest_main(argc, argv, cases);
}
