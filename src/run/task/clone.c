/* SPDX-License-Identifier: MIT */
/*
 * clone(2): a new thread is a new host thread with a CPU of its own, which starts with its parent's
 * registers. The parent waits until the child stands in the process and has its number.
 */
#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/park.h"
#include "run/signal/frame.h"
#include "run/syscall/table.h"
#include "run/task/internal.h"
#include "run/user/user.h"

/* Of a host thread: it serves system calls, and the program's own stack is elsewhere. */
#define HOST_STACK_BYTES (256 * 1024)

/* What every thread shares with its process in Quire. Descriptors too, or a file that one of them
 * maps would be another one's in others. */
#define CLONE_OF_THREADS (CLONE_VM | CLONE_SIGHAND | CLONE_THREAD)
/* What a host thread shares with its process, and can stop sharing. */
#define CLONE_OF_HOST (CLONE_FS | CLONE_SYSVSEM)

/* Lives on the parent's stack until `born`. */
struct birth {
	struct thread *child;
	const struct thread *parent;
	const struct clone_request *request;
	struct kvm_regs regs;
	uint64_t fs_base, gs_base;
	_Alignas(64) uint8_t xsave[XSAVE_BYTES_MAX];
	int64_t result; /* the child's tid or -errno */
	_Atomic uint32_t born;
};

static void take_state(struct birth *birth)
{
	const struct clone_request *request = birth->request;
	struct kvm_cpu *cpu = birth->parent->cpu;

	birth->regs = *kvm_cpu_regs(cpu);
	birth->regs.rax = 0;
	if (request->stack_pointer)
		birth->regs.rsp = request->stack_pointer;
	birth->fs_base = request->flags & CLONE_SETTLS ? request->tls : kvm_cpu_fs_base(cpu);
	birth->gs_base = kvm_cpu_gs_base(cpu);
	kvm_cpu_get_xsave(cpu, birth->xsave);
}

static int give_cpu(struct thread *thread, const struct birth *birth)
{
	struct process *process = thread->process;
	int error = kvm_cpu_create(process->run->machine, &thread->cpu);

	if (error)
		return error;
	error = kvm_cpu_set_xsave(thread->cpu, birth->xsave);
	if (error) {
		kvm_cpu_destroy(thread->cpu);
		return error;
	}
	*kvm_cpu_regs(thread->cpu) = birth->regs;
	kvm_cpu_set_fs_base(thread->cpu, birth->fs_base);
	kvm_cpu_set_gs_base(thread->cpu, birth->gs_base);
	kvm_cpu_switch(thread->cpu, process->mm);
	return 0;
}

/* As in the kernel, a thread whose number cannot be stored is born all the same. */
static void store_tid(struct thread *thread, bool wanted, uint64_t address)
{
	const int32_t tid = thread->tid;

	if (wanted && copy_to_user(thread_mm(thread), address, &tid, sizeof(tid)) != 0)
		return;
}

/* On the new host thread: everything that may fail, then the child is there. */
static int begin(struct thread *thread, const struct birth *birth)
{
	const struct clone_request *request = birth->request;
	const int private_parts = (int)(~request->flags & CLONE_OF_HOST);
	int error;

	if (private_parts && unshare(private_parts) != 0)
		return -errno;
	error = give_cpu(thread, birth);
	if (error)
		return error;
	thread->apart = birth->parent->apart || private_parts;
	thread->tid = gettid();
	store_tid(thread, request->flags & CLONE_PARENT_SETTID, request->parent_tid);
	store_tid(thread, request->flags & CLONE_CHILD_SETTID, request->child_tid);
	if (request->flags & CLONE_CHILD_CLEARTID)
		thread->clear_child_tid = request->child_tid;
	thread_join_process(thread, birth->parent);
	set_current_thread(thread);
	signal_thread_start(thread, birth->parent);
	return 0;
}

static void *host_thread(void *argument)
{
	struct birth *birth = argument;
	struct thread *thread = birth->child;
	jmp_buf end;
	int error;

	thread->end = &end;
	error = begin(thread, birth);
	birth->result = error ? error : thread->tid;
	atomic_store_explicit(&birth->born, 1, memory_order_release);
	quire_unpark(&birth->born, 1);
	if (!error && setjmp(end) == 0)
		thread_run(thread);
	return NULL;
}

static int start_host_thread(struct birth *birth)
{
	pthread_attr_t attributes;
	pthread_t host;
	int error = pthread_attr_init(&attributes);

	if (error)
		return -error;
	error = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	if (!error)
		error = pthread_attr_setstacksize(&attributes, HOST_STACK_BYTES);
	if (!error)
		error = pthread_create(&host, &attributes, host_thread, birth);
	pthread_attr_destroy(&attributes);
	return -error;
}

int64_t thread_clone(struct thread *parent, const struct clone_request *request)
{
	struct birth birth = {
		.parent = parent, .request = request, .child = thread_alloc(parent->process)};
	int error;

	if (!birth.child)
		return -ENOMEM;
	take_state(&birth);
	/* The child starts deaf, until it can tell whose its signals are. */
	signal_block_all();
	error = start_host_thread(&birth);
	if (!error) {
		while (!atomic_load_explicit(&birth.born, memory_order_acquire))
			quire_park(&birth.born, 0);
		error = birth.result < 0 ? (int)birth.result : 0;
	}
	signal_sync_mask(parent);
	if (error)
		thread_free(birth.child);
	return error ? error : birth.result;
}

/* What the kernel refuses, in its order. */
static int check_flags(const struct clone_request *request)
{
	const uint64_t flags = request->flags;

	if ((flags & (CLONE_NEWNS | CLONE_FS)) == (CLONE_NEWNS | CLONE_FS) ||
	    (flags & (CLONE_NEWUSER | CLONE_FS)) == (CLONE_NEWUSER | CLONE_FS) ||
	    (flags & CLONE_THREAD && !(flags & CLONE_SIGHAND)) ||
	    (flags & CLONE_SIGHAND && !(flags & CLONE_VM)) ||
	    (flags & CLONE_THREAD && flags & (CLONE_NEWUSER | CLONE_NEWPID | CLONE_PIDFD)))
		return -EINVAL;
	if (flags & CLONE_SETTLS && request->tls >= TASK_SIZE_MAX)
		return -EPERM;
	return 0;
}

static int64_t refuse_process(void)
{
	static _Atomic bool said;

	if (!atomic_exchange_explicit(&said, true, memory_order_relaxed))
		fprintf(stderr, "quire: the program wants a second process, which quire does not "
				"make: its fork fails with ENOSYS\n");
	return -ENOSYS;
}

static int64_t do_clone(struct thread *thread, const struct clone_request *request)
{
	const int error = check_flags(request);

	if (error)
		return error;
	if ((request->flags & CLONE_OF_THREADS) != CLONE_OF_THREADS)
		return refuse_process();
	if (!(request->flags & CLONE_FILES))
		return -EINVAL;
	return thread_clone(thread, request);
}

int64_t sys_clone(struct thread *thread, const uint64_t args[6])
{
	const struct clone_request request = {
		.flags = (uint32_t)args[0] & ~(uint64_t)CSIGNAL,
		.exit_signal = (int)(args[0] & CSIGNAL),
		.stack_pointer = args[1],
		.parent_tid = args[2],
		.child_tid = args[3],
		.tls = args[4],
	};

	return do_clone(thread, &request);
}

int64_t sys_fork(struct thread *thread, const uint64_t args[6])
{
	(void)thread;
	(void)args;
	return refuse_process();
}

int64_t sys_vfork(struct thread *thread, const uint64_t args[6])
{
	return sys_fork(thread, args);
}

/* The structure as the program has it: an older, shorter one, or a longer one whose unknown rest is
 * zero. */
static int copy_clone_args(struct thread *thread, struct clone_args *to, uint64_t address,
			   uint64_t bytes)
{
	const uint64_t known = min_u64(bytes, sizeof(*to));
	uint8_t rest[64];

	if (bytes > PAGE_SIZE)
		return -E2BIG;
	if (bytes < CLONE_ARGS_SIZE_VER0)
		return -EINVAL;
	memset(to, 0, sizeof(*to));
	if (copy_from_user(thread_mm(thread), to, address, known) != 0)
		return -EFAULT;
	for (uint64_t at = known; at < bytes;) {
		const uint64_t piece = min_u64(sizeof(rest), bytes - at);

		if (copy_from_user(thread_mm(thread), rest, address + at, piece) != 0)
			return -EFAULT;
		for (uint64_t i = 0; i < piece; i++)
			if (rest[i])
				return -E2BIG;
		at += piece;
	}
	return 0;
}

int64_t sys_clone3(struct thread *thread, const uint64_t args[6])
{
	struct clone_args wanted;
	struct clone_request request;
	int error = copy_clone_args(thread, &wanted, args[0], args[1]);

	if (error)
		return error;
	if (wanted.flags & ~(UINT32_MAX | CLONE_CLEAR_SIGHAND | CLONE_INTO_CGROUP) ||
	    wanted.flags & (CLONE_DETACHED | (CSIGNAL & ~CLONE_NEWTIME)) ||
	    wanted.exit_signal & ~(uint64_t)CSIGNAL || !wanted.stack != !wanted.stack_size ||
	    (wanted.flags & (CLONE_THREAD | CLONE_PARENT) && wanted.exit_signal) ||
	    (wanted.flags & CLONE_SIGHAND && wanted.flags & CLONE_CLEAR_SIGHAND) ||
	    !wanted.set_tid != !wanted.set_tid_size)
		return -EINVAL;
	if (wanted.set_tid_size)
		return -EPERM;
	request = (struct clone_request){
		.flags = wanted.flags,
		.exit_signal = (int)wanted.exit_signal,
		.stack_pointer = wanted.stack + wanted.stack_size,
		.parent_tid = wanted.parent_tid,
		.child_tid = wanted.child_tid,
		.tls = wanted.tls,
	};
	return do_clone(thread, &request);
}
