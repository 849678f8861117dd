/* SPDX-License-Identifier: MIT */
/*
 * Carrying out lines: who acts, which command, what it answers.
 */
#include "tools/shell/shell.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/shell/command.h"
#include "tools/shell/interrupt.h"

const struct shell_machine_ops *shell_machine_find(const char *name)
{
	static const struct shell_machine_ops *const machines[] = {
		&shell_soft_machine, &shell_linux_machine, &shell_kvm_machine};

	for (size_t i = 0; i < ARRAY_SIZE(machines); i++)
		if (strcmp(machines[i]->name, name) == 0)
			return machines[i];
	return NULL;
}

int shell_start(struct shell *shell, const struct shell_machine_ops *ops,
		const struct shell_machine_options *options)
{
	struct shell_task *task;
	int error;

	memset(shell, 0, sizeof(*shell));
	shell->ops = ops;
	list_init(&shell->processes);
	error = ops->start(options, &shell->machine, &task);
	if (error)
		return error;
	shell->current = shell_process_new("main", task, ops->heap_start(task));
	list_add_tail(&shell->current->link, &shell->processes);
	return 0;
}

int shell_stop(struct shell *shell)
{
	struct shell_process *process, *next;

	list_for_each_entry_safe (process, next, &shell->processes, link)
		shell_process_free(process);
	shell->current = NULL;
	return shell->ops->stop(shell->machine);
}

static bool find_command(struct shell_call *call, const struct shell_line *line)
{
	const struct shell_token *token = &line->tokens[0];

	call->command = token->quoted ? NULL : shell_command_find(token->text);
	if (!call->command)
		shell_reply_fail(call->reply, EINVAL,
				 "'%.40s' is not a command; `help` lists the commands",
				 token->text);
	return call->command != NULL;
}

/* Who acts: named by the line, or who acted last. A line that names a process makes it the one,
 * readable or not. */
static void choose_process(struct shell_call *call, const char *name)
{
	struct shell *shell = call->shell;

	call->process = name ? shell_process_find(&shell->processes, name) : shell->current;
	if (call->process)
		shell->current = call->process;
}

static bool has_process(struct shell_call *call, const char *name)
{
	if (call->process)
		return true;
	if (name)
		shell_reply_fail(call->reply, ESRCH, "there is no process '%.40s'", name);
	else
		shell_reply_fail(
			call->reply, ESRCH,
			"the process that acted last has exited: begin the line with NAME:");
	return false;
}

/* Processes that died without being told to, the acting one or another, take their names along. */
static void bury_dead(struct shell *shell)
{
	struct shell_process *process, *next;

	list_for_each_entry_safe (process, next, &shell->processes, link) {
		if (shell->ops->alive(process->task))
			continue;
		if (shell->current == process)
			shell->current = NULL;
		shell->ops->exit(process->task);
		shell_process_free(process);
	}
}

/* Fills the reply; what is not filled is `ok`. */
static void carry_out(struct shell_call *call, const struct shell_line *line)
{
	if (!find_command(call, line) ||
	    !shell_arguments_read(call, line->tokens + 1, line->token_count - 1) ||
	    !has_process(call, line->process))
		return;
	if (call->command->quire_only && !call->shell->ops->inspect) {
		shell_reply_fail(call->reply, ENOSYS, "only Quire can do that: --machine=soft");
		return;
	}
	if (!shell_arguments_resolve(call))
		return;
	call->command->run(call);
	bury_dead(call->shell);
}

static void print_reply(struct shell *shell, const struct shell_call *call,
			struct shell_reply_place *place, struct shell_buffer *out)
{
	place->command = call->command ? call->command->name : NULL;
	if (shell->json)
		shell_reply_print_json(call->reply, place, out);
	else
		shell_reply_print(call->reply, out);
}

void shell_execute(struct shell *shell, const char *text, size_t length, unsigned long number,
		   struct shell_buffer *out, struct shell_outcome *outcome)
{
	struct shell_reply reply = {0};
	struct shell_call call = {.shell = shell, .reply = &reply};
	struct shell_reply_place place = {.line = number};
	struct shell_line line;
	const char *why;
	char *process;
	int error;

	memset(outcome, 0, sizeof(*outcome));
	error = shell_line_parse(text, length, &line, &why);
	outcome->printed = error || line.token_count;
	choose_process(&call, line.process);
	/* Copied: the command may be `exit`. */
	process = call.process ? shell_copy_string(call.process->name) : NULL;
	place.process = process ? process : line.process;
	if (error)
		shell_reply_fail(&reply, EINVAL, "%s", why);
	else if (line.token_count)
		carry_out(&call, &line);
	if (outcome->printed)
		print_reply(shell, &call, &place, out);
	outcome->command = call.command;
	memcpy(outcome->why, reply.why, sizeof(outcome->why));
	free(process);
	shell_line_release(&line);
	shell_reply_reset(&reply);
}

int shell_run_stream(struct shell *shell, FILE *stream, const char *name)
{
	struct shell_buffer out = {0};
	struct shell_outcome outcome;
	unsigned long number = 0;
	char *text = NULL;
	size_t size = 0;
	ssize_t length;
	int status = 0;

	while (status == 0 && !shell_interrupted() &&
	       (length = getline(&text, &size, stream)) >= 0) {
		if (length && text[length - 1] == '\n')
			length--;
		shell_execute(shell, text, (size_t)length, ++number, &out, &outcome);
		/* At once, so that another program may hold a conversation. */
		if (fwrite(out.data, 1, out.length, stdout) != out.length || fflush(stdout) != 0) {
			fprintf(stderr, "quire: standard output: %s\n", strerror(errno));
			status = 1;
		}
		if (outcome.why[0] && !shell->json)
			fprintf(stderr, "quire: %s:%lu: %s\n", name, number, outcome.why);
		out.length = 0;
	}
	if (ferror(stream) && !shell_interrupted()) {
		fprintf(stderr, "quire: %s: %s\n", name, strerror(errno));
		status = 1;
	}
	free(text);
	shell_buffer_release(&out);
	return status;
}
