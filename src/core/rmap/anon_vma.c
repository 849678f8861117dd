/* SPDX-License-Identifier: MIT */
/*
 * anon_vma: life of the reverse map of anonymous memory, from a VMA's first page over splits and
 * forks to its end.
 *
 * Invariants, under the root's lock
 *  1. A VMA with an anon_vma has a chain node for it, and one for each anon_vma that its ancestors
 *     had at the fork; all of one family, that is with one root.
 *  2. Whoever is in the tree of an anon_vma is in the tree of its parent too, so a parent never
 *     becomes empty before its children.
 *  3. num_children counts anon_vmas whose parent it is and whose tree is not empty.
 */
#include "core/rmap/rmap.h"

#include "base/alloc.h"
#include "core/file/address_space.h"
#include "core/instance/instance.h"
#include "core/vma/vma.h"

#include <errno.h>

static struct anon_vma *vma_anon_vma(const struct vm_area_struct *vma)
{
	return atomic_load_explicit(&vma->anon_vma, memory_order_acquire);
}

static void vma_set_anon_vma(struct vm_area_struct *vma, struct anon_vma *anon_vma)
{
	atomic_store_explicit(&vma->anon_vma, anon_vma, memory_order_release);
}

static struct anon_vma *take_free_anon_vma(struct quire *quire)
{
	struct anon_vma *anon_vma;

	spin_lock(&quire->anon_vma_lock);
	anon_vma = quire->anon_vma_free;
	if (anon_vma)
		quire->anon_vma_free = anon_vma->next_free;
	spin_unlock(&quire->anon_vma_lock);
	return anon_vma;
}

/* The lock is initialised once only: a late walk may be about to release it. */
static struct anon_vma *anon_vma_alloc(struct quire *quire)
{
	struct anon_vma *anon_vma = take_free_anon_vma(quire);

	if (!anon_vma) {
		anon_vma = quire_zalloc(sizeof(*anon_vma));
		if (!anon_vma)
			return NULL;
		rwlock_init(&anon_vma->rwlock, LOCK_ANON_VMA);
	}
	anon_vma->parent = NULL;
	anon_vma->num_children = 0;
	anon_vma->num_active_vmas = 0;
	anon_vma->rb_root = INTERVAL_TREE_ROOT;
	anon_vma->next_free = NULL;
	atomic_store_explicit(&anon_vma->refcount, 1, memory_order_relaxed);
	atomic_store_explicit(&anon_vma->root, anon_vma, memory_order_release);
	return anon_vma;
}

static void put_anon_vma(struct quire *quire, struct anon_vma *anon_vma)
{
	while (atomic_fetch_sub_explicit(&anon_vma->refcount, 1, memory_order_acq_rel) == 1) {
		struct anon_vma *root = anon_vma_root(anon_vma);

		spin_lock(&quire->anon_vma_lock);
		anon_vma->next_free = quire->anon_vma_free;
		quire->anon_vma_free = anon_vma;
		spin_unlock(&quire->anon_vma_lock);
		if (root == anon_vma)
			return;
		anon_vma = root;
	}
}

void anon_vmas_destroy(struct quire *quire)
{
	struct anon_vma *anon_vma;

	while ((anon_vma = take_free_anon_vma(quire)))
		quire_free(anon_vma);
}

/* Under the root's lock; the order of the chain is youngest anon_vma first. */
static void anon_vma_chain_link(struct anon_vma_chain *avc, struct vm_area_struct *vma,
				struct anon_vma *anon_vma)
{
	avc->vma = vma;
	avc->anon_vma = anon_vma;
	avc->node.start = vma->vm_pgoff;
	avc->node.last = vma->vm_pgoff + vma_pages(vma) - 1;
	list_add(&avc->same_vma, &vma->anon_vma_chain);
	interval_tree_insert(&avc->node, &anon_vma->rb_root);
}

/* `a` stands right before `b`: could the two become one VMA, but for their protection? */
static bool anon_vma_compatible(const struct vm_area_struct *a, const struct vm_area_struct *b)
{
	return a->vm_end == b->vm_start && a->vm_file == b->vm_file && a->vm_memcg == b->vm_memcg &&
	       !((a->vm_flags ^ b->vm_flags) & ~(VM_ACCESS_FLAGS | VM_STICKY)) &&
	       b->vm_pgoff == a->vm_pgoff + vma_pages(a);
}

/* One whose pages are all of its own making: with ancestors' chains the two could never merge. */
static struct anon_vma *reusable_anon_vma(const struct vm_area_struct *before,
					  const struct vm_area_struct *after,
					  const struct vm_area_struct *donor)
{
	struct anon_vma *anon_vma = vma_anon_vma(donor);
	const struct list_head *chain = &donor->anon_vma_chain;

	if (!anon_vma || !anon_vma_compatible(before, after))
		return NULL;
	return chain->next != chain && chain->next->next == chain ? anon_vma : NULL;
}

/* The neighbours cannot go while mmap_lock is held; their first anon_vma may come, under
 * page_table_lock. */
static struct anon_vma *find_mergeable_anon_vma(struct vm_area_struct *vma)
{
	struct vm_area_struct *next = vma_next(vma);
	struct vm_area_struct *prev = vma_prev(vma);
	struct anon_vma *anon_vma = NULL;

	spin_lock(&vma->vm_mm->page_table_lock);
	if (next)
		anon_vma = reusable_anon_vma(vma, next, next);
	if (!anon_vma && prev)
		anon_vma = reusable_anon_vma(prev, vma, prev);
	spin_unlock(&vma->vm_mm->page_table_lock);
	return anon_vma;
}

/* False: another fault was faster. */
static bool install_anon_vma(struct vm_area_struct *vma, struct anon_vma *anon_vma,
			     struct anon_vma_chain *avc)
{
	struct anon_vma *root = anon_vma_root(anon_vma);
	bool installed = false;

	write_lock(&root->rwlock);
	spin_lock(&vma->vm_mm->page_table_lock);
	if (!vma_anon_vma(vma)) {
		anon_vma_chain_link(avc, vma, anon_vma);
		anon_vma->num_active_vmas++;
		vma_set_anon_vma(vma, anon_vma);
		installed = true;
	}
	spin_unlock(&vma->vm_mm->page_table_lock);
	write_unlock(&root->rwlock);
	return installed;
}

int anon_vma_prepare(struct vm_area_struct *vma)
{
	struct quire *quire = vma->vm_mm->quire;
	struct anon_vma *anon_vma, *fresh = NULL;
	struct anon_vma_chain *avc;

	if (likely(vma_anon_vma(vma)))
		return 0;
	avc = quire_zalloc(sizeof(*avc));
	if (!avc)
		return -ENOMEM;
	anon_vma = find_mergeable_anon_vma(vma);
	if (!anon_vma) {
		anon_vma = fresh = anon_vma_alloc(quire);
		if (!anon_vma) {
			quire_free(avc);
			return -ENOMEM;
		}
	}
	if (!install_anon_vma(vma, anon_vma, avc)) {
		quire_free(avc);
		if (fresh)
			put_anon_vma(quire, fresh);
	}
	return 0;
}

/* As many chain nodes as `src` has, linked by same_vma on `nodes`. */
static int alloc_chain_nodes(const struct vm_area_struct *src, struct list_head *nodes)
{
	struct anon_vma_chain *avc, *next;

	list_init(nodes);
	list_for_each_entry (avc, &src->anon_vma_chain, same_vma) {
		struct anon_vma_chain *fresh = quire_zalloc(sizeof(*fresh));

		if (!fresh)
			goto no_memory;
		list_add(&fresh->same_vma, nodes);
	}
	return 0;

no_memory:
	list_for_each_entry_safe (avc, next, nodes, same_vma)
		quire_free(avc);
	return -ENOMEM;
}

/*
 * A forked child may take an anon_vma that no VMA calls its own any more instead of making one
 * more: without that, a line of processes each of which forks and exits would grow an endless
 * chain. One with two children would join pages of both, and a root keeps what the family has in
 * common.
 */
static bool anon_vma_reusable_by_fork(const struct anon_vma *anon_vma)
{
	return anon_vma->parent && anon_vma->num_children < 2 && !anon_vma->num_active_vmas;
}

static int clone_chain(struct vm_area_struct *dst, struct vm_area_struct *src, bool fork)
{
	struct list_head nodes;
	struct anon_vma_chain *avc;
	struct anon_vma *root, *own = fork ? NULL : vma_anon_vma(src);

	if (list_empty(&src->anon_vma_chain))
		return 0;
	if (alloc_chain_nodes(src, &nodes))
		return -ENOMEM;

	root = anon_vma_root(
		list_first_entry(&src->anon_vma_chain, struct anon_vma_chain, same_vma)->anon_vma);
	write_lock(&root->rwlock);
	list_for_each_entry_reverse (avc, &src->anon_vma_chain, same_vma) {
		struct anon_vma_chain *fresh =
			list_first_entry(&nodes, struct anon_vma_chain, same_vma);

		list_del(&fresh->same_vma);
		anon_vma_chain_link(fresh, dst, avc->anon_vma);
		if (fork && !own && vma_anon_vma(src) && anon_vma_reusable_by_fork(avc->anon_vma))
			own = avc->anon_vma;
	}
	if (own)
		own->num_active_vmas++;
	vma_set_anon_vma(dst, own);
	write_unlock(&root->rwlock);
	return 0;
}

int anon_vma_clone(struct vm_area_struct *dst, struct vm_area_struct *src)
{
	return clone_chain(dst, src, false);
}

int anon_vma_fork(struct vm_area_struct *child, struct vm_area_struct *parent)
{
	struct quire *quire = child->vm_mm->quire;
	struct anon_vma *above = vma_anon_vma(parent);
	struct anon_vma_chain *avc;
	struct anon_vma *anon_vma, *root;

	if (!above)
		return 0;
	if (clone_chain(child, parent, true))
		return -ENOMEM;
	if (vma_anon_vma(child))
		return 0;

	anon_vma = anon_vma_alloc(quire);
	avc = quire_zalloc(sizeof(*avc));
	if (!anon_vma || !avc)
		goto no_memory;

	root = anon_vma_root(above);
	atomic_fetch_add_explicit(&root->refcount, 1, memory_order_relaxed);
	anon_vma->parent = above;
	anon_vma->num_active_vmas = 1;
	atomic_store_explicit(&anon_vma->root, root, memory_order_release);
	write_lock(&root->rwlock);
	anon_vma_chain_link(avc, child, anon_vma);
	above->num_children++;
	vma_set_anon_vma(child, anon_vma);
	write_unlock(&root->rwlock);
	return 0;

no_memory:
	if (anon_vma)
		put_anon_vma(quire, anon_vma);
	quire_free(avc);
	unlink_anon_vmas(child);
	return -ENOMEM;
}

void unlink_anon_vmas(struct vm_area_struct *vma)
{
	struct quire *quire = vma->vm_mm->quire;
	struct anon_vma *own = vma_anon_vma(vma);
	struct anon_vma_chain *avc, *next;
	struct anon_vma *root;

	if (list_empty(&vma->anon_vma_chain))
		return;
	root = anon_vma_root(
		list_first_entry(&vma->anon_vma_chain, struct anon_vma_chain, same_vma)->anon_vma);

	write_lock(&root->rwlock);
	if (own)
		own->num_active_vmas--;
	vma_set_anon_vma(vma, NULL);
	list_for_each_entry_safe (avc, next, &vma->anon_vma_chain, same_vma) {
		struct anon_vma *anon_vma = avc->anon_vma;

		interval_tree_remove(&avc->node, &anon_vma->rb_root);
		if (interval_tree_empty(&anon_vma->rb_root)) {
			if (anon_vma->parent)
				anon_vma->parent->num_children--;
			continue;
		}
		list_del(&avc->same_vma);
		quire_free(avc);
	}
	write_unlock(&root->rwlock);

	/* What is left are the nodes of those that became empty: their memory goes after the lock,
	 * which may be in one of them. */
	list_for_each_entry_safe (avc, next, &vma->anon_vma_chain, same_vma) {
		QUIRE_ASSERT(1, !avc->anon_vma->num_children && !avc->anon_vma->num_active_vmas);
		put_anon_vma(quire, avc->anon_vma);
		list_del(&avc->same_vma);
		quire_free(avc);
	}
}

static struct anon_vma *vma_family(const struct vm_area_struct *vma)
{
	const struct list_head *chain = &vma->anon_vma_chain;

	if (list_empty(chain))
		return NULL;
	return anon_vma_root(list_first_entry(chain, struct anon_vma_chain, same_vma)->anon_vma);
}

void vma_rmap_lock(struct vm_area_struct *vma)
{
	struct anon_vma *root = vma_family(vma);

	if (!vma_is_anonymous(vma))
		write_lock(&vma->vm_file->f_mapping->i_mmap_lock);
	if (root)
		write_lock(&root->rwlock);
}

void vma_rmap_unlock(struct vm_area_struct *vma)
{
	struct anon_vma *root = vma_family(vma);

	if (root)
		write_unlock(&root->rwlock);
	if (!vma_is_anonymous(vma))
		write_unlock(&vma->vm_file->f_mapping->i_mmap_lock);
}

void vma_interval_remove(struct vm_area_struct *vma)
{
	struct anon_vma_chain *avc;

	if (!vma_is_anonymous(vma))
		interval_tree_remove(&vma->shared, &vma->vm_file->f_mapping->i_mmap);
	list_for_each_entry (avc, &vma->anon_vma_chain, same_vma)
		interval_tree_remove(&avc->node, &avc->anon_vma->rb_root);
}

void vma_interval_insert(struct vm_area_struct *vma)
{
	const uint64_t first = vma->vm_pgoff;
	const uint64_t last = first + vma_pages(vma) - 1;
	struct anon_vma_chain *avc;

	if (!vma_is_anonymous(vma)) {
		vma->shared.start = first;
		vma->shared.last = last;
		interval_tree_insert(&vma->shared, &vma->vm_file->f_mapping->i_mmap);
	}
	list_for_each_entry (avc, &vma->anon_vma_chain, same_vma) {
		avc->node.start = first;
		avc->node.last = last;
		interval_tree_insert(&avc->node, &avc->anon_vma->rb_root);
	}
}
