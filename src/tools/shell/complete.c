/* SPDX-License-Identifier: MIT */
/*
 * Completion, from the same table that reads the arguments.
 */
#include "tools/shell/complete.h"

#include <stdio.h>
#include <string.h>

#include "tools/shell/command.h"
#include "tools/shell/symbols.h"

struct completion {
	const char *prefix;
	shell_complete_visitor *visit;
	void *context;
};

static void offer(const struct completion *completion, const char *word)
{
	if (strncmp(word, completion->prefix, strlen(completion->prefix)) == 0)
		completion->visit(completion->context, word);
}

static void offer_symbols(const struct completion *completion, const struct shell_symbol *table)
{
	for (; table->name; table++)
		offer(completion, table->name);
}

static void offer_commands(struct shell *shell, const struct completion *completion,
			   bool with_processes)
{
	const struct shell_command *command;
	struct shell_process *process;
	char prefix[64];

	for (command = shell_commands; command->name; command++)
		offer(completion, command->name);
	if (!with_processes)
		return;
	list_for_each_entry (process, &shell->processes, link) {
		snprintf(prefix, sizeof(prefix), "%s:", process->name);
		offer(completion, prefix);
	}
}

static void offer_regions(const struct shell_process *process, const struct completion *completion)
{
	struct shell_region *region;

	list_for_each_entry (region, &process->regions, link)
		offer(completion, region->name);
	offer(completion, process->heap.name);
}

static void offer_files(const struct shell_process *process, const struct completion *completion)
{
	struct shell_file *file;

	list_for_each_entry (file, &process->files, link)
		offer(completion, file->name);
}

static void offer_topics(const struct completion *completion)
{
	const struct shell_show_topic *topic;

	for (topic = shell_show_topics; topic->name; topic++)
		offer(completion, topic->name);
}

static void offer_processes(struct shell *shell, const struct completion *completion)
{
	struct shell_process *process;

	list_for_each_entry (process, &shell->processes, link)
		offer(completion, process->name);
}

static enum shell_completion offer_kind(struct shell *shell, const struct shell_process *process,
					unsigned kind, const struct completion *completion)
{
	switch (kind & ~(unsigned)ARGUMENT_OPTIONAL) {
	case ARGUMENT_PATH:
	case ARGUMENT_REST:
		return SHELL_COMPLETE_PATH;
	case ARGUMENT_ADDRESS:
		offer_regions(process, completion);
		return SHELL_COMPLETE_PART;
	case ARGUMENT_NEW_REGION:
		offer_regions(process, completion);
		break;
	case ARGUMENT_FILE:
	case ARGUMENT_NEW_FILE:
		offer_files(process, completion);
		break;
	case ARGUMENT_PROCESS:
		offer_processes(shell, completion);
		break;
	case ARGUMENT_MAP_FLAGS:
		offer_symbols(completion, shell_map_flags);
		return SHELL_COMPLETE_PART;
	case ARGUMENT_MREMAP_FLAGS:
		offer_symbols(completion, shell_mremap_flags);
		return SHELL_COMPLETE_PART;
	case ARGUMENT_MSYNC_FLAGS:
		offer_symbols(completion, shell_msync_flags);
		return SHELL_COMPLETE_PART;
	case ARGUMENT_ADVICE:
		offer_symbols(completion, shell_advices);
		break;
	case ARGUMENT_LIMIT:
		offer_symbols(completion, shell_limits);
		break;
	case ARGUMENT_OPEN_MODE:
		offer_symbols(completion, shell_open_modes);
		break;
	case ARGUMENT_OPEN_OPTIONS:
		offer_symbols(completion, shell_open_options);
		break;
	case ARGUMENT_AT:
		offer(completion, "at");
		break;
	case ARGUMENT_SHOW:
		offer_topics(completion);
		break;
	}
	return SHELL_COMPLETE_WORD;
}

/* The kind of the argument behind `count` words of the command, as far as the row alone tells. */
static unsigned kind_at(const struct shell_command *command, const struct shell_line *line)
{
	const struct shell_show_topic *topic;
	size_t position = line->token_count - 1;

	if (line->token_count > 1 && strcmp(line->tokens[line->token_count - 1].text, "at") == 0)
		return ARGUMENT_ADDRESS;
	if (command->arguments[0] != ARGUMENT_SHOW || position == 0)
		return position < SHELL_ARGUMENTS ? command->arguments[position] : ARGUMENT_END;
	for (topic = shell_show_topics; topic->name; topic++)
		if (strcmp(topic->name, line->tokens[1].text) == 0 && position <= SHELL_ARGUMENTS)
			return topic->arguments[position - 1];
	return ARGUMENT_END;
}

enum shell_completion shell_complete(struct shell *shell, const char *before, const char *prefix,
				     shell_complete_visitor *visit, void *context)
{
	struct completion completion = {prefix, visit, context};
	const struct shell_process *process = shell->current;
	const struct shell_command *command;
	struct shell_line line;
	const char *why;
	enum shell_completion what = SHELL_COMPLETE_WORD;
	char last = *before ? before[strlen(before) - 1] : ' ';

	if (shell_line_parse(before, strlen(before), &line, &why) != 0) {
		/* Only `NAME:` yet. */
		offer_commands(shell, &completion, false);
		shell_line_release(&line);
		return what;
	}
	/* Within a list of flags the word goes on; behind "+" stands a number. */
	if (last == ',' && line.token_count > 1)
		line.token_count--;
	if (line.process)
		process = shell_process_find(&shell->processes, line.process);
	if (last == '+') {
		what = SHELL_COMPLETE_PART;
	} else if (line.token_count == 0) {
		offer_commands(shell, &completion, true);
	} else {
		command = shell_command_find(line.tokens[0].text);
		if (command && process)
			what = offer_kind(shell, process, kind_at(command, &line), &completion);
	}
	shell_line_release(&line);
	return what;
}
