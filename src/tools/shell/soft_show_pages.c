/* SPDX-License-Identifier: MIT */
/*
 * Views of page tables and pages.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "core/instance/instance.h"
#include "core/vma/vma.h"
#include "tools/shell/soft_show.h"

static const struct show_flag page_flag_names[] = {
	{1u << PG_locked, "locked"},
	{1u << PG_uptodate, "uptodate"},
	{1u << PG_dirty, "dirty"},
	{1u << PG_writeback, "writeback"},
	{1u << PG_lru, "lru"},
	{1u << PG_active, "active"},
	{1u << PG_referenced, "referenced"},
	{1u << PG_unevictable, "unevictable"},
	{1u << PG_mlocked, "mlocked"},
	{1u << PG_swapbacked, "swapbacked"},
	{1u << PG_swapcache, "swapcache"},
	{1u << PG_anon_exclusive, "anon_exclusive"},
	{1u << PG_workingset, "workingset"},
	{1u << PG_reclaim, "reclaim"},
	{1u << PG_readahead, "readahead"},
	{1u << PG_lazyfree, "lazyfree"},
	{1u << PG_error, "error"},
	{1u << PG_table, "table"},
	{1u << PG_reserved, "reserved"},
};

static const struct show_flag pte_bit_names[] = {
	{PTE_PRESENT, "present"}, {PTE_WRITE, "write"},
	{PTE_USER, "user"},       {PTE_ACCESSED, "accessed"},
	{PTE_DIRTY, "dirty"},     {PTE_SPECIAL, "special"},
	{PTE_NX, "nx"},
};

static const struct {
	const char *name;
	uint32_t shift;
} levels[] = {{"pgd", PGD_SHIFT}, {"pud", PUD_SHIFT}, {"pmd", PMD_SHIFT}, {"pte", PAGE_SHIFT}};

#define LEVELS (sizeof(levels) / sizeof(levels[0]))

void show_page(struct shell_reply *reply, json_t *object, struct quire *quire, struct page *page)
{
	struct mem_cgroup *memcg = atomic_load(&page->memcg);
	json_t *json = json_object();
	char flags[256];

	show_flags(flags, sizeof(flags), atomic_load(&page->flags), page_flag_names,
		   ARRAY_SIZE(page_flag_names));
	show_number(NULL, json, "frame", page_to_pfn(&quire->zone, page));
	show_number(NULL, json, "refcount", (uint64_t)page_count(page));
	show_number(NULL, json, "mapcount", (uint64_t)page_mapcount(page));
	show_number(NULL, json, "index", page->index);
	show_text(NULL, json, "kind",
		  page_anon(page)      ? "anonymous"
		  : page_mapping(page) ? "file"
				       : "none");
	show_text(NULL, json, "flags", flags);
	show_text(NULL, json, "group", memcg ? memcg->name : "-");
	json_object_set_new(object, "page", json);
	shell_reply_line(
		reply,
		"page frame %" PRIu64 " refcount %d mapcount %d index 0x%" PRIx64 " %s %s group %s",
		page_to_pfn(&quire->zone, page), page_count(page), page_mapcount(page), page->index,
		page_anon(page)      ? "anonymous"
		: page_mapping(page) ? "file"
				     : "none",
		flags, memcg ? memcg->name : "-");
}

/* What an entry of the last level says, in words. */
static void entry_text(pteval_t entry, char *text, size_t size)
{
	char bits[96];

	if (pte_none(entry)) {
		snprintf(text, size, "none");
	} else if (pte_present(entry)) {
		show_flags(bits, sizeof(bits), entry, pte_bit_names, ARRAY_SIZE(pte_bit_names));
		snprintf(text, size, "frame %" PRIu64 " %s", pte_pfn(entry), bits);
	} else if (pte_guard(entry)) {
		snprintf(text, size, "guard");
	} else {
		swp_entry_t swap = pte_to_swp_entry(entry);

		snprintf(text, size, "swap area %u slot %" PRIu64, swp_type(swap), swp_slot(swap));
	}
}

void show_pte(struct shell_task *task, const struct shell_show *show, struct shell_reply *reply)
{
	struct mm_struct *mm = task->mm;
	struct quire *quire = mm->quire;
	pfn_t table = mm->pgd;
	pteval_t entry = 0;

	if (show->address >= mm->task_size) {
		shell_reply_fail(reply, EINVAL, "0x%" PRIx64 " is no address of a program",
				 show->address);
		return;
	}
	mmap_read_lock(mm);
	for (size_t i = 0; i < LEVELS; i++) {
		uint32_t index = table_index(show->address, levels[i].shift);
		json_t *json = json_object();
		char text[160];

		entry = pte_load(&table_entries(quire->zone.base, table)[index]);
		entry_text(entry, text, sizeof(text));
		show_text(NULL, json, "level", levels[i].name);
		show_number(NULL, json, "table", table);
		show_number(NULL, json, "index", index);
		show_hex(NULL, json, "entry", entry);
		show_text(NULL, json, "meaning", text);
		show_append(reply->view_json, "walk", json);
		shell_reply_line(reply, "%s table %" PRIu64 " [%u] 0x%" PRIx64 " %s",
				 levels[i].name, table, index, entry, text);
		if (!pte_present(entry))
			break;
		table = pte_pfn(entry);
	}
	if (pte_present(entry))
		show_page(reply, reply->view_json, quire,
			  pfn_to_page(&quire->zone, pte_pfn(entry)));
	mmap_read_unlock(mm);
}

struct entry_counts {
	uint64_t present;
	uint64_t swap;
	uint64_t guard;
};

static struct entry_counts count_entries(struct quire *quire, pfn_t table)
{
	struct entry_counts counts = {0};

	for (uint32_t i = 0; i < PTRS_PER_TABLE; i++) {
		pteval_t entry = pte_load(&table_entries(quire->zone.base, table)[i]);

		counts.present += pte_present(entry);
		counts.swap += pte_swap(entry);
		counts.guard += pte_guard(entry);
	}
	return counts;
}

/* The bytes that one entry of a level spans, from `address` on. */
static json_t *table_json(struct quire *quire, struct shell_reply *reply, pfn_t table,
			  uint64_t address, size_t level)
{
	struct entry_counts counts = count_entries(quire, table);
	json_t *json = json_object();

	shell_reply_line(reply,
			 "%*s%s table %" PRIu64 " at 0x%" PRIx64 ": %" PRIu64 " present, %" PRIu64
			 " swapped, %" PRIu64 " guards",
			 (int)(2 * level), "", levels[level].name, table, address, counts.present,
			 counts.swap, counts.guard);
	show_text(NULL, json, "level", levels[level].name);
	show_number(NULL, json, "table", table);
	show_hex(NULL, json, "address", address);
	show_number(NULL, json, "present", counts.present);
	show_number(NULL, json, "swapped", counts.swap);
	show_number(NULL, json, "guards", counts.guard);
	if (level + 1 == LEVELS)
		return json;
	for (uint32_t i = 0; i < PTRS_PER_TABLE; i++) {
		pteval_t entry = pte_load(&table_entries(quire->zone.base, table)[i]);

		if (pte_present(entry))
			show_append(json, "tables",
				    table_json(quire, reply, pte_pfn(entry),
					       address + ((uint64_t)i << levels[level].shift),
					       level + 1));
	}
	return json;
}

void show_pagetable(struct shell_task *task, const struct shell_show *show,
		    struct shell_reply *reply)
{
	struct mm_struct *mm = task->mm;

	(void)show;
	mmap_read_lock(mm);
	json_object_set_new(reply->view_json, "root", table_json(mm->quire, reply, mm->pgd, 0, 0));
	mmap_read_unlock(mm);
}

/* One of the three states of a page. */
static const char *page_state(struct mm_struct *mm, uint64_t address)
{
	pte_t *pte;

	if (address >= mm->task_size || !vma_lookup(mm, address))
		return "unallocated";
	pte = pte_find(mm, address);
	return pte && pte_present(pte_load(pte)) ? "mapped" : "allocated";
}

void show_state(struct shell_task *task, const struct shell_show *show, struct shell_reply *reply)
{
	struct mm_struct *mm = task->mm;
	uint64_t address = PAGE_ALIGN_DOWN(show->address);
	uint64_t last = show->address + show->length - 1;

	if (show->length == 0)
		return;
	if (last < show->address) {
		shell_reply_fail(reply, EINVAL, "the range passes the end of all addresses");
		return;
	}
	mmap_read_lock(mm);
	for (;;) {
		const char *state = page_state(mm, address);
		json_t *json = json_object();

		show_hex(NULL, json, "address", address);
		show_text(NULL, json, "state", state);
		show_append(reply->view_json, "pages", json);
		shell_reply_line(reply, "0x%" PRIx64 " %s", address, state);
		if (last - address < PAGE_SIZE)
			break;
		address += PAGE_SIZE;
	}
	mmap_read_unlock(mm);
}
