/* SPDX-License-Identifier: MIT */
/*
 * What a command answers, and its two forms: the lines of the language, and one JSON object a line.
 */
#ifndef QUIRE_TOOLS_SHELL_PRINT_H
#define QUIRE_TOOLS_SHELL_PRINT_H

#include <jansson.h>

#include "base/types.h"
#include "tools/shell/memory.h"

/* Bytes of an explanation, with the NUL. */
#define SHELL_WHY_SIZE 256

enum shell_reply_kind {
	SHELL_REPLY_OK,     /* `ok`, after the indented lines of `view` if there are any */
	SHELL_REPLY_NUMBER, /* `= 12` */
	SHELL_REPLY_TEXT,   /* `= 0110`: printable text as it is */
	SHELL_REPLY_BYTES,  /* `= "a\n"` */
	SHELL_REPLY_ERROR,  /* `error ENOMEM` */
	SHELL_REPLY_SIGNAL, /* `signal SIGSEGV SEGV_MAPERR` */
};

struct shell_reply {
	enum shell_reply_kind kind;
	uint64_t number;           /* NUMBER */
	struct shell_buffer value; /* TEXT, BYTES */
	int error;                 /* ERROR: positive */
	int signal;                /* SIGNAL */
	int code;                  /* SIGNAL: si_code */
	char why[SHELL_WHY_SIZE];  /* ERROR: a sentence for the user, or empty; not part of the
				      language */
	struct shell_buffer view;  /* OK: the lines of a longer view */
	const char *view_name;     /* the key of `view_json` */
	json_t *view_json;         /* OK: the same as JSON; owned */
};

/* Where a reply belongs, for the JSON form. */
struct shell_reply_place {
	unsigned long line;
	const char *process; /* NULL: no process acted */
	const char *command; /* NULL: the line could not be read that far */
};

/* The shell's form of bytes, with the quotes around them. */
void shell_print_quoted(struct shell_buffer *out, const void *bytes, size_t length);

/* Makes the reply an error, and explains it. */
__attribute__((format(printf, 3, 4))) void shell_reply_fail(struct shell_reply *reply, int error,
							    const char *format, ...);

/* Adds one line to the view, indented; the text comes without a newline. */
__attribute__((format(printf, 2, 3))) void shell_reply_line(struct shell_reply *reply,
							    const char *format, ...);

/* A JSON string of any bytes: those that are not printable ASCII stand in it as they do between
 * quotes. */
json_t *shell_json_text(const void *bytes, size_t length);

/* Begins a view that is a JSON list under that key, and adds to it; takes over the element. */
void shell_reply_begin_list(struct shell_reply *reply, const char *name);
void shell_reply_add_json(struct shell_reply *reply, json_t *element);

/* Both append whole lines, each ended by a newline. */
void shell_reply_print(const struct shell_reply *reply, struct shell_buffer *out);
void shell_reply_print_json(const struct shell_reply *reply, const struct shell_reply_place *place,
			    struct shell_buffer *out);

/* Frees what the reply owns and makes it a plain `ok`. */
void shell_reply_reset(struct shell_reply *reply);

#endif
