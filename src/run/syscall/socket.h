/* SPDX-License-Identifier: MIT */
/*
 * What the calls on sockets share.
 */
#ifndef QUIRE_RUN_SYSCALL_SOCKET_H
#define QUIRE_RUN_SYSCALL_SOCKET_H

#include <sys/socket.h>

#include "run/syscall/table.h"

/* An address that the host fills in: value and result as in accept(2). */
struct socket_address {
	uint64_t address; /* of the program, 0: it does not want one */
	uint32_t room;    /* bytes it has there */
	socklen_t length; /* of the whole, told by the host */
	struct sockaddr_storage storage;
};

/* Copies out what fits; 0 or -EFAULT. */
QUIRE_MUST_CHECK int store_socket_address(struct thread *thread,
					  const struct socket_address *address);

/* A call on a socket was interrupted: it is started again only when it has no timeout of its own,
 * `option` being SO_RCVTIMEO or SO_SNDTIMEO. */
int64_t socket_interrupted(int fd, int option, int64_t result);

/* One option of a socket that is an int, or -errno. */
int64_t socket_option(int fd, int option);

#endif
