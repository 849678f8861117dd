/* SPDX-License-Identifier: MIT */
/*
 * The printed forms of a reply.
 */
#include "tools/shell/print.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/shell/symbols.h"

static void append_escaped(struct shell_buffer *out, const void *bytes, size_t length)
{
	const unsigned char *at = bytes;

	for (size_t i = 0; i < length; i++) {
		switch (at[i]) {
		case '\n':
			shell_buffer_append(out, "\\n", 2);
			break;
		case '\t':
			shell_buffer_append(out, "\\t", 2);
			break;
		case '\\':
			shell_buffer_append(out, "\\\\", 2);
			break;
		case '"':
			shell_buffer_append(out, "\\\"", 2);
			break;
		default:
			if (at[i] >= 0x20 && at[i] < 0x7f)
				shell_buffer_append(out, &at[i], 1);
			else
				shell_buffer_printf(out, "\\x%02x", at[i]);
		}
	}
}

void shell_print_quoted(struct shell_buffer *out, const void *bytes, size_t length)
{
	shell_buffer_append(out, "\"", 1);
	append_escaped(out, bytes, length);
	shell_buffer_append(out, "\"", 1);
}

void shell_reply_fail(struct shell_reply *reply, int error, const char *format, ...)
{
	va_list arguments;

	reply->kind = SHELL_REPLY_ERROR;
	reply->error = error;
	va_start(arguments, format);
	vsnprintf(reply->why, sizeof(reply->why), format, arguments);
	va_end(arguments);
}

void shell_reply_line(struct shell_reply *reply, const char *format, ...)
{
	char stack[256];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(stack, sizeof(stack), format, arguments);
	va_end(arguments);
	shell_buffer_append(&reply->view, "  ", 2);
	if ((size_t)length < sizeof(stack)) {
		shell_buffer_append(&reply->view, stack, (size_t)length);
	} else {
		char *text = shell_allocate((size_t)length + 1);

		va_start(arguments, format);
		vsnprintf(text, (size_t)length + 1, format, arguments);
		va_end(arguments);
		shell_buffer_append(&reply->view, text, (size_t)length);
		free(text);
	}
	shell_buffer_append(&reply->view, "\n", 1);
}

__attribute__((noreturn)) static void out_of_json(void)
{
	fprintf(stderr, "quire: out of memory (JSON)\n");
	exit(1);
}

void shell_reply_begin_list(struct shell_reply *reply, const char *name)
{
	reply->view_name = name;
	reply->view_json = json_array();
}

void shell_reply_add_json(struct shell_reply *reply, json_t *element)
{
	if (json_array_append_new(reply->view_json, element) != 0)
		out_of_json();
}

void shell_reply_print(const struct shell_reply *reply, struct shell_buffer *out)
{
	char name[SHELL_NAME_SIZE];
	char code[SHELL_NAME_SIZE];

	switch (reply->kind) {
	case SHELL_REPLY_OK:
		shell_buffer_append(out, reply->view.data, reply->view.length);
		shell_buffer_printf(out, "ok\n");
		break;
	case SHELL_REPLY_NUMBER:
		shell_buffer_printf(out, "= %" PRIu64 "\n", reply->number);
		break;
	case SHELL_REPLY_TEXT:
		shell_buffer_printf(out, "= ");
		shell_buffer_append(out, reply->value.data, reply->value.length);
		shell_buffer_append(out, "\n", 1);
		break;
	case SHELL_REPLY_BYTES:
		shell_buffer_printf(out, "= ");
		shell_print_quoted(out, reply->value.data, reply->value.length);
		shell_buffer_append(out, "\n", 1);
		break;
	case SHELL_REPLY_ERROR:
		shell_buffer_printf(out, "error %s\n", shell_errno_name(reply->error, name));
		break;
	case SHELL_REPLY_SIGNAL:
		shell_buffer_printf(out, "signal %s %s\n", shell_signal_name(reply->signal, name),
				    shell_code_name(reply->signal, reply->code, code));
		break;
	}
}

static void set_new(json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, value) != 0)
		out_of_json();
}

json_t *shell_json_text(const void *bytes, size_t length)
{
	struct shell_buffer text = {0};
	json_t *json;

	append_escaped(&text, bytes, length);
	json = json_stringn(text.data ? text.data : "", text.length);
	shell_buffer_release(&text);
	return json;
}

static json_t *value_json(const struct shell_reply *reply)
{
	if (reply->kind == SHELL_REPLY_NUMBER)
		return json_integer((json_int_t)reply->number);
	return shell_json_text(reply->value.data, reply->value.length);
}

void shell_reply_print_json(const struct shell_reply *reply, const struct shell_reply_place *place,
			    struct shell_buffer *out)
{
	char name[SHELL_NAME_SIZE];
	json_t *object = json_object();
	char *text;

	set_new(object, "line", json_integer((json_int_t)place->line));
	if (place->process)
		set_new(object, "process", json_string(place->process));
	if (place->command)
		set_new(object, "command", json_string(place->command));
	switch (reply->kind) {
	case SHELL_REPLY_OK:
		set_new(object, "result", json_string("ok"));
		if (reply->view_json)
			set_new(object, reply->view_name, json_incref(reply->view_json));
		break;
	case SHELL_REPLY_NUMBER:
	case SHELL_REPLY_TEXT:
	case SHELL_REPLY_BYTES:
		set_new(object, "result", json_string("value"));
		set_new(object, "value", value_json(reply));
		break;
	case SHELL_REPLY_ERROR:
		set_new(object, "result", json_string("error"));
		set_new(object, "error", json_string(shell_errno_name(reply->error, name)));
		if (reply->why[0])
			set_new(object, "why", shell_json_text(reply->why, strlen(reply->why)));
		break;
	case SHELL_REPLY_SIGNAL:
		set_new(object, "result", json_string("signal"));
		set_new(object, "signal", json_string(shell_signal_name(reply->signal, name)));
		set_new(object, "code",
			json_string(shell_code_name(reply->signal, reply->code, name)));
		break;
	}
	text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	if (!text)
		out_of_json();
	shell_buffer_printf(out, "%s\n", text);
	free(text);
}

void shell_reply_reset(struct shell_reply *reply)
{
	shell_buffer_release(&reply->value);
	shell_buffer_release(&reply->view);
	json_decref(reply->view_json);
	memset(reply, 0, sizeof(*reply));
}
