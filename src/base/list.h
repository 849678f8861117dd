/* SPDX-License-Identifier: MIT */
/*
 * Circular doubly linked lists threaded through their members, in the shape of Linux's
 * <linux/list.h>.
 *
 * A list is a `struct list_head` on its own; a member is a structure with a `struct list_head`
 * inside. Everything is O(1) but for the loops. No locking inside: the list belongs to the lock of
 * whoever owns its head.
 */
#ifndef QUIRE_BASE_LIST_H
#define QUIRE_BASE_LIST_H

#include "base/types.h"

struct list_head {
	struct list_head *prev;
	struct list_head *next;
};

/* Addresses that are never mapped, so that following the links of a deleted entry faults at once.
 */
#define LIST_POISON_PREV ((struct list_head *)(uintptr_t)0xdead000000000100)
#define LIST_POISON_NEXT ((struct list_head *)(uintptr_t)0xdead000000000200)

/* Initialiser of a static list: `struct list_head name = LIST_HEAD_INIT(name);` */
#define LIST_HEAD_INIT(name) \
	{ \
		&(name), &(name) \
	}

/* Makes an empty list, or an entry that is on no list and that list_del_init() and list_empty()
 * accept. */
static inline void list_init(struct list_head *head)
{
	head->prev = head;
	head->next = head;
}

static inline bool list_empty(const struct list_head *head)
{
	return head->next == head;
}

static inline void list_insert_between(struct list_head *entry, struct list_head *prev,
				       struct list_head *next)
{
	entry->prev = prev;
	entry->next = next;
	prev->next = entry;
	next->prev = entry;
}

/* Adds right after `head`: as the first entry, or behind another entry. */
static inline void list_add(struct list_head *entry, struct list_head *head)
{
	list_insert_between(entry, head, head->next);
}

/* Adds right before `head`: as the last entry, or in front of another entry. */
static inline void list_add_tail(struct list_head *entry, struct list_head *head)
{
	list_insert_between(entry, head->prev, head);
}

static inline void list_unlink(struct list_head *entry)
{
	entry->prev->next = entry->next;
	entry->next->prev = entry->prev;
}

/* Removes an entry and poisons its links: it may be added again, but neither deleted nor asked
 * whether it is empty. */
static inline void list_del(struct list_head *entry)
{
	list_unlink(entry);
	entry->prev = LIST_POISON_PREV;
	entry->next = LIST_POISON_NEXT;
}

/* Removes an entry and leaves it as list_init() would; harmless on an entry that is on no list. */
static inline void list_del_init(struct list_head *entry)
{
	list_unlink(entry);
	list_init(entry);
}

/* From whatever list the entry is on to the front of `head`. */
static inline void list_move(struct list_head *entry, struct list_head *head)
{
	list_unlink(entry);
	list_add(entry, head);
}

/* From whatever list the entry is on to the end of `head`. */
static inline void list_move_tail(struct list_head *entry, struct list_head *head)
{
	list_unlink(entry);
	list_add_tail(entry, head);
}

/* Appends all entries of `list` to `head` in their order and leaves `list` empty. */
static inline void list_splice_tail_init(struct list_head *list, struct list_head *head)
{
	if (list_empty(list))
		return;
	list->next->prev = head->prev;
	head->prev->next = list->next;
	list->prev->next = head;
	head->prev = list->prev;
	list_init(list);
}

#define list_entry(ptr, type, member) container_of(ptr, type, member)

/* The list must not be empty for the first and last entries. */
#define list_first_entry(head, type, member) list_entry((head)->next, type, member)
#define list_last_entry(head, type, member) list_entry((head)->prev, type, member)

/* The links of `pos`, found by address: at the end of a loop `pos` is no entry, and not aligned as
 * one. */
#define list_links(pos, member) \
	((struct list_head *)((char *)(pos) + offsetof(__typeof__(*(pos)), member)))

#define list_next_entry(pos, member) \
	list_entry(list_links(pos, member)->next, __typeof__(*(pos)), member)
#define list_prev_entry(pos, member) \
	list_entry(list_links(pos, member)->prev, __typeof__(*(pos)), member)

/* Whether a loop over `head` has come round, so that `pos` is no entry. */
#define list_entry_is_head(pos, head, member) (list_links(pos, member) == (head))

#define list_for_each_entry(pos, head, member) \
	for (pos = list_first_entry(head, __typeof__(*pos), member); \
	     !list_entry_is_head(pos, head, member); pos = list_next_entry(pos, member))

#define list_for_each_entry_reverse(pos, head, member) \
	for (pos = list_last_entry(head, __typeof__(*pos), member); \
	     !list_entry_is_head(pos, head, member); pos = list_prev_entry(pos, member))

/* `n` is a second cursor: the body may remove and free `pos`, but not `n`. */
#define list_for_each_entry_safe(pos, n, head, member) \
	for (pos = list_first_entry(head, __typeof__(*pos), member), \
	    n = list_next_entry(pos, member); \
	     !list_entry_is_head(pos, head, member); pos = n, n = list_next_entry(n, member))

#endif
