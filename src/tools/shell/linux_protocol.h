/* SPDX-License-Identifier: MIT */
/*
 * What the linux machine and its processes say to each other over a SOCK_SEQPACKET socket: one
 * request, one reply.
 *
 * A process knows hardly anything: it makes the system call that it is told, or touches its memory
 * and says how that ended. A LINUX_FORK request carries the child's end of a new socket as
 * SCM_RIGHTS; the child answers nothing until asked.
 */
#ifndef QUIRE_TOOLS_SHELL_LINUX_PROTOCOL_H
#define QUIRE_TOOLS_SHELL_LINUX_PROTOCOL_H

#include <stdint.h>

/* Bytes that travel with one message, and the size of a process's buffer. */
#define LINUX_BUFFER_SIZE 65536

enum linux_operation {
	LINUX_SYSCALL, /* `number` with `argument` */
	LINUX_LOAD,    /* argument 0: address, 1: length; the reply carries the bytes */
	LINUX_STORE,   /* argument 0: address; stores the bytes that came with the request */
	LINUX_FILL,    /* argument 0: address, 1: length, 2: byte */
	LINUX_FORK,    /* value: the child's pid */
};

struct linux_request {
	uint32_t operation;
	uint32_t buffer_arguments; /* bit N: argument N is replaced by the address of the buffer */
	uint32_t answer; /* the reply carries at most so many bytes of the buffer, and at most
			    `value` of them when `answer_value` is set */
	uint32_t answer_value;
	int64_t number;
	uint64_t argument[6];
};

struct linux_reply {
	uint64_t value;
	int32_t error;
	int32_t signal;
	int32_t code;
	int32_t unused;
};

#endif
