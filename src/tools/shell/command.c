/* SPDX-License-Identifier: MIT */
/*
 * The table of commands.
 */
#include "tools/shell/command.h"

#include <string.h>

#define OPTIONAL(kind) (ARGUMENT_OPTIONAL + (kind))

const struct shell_command shell_commands[] = {
	/* files */
	{"open",
	 "F PATH r|w|rw [create] [trunc]",
	 {ARGUMENT_NEW_FILE, ARGUMENT_PATH, ARGUMENT_OPEN_MODE, OPTIONAL(ARGUMENT_OPEN_OPTIONS)},
	 shell_run_open,
	 "open a file and name it F",
	 false},
	{"close", "F", {ARGUMENT_FILE}, shell_run_close, "close a file", false},
	{"memfd",
	 "F",
	 {ARGUMENT_NEW_FILE},
	 shell_run_memfd,
	 "make a file in memory, without a path",
	 false},
	{"unlink", "PATH", {ARGUMENT_PATH}, shell_run_unlink, "remove a path", false},
	{"pread",
	 "F LEN OFF",
	 {ARGUMENT_FILE, ARGUMENT_NUMBER, ARGUMENT_NUMBER},
	 shell_run_pread,
	 "read from a file and print the bytes",
	 false},
	{"pwrite",
	 "F \"BYTES\" OFF",
	 {ARGUMENT_FILE, ARGUMENT_BYTES, ARGUMENT_NUMBER},
	 shell_run_pwrite,
	 "write to a file",
	 false},
	{"size", "F", {ARGUMENT_FILE}, shell_run_size, "print the size of a file in bytes", false},
	{"ftruncate",
	 "F LEN",
	 {ARGUMENT_FILE, ARGUMENT_NUMBER},
	 shell_run_ftruncate,
	 "set the size of a file",
	 false},
	{"punch",
	 "F OFF LEN",
	 {ARGUMENT_FILE, ARGUMENT_NUMBER, ARGUMENT_NUMBER},
	 shell_run_punch,
	 "make a hole in a file, its size stays",
	 false},
	{"fsync",
	 "F",
	 {ARGUMENT_FILE},
	 shell_run_fsync,
	 "write a file's dirty pages and wait",
	 false},
	{"read",
	 "F ADDR LEN OFF",
	 {ARGUMENT_FILE, ARGUMENT_ADDRESS, ARGUMENT_NUMBER, ARGUMENT_NUMBER},
	 shell_run_read,
	 "read from a file into mapped memory",
	 false},
	{"write",
	 "F ADDR LEN OFF",
	 {ARGUMENT_FILE, ARGUMENT_ADDRESS, ARGUMENT_NUMBER, ARGUMENT_NUMBER},
	 shell_run_write,
	 "write mapped memory to a file",
	 false},

	/* mappings */
	{"mmap",
	 "R LEN PROT FLAGS [F [OFF]] [at ADDR]",
	 {ARGUMENT_NEW_REGION, ARGUMENT_NUMBER, ARGUMENT_PROT, ARGUMENT_MAP_FLAGS,
	  OPTIONAL(ARGUMENT_FILE), OPTIONAL(ARGUMENT_NUMBER), OPTIONAL(ARGUMENT_AT)},
	 shell_run_mmap,
	 "map a file or anonymous memory and name it R",
	 false},
	{"munmap",
	 "ADDR LEN",
	 {ARGUMENT_ADDRESS, ARGUMENT_NUMBER},
	 shell_run_munmap,
	 "remove mappings",
	 false},
	{"mprotect",
	 "ADDR LEN PROT",
	 {ARGUMENT_ADDRESS, ARGUMENT_NUMBER, ARGUMENT_PROT},
	 shell_run_mprotect,
	 "change the protection",
	 false},
	{"mremap",
	 "R ADDR OLD NEW [maymove,fixed,dontunmap] [at ADDR]",
	 {ARGUMENT_NEW_REGION, ARGUMENT_ADDRESS, ARGUMENT_NUMBER, ARGUMENT_NUMBER,
	  OPTIONAL(ARGUMENT_MREMAP_FLAGS), OPTIONAL(ARGUMENT_AT)},
	 shell_run_mremap,
	 "resize or move a mapping and name the result R",
	 false},
	{"madvise",
	 "ADDR LEN ADVICE",
	 {ARGUMENT_ADDRESS, ARGUMENT_NUMBER, ARGUMENT_ADVICE},
	 shell_run_madvise,
	 "advise: dontneed, free, willneed, guard_install, ...",
	 false},
	{"msync",
	 "ADDR LEN sync,async,invalidate|-",
	 {ARGUMENT_ADDRESS, ARGUMENT_NUMBER, ARGUMENT_MSYNC_FLAGS},
	 shell_run_msync,
	 "write a mapping's dirty pages",
	 false},
	{"mseal",
	 "ADDR LEN",
	 {ARGUMENT_ADDRESS, ARGUMENT_NUMBER},
	 shell_run_mseal,
	 "forbid to change or remove mappings",
	 false},
	{"remap_file_pages",
	 "ADDR LEN OFF",
	 {ARGUMENT_ADDRESS, ARGUMENT_NUMBER, ARGUMENT_NUMBER},
	 shell_run_remap_file_pages,
	 "show other pages of the object in a shared mapping",
	 false},
	{"mdwe",
	 "BITS",
	 {ARGUMENT_NUMBER},
	 shell_run_mdwe,
	 "deny to execute what could be written: 1, not in children: 3",
	 false},
	{"mlock",
	 "ADDR LEN",
	 {ARGUMENT_ADDRESS, ARGUMENT_NUMBER},
	 shell_run_mlock,
	 "populate and keep resident",
	 false},
	{"munlock",
	 "ADDR LEN",
	 {ARGUMENT_ADDRESS, ARGUMENT_NUMBER},
	 shell_run_munlock,
	 "undo mlock",
	 false},
	{"mincore",
	 "ADDR LEN",
	 {ARGUMENT_ADDRESS, ARGUMENT_NUMBER},
	 shell_run_mincore,
	 "print which pages are resident, a digit a page",
	 false},
	{"brk", "DELTA", {ARGUMENT_SIGNED}, shell_run_brk, "move the end of the heap", false},

	/* accesses */
	{"load",
	 "ADDR LEN",
	 {ARGUMENT_ADDRESS, ARGUMENT_NUMBER},
	 shell_run_load,
	 "read memory and print the bytes",
	 false},
	{"store",
	 "ADDR \"BYTES\"",
	 {ARGUMENT_ADDRESS, ARGUMENT_BYTES},
	 shell_run_store,
	 "write bytes to memory",
	 false},
	{"fill",
	 "ADDR LEN BYTE",
	 {ARGUMENT_ADDRESS, ARGUMENT_NUMBER, ARGUMENT_BYTE},
	 shell_run_fill,
	 "write one byte all over",
	 false},
	{"sum",
	 "ADDR LEN",
	 {ARGUMENT_ADDRESS, ARGUMENT_NUMBER},
	 shell_run_sum,
	 "read memory and print its CRC-32",
	 false},

	/* processes */
	{"fork",
	 "NAME",
	 {ARGUMENT_NEW_PROCESS},
	 shell_run_fork,
	 "copy the process; the parent acts on",
	 false},
	{"exec",
	 "PATH [ARGS]",
	 {ARGUMENT_PATH, ARGUMENT_REST},
	 shell_run_exec,
	 "replace the address space by an ELF file's (Quire only)",
	 true},
	{"exit", "", {ARGUMENT_END}, shell_run_exit, "end the process", false},
	{"limit",
	 "as|data|stack|memlock N",
	 {ARGUMENT_LIMIT, ARGUMENT_NUMBER},
	 shell_run_limit,
	 "set a soft resource limit, in bytes",
	 false},
	{"maps", "", {ARGUMENT_END}, shell_run_maps, "list the VMAs that the regions touch", false},

	/* inspection */
	{"show",
	 "mm|vma ADDR|pte ADDR|pagetable|tree|list|layout|cache F|rmap F|anon ADDR|lru|swap|stat|"
	 "state ADDR LEN",
	 {ARGUMENT_SHOW},
	 shell_run_show,
	 "show the structures as they are (Quire only)",
	 true},
	{"reclaim",
	 "N",
	 {ARGUMENT_NUMBER},
	 shell_run_reclaim,
	 "reclaim N bytes (Quire only)",
	 true},
	{"writeback",
	 "",
	 {ARGUMENT_END},
	 shell_run_writeback,
	 "write all dirty pages back (Quire only)",
	 true},
	{"budget",
	 "[PROC] N",
	 {OPTIONAL(ARGUMENT_PROCESS), ARGUMENT_NUMBER},
	 shell_run_budget,
	 "limit the resident bytes of a process, or of all (Quire only)",
	 true},
	{"check",
	 "",
	 {ARGUMENT_END},
	 shell_run_check,
	 "validate every structure (Quire only)",
	 true},
	{"help", "", {ARGUMENT_END}, shell_run_help, "list the commands", false},
	{NULL, NULL, {ARGUMENT_END}, NULL, NULL, false},
};

const struct shell_show_topic shell_show_topics[] = {
	{"mm", {ARGUMENT_END}},      {"vma", {ARGUMENT_ADDRESS}},
	{"pte", {ARGUMENT_ADDRESS}}, {"pagetable", {ARGUMENT_END}},
	{"tree", {ARGUMENT_END}},    {"list", {ARGUMENT_END}},
	{"layout", {ARGUMENT_END}},  {"cache", {ARGUMENT_FILE}},
	{"rmap", {ARGUMENT_FILE}},   {"anon", {ARGUMENT_ADDRESS}},
	{"lru", {ARGUMENT_END}},     {"swap", {ARGUMENT_END}},
	{"stat", {ARGUMENT_END}},    {"state", {ARGUMENT_ADDRESS, ARGUMENT_NUMBER}},
	{NULL, {ARGUMENT_END}},
};

const struct shell_command *shell_command_find(const char *name)
{
	const struct shell_command *command;

	for (command = shell_commands; command->name; command++)
		if (strcmp(command->name, name) == 0)
			return command;
	return NULL;
}

void shell_reply_result(struct shell_reply *reply, const struct shell_result *result)
{
	reply->kind = SHELL_REPLY_OK;
	if (result->signal) {
		reply->kind = SHELL_REPLY_SIGNAL;
		reply->signal = result->signal;
		reply->code = result->code;
	} else if (result->error) {
		reply->kind = SHELL_REPLY_ERROR;
		reply->error = result->error;
	}
}

void shell_reply_value(struct shell_reply *reply, const struct shell_result *result)
{
	shell_reply_result(reply, result);
	if (reply->kind != SHELL_REPLY_OK)
		return;
	reply->kind = SHELL_REPLY_NUMBER;
	reply->number = result->value;
}
