/* SPDX-License-Identifier: MIT */
/*
 * The frame of the guest programs. Each is a list of cases; a case prints what it sees, and run.py
 * compares what it prints on the plain kernel with what it prints under `quire run`. So a case
 * prints nothing that may differ between two runs on the plain kernel: distances, not addresses;
 * comparisons, not times; no identifiers.
 *
 * What a case needs and cannot have ends the program through guest_die(): the run then fails on
 * both sides and is reported as such.
 */
#ifndef TESTS_GUEST_GUEST_H
#define TESTS_GUEST_GUEST_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE 4096ul

struct guest_case {
	const char *name;
	void (*run)(void);
};

/* Runs all cases in their order, or, when the command line names some, those. The list ends with a
 * NULL name. */
int guest_main(int argc, char **argv, const struct guest_case *cases);

/* One line of what a case sees. */
void show(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void guest_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "ENOMEM" and so on; "0" for none. */
const char *error_name(int error);
/* Of a call that answers -1 and errno: the error's name, else the number answered. The text stays
 * until the fourth call after. */
const char *answer(long result);
const char *signal_name(int signal);
/* SEGV_MAPERR and so on: the name that `code` has for this signal. */
const char *code_name(int signal, int code);

/* A new private anonymous mapping of whole pages. */
char *map_pages(size_t pages, int prot);
/* A new file in the current directory, without a name, of this size. */
int new_file(size_t bytes);
/* Fills with bytes that differ from page to page and within a page, made from `seed`. */
void fill(char *memory, size_t bytes, unsigned int seed);
/* Counts the bytes that are not as fill() left them. */
size_t count_wrong(const char *memory, size_t bytes, unsigned int seed);

/* What a signal handler saw. */
struct caught {
	int signal; /* 0: none came */
	int code;
	uintptr_t address;
	uint64_t instruction; /* where the program was */
	uint64_t trap, error; /* the exception's number and its error code */
};

/* Calls `action` with SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGTRAP caught; the first of them ends
 * it. The handler runs on an alternate stack. */
struct caught catch_fault(void (*action)(void *argument), void *argument);
/* One byte read, or written; what came of it. */
struct caught try_read(const void *address);
struct caught try_write(void *address);
/* "ok", or the signal, its code, and the address as a distance from `base`. The text stays until
 * the fourth call after. */
const char *describe(const struct caught *caught, const void *base);

/* pthread_create() that must succeed. */
pthread_t start_thread(void *(*function)(void *), void *argument);

/* For a handler that only has to interrupt. */
void nothing_handler(int signal);
/* sigaction() that must succeed. */
void handle(int signal, void (*handler)(int, siginfo_t *, void *), int flags);

/* Reads a whole small file, such as one of /proc; the text is NUL-terminated and static, until the
 * next call. */
const char *read_text(const char *path);
/* Sleeps for so many milliseconds, whatever signals come. */
void pause_ms(unsigned int milliseconds);
uint64_t now_ns(int clock);

#endif
