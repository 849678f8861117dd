/* SPDX-License-Identifier: MIT */
/*
 * Commands on processes, and those that look into Quire.
 */
#include <errno.h>
#include <stdlib.h>

#include "tools/shell/command.h"

void shell_run_fork(struct shell_call *call)
{
	const char *name = call->values[0].word;
	struct shell_process *child;
	struct shell_task *task;
	struct shell_result result;

	if (shell_process_find(&call->shell->processes, name)) {
		shell_reply_fail(call->reply, EEXIST, "there is a process '%.40s' already", name);
		return;
	}
	result = call->shell->ops->fork(call->process->task, name, &task);
	shell_reply_result(call->reply, &result);
	if (call->reply->kind != SHELL_REPLY_OK)
		return;
	child = shell_process_copy(call->process, name, task);
	list_add_tail(&child->link, &call->shell->processes);
}

void shell_run_exec(struct shell_call *call)
{
	const struct shell_machine_ops *ops = call->shell->ops;
	struct shell_process *process = call->process;
	char **argv = shell_allocate((call->rest_count + 2) * sizeof(*argv));
	struct shell_result result;

	argv[0] = call->values[0].word;
	for (size_t i = 0; i < call->rest_count; i++)
		argv[i + 1] = call->rest[i].text;
	result = ops->exec(process->task, argv[0], argv);
	free(argv);
	shell_reply_result(call->reply, &result);
	if (call->reply->kind == SHELL_REPLY_OK)
		shell_process_forget_regions(process, ops->heap_start(process->task));
}

void shell_run_exit(struct shell_call *call)
{
	call->shell->ops->exit(call->process->task);
	shell_process_free(call->process);
	call->process = NULL;
	call->shell->current = NULL;
}

void shell_run_limit(struct shell_call *call)
{
	struct shell_result result = call->shell->ops->limit(
		call->process->task, (int)call->values[0].number, call->values[1].number);

	shell_reply_result(call->reply, &result);
}

void shell_run_help(struct shell_call *call)
{
	const struct shell_command *command;

	shell_reply_begin_list(call->reply, "commands");
	for (command = shell_commands; command->name; command++) {
		shell_reply_line(call->reply, "%s%s%s", command->name, *command->usage ? " " : "",
				 command->usage);
		shell_reply_line(call->reply, "    %s", command->help);
		shell_reply_add_json(call->reply,
				     json_pack("{s:s, s:s, s:s}", "name", command->name, "usage",
					       command->usage, "help", command->help));
	}
}

void shell_run_show(struct shell_call *call)
{
	const struct shell_value *values = call->values;
	struct shell_show show = {.what = values[0].word, .fd = -1};

	if (values[1].file)
		show.fd = values[1].file->fd;
	else
		show.address = values[1].number;
	show.length = values[2].number;
	call->shell->ops->inspect->show(call->process->task, &show, call->reply);
}

void shell_run_reclaim(struct shell_call *call)
{
	call->shell->ops->inspect->reclaim(call->shell->machine, call->values[0].number,
					   call->reply);
}

void shell_run_writeback(struct shell_call *call)
{
	call->shell->ops->inspect->writeback(call->shell->machine, call->reply);
}

void shell_run_budget(struct shell_call *call)
{
	const struct shell_process *of = call->values[0].process;

	call->shell->ops->inspect->budget(call->shell->machine, of ? of->task : NULL,
					  call->values[1].number, call->reply);
}

void shell_run_check(struct shell_call *call)
{
	call->shell->ops->inspect->check(call->shell->machine, call->reply);
}
