/* SPDX-License-Identifier: MIT */
/*
 * Executing programs: what a program is given at its start, what survives an execve, scripts,
 * descriptors as programs, execve out of a thread, and everything that is refused. Cases that
 * execute something replace themselves by this program, which then says what it was given.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#define KEPT_FD 20
#define CLOSED_FD 21

static char self[PATH_MAX];

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Of the program that was executed: arguments, environment, and what it inherited. */
static void show_start(int argc, char **argv)
{
	struct sigaction action;
	struct itimerval timer;
	char name[17] = "";
	sigset_t mask;
	stack_t stack;

	for (int i = 0; i < argc; i++)
		show("argument %d: %s", i, i ? argv[i] : base_name(argv[i]));
	for (char **entry = environ; *entry; entry++)
		if (strncmp(*entry, "GUEST_", 6) == 0)
			show("environment: %s", *entry);
	prctl(PR_GET_NAME, name);
	show("name %s, executed as %s", name,
	     base_name((const char *)(uintptr_t)getauxval(AT_EXECFN)));
	show("the first thread: %d", gettid() == getpid());
	show("descriptors: kept %s, closed %s", answer(fcntl(KEPT_FD, F_GETFD)),
	     answer(fcntl(CLOSED_FD, F_GETFD)));
	sigaction(SIGUSR2, NULL, &action);
	show("handled signal is %s", action.sa_handler == SIG_DFL ? "default" : "not default");
	sigaction(SIGHUP, NULL, &action);
	show("ignored signal is %s", action.sa_handler == SIG_IGN ? "ignored" : "not ignored");
	sigprocmask(SIG_BLOCK, NULL, &mask);
	show("blocked: %d, pending: %d", sigismember(&mask, SIGTERM),
	     (sigpending(&mask), sigismember(&mask, SIGTERM)));
	sigaltstack(NULL, &stack);
	show("alternate stack: %d", stack.ss_flags == SS_DISABLE);
	getitimer(ITIMER_REAL, &timer);
	show("interval timer runs: %d", timer.it_value.tv_sec > 0);
	show("timer: %s", answer(syscall(SYS_timer_gettime, 0, &timer)));
	fflush(stdout);
}

static void case_auxv(void)
{
	static const unsigned long types[] = {AT_PAGESZ, AT_CLKTCK, AT_PHENT, AT_PHNUM,
					      AT_FLAGS,  AT_SECURE, AT_HWCAP};
	const ElfW(Phdr) *headers = (const void *)getauxval(AT_PHDR);
	const unsigned char *random = (const void *)getauxval(AT_RANDOM);
	unsigned int bits = 0;

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		show("type %lu: %lu", types[i], getauxval(types[i]));
	show("owner: %d %d %d %d", getauxval(AT_UID) == getuid(), getauxval(AT_EUID) == geteuid(),
	     getauxval(AT_GID) == getgid(), getauxval(AT_EGID) == getegid());
	show("platform %s", (const char *)getauxval(AT_PLATFORM));
	show("interpreter: %d, vDSO: %d", getauxval(AT_BASE) != 0,
	     memcmp((const void *)getauxval(AT_SYSINFO_EHDR), ELFMAG, SELFMAG) == 0);
	show("room for a signal frame: %d", getauxval(AT_MINSIGSTKSZ) >= 1024);
	for (int i = 0; i < 16; i++)
		bits |= random[i];
	show("random: %d", bits != 0);
	for (unsigned long i = 0; i < getauxval(AT_PHNUM); i++)
		if (headers[i].p_type == PT_PHDR)
			show("headers begin where they say: %d",
			     (uintptr_t)headers % PAGE == headers[i].p_vaddr % PAGE);
}

/* A file with these bytes and permissions, in the current directory. */
static void write_file(const char *name, const void *bytes, size_t length, mode_t mode)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0700);

	if (fd < 0 || write(fd, bytes, length) != (ssize_t)length || fchmod(fd, mode) || close(fd))
		guest_die("%s", name);
}

static void write_script(const char *name, const char *interpreter, const char *argument)
{
	char text[PATH_MAX + 64];
	int length = snprintf(text, sizeof(text), "#!%s%s%s\nnothing\n", interpreter,
			      *argument ? " " : "", argument);

	write_file(name, text, (size_t)length, 0755);
}

static void try_exec(const char *what, const char *path)
{
	char *argv[] = {(char *)path, NULL};

	show("%s: %s", what, answer(execve(path, argv, environ)));
}

static void case_refused(void)
{
	static const char no_elf[] = "just text\n";
	Elf64_Ehdr header = {.e_ident = ELFMAG};
	char *argv[] = {self, NULL};

	write_file("empty", "", 0, 0755);
	write_file("text", no_elf, sizeof(no_elf) - 1, 0755);
	write_file("header", &header, sizeof(header), 0755);
	write_file("forbidden", no_elf, sizeof(no_elf) - 1, 0644);
	write_file("nobody", "#!\n", 3, 0755);
	write_script("lost", "/nowhere/at/all", "");
	write_script("text_script", "./text", "");
	try_exec("nothing there", "nothing");
	try_exec("no name", "");
	try_exec("a directory", ".");
	try_exec("a directory in the way of", "text/program");
	try_exec("an empty file", "empty");
	try_exec("a text", "text");
	try_exec("half a header", "header");
	try_exec("no permission", "forbidden");
	try_exec("no interpreter's name", "nobody");
	try_exec("no interpreter", "lost");
	try_exec("an interpreter that is none", "text_script");
	try_exec("a device", "/dev/null");
	show("bad path: %s", answer(syscall(SYS_execve, 8, argv, environ)));
	show("bad arguments: %s", answer(syscall(SYS_execve, self, 8, environ)));
	show("bad environment: %s", answer(syscall(SYS_execve, self, argv, 8)));
	argv[0] = (char *)8;
	show("bad argument: %s", answer(syscall(SYS_execve, self, argv, environ)));
	show("bad flags: %s", answer(syscall(SYS_execveat, AT_FDCWD, self, argv, environ, 1)));
	show("bad descriptor: %s", answer(syscall(SYS_execveat, 999, "x", environ, environ, 0)));
}

static void case_long(void)
{
	const size_t longest = 32 * PAGE;
	char *string = malloc(longest + 1);
	char *argv[] = {self, string, NULL};
	char **many = calloc(300001, sizeof(*many));

	memset(string, 'x', longest);
	string[longest] = '\0';
	show("a string too long: %s", answer(execve(self, argv, environ)));
	for (int i = 0; i < 300000; i++)
		many[i] = (char *)"0123456789";
	show("too many: %s", answer(execve(self, many, environ)));
	free(many);
	free(string);
}

static void do_nothing(int signal)
{
	(void)signal;
}

static void prepare_inheritance(void)
{
	struct itimerval timer = {.it_value = {.tv_sec = 1000}};
	static char stack_memory[65536];
	stack_t stack = {.ss_sp = stack_memory, .ss_size = sizeof(stack_memory)};
	sigset_t mask;
	int timer_id;

	dup2(1, KEPT_FD);
	dup3(1, CLOSED_FD, O_CLOEXEC);
	signal(SIGUSR2, do_nothing);
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	raise(SIGTERM);
	sigaltstack(&stack, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	show("timer: %s", answer(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &timer_id)));
	prctl(PR_SET_NAME, "another name");
	mlockall(MCL_CURRENT);
}

static void case_again(void)
{
	char *argv[] = {self, (char *)"--start", (char *)"", (char *)"two words", NULL};
	char *envp[] = {(char *)"GUEST_A=1", (char *)"GUEST_B=", NULL};

	prepare_inheritance();
	execve(self, argv, envp);
	guest_die("execve");
}

/* This program with other bytes at this place of its headers. */
static void exec_damaged(size_t at, uint64_t value, size_t bytes)
{
	char *argv[] = {(char *)"./damaged", (char *)"--start", NULL};
	int from = open(self, O_RDONLY), to = open("damaged", O_RDWR | O_CREAT, 0700);
	struct stat status;

	if (fstat(from, &status) || sendfile(to, from, NULL, (size_t)status.st_size) < 0 ||
	    pwrite(to, &value, bytes, (off_t)at) != (ssize_t)bytes)
		guest_die("damaged");
	close(to);
	unsetenv("GUEST_GIVEN");
	fflush(stdout);
	show("%s", answer(execve("./damaged", argv, environ)));
}

/* Where the program header of the first segment to be loaded has this field. */
static size_t load_field(size_t field)
{
	const ElfW(Phdr) *headers = (const void *)getauxval(AT_PHDR);
	size_t i = 0;

	while (headers[i].p_type != PT_LOAD)
		i++;
	return sizeof(ElfW(Ehdr)) + i * sizeof(*headers) + field;
}

static void case_damaged_version(void)
{
	exec_damaged(offsetof(ElfW(Ehdr), e_version), 7, sizeof(uint32_t));
}

static void case_damaged_machine(void)
{
	exec_damaged(offsetof(ElfW(Ehdr), e_machine), 3, sizeof(uint16_t));
}

static void case_damaged_alignment(void)
{
	exec_damaged(load_field(offsetof(ElfW(Phdr), p_align)), 3, sizeof(uint64_t));
}

static void case_damaged_offset(void)
{
	exec_damaged(load_field(offsetof(ElfW(Phdr), p_offset)), UINT64_MAX, sizeof(uint64_t));
}

static void case_damaged_size(void)
{
	exec_damaged(load_field(offsetof(ElfW(Phdr), p_memsz)), 0, sizeof(uint64_t));
}

static void case_no_arguments(void)
{
	char *none[] = {NULL};

	setenv("GUEST_START", "1", 1);
	execve(self, none, environ);
	guest_die("execve");
}

static void case_script(void)
{
	char *argv[] = {(char *)"ignored", (char *)"given", NULL};

	write_script("script", self, "--start and  more ");
	execve("./script", argv, environ);
	guest_die("execve");
}

/* Scripts that call each other: five do, six do not. */
static void case_nested(void)
{
	char name[8], interpreter[16];
	char *argv[] = {(char *)"s5", NULL};

	write_script("s1", self, "--start");
	for (int i = 2; i <= 6; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		snprintf(interpreter, sizeof(interpreter), "./s%d", i - 1);
		write_script(name, interpreter, "");
	}
	write_script("round", "./round", "");
	try_exec("itself", "./round");
	try_exec("six", "./s6");
	execve("./s5", argv, environ);
	guest_die("execve");
}

static void case_descriptor(void)
{
	char *argv[] = {self, (char *)"--start", NULL};
	int fd = open(self, O_PATH | O_CLOEXEC);

	show("a link: %s",
	     (symlink(self, "link"),
	      answer(syscall(SYS_execveat, AT_FDCWD, "link", argv, environ, AT_SYMLINK_NOFOLLOW))));
	if (dup2(fd, KEPT_FD + 2) < 0)
		guest_die("dup2");
	close(fd);
	syscall(SYS_execveat, KEPT_FD + 2, "", argv, environ, AT_EMPTY_PATH);
	guest_die("execveat");
}

static void *exec_from_thread(void *unused)
{
	char *argv[] = {self, (char *)"--start", NULL};

	(void)unused;
	execve(self, argv, environ);
	guest_die("execve");
}

static void *wait_forever(void *unused)
{
	while (!unused)
		pause();
	return NULL;
}

static void *compute_forever(void *unused)
{
	volatile unsigned long count = 0;

	while (count + 1)
		count++;
	return unused;
}

static void case_thread(void)
{
	start_thread(wait_forever, NULL);
	start_thread(compute_forever, NULL);
	pthread_join(start_thread(exec_from_thread, NULL), NULL);
}

static const struct guest_case cases[] = {
	{"damaged_version", case_damaged_version},
	{"damaged_machine", case_damaged_machine},
	{"damaged_alignment", case_damaged_alignment},
	{"damaged_offset", case_damaged_offset},
	{"damaged_size", case_damaged_size},

	{"auxv", case_auxv},
	{"refused", case_refused},
	{"long", case_long},
	{"again", case_again},
	{"no_arguments", case_no_arguments},
	{"script", case_script},
	{"nested", case_nested},
	{"descriptor", case_descriptor},
	{"thread", case_thread},
	{NULL, NULL},
};

int main(int argc, char **argv)
{
	ssize_t bytes = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (bytes < 0)
		guest_die("/proc/self/exe");
	if (getenv("GUEST_START") || (argc > 1 && strncmp(argv[1], "--start", 7) == 0)) {
		show_start(argc, argv);
		return 7;
	}
	return guest_main(argc, argv, cases);
}
