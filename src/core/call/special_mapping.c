/* SPDX-License-Identifier: MIT */
/*
 * Mappings of frames that are Quire's own (see special_mapping.h): private mappings of a shmem
 * object that reclaim leaves alone.
 */
#include "core/call/special_mapping.h"

#include "core/file/filemap.h"
#include "core/file/shmem.h"
#include "core/instance/instance.h"
#include "core/vma/account.h"
#include "core/vma/vma.h"

#include <errno.h>

static int refuse_split(struct vm_area_struct *vma, uint64_t address)
{
	(void)vma;
	(void)address;
	return -EINVAL;
}

static const struct vm_operations_struct special_mapping_ops = {
	.name = "special mapping",
	.may_split = refuse_split,
};

/* Every page gets its frame now. */
static int fill_object(struct file *object, uint64_t pages)
{
	struct quire *quire = object->f_inode->quire;
	const struct filemap_context context = {.memcg = quire->root_memcg};

	for (pgoff_t index = 0; index < pages; index++) {
		struct page *page;
		int error = shmem_get_page(object->f_mapping, index, &context, SHMEM_WRITE, &page);

		if (error)
			return -ENOMEM;
		put_page(quire, page);
	}
	return 0;
}

int special_object_create(struct quire *quire, const char *name, uint64_t pages,
			  struct file **object)
{
	struct inode *inode;
	int error = shmem_create(quire, name, pages << PAGE_SHIFT, false, &inode);

	if (error)
		return error;
	inode->special = true;
	*object = file_alloc(inode, FMODE_READ | FMODE_WRITE);
	iput(inode);
	if (!*object)
		return -ENOMEM;
	error = fill_object(*object, pages);
	if (error)
		fput(*object);
	return error;
}

void *special_object_page(struct file *object, pgoff_t index)
{
	struct quire *quire = object->f_inode->quire;
	struct page *page = filemap_lookup(object->f_mapping, index);

	QUIRE_ASSERT(1, page && object->f_inode->special);
	/* The object keeps the frame. */
	put_page(quire, page);
	return page_address(&quire->zone, page);
}

static uint64_t object_bytes(const struct special_mapping *mapping)
{
	return i_size_read(mapping->object->f_inode);
}

static uint64_t mapping_flags(const struct special_mapping *mapping)
{
	return mapping->vm_flags | VM_DONTEXPAND;
}

static struct vm_area_struct *special_vma(struct mm_struct *mm,
					  const struct special_mapping *mapping, uint64_t address)
{
	struct vm_area_struct *vma = vm_area_alloc(mm);

	if (!vma)
		return NULL;
	vma->vm_start = address;
	vma->vm_end = address + object_bytes(mapping);
	vma->vm_flags = mapping_flags(mapping);
	vma->vm_file = mapping->object;
	get_file(vma->vm_file);
	vma->vm_ops = &special_mapping_ops;
	vma_set_page_prot(vma);
	return vma;
}

/* The VMAs made so far, linked, go again: nobody has touched them yet. */
static void remove_mappings(struct mm_struct *mm, uint64_t start, uint64_t end)
{
	struct vm_area_struct *vma;

	while ((vma = find_vma_intersection(mm, start, end))) {
		vm_stat_account(mm, vma->vm_file, vma->vm_flags, -(int64_t)vma_pages(vma));
		vma_unlink(mm, vma);
		vm_area_free(vma);
	}
}

static int64_t install_locked(struct mm_struct *mm, const struct special_mapping *mappings,
			      uint32_t count, uint64_t hint)
{
	uint64_t bytes = 0;
	uint64_t address;
	int64_t start;

	for (uint32_t i = 0; i < count; i++)
		bytes += object_bytes(&mappings[i]);
	if (!may_expand_vm(mm, 0, bytes >> PAGE_SHIFT) ||
	    mm->map_count + count > mm->quire->params.max_map_count)
		return -ENOMEM;
	start = get_unmapped_area(mm, hint, bytes, false);
	if (start < 0)
		return start;
	address = (uint64_t)start;
	for (uint32_t i = 0; i < count; i++) {
		struct vm_area_struct *vma = special_vma(mm, &mappings[i], address);

		if (!vma) {
			remove_mappings(mm, (uint64_t)start, address);
			return -ENOMEM;
		}
		vma_link(mm, vma);
		vm_stat_account(mm, vma->vm_file, vma->vm_flags, (int64_t)vma_pages(vma));
		address = vma->vm_end;
	}
	return start;
}

int64_t install_special_mappings(struct mm_struct *mm, const struct special_mapping *mappings,
				 uint32_t count, uint64_t hint)
{
	int64_t start;

	mmap_write_lock(mm);
	start = install_locked(mm, mappings, count, hint);
	mmap_write_unlock(mm);
	return start;
}
