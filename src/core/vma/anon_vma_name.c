/* SPDX-License-Identifier: MIT */
/*
 * Names of anonymous VMAs: shared by the parts of a VMA that was split, and by forks.
 */
#include "base/alloc.h"
#include "core/vma/internal.h"

#include <string.h>

struct anon_vma_name *anon_vma_name_alloc(const char *text)
{
	const size_t bytes = strlen(text) + 1;
	struct anon_vma_name *name = quire_zalloc(sizeof(*name) + bytes);

	if (!name)
		return NULL;
	atomic_store_explicit(&name->refcount, 1, memory_order_relaxed);
	memcpy(name->text, text, bytes);
	return name;
}

void anon_vma_name_get(struct anon_vma_name *name)
{
	if (name)
		atomic_fetch_add_explicit(&name->refcount, 1, memory_order_relaxed);
}

void anon_vma_name_put(struct anon_vma_name *name)
{
	if (name && atomic_fetch_sub_explicit(&name->refcount, 1, memory_order_acq_rel) == 1)
		quire_free(name);
}

bool anon_vma_name_equal(const struct anon_vma_name *a, const struct anon_vma_name *b)
{
	if (a == b)
		return true;
	return a && b && strcmp(a->text, b->text) == 0;
}

void vma_set_anon_name(struct vm_area_struct *vma, struct anon_vma_name *name)
{
	if (vma->vm_file || vma->anon_name == name)
		return;
	anon_vma_name_get(name);
	anon_vma_name_put(vma->anon_name);
	vma->anon_name = name;
}
