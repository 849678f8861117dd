/* SPDX-License-Identifier: MIT */
/*
 * How a program ends, and how it began: exit statuses, deaths by each kind of signal, the output
 * that is still in buffers, arguments, environment, standard input, alignment of the stack, exec of
 * another program. Most cases end the process, so each is run by itself.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void store_at(uintptr_t address)
{
	/* The compiler shall not know where. */
	__asm__("" : "+r"(address));
	*(volatile int *)address = 1;
}

static void case_exit_42(void)
{
	exit(42);
}

static void at_exit(void)
{
	show("at exit");
}

static void case_exit_handlers(void)
{
	atexit(at_exit);
	setvbuf(stdout, NULL, _IOFBF, 4096);
	show("still in the buffer");
	exit(0x1ff);
}

static void *exit_from_thread(void *argument)
{
	pause_ms(5);
	exit(7);
	return argument;
}

static void case_exit_of_thread(void)
{
	start_thread(exit_from_thread, NULL);
	for (;;)
		pause();
}

static void *outlive(void *argument)
{
	pthread_join(*(pthread_t *)argument, NULL);
	show("the first thread is gone");
	return NULL;
}

static void case_first_thread_exits(void)
{
	static pthread_t first;

	first = pthread_self();
	start_thread(outlive, &first);
	pthread_exit(NULL);
}

static void case_abort(void)
{
	abort();
}

static void case_segv(void)
{
	store_at(8);
}

static void case_bus(void)
{
	int fd = new_file(0);
	volatile char *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	memory[0] = 1;
}

static void case_ill(void)
{
	__asm__ volatile("ud2");
}

static void case_fpe(void)
{
	int zero = 0;

	/* The compiler shall not know. */
	__asm__("" : "+r"(zero));
	show("%d", 100 / zero);
}

static void case_trap(void)
{
	__asm__ volatile("int3");
}

static void case_stack_overflow(void)
{
	struct rlimit limit = {.rlim_cur = 1 << 20, .rlim_max = 1 << 20};

	setrlimit(RLIMIT_STACK, &limit);
	for (volatile char *bottom = (char *)&limit;; bottom -= 1000)
		*bottom = 1;
}

static void case_ignored_segv(void)
{
	signal(SIGSEGV, SIG_IGN);
	store_at(8);
}

static void never_called(int signal)
{
	(void)signal;
}

static void case_blocked_segv(void)
{
	sigset_t all;

	signal(SIGSEGV, never_called);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	store_at(8);
}

static void handler_that_faults(int signal, siginfo_t *info, void *context)
{
	(void)info;
	(void)context;
	show("in the handler of %s", signal_name(signal));
	store_at(16);
}

static void case_fault_in_handler(void)
{
	handle(SIGSEGV, handler_that_faults, 0);
	store_at(8);
}

static void case_no_room_for_frame(void)
{
	handle(SIGUSR1, handler_that_faults, 0);
	/* The handler's frame has no place. */
	__asm__ volatile("mov %0, %%rsp\n\tmov %1, %%edi\n\tmov %2, %%esi\n\tmov $62, "
			 "%%eax\n\tsyscall\n\tud2" ::"r"(map_pages(1, PROT_NONE)),
			 "r"(getpid()), "r"(SIGUSR1)
			 : "rax", "rdi", "rsi", "rcx", "r11");
}

static void case_term(void)
{
	kill(getpid(), SIGTERM);
	pause();
}

static void case_kill(void)
{
	kill(getpid(), SIGKILL);
}

static void case_realtime(void)
{
	raise(SIGRTMIN + 5);
}

static void case_pipe(void)
{
	int ends[2];

	if (pipe(ends))
		guest_die("pipe");
	close(ends[0]);
	show("%s", answer(write(ends[1], "x", 1)));
}

static void *kill_process(void *argument)
{
	pause_ms(5);
	store_at(8);
	return argument;
}

static void case_segv_of_thread(void)
{
	pthread_join(start_thread(kill_process, NULL), NULL);
}

static void case_cpu_limit(void)
{
	struct rlimit limit = {.rlim_cur = 1, .rlim_max = 2};

	setrlimit(RLIMIT_CPU, &limit);
	for (;;)
		;
}

static void case_alarm(void)
{
	ualarm(10000, 0);
	for (;;)
		;
}

/* What was stored through a mapping is in the file, however the program ends. */
static void store_in_file(void)
{
	int fd = open("dirty", O_RDWR | O_CREAT | O_TRUNC, 0600);
	char *memory;

	if (fd < 0 || ftruncate(fd, 100 * PAGE))
		guest_die("a file");
	memory = mmap(NULL, 100 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	fill(memory, 100 * PAGE, 3);
}

static void case_killed_with_dirty_pages(void)
{
	store_in_file();
	raise(SIGTERM);
}

static void case_kills_itself(void)
{
	store_in_file();
	kill(getpid(), SIGKILL);
}

static void case_raises_kill(void)
{
	store_in_file();
	raise(SIGKILL);
}

static void case_beginning(void)
{
	uintptr_t pointer;
	char line[100];

	__asm__ volatile("mov %%rsp, %0" : "=r"(pointer));
	setenv("GUEST_ADDED", "yes", 1);
	show("GUEST_GIVEN is %s, GUEST_ADDED %s", getenv("GUEST_GIVEN"), getenv("GUEST_ADDED"));
	show("stack alignment %lu", pointer % 16);
	show("umask %o, nice %d", umask(022), getpriority(PRIO_PROCESS, 0));
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		show("read: %s", line);
	}
	fprintf(stderr, "to the standard error\n");
	show("descriptors 0, 1, 2, 3: %d %d %d %d", fcntl(0, F_GETFD) >= 0, fcntl(1, F_GETFD) >= 0,
	     fcntl(2, F_GETFD) >= 0, fcntl(3, F_GETFD) >= 0);
	show("the next descriptor: %d", open("/dev/null", O_RDONLY));
}

static void case_exec(void)
{
	char *arguments[] = {"echo", "by", "another program", NULL};
	int fd = open("/dev/null", O_RDONLY);

	show("no such program: %s", answer(execv("/nonexistent", arguments)));
	show("not a program: %s", answer(execv("/dev/null", arguments)));
	show("a directory: %s", answer(execv("/", arguments)));
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fflush(stdout);
	execv("/bin/echo", arguments);
	guest_die("execv");
}

int main(int argc, char **argv)
{
	static const struct guest_case cases[] = {
		{"beginning", case_beginning},
		{"exit_42", case_exit_42},
		{"exit_handlers", case_exit_handlers},
		{"exit_of_thread", case_exit_of_thread},
		{"first_thread_exits", case_first_thread_exits},
		{"abort", case_abort},
		{"segv", case_segv},
		{"bus", case_bus},
		{"ill", case_ill},
		{"fpe", case_fpe},
		{"trap", case_trap},
		{"stack_overflow", case_stack_overflow},
		{"ignored_segv", case_ignored_segv},
		{"blocked_segv", case_blocked_segv},
		{"fault_in_handler", case_fault_in_handler},
		{"no_room_for_frame", case_no_room_for_frame},
		{"term", case_term},
		{"kill", case_kill},
		{"realtime", case_realtime},
		{"pipe", case_pipe},
		{"segv_of_thread", case_segv_of_thread},
		{"cpu_limit", case_cpu_limit},
		{"alarm", case_alarm},
		{"killed_with_dirty_pages", case_killed_with_dirty_pages},
		{"kills_itself", case_kills_itself},
		{"raises_kill", case_raises_kill},
		{"exec", case_exec},
		{NULL, NULL},
	};

	return guest_main(argc, argv, cases);
}
