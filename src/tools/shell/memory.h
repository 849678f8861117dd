/* SPDX-License-Identifier: MIT */
/*
 * Memory for the shell's own lists and texts. A tool without memory can only say so and end, so
 * these never give NULL: they print a message and exit with status 1. What they return is released
 * with free().
 */
#ifndef QUIRE_TOOLS_SHELL_MEMORY_H
#define QUIRE_TOOLS_SHELL_MEMORY_H

#include <stddef.h>

/* Zeroed. */
void *shell_allocate(size_t size);
/* As realloc(); what is new is not zeroed. */
void *shell_reallocate(void *memory, size_t size);
char *shell_copy_string(const char *string);

/* Bytes that grow at their end; zero-filled is empty. */
struct shell_buffer {
	char *data;
	size_t length;
	size_t capacity;
};

void shell_buffer_append(struct shell_buffer *buffer, const void *bytes, size_t length);
__attribute__((format(printf, 2, 3))) void shell_buffer_printf(struct shell_buffer *buffer,
							       const char *format, ...);
void shell_buffer_release(struct shell_buffer *buffer);

#endif
