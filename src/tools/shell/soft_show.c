/* SPDX-License-Identifier: MIT */
/*
 * The commands that only Quire has, and what all views share.
 */
#include "tools/shell/soft_show.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/vma/vma.h"

struct topic {
	const char *name;
	void (*show)(struct shell_task *task, const struct shell_show *show,
		     struct shell_reply *reply);
};

static const struct topic topics[] = {
	{"mm", show_mm},
	{"vma", show_vma},
	{"list", show_list},
	{"tree", show_tree},
	{"layout", show_layout},
	{"pte", show_pte},
	{"pagetable", show_pagetable},
	{"state", show_state},
	{"cache", show_cache},
	{"rmap", show_rmap},
	{"anon", show_anon},
	{"lru", show_lru},
	{"swap", show_swap},
	{"stat", show_stat},
};

json_t *show_hex_json(uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%" PRIx64, value);
	return json_string(text);
}

void show_number(struct shell_reply *reply, json_t *object, const char *name, uint64_t value)
{
	json_object_set_new(object, name, json_integer((json_int_t)value));
	if (reply)
		shell_reply_line(reply, "%-18s %" PRIu64, name, value);
}

void show_hex(struct shell_reply *reply, json_t *object, const char *name, uint64_t value)
{
	json_object_set_new(object, name, show_hex_json(value));
	if (reply)
		shell_reply_line(reply, "%-18s 0x%" PRIx64, name, value);
}

void show_text(struct shell_reply *reply, json_t *object, const char *name, const char *value)
{
	json_object_set_new(object, name, shell_json_text(value, strlen(value)));
	if (reply)
		shell_reply_line(reply, "%-18s %s", name, value);
}

void show_append(json_t *object, const char *name, json_t *element)
{
	json_t *list = json_object_get(object, name);

	if (!list) {
		list = json_array();
		json_object_set_new(object, name, list);
	}
	json_array_append_new(list, element);
}

void show_flags(char *buffer, size_t size, uint64_t flags, const struct show_flag *names,
		size_t count)
{
	size_t length = 0;

	snprintf(buffer, size, "-");
	for (size_t i = 0; i < count; i++) {
		if (!(flags & names[i].bit) || length >= size)
			continue;
		length += (size_t)snprintf(buffer + length, size - length, "%s%s",
					   length ? "," : "", names[i].name);
	}
}

struct vm_area_struct *show_lock_vma(struct mm_struct *mm, const struct shell_show *show,
				     struct shell_reply *reply)
{
	struct vm_area_struct *vma;

	mmap_read_lock(mm);
	vma = vma_lookup(mm, show->address);
	if (vma)
		return vma;
	mmap_read_unlock(mm);
	shell_reply_fail(reply, ENOMEM, "no VMA covers 0x%" PRIx64, show->address);
	return NULL;
}

static void inspect_show(struct shell_task *task, const struct shell_show *show,
			 struct shell_reply *reply)
{
	soft_background(task->machine);
	for (size_t i = 0; i < ARRAY_SIZE(topics); i++) {
		if (strcmp(topics[i].name, show->what) != 0)
			continue;
		reply->view_name = topics[i].name;
		reply->view_json = json_object();
		topics[i].show(task, show, reply);
		return;
	}
	shell_reply_fail(reply, EINVAL, "nothing to show: '%.40s'", show->what);
}

/* A round may end while pages are still being written; the next one meets them clean, or waits. */
static void inspect_reclaim(struct shell_machine *machine, uint64_t bytes,
			    struct shell_reply *reply)
{
	uint64_t left = bytes / PAGE_SIZE + (bytes % PAGE_SIZE != 0);
	uint64_t freed;

	(void)reply;
	soft_background(machine);
	do {
		freed = quire_reclaim(machine->quire, NULL, left);
		left -= min_u64(freed, left);
	} while (freed && left);
}

static void inspect_writeback(struct shell_machine *machine, struct shell_reply *reply)
{
	soft_background(machine);
	if (quire_writeback(machine->quire) != 0)
		shell_reply_fail(reply, errno, "not everything could be written");
}

static void inspect_budget(struct shell_machine *machine, struct shell_task *task, uint64_t bytes,
			   struct shell_reply *reply)
{
	quire_group *group = task ? quire_mm_group(task->mm) : quire_root_group(machine->quire);

	soft_background(machine);
	if (quire_group_set_budget(group, bytes) != 0)
		shell_reply_fail(reply, errno,
				 "the budget holds from now on, but more than it is in use");
}

static void inspect_check(struct shell_machine *machine, struct shell_reply *reply)
{
	char message[sizeof(reply->why)];

	soft_background(machine);
	if (quire_check(machine->quire, message, sizeof(message)) != 0)
		shell_reply_fail(reply, errno, "%s", message);
}

const struct shell_inspect_ops soft_inspect = {
	.show = inspect_show,
	.reclaim = inspect_reclaim,
	.writeback = inspect_writeback,
	.budget = inspect_budget,
	.check = inspect_check,
};
