/* SPDX-License-Identifier: MIT */
/*
 * A first program with Quire: an address space on the soft machine, memory mapped in it, a fork
 * that copies on write, swap, and a file of the host.
 *
 *     cc first.c $(pkg-config --cflags --libs quire) -o first
 *     ./first [FILE]
 */
#include <quire/file_store.h>
#include <quire/memory_store.h>
#include <quire/quire.h>
#include <quire/soft.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Functions of Quire say why they failed as system calls do, in errno. */
static void must(bool good, const char *what)
{
	if (!good) {
		perror(what);
		exit(EXIT_FAILURE);
	}
}

/* A CPU accesses the memory of the mm that it runs. What fails is a fault of the program. */
static void store(quire_cpu *cpu, uint64_t address, const char *text)
{
	struct quire_trap trap;

	must(quire_cpu_store(cpu, address, text, strlen(text) + 1, &trap) == 0, "store");
}

static void expect(quire_cpu *cpu, const char *who, uint64_t address, const char *text)
{
	struct quire_trap trap;
	char found[64] = "";

	must(quire_cpu_load(cpu, address, found, strlen(text) + 1, &trap) == 0, "load");
	printf("%s: \"%s\"\n", who, found);
	if (strcmp(found, text) != 0) {
		fprintf(stderr, "first: not \"%s\"\n", text);
		exit(EXIT_FAILURE);
	}
}

/* Parent and child share the page until one of them stores. */
static void share_with_a_child(quire_cpu *cpu, quire_mm *parent)
{
	const int prot = QUIRE_PROT_READ | QUIRE_PROT_WRITE;
	const int flags = QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS;
	quire_mm *child;

	uint64_t address = quire_mmap(parent, 0, 4 * QUIRE_PAGE_SIZE, prot, flags, NULL, 0);
	must(address != QUIRE_MAP_FAILED, "mmap");
	quire_cpu_switch(cpu, parent);
	store(cpu, address, "written by the parent");

	must(quire_fork(parent, "child", &child) == 0, "fork");
	quire_cpu_switch(cpu, child);
	expect(cpu, "child ", address, "written by the parent");
	store(cpu, address, "written by the child");
	expect(cpu, "child ", address, "written by the child");

	quire_cpu_switch(cpu, parent);
	expect(cpu, "parent", address, "written by the parent");
	quire_mm_exit(child);

	/* A page that is evicted goes to swap, and comes back when it is next accessed. */
	must(quire_madvise(parent, address, QUIRE_PAGE_SIZE, QUIRE_MADV_PAGEOUT) == 0, "madvise");
	expect(cpu, "parent", address, "written by the parent");
}

/* A file of the host: the store reads and writes it, pages of it are cached in the instance. */
static void map_file(struct quire *quire, quire_cpu *cpu, quire_mm *mm, const char *path)
{
	struct quire_trap trap;
	struct quire_store *backing;
	quire_file *file;
	struct stat stat;
	char start[33] = "";

	int fd = open(path, O_RDONLY);
	must(fd >= 0 && fstat(fd, &stat) == 0, path);
	if (stat.st_size < (off_t)sizeof(start)) {
		fprintf(stderr, "first: %s is too short\n", path);
		exit(EXIT_FAILURE);
	}
	/* What belongs to stores returns the negative errno itself. */
	errno = -quire_file_store_create(fd, false, QUIRE_FILE_IO_AUTO, &backing);
	must(errno == 0, path);
	must(quire_open(quire, path, stat.st_dev, stat.st_ino, backing, QUIRE_O_READ, &file) == 0,
	     "open");
	uint64_t address = quire_mmap(mm, 0, (uint64_t)stat.st_size, QUIRE_PROT_READ,
				      QUIRE_MAP_SHARED, file, 0);
	must(address != QUIRE_MAP_FAILED, "mmap");
	quire_close(file); /* the mapping keeps it */

	must(quire_cpu_load(cpu, address, start, sizeof(start) - 1, &trap) == 0, "load");
	printf("%s begins: %.*s\n", path, (int)strcspn(start, "\n"), start);

	/* A store that the mapping forbids stops, and the trap says what the program gets. */
	if (quire_cpu_store(cpu, address, "no", 2, &trap) == 0 ||
	    trap.signal != QUIRE_SEGV_ACCERR) {
		fprintf(stderr, "first: the store to a read-only mapping was not stopped\n");
		exit(EXIT_FAILURE);
	}
}

int main(int argc, char **argv)
{
	const struct quire_params params = {.size = sizeof(params), .memory = 16 << 20};
	struct quire_stat counters = {.size = sizeof(counters)};
	struct quire_machine *machine;
	struct quire_store *swap;
	struct quire *quire;
	char message[256];
	quire_mm *mm;
	quire_cpu *cpu;

	must(quire_soft_machine_create(NULL, &machine) == 0, "machine");
	must(quire_create(machine, &params, &quire) == 0, "instance");
	must(quire_cpu_create(machine, &cpu) == 0, "CPU");
	must(quire_mm_create(quire, "main", NULL, &mm) == 0, "mm");
	errno = -quire_memory_store_create(1 << 20, &swap);
	must(errno == 0, "memory store");
	must(quire_swapon(quire, swap, 1 << 20) == 0, "swap");

	share_with_a_child(cpu, mm);
	if (argc > 1)
		map_file(quire, cpu, mm, argv[1]);

	must(quire_get_stat(quire, &counters) == 0, "counters");
	printf("faults: %" PRIu64 ", copies on write: %" PRIu64 ", pages swapped in: %" PRIu64 "\n",
	       counters.faults, counters.cow_copies, counters.swap_in);
	if (quire_check(quire, message, sizeof(message)) != 0) {
		fprintf(stderr, "first: %s\n", message);
		return EXIT_FAILURE;
	}

	quire_cpu_switch(cpu, NULL);
	quire_mm_exit(mm);
	quire_cpu_destroy(cpu);
	must(quire_destroy(quire) == 0, "the end of the instance");
	quire_soft_machine_destroy(machine);
	return EXIT_SUCCESS;
}
