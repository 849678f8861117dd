/* SPDX-License-Identifier: MIT */
/*
 * Views of an address space: mm_struct, its VMAs in both their orders, the layout.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/file/address_space.h"
#include "core/reclaim/memcg.h"
#include "core/rmap/rmap.h"
#include "core/vma/vma.h"
#include "tools/shell/soft_show.h"

static const struct show_flag vm_flag_names[] = {
	{VM_READ, "read"},
	{VM_WRITE, "write"},
	{VM_EXEC, "exec"},
	{VM_SHARED, "shared"},
	{VM_MAYREAD, "mayread"},
	{VM_MAYWRITE, "maywrite"},
	{VM_MAYEXEC, "mayexec"},
	{VM_MAYSHARE, "mayshare"},
	{VM_GROWSDOWN, "growsdown"},
	{VM_LOCKED, "locked"},
	{VM_LOCKONFAULT, "lockonfault"},
	{VM_SEQ_READ, "seq_read"},
	{VM_RAND_READ, "rand_read"},
	{VM_DONTCOPY, "dontcopy"},
	{VM_DONTEXPAND, "dontexpand"},
	{VM_ACCOUNT, "account"},
	{VM_NORESERVE, "noreserve"},
	{VM_WIPEONFORK, "wipeonfork"},
	{VM_DONTDUMP, "dontdump"},
	{VM_HUGEPAGE, "hugepage"},
	{VM_NOHUGEPAGE, "nohugepage"},
	{VM_MERGEABLE, "mergeable"},
	{VM_DROPPABLE, "droppable"},
	{VM_SEALED, "sealed"},
	{VM_DEV_ZERO, "dev_zero"},
	{VM_MAYBE_GUARD, "maybe_guard"},
};

static void show_limits(const struct mm_struct *mm, struct shell_reply *reply)
{
	static const char *const names[MM_LIMITS] = {"limit_as", "limit_data", "limit_stack",
						     "limit_memlock"};

	for (unsigned i = 0; i < MM_LIMITS; i++) {
		if (mm->limit[i] == LIMIT_INFINITY)
			show_text(reply, reply->view_json, names[i], "unlimited");
		else
			show_number(reply, reply->view_json, names[i], mm->limit[i]);
	}
}

static void show_group(const struct mem_cgroup *memcg, struct shell_reply *reply)
{
	uint64_t max = atomic_load(&memcg->max);

	show_number(reply, reply->view_json, "charged", memcg_usage(memcg));
	if (max == MEMCG_UNLIMITED)
		show_text(reply, reply->view_json, "budget", "unlimited");
	else
		show_number(reply, reply->view_json, "budget", max);
}

void show_mm(struct shell_task *task, const struct shell_show *show, struct shell_reply *reply)
{
	struct mm_struct *mm = task->mm;
	json_t *json = reply->view_json;

	(void)show;
	mmap_read_lock(mm);
	show_text(reply, json, "name", mm->name);
	show_number(reply, json, "map_count", mm->map_count);
	show_hex(reply, json, "task_size", mm->task_size);
	show_hex(reply, json, "mmap_base", mm->mmap_base);
	show_hex(reply, json, "start_code", mm->start_code);
	show_hex(reply, json, "end_code", mm->end_code);
	show_hex(reply, json, "start_data", mm->start_data);
	show_hex(reply, json, "end_data", mm->end_data);
	show_hex(reply, json, "start_brk", mm->start_brk);
	show_hex(reply, json, "brk", mm->brk);
	show_hex(reply, json, "start_stack", mm->start_stack);
	show_hex(reply, json, "arg_start", mm->arg_start);
	show_hex(reply, json, "arg_end", mm->arg_end);
	show_hex(reply, json, "env_start", mm->env_start);
	show_hex(reply, json, "env_end", mm->env_end);
	show_number(reply, json, "total_vm", mm->total_vm);
	show_number(reply, json, "data_vm", mm->data_vm);
	show_number(reply, json, "exec_vm", mm->exec_vm);
	show_number(reply, json, "stack_vm", mm->stack_vm);
	show_number(reply, json, "locked_vm", mm->locked_vm);
	show_number(reply, json, "rss_file", stat_read(&mm->rss, MM_FILEPAGES));
	show_number(reply, json, "rss_anon", stat_read(&mm->rss, MM_ANONPAGES));
	show_number(reply, json, "rss_shmem", stat_read(&mm->rss, MM_SHMEMPAGES));
	show_number(reply, json, "swap_entries", stat_read(&mm->rss, MM_SWAPENTS));
	show_number(reply, json, "pgd_frame", mm->pgd);
	show_number(reply, json, "page_tables", atomic_load(&mm->pgtables));
	show_limits(mm, reply);
	show_group(mm->memcg, reply);
	mmap_read_unlock(mm);
}

static json_t *vma_json(const struct vm_area_struct *vma)
{
	struct shell_vma description;
	json_t *json = json_object();

	soft_describe_vma(vma, &description);
	show_hex(NULL, json, "start", description.start);
	show_hex(NULL, json, "end", description.end);
	show_text(NULL, json, "perms", description.perms);
	show_hex(NULL, json, "offset", description.offset);
	show_text(NULL, json, "name", description.name);
	return json;
}

/* `0x1000-0x3000 rw-p 0x0 anon` */
static void vma_text(const struct vm_area_struct *vma, char *text, size_t size)
{
	struct shell_vma description;

	soft_describe_vma(vma, &description);
	snprintf(text, size, "0x%" PRIx64 "-0x%" PRIx64 " %s 0x%" PRIx64 " %s", description.start,
		 description.end, description.perms, description.offset, description.name);
}

void show_vma(struct shell_task *task, const struct shell_show *show, struct shell_reply *reply)
{
	struct mm_struct *mm = task->mm;
	json_t *json = reply->view_json;
	struct anon_vma_chain *chain;
	struct vm_area_struct *vma;
	struct shell_vma description;
	uint64_t chains = 0;
	char flags[256];

	vma = show_lock_vma(mm, show, reply);
	if (!vma)
		return;
	soft_describe_vma(vma, &description);
	show_flags(flags, sizeof(flags), vma->vm_flags, vm_flag_names, ARRAY_SIZE(vm_flag_names));
	show_hex(reply, json, "vm_start", vma->vm_start);
	show_hex(reply, json, "vm_end", vma->vm_end);
	show_number(reply, json, "pages", vma_pages(vma));
	show_text(reply, json, "perms", description.perms);
	show_text(reply, json, "vm_flags", flags);
	show_hex(reply, json, "vm_page_prot", vma->vm_page_prot);
	show_hex(reply, json, "vm_pgoff", vma->vm_pgoff);
	show_text(reply, json, "vm_file", description.name);
	show_text(reply, json, "vm_mm", vma->vm_mm->name);
	/* Its node in the interval tree of the file's address_space. */
	if (vma_is_anonymous(vma))
		show_text(reply, json, "shared", "no");
	else
		show_text(reply, json, "shared", vma->vm_file->f_inode->name);
	show_text(reply, json, "anon_vma", atomic_load(&vma->anon_vma) ? "yes" : "no");
	list_for_each_entry (chain, &vma->anon_vma_chain, same_vma)
		chains++;
	show_number(reply, json, "anon_vma_chain", chains);
	show_hex(reply, json, "rb_subtree_gap", vma->rb_subtree_gap);
	show_text(reply, json, "group", vma_memcg(vma)->name);
	mmap_read_unlock(mm);
}

void show_list(struct shell_task *task, const struct shell_show *show, struct shell_reply *reply)
{
	struct mm_struct *mm = task->mm;
	struct vm_area_struct *vma;
	char text[160];

	(void)show;
	mmap_read_lock(mm);
	for_each_vma (mm, vma) {
		vma_text(vma, text, sizeof(text));
		shell_reply_line(reply, "%s", text);
		show_append(reply->view_json, "vmas", vma_json(vma));
	}
	mmap_read_unlock(mm);
}

static bool is_black(const struct rb_node *node)
{
	return node->rb_parent_color & 1;
}

static json_t *tree_json(const struct rb_node *node)
{
	const struct vm_area_struct *vma;
	json_t *json;

	if (!node)
		return json_null();
	vma = rb_entry(node, struct vm_area_struct, vm_rb);
	json = vma_json(vma);
	show_text(NULL, json, "colour", is_black(node) ? "black" : "red");
	show_hex(NULL, json, "gap", vma->rb_subtree_gap);
	json_object_set_new(json, "left", tree_json(node->rb_left));
	json_object_set_new(json, "right", tree_json(node->rb_right));
	return json;
}

/* How far a drawn line is indented: a red-black tree is at most twice as high as its logarithm. */
#define TREE_PREFIX 512

/*
 * Draws a subtree sideways, highest addresses first, so that reading upwards gives the addresses in
 * order. `side` says where it hangs: above its parent ('/'), below it ('\\'), or it is the root.
 */
static void draw_tree(struct shell_reply *reply, const struct rb_node *node, const char *prefix,
		      char side)
{
	const struct vm_area_struct *vma;
	char below[TREE_PREFIX];
	char text[160];

	if (!node)
		return;
	vma = rb_entry(node, struct vm_area_struct, vm_rb);
	snprintf(below, sizeof(below), "%s%s", prefix, side == '\\' ? "|   " : "    ");
	draw_tree(reply, node->rb_right, below, '/');
	vma_text(vma, text, sizeof(text));
	shell_reply_line(reply, "%s%c-- %s %s, gap 0x%" PRIx64, prefix, side,
			 is_black(node) ? "black" : "red  ", text, vma->rb_subtree_gap);
	snprintf(below, sizeof(below), "%s%s", prefix, side == '/' ? "|   " : "    ");
	draw_tree(reply, node->rb_left, below, '\\');
}

void show_tree(struct shell_task *task, const struct shell_show *show, struct shell_reply *reply)
{
	struct mm_struct *mm = task->mm;

	(void)show;
	mmap_read_lock(mm);
	draw_tree(reply, mm->mm_rb.rb_node, "", '-');
	json_object_set_new(reply->view_json, "root", tree_json(mm->mm_rb.rb_node));
	mmap_read_unlock(mm);
}

/* `12K`, `127.9M`: the largest unit of which it has one. */
static void size_text(uint64_t bytes, char *text, size_t size)
{
	static const char units[] = "BKMGT";
	unsigned unit = 0;

	while (unit + 1 < sizeof(units) - 1 && bytes >> (10 * (unit + 1)))
		unit++;
	if (bytes & (((uint64_t)1 << (10 * unit)) - 1))
		snprintf(text, size, "%.1f%c", (double)bytes / (double)((uint64_t)1 << (10 * unit)),
			 units[unit]);
	else
		snprintf(text, size, "%" PRIu64 "%c", bytes >> (10 * unit), units[unit]);
}

#define LAYOUT_RULE "+-------------------------------------------------------+"

static void draw_gap(struct shell_reply *reply, uint64_t start, uint64_t end)
{
	char size[32];

	if (start == end)
		return;
	size_text(end - start, size, sizeof(size));
	shell_reply_line(reply, ":%20s %-33s :", size, "unallocated");
}

/* What is known by name of the bytes from `address` on, which is a boundary. */
static const char *mark_at(const struct mm_struct *mm, uint64_t address)
{
	const struct {
		uint64_t address;
		const char *name;
	} marks[] = {
		{mm->task_size, "task_size"}, {mm->start_stack, "start_stack"},
		{mm->mmap_base, "mmap_base"}, {PAGE_ALIGN(mm->brk), "brk"},
		{mm->start_brk, "start_brk"}, {mm->start_code, "start_code"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
		if (marks[i].address == address)
			return marks[i].name;
	return "";
}

static void draw_boundary(struct shell_reply *reply, const struct mm_struct *mm, uint64_t address)
{
	const char *mark = mark_at(mm, address);

	shell_reply_line(reply, "%s 0x%" PRIx64 "%s%s", LAYOUT_RULE, address, *mark ? " " : "",
			 mark);
}

void show_layout(struct shell_task *task, const struct shell_show *show, struct shell_reply *reply)
{
	struct mm_struct *mm = task->mm;
	json_t *json = reply->view_json;
	uint64_t above = mm->task_size;
	struct vm_area_struct *vma;
	struct shell_vma description;
	char size[32];

	(void)show;
	mmap_read_lock(mm);
	show_hex(NULL, json, "task_size", mm->task_size);
	show_hex(NULL, json, "start_stack", mm->start_stack);
	show_hex(NULL, json, "mmap_base", mm->mmap_base);
	show_hex(NULL, json, "start_brk", mm->start_brk);
	show_hex(NULL, json, "brk", mm->brk);
	draw_boundary(reply, mm, above);
	list_for_each_entry_reverse (vma, &mm->mmap, vm_list) {
		soft_describe_vma(vma, &description);
		size_text(vma->vm_end - vma->vm_start, size, sizeof(size));
		draw_gap(reply, vma->vm_end, above);
		if (vma->vm_end != above)
			draw_boundary(reply, mm, vma->vm_end);
		shell_reply_line(reply, "|%20s %s %-28.28s |", size, description.perms,
				 description.name);
		draw_boundary(reply, mm, vma->vm_start);
		show_append(json, "vmas", vma_json(vma));
		above = vma->vm_start;
	}
	draw_gap(reply, 0, above);
	draw_boundary(reply, mm, 0);
	mmap_read_unlock(mm);
}
