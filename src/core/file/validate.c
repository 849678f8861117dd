/* SPDX-License-Identifier: MIT */
/*
 * Consistency of an address_space with the pages and VMAs that belong to it, and of the inodes'
 * lists and tree.
 */
#include "base/check.h"
#include "core/file/filemap.h"
#include "core/file/internal.h"
#include "core/file/shmem.h"
#include "core/instance/instance.h"
#include "core/vma/mm.h"

/* What a walk over i_pages adds up. */
struct cache_census {
	uint64_t pages;
	uint64_t values;
};

static void validate_marks(struct address_space *mapping, struct page *page,
			   struct check_report *report)
{
	const char *name = mapping->host->name;
	const unsigned long long index = page->index;
	const bool tracked = !mapping_is_shmem(mapping);
	const bool dirty = xa_get_mark(&mapping->i_pages, page->index, XA_MARK_DIRTY);
	const bool writeback = xa_get_mark(&mapping->i_pages, page->index, XA_MARK_WRITEBACK);

	CHECK_THAT(report, dirty == (tracked && page_test(page, PG_dirty)),
		   "%s: page %llu: dirty mark %d, flag %d", name, index, dirty,
		   page_test(page, PG_dirty));
	CHECK_THAT(report, writeback == (tracked && page_test(page, PG_writeback)),
		   "%s: page %llu: writeback mark %d, flag %d", name, index, writeback,
		   page_test(page, PG_writeback));
	CHECK_THAT(report, tracked || page_test(page, PG_dirty) || page_test(page, PG_swapcache),
		   "%s: page %llu of an object without store is clean", name, index);
	CHECK_THAT(report, tracked != page_test(page, PG_swapbacked), "%s: page %llu: swapbacked",
		   name, index);
}

static void validate_page(struct address_space *mapping, uint64_t index, struct page *page,
			  struct check_report *report)
{
	const char *name = mapping->host->name;
	const unsigned long long at = index;

	CHECK_THAT(report, page_mapping(page) == mapping, "%s: page %llu belongs elsewhere", name,
		   at);
	CHECK_THAT(report, page->index == index, "%s: page %llu thinks it is %llu", name, at,
		   (unsigned long long)page->index);
	CHECK_THAT(report, page_count(page) > page_mapcount(page),
		   "%s: page %llu has %d references and %d mappings", name, at, page_count(page),
		   page_mapcount(page));
	CHECK_THAT(report, page->memcg, "%s: page %llu is charged to nobody", name, at);
	CHECK_THAT(report, index < i_size_pages(mapping->host), "%s: page %llu beyond the end",
		   name, at);
	CHECK_THAT(report, page_test(page, PG_uptodate) || !page_mapped(page),
		   "%s: page %llu is mapped and not uptodate", name, at);
	CHECK_THAT(report, page_test(page, PG_uptodate) || !page_test(page, PG_dirty),
		   "%s: page %llu is dirty and not uptodate", name, at);
	CHECK_THAT(report, !page_locked(page), "%s: page %llu is locked", name, at);
	validate_marks(mapping, page, report);
}

static void validate_value(struct address_space *mapping, uint64_t index, const void *entry,
			   struct check_report *report)
{
	const char *name = mapping->host->name;

	if (mapping_is_shmem(mapping))
		CHECK_THAT(report, swap_count(mapping->host->quire, xa_to_swp_entry(entry)),
			   "%s: entry %llu in a free swap slot", name, (unsigned long long)index);
	CHECK_THAT(report,
		   !xa_get_mark(&mapping->i_pages, index, XA_MARK_DIRTY) &&
			   !xa_get_mark(&mapping->i_pages, index, XA_MARK_WRITEBACK),
		   "%s: value %llu is marked", name, (unsigned long long)index);
}

static void validate_i_mmap(struct address_space *mapping, struct check_report *report)
{
	const char *name = mapping->host->name;
	struct interval_tree_node *node;
	int32_t writable = 0;

	interval_tree_validate(&mapping->i_mmap, report);
	for (node = interval_tree_iter_first(&mapping->i_mmap, 0, UINT64_MAX); node;
	     node = interval_tree_iter_next(node, 0, UINT64_MAX)) {
		struct vm_area_struct *vma = container_of(node, struct vm_area_struct, shared);

		CHECK_THAT(report, vma->vm_file && vma->vm_file->f_mapping == mapping,
			   "%s: a VMA of another file is among those that map it", name);
		CHECK_THAT(report,
			   node->start == vma->vm_pgoff &&
				   node->last == vma->vm_pgoff + vma_pages(vma) - 1,
			   "%s: VMA at 0x%llx stands at wrong pages", name,
			   (unsigned long long)vma->vm_start);
		if ((vma->vm_flags & (VM_SHARED | VM_MAYWRITE)) == (VM_SHARED | VM_MAYWRITE))
			writable++;
	}
	CHECK_THAT(report, mapping->i_mmap_writable == writable || mapping->i_mmap_writable < 0,
		   "%s: %d writable shared mappings, counted %d", name, writable,
		   mapping->i_mmap_writable);
}

void address_space_validate(struct address_space *mapping, struct check_report *report)
{
	struct inode *inode = mapping->host;
	struct cache_census census = {0};
	uint64_t index;
	void *entry;

	spin_lock(&mapping->i_pages_lock);
	xa_validate(&mapping->i_pages, report);
	xa_for_each (&mapping->i_pages, index, entry) {
		if (xa_is_value(entry)) {
			census.values++;
			validate_value(mapping, index, entry, report);
		} else {
			census.pages++;
			validate_page(mapping, index, entry, report);
		}
	}
	CHECK_THAT(report, census.pages == mapping->nrpages, "%s: %llu pages, counted %llu",
		   inode->name, (unsigned long long)census.pages,
		   (unsigned long long)mapping->nrpages);
	CHECK_THAT(report, !mapping->writeback_pages, "%s: %llu pages under writeback", inode->name,
		   (unsigned long long)mapping->writeback_pages);
	CHECK_THAT(report, !xa_marked(&mapping->i_pages, XA_MARK_DIRTY) == !inode->dirty_since,
		   "%s: dirty since %lld", inode->name, (long long)inode->dirty_since);
	if (inode->noreserve)
		CHECK_THAT(report, inode->committed == census.pages + census.values,
			   "%s: %llu pages with contents, %llu committed", inode->name,
			   (unsigned long long)(census.pages + census.values),
			   (unsigned long long)inode->committed);
	spin_unlock(&mapping->i_pages_lock);
	read_lock(&mapping->i_mmap_lock);
	validate_i_mmap(mapping, report);
	read_unlock(&mapping->i_mmap_lock);
}

static bool identities_in_order(const struct rb_node *earlier, const struct rb_node *later)
{
	const struct inode *a = rb_entry(earlier, struct inode, i_node);
	const struct inode *b = rb_entry(later, struct inode, i_node);

	return a->dev < b->dev || (a->dev == b->dev && a->ino < b->ino);
}

void inodes_validate(struct quire *quire, struct check_report *report)
{
	const struct rb_check check = {.in_order = identities_in_order};
	const uint64_t in_tree = rb_validate(&quire->inode_tree, &check, report);
	uint64_t regular = 0;
	uint64_t shadows = 0;
	struct inode *inode;

	list_for_each_entry (inode, &quire->inodes, i_list) {
		if (inode->kind != INODE_REGULAR)
			continue;
		regular++;
		shadows += xa_count(&inode->i_data.i_pages) - inode->i_data.nrpages;
		CHECK_THAT(report, inode->refcount > 1 || !list_empty(&inode->i_idle),
			   "%s: without users and not idle", inode->name);
	}
	CHECK_THAT(report, regular == in_tree, "%llu files, of which %llu can be found",
		   (unsigned long long)regular, (unsigned long long)in_tree);
	CHECK_THAT(report, shadows == quire->nr_shadows, "%llu shadows, counted %llu",
		   (unsigned long long)shadows, (unsigned long long)quire->nr_shadows);
}
