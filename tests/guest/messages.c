/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that come with messages, into control buffers that hold all of them, some, or none:
 * what was not stored must not stay open.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define NR_SENT 3
#define NR_LOOKED_AT 64

static void send_descriptors(int socket)
{
	union {
		char bytes[CMSG_SPACE(NR_SENT * sizeof(int))];
		struct cmsghdr header;
	} control = {.header = {.cmsg_len = CMSG_LEN(NR_SENT * sizeof(int)),
				.cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS}};
	struct iovec part = {"data", 4};
	const struct msghdr message = {.msg_iov = &part,
				       .msg_iovlen = 1,
				       .msg_control = &control,
				       .msg_controllen = sizeof(control)};

	for (int i = 0; i < NR_SENT; i++)
		memcpy(CMSG_DATA(&control.header) + (size_t)i * sizeof(int), &(int){STDIN_FILENO},
		       sizeof(int));
	if (sendmsg(socket, &message, 0) != 4)
		guest_die("sendmsg");
}

/* Counts the open descriptors above `last`, and closes them. */
static int close_above(int last)
{
	int nr = 0;

	for (int fd = last + 1; fd < NR_LOOKED_AT; fd++)
		nr += !close(fd);
	return nr;
}

static void receive(const int pair[2], const char *what, void *control, size_t bytes, void *buffer)
{
	struct iovec part = {buffer, 4};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = bytes};
	const char *result;

	send_descriptors(pair[0]);
	result = answer(recvmsg(pair[1], &message, MSG_CMSG_CLOEXEC));
	show("%s: %s, flags %#x, control %zu, open %d", what, result,
	     (unsigned int)message.msg_flags, message.msg_controllen, close_above(pair[1]));
}

static void case_rights(void)
{
	char *const pages = map_pages(2, PROT_READ | PROT_WRITE);
	char *const end = pages + PAGE;
	char data[4];
	int pair[2];

	if (mprotect(end, PAGE, PROT_READ) || socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		guest_die("no pages or sockets");
	close_above(pair[1]);
	receive(pair, "room for all", pages, PAGE, data);
	receive(pair, "room for two", pages, CMSG_LEN(2 * sizeof(int)), data);
	receive(pair, "room for none", pages, CMSG_LEN(0), data);
	receive(pair, "no buffer", NULL, PAGE, data);
	receive(pair, "no memory", (void *)16, PAGE, data);
	receive(pair, "memory to read only", end, PAGE, data);
	receive(pair, "memory for two", end - CMSG_LEN(2 * sizeof(int)), PAGE, data);
	receive(pair, "memory for the header", end - CMSG_LEN(0), PAGE, data);
	receive(pair, "memory for half a header", end - 8, PAGE, data);
	receive(pair, "no memory for the data", pages, PAGE, (void *)16);
}

int main(int argc, char **argv)
{
	static const struct guest_case cases[] = {
		{"rights", case_rights},
		{NULL, NULL},
	};

	return guest_main(argc, argv, cases);
}
