/* SPDX-License-Identifier: MIT */
/*
 * Sending to and receiving from sockets. Data goes through one buffer of at most BOUNCE_MAX: a
 * longer stream in pieces, while a longer message than that cannot be sent.
 */
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>

#include "run/clock.h"
#include "run/syscall/bounce.h"
#include "run/syscall/descriptor.h"
#include "run/syscall/families.h"
#include "run/syscall/rows.h"
#include "run/syscall/socket.h"
#include "run/user/user.h"

#define MESSAGES_MOST 1024

/* One message on its way, its parts in the program's memory. */
struct message {
	struct thread *thread;
	int fd;
	int flags;
	const struct msghdr *header; /* with addresses of the program */
	struct iovec *vector;        /* of the program; lengths checked */
	uint64_t nr_vector;
	uint64_t total; /* bytes of it */
	struct msghdr host;
	struct iovec host_vector;
	struct bounce bounce;
};

/* Copies [offset, offset + bytes) of the vector's memory; how much of it could be. */
static uint64_t copy_vector(const struct message *message, uint64_t offset, char *buffer,
			    uint64_t bytes, bool to_user)
{
	struct mm_struct *mm = message->bounce.mm;
	uint64_t done = 0;

	for (const struct iovec *part = message->vector; done < bytes; part++) {
		uint64_t at = as_number(part->iov_base) + offset;
		uint64_t chunk, copied;

		if (offset >= part->iov_len) {
			offset -= part->iov_len;
			continue;
		}
		chunk = min_u64(part->iov_len - offset, bytes - done);
		copied = to_user ? copy_some_to_user(mm, at, buffer + done, chunk)
				 : copy_some_from_user(mm, buffer + done, at, chunk);
		done += copied;
		if (copied < chunk)
			break;
		offset = 0;
	}
	return done;
}

/* Bytes from the vector's start on that the host's data can go to. */
static uint64_t writable_prefix(const struct message *message)
{
	uint64_t limit = min_u64(message->total, BOUNCE_MAX);
	uint64_t sum = 0;

	for (uint64_t i = 0; i < message->nr_vector && sum < limit; i++) {
		const struct iovec *part = &message->vector[i];
		uint64_t range = user_range(message->bounce.mm, as_number(part->iov_base),
					    part->iov_len, true);

		sum += range;
		if (range < part->iov_len)
			break;
	}
	return min_u64(sum, limit);
}

static int64_t host_message(struct message *message, long number, int flags)
{
	return bounce_call(&message->bounce, message->thread, number,
			   (const uint64_t[6]){(uint64_t)message->fd, as_number(&message->host),
					       (uint64_t)flags},
			   true);
}

/* Descriptors that go with a message must be the program's. */
static int check_rights(const struct message *message)
{
	struct msghdr *host = (struct msghdr *)&message->host;

	for (struct cmsghdr *part = CMSG_FIRSTHDR(host); part; part = CMSG_NXTHDR(host, part)) {
		const unsigned char *data = CMSG_DATA(part);

		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS ||
		    part->cmsg_len < CMSG_LEN(0))
			continue;
		for (size_t at = CMSG_LEN(0); at + sizeof(int) <= part->cmsg_len;
		     at += sizeof(int)) {
			int fd;

			memcpy(&fd, data + at - CMSG_LEN(0), sizeof(fd));
			if (check_fd(message->thread, fd))
				return -EBADF;
		}
	}
	return 0;
}

static int prepare_send(struct message *message)
{
	const struct msghdr *given = message->header;
	struct msghdr *host = &message->host;

	if ((int32_t)given->msg_namelen < 0)
		return -EINVAL;
	if (given->msg_controllen > BOUNCE_MAX)
		return -ENOBUFS;
	host->msg_namelen = (socklen_t)min_u64(given->msg_namelen, sizeof(struct sockaddr_storage));
	host->msg_name = as_pointer(
		bounce_in(&message->bounce, as_number(given->msg_name), host->msg_namelen));
	host->msg_controllen = given->msg_controllen;
	if (given->msg_controllen)
		host->msg_control = as_pointer(bounce_in(
			&message->bounce, as_number(given->msg_control), given->msg_controllen));
	if (bounce_pointer(as_number(host->msg_control)))
		return check_rights(message);
	return 0;
}

/* The next piece of the data, or as much of it as the program has. */
static void fill_piece(struct message *message, char *buffer, uint64_t done, uint64_t piece,
		       bool stream)
{
	uint64_t filled = copy_vector(message, done, buffer, piece, false);

	message->host_vector.iov_base = buffer;
	message->host_vector.iov_len = filled;
	if (filled < piece && (!stream || !filled)) {
		message->host_vector.iov_base = as_pointer(BAD_POINTER);
		message->host_vector.iov_len = piece;
	}
}

static int64_t send_data(struct message *message)
{
	const bool stream = message->total > BOUNCE_MAX
				    ? socket_option(message->fd, SO_TYPE) == SOCK_STREAM
				    : false;
	uint64_t done = 0;
	char *buffer;

	if (message->total > BOUNCE_MAX && !stream)
		return -EMSGSIZE;
	buffer = bounce_alloc(&message->bounce, min_u64(message->total, BOUNCE_MAX));
	do {
		uint64_t piece = min_u64(message->total - done, BOUNCE_MAX);
		int64_t sent;

		if (buffer)
			fill_piece(message, buffer, done, piece, stream);
		sent = host_message(message, __NR_sendmsg, message->flags);
		if (sent < 0)
			return done ? (int64_t)done : sent;
		done += (uint64_t)sent;
		if ((uint64_t)sent < piece)
			break;
		message->host.msg_control = NULL;
		message->host.msg_controllen = 0;
	} while (done < message->total);
	return (int64_t)done;
}

static int message_begin(struct message *message, struct thread *thread, uint64_t fd,
			 uint64_t flags)
{
	message->thread = thread;
	message->fd = (int)fd;
	/* Data that the host would use after the call does not live so long. */
	message->flags = (int)flags & ~MSG_ZEROCOPY;
	message->host = (struct msghdr){.msg_iov = &message->host_vector, .msg_iovlen = 1};
	message->host_vector = (struct iovec){NULL, 0};
	bounce_begin(&message->bounce, thread);
	return check_fd(thread, message->fd);
}

static int64_t send_prepared(struct message *message)
{
	int64_t result = prepare_send(message);

	if (!result)
		result = send_data(message);
	bounce_end(&message->bounce);
	return socket_interrupted(message->fd, SO_SNDTIMEO, result);
}

/* Of descriptors that have come, those beyond the program's limit are closed, or, without `keep`,
 * all: their list is cut there. */
static void limit_rights(struct message *message, bool keep)
{
	struct msghdr *host = &message->host;

	for (struct cmsghdr *part = CMSG_FIRSTHDR(host); part; part = CMSG_NXTHDR(host, part)) {
		unsigned char *data = CMSG_DATA(part);
		size_t kept = CMSG_LEN(0);

		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = CMSG_LEN(0); at + sizeof(int) <= part->cmsg_len;
		     at += sizeof(int)) {
			int fd;

			memcpy(&fd, data + at - CMSG_LEN(0), sizeof(fd));
			if (!keep)
				close_on_host(message->thread, fd);
			else if (check_new_fd(message->thread, fd) == fd)
				kept += sizeof(int);
		}
		if (kept < part->cmsg_len) {
			part->cmsg_len = kept;
			host->msg_flags |= MSG_CTRUNC;
		}
	}
}

static int prepare_receive(struct message *message)
{
	const struct msghdr *given = message->header;
	struct msghdr *host = &message->host;

	if ((int32_t)given->msg_namelen < 0)
		return -EINVAL;
	if (given->msg_name) {
		host->msg_namelen = sizeof(struct sockaddr_storage);
		host->msg_name = bounce_alloc(&message->bounce, host->msg_namelen);
	}
	if (given->msg_control) {
		/* What the program has no memory for is not received, which is no error. */
		host->msg_controllen = user_range(message->bounce.mm, as_number(given->msg_control),
						  min_u64(given->msg_controllen, BOUNCE_MAX), true);
		host->msg_control = bounce_alloc(&message->bounce, host->msg_controllen);
	}
	return message->bounce.error;
}

/* One piece of the data, from `done` on; bytes received, which may be more than were stored. */
static int64_t receive_piece(struct message *message, char *buffer, uint64_t done, uint64_t room)
{
	int64_t received;

	message->host_vector.iov_base = buffer;
	message->host_vector.iov_len = room;
	if (message->total && !room) {
		message->host_vector.iov_base = as_pointer(BAD_POINTER);
		message->host_vector.iov_len = message->total;
	}
	received = host_message(message, __NR_recvmsg, message->flags);
	if (received <= 0)
		return received;
	room = min_u64((uint64_t)received, room);
	if (copy_vector(message, done, buffer, room, true) == room)
		return received;
	limit_rights(message, false);
	return -EFAULT;
}

/* Only MSG_WAITALL asks for more than one piece. */
static int64_t receive_data(struct message *message)
{
	const bool all = message->total > BOUNCE_MAX && message->flags & MSG_WAITALL &&
			 socket_option(message->fd, SO_TYPE) == SOCK_STREAM;
	const uint64_t room = writable_prefix(message);
	char *buffer = bounce_alloc(&message->bounce, room);
	uint64_t done = 0;

	for (;;) {
		uint64_t piece = min_u64(room, message->total - done);
		int64_t received = receive_piece(message, buffer, done, piece);

		if (received < 0)
			return done ? (int64_t)done : received;
		done += (uint64_t)received;
		if (!all || (uint64_t)received < piece || done >= message->total)
			return (int64_t)done;
	}
}

/* As on Linux, control data that cannot be stored is lost without an error. */
static int store_received(struct message *message)
{
	const struct msghdr *given = message->header;
	struct msghdr *host = &message->host;
	struct mm_struct *mm = message->bounce.mm;

	limit_rights(message, true);
	if (given->msg_control && copy_to_user(mm, as_number(given->msg_control), host->msg_control,
					       host->msg_controllen)) {
		limit_rights(message, false);
		host->msg_controllen = 0;
		host->msg_flags |= MSG_CTRUNC;
	}
	if (given->msg_name && copy_to_user(mm, as_number(given->msg_name), host->msg_name,
					    min_u64(min_u64(given->msg_namelen, host->msg_namelen),
						    sizeof(struct sockaddr_storage))))
		return -EFAULT;
	return 0;
}

/* What the host told beside the data stays in message->host. */
static int64_t receive_prepared(struct message *message)
{
	int64_t result = prepare_receive(message);

	if (!result)
		result = receive_data(message);
	if (result >= 0 && store_received(message))
		result = -EFAULT;
	bounce_end(&message->bounce);
	return socket_interrupted(message->fd, SO_RCVTIMEO, result);
}

/* A message of the program whose header stands at an address: header and vector are copied in. */
static int64_t with_header(struct message *message, uint64_t address, struct msghdr *header,
			   int64_t (*transfer)(struct message *message))
{
	struct iovec fast[USER_IOV_FAST];
	int64_t result;

	if (copy_from_user(message->bounce.mm, header, address, sizeof(*header)))
		return -EFAULT;
	if (header->msg_iovlen > IOV_MAX)
		return -EMSGSIZE;
	result = import_iovec(message->bounce.mm, as_number(header->msg_iov), header->msg_iovlen,
			      fast, &message->vector, &message->total);
	if (result)
		return result;
	message->header = header;
	message->nr_vector = header->msg_iovlen;
	result = transfer(message);
	release_iovec(fast, message->vector);
	return result;
}

static int64_t send_header(struct thread *thread, uint64_t fd, uint64_t address, uint64_t flags)
{
	struct message message;
	struct msghdr header;
	int64_t result = message_begin(&message, thread, fd, flags);

	return result ? result : with_header(&message, address, &header, send_prepared);
}

static int64_t receive_header(struct thread *thread, uint64_t fd, uint64_t address, uint64_t flags)
{
	struct message message;
	struct msghdr header;
	int64_t result = message_begin(&message, thread, fd, flags);

	if (result)
		return result;
	result = with_header(&message, address, &header, receive_prepared);
	if (result < 0)
		return result;
	if (header.msg_name)
		header.msg_namelen = message.host.msg_namelen;
	header.msg_controllen = message.host.msg_controllen;
	header.msg_flags = message.host.msg_flags;
	return copy_to_user(thread_mm(thread), address, &header, sizeof(header)) ? -EFAULT : result;
}

static int64_t sys_sendmsg(struct thread *thread, const uint64_t args[6])
{
	return send_header(thread, args[0], args[1], args[2]);
}

static int64_t sys_recvmsg(struct thread *thread, const uint64_t args[6])
{
	return receive_header(thread, args[0], args[1], args[2]);
}

/* One buffer, `part`, instead of a vector: by the first four arguments of sendto(2) or recvfrom(2).
 */
static int begin_with_buffer(struct message *message, struct thread *thread, const uint64_t args[6],
			     struct iovec *part)
{
	const uint64_t bytes = min_u64(args[2], (uint64_t)INT_MAX & PAGE_MASK);
	const uint64_t address = args[1];
	const uint64_t end = thread_mm(thread)->task_size;
	const int error = message_begin(message, thread, args[0], args[3]);

	if (error)
		return error;
	if (address > end || bytes > end - address)
		return -EFAULT;
	*part = (struct iovec){as_pointer(address), bytes};
	message->vector = part;
	message->nr_vector = 1;
	message->total = bytes;
	return 0;
}

static int64_t sys_sendto(struct thread *thread, const uint64_t args[6])
{
	const struct msghdr header = {.msg_name = as_pointer(args[4]),
				      .msg_namelen = (socklen_t)args[5]};
	struct message message;
	struct iovec part;
	const int error = begin_with_buffer(&message, thread, args, &part);

	if (error)
		return error;
	if (args[4] && (uint32_t)args[5] > sizeof(struct sockaddr_storage))
		return -EINVAL;
	message.header = &header;
	return send_prepared(&message);
}

static int64_t sys_recvfrom(struct thread *thread, const uint64_t args[6])
{
	struct msghdr header = {.msg_name = as_pointer(args[4])};
	struct message message;
	struct iovec part;
	int64_t result = begin_with_buffer(&message, thread, args, &part);

	if (result)
		return result;
	if (args[4] && copy_from_user(thread_mm(thread), &header.msg_namelen, args[5],
				      sizeof(header.msg_namelen)))
		return -EFAULT;
	message.header = &header;
	result = receive_prepared(&message);
	if (result >= 0 && args[4] &&
	    copy_to_user(thread_mm(thread), args[5], &message.host.msg_namelen,
			 sizeof(message.host.msg_namelen)))
		return -EFAULT;
	return result;
}

static int store_length(struct thread *thread, uint64_t address, int64_t length)
{
	const uint32_t value = (uint32_t)length;

	return copy_to_user(thread_mm(thread), address + offsetof(struct mmsghdr, msg_len), &value,
			    sizeof(value));
}

/* Errors are told only when nothing was done. */
static int64_t sys_sendmmsg(struct thread *thread, const uint64_t args[6])
{
	const uint64_t nr = min_u64((uint32_t)args[2], MESSAGES_MOST);
	int64_t result = 0;
	uint64_t done;

	for (done = 0; done < nr; done++) {
		const uint64_t address = args[1] + done * sizeof(struct mmsghdr);

		result = send_header(thread, args[0], address, args[3]);
		if (result >= 0)
			result = store_length(thread, address, result);
		if (result < 0)
			break;
	}
	return done ? (int64_t)done : result;
}

/* Takes the time since `start_ns` from the timeout; whether nothing is left. */
static bool timeout_over(uint64_t start_ns, struct timespec *timeout)
{
	const uint64_t left = timespec_ns(timeout);
	const uint64_t past = now_ns() - start_ns;

	*timeout = timespec_of_ns(left > past ? left - past : 0);
	return left <= past;
}

/* As the kernel does, the timeout is looked at after each message only. */
static int64_t receive_many(struct thread *thread, const uint64_t args[6], struct timespec *timeout)
{
	const uint64_t nr = min_u64((uint32_t)args[2], MESSAGES_MOST);
	uint64_t flags = args[3] & ~(uint64_t)MSG_WAITFORONE;
	int64_t result = 0;
	uint64_t done;

	for (done = 0; done < nr; done++) {
		const uint64_t address = args[1] + done * sizeof(struct mmsghdr);
		const uint64_t start_ns = now_ns();

		result = receive_header(thread, args[0], address, flags);
		if (result >= 0)
			result = store_length(thread, address, result);
		if (result < 0)
			break;
		if (args[3] & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		if (timeout && timeout_over(start_ns, timeout)) {
			done++;
			break;
		}
	}
	return done ? (int64_t)done : result;
}

static int64_t sys_recvmmsg(struct thread *thread, const uint64_t args[6])
{
	struct timespec timeout;
	int64_t result;

	if (!args[4])
		return receive_many(thread, args, NULL);
	if (copy_from_user(thread_mm(thread), &timeout, args[4], sizeof(timeout)))
		return -EFAULT;
	if (timeout.tv_sec < 0 || timeout.tv_sec > INT32_MAX || timeout.tv_nsec < 0 ||
	    timeout.tv_nsec >= NS_PER_SECOND)
		return -EINVAL;
	result = receive_many(thread, args, &timeout);
	if (result > 0 && copy_to_user(thread_mm(thread), args[4], &timeout, sizeof(timeout)))
		return -EFAULT;
	return result;
}

#define WAITS (SYSCALL_RESTART | SYSCALL_BLOCKS)

static const struct syscall_row rows[] = {
	ROW_OWN(sendto, HOW_HOST, WAITS, NULL, A_FD(sockfd), A_IN_BYTES(buf, 2, 1), A_LONG(len),
		A_INT(flags), A_IN_BYTES(dest_addr, 5, 1), A_INT(addrlen)),
	ROW_OWN(recvfrom, HOW_HOST, WAITS, NULL, A_FD(sockfd), A_OUT_BYTES(buf, 2, 1), A_LONG(len),
		A_INT(flags), A_OUT_BYTES(src_addr, 5, 1), A_INOUT(addrlen, 4)),
	ROW_OWN(sendmsg, HOW_HOST, WAITS, "Quire's own descriptors cannot be sent", A_FD(sockfd),
		A_IN(msg, 56), A_INT(flags)),
	ROW_OWN(recvmsg, HOW_HOST, WAITS, NULL, A_FD(sockfd), A_INOUT(msg, 56), A_INT(flags)),
	ROW_OWN(sendmmsg, HOW_HOST, WAITS, NULL, A_FD(sockfd), A_INOUT_BYTES(msgvec, 2, 64),
		A_INT(vlen), A_INT(flags)),
	ROW_OWN(recvmmsg, HOW_HOST, WAITS, NULL, A_FD(sockfd), A_INOUT_BYTES(msgvec, 2, 64),
		A_INT(vlen), A_INT(flags), A_INOUT(timeout, BYTES_TIMESPEC)),
};
SYSCALL_FAMILY(message_calls, "Messages", rows);
