/* SPDX-License-Identifier: MIT */
/*
 * Requests of ioctl(2) that are known, and what their argument is.
 */
#ifndef QUIRE_RUN_SYSCALL_IOCTL_TABLE_H
#define QUIRE_RUN_SYSCALL_IOCTL_TABLE_H

#include "base/types.h"

enum ioctl_argument {
	IOCTL_VALUE, /* a number, or nothing */
	IOCTL_IN,    /* `bytes` bytes read from the program */
	IOCTL_OUT,
	IOCTL_INOUT,
};

struct ioctl_request {
	uint32_t number;
	uint8_t argument; /* enum ioctl_argument */
	uint16_t bytes;
	bool new_fd; /* answers a descriptor */
};

/* NULL: unknown. */
const struct ioctl_request *ioctl_request(uint32_t number);

#endif
