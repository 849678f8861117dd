/* SPDX-License-Identifier: MIT */
/*
 * System V semaphores and message queues, and POSIX message queues: the host's. Shared memory of
 * System V would be memory of the host, so it is refused.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>

#include "run/syscall/bounce.h"
#include "run/syscall/families.h"
#include "run/syscall/rows.h"
#include "run/user/user.h"

#define BYTES_SEMBUF 6
#define BYTES_MQ_ATTR 64
/* What mq_notify(2) with SIGEV_THREAD takes along: NOTIFY_COOKIE_LEN. */
#define BYTES_NOTIFY_COOKIE 32
#define MESSAGE_TYPE sizeof(long)
#define IPC_64 0x100

/* How many semaphores are in a set: the host knows. */
static int64_t semaphores(uint64_t id)
{
	struct semid_ds status;
	int64_t error =
		host_syscall(__NR_semctl, (const uint64_t[6]){id, 0, IPC_STAT, as_number(&status)});

	return error < 0 ? error : (int64_t)status.sem_nsems;
}

/* The fourth argument is a number, a structure, or a list as long as the set. */
static int64_t sys_semctl(struct thread *thread, const uint64_t args[6])
{
	const uint32_t command = (uint32_t)args[2] & ~(uint32_t)IPC_64;
	struct bounce bounce;
	uint64_t argument = args[3];
	int64_t nr = 0;

	if (command == GETALL || command == SETALL) {
		nr = semaphores(args[0]);
		if (nr < 0)
			return nr;
	}
	bounce_begin(&bounce, thread);
	switch (command) {
	case IPC_STAT:
	case SEM_STAT:
	case SEM_STAT_ANY:
		argument = bounce_out(&bounce, argument, sizeof(struct semid_ds));
		break;
	case IPC_SET:
		argument = bounce_in(&bounce, argument, sizeof(struct semid_ds));
		break;
	case IPC_INFO:
	case SEM_INFO:
		argument = bounce_out(&bounce, argument, sizeof(struct seminfo));
		break;
	case GETALL:
		argument = bounce_out(&bounce, argument, (uint64_t)nr * sizeof(uint16_t));
		break;
	case SETALL:
		argument = bounce_in(&bounce, argument, (uint64_t)nr * sizeof(uint16_t));
		break;
	default:
		break;
	}
	return bounce_finish(&bounce,
			     bounce_call(&bounce, thread, __NR_semctl,
					 (const uint64_t[6]){args[0], args[1], args[2], argument},
					 false));
}

static int64_t sys_msgctl(struct thread *thread, const uint64_t args[6])
{
	const uint32_t command = (uint32_t)args[1] & ~(uint32_t)IPC_64;
	struct bounce bounce;
	uint64_t argument = args[2];

	bounce_begin(&bounce, thread);
	switch (command) {
	case IPC_STAT:
	case MSG_STAT:
	case MSG_STAT_ANY:
		argument = bounce_out(&bounce, argument, sizeof(struct msqid_ds));
		break;
	case IPC_SET:
		argument = bounce_in(&bounce, argument, sizeof(struct msqid_ds));
		break;
	case IPC_INFO:
	case MSG_INFO:
		argument = bounce_out(&bounce, argument, sizeof(struct msginfo));
		break;
	default:
		argument = 0;
		break;
	}
	return bounce_finish(&bounce,
			     bounce_call(&bounce, thread, __NR_msgctl,
					 (const uint64_t[6]){args[0], args[1], argument}, false));
}

/* A message is its type and so many bytes. */
static int64_t sys_msgsnd(struct thread *thread, const uint64_t args[6])
{
	struct bounce bounce;
	uint64_t copy;

	if (args[2] > BOUNCE_MAX - MESSAGE_TYPE)
		return -EINVAL;
	bounce_begin(&bounce, thread);
	copy = bounce_in(&bounce, args[1], args[2] + MESSAGE_TYPE);
	return bounce_finish(
		&bounce, bounce_call(&bounce, thread, __NR_msgsnd,
				     (const uint64_t[6]){args[0], copy, args[2], args[3]}, true));
}

static int64_t sys_msgrcv(struct thread *thread, const uint64_t args[6])
{
	struct bounce bounce;
	uint64_t bytes = min_u64(args[2], BOUNCE_MAX - MESSAGE_TYPE) + MESSAGE_TYPE;
	uint64_t copy;
	int64_t result;

	if ((int64_t)args[2] < 0)
		return -EINVAL;
	bounce_begin(&bounce, thread);
	copy = bounce_room(&bounce, args[1], &bytes);
	if (bytes < MESSAGE_TYPE)
		copy = BAD_POINTER;
	result = bounce_call(
		&bounce, thread, __NR_msgrcv,
		(const uint64_t[6]){args[0], copy, bytes - MESSAGE_TYPE, args[3], args[4]}, true);
	if (result >= 0 && copy_to_user(thread_mm(thread), args[1], bounce_pointer(copy),
					MESSAGE_TYPE + (uint64_t)result))
		result = -EFAULT;
	bounce_end(&bounce);
	return result;
}

/* With SIGEV_THREAD the value points to a cookie that the host sends over a socket. */
static int64_t sys_mq_notify(struct thread *thread, const uint64_t args[6])
{
	struct sigevent event;
	struct bounce bounce;
	int error = check_fd(thread, (int)args[0]);

	if (error)
		return error;
	if (!args[1])
		return host_syscall(__NR_mq_notify, args);
	if (copy_from_user(thread_mm(thread), &event, args[1], sizeof(event)))
		return -EFAULT;
	bounce_begin(&bounce, thread);
	if (event.sigev_notify == SIGEV_THREAD) {
		error = check_fd(thread, event.sigev_signo);
		event.sigev_value.sival_ptr = as_pointer(bounce_in(
			&bounce, as_number(event.sigev_value.sival_ptr), BYTES_NOTIFY_COOKIE));
	}
	if (error)
		bounce.error = error;
	return bounce_finish(&bounce,
			     bounce_call(&bounce, thread, __NR_mq_notify,
					 (const uint64_t[6]){args[0], as_number(&event)}, false));
}

static const struct syscall_row rows[] = {
	ROW_HOST(semget, 0, A_INT(key), A_INT(nsems), A_INT(semflg)),
	ROW_HOST(semop, SYSCALL_BLOCKS, A_INT(semid), A_IN_BYTES(sops, 2, BYTES_SEMBUF),
		 A_LONG(nsops)),
	ROW_HOST(semtimedop, SYSCALL_BLOCKS, A_INT(semid), A_IN_BYTES(sops, 2, BYTES_SEMBUF),
		 A_LONG(nsops), A_IN(timeout, BYTES_TIMESPEC)),
	ROW_OWN(semctl, HOW_HOST, 0, NULL, A_INT(semid), A_INT(semnum), A_INT(op), A_LONG(arg)),
	ROW_HOST(msgget, 0, A_INT(key), A_INT(msgflg)),
	ROW_OWN(msgsnd, HOW_HOST, SYSCALL_BLOCKS | SYSCALL_NOHAND, NULL, A_INT(msqid),
		A_IN_BYTES(msgp, 2, 1), A_LONG(msgsz), A_INT(msgflg)),
	ROW_OWN(msgrcv, HOW_HOST, SYSCALL_BLOCKS | SYSCALL_NOHAND, NULL, A_INT(msqid),
		A_OUT_BYTES(msgp, 2, 1), A_LONG(msgsz), A_LONG(msgtyp), A_INT(msgflg)),
	ROW_OWN(msgctl, HOW_HOST, 0, NULL, A_INT(msqid), A_INT(op), A_LONG(buf)),
	ROW_HOST(mq_open, SYSCALL_NEW_FD, A_PATH(name), A_INT(oflag), A_INT(mode),
		 A_IN(attr, BYTES_MQ_ATTR)),
	ROW_HOST(mq_unlink, 0, A_PATH(name)),
	ROW_HOST(mq_timedsend, SYSCALL_RESTART | SYSCALL_BLOCKS, A_FD(mqdes),
		 A_IN_BYTES(msg_ptr, 2, 1), A_LONG(msg_len), A_INT(msg_prio),
		 A_IN(abs_timeout, BYTES_TIMESPEC)),
	ROW_HOST(mq_timedreceive, SYSCALL_RESTART | SYSCALL_BLOCKS, A_FD(mqdes),
		 A_OUT_BYTES(msg_ptr, 2, 1), A_LONG(msg_len), A_OUT(msg_prio, 4),
		 A_IN(abs_timeout, BYTES_TIMESPEC)),
	ROW_OWN(mq_notify, HOW_HOST, 0, NULL, A_FD(mqdes), A_IN(sevp, 64)),
	ROW_HOST(mq_getsetattr, 0, A_FD(mqdes), A_IN(newattr, BYTES_MQ_ATTR),
		 A_OUT(oldattr, BYTES_MQ_ATTR)),
};
SYSCALL_FAMILY(ipc_calls, "Semaphores and message queues", rows);
