/* SPDX-License-Identifier: MIT */
/*
 * One process of the linux machine: a program of its own, linked statically at a low address, so
 * that its address space holds hardly anything besides what a script maps. It carries out requests
 * (linux_protocol.h) until its socket closes.
 *
 *   quire-linux-process FD
 *
 * It never calls malloc() nor maps anything itself: the heap and the mmap area belong to the
 * script.
 */
#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tools/shell/linux_protocol.h"

#define ACCESS_PAGE_SIZE 4096

static unsigned char transfer[LINUX_BUFFER_SIZE];
static unsigned char signal_stack[65536];

static sigjmp_buf fault_return;
/* True while the process touches memory on behalf of the script: any other fault is a defect, and
 * kills. */
static volatile sig_atomic_t fault_expected;
static volatile int fault_signal;
static volatile int fault_code;

static void on_fault(int signal, siginfo_t *info, void *context)
{
	(void)context;
	if (!fault_expected) {
		struct sigaction fatal = {.sa_handler = SIG_DFL};

		/* The instruction is run again and kills. */
		sigaction(signal, &fatal, NULL);
		return;
	}
	fault_signal = signal;
	fault_code = info->si_code;
	siglongjmp(fault_return, 1);
}

static void catch_faults(void)
{
	stack_t stack = {.ss_sp = signal_stack, .ss_size = sizeof(signal_stack)};
	struct sigaction action = {
		.sa_sigaction = on_fault,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER,
	};
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	sigaltstack(&stack, NULL);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	/* The terminal's interrupt is for the shell. */
	sigaction(SIGINT, &ignore, NULL);
	sigaction(SIGQUIT, &ignore, NULL);
}

/*
 * What a script shows must not depend on who runs it: these lift limits on locked memory, low
 * addresses, and overcommit.
 */
static void drop_capabilities(void)
{
	static const unsigned dropped[] = {CAP_IPC_LOCK, CAP_SYS_RAWIO, CAP_SYS_ADMIN,
					   CAP_SYS_RESOURCE};
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data) != 0)
		_exit(3);
	for (unsigned i = 0; i < sizeof(dropped) / sizeof(dropped[0]); i++) {
		struct __user_cap_data_struct *word = &data[dropped[i] / 32];
		unsigned bit = 1u << (dropped[i] % 32);

		word->effective &= ~bit;
		word->permitted &= ~bit;
		word->inheritable &= ~bit;
	}
	if (syscall(SYS_capset, &header, data) != 0)
		_exit(3);
}

/* Busy with a long request, it would not see its socket close. */
static void end_with_shell(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
}

static size_t piece_length(uintptr_t address, size_t left)
{
	size_t to_boundary = ACCESS_PAGE_SIZE - address % ACCESS_PAGE_SIZE;

	return left < to_boundary ? left : to_boundary;
}

/*
 * Touches the script's memory page by page in ascending order, so that at a fault precisely the
 * pages below are done (memcpy() and memset() over several pages may begin anywhere).
 */
__attribute__((noinline)) static void touch(const struct linux_request *request, size_t payload)
{
	bool store = request->operation == LINUX_STORE;
	bool fill = request->operation == LINUX_FILL;
	uintptr_t address = request->argument[0];
	size_t left = store ? payload : request->argument[1];
	unsigned char *buffer = transfer;

	while (left) {
		size_t piece = piece_length(address, left);

		if (fill)
			memset((void *)address, (int)request->argument[2], piece);
		else if (store)
			memcpy((void *)address, buffer, piece);
		else
			memcpy(buffer, (const void *)address, piece);
		/* The compiler may not move accesses across pages. */
		__asm__ volatile("" ::: "memory");
		address += piece;
		buffer += piece;
		left -= piece;
	}
}

static void do_touch(const struct linux_request *request, size_t payload, struct linux_reply *reply)
{
	if (sigsetjmp(fault_return, 0) == 0) {
		fault_expected = 1;
		touch(request, payload);
	} else {
		reply->signal = fault_signal;
		reply->code = fault_code;
	}
	fault_expected = 0;
}

static void do_syscall(const struct linux_request *request, struct linux_reply *reply)
{
	uint64_t argument[6];
	long value;

	for (unsigned i = 0; i < 6; i++)
		argument[i] = request->buffer_arguments & (1u << i) ? (uintptr_t)transfer
								    : request->argument[i];
	value = syscall(request->number, argument[0], argument[1], argument[2], argument[3],
			argument[4], argument[5]);
	if (value == -1)
		reply->error = errno;
	else
		reply->value = (uint64_t)value;
}

/* The child's siblings are its parent's: all are children of the shell, which waits for them. True
 * in the child. */
static bool do_fork(int *connection, int child_socket, struct linux_reply *reply)
{
	long pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0) {
		end_with_shell();
		close(*connection);
		*connection = child_socket;
		return true;
	}
	close(child_socket);
	if (pid < 0)
		reply->error = errno;
	else
		reply->value = (uint64_t)pid;
	return false;
}

/* Receives a request, its payload into the buffer and its descriptor, if one came. The length of
 * the payload, or -1. */
static ssize_t receive(int connection, struct linux_request *request, int *passed)
{
	struct iovec parts[] = {
		{.iov_base = request, .iov_len = sizeof(*request)},
		{.iov_base = transfer, .iov_len = sizeof(transfer)},
	};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = {
		.msg_iov = parts,
		.msg_iovlen = 2,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *header;
	ssize_t length;

	do
		length = recvmsg(connection, &message, MSG_CMSG_CLOEXEC);
	while (length < 0 && errno == EINTR);
	if (length < (ssize_t)sizeof(*request))
		return -1;
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_type == SCM_RIGHTS)
		memcpy(passed, CMSG_DATA(header), sizeof(*passed));
	return length - (ssize_t)sizeof(*request);
}

static bool answer(int connection, const struct linux_request *request, struct linux_reply *reply)
{
	size_t length = reply->error || reply->signal ? 0 : request->answer;
	struct iovec parts[] = {
		{.iov_base = reply, .iov_len = sizeof(*reply)},
		{.iov_base = transfer, .iov_len = length},
	};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

	if (length && request->answer_value && reply->value < length)
		parts[1].iov_len = reply->value;
	return sendmsg(connection, &message, MSG_NOSIGNAL) > 0;
}

int main(int argc, char **argv)
{
	int connection = argc == 2 ? atoi(argv[1]) : -1;

	drop_capabilities();
	end_with_shell();
	catch_faults();
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	for (;;) {
		struct linux_request request;
		struct linux_reply reply = {0};
		int passed = -1;
		ssize_t payload = receive(connection, &request, &passed);

		if (payload < 0)
			_exit(0);
		if (request.operation == LINUX_SYSCALL)
			do_syscall(&request, &reply);
		else if (request.operation != LINUX_FORK)
			do_touch(&request, (size_t)payload, &reply);
		else if (do_fork(&connection, passed, &reply))
			continue;
		if (!answer(connection, &request, &reply))
			_exit(0);
	}
}
