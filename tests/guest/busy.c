/* SPDX-License-Identifier: MIT */
/*
 * A program that is never idle, for kill.py: threads write all over private memory, shared memory,
 * a memory file and a mapped file, lock the file, map and unmap, until something ends it. It says
 * when it has begun.
 *
 *   busy FILE
 */
#define _GNU_SOURCE
#include "guest.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#define AREA (24ul << 20)
#define FILE_BYTES (8ul << 20)

static char *private, *shared, *file, *memory_file;

static void *keep_writing(void *argument)
{
	uint64_t state = (uint64_t)(uintptr_t)argument;
	char *area = state == 1 ? private : state == 2 ? shared : state == 3 ? memory_file : file;
	size_t bytes = area == file ? FILE_BYTES : AREA;

	for (;;) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		area[(state >> 20) % bytes] = (char)state;
		if (state >> 54 == 0) {
			char *other = map_pages(16, PROT_READ | PROT_WRITE);

			other[PAGE] = 1;
			munmap(other, 16 * PAGE);
		}
		if (area == file && state >> 52 == 0)
			msync(file, FILE_BYTES, MS_ASYNC);
	}
	return NULL;
}

static void *map_or_die(int flags, int fd, size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (memory == MAP_FAILED)
		guest_die("mmap of %zu bytes", bytes);
	return memory;
}

int main(int argc, char **argv)
{
	int fd = argc == 2 ? open(argv[1], O_RDWR | O_CREAT, 0600) : -1;
	int memory_fd = memfd_create("busy", 0);

	if (fd < 0 || ftruncate(fd, FILE_BYTES) || ftruncate(memory_fd, AREA) ||
	    lockf(fd, F_LOCK, 0) || flock(fd, LOCK_EX))
		guest_die("usage: busy FILE");
	private = map_or_die(MAP_PRIVATE | MAP_ANONYMOUS, -1, AREA);
	shared = map_or_die(MAP_SHARED | MAP_ANONYMOUS, -1, AREA);
	memory_file = map_or_die(MAP_SHARED, memory_fd, AREA);
	file = map_or_die(MAP_SHARED, fd, FILE_BYTES);
	for (uintptr_t i = 1; i < 4; i++)
		start_thread(keep_writing, (void *)i);
	puts("busy");
	fflush(stdout);
	keep_writing((void *)4);
}
