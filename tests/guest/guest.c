/* SPDX-License-Identifier: MIT */
/* What the guest programs share: the loop over cases, names of errors and signals, memory, files,
 * catching of faults. */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define TEXTS 4

static char *next_text(void)
{
	static _Thread_local char texts[TEXTS][128];
	static _Thread_local unsigned int next;

	return texts[next++ % TEXTS];
}

int guest_main(int argc, char **argv, const struct guest_case *cases)
{
	bool list = argc == 2 && !strcmp(argv[1], "--list");

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (const struct guest_case *entry = cases; entry->name; entry++) {
		bool wanted = argc < 2;

		if (list)
			puts(entry->name);
		for (int i = 1; i < argc; i++)
			wanted = wanted || !strcmp(argv[i], entry->name);
		if (!wanted)
			continue;
		printf("# %s\n", entry->name);
		entry->run();
	}
	return 0;
}

void show(const char *format, ...)
{
	char line[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	printf("%s\n", line);
}

void guest_die(const char *format, ...)
{
	int error = errno;
	va_list arguments;

	fflush(stdout);
	fprintf(stderr, "guest: ");
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, " (errno %s)\n", error_name(error));
	_exit(99);
}

const char *error_name(int error)
{
	const char *name = strerrorname_np(error);

	return name ? name : "unknown";
}

const char *answer(long result)
{
	char *text = next_text();
	int error = errno;

	if (result == -1)
		snprintf(text, 128, "%s", error_name(error));
	else
		snprintf(text, 128, "%ld", result);
	return text;
}

const char *signal_name(int signal)
{
	static const char *const rt = "realtime";
	const char *name = sigabbrev_np(signal);

	if (!signal)
		return "none";
	return name ? name : rt;
}

const char *code_name(int signal, int code)
{
	static const struct {
		int signal, code;
		const char *name;
	} names[] = {
		{SIGSEGV, SEGV_MAPERR, "MAPERR"}, {SIGSEGV, SEGV_ACCERR, "ACCERR"},
		{SIGBUS, BUS_ADRALN, "ADRALN"},   {SIGBUS, BUS_ADRERR, "ADRERR"},
		{SIGFPE, FPE_INTDIV, "INTDIV"},   {SIGFPE, FPE_INTOVF, "INTOVF"},
		{SIGFPE, FPE_FLTDIV, "FLTDIV"},   {SIGFPE, FPE_FLTOVF, "FLTOVF"},
		{SIGFPE, FPE_FLTUND, "FLTUND"},   {SIGFPE, FPE_FLTRES, "FLTRES"},
		{SIGFPE, FPE_FLTINV, "FLTINV"},   {SIGILL, ILL_ILLOPN, "ILLOPN"},
		{SIGILL, ILL_ILLOPC, "ILLOPC"},   {SIGTRAP, TRAP_BRKPT, "BRKPT"},
		{SIGTRAP, TRAP_TRACE, "TRACE"},   {0, SI_USER, "USER"},
		{0, SI_QUEUE, "QUEUE"},           {0, SI_TIMER, "TIMER"},
		{0, SI_TKILL, "TKILL"},           {0, SI_KERNEL, "KERNEL"},
	};
	char *text = next_text();

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (names[i].code == code && (!names[i].signal || names[i].signal == signal))
			return names[i].name;
	}
	snprintf(text, 128, "code %d", code);
	return text;
}

char *map_pages(size_t pages, int prot)
{
	char *memory = mmap(NULL, pages * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		guest_die("mmap of %zu pages", pages);
	return memory;
}

int new_file(size_t bytes)
{
	char name[] = "guest-XXXXXX";
	int fd = mkstemp(name);

	if (fd < 0 || unlink(name) || ftruncate(fd, (off_t)bytes))
		guest_die("a file of %zu bytes", bytes);
	return fd;
}

static unsigned char byte_at(size_t i, unsigned int seed)
{
	uint64_t x = (i + 1) * 0x9e3779b97f4a7c15u + seed * 0xc2b2ae3d27d4eb4fu;

	return (unsigned char)(x >> 56);
}

void fill(char *memory, size_t bytes, unsigned int seed)
{
	for (size_t i = 0; i < bytes; i++)
		memory[i] = (char)byte_at(i, seed);
}

size_t count_wrong(const char *memory, size_t bytes, unsigned int seed)
{
	size_t wrong = 0;

	for (size_t i = 0; i < bytes; i++)
		wrong += (unsigned char)memory[i] != byte_at(i, seed);
	return wrong;
}

static _Thread_local sigjmp_buf resume;
static _Thread_local struct caught last_caught;

static void fault_handler(int signal, siginfo_t *info, void *context)
{
	const ucontext_t *user = context;

	last_caught = (struct caught){
		.signal = signal,
		.code = info->si_code,
		.address = (uintptr_t)info->si_addr,
		.instruction = (uint64_t)user->uc_mcontext.gregs[REG_RIP],
		.trap = (uint64_t)user->uc_mcontext.gregs[REG_TRAPNO],
		.error = (uint64_t)user->uc_mcontext.gregs[REG_ERR],
	};
	siglongjmp(resume, 1);
}

struct caught catch_fault(void (*action)(void *argument), void *argument)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
	enum {
		count = sizeof(signals) / sizeof(*signals)
	};
	char alternate[65536];
	stack_t stack = {.ss_sp = alternate, .ss_size = sizeof(alternate)}, old_stack;
	struct sigaction catch = {.sa_sigaction = fault_handler,
				  .sa_flags = SA_SIGINFO | SA_ONSTACK};
	struct sigaction old[count];

	if (sigaltstack(&stack, &old_stack))
		guest_die("sigaltstack");
	for (size_t i = 0; i < count; i++)
		sigaction(signals[i], &catch, &old[i]);
	last_caught = (struct caught){0};
	if (!sigsetjmp(resume, 1))
		action(argument);
	for (size_t i = 0; i < count; i++)
		sigaction(signals[i], &old[i], NULL);
	sigaltstack(&old_stack, NULL);
	return last_caught;
}

static void read_byte(void *address)
{
	(void)*(volatile char *)address;
}

static void write_byte(void *address)
{
	*(volatile char *)address = 1;
}

struct caught try_read(const void *address)
{
	return catch_fault(read_byte, (void *)(uintptr_t)address);
}

struct caught try_write(void *address)
{
	return catch_fault(write_byte, address);
}

const char *describe(const struct caught *caught, const void *base)
{
	char *text = next_text();

	if (!caught->signal)
		return "ok";
	snprintf(text, 128, "%s %s at %+ld", signal_name(caught->signal),
		 code_name(caught->signal, caught->code),
		 (long)(caught->address - (uintptr_t)base));
	return text;
}

pthread_t start_thread(void *(*function)(void *), void *argument)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, function, argument))
		guest_die("pthread_create");
	return thread;
}

void nothing_handler(int signal)
{
	(void)signal;
}

void handle(int signal, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};

	if (sigaction(signal, &action, NULL))
		guest_die("sigaction of %d", signal);
}

const char *read_text(const char *path)
{
	static char text[1 << 20];
	size_t length = 0;
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		guest_die("open %s", path);
	for (;;) {
		ssize_t count = read(fd, text + length, sizeof(text) - 1 - length);

		if (count < 0)
			guest_die("read %s", path);
		if (!count)
			break;
		length += (size_t)count;
	}
	close(fd);
	text[length] = 0;
	return text;
}

void pause_ms(unsigned int milliseconds)
{
	struct timespec left = {.tv_sec = milliseconds / 1000,
				.tv_nsec = milliseconds % 1000 * 1000000l};

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

uint64_t now_ns(int clock)
{
	struct timespec time;

	if (clock_gettime(clock, &time))
		guest_die("clock_gettime of clock %d", clock);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}
