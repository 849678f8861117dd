/* SPDX-License-Identifier: MIT */
/*
 * Sockets but for sending and receiving: creation, connection, addresses, options.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/time.h>

#include "run/syscall/bounce.h"
#include "run/syscall/descriptor.h"
#include "run/syscall/families.h"
#include "run/syscall/rows.h"
#include "run/syscall/socket.h"
#include "run/user/user.h"

/* Options of netfilter share their level with those of IP; the first two of each base set tables
 * by pointers. */
#define NETFILTER_BASE 64
#define ARP_TABLES_BASE 96
#define BRIDGE_TABLES_BASE 128
#define NETFILTER_SETTERS 2
#define SCTP_CONNECT_POINTER 111
#define FILTER_INSTRUCTIONS 4096

int64_t socket_option(int fd, int option)
{
	int value = 0;
	socklen_t length = sizeof(value);
	int64_t error = host_syscall(__NR_getsockopt,
				     (const uint64_t[6]){(uint64_t)fd, SOL_SOCKET, (uint64_t)option,
							 as_number(&value), as_number(&length)});

	return error ? error : value;
}

int64_t socket_interrupted(int fd, int option, int64_t result)
{
	struct timeval timeout = {0, 0};
	socklen_t length = sizeof(timeout);

	if (result != -EINTR)
		return result;
	if (host_syscall(__NR_getsockopt,
			 (const uint64_t[6]){(uint64_t)fd, SOL_SOCKET, (uint64_t)option,
					     as_number(&timeout), as_number(&length)}))
		return result;
	return timeout.tv_sec || timeout.tv_usec ? -EINTR_FINAL : result;
}

int store_socket_address(struct thread *thread, const struct socket_address *address)
{
	const uint64_t bytes =
		min_u64(min_u64(address->room, address->length), sizeof(address->storage));

	return copy_to_user(thread_mm(thread), address->address, &address->storage, bytes);
}

/* A call whose second and third arguments are an address and a pointer to its length. */
static int64_t call_with_address(struct thread *thread, long number, const uint64_t args[4],
				 bool blocks)
{
	struct socket_address address = {.address = args[1]};
	uint64_t buffer = 0, length = 0;
	int64_t result = check_fd(thread, (int)args[0]);

	if (result)
		return result;
	if (args[1]) {
		buffer = as_number(&address.storage);
		length = as_number(&address.length);
		if (copy_from_user(thread_mm(thread), &address.room, args[2], sizeof(address.room)))
			length = BAD_POINTER;
		else if ((int32_t)address.room < 0)
			address.length = address.room;
		else
			address.length = sizeof(address.storage);
	}
	result = host_call_raw(thread, number,
			       (const uint64_t[6]){args[0], buffer, length, args[3]}, blocks);
	if (result < 0 || !args[1])
		return result;
	if (store_socket_address(thread, &address) ||
	    copy_to_user(thread_mm(thread), args[2], &address.length, sizeof(address.length))) {
		if (blocks)
			close_on_host(thread, result);
		return -EFAULT;
	}
	return result;
}

static int64_t accept_on_host(struct thread *thread, const uint64_t args[4])
{
	int64_t fd = call_with_address(thread, __NR_accept4, args, true);

	return check_new_fd(thread, socket_interrupted((int)args[0], SO_RCVTIMEO, fd));
}

static int64_t sys_accept(struct thread *thread, const uint64_t args[6])
{
	return accept_on_host(thread, (const uint64_t[4]){args[0], args[1], args[2], 0});
}

static int64_t sys_accept4(struct thread *thread, const uint64_t args[6])
{
	return accept_on_host(thread, args);
}

/* The address is not optional here. */
static int64_t get_name(struct thread *thread, long number, const uint64_t args[6])
{
	if (!args[1])
		return host_call_raw(thread, number,
				     (const uint64_t[6]){args[0], BAD_POINTER, BAD_POINTER}, false);
	return call_with_address(thread, number, (const uint64_t[4]){args[0], args[1], args[2], 0},
				 false);
}

static int64_t sys_getsockname(struct thread *thread, const uint64_t args[6])
{
	return get_name(thread, __NR_getsockname, args);
}

static int64_t sys_getpeername(struct thread *thread, const uint64_t args[6])
{
	return get_name(thread, __NR_getpeername, args);
}

static int64_t sys_connect(struct thread *thread, const uint64_t args[6])
{
	int64_t result = host_call(thread, syscall_row(__NR_connect), args);

	return socket_interrupted((int)args[0], SO_SNDTIMEO, result);
}

static int64_t sys_socketpair(struct thread *thread, const uint64_t args[6])
{
	int pair[2];
	int64_t error;

	if (user_range(thread_mm(thread), args[3], sizeof(pair), true) < sizeof(pair))
		return -EFAULT;
	error = host_syscall(__NR_socketpair,
			     (const uint64_t[6]){args[0], args[1], args[2], as_number(pair)});
	return error ? error : give_fd_pair(thread, args[3], pair);
}

/* Options whose value has pointers in it, or that have the host use memory after the call. */
static bool option_refused(uint32_t level, uint32_t option)
{
	switch (level) {
	case SOL_SOCKET:
		return option == SO_ZEROCOPY;
	case IPPROTO_IP:
		return option - NETFILTER_BASE < NETFILTER_SETTERS ||
		       option - ARP_TABLES_BASE < NETFILTER_SETTERS ||
		       option - BRIDGE_TABLES_BASE < NETFILTER_SETTERS;
	case IPPROTO_IPV6:
		return option - NETFILTER_BASE < NETFILTER_SETTERS;
	case IPPROTO_TCP:
		return option == TCP_ZEROCOPY_RECEIVE;
	case IPPROTO_SCTP:
		return option == SCTP_CONNECT_POINTER;
	case SOL_PACKET:
		return option == PACKET_FANOUT_DATA;
	default:
		return level == SOL_XDP || level == SOL_RDS;
	}
}

/* A classic filter: a count and a pointer to the instructions. */
static int64_t attach_filter(struct thread *thread, const uint64_t args[6])
{
	struct sock_fprog program;
	struct bounce bounce;
	int64_t result;

	if ((uint32_t)args[4] != sizeof(program))
		return -EINVAL;
	if (copy_from_user(thread_mm(thread), &program, args[3], sizeof(program)))
		return -EFAULT;
	if (program.len > FILTER_INSTRUCTIONS)
		return -EINVAL;
	bounce_begin(&bounce, thread);
	program.filter = (struct sock_filter *)(uintptr_t)bounce_in(
		&bounce, as_number(program.filter), program.len * sizeof(*program.filter));
	result = bounce_call(&bounce, thread, __NR_setsockopt,
			     (const uint64_t[6]){args[0], args[1], args[2], as_number(&program),
						 sizeof(program)},
			     false);
	bounce_end(&bounce);
	return result;
}

static int64_t sys_setsockopt(struct thread *thread, const uint64_t args[6])
{
	const uint32_t level = (uint32_t)args[1], option = (uint32_t)args[2];
	int error = check_fd(thread, (int)args[0]);

	if (error)
		return error;
	if (option_refused(level, option))
		return -ENOPROTOOPT;
	if (level == SOL_SOCKET &&
	    (option == SO_ATTACH_FILTER || option == SO_ATTACH_REUSEPORT_CBPF))
		return attach_filter(thread, args);
	return host_call(thread, syscall_row(__NR_setsockopt), args);
}

static int64_t sys_getsockopt(struct thread *thread, const uint64_t args[6])
{
	struct bounce bounce;
	int32_t given, length;
	uint64_t value, room;
	int64_t result = check_fd(thread, (int)args[0]);

	if (result)
		return result;
	if (option_refused((uint32_t)args[1], (uint32_t)args[2]))
		return -ENOPROTOOPT;
	if (copy_from_user(thread_mm(thread), &given, args[4], sizeof(given)))
		return -EFAULT;
	room = given < 0 ? 0 : min_u64((uint32_t)given, BOUNCE_MAX);
	length = given < 0 ? given : (int32_t)room;
	bounce_begin(&bounce, thread);
	/* Some options look at what stands there. */
	value = bounce_in(&bounce, args[3], room);
	result = bounce_call(
		&bounce, thread, __NR_getsockopt,
		(const uint64_t[6]){args[0], args[1], args[2], value, as_number(&length)}, false);
	if (result >= 0 && bounce_pointer(value) &&
	    copy_to_user(thread_mm(thread), args[3], bounce_pointer(value),
			 min_u64((uint32_t)length, room)))
		result = -EFAULT;
	if (result >= 0 && copy_to_user(thread_mm(thread), args[4], &length, sizeof(length)))
		result = -EFAULT;
	bounce_end(&bounce);
	return result;
}

static const char option_note[] = "options with pointers in their value (tables of netfilter, "
				  "zero copy, XDP, RDS) answer ENOPROTOOPT";

static const struct syscall_row rows[] = {
	ROW_HOST(socket, SYSCALL_NEW_FD, A_INT(domain), A_INT(type), A_INT(protocol)),
	ROW_OWN(socketpair, HOW_HOST, 0, NULL, A_INT(domain), A_INT(type), A_INT(protocol),
		A_OUT(sv, 8)),
	ROW_HOST(bind, 0, A_FD(sockfd), A_IN_BYTES(addr, 2, 1), A_INT(addrlen)),
	ROW_HOST(listen, 0, A_FD(sockfd), A_INT(backlog)),
	ROW_OWN(accept, HOW_HOST, SYSCALL_RESTART | SYSCALL_BLOCKS, NULL, A_FD(sockfd),
		A_OUT_BYTES(addr, 2, 1), A_INOUT(addrlen, 4)),
	ROW_OWN(accept4, HOW_HOST, SYSCALL_RESTART | SYSCALL_BLOCKS, NULL, A_FD(sockfd),
		A_OUT_BYTES(addr, 2, 1), A_INOUT(addrlen, 4), A_INT(flags)),
	ROW_OWN(connect, HOW_HOST, SYSCALL_RESTART | SYSCALL_BLOCKS, NULL, A_FD(sockfd),
		A_IN_BYTES(addr, 2, 1), A_INT(addrlen)),
	ROW_HOST(shutdown, 0, A_FD(sockfd), A_INT(how)),
	ROW_OWN(getsockname, HOW_HOST, 0, NULL, A_FD(sockfd), A_OUT_BYTES(addr, 2, 1),
		A_INOUT(addrlen, 4)),
	ROW_OWN(getpeername, HOW_HOST, 0, NULL, A_FD(sockfd), A_OUT_BYTES(addr, 2, 1),
		A_INOUT(addrlen, 4)),
	ROW_OWN(setsockopt, HOW_HOST, 0, option_note, A_FD(sockfd), A_INT(level), A_INT(optname),
		A_IN_BYTES(optval, 4, 1), A_INT(optlen)),
	ROW_OWN(getsockopt, HOW_HOST, 0, option_note, A_FD(sockfd), A_INT(level), A_INT(optname),
		A_OUT_BYTES(optval, 4, 1), A_INOUT(optlen, 4)),
};
SYSCALL_FAMILY(socket_calls, "Sockets", rows);
