/* SPDX-License-Identifier: MIT */
/*
 * The inodes of an instance: made on the first open of an identity, found again by it, kept while
 * they have users or pages.
 *
 *   made -> [users: refcount above that of the list] -> cached (regular, pages left)
 *        -> [found again by inode_get()] ...
 *        -> off the list (last user of a shmem object; no users and no pages left) -> freed
 *
 * The list holds one reference of a regular file, none of a shmem object. The step off the list is
 * taken under inodes_lock, under which alone references are found anew, so it is taken once: by the
 * last user, by a later open when reclaim took the last page later, or with the instance.
 *
 * Regular files stand in a tree by identity as well, and those without users on a list from which
 * each open looks at a few: so an open costs no more when there are many files.
 */
#include "core/file/address_space.h"

#include "base/alloc.h"
#include "core/file/internal.h"
#include "core/file/shmem.h"
#include "core/file/writeback.h"
#include "core/instance/instance.h"
#include "core/vma/account.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Idle inodes that an open looks at: more than one, so that they go faster than they come. */
#define REAP_BATCH 4

static void address_space_init(struct address_space *mapping, struct inode *inode)
{
	mapping->host = inode;
	xa_init(&mapping->i_pages);
	spin_lock_init(&mapping->i_pages_lock, LOCK_I_PAGES);
	rwlock_init(&mapping->i_mmap_lock, LOCK_I_MMAP);
	mapping->i_mmap = INTERVAL_TREE_ROOT;
	rwlock_init(&mapping->invalidate_lock, LOCK_INVALIDATE);
}

/* What follows the last slash of a path; objects in memory have names. */
static const char *name_of(const char *path, enum inode_kind kind)
{
	const char *slash = kind == INODE_SHMEM ? NULL : strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static struct inode *inode_alloc(struct quire *quire, const char *path, enum inode_kind kind)
{
	struct inode *inode = quire_zalloc(sizeof(*inode) + strlen(path) + 1);

	if (!inode)
		return NULL;
	inode->quire = quire;
	inode->kind = kind;
	mutex_init(&inode->i_rwsem, LOCK_INODE);
	address_space_init(&inode->i_data, inode);
	list_init(&inode->i_files);
	list_init(&inode->i_idle);
	atomic_store_explicit(&inode->refcount, 1, memory_order_relaxed);
	inode->sequence = atomic_fetch_add_explicit(&quire->next_id, 1, memory_order_relaxed);
	memcpy(inode->path, path, strlen(path) + 1);
	inode->name = name_of(inode->path, kind);
	return inode;
}

void inode_label(const struct inode *inode, const char *path, char label[INODE_LABEL])
{
	const bool object = inode->kind == INODE_SHMEM && !inode->special;

	snprintf(label, INODE_LABEL, object ? "/%s (deleted)" : "%s", path);
}

static void keep_stat(const struct inode *inode)
{
	char label[INODE_LABEL];

	inode_label(inode, inode->path, label);
	mapping_stat_keep(inode->quire, label, &inode->i_stat);
}

/* Off the list, and nobody else knows it. */
static void inode_free(struct inode *inode)
{
	struct address_space *mapping = &inode->i_data;
	struct quire_store *store = inode_store(inode);

	write_lock(&mapping->invalidate_lock);
	truncate_inode_pages(mapping, 0, UINT64_MAX);
	write_unlock(&mapping->invalidate_lock);
	QUIRE_ASSERT(1, interval_tree_empty(&mapping->i_mmap) && list_empty(&inode->i_files));
	xa_destroy(&mapping->i_pages);
	keep_stat(inode);
	if (inode->committed)
		vm_unacct_memory(inode->quire, inode->committed);
	if (store)
		store->ops->close(store);
	if (inode->old_store)
		inode->old_store->ops->close(inode->old_store);
	quire_free(inode);
}

/* References that the list itself holds. */
static uint32_t list_references(const struct inode *inode)
{
	return inode->kind == INODE_REGULAR ? 1 : 0;
}

/* The identity as (dev, ino), dev first: below, equal to or above that of the inode. */
static int compare_identity(uint64_t dev, uint64_t ino, const struct inode *inode)
{
	if (dev != inode->dev)
		return dev < inode->dev ? -1 : 1;
	return ino < inode->ino ? -1 : ino > inode->ino;
}

/* Under inodes_lock, and no inode of the identity is there. */
static void tree_insert(struct inode *inode)
{
	struct rb_root *root = &inode->quire->inode_tree;
	struct rb_node **link = &root->rb_node;
	struct rb_node *parent = NULL;

	while (*link) {
		parent = *link;
		link = compare_identity(inode->dev, inode->ino,
					rb_entry(parent, struct inode, i_node)) < 0
			       ? &parent->rb_left
			       : &parent->rb_right;
	}
	rb_link_node(&inode->i_node, parent, link);
	rb_insert_color(&inode->i_node, root);
}

static void list_insert(struct inode *inode)
{
	list_add_tail(&inode->i_list, &inode->quire->inodes);
	atomic_fetch_add_explicit(&inode->refcount, list_references(inode), memory_order_relaxed);
	if (inode->kind == INODE_REGULAR)
		tree_insert(inode);
}

/* Under inodes_lock: nobody finds it any more. */
static void list_remove(struct inode *inode)
{
	list_del(&inode->i_list);
	list_del(&inode->i_idle);
	if (inode->kind == INODE_REGULAR)
		rb_erase(&inode->i_node, &inode->quire->inode_tree);
}

void iget(struct inode *inode)
{
	atomic_fetch_add_explicit(&inode->refcount, 1, memory_order_relaxed);
}

/* Under inodes_lock: only the list knows it. */
static bool inode_is_idle(const struct inode *inode)
{
	return atomic_load_explicit(&inode->refcount, memory_order_acquire) ==
	       list_references(inode);
}

/* The same, and no page keeps it there. */
static bool inode_is_unused(const struct inode *inode)
{
	return inode_is_idle(inode) &&
	       (inode->kind != INODE_REGULAR ||
		!atomic_load_explicit(&inode->i_data.nrpages, memory_order_relaxed));
}

void iput(struct inode *inode)
{
	struct quire *quire = inode->quire;
	bool last;

	spin_lock(&quire->inodes_lock);
	atomic_fetch_sub_explicit(&inode->refcount, 1, memory_order_acq_rel);
	last = inode_is_unused(inode);
	if (last)
		list_remove(inode);
	else if (inode_is_idle(inode))
		list_move_tail(&inode->i_idle, &quire->idle_inodes);
	spin_unlock(&quire->inodes_lock);
	if (last)
		inode_free(inode);
}

/* Under inodes_lock: the inode of the identity, with a reference, or NULL. */
static struct inode *inode_find(struct quire *quire, uint64_t dev, uint64_t ino)
{
	struct rb_node *node = quire->inode_tree.rb_node;

	while (node) {
		struct inode *inode = rb_entry(node, struct inode, i_node);
		int order = compare_identity(dev, ino, inode);

		if (!order) {
			iget(inode);
			return inode;
		}
		node = order < 0 ? node->rb_left : node->rb_right;
	}
	return NULL;
}

struct inode *inode_lookup(struct quire *quire, uint64_t dev, uint64_t ino)
{
	struct inode *inode;

	spin_lock(&quire->inodes_lock);
	inode = inode_find(quire, dev, ino);
	spin_unlock(&quire->inodes_lock);
	return inode;
}

/* The inode has a store already: a writable one takes the place of a read-only one, any other is
 * not needed. */
static void inode_offer_store(struct inode *inode, struct quire_store *store)
{
	struct quire_store *unneeded = store;

	mutex_lock(&inode->i_rwsem);
	if (store->writable && !inode_store(inode)->writable) {
		/* Reads of the old one may be under way. */
		inode->old_store = inode_store(inode);
		atomic_store_explicit(&inode->store, store, memory_order_release);
		unneeded = NULL;
	}
	mutex_unlock(&inode->i_rwsem);
	if (unneeded)
		unneeded->ops->close(unneeded);
}

/* Frees some of the inodes that nobody uses and whose last pages reclaim has taken. Those in use
 * again leave the list here, those with pages go to its end. */
static void inodes_reap(struct quire *quire)
{
	struct list_head unused = LIST_HEAD_INIT(unused);
	struct inode *inode, *next;

	spin_lock(&quire->inodes_lock);
	for (int i = 0; i < REAP_BATCH && !list_empty(&quire->idle_inodes); i++) {
		inode = list_first_entry(&quire->idle_inodes, struct inode, i_idle);
		if (!inode_is_idle(inode)) {
			list_del_init(&inode->i_idle);
		} else if (!inode_is_unused(inode)) {
			list_move_tail(&inode->i_idle, &quire->idle_inodes);
		} else {
			list_remove(inode);
			list_add(&inode->i_list, &unused);
		}
	}
	spin_unlock(&quire->inodes_lock);
	list_for_each_entry_safe (inode, next, &unused, i_list) {
		list_del(&inode->i_list);
		inode_free(inode);
	}
}

/* A regular file's inode, on no list yet. */
static int inode_make(struct quire *quire, const char *path, struct quire_store *store,
		      struct inode **result)
{
	int64_t size = store->ops->size(store);
	struct inode *inode;

	if (size < 0)
		return (int)size;
	inode = inode_alloc(quire, path, INODE_REGULAR);
	if (!inode)
		return -ENOMEM;
	atomic_store_explicit(&inode->store, store, memory_order_relaxed);
	i_size_write(inode, (uint64_t)size);
	*result = inode;
	return 0;
}

int inode_get(struct quire *quire, uint64_t dev, uint64_t ino, const char *path,
	      struct quire_store *store, struct inode **result)
{
	struct inode *made = NULL, *found;
	int error;

	found = inode_lookup(quire, dev, ino);
	if (!found) {
		inodes_reap(quire);
		error = inode_make(quire, path, store, &made);
		if (error)
			return error;
		made->dev = dev;
		made->ino = ino;
		spin_lock(&quire->inodes_lock);
		found = inode_find(quire, dev, ino);
		if (!found)
			list_insert(made);
		spin_unlock(&quire->inodes_lock);
	}
	if (found) {
		quire_free(made);
		inode_offer_store(found, store);
		made = found;
	}
	*result = made;
	return 0;
}

static void inode_publish(struct inode *inode)
{
	spin_lock(&inode->quire->inodes_lock);
	list_insert(inode);
	spin_unlock(&inode->quire->inodes_lock);
}

int shmem_create(struct quire *quire, const char *name, uint64_t bytes, bool noreserve,
		 struct inode **result)
{
	struct inode *inode = inode_alloc(quire, name, INODE_SHMEM);
	int error;

	if (!inode)
		return -ENOMEM;
	inode->noreserve = noreserve;
	inode->seals = QUIRE_SEAL_SEAL;
	error = shmem_account_size(inode, 0, bytes);
	if (error) {
		quire_free(inode);
		return error;
	}
	i_size_write(inode, bytes);
	inode_publish(inode);
	*result = inode;
	return 0;
}

int dev_zero_create(struct quire *quire, uint64_t dev, uint64_t ino, struct inode **result)
{
	struct inode *inode = inode_alloc(quire, "/dev/zero", INODE_ZERO);

	if (!inode)
		return -ENOMEM;
	inode->dev = dev;
	inode->ino = ino;
	inode_publish(inode);
	*result = inode;
	return 0;
}

struct inode *inode_next(struct quire *quire, struct inode *previous)
{
	struct list_head *head = &quire->inodes;
	struct inode *next;

	spin_lock(&quire->inodes_lock);
	next = previous ? list_next_entry(previous, i_list)
			: list_first_entry(head, struct inode, i_list);
	if (list_entry_is_head(next, head, i_list))
		next = NULL;
	else
		iget(next);
	spin_unlock(&quire->inodes_lock);
	if (previous)
		iput(previous);
	return next;
}

struct inode *inode_next_idle(struct quire *quire, struct inode *previous, uint64_t last)
{
	const uint64_t after = previous ? previous->sequence : 0;
	struct inode *inode, *next = NULL;

	spin_lock(&quire->inodes_lock);
	list_for_each_entry (inode, &quire->idle_inodes, i_idle) {
		if (inode_is_idle(inode) && (!previous || inode->sequence > after) &&
		    inode->sequence < last && (!next || inode->sequence < next->sequence))
			next = inode;
	}
	if (next)
		iget(next);
	spin_unlock(&quire->inodes_lock);
	if (previous)
		iput(previous);
	return next;
}

int inodes_destroy(struct quire *quire)
{
	struct writeback_control control = {
		.end = UINT64_MAX,
		.nr_to_write = UINT64_MAX,
		.sync = true,
	};
	int error = writeback_instance(quire, &control);
	struct inode *inode, *next;
	struct file *file, *next_file;

	list_for_each_entry_safe (inode, next, &quire->inodes, i_list) {
		list_for_each_entry_safe (file, next_file, &inode->i_files, f_list) {
			list_del(&file->f_list);
			quire_free(file);
		}
		list_remove(inode);
		inode_free(inode);
	}
	return error;
}
