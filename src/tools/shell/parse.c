/* SPDX-License-Identifier: MIT */
/*
 * The lexer of the shell's language; parse.h has the grammar.
 */
#include "tools/shell/parse.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tools/shell/memory.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static bool is_name_start(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_name_byte(char c)
{
	return is_name_start(c) || (c >= '0' && c <= '9');
}

bool shell_is_name(const char *text)
{
	if (!is_name_start(*text))
		return false;
	while (is_name_byte(*text))
		text++;
	return *text == '\0';
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 16;
}

bool shell_parse_number(const char *text, uint64_t *number)
{
	uint64_t value = 0;
	int base = 10;
	unsigned shift = 0;

	if (text[0] == '0' && text[1] == 'x') {
		base = 16;
		text += 2;
	}
	if (digit_value(*text) >= base)
		return false;
	for (; digit_value(*text) < base; text++)
		if (__builtin_mul_overflow(value, (uint64_t)base, &value) ||
		    __builtin_add_overflow(value, (uint64_t)digit_value(*text), &value))
			return false;
	switch (*text) {
	case '\0':
		break;
	case 'K':
		shift = 10;
		break;
	case 'M':
		shift = 20;
		break;
	case 'G':
		shift = 30;
		break;
	case 'p':
		shift = PAGE_SHIFT;
		break;
	default:
		return false;
	}
	if (shift && text[1] != '\0')
		return false;
	if (value > UINT64_MAX >> shift)
		return false;
	*number = value << shift;
	return true;
}

bool shell_parse_signed(const char *text, int64_t *number)
{
	bool negative = *text == '-';
	uint64_t magnitude;

	if (*text == '-' || *text == '+')
		text++;
	if (!shell_parse_number(text, &magnitude) || magnitude > INT64_MAX)
		return false;
	*number = negative ? -(int64_t)magnitude : (int64_t)magnitude;
	return true;
}

bool shell_cut_size(char *text, uint64_t *size)
{
	char *colon = strrchr(text, ':');

	if (!colon || !shell_parse_number(colon + 1, size))
		return false;
	*colon = '\0';
	return true;
}

bool shell_parse_prot(const char *text, uint64_t *prot)
{
	*prot = PROT_NONE;
	if (strcmp(text, "-") == 0)
		return true;
	if (*text == '\0')
		return false;
	for (; *text; text++) {
		uint64_t bit = *text == 'r'   ? PROT_READ
			       : *text == 'w' ? PROT_WRITE
			       : *text == 'x' ? PROT_EXEC
					      : 0;

		if (!bit || (*prot & bit))
			return false;
		*prot |= bit;
	}
	return true;
}

bool shell_parse_address(char *text, struct shell_address *address)
{
	char *plus;

	address->region = NULL;
	address->offset = 0;
	if (!is_name_start(*text))
		return shell_parse_number(text, &address->offset);
	plus = strchr(text, '+');
	if (plus) {
		if (!shell_parse_number(plus + 1, &address->offset))
			return false;
		*plus = '\0';
	}
	address->region = text;
	return shell_is_name(text);
}

/* Reads the escape after a backslash at *in, moves *in past it. False when it is none of C's. */
static bool read_escape(const char **in, const char *end, char *out)
{
	static const char letters[] = "abfnrtv\\\"'?";
	static const char meanings[] = "\a\b\f\n\r\t\v\\\"'?";
	const char *at = *in;
	const char *letter;
	unsigned value = 0;
	int digits = 0;

	if (at == end)
		return false;
	letter = *at ? strchr(letters, *at) : NULL;
	if (letter) {
		*out = meanings[letter - letters];
		*in = at + 1;
		return true;
	}
	if (*at == 'x') {
		for (at++; at < end && digits < 2 && digit_value(*at) < 16; at++, digits++)
			value = value * 16 + (unsigned)digit_value(*at);
	} else {
		for (; at < end && digits < 3 && digit_value(*at) < 8; at++, digits++)
			value = value * 8 + (unsigned)digit_value(*at);
	}
	*out = (char)value;
	*in = at;
	return digits > 0 && value <= 0xff;
}

/* From behind the opening quote to behind the closing one; *in moves there, the bytes go to *out.
 */
static const char *read_string(const char **in, const char *end, char **out)
{
	const char *at = *in;

	while (at < end && *at != '"') {
		if (*at != '\\') {
			*(*out)++ = *at++;
			continue;
		}
		at++;
		if (!read_escape(&at, end, *out))
			return "a string holds an escape that C does not have";
		(*out)++;
	}
	if (at == end)
		return "a string has no closing quote";
	at++;
	if (at < end && !is_blank(*at) && *at != '#')
		return "a string must stand apart by blanks";
	*in = at;
	return NULL;
}

static const char *read_word(const char **in, const char *end, char **out)
{
	const char *at = *in;

	for (; at < end && !is_blank(*at) && *at != '#'; at++) {
		if (*at == '"')
			return "a string must stand apart by blanks";
		if (*at == '\0')
			return "a NUL byte stands outside a string";
		*(*out)++ = *at;
	}
	*in = at;
	return NULL;
}

/* Takes `NAME:` off the beginning; *in moves behind it. */
static const char *read_prefix(const char **in, const char *end, char **out)
{
	const char *start = *in;
	const char *at = start;
	const char *name = *out;

	if (at == end || !is_name_start(*at))
		return NULL;
	while (at < end && is_name_byte(*at))
		at++;
	if (at == end || *at != ':')
		return NULL;
	memcpy(*out, start, (size_t)(at - start));
	*out += at - start;
	*(*out)++ = '\0';
	*in = at + 1;
	return name;
}

int shell_line_parse(const char *text, size_t length, struct shell_line *line, const char **why)
{
	const char *at = text;
	const char *end = text + length;
	char *out;

	/* A token takes at most its own bytes and a NUL in the place of the blank or the quote
	 * behind it. */
	line->storage = shell_allocate(length + 2);
	line->tokens = shell_allocate((length / 2 + 1) * sizeof(*line->tokens));
	line->token_count = 0;
	*why = NULL;
	out = line->storage;

	while (at < end && is_blank(*at))
		at++;
	line->process = read_prefix(&at, end, &out);
	for (;;) {
		struct shell_token *token = &line->tokens[line->token_count];

		while (at < end && is_blank(*at))
			at++;
		if (at == end || *at == '#')
			break;
		token->text = out;
		token->quoted = *at == '"';
		if (token->quoted) {
			at++;
			*why = read_string(&at, end, &out);
		} else {
			*why = read_word(&at, end, &out);
		}
		if (*why)
			goto fail;
		token->length = (size_t)(out - token->text);
		*out++ = '\0';
		line->token_count++;
	}
	if (line->process && line->token_count == 0) {
		*why = "a process is named, but no command";
		goto fail;
	}
	return 0;

fail:
	line->token_count = 0;
	return -EINVAL;
}

void shell_line_release(struct shell_line *line)
{
	free(line->storage);
	free(line->tokens);
	line->storage = NULL;
	line->tokens = NULL;
	line->token_count = 0;
	line->process = NULL;
}
