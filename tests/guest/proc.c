/* SPDX-License-Identifier: MIT */
/*
 * /proc/self as a program reads it of itself: maps, smaps, status, statm, stat, auxv, exe, cmdline,
 * mem, pagemap agree with each other and with what the program did.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct mapping {
	uintptr_t start, end;
	char prot[5];
	uint64_t offset, inode;
	char name[256];
};

/* The lines of maps as structures; *count of them. */
static struct mapping *read_maps(size_t *count)
{
	static struct mapping mappings[4096];
	const char *line = read_text("/proc/self/maps");

	*count = 0;
	while (*line && *count < 4096) {
		struct mapping *entry = &mappings[*count];
		unsigned int major, minor;
		int length = 0;

		entry->name[0] = 0;
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %" SCNx64 " %x:%x %" SCNu64 "%n",
			   &entry->start, &entry->end, entry->prot, &entry->offset, &major, &minor,
			   &entry->inode, &length) != 7)
			guest_die("a line of maps: %.60s", line);
		line += length;
		line += strspn(line, " ");
		sscanf(line, "%255[^\n]", entry->name);
		line = strchr(line, '\n') + 1;
		++*count;
	}
	return mappings;
}

static const struct mapping *find_mapping(const void *address)
{
	size_t count;
	const struct mapping *mappings = read_maps(&count);

	for (size_t i = 0; i < count; i++) {
		if (mappings[i].start <= (uintptr_t)address && (uintptr_t)address < mappings[i].end)
			return &mappings[i];
	}
	return NULL;
}

static void show_mapping(const char *what, const void *address)
{
	const struct mapping *mapping = find_mapping(address);
	const char *name;

	if (!mapping) {
		show("%s: none", what);
		return;
	}
	name = strrchr(mapping->name, '/');
	show("%s: %s, offset %#" PRIx64 ", inode %s, %s", what, mapping->prot, mapping->offset,
	     mapping->inode ? "some" : "0", name && mapping->name[0] == '/' ? name : mapping->name);
}

static int initialised = 5;
static const int constant = 6;
static char zeroed[100000];

static void case_maps(void)
{
	const char *file_name = "mapped-file";
	int fd = open(file_name, O_RDWR | O_CREAT | O_TRUNC, 0600), stack = 0,
	    memory_file = memfd_create("named", 0);
	char *allocated = malloc(10), *anonymous = map_pages(3, PROT_READ), *shared, *file, *memory;
	size_t count, bad = 0;
	const struct mapping *mappings = read_maps(&count);

	for (size_t i = 0; i < count; i++)
		bad += mappings[i].start >= mappings[i].end || mappings[i].start % PAGE ||
		       mappings[i].end % PAGE || (i && mappings[i].start < mappings[i - 1].end);
	show("%zu lines out of order or empty", bad);
	if (fd < 0 || ftruncate(fd, 4 * PAGE) || ftruncate(memory_file, PAGE))
		guest_die("a file");
	file = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGE);
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memory = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, memory_file, 0);
	show_mapping("file", file);
	show_mapping("its second page", file + PAGE);
	show_mapping("shared anonymous", shared);
	show_mapping("memory file", memory);
	show_mapping("stack", &stack);
	show_mapping("heap", allocated);
	free(allocated);
	munmap(anonymous + PAGE, PAGE);
	show("a hole: %d", find_mapping(anonymous + PAGE) != NULL);
	unlink(file_name);
	show_mapping("unlinked file", file);
	close(fd);
	show_mapping("closed file", file);
	mprotect(file, PAGE, PROT_NONE);
	show_mapping("PROT_NONE", file);
	show("code is executable: %d, data writable: %d, constants read-only: %d",
	     find_mapping((void *)(uintptr_t)case_maps)->prot[2] == 'x',
	     find_mapping(&initialised)->prot[1] == 'w', find_mapping(&constant)->prot[1] == '-');
	zeroed[50000] = 1;
	show("zeroed data: %d", find_mapping(zeroed + 50000)->prot[1] == 'w');
	munmap(file, 2 * PAGE);
	munmap(shared, PAGE);
	munmap(memory, PAGE);
	close(memory_file);
}

/* The number after `key` in the text, after the place where `after` stands. */
static long field(const char *text, const char *after, const char *key)
{
	const char *at = after ? strstr(text, after) : text;

	at = at ? strstr(at, key) : NULL;
	return at ? strtol(at + strlen(key), NULL, 10) : -1;
}

static long smaps_field(const void *address, const char *key)
{
	char start[32];

	snprintf(start, sizeof(start), "\n%lx-", (unsigned long)(uintptr_t)address);
	return field(read_text("/proc/self/smaps"), start, key);
}

static void case_smaps(void)
{
	char *area;
	long sum = 0, rollup, wrong;
	const char *text;

	/* A mapping of its own: others would merge with it. */
	map_pages(1, PROT_NONE);
	area = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	mlock2(area, 64 * PAGE, MLOCK_ONFAULT);
	show("size %ld, resident %ld", smaps_field(area, "\nSize:"), smaps_field(area, "\nRss:"));
	fill(area, 20 * PAGE, 1);
	show("written: resident %ld, dirty %ld, anonymous %ld", smaps_field(area, "\nRss:"),
	     smaps_field(area, "\nPrivate_Dirty:"), smaps_field(area, "\nAnonymous:"));
	show("share %ld, locked %ld, swapped %ld", smaps_field(area, "\nPss:"),
	     smaps_field(area, "\nLocked:"), smaps_field(area, "\nSwap:"));
	munlock(area, 64 * PAGE);
	madvise(area, 10 * PAGE, MADV_DONTNEED);
	mlock(area + 10 * PAGE, 10 * PAGE);
	show("half given back: resident %ld", smaps_field(area + 10 * PAGE, "\nRss:"));
	text = read_text("/proc/self/smaps");
	while ((text = strstr(text, "\nSize:"))) {
		text += 6;
		sum += strtol(text, NULL, 10);
	}
	wrong = sum - field(read_text("/proc/self/status"), NULL, "\nVmSize:");
	/* The vsyscall page is not a mapping of the process. */
	show("sizes add up to VmSize: %d", wrong >= -64 && wrong <= 64);
	rollup = field(read_text("/proc/self/smaps_rollup"), NULL, "\nRss:");
	show("rollup has a resident size: %d", rollup > 100);
	munmap(area, 64 * PAGE);
}

static void case_status(void)
{
	long size, resident, data, pages[7] = {0}, later;
	char *area;

	size = field(read_text("/proc/self/status"), NULL, "\nVmSize:");
	data = field(read_text("/proc/self/status"), NULL, "\nVmData:");
	area = map_pages(1000, PROT_READ | PROT_WRITE);
	later = field(read_text("/proc/self/status"), NULL, "\nVmSize:");
	show("VmSize grew by %ld kB, VmData by %ld kB", later - size,
	     field(read_text("/proc/self/status"), NULL, "\nVmData:") - data);
	mlock(area, 1000 * PAGE);
	resident = field(read_text("/proc/self/status"), NULL, "\nVmRSS:");
	show("VmRSS is at least 4,000 kB: %d, VmLck %ld kB", resident >= 4000,
	     field(read_text("/proc/self/status"), NULL, "\nVmLck:"));
	show("VmHWM is at least VmRSS: %d, VmPeak at least VmSize: %d",
	     field(read_text("/proc/self/status"), NULL, "\nVmHWM:") >= resident,
	     field(read_text("/proc/self/status"), NULL, "\nVmPeak:") >= later);
	sscanf(read_text("/proc/self/statm"), "%ld %ld %ld %ld %ld %ld %ld", &pages[0], &pages[1],
	       &pages[2], &pages[3], &pages[4], &pages[5], &pages[6]);
	show("statm: size is VmSize: %d, resident is plausible: %d", pages[0] * 4 == later,
	     pages[1] >= 1000 && pages[1] <= pages[0]);
	show("shared within resident: %d, library %ld, dirty %ld", pages[2] <= pages[1], pages[4],
	     pages[6]);
	munmap(area, 1000 * PAGE);
	show("pid %d, threads %ld",
	     field(read_text("/proc/self/status"), NULL, "\nPid:") == getpid(),
	     field(read_text("/proc/self/status"), NULL, "\nThreads:"));
	show("name: %.8s", read_text("/proc/self/comm"));
}

/* /proc/self/stat, by the numbers of proc(5). */
static void case_stat(void)
{
	const char *text = strrchr(read_text("/proc/self/stat"), ')');
	unsigned long values[53] = {0};
	char here;
	int number = 3;

	for (const char *at = text + 1; at && number < 53; number++) {
		at++;
		values[number] = strtoul(at, NULL, 10);
		at = strchr(at, ' ');
	}
	show("parent %d, group %d, threads %lu", values[4] == (unsigned long)getppid(),
	     values[5] == (unsigned long)getpgrp(), values[20]);
	show("size %d, resident %d", values[23] > 1000000, values[24] > 10);
	show("the code is within its bounds: %d",
	     values[26] <= (uintptr_t)case_stat && (uintptr_t)case_stat < values[27]);
	show("the stack begins above: %d",
	     values[28] > (uintptr_t)&here && values[28] - (uintptr_t)&here < (8 << 20));
	show("the data is within its bounds: %d",
	     values[45] <= (uintptr_t)&initialised && (uintptr_t)&initialised < values[46]);
	show("the break is not below its start: %d",
	     values[47] <= (uintptr_t)sbrk(0) && values[47] >= values[46]);
	show("arguments and environment in order: %d",
	     values[48] <= values[49] && values[49] <= values[50] && values[50] <= values[51]);
	show("the first argument is there: %d",
	     values[48] && !strncmp((char *)values[48], read_text("/proc/self/cmdline"), 3));
}

static void case_identity(void)
{
	static char first[8192];
	char link[PATH_MAX] = "", path[PATH_MAX];
	const Elf64_auxv_t *vector;
	struct stat by_link, by_name;
	int fd;
	ssize_t length;

	show("exe: %d", readlink("/proc/self/exe", link, sizeof(link) - 1) > 0);
	show("  the same file: %d", !stat("/proc/self/exe", &by_link) && !stat(link, &by_name) &&
					    by_link.st_ino == by_name.st_ino &&
					    by_link.st_dev == by_name.st_dev);
	show("  an ELF file: %.3s", read_text("/proc/self/exe") + 1);
	snprintf(path, sizeof(path), "/proc/%d/exe", getpid());
	show("  by the process's number: %d",
	     readlink(path, first, sizeof(first)) == (ssize_t)strlen(link));
	fd = open("/proc/self/auxv", O_RDONLY);
	length = read(fd, first, sizeof(first));
	close(fd);
	vector = (void *)first;
	show("auxv: whole entries: %d", length > 0 && length % 16 == 0);
	for (; vector->a_type != AT_NULL; vector++) {
		/* The C library has a value of its own for AT_HWCAP. */
		if (vector->a_type != AT_HWCAP && getauxval(vector->a_type) != vector->a_un.a_val)
			show("  entry %lu differs from the program's own", vector->a_type);
	}
	show("page size %lu, entry %d, headers %d, random %d, secure %lu", getauxval(AT_PAGESZ),
	     getauxval(AT_ENTRY) != 0, getauxval(AT_PHDR) != 0, getauxval(AT_RANDOM) != 0,
	     getauxval(AT_SECURE));
	show("ticks %lu, user %d, platform %s", getauxval(AT_CLKTCK), getauxval(AT_UID) == getuid(),
	     (char *)getauxval(AT_PLATFORM));
	show("executed as %s", strrchr((char *)getauxval(AT_EXECFN), '/') ? "a path" : "a name");
	setenv("LATER", "1", 1);
	show("environ: %d", strchr(read_text("/proc/self/environ"), '=') != NULL);
}

static void case_mem(void)
{
	int fd = open("/proc/self/mem", O_RDWR);
	char *area = map_pages(4, PROT_READ | PROT_WRITE), got[PAGE];

	fill(area, 2 * PAGE, 8);
	show("pread: %s", answer(pread(fd, got, PAGE, (off_t)(uintptr_t)area + 100)));
	show("  %d", memcmp(got, area + 100, PAGE));
	show("pwrite: %s", answer(pwrite(fd, "poke", 4, (off_t)(uintptr_t)area + PAGE)));
	show("  %.4s", area + PAGE);
	show("what was never touched: %s",
	     answer(pread(fd, got, 10, (off_t)(uintptr_t)area + 3 * PAGE)));
	munmap(area + 2 * PAGE, PAGE);
	show("a hole: %s", answer(pread(fd, got, 10, (off_t)(uintptr_t)area + 2 * PAGE)));
	show("across its edge: %s",
	     answer(pread(fd, got, 100, (off_t)(uintptr_t)area + 2 * PAGE - 50)));
	show("lseek: %d", lseek(fd, (off_t)(uintptr_t)area, SEEK_SET) == (off_t)(uintptr_t)area);
	show("read: %s", answer(read(fd, got, 6)));
	show("  %.6s, then at %+ld", got, (long)(lseek(fd, 0, SEEK_CUR) - (off_t)(uintptr_t)area));
	close(fd);
	munmap(area, 4 * PAGE);
}

static void show_forced(int fd, const char *what, char *address)
{
	char got = '-';
	struct caught caught;

	show("%s: written %s", what, answer(pwrite(fd, "X", 1, (off_t)(uintptr_t)address)));
	show("  read %s, %c", answer(pread(fd, &got, 1, (off_t)(uintptr_t)address)),
	     got ? got : '0');
	caught = try_write(address);
	show("  stored: %s", describe(&caught, address));
}

/* Writes past what the mapping allows: as a debugger sets its breakpoints. */
static void case_forced(void)
{
	int fd = open("/proc/self/mem", O_RDWR), file = new_file(2 * PAGE);
	char *page, *kept, *shared;
	int result = 0;

	show_forced(fd, "untouched", map_pages(1, PROT_READ));
	page = map_pages(1, PROT_READ);
	show("zero: %d", *(volatile char *)page);
	show_forced(fd, "the zero page", page);
	page = map_pages(1, PROT_READ | PROT_WRITE);
	*page = 'a';
	mprotect(page, PAGE, PROT_NONE);
	show_forced(fd, "no permission", page);
	show_forced(fd, "never any permission", map_pages(1, PROT_NONE));
	page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, file, 0);
	kept = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, file, 0);
	shared = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, file, 0);
	show_forced(fd, "private file", page);
	show_forced(fd, "shared file", shared);
	show("others see %d %d", *(volatile char *)shared, *(volatile char *)kept);
	mprotect(page, PAGE, PROT_READ | PROT_WRITE);
	*page += 1;
	show("writable now: %c", *page);
	madvise(page, PAGE, MADV_DONTNEED);
	show("given back: %d", *(volatile char *)page);
	show_forced(fd, "shared anonymous",
		    mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	show_forced(fd, "beyond the end",
		    (char *)mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE, file, PAGE) + PAGE);
	/* mov $42, %eax; ret */
	page = map_pages(1, PROT_READ | PROT_EXEC);
	result = (int)pwrite(fd, "\xb8\x2a\0\0\0\xc3", 6, (off_t)(uintptr_t)page);
	show("code: %d, %d", result, ((int (*)(void))(uintptr_t)page)());
	result = (int)pwrite(fd, "\x2b", 1, (off_t)(uintptr_t)page + 1);
	show("changed: %d, %d", result, ((int (*)(void))(uintptr_t)page)());
	close(fd);
	close(file);
}

static uint64_t pagemap_entry(int fd, const void *address)
{
	uint64_t entry = 0;

	if (pread(fd, &entry, 8, (off_t)((uintptr_t)address / PAGE * 8)) != 8)
		guest_die("pread of pagemap");
	return entry;
}

static void case_pagemap(void)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	char *area = map_pages(8, PROT_READ | PROT_WRITE);
	int file = new_file(PAGE);
	char *mapped = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, file, 0);

	mlock(area + 2 * PAGE, 2 * PAGE);
	mlock(mapped, PAGE);
	show("untouched: present %d", (int)(pagemap_entry(fd, area) >> 63));
	show("locked: present %d, of a file %d, exclusive %d",
	     (int)(pagemap_entry(fd, area + 2 * PAGE) >> 63),
	     (int)(pagemap_entry(fd, area + 2 * PAGE) >> 61 & 1),
	     (int)(pagemap_entry(fd, area + 2 * PAGE) >> 56 & 1));
	show("of a file: present %d, of a file %d", (int)(pagemap_entry(fd, mapped) >> 63),
	     (int)(pagemap_entry(fd, mapped) >> 61 & 1));
	munmap(area + 6 * PAGE, PAGE);
	show("a hole: %#" PRIx64, pagemap_entry(fd, area + 6 * PAGE));
	show("unaligned: %s", answer(pread(fd, zeroed, 7, 0)));
	show("clear_refs: %s", answer(open("/proc/self/clear_refs", O_WRONLY) < 0 ? -1 : 0));
	close(fd);
	close(file);
	munmap(area, 8 * PAGE);
	munmap(mapped, PAGE);
}

static void *look_at_task(void *argument)
{
	char path[64], link[64] = "";
	ssize_t length;

	snprintf(path, sizeof(path), "%d/task/%d", getpid(), gettid());
	length = readlink("/proc/thread-self", link, sizeof(link) - 1);
	show("thread-self: %d", length > 0 && !strcmp(path, link));
	pthread_setname_np(pthread_self(), "second");
	show("its name: %.6s", read_text("/proc/thread-self/comm"));
	show("two threads: %ld", field(read_text("/proc/self/status"), NULL, "\nThreads:"));
	return argument;
}

static void case_threads(void)
{
	pthread_join(start_thread(look_at_task, NULL), NULL);
}

/* What is not of the memory comes from the host, as it is. */
static void case_rest(void)
{
	int fd = new_file(10);
	char path[64], link[PATH_MAX] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	show("fd: %d", readlink(path, link, sizeof(link) - 1) > 0);
	show("  deleted: %d", strstr(link, "(deleted)") != NULL);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	lseek(fd, 7, SEEK_SET);
	show("fdinfo: position %ld", field(read_text(path), NULL, "pos:"));
	show("cwd: %d", readlink("/proc/self/cwd", link, sizeof(link)) > 0);
	show("meminfo: %d", field(read_text("/proc/meminfo"), NULL, "MemTotal:") > 1000);
	show("cpuinfo: %d", strstr(read_text("/proc/cpuinfo"), "processor") != NULL);
	show("version: %.5s", read_text("/proc/version"));
	show("a file that is not: %s", answer(open("/proc/self/nothing", O_RDONLY)));
	show("another process: %d", strstr(read_text("/proc/1/status"), "Name:") != NULL);
	close(fd);
}

int main(int argc, char **argv)
{
	static const struct guest_case cases[] = {
		{"maps", case_maps},
		{"smaps", case_smaps},
		{"status", case_status},
		{"stat", case_stat},
		{"identity", case_identity},
		{"mem", case_mem},
		{"forced", case_forced},
		{"pagemap", case_pagemap},
		{"threads", case_threads},
		{"rest", case_rest},
		{NULL, NULL},
	};

	return guest_main(argc, argv, cases);
}
