/* SPDX-License-Identifier: MIT */
/*
 * The shell on a terminal: line editing, history and completion by libedit. An error is explained
 * under its line, on standard error.
 */
#include <editline/readline.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/shell/complete.h"
#include "tools/shell/interrupt.h"
#include "tools/shell/memory.h"

#define HISTORY_LINES 1000

/* libedit's completion has no argument of the caller's own. */
static struct shell *completing_shell;

struct word_list {
	char **words;
	size_t count;
	size_t next;
};

static struct word_list candidates;

static void add_candidate(void *context, const char *word)
{
	struct word_list *list = context;

	list->words = shell_reallocate(list->words, (list->count + 1) * sizeof(*list->words));
	list->words[list->count++] = shell_copy_string(word);
}

/* libedit asks again and again, until there is no more, and frees what it gets. */
static char *next_candidate(const char *text, int state)
{
	(void)text;
	(void)state;
	if (candidates.next == candidates.count)
		return NULL;
	return candidates.words[candidates.next++];
}

static char **complete(const char *text, int start, int end)
{
	char *before = shell_copy_string(rl_line_buffer);
	enum shell_completion what;
	char **matches;

	(void)end;
	before[start] = '\0';
	what = shell_complete(completing_shell, before, text, add_candidate, &candidates);
	free(before);
	rl_attempted_completion_over = what != SHELL_COMPLETE_PATH;
	rl_completion_append_character = what == SHELL_COMPLETE_WORD ? ' ' : '\0';
	matches = what == SHELL_COMPLETE_PATH ? NULL : rl_completion_matches(text, next_candidate);
	free(candidates.words);
	memset(&candidates, 0, sizeof(candidates));
	return matches;
}

/* ~/.quire_history, or NULL without a home. */
static char *history_path(void)
{
	const char *home = getenv("HOME");
	struct shell_buffer path = {0};

	if (!home || !*home)
		return NULL;
	shell_buffer_printf(&path, "%s/.quire_history", home);
	shell_buffer_append(&path, "", 1);
	return path.data;
}

static void run_line(struct shell *shell, const char *text, unsigned long number)
{
	struct shell_buffer out = {0};
	struct shell_outcome outcome;

	shell_execute(shell, text, strlen(text), number, &out, &outcome);
	fwrite(out.data, 1, out.length, stdout);
	fflush(stdout);
	if (outcome.why[0])
		fprintf(stderr, "  (%s)\n", outcome.why);
	shell_buffer_release(&out);
}

int shell_run_interactive(struct shell *shell)
{
	char *path = history_path();
	unsigned long number = 0;
	char prompt[80];
	char *text;

	rl_readline_name = "quire";
	rl_initialize();
	rl_attempted_completion_function = complete;
	rl_basic_word_break_characters = " \t,+";
	completing_shell = shell;
	stifle_history(HISTORY_LINES);
	if (path)
		read_history(path);
	puts("quire shell: `help` lists the commands, Tab completes, Ctrl-D ends");
	for (;;) {
		snprintf(prompt, sizeof(prompt), "%.60s> ",
			 shell->current ? shell->current->name : "NAME:");
		shell_interrupt_catch();
		text = readline(prompt);
		if (!text && shell_interrupted() == SIGINT) {
			/* The line is given up, the shell is not. */
			putchar('\n');
			continue;
		}
		if (!text)
			break;
		if (*text)
			add_history(text);
		run_line(shell, text, ++number);
		free(text);
		if (shell_interrupted() && shell_interrupted() != SIGINT)
			break;
	}
	putchar('\n');
	/* A history that cannot be kept is no reason to fail. */
	if (path)
		write_history(path);
	free(path);
	return 0;
}
