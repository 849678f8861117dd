/* SPDX-License-Identifier: MIT */
/*
 * Building the stack of a new program (see exec_stack.h).
 */
#include "core/call/exec_stack.h"

#include "base/alloc.h"
#include "core/fault/fault.h"
#include "core/instance/instance.h"
#include "core/vma/account.h"
#include "core/vma/vma.h"

#include <errno.h>
#include <string.h>

#define MAX_ARG_STRLEN ((uint64_t)131072)
#define ARG_MAX_MINIMUM ((uint64_t)131072)
#define ARG_MAX_MAXIMUM ((uint64_t)6 << 20)
#define STACK_EXPAND ((uint64_t)131072) /* mapped below the strings from the start */
#define RANDOM_BYTES 16
#define WORD sizeof(uint64_t)

/* Types of the auxiliary vector. */
enum {
	AT_NULL = 0,
	AT_PHDR = 3,
	AT_PHENT = 4,
	AT_PHNUM = 5,
	AT_PAGESZ = 6,
	AT_BASE = 7,
	AT_FLAGS = 8,
	AT_ENTRY = 9,
	AT_UID = 11,
	AT_EUID = 12,
	AT_GID = 13,
	AT_EGID = 14,
	AT_HWCAP = 16,
	AT_CLKTCK = 17,
	AT_SECURE = 23,
	AT_RANDOM = 25,
	AT_EXECFN = 31,
};
#define AUXV_ENTRIES 17
#define PROGRAM_HEADER_BYTES 56
#define CLOCK_TICKS 100

/* All strings and pointers to them, in bytes. */
static uint64_t strings_limit(uint64_t stack_limit)
{
	return max_u64(min_u64(stack_limit / 4, ARG_MAX_MAXIMUM), ARG_MAX_MINIMUM);
}

/* Adds one string; false: too long, alone or with the others. */
static bool add_string(const char *string, uint64_t *bytes, uint64_t *room)
{
	const uint64_t length = strnlen(string, MAX_ARG_STRLEN) + 1;

	if (length > MAX_ARG_STRLEN || length > *room)
		return false;
	*bytes += length;
	*room -= length;
	return true;
}

static bool add_strings(char *const *strings, uint64_t *count, uint64_t *bytes, uint64_t *room)
{
	for (; strings && strings[*count]; (*count)++) {
		if (*room < WORD)
			return false;
		*room -= WORD;
		if (!add_string(strings[*count], bytes, room))
			return false;
	}
	return true;
}

static char *copy_strings(char *to, char *const *strings)
{
	for (; strings && *strings; strings++) {
		const size_t length = strlen(*strings) + 1;

		memcpy(to, *strings, length);
		to += length;
	}
	return to;
}

/* Strings, as they end below the stack top. */
static uint64_t strings_bytes(const struct exec_stack *stack)
{
	return stack->arg_bytes + stack->env_bytes + stack->path_bytes + WORD;
}

static uint64_t table_words(const struct exec_stack *stack)
{
	return 1 + stack->argc + 1 + stack->envc + 1 + 2 * (uint64_t)AUXV_ENTRIES;
}

int exec_stack_prepare(struct exec_stack *stack, const struct quire_exec *exec,
		       uint64_t stack_limit)
{
	/* A program without any argument gets an empty one: many take argv[0] for granted. */
	static char *const no_arguments[] = {"", NULL};
	char *const *argv = exec->argv && exec->argv[0] ? exec->argv : no_arguments;
	uint64_t room = strings_limit(stack_limit);
	uint64_t bytes;
	char *to;

	*stack = (struct exec_stack){0};
	if (!add_string(exec->path, &stack->path_bytes, &room) ||
	    !add_strings(argv, &stack->argc, &stack->arg_bytes, &room) ||
	    !add_strings(exec->envp, &stack->envc, &stack->env_bytes, &room))
		return -E2BIG;

	/* The random bytes and the table end on 16 bytes each. */
	bytes = (strings_bytes(stack) + RANDOM_BYTES + 15) & ~(uint64_t)15;
	stack->bytes = (bytes + table_words(stack) * WORD + 15) & ~(uint64_t)15;
	stack->image = quire_zalloc(stack->bytes);
	if (!stack->image)
		return -ENOMEM;
	to = stack->image + stack->bytes - strings_bytes(stack);
	to = copy_strings(to, argv);
	to = copy_strings(to, exec->envp);
	memcpy(to, exec->path, stack->path_bytes);
	return 0;
}

void exec_stack_release(struct exec_stack *stack)
{
	quire_free(stack->image);
	stack->image = NULL;
}

/* Lowest address to map: room below the strings, but no more than the limit allows. */
static uint64_t stack_bottom(const struct mm_struct *mm, const struct exec_stack *stack,
			     uint64_t top)
{
	const uint64_t needed = PAGE_ALIGN(stack->bytes);
	const uint64_t wanted = PAGE_ALIGN(strings_bytes(stack)) + STACK_EXPAND;
	const uint64_t allowed = PAGE_ALIGN_DOWN(mm->limit[LIMIT_STACK]);

	return top - max_u64(needed, min_u64(wanted, allowed));
}

static void set_stack_fields(struct mm_struct *mm, const struct exec_stack *stack, uint64_t top)
{
	mm->arg_start = top - strings_bytes(stack);
	mm->arg_end = mm->arg_start + stack->arg_bytes;
	mm->env_start = mm->arg_end;
	mm->env_end = mm->env_start + stack->env_bytes;
	mm->start_stack = top - stack->bytes;
}

int exec_stack_map(struct mm_struct *mm, const struct exec_stack *stack, uint64_t top,
		   bool executable)
{
	const uint64_t start = stack_bottom(mm, stack, top);
	const uint64_t pages = (top - start) >> PAGE_SHIFT;
	const uint64_t flags = VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC |
			       VM_GROWSDOWN | VM_ACCOUNT | (executable ? VM_EXEC : 0);
	struct vm_area_struct *vma;
	int error;

	if (!may_expand_vm(mm, flags, pages))
		return -ENOMEM;
	error = security_vm_enough_memory(mm, pages);
	if (error)
		return error;
	vma = vm_area_alloc(mm);
	if (!vma) {
		vm_unacct_memory(mm->quire, pages);
		return -ENOMEM;
	}
	vma->vm_start = start;
	vma->vm_end = top;
	vma->vm_flags = flags;
	vma->vm_pgoff = start >> PAGE_SHIFT;
	vma_set_page_prot(vma);
	vma_link(mm, vma);
	vm_stat_account(mm, flags, (int64_t)pages);
	set_stack_fields(mm, stack, top);
	return 0;
}

/* A pointer for each of `count` strings that follow each other at `address`, then NULL. Returns the
 * address behind the last one. */
static uint64_t put_pointers(uint64_t **word, const char *strings, uint64_t count, uint64_t address)
{
	for (uint64_t i = 0; i < count; i++) {
		const uint64_t length = strlen(strings) + 1;

		*(*word)++ = address;
		address += length;
		strings += length;
	}
	*(*word)++ = 0;
	return address;
}

static uint64_t *put_auxv(uint64_t *word, const struct exec_auxv *auxv, uint64_t random,
			  uint64_t path)
{
	const uint64_t entries[AUXV_ENTRIES][2] = {
		{AT_HWCAP, 0},
		{AT_PAGESZ, PAGE_SIZE},
		{AT_CLKTCK, CLOCK_TICKS},
		{AT_PHDR, auxv->phdr},
		{AT_PHENT, PROGRAM_HEADER_BYTES},
		{AT_PHNUM, auxv->phnum},
		{AT_BASE, auxv->base},
		{AT_FLAGS, 0},
		{AT_ENTRY, auxv->entry},
		{AT_UID, 0},
		{AT_EUID, 0},
		{AT_GID, 0},
		{AT_EGID, 0},
		{AT_SECURE, 0},
		{AT_RANDOM, random},
		{AT_EXECFN, path},
		{AT_NULL, 0},
	};

	memcpy(word, entries, sizeof(entries));
	return word + 2 * AUXV_ENTRIES;
}

static void put_random(struct quire *quire, char *to)
{
	uint64_t words[RANDOM_BYTES / WORD];

	spin_lock(&quire->prng_lock);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		words[i] = prng_next(&quire->prng);
	spin_unlock(&quire->prng_lock);
	memcpy(to, words, sizeof(words));
}

int exec_stack_write(struct mm_struct *mm, struct exec_stack *stack, const struct exec_auxv *auxv)
{
	const uint64_t bottom = mm->start_stack;
	const uint64_t random = (mm->arg_start - RANDOM_BYTES) & ~(uint64_t)15;
	const char *strings = stack->image + (mm->arg_start - bottom);
	uint64_t *word = (uint64_t *)(void *)stack->image;
	int64_t done;

	put_random(mm->quire, stack->image + (random - bottom));
	*word++ = stack->argc;
	put_pointers(&word, strings, stack->argc, mm->arg_start);
	put_pointers(&word, strings + stack->arg_bytes, stack->envc, mm->env_start);
	word = put_auxv(word, auxv, random, mm->env_end);
	QUIRE_ASSERT(1, (char *)word <= stack->image + (random - bottom));

	done = access_process_vm(mm, bottom, stack->image, stack->bytes, true);
	if (done == (int64_t)stack->bytes)
		return 0;
	return done == -ENOMEM ? -ENOMEM : -EIO;
}
