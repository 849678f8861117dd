/* SPDX-License-Identifier: MIT */
/*
 * Mappings of frames that are Quire's own, as the kernel maps its vDSO: named in brackets, shared
 * by all who map them, never swapped, never split.
 *
 * The frames are those of an object in memory. Whoever made it writes them through
 * special_object_page(), at any time; a program that has made its mapping writable gets a private
 * copy.
 */
#ifndef QUIRE_CORE_CALL_SPECIAL_MAPPING_H
#define QUIRE_CORE_CALL_SPECIAL_MAPPING_H

#include "core/vma/mm.h"

/*
 * An object of `pages` zero-filled pages, all of them in memory, that shows in maps as `name`
 * ("[vdso]"; at most 63 bytes). 0 and a handle in *object, given back by fput(); or -ENOMEM.
 */
QUIRE_MUST_CHECK int special_object_create(struct quire *quire, const char *name, uint64_t pages,
					   struct file **object);
/* Where Quire itself sees a page of the object: PAGE_SIZE bytes that stay there as long as the
 * handle is held. */
void *special_object_page(struct file *object, pgoff_t index);

/* One object as it is to be mapped, whole. */
struct special_mapping {
	struct file *object;
	uint64_t vm_flags; /* VM_READ and the like, and VM_MAYREAD...; VM_DONTEXPAND is implied */
};
/*
 * Maps `count` objects one right behind the other, each as a VMA that merges with nothing, at a
 * free place of the mmap area, at `hint` if that is one (0: none). The address of the first, or
 * -ENOMEM as a negative number with nothing mapped. Takes mmap_lock.
 */
int64_t install_special_mappings(struct mm_struct *mm, const struct special_mapping *mappings,
				 uint32_t count, uint64_t hint);

#endif
