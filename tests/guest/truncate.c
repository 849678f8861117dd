/* SPDX-License-Identifier: MIT */
/*
 * A file that is cut while it is read through a mapping: the reader gets SIGBUS beyond the new end,
 * sees no byte of the old contents when the file grows again, and nobody else is disturbed.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILE_PAGES 64

struct scene {
	int fd;
	char *memory;
	size_t pages;
	_Atomic bool stop;
	_Atomic uint64_t reads, buses, others, strange, wrong_address;
};

static _Thread_local sigjmp_buf after_bus;
static struct scene scene;

static void bus_handler(int signal, siginfo_t *info, void *context)
{
	uintptr_t offset = (uintptr_t)info->si_addr - (uintptr_t)scene.memory;

	(void)signal;
	(void)context;
	if (info->si_code != BUS_ADRERR || offset >= FILE_PAGES * PAGE)
		atomic_fetch_add(&scene.wrong_address, 1);
	siglongjmp(after_bus, 1);
}

/* Each page holds its number plus one in every word, or zeros. */
static void *run_reader(void *argument)
{
	volatile size_t page = (size_t)(uintptr_t)argument;

	while (!atomic_load(&scene.stop)) {
		page = (page + 7) % FILE_PAGES;
		if (sigsetjmp(after_bus, 1)) {
			atomic_fetch_add(&scene.buses, 1);
			continue;
		}
		for (size_t word = 0; word < PAGE / 8; word += 37) {
			uint64_t value = ((volatile uint64_t *)(scene.memory + page * PAGE))[word];

			if (value && value != page + 1)
				atomic_fetch_add(&scene.strange, 1);
		}
		atomic_fetch_add(&scene.reads, 1);
	}
	return NULL;
}

static void write_pages(size_t from, size_t to)
{
	uint64_t words[PAGE / 8];

	for (size_t page = from; page < to; page++) {
		for (size_t i = 0; i < PAGE / 8; i++)
			words[i] = page + 1;
		if (pwrite(scene.fd, words, PAGE, (off_t)(page * PAGE)) != (ssize_t)PAGE)
			guest_die("pwrite");
	}
}

static void case_running_reader(void)
{
	pthread_t threads[2];
	uint64_t last;

	scene.fd = new_file(FILE_PAGES * PAGE);
	write_pages(0, FILE_PAGES);
	scene.memory = mmap(NULL, FILE_PAGES * PAGE, PROT_READ, MAP_SHARED, scene.fd, 0);
	if (scene.memory == MAP_FAILED)
		guest_die("mmap");
	handle(SIGBUS, bus_handler, 0);
	for (uintptr_t i = 0; i < 2; i++)
		threads[i] = start_thread(run_reader, (void *)i);
	for (size_t round = 0; round < 20; round++) {
		size_t pages = round * 13 % FILE_PAGES;

		if (ftruncate(scene.fd, (off_t)(pages * PAGE)))
			guest_die("ftruncate");
		/* Let the readers meet the end of the file. */
		last = atomic_load(&scene.buses);
		while (atomic_load(&scene.buses) < last + 3)
			sched_yield();
		write_pages(round % 2 ? pages : FILE_PAGES - 1, FILE_PAGES);
		last = atomic_load(&scene.reads);
		while (atomic_load(&scene.reads) < last + 3)
			sched_yield();
	}
	atomic_store(&scene.stop, true);
	for (size_t i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	show("readers met the end: %d, read: %d", atomic_load(&scene.buses) > 0,
	     atomic_load(&scene.reads) > 0);
	show("%lu strange values, %lu wrong addresses", atomic_load(&scene.strange),
	     atomic_load(&scene.wrong_address));
	signal(SIGBUS, SIG_DFL);
	munmap(scene.memory, FILE_PAGES * PAGE);
	close(scene.fd);
}

/* What lay beyond the end must be gone, in a page that is cut too. */
static void case_cut_page(void)
{
	int fd = new_file(3 * PAGE);
	char *memory = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *private = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	struct caught caught;
	size_t left = 0;
	char bytes[PAGE];

	if (memory == MAP_FAILED || private == MAP_FAILED)
		guest_die("mmap");
	memset(memory, 'x', 3 * PAGE);
	private[2 * PAGE] = 'p';
	private[PAGE + 200] = 'q';
	if (ftruncate(fd, PAGE + 100))
		guest_die("ftruncate");
	show("shared: %c %d %d", memory[PAGE + 99], memory[PAGE + 100], memory[2 * PAGE - 1]);
	show("a private copy of the cut page: %c %c", private[PAGE + 99], private[PAGE + 200]);
	caught = try_read(private + 2 * PAGE);
	show("a private copy beyond the end: %s", describe(&caught, private));
	/* Stored beyond the end in the last page, which must not come back. */
	memory[PAGE + 300] = 'y';
	if (ftruncate(fd, 3 * PAGE))
		guest_die("ftruncate");
	show("the store beyond the end: %d", memory[PAGE + 300]);
	if (pread(fd, bytes, PAGE, PAGE) != (ssize_t)PAGE)
		guest_die("pread");
	for (size_t i = 100; i < PAGE; i++)
		left += bytes[i] != 0;
	for (size_t i = 0; i < PAGE; i++)
		left += memory[2 * PAGE + i] != 0;
	show("%zu old bytes after it grew again", left);
	munmap(memory, 3 * PAGE);
	munmap(private, 3 * PAGE);
	close(fd);
}

static void case_by_name(void)
{
	const char *name = "cut-by-name";
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600), again;
	char *memory;
	struct caught caught;

	if (fd < 0 || ftruncate(fd, 2 * PAGE))
		guest_die("a file");
	memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		guest_die("mmap");
	memset(memory, 'a', 2 * PAGE);
	show("truncate: %s", answer(truncate(name, PAGE)));
	caught = try_read(memory + PAGE);
	show("the second page: %s", describe(&caught, memory));
	again = open(name, O_RDWR | O_TRUNC);
	caught = try_read(memory);
	show("the first after O_TRUNC: %s", describe(&caught, memory));
	show("write to it: %s", answer(write(again, "new", 3)));
	caught = try_read(memory);
	show("read it: %s, %.3s", describe(&caught, memory), memory);
	show("link count after unlink: %s", answer(unlink(name)));
	memory[1] = 'E';
	if (pread(again, memory + 100, 3, 0) != 3)
		guest_die("pread into the mapping");
	show("unlinked: %.3s", memory + 100);
	munmap(memory, 2 * PAGE);
	close(fd);
	close(again);
}

int main(int argc, char **argv)
{
	static const struct guest_case cases[] = {
		{"running_reader", case_running_reader},
		{"cut_page", case_cut_page},
		{"by_name", case_by_name},
		{NULL, NULL},
	};

	return guest_main(argc, argv, cases);
}
