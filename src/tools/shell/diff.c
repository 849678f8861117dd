/* SPDX-License-Identifier: MIT */
/*
 * `quire diff`: one script on the kernel and on a machine of Quire, and the first line whose
 * answers differ.
 *
 * The files that the script opens or unlinks are put back before the second run and at the end, so
 * that both runs find the same and a comparison leaves no trace. Commands that only Quire has are
 * carried out, but not compared.
 *
 * The runs happen in a process of their own, so that the files are put back and every process of
 * the linux machine has ended even when the comparison is interrupted or dies.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/shell/command.h"
#include "tools/shell/interrupt.h"
#include "tools/shell/shell_options.h"
#include "tools/shell/snapshot.h"
#include "tools/subcommand.h"

struct script_line {
	char *text;
	size_t length;
};

struct script {
	const char *name;
	struct script_line *lines;
	size_t count;
};

/* What each line of a script printed. */
struct transcript {
	struct shell_buffer *answers;
	struct shell_outcome *outcomes;
};

static int script_read(struct script *script, const char *name)
{
	FILE *stream = name ? fopen(name, "re") : stdin;
	int status = QUIRE_EXIT_OK;
	char *text = NULL;
	size_t size = 0;
	ssize_t length;

	script->name = name ? name : "standard input";
	if (!stream) {
		fprintf(stderr, "quire diff: %s: %s\n", script->name, strerror(errno));
		return QUIRE_EXIT_FAILED;
	}
	while ((length = getline(&text, &size, stream)) >= 0) {
		if (length && text[length - 1] == '\n')
			text[--length] = '\0';
		script->lines = shell_reallocate(script->lines,
						 (script->count + 1) * sizeof(*script->lines));
		script->lines[script->count++] = (struct script_line){text, (size_t)length};
		text = NULL;
		size = 0;
	}
	if (ferror(stream)) {
		fprintf(stderr, "quire diff: %s: %s\n", script->name, strerror(errno));
		status = QUIRE_EXIT_FAILED;
	}
	free(text);
	if (stream != stdin)
		fclose(stream);
	return status;
}

static void script_release(struct script *script)
{
	for (size_t i = 0; i < script->count; i++)
		free(script->lines[i].text);
	free(script->lines);
}

/* The path that a line opens or unlinks, if it does, and may change by that. */
static const char *path_of(const struct shell_line *line)
{
	const char *command = line->token_count ? line->tokens[0].text : "";

	if (strcmp(command, "open") == 0 && line->token_count > 3)
		return line->token_count == 4 && strcmp(line->tokens[3].text, "r") == 0
			       ? NULL
			       : line->tokens[2].text;
	if (strcmp(command, "unlink") == 0 && line->token_count > 1)
		return line->tokens[1].text;
	return NULL;
}

static int keep_files(struct snapshot *snapshot, const struct script *script)
{
	for (size_t i = 0; i < script->count; i++) {
		struct shell_line line;
		const char *why, *path;
		int error = 0;

		if (shell_line_parse(script->lines[i].text, script->lines[i].length, &line, &why))
			path = NULL;
		else
			path = path_of(&line);
		if (path)
			error = snapshot_add(snapshot, path);
		shell_line_release(&line);
		if (error)
			return error;
	}
	return 0;
}

static int run(const struct shell_machine_ops *ops, const struct shell_machine_options *options,
	       const struct script *script, struct transcript *transcript)
{
	struct shell shell;

	transcript->answers = shell_allocate(script->count * sizeof(*transcript->answers));
	transcript->outcomes = shell_allocate(script->count * sizeof(*transcript->outcomes));
	if (shell_start(&shell, ops, options) != 0)
		return QUIRE_EXIT_MISSING;
	for (size_t i = 0; i < script->count; i++)
		shell_execute(&shell, script->lines[i].text, script->lines[i].length, i + 1,
			      &transcript->answers[i], &transcript->outcomes[i]);
	return shell_stop(&shell) ? QUIRE_EXIT_FAILED : 0;
}

static void transcript_release(struct transcript *transcript, size_t count)
{
	for (size_t i = 0; transcript->answers && i < count; i++)
		shell_buffer_release(&transcript->answers[i]);
	free(transcript->answers);
	free(transcript->outcomes);
}

static bool same(const struct shell_buffer *a, const struct shell_buffer *b)
{
	return a->length == b->length &&
	       (a->length == 0 || memcmp(a->data, b->data, a->length) == 0);
}

/* Prints an answer, its first line behind the machine's name and the others in line with it. */
static void print_answer(const char *machine, const struct shell_buffer *answer)
{
	const char *at = answer->data;
	const char *end = at + answer->length;

	printf("  %-6s", machine);
	for (bool first = true; at < end; first = false) {
		size_t length = strcspn(at, "\n");

		printf("%s%.*s\n", first ? "" : "        ", (int)length, at);
		at += length + 1;
	}
}

static int compare(const struct script *script, const char *machine, struct transcript *linux_side,
		   struct transcript *quire_side)
{
	size_t compared = 0;

	for (size_t i = 0; i < script->count; i++) {
		const struct shell_command *command = linux_side->outcomes[i].command;

		if (!linux_side->outcomes[i].printed || (command && command->quire_only))
			continue;
		compared++;
		if (linux_side->outcomes[i].why[0])
			fprintf(stderr, "quire: %s:%zu: %s\n", script->name, i + 1,
				linux_side->outcomes[i].why);
		if (same(&linux_side->answers[i], &quire_side->answers[i]))
			continue;
		printf("%s:%zu: %s\n", script->name, i + 1, script->lines[i].text);
		shell_buffer_append(&linux_side->answers[i], "", 1);
		shell_buffer_append(&quire_side->answers[i], "", 1);
		linux_side->answers[i].length--;
		quire_side->answers[i].length--;
		print_answer("linux", &linux_side->answers[i]);
		print_answer(machine, &quire_side->answers[i]);
		return QUIRE_EXIT_FAILED;
	}
	printf("%s: %zu lines compared, no difference\n", script->name, compared);
	return QUIRE_EXIT_OK;
}

static int run_both(const struct shell_options *options, const struct script *script,
		    const struct snapshot *snapshot)
{
	struct transcript linux_side = {0}, quire_side = {0};
	int status;

	status = run(&shell_linux_machine, &options->of_machine, script, &linux_side);
	if (snapshot_restore(snapshot) != 0)
		status = QUIRE_EXIT_FAILED;
	if (status == 0) {
		status = run(options->machine, &options->of_machine, script, &quire_side);
	}
	if (status == 0)
		status = compare(script, options->machine->name, &linux_side, &quire_side);
	transcript_release(&linux_side, script->count);
	transcript_release(&quire_side, script->count);
	return status;
}

static void wake(int signal)
{
	(void)signal;
}

/*
 * The signals that ask to end, and that of a child's end, come only while await_runs() waits for
 * them: one that came between its look and its wait would not end the wait. *before is the mask to
 * wait with, and to go back to.
 */
static void hold_signals(sigset_t *before)
{
	const struct sigaction action = {.sa_handler = wake, .sa_flags = SA_RESTART};
	sigset_t held;

	sigaction(SIGCHLD, &action, NULL);
	sigemptyset(&held);
	sigaddset(&held, SIGINT);
	sigaddset(&held, SIGTERM);
	sigaddset(&held, SIGHUP);
	sigaddset(&held, SIGCHLD);
	sigprocmask(SIG_BLOCK, &held, before);
	sigdelset(before, SIGCHLD);
}

/* Waits for the process of the runs, or ends it when a signal asks for that. Its exit status. */
static int await_runs(pid_t runs, const sigset_t *before)
{
	int status = 0;

	while (waitpid(runs, &status, WNOHANG) == 0) {
		if (shell_interrupted())
			kill(runs, SIGKILL);
		sigsuspend(before);
	}
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	/* Processes of the linux machine are ours now, and end with the one that started them. */
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	if (!shell_interrupted())
		fprintf(stderr, "quire diff: the run was ended by signal %d\n", WTERMSIG(status));
	return QUIRE_EXIT_FAILED;
}

static int run_apart(const struct shell_options *options, const struct script *script,
		     const struct snapshot *snapshot)
{
	int status = QUIRE_EXIT_FAILED;
	sigset_t before;
	pid_t runs;

	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	fflush(NULL);
	hold_signals(&before);
	runs = fork();
	if (runs == 0) {
		signal(SIGINT, SIG_IGN);
		signal(SIGTERM, SIG_DFL);
		signal(SIGHUP, SIG_DFL);
		signal(SIGCHLD, SIG_DFL);
		sigprocmask(SIG_SETMASK, &before, NULL);
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		_exit(subcommand_finish(run_both(options, script, snapshot)));
	}
	if (runs < 0)
		fprintf(stderr, "quire diff: fork: %s\n", strerror(errno));
	else
		status = await_runs(runs, &before);
	sigprocmask(SIG_SETMASK, &before, NULL);
	/* Files that are half put back are worse than waiting for the rest. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (snapshot_restore(snapshot) != 0)
		status = QUIRE_EXIT_FAILED;
	return status;
}

int diff_main(int argc, char **argv)
{
	static const char usage[] =
		"[--machine=soft|kvm] [--memory=N] [--swap=FILE:N] [--seed=N] [SCRIPT]";
	struct shell_options options;
	struct snapshot snapshot = {0};
	struct script script = {0};
	int status = shell_options_read(&options, argc, argv, usage);

	if (!options.machine)
		options.machine = &shell_soft_machine;
	if (status == 0 && (options.machine == &shell_linux_machine || options.json)) {
		fprintf(stderr, "quire diff: %s\n",
			options.json ? "--json is an option of `quire shell`"
				     : "--machine is the one to compare with linux: soft or kvm");
		status = QUIRE_EXIT_USAGE;
	}
	if (status == 0)
		status = script_read(&script, options.script);
	if (status == 0) {
		shell_interrupt_catch();
		if (keep_files(&snapshot, &script) != 0)
			status = QUIRE_EXIT_FAILED;
	}
	if (status == 0 && !shell_interrupted())
		status = run_apart(&options, &script, &snapshot);
	snapshot_release(&snapshot);
	script_release(&script);
	shell_options_release(&options);
	if (shell_interrupted())
		shell_interrupt_die(shell_interrupted());
	return status;
}
