/* SPDX-License-Identifier: MIT */
/*
 * VMAs of the soft machine in the form of /proc/PID/maps.
 */
#include <string.h>

#include "core/file/address_space.h"
#include "core/vma/vma.h"
#include "tools/shell/soft_task.h"

static const char *anonymous_name(const struct vm_area_struct *vma)
{
	const struct mm_struct *mm = vma->vm_mm;

	if (vma->vm_start < mm->brk && vma->vm_end > mm->start_brk)
		return "heap";
	if (vma->vm_start <= mm->start_stack && vma->vm_end >= mm->start_stack)
		return "stack";
	return "anon";
}

static const char *file_name(const struct vm_area_struct *vma)
{
	const struct inode *inode = vma->vm_file->f_inode;

	if (vma->vm_flags & VM_DEV_ZERO)
		return "zero";
	if (inode->kind == INODE_SHMEM && strncmp(inode->name, "memfd:", 6) != 0)
		return "shared";
	return inode->name;
}

void soft_describe_vma(const struct vm_area_struct *vma, struct shell_vma *description)
{
	description->start = vma->vm_start;
	description->end = vma->vm_end;
	description->perms[0] = vma->vm_flags & VM_READ ? 'r' : '-';
	description->perms[1] = vma->vm_flags & VM_WRITE ? 'w' : '-';
	description->perms[2] = vma->vm_flags & VM_EXEC ? 'x' : '-';
	description->perms[3] = vma->vm_flags & VM_MAYSHARE ? 's' : 'p';
	description->perms[4] = '\0';
	description->offset = vma->vm_file ? vma->vm_pgoff << PAGE_SHIFT : 0;
	description->name = vma->vm_file ? file_name(vma) : anonymous_name(vma);
}

int soft_maps(struct shell_task *task, shell_vma_visitor *visit, void *context)
{
	struct vm_area_struct *vma;

	soft_background(task->machine);
	mmap_read_lock(task->mm);
	for_each_vma (task->mm, vma) {
		struct shell_vma description;

		soft_describe_vma(vma, &description);
		visit(context, &description);
	}
	mmap_read_unlock(task->mm);
	return 0;
}
