/* SPDX-License-Identifier: MIT */
/*
 * Views into Quire: each function fills a reply with indented lines and the same as JSON. Nothing
 * else is under way but I/O, so a view is a picture of one moment.
 */
#ifndef QUIRE_TOOLS_SHELL_SOFT_SHOW_H
#define QUIRE_TOOLS_SHELL_SOFT_SHOW_H

#include "tools/shell/soft_task.h"

/*
 * Adds a member to a JSON object, and the line `NAME VALUE` to the reply unless it is NULL:
 * decimal, hexadecimal (a string `0x...` in JSON), text.
 */
void show_number(struct shell_reply *reply, json_t *object, const char *name, uint64_t value);
void show_hex(struct shell_reply *reply, json_t *object, const char *name, uint64_t value);
void show_text(struct shell_reply *reply, json_t *object, const char *name, const char *value);
/* Adds `element` to a member that is a list, which is made when it is not there. */
void show_append(json_t *object, const char *name, json_t *element);
json_t *show_hex_json(uint64_t value);

/* Names of the bits that are set, apart by commas, or `-`; cut at the size of the buffer. */
struct show_flag {
	uint64_t bit;
	const char *name;
};
void show_flags(char *buffer, size_t size, uint64_t flags, const struct show_flag *names,
		size_t count);

/* The VMA that covers the address of the view, with mmap_lock held for reading; or NULL, the lock
 * not held, and the reply says so. */
struct vm_area_struct *show_lock_vma(struct mm_struct *mm, const struct shell_show *show,
				     struct shell_reply *reply);

/* soft_show_mm.c: `mm`, `vma`, `tree`, `list`, `layout` */
void show_mm(struct shell_task *task, const struct shell_show *show, struct shell_reply *reply);
void show_vma(struct shell_task *task, const struct shell_show *show, struct shell_reply *reply);
void show_list(struct shell_task *task, const struct shell_show *show, struct shell_reply *reply);
void show_tree(struct shell_task *task, const struct shell_show *show, struct shell_reply *reply);
void show_layout(struct shell_task *task, const struct shell_show *show, struct shell_reply *reply);

/* soft_show_pages.c: `pte`, `pagetable`, `state` */
void show_pte(struct shell_task *task, const struct shell_show *show, struct shell_reply *reply);
void show_pagetable(struct shell_task *task, const struct shell_show *show,
		    struct shell_reply *reply);
void show_state(struct shell_task *task, const struct shell_show *show, struct shell_reply *reply);
/* The page of a frame as members of an object, and as one line. */
void show_page(struct shell_reply *reply, json_t *object, struct quire *quire, struct page *page);

/* soft_show_objects.c: `cache`, `rmap`, `anon` */
void show_cache(struct shell_task *task, const struct shell_show *show, struct shell_reply *reply);
void show_rmap(struct shell_task *task, const struct shell_show *show, struct shell_reply *reply);
void show_anon(struct shell_task *task, const struct shell_show *show, struct shell_reply *reply);

/* soft_show_system.c: `lru`, `swap`, `stat` */
void show_lru(struct shell_task *task, const struct shell_show *show, struct shell_reply *reply);
void show_swap(struct shell_task *task, const struct shell_show *show, struct shell_reply *reply);
void show_stat(struct shell_task *task, const struct shell_show *show, struct shell_reply *reply);

#endif
