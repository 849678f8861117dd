/* SPDX-License-Identifier: MIT */
/*
 * Views of what lies behind mappings: a file's page cache, and both reverse maps.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/file/address_space.h"
#include "core/instance/instance.h"
#include "core/rmap/rmap.h"
#include "core/vma/vma.h"
#include "tools/shell/soft_show.h"

/* The object of the shown descriptor; NULL after an error in the reply. */
static struct inode *shown_inode(struct shell_task *task, const struct shell_show *show,
				 struct shell_reply *reply)
{
	struct soft_descriptor *descriptor = soft_descriptor(task, show->fd);

	if (descriptor && descriptor->file)
		return descriptor->file->f_inode;
	shell_reply_fail(reply, ENODEV, "what is neither file nor memory has no pages");
	return NULL;
}

/* What one index of the cache holds, by letters as they are explained in quire-shell(1). */
struct cache_slot {
	char text[48];
};

static struct cache_slot cache_slot(const struct address_space *mapping, uint64_t index,
				    void *entry)
{
	struct cache_slot slot;

	if (xa_is_value(entry)) {
		snprintf(slot.text, sizeof(slot.text), "%s",
			 mapping_is_shmem(mapping) ? "swapped" : "shadow");
	} else {
		const struct page *page = entry;

		snprintf(slot.text, sizeof(slot.text), "%s%s%s%s",
			 page_test(page, PG_uptodate) ? "uptodate" : "filling",
			 xa_get_mark(&mapping->i_pages, index, XA_MARK_DIRTY) ? ",dirty" : "",
			 xa_get_mark(&mapping->i_pages, index, XA_MARK_WRITEBACK) ? ",writeback"
										  : "",
			 page_mapped(page) ? ",mapped" : "");
	}
	return slot;
}

static void show_run(struct shell_reply *reply, uint64_t first, uint64_t last, const char *what)
{
	json_t *json = json_object();

	shell_reply_line(reply, "pages %" PRIu64 "-%" PRIu64 " %s", first, last, what);
	show_number(NULL, json, "first", first);
	show_number(NULL, json, "last", last);
	show_text(NULL, json, "what", what);
	show_append(reply->view_json, "runs", json);
}

static void show_cached_pages(struct address_space *mapping, struct shell_reply *reply)
{
	struct cache_slot run = {""};
	uint64_t first = 0, last = 0, index;
	void *entry;

	spin_lock(&mapping->i_pages_lock);
	xa_for_each (&mapping->i_pages, index, entry) {
		struct cache_slot slot = cache_slot(mapping, index, entry);

		if (run.text[0] && index == last + 1 && strcmp(run.text, slot.text) == 0) {
			last = index;
			continue;
		}
		if (run.text[0])
			show_run(reply, first, last, run.text);
		run = slot;
		first = last = index;
	}
	spin_unlock(&mapping->i_pages_lock);
	if (run.text[0])
		show_run(reply, first, last, run.text);
}

void show_cache(struct shell_task *task, const struct shell_show *show, struct shell_reply *reply)
{
	static const char *const kinds[] = {
		[INODE_REGULAR] = "regular", [INODE_SHMEM] = "shmem", [INODE_ZERO] = "zero"};
	struct inode *inode = shown_inode(task, show, reply);
	json_t *json = reply->view_json;

	if (!inode)
		return;
	show_text(reply, json, "name", inode->name);
	show_text(reply, json, "kind", kinds[inode->kind]);
	show_number(reply, json, "size", i_size_read(inode));
	show_number(reply, json, "cached", atomic_load(&inode->i_data.nrpages));
	show_number(reply, json, "writeback", atomic_load(&inode->i_data.writeback_pages));
	show_number(reply, json, "write_errors", atomic_load(&inode->i_data.wb_failures));
	show_cached_pages(&inode->i_data, reply);
}

/* One VMA with the mm that it is of, found through a reverse map; goes to the list `mappings` of
 * the object. */
static void show_mapping(struct shell_reply *reply, json_t *object,
			 const struct vm_area_struct *vma)
{
	struct shell_vma description;
	json_t *json = json_object();

	soft_describe_vma(vma, &description);
	shell_reply_line(reply, "%s 0x%" PRIx64 "-0x%" PRIx64 " %s page 0x%" PRIx64 " on",
			 vma->vm_mm->name, description.start, description.end, description.perms,
			 vma->vm_pgoff);
	show_text(NULL, json, "process", vma->vm_mm->name);
	show_hex(NULL, json, "start", description.start);
	show_hex(NULL, json, "end", description.end);
	show_text(NULL, json, "perms", description.perms);
	show_hex(NULL, json, "page", vma->vm_pgoff);
	show_append(object, "mappings", json);
}

void show_rmap(struct shell_task *task, const struct shell_show *show, struct shell_reply *reply)
{
	struct inode *inode = shown_inode(task, show, reply);
	struct interval_tree_node *node;
	struct address_space *mapping;

	if (!inode)
		return;
	mapping = &inode->i_data;
	show_text(reply, reply->view_json, "name", inode->name);
	read_lock(&mapping->i_mmap_lock);
	for (node = interval_tree_iter_first(&mapping->i_mmap, 0, UINT64_MAX); node;
	     node = interval_tree_iter_next(node, 0, UINT64_MAX))
		show_mapping(reply, reply->view_json,
			     container_of(node, struct vm_area_struct, shared));
	read_unlock(&mapping->i_mmap_lock);
}

/* The VMAs in which pages of this anon_vma may be mapped. */
static void show_anon_vma(struct anon_vma *anon_vma, const struct vm_area_struct *of,
			  struct shell_reply *reply)
{
	bool own = anon_vma == atomic_load(&of->anon_vma);
	bool root = anon_vma == anon_vma_root(anon_vma);
	struct interval_tree_node *node;
	json_t *json = json_object();

	shell_reply_line(reply, "anon_vma %s%s: %u children, %u areas of its own",
			 own ? "own" : "inherited", root ? ", root" : "", anon_vma->num_children,
			 anon_vma->num_active_vmas);
	json_object_set_new(json, "own", json_boolean(own));
	json_object_set_new(json, "root", json_boolean(root));
	show_number(NULL, json, "children", anon_vma->num_children);
	show_number(NULL, json, "areas", anon_vma->num_active_vmas);
	for (node = interval_tree_iter_first(&anon_vma->rb_root, 0, UINT64_MAX); node;
	     node = interval_tree_iter_next(node, 0, UINT64_MAX))
		show_mapping(reply, json, container_of(node, struct anon_vma_chain, node)->vma);
	show_append(reply->view_json, "anon_vmas", json);
}

static void show_anon_page(struct mm_struct *mm, uint64_t address, struct shell_reply *reply)
{
	pte_t *pte = pte_find(mm, address);
	pteval_t entry = pte ? pte_load(pte) : 0;
	struct page *page;

	if (!pte_present(entry))
		return;
	page = pfn_to_page(&mm->quire->zone, pte_pfn(entry));
	if (page_anon(page))
		show_page(reply, reply->view_json, mm->quire, page);
}

void show_anon(struct shell_task *task, const struct shell_show *show, struct shell_reply *reply)
{
	struct mm_struct *mm = task->mm;
	struct anon_vma_chain *chain;
	struct vm_area_struct *vma;

	vma = show_lock_vma(mm, show, reply);
	if (!vma)
		return;
	list_for_each_entry (chain, &vma->anon_vma_chain, same_vma) {
		struct anon_vma *root = anon_vma_root(chain->anon_vma);

		read_lock(&root->rwlock);
		show_anon_vma(chain->anon_vma, vma, reply);
		read_unlock(&root->rwlock);
	}
	show_anon_page(mm, show->address, reply);
	mmap_read_unlock(mm);
}
