/* SPDX-License-Identifier: MIT */
/*
 * Code that is written and then run: in one mapping that is both, in one that changes its
 * protection, through two mappings of one memory file, across the border of two pages, by another
 * thread, and in place of what just ran.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* mov $immediate, %eax; ret */
#define FUNCTION_BYTES 6

static void write_function(char *where, int32_t value)
{
	where[0] = (char)0xb8;
	memcpy(where + 1, &value, sizeof(value));
	where[5] = (char)0xc3;
}

static int32_t call(const char *where)
{
	int32_t (*function)(void);

	memcpy(&function, &where, sizeof(function));
	/* The compiler may not keep what it knows of the bytes. */
	__asm__ volatile("" ::: "memory");
	return function();
}

static void case_writable_code(void)
{
	char *code = map_pages(2, PROT_READ | PROT_WRITE | PROT_EXEC);
	int64_t sum = 0;

	write_function(code, 42);
	show("first: %d", call(code));
	for (int32_t i = 0; i < 2000; i++) {
		write_function(code + i % 64, i);
		sum += call(code + i % 64);
	}
	show("2000 rewritten functions: %ld", sum);
	/* Half of the function on each page. */
	for (int32_t i = 0; i < 500; i++) {
		write_function(code + PAGE - 3, i * 7);
		sum += call(code + PAGE - 3);
	}
	show("500 across the border: %ld", sum);
	munmap(code, 2 * PAGE);
}

static void case_changed_protection(void)
{
	char *code = map_pages(1, PROT_READ | PROT_WRITE);
	int64_t sum = 0;
	struct caught caught;

	for (int32_t i = 0; i < 200; i++) {
		mprotect(code, PAGE, PROT_READ | PROT_WRITE);
		write_function(code + 100, i);
		mprotect(code, PAGE, PROT_READ | PROT_EXEC);
		sum += call(code + 100);
	}
	caught = try_write(code);
	show("200 generations: %ld; written while executable: %s", sum, describe(&caught, code));
	mprotect(code, PAGE, PROT_EXEC);
	caught = try_read(code);
	show("run execute-only: %d; read it: %s", call(code + 100), describe(&caught, code));
	munmap(code, PAGE);
}

static void case_two_mappings(void)
{
	int fd = memfd_create("code", 0);
	char *writable, *runnable;
	int64_t sum = 0;
	struct caught caught;

	if (fd < 0 || ftruncate(fd, 2 * PAGE))
		guest_die("memfd_create");
	writable = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	runnable = mmap(NULL, 2 * PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	if (writable == MAP_FAILED || runnable == MAP_FAILED)
		guest_die("mmap of a memory file");
	for (int32_t i = 0; i < 1000; i++) {
		char *place = writable + (size_t)i * 8 % (2 * PAGE - 8);

		write_function(place, i);
		sum += call(runnable + (place - writable));
	}
	show("1000 functions: %ld", sum);
	write_function(writable + PAGE - 2, 77);
	show("across the border: %d", call(runnable + PAGE - 2));
	caught = try_write(runnable);
	show("written through the other: %s", describe(&caught, runnable));
	if (pwrite(fd, "\xb8\x05\0\0\0\xc3", FUNCTION_BYTES, PAGE) != FUNCTION_BYTES)
		guest_die("pwrite");
	show("written by pwrite: %d", call(runnable + PAGE));
	munmap(writable, 2 * PAGE);
	munmap(runnable, 2 * PAGE);
	close(fd);
}

static void case_file_code(void)
{
	int fd = new_file(PAGE);
	const char *shared, *private;

	if (pwrite(fd, "\xb8\x07\0\0\0\xc3", FUNCTION_BYTES, 16) != FUNCTION_BYTES)
		guest_die("pwrite");
	shared = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	private = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	if (shared == MAP_FAILED || private == MAP_FAILED)
		guest_die("mmap of code");
	show("shared %d, private %d", call(shared + 16), call(private + 16));
	if (pwrite(fd, "\x09", 1, 17) != 1)
		guest_die("pwrite");
	show("shared %d after the file changed", call(shared + 16));
	close(fd);
}

struct exchange {
	char *code;
	_Atomic int turn; /* odd: the runner's */
	int64_t sum;
};

static void *run_other(void *argument)
{
	struct exchange *exchange = argument;

	for (int i = 0; i < 200; i++) {
		while (atomic_load(&exchange->turn) != 2 * i + 1)
			sched_yield();
		exchange->sum += call(exchange->code);
		atomic_store(&exchange->turn, 2 * i + 2);
	}
	return NULL;
}

static void case_other_thread(void)
{
	struct exchange exchange = {.code = map_pages(1, PROT_READ | PROT_WRITE | PROT_EXEC)};
	pthread_t thread = start_thread(run_other, &exchange);

	for (int i = 0; i < 200; i++) {
		while (atomic_load(&exchange.turn) != 2 * i)
			sched_yield();
		write_function(exchange.code, i);
		atomic_store(&exchange.turn, 2 * i + 1);
	}
	pthread_join(thread, NULL);
	show("200 functions run by another thread: %ld", exchange.sum);
	munmap(exchange.code, PAGE);
}

/* Code at an address that held other code before: nothing of it may be left anywhere. */
static void case_same_address(void)
{
	char *place = map_pages(1, PROT_NONE);
	int64_t sum = 0;

	for (int32_t i = 0; i < 200; i++) {
		char *code = mmap(place, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

		if (code != place)
			guest_die("mmap at a fixed address");
		if (code[8])
			show("generation %d found old bytes", i);
		write_function(code + 8, i * 3);
		sum += call(code + 8);
		if (i % 4 == 0)
			madvise(code, PAGE, MADV_DONTNEED);
	}
	show("200 mappings: %ld", sum);
	munmap(place, PAGE);
}

int main(int argc, char **argv)
{
	static const struct guest_case cases[] = {
		{"writable_code", case_writable_code},
		{"changed_protection", case_changed_protection},
		{"two_mappings", case_two_mappings},
		{"file_code", case_file_code},
		{"other_thread", case_other_thread},
		{"same_address", case_same_address},
		{NULL, NULL},
	};

	return guest_main(argc, argv, cases);
}
