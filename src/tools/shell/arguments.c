/* SPDX-License-Identifier: MIT */
/*
 * Reading a command's arguments: first what the words themselves say, then what the names among
 * them stand for.
 */
#include "tools/shell/command.h"

#include <errno.h>
#include <string.h>

#include "tools/shell/symbols.h"

static bool refuse(struct shell_call *call, const char *problem, const char *word)
{
	shell_reply_fail(call->reply, EINVAL, "%s%s%.40s%s; usage: %s %.120s", problem,
			 word ? ": '" : "", word ? word : "", word ? "'" : "", call->command->name,
			 call->command->usage);
	return false;
}

/* A kind whose words are looked up in a table. */
struct symbol_kind {
	unsigned char kind;
	bool list; /* a comma list of them */
	const struct shell_symbol *table;
	const char *problem;
};

static const struct symbol_kind symbol_kinds[] = {
	{ARGUMENT_MAP_FLAGS, true, shell_map_flags, "unknown flags"},
	{ARGUMENT_MREMAP_FLAGS, true, shell_mremap_flags, "unknown flags"},
	{ARGUMENT_MSYNC_FLAGS, true, shell_msync_flags, "unknown flags"},
	{ARGUMENT_ADVICE, false, shell_advices, "unknown advice"},
	{ARGUMENT_LIMIT, false, shell_limits, "unknown limit"},
	{ARGUMENT_OPEN_MODE, false, shell_open_modes, "neither r nor w nor rw"},
};

static const struct symbol_kind *find_symbol_kind(unsigned kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(symbol_kinds); i++)
		if (symbol_kinds[i].kind == kind)
			return &symbol_kinds[i];
	return NULL;
}

static bool read_symbol(struct shell_call *call, const struct symbol_kind *kind, const char *word,
			struct shell_value *value)
{
	const struct shell_symbol *symbol;

	if (kind->list)
		return shell_symbol_list(kind->table, word, &value->number) ||
		       refuse(call, kind->problem, word);
	symbol = shell_symbol_find(kind->table, word);
	if (!symbol)
		return refuse(call, kind->problem, word);
	value->number = symbol->value;
	return true;
}

static bool read_address(struct shell_call *call, char *word, struct shell_value *value)
{
	struct shell_address address;

	if (!shell_parse_address(word, &address))
		return refuse(call, "not an address", word);
	value->region = address.region;
	value->number = address.offset;
	return true;
}

static bool read_name(struct shell_call *call, const char *word, const char *reserved)
{
	if (!shell_is_name(word))
		return refuse(call, "not a name", word);
	if (reserved && strcmp(word, reserved) == 0)
		return refuse(call, "a reserved name", word);
	return true;
}

static bool read_show(struct shell_call *call, unsigned position)
{
	const struct shell_show_topic *topic;

	for (topic = shell_show_topics; topic->name; topic++)
		if (strcmp(topic->name, call->values[position].word) == 0)
			break;
	if (!topic->name)
		return refuse(call, "nothing to show", call->values[position].word);
	for (unsigned i = position + 1; i < SHELL_ARGUMENTS; i++)
		call->kinds[i] = topic->arguments[i - position - 1];
	return true;
}

/* One word of a kind that takes one word. */
static bool read_word(struct shell_call *call, unsigned position, const struct shell_token *token)
{
	unsigned kind = call->kinds[position] & ~(unsigned)ARGUMENT_OPTIONAL;
	struct shell_value *value = &call->values[position];
	const struct symbol_kind *symbols = find_symbol_kind(kind);
	char *word = token->text;

	value->given = true;
	value->word = word;
	value->bytes = token->text;
	value->length = token->length;
	if (kind == ARGUMENT_BYTES)
		return token->quoted || refuse(call, "not a string", word);
	if (kind == ARGUMENT_PATH)
		return (token->length && strlen(word) == token->length) ||
		       refuse(call, "not a path", word);
	if (token->quoted)
		return refuse(call, "a string stands where none belongs", word);
	if (symbols)
		return read_symbol(call, symbols, word, value);
	switch (kind) {
	case ARGUMENT_NEW_REGION:
		return read_name(call, word, "heap");
	case ARGUMENT_NEW_FILE:
		return read_name(call, word, "at");
	case ARGUMENT_NEW_PROCESS:
	case ARGUMENT_PROCESS:
	case ARGUMENT_FILE:
		return read_name(call, word, NULL);
	case ARGUMENT_NUMBER:
		return shell_parse_number(word, &value->number) ||
		       refuse(call, "not a number", word);
	case ARGUMENT_BYTE:
		return (shell_parse_number(word, &value->number) && value->number <= 0xff) ||
		       refuse(call, "not a byte", word);
	case ARGUMENT_SIGNED:
		return shell_parse_signed(word, &value->delta) ||
		       refuse(call, "not a signed number", word);
	case ARGUMENT_PROT:
		return shell_parse_prot(word, &value->number) ||
		       refuse(call, "not a protection", word);
	case ARGUMENT_SHOW:
		return read_show(call, position);
	default:
		return read_address(call, word, value);
	}
}

static bool is_keyword(const struct shell_token *token, const char *keyword)
{
	return !token->quoted && strcmp(token->text, keyword) == 0;
}

static bool read_open_options(struct shell_call *call, unsigned position,
			      const struct shell_token *tokens, size_t count)
{
	struct shell_value *value = &call->values[position];

	for (size_t i = 0; i < count; i++) {
		const struct shell_symbol *option =
			tokens[i].quoted ? NULL
					 : shell_symbol_find(shell_open_options, tokens[i].text);

		if (!option || (value->number & option->value))
			return refuse(call, "unknown option", tokens[i].text);
		value->number |= option->value;
	}
	return true;
}

/* Whether an optional argument is left out, the next word being meant for a later place. */
static bool is_left_out(unsigned kind, const struct shell_token *token)
{
	if (kind == ARGUMENT_AT)
		return !is_keyword(token, "at");
	if (kind == ARGUMENT_PROCESS)
		return !shell_is_name(token->text);
	return is_keyword(token, "at");
}

bool shell_arguments_read(struct shell_call *call, const struct shell_token *tokens, size_t count)
{
	size_t used = 0;

	memcpy(call->kinds, call->command->arguments, sizeof(call->kinds));
	for (unsigned position = 0;
	     position < SHELL_ARGUMENTS && call->kinds[position] != ARGUMENT_END; position++) {
		bool optional = call->kinds[position] & ARGUMENT_OPTIONAL;
		unsigned kind = call->kinds[position] & ~(unsigned)ARGUMENT_OPTIONAL;

		if (kind == ARGUMENT_REST) {
			call->rest = tokens + used;
			call->rest_count = count - used;
			return true;
		}
		if (kind == ARGUMENT_OPEN_OPTIONS)
			return read_open_options(call, position, tokens + used, count - used);
		if (optional && (used == count || is_left_out(kind, &tokens[used])))
			continue;
		if (kind == ARGUMENT_AT)
			used++;
		if (used == count)
			return refuse(call, "an argument is missing", NULL);
		if (!read_word(call, position, &tokens[used++]))
			return false;
	}
	if (used < count)
		return refuse(call, "too many arguments", tokens[used].text);
	return true;
}

static bool resolve_address(struct shell_call *call, struct shell_value *value)
{
	const struct shell_region *region;

	if (!value->region)
		return true;
	region = shell_region_find(call->process, value->region);
	if (!region) {
		shell_reply_fail(call->reply, EINVAL, "process %.40s has no region '%.40s'",
				 call->process->name, value->region);
		return false;
	}
	value->number += region->start;
	return true;
}

static bool resolve_file(struct shell_call *call, struct shell_value *value)
{
	value->file = shell_file_find(call->process, value->word);
	if (value->file)
		return true;
	shell_reply_fail(call->reply, EBADF, "process %.40s has no file '%.40s'",
			 call->process->name, value->word);
	return false;
}

static bool resolve_process(struct shell_call *call, struct shell_value *value)
{
	value->process = shell_process_find(&call->shell->processes, value->word);
	if (value->process)
		return true;
	shell_reply_fail(call->reply, ESRCH, "there is no process '%.40s'", value->word);
	return false;
}

bool shell_arguments_resolve(struct shell_call *call)
{
	/* Addresses first: a line with an unknown region cannot be read, whatever else is wrong
	 * with it. */
	for (unsigned i = 0; i < SHELL_ARGUMENTS; i++)
		if (call->values[i].given && !resolve_address(call, &call->values[i]))
			return false;
	for (unsigned i = 0; i < SHELL_ARGUMENTS; i++) {
		unsigned kind = call->kinds[i] & ~(unsigned)ARGUMENT_OPTIONAL;

		if (!call->values[i].given)
			continue;
		if (kind == ARGUMENT_FILE && !resolve_file(call, &call->values[i]))
			return false;
		if (kind == ARGUMENT_PROCESS && !resolve_process(call, &call->values[i]))
			return false;
	}
	return true;
}
