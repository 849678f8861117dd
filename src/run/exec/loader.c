/* SPDX-License-Identifier: MIT */
/*
 * Loading a program (see loader.h): finds the file to run behind any scripts, and gives it to the
 * core's exec with what only the host knows.
 */
#include "run/exec/loader.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/personality.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/call/call.h"
#include "core/fault/fault.h"
#include "core/file/filemap.h"
#include "run/exec/script.h"
#include "run/exec/vdso.h"
#include "run/file/mapped_file.h"
#include "run/proc/proc.h"
#include "run/signal/signal.h"
#include "run/task/futex.h"

#define RANDOM_BYTES 16
#define QUERY_PERSONALITY 0xffffffffu

/* One load under way. */
struct loading {
	struct process *process;
	struct program *program;
	const char *path;  /* of the file that is run in the end, as it was named */
	int fd;            /* that file instead of a path, -1: none */
	struct file *file; /* owned: the same, opened */
	char *exe;         /* owned: its absolute path */
	char comm[16];     /* name of what was executed first */
	char **argv;       /* owned: with what scripts put in front */
	char **owned;      /* owned, as are its strings: those that are in front */
	uint32_t nr_owned;
	uint64_t vdso;
	uint64_t auxv[16][2];
	uint32_t nr_auxv;
};

/* The absolute path of an open file, owned by the caller; NULL: no memory. */
static char *path_of_fd(int fd)
{
	char link[32];
	char path[PATH_MAX];
	ssize_t bytes;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	bytes = readlink(link, path, sizeof(path) - 1);
	path[bytes < 0 ? 0 : bytes] = '\0';
	return strdup(path);
}

/* 0 when `fd`, opened with O_PATH or not, is a regular file that may be executed. */
static int may_execute(int fd)
{
	struct stat status;
	char path[32];

	if (fstat(fd, &status) != 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -EACCES;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 ? 0 : -errno;
}

/* The file at `path` for execution, and where it is (unless `exe` is NULL). */
static int open_executable(struct run *run, const char *path, struct file **file, char **exe)
{
	int fd = open(path, O_PATH | O_CLOEXEC);
	int error;

	if (fd < 0)
		return -errno;
	error = may_execute(fd);
	if (!error && exe) {
		*exe = path_of_fd(fd);
		if (!*exe)
			error = -ENOMEM;
	}
	close(fd);
	return error ? error : mapped_file_open(run, path, file);
}

/* The file of a descriptor, which need not be open for reading, and may be an object of Quire's. */
static int open_by_fd(struct run *run, int fd, struct file **file)
{
	char path[32];
	int error = mapped_file_get(run, fd, file);

	if (error != -EBADF && error != -EACCES)
		return error;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return mapped_file_open(run, path, file);
}

/* On the host, /proc/self/exe is Quire. */
static const char *path_on_host(const struct loading *loading)
{
	struct thread *thread = loading->program->thread;

	return thread ? proc_path(thread, loading->path) : loading->path;
}

static int open_file(struct loading *loading)
{
	struct run *run = loading->process->run;
	int error;

	free(loading->exe);
	loading->exe = NULL;
	if (loading->fd < 0)
		return open_executable(run, path_on_host(loading), &loading->file, &loading->exe);
	error = may_execute(loading->fd);
	if (error)
		return error;
	loading->exe = path_of_fd(loading->fd);
	return loading->exe ? open_by_fd(run, loading->fd, &loading->file) : -ENOMEM;
}

static int read_script(struct loading *loading, struct script *script)
{
	const int64_t bytes = filemap_read(loading->file, loading->process->mm->memcg, script->line,
					   SCRIPT_LINE_MAX, 0);

	return bytes < 0 ? (int)bytes : script_read(script, (size_t)bytes);
}

/* Keeps a copy of `string` until the load is over. NULL: no memory. */
static char *keep(struct loading *loading, const char *string)
{
	char *copy = strdup(string);

	if (copy)
		loading->owned[loading->nr_owned++] = copy;
	return copy;
}

/* argv of the interpreter: itself, its argument, the script, and what followed argv[0]. */
static int put_script_in_front(struct loading *loading, const struct script *script)
{
	const uint32_t front = script->argument ? 3 : 2;
	char **old = loading->argv;
	const uint32_t skip = old[0] ? 1 : 0;
	uint32_t nr = 0;
	uint32_t at = 0;
	char **argv;

	while (old[skip + nr])
		nr++;
	argv = calloc(front + nr + 1, sizeof(*argv));
	if (!argv)
		return -ENOMEM;
	loading->argv = argv;
	argv[at++] = keep(loading, script->interpreter);
	if (script->argument)
		argv[at++] = keep(loading, script->argument);
	argv[at++] = keep(loading, loading->path);
	memcpy(argv + at, old + skip, nr * sizeof(*argv));
	free(old);
	for (uint32_t i = 0; i < front; i++)
		if (!argv[i])
			return -ENOMEM;
	loading->path = argv[0];
	loading->fd = -1;
	return 0;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* By the name under which it is executed; a descriptor has that of its file. */
static void name_process(struct loading *loading)
{
	snprintf(loading->comm, sizeof(loading->comm), "%.15s",
		 base_name(loading->fd < 0 ? loading->path : loading->exe));
}

/* Opens the program's file, or the interpreter's of a script. */
static int find_file(struct loading *loading)
{
	for (uint32_t depth = 0;; depth++) {
		struct script script;
		int result = open_file(loading);

		if (result)
			return result;
		if (!depth)
			name_process(loading);
		result = read_script(loading, &script);
		if (result <= 0)
			return result;
		fput(loading->file);
		loading->file = NULL;
		/* The interpreter could not open a script by a descriptor that is gone by then. */
		if (loading->fd >= 0 && fcntl(loading->fd, F_GETFD) & FD_CLOEXEC)
			return -ENOENT;
		if (depth == SCRIPT_NESTING_MAX)
			return -ELOOP;
		result = put_script_in_front(loading, &script);
		if (result)
			return result;
	}
}

static void add_auxv(struct loading *loading, uint64_t type, uint64_t value)
{
	loading->auxv[loading->nr_auxv][0] = type;
	loading->auxv[loading->nr_auxv++][1] = value;
}

/* What the host says to its programs, as far as it holds here. AT_SYSINFO_EHDR comes first: its
 * value is set when the vDSO is mapped. */
static void collect_auxv(struct loading *loading)
{
	unsigned eax, ebx, ecx, edx;
	static const unsigned long as_host[] = {AT_HWCAP2, AT_CLKTCK};

	add_auxv(loading, AT_SYSINFO_EHDR, 0);
	/* Not by getauxval(): the C library has put something of its own in its place. */
	if (__get_cpuid(1, &eax, &ebx, &ecx, &edx))
		add_auxv(loading, AT_HWCAP, edx);
	for (size_t i = 0; i < ARRAY_SIZE(as_host); i++)
		if (getauxval(as_host[i]))
			add_auxv(loading, as_host[i], getauxval(as_host[i]));
	add_auxv(loading, AT_MINSIGSTKSZ, signal_frame_bytes(loading->process->run->machine));
	add_auxv(loading, AT_UID, getuid());
	add_auxv(loading, AT_EUID, geteuid());
	add_auxv(loading, AT_GID, getgid());
	add_auxv(loading, AT_EGID, getegid());
}

static quire_file *open_interpreter(void *context, const char *path)
{
	struct loading *loading = context;
	struct file *file = NULL;
	int error = open_executable(loading->process->run, path, &file, NULL);

	errno = -error;
	return error ? NULL : file;
}

/* Before the old address space goes: nobody else runs in it, and what others wait for in it is
 * released. */
static int leave_old_space(void *context)
{
	struct loading *loading = context;
	struct thread *thread = loading->program->thread;
	int error;

	if (!thread)
		return 0;
	error = thread_kill_others(thread);
	if (error)
		return error;
	futex_exit_robust_list(thread);
	thread->robust_list = 0;
	thread->clear_child_tid = 0;
	kvm_cpu_switch(thread->cpu, NULL);
	return 0;
}

static int map_vdso(void *context, quire_mm *mm)
{
	struct loading *loading = context;
	int error = vdso_map(loading->process->run, mm, &loading->vdso);

	if (!error)
		loading->auxv[0][1] = loading->vdso;
	return error;
}

/* What the process shows of the new program. Cannot fail. */
static void publish(struct loading *loading, const struct quire_exec *exec)
{
	struct process *process = loading->process;
	const uint64_t words = min_u64(exec->auxv_words, ARRAY_SIZE(process->saved_auxv));
	const uint64_t bytes = words * sizeof(uint64_t);
	char *old_exe;

	pthread_mutex_lock(&process->lock);
	old_exe = process->exe;
	process->exe = loading->exe;
	loading->exe = NULL;
	memcpy(process->comm, loading->comm, sizeof(process->comm));
	process->vdso = loading->vdso;
	if (access_process_vm(process->mm, exec->auxv_address, process->saved_auxv, bytes, false) !=
	    (int64_t)bytes)
		process->saved_auxv_words = 0;
	else
		process->saved_auxv_words = (uint32_t)words;
	pthread_mutex_unlock(&process->lock);
	pthread_setname_np(pthread_self(), process->comm);
	free(old_exe);
}

static int exec_file(struct loading *loading, bool *lost)
{
	struct program *program = loading->program;
	unsigned char random[RANDOM_BYTES];
	struct quire_exec exec = {
		.file = loading->file,
		.path = program->path,
		.argv = loading->argv,
		.envp = program->envp,
		.open = open_interpreter,
		.context = loading,
		.begin = leave_old_space,
		.mapped = map_vdso,
		.platform = "x86_64",
		.no_randomize = personality(QUERY_PERSONALITY) & ADDR_NO_RANDOMIZE,
	};
	int error;

	if (getrandom(random, sizeof(random), 0) == sizeof(random))
		exec.random = random;
	collect_auxv(loading);
	exec.auxv = loading->auxv;
	exec.nr_auxv = loading->nr_auxv;
	error = do_execve(loading->process->mm, &exec);
	*lost = exec.lost;
	if (program->thread)
		kvm_cpu_switch(program->thread->cpu, loading->process->mm);
	if (error)
		return error;
	publish(loading, &exec);
	program->entry = exec.entry;
	program->stack_pointer = exec.stack_pointer;
	return 0;
}

static int copy_argv(struct loading *loading, char *const *argv)
{
	uint32_t nr = 0;

	while (argv && argv[nr])
		nr++;
	loading->argv = calloc(nr + 1, sizeof(char *));
	if (!loading->argv)
		return -ENOMEM;
	if (nr)
		memcpy(loading->argv, argv, nr * sizeof(char *));
	return 0;
}

static void release_loading(struct loading *loading)
{
	if (loading->file)
		fput(loading->file);
	for (uint32_t i = 0; i < loading->nr_owned; i++)
		free(loading->owned[i]);
	free(loading->exe);
	free(loading->argv);
}

int load_program(struct process *process, struct program *program, bool *lost)
{
	/* Three strings for each script. */
	char *owned[3 * (SCRIPT_NESTING_MAX + 1)];
	struct loading loading = {
		.process = process,
		.program = program,
		.fd = program->fd,
		.path = program->path,
		.owned = owned,
	};
	int error = copy_argv(&loading, program->argv);

	*lost = false;
	if (!error)
		error = find_file(&loading);
	if (!error)
		error = exec_file(&loading, lost);
	release_loading(&loading);
	return error;
}

void start_program(struct thread *thread, const struct program *program)
{
	struct kvm_regs *regs = kvm_cpu_regs(thread->cpu);

	memset(regs, 0, sizeof(*regs));
	regs->rip = program->entry;
	regs->rsp = program->stack_pointer;
	regs->rflags = 0x202; /* interrupts on, and the bit that is always 1 */
	kvm_cpu_set_fs_base(thread->cpu, 0);
	kvm_cpu_set_gs_base(thread->cpu, 0);
	kvm_cpu_reset_fpu(thread->cpu);
}
