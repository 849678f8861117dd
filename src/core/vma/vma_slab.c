/* SPDX-License-Identifier: MIT */
/*
 * Memory of VMAs: each mm carves them from chunks of its own, so that they lie close together on
 * whole cache lines and need no lock but mmap_lock. Chunks stay until the mm goes.
 */
#include "base/alloc.h"
#include "base/fail.h"
#include "core/file/address_space.h"
#include "core/reclaim/memcg.h"
#include "core/vma/internal.h"

#include <string.h>

struct vma_chunk {
	struct vma_chunk *next;
	uint32_t count;
	QUIRE_CACHE_ALIGNED struct vm_area_struct vmas[];
};

#define VMA_CHUNK_FIRST 20  /* VMAs in the first chunk */
#define VMA_CHUNK_MAX 1364u /* and at most: 256 KiB */

/* What a freed VMA is filled with in debug builds. */
#define POISON 0xda

static void push_unused(struct mm_struct *mm, struct vm_area_struct *vma)
{
	vma->vm_rb.rb_left = mm->vma_free ? &mm->vma_free->vm_rb : NULL;
	mm->vma_free = vma;
}

static struct vm_area_struct *next_unused(const struct vm_area_struct *vma)
{
	struct rb_node *next = vma->vm_rb.rb_left;

	return next ? rb_entry(next, struct vm_area_struct, vm_rb) : NULL;
}

static bool slab_grow(struct mm_struct *mm)
{
	uint32_t count = VMA_CHUNK_FIRST;

	if (mm->vma_chunks)
		count = mm->vma_chunks->count * 2 < VMA_CHUNK_MAX ? mm->vma_chunks->count * 2
								  : VMA_CHUNK_MAX;

	struct vma_chunk *chunk = quire_zalloc_aligned(
		64, sizeof(*chunk) + (size_t)count * sizeof(struct vm_area_struct));

	if (!chunk)
		return false;
	chunk->count = count;
	chunk->next = mm->vma_chunks;
	mm->vma_chunks = chunk;
	for (uint32_t i = count; i-- > 0;) {
		RB_CLEAR_NODE(&chunk->vmas[i].vm_rb);
		push_unused(mm, &chunk->vmas[i]);
	}
	return true;
}

struct vm_area_struct *vm_area_alloc(struct mm_struct *mm)
{
	struct vm_area_struct *vma;

	mmap_assert_write_locked(mm);
	if (quire_should_fail(FAIL_ALLOC))
		return NULL;
	if (unlikely(!mm->vma_free) && !slab_grow(mm))
		return NULL;
	vma = mm->vma_free;
	mm->vma_free = next_unused(vma);
	memset(vma, 0, sizeof(*vma));
	RB_CLEAR_NODE(&vma->vm_rb);
	list_init(&vma->anon_vma_chain);
	vma->vm_mm = mm;
	return vma;
}

struct vm_area_struct *vm_area_dup(struct mm_struct *mm, const struct vm_area_struct *vma)
{
	struct vm_area_struct *copy = vm_area_alloc(mm);

	if (!copy)
		return NULL;
	copy->vm_start = vma->vm_start;
	copy->vm_end = vma->vm_end;
	copy->vm_flags = vma->vm_flags;
	copy->vm_page_prot = vma->vm_page_prot;
	copy->vm_pgoff = vma->vm_pgoff;
	copy->vm_ops = vma->vm_ops;
	copy->vm_file = vma->vm_file;
	if (copy->vm_file)
		get_file(copy->vm_file);
	vma_set_anon_name(copy, vma_anon_name(vma));
	copy->vm_memcg = vma->vm_memcg;
	if (copy->vm_memcg)
		memcg_get(copy->vm_memcg);
	return copy;
}

void vm_area_free(struct vm_area_struct *vma)
{
	struct mm_struct *mm = vma->vm_mm;

	QUIRE_ASSERT(1, RB_EMPTY_NODE(&vma->vm_rb));
	QUIRE_ASSERT(1, list_empty(&vma->anon_vma_chain));
	vma->vm_start = vma->vm_end = 0;
	if (vma->vm_file)
		fput(vma->vm_file);
	else
		anon_vma_name_put(vma->anon_name);
	if (vma->vm_memcg)
		memcg_put(vma->vm_memcg);
	if (QUIRE_CHECK >= 1)
		memset(&vma->vm_page_prot, POISON,
		       sizeof(*vma) - offsetof(struct vm_area_struct, vm_page_prot));
	push_unused(mm, vma);
}

static uint64_t count_unused(const struct mm_struct *mm)
{
	uint64_t count = 0;

	for (const struct vm_area_struct *vma = mm->vma_free; vma; vma = next_unused(vma))
		count++;
	return count;
}

void vma_slab_destroy(struct mm_struct *mm)
{
	struct vma_chunk *chunk = mm->vma_chunks;
	uint64_t capacity = 0;

	if (QUIRE_CHECK >= 1) {
		for (const struct vma_chunk *c = chunk; c; c = c->next)
			capacity += c->count;
		/* Otherwise a VMA was neither freed nor in the mm: leaked. */
		QUIRE_ASSERT(1, capacity == count_unused(mm));
	}
	while (chunk) {
		struct vma_chunk *next = chunk->next;

		quire_free(chunk);
		chunk = next;
	}
}
