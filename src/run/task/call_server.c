/* SPDX-License-Identifier: MIT */
/*
 * The call server of a process.
 *
 * Locks: L = lock, A = atomic, O = the server's own, C = constant.
 */
#include "run/task/call_server.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "base/park.h"
#include "core/call/call.h"
#include "core/call/special_mapping.h"
#include "core/file/address_space.h"
#include "run/clock.h"
#include "run/syscall/table.h"

/* As many pages as lie between a thread's call page and its call area. */
#define SERVED_THREADS (KVM_CALL_AREA_OFFSET / PAGE_SIZE)
/* Calls that follow each other within so many ns are frequent, and after so many of them the server
 * wakes. It sleeps when none came for longer. */
#define FREQUENT_NS 200000
#define FREQUENT_CALLS 4
#define IDLE_NS 300000
/*
 * A call that nobody answered in time has cost more than an exit: on a host whose CPUs are busy the
 * server is seldom there. After so many of them with fewer than so many answers each, it stays away
 * for a while.
 */
#define MISSED_CALLS 16
#define ANSWERS_FOR_MISS 8
#define ABSENCE_NS 50000000
/* Looks between two looks at the clock. */
#define LOOKS 256

struct call_server {
	struct process *process;          /* C */
	uint32_t cpus;                    /* C: of the host that the process may use */
	uint64_t allowed[KVM_CALLS / 64]; /* C: a bit for each call that is served */
	pthread_mutex_t lock;
	struct thread *threads[SERVED_THREADS]; /* L: NULL: free; the index is the page's */
	struct file *code, *areas;              /* C: a page for each, mapped side by side */
	uint64_t address;                       /* L: where, in the mm; 0: not yet */
	_Atomic uint64_t answered;              /* A: calls */
	_Atomic uint64_t not_before;            /* A: when it may wake again, ns */
	_Atomic uint32_t awake;                 /* A: 1 while it looks; what it sleeps on */
};

static const uint16_t served_calls[] = {
	SYS_read,         SYS_write,      SYS_pread64,    SYS_pwrite64,   SYS_readv,
	SYS_writev,       SYS_preadv,     SYS_pwritev,    SYS_lseek,      SYS_fstat,
	SYS_stat,         SYS_lstat,      SYS_newfstatat, SYS_statx,      SYS_access,
	SYS_faccessat,    SYS_faccessat2, SYS_readlink,   SYS_readlinkat, SYS_getdents64,
	SYS_fcntl,        SYS_fsync,      SYS_fdatasync,  SYS_ftruncate,  SYS_fallocate,
	SYS_unlink,       SYS_unlinkat,   SYS_rename,     SYS_renameat2,  SYS_mkdir,
	SYS_getcwd,       SYS_mmap,       SYS_munmap,     SYS_mprotect,   SYS_mremap,
	SYS_madvise,      SYS_msync,      SYS_mincore,    SYS_brk,        SYS_getpid,
	SYS_getppid,      SYS_getuid,     SYS_geteuid,    SYS_getgid,     SYS_getegid,
	SYS_getpgrp,      SYS_uname,      SYS_sysinfo,    SYS_getrandom,  SYS_clock_getres,
	SYS_gettimeofday, SYS_time,       SYS_umask,      SYS_fadvise64,  SYS_statfs,
	SYS_fstatfs,
};

static void fill_allowed(uint64_t allowed[KVM_CALLS / 64])
{
	for (size_t i = 0; i < ARRAY_SIZE(served_calls); i++)
		allowed[served_calls[i] / 64] |= (uint64_t)1 << served_calls[i] % 64;
}

/* /dev/null, /dev/zero, /dev/full and /dev/urandom have these numbers on every Linux. */
static bool is_memory_device(const struct stat *file)
{
	const unsigned int minor = minor(file->st_rdev);

	return S_ISCHR(file->st_mode) && major(file->st_rdev) == 1 &&
	       (minor == 3 || minor == 5 || minor == 7 || minor == 9);
}

/* Data, or room for all of it, is there now; who else uses the pipe may be faster. Only such a
 * write of one buffer is done as a whole or not at all. */
static bool pipe_is_ready(const struct kvm_call *call, bool write)
{
	struct pollfd pipe = {.fd = (int)call->args[0], .events = write ? POLLOUT : POLLIN};

	if (call->number != SYS_read && (call->number != SYS_write || call->args[2] > PIPE_BUF))
		return false;
	return poll(&pipe, 1, 0) == 1 && pipe.revents & pipe.events && !(pipe.revents & POLLERR);
}

/* Files of /proc and its kin look empty, and reading some of them waits. */
static bool never_waits(struct thread *thread, const struct kvm_call *call, bool write)
{
	const struct open_file *file;

	if (open_file_get(thread, (int)call->args[0], &file))
		return false;
	if (S_ISREG(file->status.st_mode))
		return write || file->status.st_size;
	if (S_ISFIFO(file->status.st_mode))
		return pipe_is_ready(call, write);
	return is_memory_device(&file->status);
}

/* The number is among the served ones; these depend on their arguments. */
static bool may_wait(struct thread *thread, const struct kvm_call *call)
{
	switch (call->number) {
	case SYS_read:
	case SYS_pread64:
	case SYS_readv:
	case SYS_preadv:
		return !never_waits(thread, call, false);
	case SYS_write:
	case SYS_pwrite64:
	case SYS_writev:
	case SYS_pwritev:
		return !never_waits(thread, call, true);
	case SYS_fcntl:
		return (int)call->args[1] == F_SETLKW || (int)call->args[1] == F_OFD_SETLKW;
	default:
		return false;
	}
}

/* The program may have posted any number. */
static bool is_served(const struct call_server *server, uint64_t number)
{
	return number < KVM_CALLS && server->allowed[number / 64] >> number % 64 & 1;
}

/* The signal that a broken pipe sends is the program's thread's, which will get it anew. */
static void drop_broken_pipe(void)
{
	const struct timespec now = {0, 0};
	sigset_t broken_pipe;

	sigemptyset(&broken_pipe);
	sigaddset(&broken_pipe, SIGPIPE);
	(void)sigtimedwait(&broken_pipe, NULL, &now);
}

/* Left to the thread's own host thread: a signal kept it from beginning; it would wait after all;
 * it sends a signal. */
static bool is_refused(int64_t result)
{
	if (result == -EPIPE)
		drop_broken_pipe();
	return result == -EINTR || result == -EINTR_FINAL || result == -EAGAIN ||
	       result == -EOPNOTSUPP || result == -EPIPE;
}

static void serve(struct call_server *server, struct thread *thread, const struct kvm_call *call)
{
	int64_t result = -EINTR;

	if (is_served(server, call->number) && !may_wait(thread, call)) {
		thread->never_waits = true;
		result = syscall_serve(thread, (int64_t)call->number, call->args);
		thread->never_waits = false;
	}
	if (is_refused(result))
		kvm_call_refuse(thread->cpu);
	else
		kvm_call_answer(thread->cpu, (uint64_t)result);
	atomic_fetch_add_explicit(&server->answered, 1, memory_order_relaxed);
}

/* Whether there was a call. */
static bool look(struct call_server *server)
{
	struct kvm_call call;
	bool found = false;

	pthread_mutex_lock(&server->lock);
	for (uint64_t i = 0; i < SERVED_THREADS; i++) {
		struct thread *thread = server->threads[i];

		if (!thread || !kvm_call_take(thread->cpu, &call))
			continue;
		serve(server, thread, &call);
		found = true;
	}
	pthread_mutex_unlock(&server->lock);
	return found;
}

static void open_all(struct call_server *server, bool open)
{
	pthread_mutex_lock(&server->lock);
	for (uint64_t i = 0; i < SERVED_THREADS; i++)
		if (server->threads[i])
			kvm_calls_open(server->threads[i]->cpu, open);
	pthread_mutex_unlock(&server->lock);
}

/* A CPU of the host is left for the server. */
static bool has_room(const struct call_server *server)
{
	const struct process *process = server->process;

	return atomic_load_explicit(&process->nr_threads, memory_order_relaxed) <
	       server->cpus + atomic_load_explicit(&process->nr_waiting, memory_order_relaxed);
}

static void serve_until_idle(struct call_server *server)
{
	uint64_t last = now_ns();

	while (has_room(server) && now_ns() - last < IDLE_NS &&
	       last >= atomic_load_explicit(&server->not_before, memory_order_relaxed)) {
		for (int i = 0; i < LOOKS; i++) {
			if (look(server)) {
				last = now_ns();
				break;
			}
			__builtin_ia32_pause();
		}
	}
}

static void *call_server_main(void *data)
{
	struct call_server *server = data;

	for (;;) {
		while (!atomic_load_explicit(&server->awake, memory_order_acquire))
			quire_park(&server->awake, 0);
		open_all(server, true);
		serve_until_idle(server);
		open_all(server, false);
		/* A call that was posted meanwhile is taken back by who posted it. */
		atomic_store_explicit(&server->awake, 0, memory_order_release);
	}
	return NULL;
}

static int start_thread(struct call_server *server)
{
	sigset_t all, before;
	pthread_t host;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&host, NULL, call_server_main, server);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!error)
		pthread_detach(host);
	return error;
}

static void free_server(struct call_server *server)
{
	if (server->code)
		fput(server->code);
	if (server->areas)
		fput(server->areas);
	pthread_mutex_destroy(&server->lock);
	free(server);
}

static struct call_server *create_server(struct process *process)
{
	struct quire *quire = process->run->quire;
	struct call_server *server = calloc(1, sizeof(*server));
	cpu_set_t cpus;

	if (!server)
		return NULL;
	server->process = process;
	fill_allowed(server->allowed);
	pthread_mutex_init(&server->lock, NULL);
	if (sched_getaffinity(0, sizeof(cpus), &cpus) ||
	    special_object_create(quire, "[calls]", SERVED_THREADS, &server->code) ||
	    special_object_create(quire, "[calls]", SERVED_THREADS, &server->areas)) {
		free_server(server);
		return NULL;
	}
	server->cpus = (uint32_t)CPU_COUNT(&cpus);
	if (server->cpus < 2 || start_thread(server)) {
		free_server(server);
		return NULL;
	}
	return server;
}

/* The process's server, made when it is first wanted. NULL: it cannot be had. */
static struct call_server *get_server(struct process *process)
{
	struct call_server *server;

	pthread_mutex_lock(&process->lock);
	if (!process->call_server && !process->no_call_server) {
		process->call_server = create_server(process);
		process->no_call_server = !process->call_server;
	}
	server = process->call_server;
	pthread_mutex_unlock(&process->lock);
	return server;
}

/* The pages are in the mm, and in its page table. */
static int map_pages(struct call_server *server)
{
	struct mm_struct *mm = server->process->mm;
	const struct special_mapping mappings[] = {
		{server->code, VM_READ | VM_EXEC | VM_MAYREAD | VM_MAYEXEC},
		{server->areas,
		 VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE | VM_SHARED | VM_MAYSHARE},
	};
	/* Far from where the program's own mappings come to lie, which so are where they would be
	 * without these. */
	int64_t address = install_special_mappings(mm, mappings, ARRAY_SIZE(mappings),
						   mm->mmap_base / 2 & PAGE_MASK);
	int error;

	if (address < 0)
		return (int)address;
	error = do_madvise(mm, (uint64_t)address, KVM_CALL_AREA_OFFSET, QUIRE_MADV_POPULATE_READ);
	if (!error)
		error = do_madvise(mm, (uint64_t)address + KVM_CALL_AREA_OFFSET,
				   KVM_CALL_AREA_OFFSET, QUIRE_MADV_POPULATE_WRITE);
	if (error) {
		(void)!do_munmap(mm, (uint64_t)address, 2 * KVM_CALL_AREA_OFFSET);
		return error;
	}
	server->address = (uint64_t)address;
	return 0;
}

static int enable(struct call_server *server, struct thread *thread, uint64_t page)
{
	const struct kvm_call_place place = {
		.entry = server->address + page * PAGE_SIZE,
		.code = special_object_page(server->code, page),
		.area = special_object_page(server->areas, page),
	};

	return kvm_calls_enable(thread->cpu, &place, server->allowed);
}

/* Puts the thread among those that are served. False: there is no room. */
static bool enroll(struct call_server *server, struct thread *thread)
{
	uint64_t page = 0;

	if (thread->served)
		return true;
	pthread_mutex_lock(&server->lock);
	while (page < SERVED_THREADS && server->threads[page])
		page++;
	if (page < SERVED_THREADS && (server->address || !map_pages(server)) &&
	    !enable(server, thread, page)) {
		server->threads[page] = thread;
		thread->served = true;
	}
	pthread_mutex_unlock(&server->lock);
	return thread->served;
}

static void wake(struct thread *thread, uint64_t now)
{
	struct call_server *server = get_server(thread->process);

	if (!server || now < atomic_load_explicit(&server->not_before, memory_order_relaxed) ||
	    !has_room(server) || !enroll(server, thread))
		return;
	if (!atomic_exchange_explicit(&server->awake, 1, memory_order_acq_rel))
		quire_unpark(&server->awake, 1);
}

/* A call of a thread that is served has exited. */
static void note_missed(struct thread *thread, uint64_t now)
{
	struct call_server *server = thread->process->call_server;
	uint64_t answered;

	if (!atomic_load_explicit(&server->awake, memory_order_relaxed) ||
	    ++thread->missed_calls < MISSED_CALLS)
		return;
	answered = atomic_load_explicit(&server->answered, memory_order_relaxed);
	if (answered - thread->answered_before < MISSED_CALLS * ANSWERS_FOR_MISS)
		atomic_store_explicit(&server->not_before, now + ABSENCE_NS, memory_order_relaxed);
	thread->answered_before = answered;
	thread->missed_calls = 0;
}

void call_server_note(struct thread *thread)
{
	const uint64_t now = now_ns();
	const bool soon = now - thread->last_call < FREQUENT_NS;

	thread->last_call = now;
	if (thread->served)
		note_missed(thread, now);
	thread->frequent_calls = soon ? thread->frequent_calls + 1 : 0;
	/* The server's host thread has what the process has. */
	if (thread->frequent_calls < FREQUENT_CALLS || !kvm_calls_possible(thread->cpu) ||
	    thread->apart || thread->process->run->trace)
		return;
	thread->frequent_calls = 0;
	wake(thread, now);
}

void call_server_forget(struct thread *thread)
{
	struct call_server *server = thread->process->call_server;

	if (!thread->served)
		return;
	pthread_mutex_lock(&server->lock);
	for (uint64_t i = 0; i < SERVED_THREADS; i++)
		if (server->threads[i] == thread)
			server->threads[i] = NULL;
	pthread_mutex_unlock(&server->lock);
	kvm_calls_disable(thread->cpu);
	thread->served = false;
}

void call_server_part(struct thread *thread)
{
	call_server_forget(thread);
	thread->apart = true;
}

void call_server_exec(struct thread *thread)
{
	struct call_server *server = thread->process->call_server;

	call_server_forget(thread);
	if (!server)
		return;
	pthread_mutex_lock(&server->lock);
	server->address = 0;
	pthread_mutex_unlock(&server->lock);
}
