/* SPDX-License-Identifier: MIT */
/*
 * Allocation that ends the tool when it fails, and a growing buffer on top of it.
 */
#include "tools/shell/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((noreturn)) static void out_of_memory(size_t size)
{
	fprintf(stderr, "quire: out of memory (%zu bytes wanted)\n", size);
	exit(1);
}

void *shell_allocate(size_t size)
{
	void *memory = calloc(1, size ? size : 1);

	if (!memory)
		out_of_memory(size);
	return memory;
}

void *shell_reallocate(void *memory, size_t size)
{
	void *moved = realloc(memory, size ? size : 1);

	if (!moved)
		out_of_memory(size);
	return moved;
}

char *shell_copy_string(const char *string)
{
	size_t size = strlen(string) + 1;

	return memcpy(shell_allocate(size), string, size);
}

static void reserve(struct shell_buffer *buffer, size_t more)
{
	size_t capacity = buffer->capacity ? buffer->capacity : 64;

	if (buffer->capacity - buffer->length >= more)
		return;
	while (capacity - buffer->length < more)
		capacity *= 2;
	buffer->data = shell_reallocate(buffer->data, capacity);
	buffer->capacity = capacity;
}

void shell_buffer_append(struct shell_buffer *buffer, const void *bytes, size_t length)
{
	if (length == 0)
		return;
	reserve(buffer, length);
	memcpy(buffer->data + buffer->length, bytes, length);
	buffer->length += length;
}

void shell_buffer_printf(struct shell_buffer *buffer, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	/* vsnprintf() also writes a NUL, which the next append overwrites. */
	reserve(buffer, (size_t)length + 1);
	va_start(arguments, format);
	vsnprintf(buffer->data + buffer->length, (size_t)length + 1, format, arguments);
	va_end(arguments);
	buffer->length += (size_t)length;
}

void shell_buffer_release(struct shell_buffer *buffer)
{
	free(buffer->data);
	memset(buffer, 0, sizeof(*buffer));
}
