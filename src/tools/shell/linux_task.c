/* SPDX-License-Identifier: MIT */
/*
 * Starting the processes of the linux machine and talking with them.
 *
 * The program they run (linux_process.c) is part of this binary and is started from a memfd. Its
 * address space is made as bare as can be before the script begins: no randomisation, no vDSO, and
 * a heap that begins on a page of its own.
 */
#include "tools/shell/linux_task.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/shell/memory.h"
#include "tools/shell/symbols.h"

#define PROGRAM_FD 200
#define STACK_LIMIT ((rlim_t)8 << 20)
#define MEMLOCK_LIMIT ((rlim_t)8 << 20)

extern const unsigned char linux_process_image[];
extern const uint64_t linux_process_image_size;

static const char *machine_name(const struct shell_machine *machine)
{
	return machine->under_quire ? "kvm" : "linux";
}

static int complain(const struct shell_machine *machine, const char *what, int error)
{
	fprintf(stderr, "quire: machine %s: %s: %s\n", machine_name(machine), what,
		strerror(error));
	return -error;
}

/* A descriptor of the program, to be executed and closed by that, or -errno. */
static int program_open(void)
{
	size_t left = linux_process_image_size;
	const unsigned char *at = linux_process_image;
	int fd = memfd_create("quire-linux-process", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	while (left) {
		ssize_t written = write(fd, at, left);

		if (written < 0) {
			int error = errno;

			close(fd);
			return -error;
		}
		at += written;
		left -= (size_t)written;
	}
	return fd;
}

/* A soft limit; the hard one is raised where that is allowed, so that a script can go up again. */
static bool set_limit(int resource, rlim_t soft)
{
	struct rlimit limit;

	if (setrlimit(resource, &(struct rlimit){soft, RLIM_INFINITY}) == 0)
		return true;
	if (getrlimit(resource, &limit) != 0)
		return false;
	limit.rlim_cur = soft == RLIM_INFINITY ? limit.rlim_max : soft;
	return setrlimit(resource, &limit) == 0;
}

/* Between fork and exec: reports on standard error what is in the way. */
__attribute__((noreturn)) static void become_process(const struct shell_machine *machine,
						     int program, int connection)
{
	char path[32];
	char number[16];
	/* The program begins behind the dashes where no `quire run` stands before it. */
	char *const argv[] = {"quire", "run", "--no-aslr", "--", path, number, NULL};
	char *const envp[] = {NULL};

	if (!set_limit(RLIMIT_STACK, STACK_LIMIT))
		complain(machine,
			 "RLIMIT_STACK of 8M is refused (raise the hard limit: ulimit -Hs)", errno);
	else if (!set_limit(RLIMIT_MEMLOCK, MEMLOCK_LIMIT))
		complain(machine,
			 "RLIMIT_MEMLOCK of 8M is refused (raise the hard limit: ulimit -Hl)",
			 errno);
	else if (!set_limit(RLIMIT_AS, RLIM_INFINITY) || !set_limit(RLIMIT_DATA, RLIM_INFINITY))
		complain(machine, "RLIMIT_AS and RLIMIT_DATA cannot be set", errno);
	else {
		/* Refused inside some containers; nothing printed depends on it. */
		personality(ADDR_NO_RANDOMIZE);
		/* Without FD_CLOEXEC, which the original has. */
		snprintf(number, sizeof(number), "%d", dup(connection));
		/* quire opens it by name, when it is out of the way of the script's. */
		snprintf(path, sizeof(path), "/proc/self/fd/%d",
			 fcntl(program, F_DUPFD, PROGRAM_FD));
		if (machine->under_quire)
			execve("/proc/self/exe", argv, envp);
		else
			fexecve(program, argv + 4, envp);
		complain(machine, "its process program does not start", errno);
	}
	_exit(127);
}

static void note_death(struct shell_task *task)
{
	char name[SHELL_NAME_SIZE];
	int status;

	if (task->dead)
		return;
	task->dead = true;
	/* The socket is closed by the process's end alone, but make sure before waiting. */
	kill(task->pid, SIGKILL);
	while (waitpid(task->pid, &status, 0) < 0)
		if (errno != EINTR)
			return;
	if (WIFSIGNALED(status))
		fprintf(stderr,
			"quire: machine %s: process %d was killed by %s: the script took away "
			"memory that "
			"the process itself needs, or the system ran out of memory\n",
			machine_name(task->machine), (int)task->pid,
			shell_signal_name(WTERMSIG(status), name));
	else
		fprintf(stderr, "quire: machine %s: process %d ended with status %d\n",
			machine_name(task->machine), (int)task->pid, WEXITSTATUS(status));
}

static bool send_request(struct shell_task *task, const struct linux_request *request,
			 const struct linux_payload *payload, int passed)
{
	struct iovec parts[] = {
		{.iov_base = (void *)request, .iov_len = sizeof(*request)},
		{.iov_base = payload ? (void *)payload->out : NULL,
		 .iov_len = payload ? payload->out_length : 0},
	};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	ssize_t sent;

	if (passed >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &passed, sizeof(passed));
	}
	do
		sent = sendmsg(task->connection, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent >= 0;
}

static bool receive_reply(struct shell_task *task, struct linux_reply *reply,
			  const struct linux_payload *payload)
{
	struct iovec parts[] = {
		{.iov_base = reply, .iov_len = sizeof(*reply)},
		{.iov_base = payload ? payload->in : NULL,
		 .iov_len = payload ? payload->in_length : 0},
	};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	ssize_t received;

	do
		received = recvmsg(task->connection, &message, 0);
	while (received < 0 && errno == EINTR);
	return received >= (ssize_t)sizeof(*reply);
}

static struct shell_result ask(struct shell_task *task, const struct linux_request *request,
			       const struct linux_payload *payload, int passed)
{
	struct linux_reply reply;

	if (task->dead || !send_request(task, request, payload, passed) ||
	    !receive_reply(task, &reply, payload)) {
		note_death(task);
		return (struct shell_result){.error = ESRCH};
	}
	return (struct shell_result){
		.value = reply.value,
		.error = reply.error,
		.signal = reply.signal,
		.code = reply.code,
	};
}

struct shell_result linux_task_ask(struct shell_task *task, const struct linux_request *request,
				   const struct linux_payload *payload)
{
	return ask(task, request, payload, -1);
}

struct shell_result linux_task_fork(struct shell_task *task, struct shell_task **child)
{
	struct linux_request request = {.operation = LINUX_FORK};
	struct shell_result result;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return (struct shell_result){.error = errno};
	result = ask(task, &request, NULL, ends[1]);
	close(ends[1]);
	if (result.error) {
		close(ends[0]);
		return result;
	}
	*child = shell_allocate(sizeof(**child));
	**child = *task;
	(*child)->pid = (pid_t)result.value;
	(*child)->connection = ends[0];
	list_add_tail(&(*child)->link, &task->machine->tasks);
	return result;
}

void linux_task_end(struct shell_task *task)
{
	close(task->connection);
	if (!task->dead) {
		/* It ends by itself when its socket closes, but may be stopped or busy. */
		kill(task->pid, SIGKILL);
		while (waitpid(task->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	list_del(&task->link);
	free(task);
}

/* Cuts one line of /proc/PID/maps; false when it is not of that form. The name is the rest of the
 * line. */
static bool parse_maps_line(char *line, struct shell_vma *vma)
{
	int name = 0;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %*s %*s %n", &vma->start,
		   &vma->end, vma->perms, &vma->offset, &name) != 4 ||
	    name == 0)
		return false;
	vma->name = line + name;
	return true;
}

struct shell_result linux_task_call_string(struct shell_task *task, struct linux_request *request,
					   unsigned position, const char *string)
{
	size_t size = strlen(string) + 1;

	if (size > SHELL_TRANSFER_SIZE)
		return (struct shell_result){.error = ENAMETOOLONG};
	request->operation = LINUX_SYSCALL;
	request->buffer_arguments = 1u << position;
	return linux_task_ask(task, request,
			      &(struct linux_payload){.out = string, .out_length = size});
}

/* What the process reads from `fd` up to the end, with a zero behind it; owned by the caller. NULL:
 * *error. */
static char *read_all(struct shell_task *task, uint64_t fd, int *error)
{
	struct linux_request request = {
		.operation = LINUX_SYSCALL,
		.buffer_arguments = 1u << 1,
		.answer = LINUX_BUFFER_SIZE,
		.answer_value = 1,
		.number = SYS_read,
		.argument = {fd, 0, LINUX_BUFFER_SIZE},
	};
	struct shell_result result;
	char *text = NULL;
	size_t size = 0;

	do {
		text = shell_reallocate(text, size + LINUX_BUFFER_SIZE + 1);
		result = linux_task_ask(
			task, &request,
			&(struct linux_payload){.in = text + size, .in_length = LINUX_BUFFER_SIZE});
		if (!result.error)
			size += result.value;
	} while (!result.error && result.value);
	text[size] = '\0';
	*error = -result.error;
	if (*error) {
		free(text);
		return NULL;
	}
	return text;
}

int linux_task_maps(struct shell_task *task, shell_vma_visitor *visit, void *context)
{
	struct linux_request open = {
		.number = SYS_openat,
		.argument = {(uint64_t)AT_FDCWD, 0, O_RDONLY},
	};
	struct shell_result fd = linux_task_call_string(task, &open, 1, "/proc/self/maps");
	int error = -fd.error;
	char *text = error ? NULL : read_all(task, fd.value, &error);
	char *state;

	if (!fd.error)
		LINUX_CALL(task, SYS_close, fd.value);
	for (char *line = text ? strtok_r(text, "\n", &state) : NULL; line;
	     line = strtok_r(NULL, "\n", &state)) {
		struct shell_vma vma;

		if (parse_maps_line(line, &vma))
			visit(context, &vma);
	}
	free(text);
	return error;
}

/* What is found among a fresh process's own mappings. */
struct own_mappings {
	struct shell_vma vdso[8];
	unsigned vdso_count;
	uint64_t total;
	uint64_t data;
};

static void note_own_mapping(void *context, const struct shell_vma *vma)
{
	struct own_mappings *own = context;

	if (vma->start >= (uint64_t)1 << 47)
		return;
	if (strncmp(vma->name, "[vdso", 5) == 0 || strncmp(vma->name, "[vvar", 5) == 0) {
		if (own->vdso_count < ARRAY_SIZE(own->vdso))
			own->vdso[own->vdso_count++] = *vma;
		return;
	}
	own->total += vma->end - vma->start;
	/* RLIMIT_DATA counts private writable memory but for stacks. */
	if (vma->perms[1] == 'w' && vma->perms[3] == 'p' && strcmp(vma->name, "[stack]") != 0)
		own->data += vma->end - vma->start;
}

/*
 * The heap of the script begins behind one page that is unmapped: the C library has put its
 * thread's data at the beginning of the real heap, and a VMA that grew on from there would not be
 * the script's own.
 */
static int settle_heap(struct shell_task *task)
{
	struct shell_result result = LINUX_CALL(task, SYS_brk, 0);
	uint64_t guard = PAGE_ALIGN(result.value);

	task->heap_start = guard + PAGE_SIZE;
	if (!result.error)
		result = LINUX_CALL(task, SYS_brk, task->heap_start);
	if (!result.error && result.value != task->heap_start)
		result.error = ENOMEM;
	if (!result.error)
		result = LINUX_CALL(task, SYS_munmap, guard, PAGE_SIZE);
	return -result.error;
}

static int settle(struct shell_task *task)
{
	struct own_mappings own = {0};
	int error = settle_heap(task);

	if (!error)
		error = linux_task_maps(task, note_own_mapping, &own);
	for (unsigned i = 0; i < own.vdso_count && !error; i++)
		error = -LINUX_CALL(task, SYS_munmap, own.vdso[i].start,
				    own.vdso[i].end - own.vdso[i].start)
				 .error;
	task->own_as = own.total;
	task->own_data = own.data;
	return error;
}

int linux_task_start(struct shell_machine *machine, struct shell_task **task)
{
	int program = program_open();
	struct shell_task *fresh;
	int ends[2];
	int error;
	pid_t pid;

	if (program < 0)
		return complain(machine, "memfd_create", -program);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
		error = errno;
		close(program);
		return complain(machine, "socketpair", error);
	}
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		become_process(machine, program, ends[1]);
	error = errno;
	close(program);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return complain(machine, "fork", error);
	}
	fresh = shell_allocate(sizeof(*fresh));
	fresh->machine = machine;
	fresh->pid = pid;
	fresh->connection = ends[0];
	list_add_tail(&fresh->link, &machine->tasks);
	error = settle(fresh);
	if (error) {
		linux_task_end(fresh);
		return complain(machine, "its first process cannot be set up", -error);
	}
	*task = fresh;
	return 0;
}
