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
	AT_PLATFORM = 15,
	AT_HWCAP = 16,
	AT_CLKTCK = 17,
	AT_SECURE = 23,
	AT_RANDOM = 25,
	AT_EXECFN = 31,
};
#define AUXV_ENTRIES 18   /* that exec sets by itself */
#define AUXV_GIVEN_MAX 32 /* that the caller may add */
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

/* Strings of the program, as they end below the stack top. */
static uint64_t strings_bytes(const struct exec_stack *stack)
{
	return stack->arg_bytes + stack->env_bytes + stack->path_bytes + WORD;
}

static uint64_t table_words(const struct exec_stack *stack)
{
	return 1 + stack->argc + 1 + stack->envc + 1 +
	       2 * (AUXV_ENTRIES + (uint64_t)stack->exec->nr_auxv);
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

	*stack = (struct exec_stack){.exec = exec};
	if (exec->nr_auxv > AUXV_GIVEN_MAX)
		return -EINVAL;
	if (!add_string(exec->path, &stack->path_bytes, &room) ||
	    !add_strings(argv, &stack->argc, &stack->arg_bytes, &room) ||
	    !add_strings(exec->envp, &stack->envc, &stack->env_bytes, &room) ||
	    (exec->platform && !add_string(exec->platform, &stack->platform_bytes, &room)))
		return -E2BIG;

	/* The random bytes and the table end on 16 bytes each. */
	bytes = (strings_bytes(stack) + stack->platform_bytes + RANDOM_BYTES + 15) & ~(uint64_t)15;
	stack->bytes = (bytes + table_words(stack) * WORD + 15) & ~(uint64_t)15;
	stack->image = quire_zalloc(stack->bytes);
	if (!stack->image)
		return -ENOMEM;
	to = stack->image + stack->bytes - strings_bytes(stack);
	to = copy_strings(to, argv);
	to = copy_strings(to, exec->envp);
	memcpy(to, exec->path, stack->path_bytes);
	if (exec->platform)
		memcpy(stack->image + stack->bytes - strings_bytes(stack) - stack->platform_bytes,
		       exec->platform, stack->platform_bytes);
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
	vm_stat_account(mm, NULL, flags, (int64_t)pages);
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

static bool auxv_given(const struct quire_exec *exec, uint64_t type)
{
	for (uint32_t i = 0; i < exec->nr_auxv; i++)
		if (exec->auxv[i][0] == type)
			return true;
	return false;
}

/* What the caller gave, then what it left to exec. */
static uint64_t *put_auxv(uint64_t *word, const struct exec_stack *stack,
			  const uint64_t (*entries)[2], uint32_t nr_entries)
{
	const struct quire_exec *exec = stack->exec;

	for (uint32_t i = 0; i < exec->nr_auxv; i++) {
		*word++ = exec->auxv[i][0];
		*word++ = exec->auxv[i][1];
	}
	for (uint32_t i = 0; i < nr_entries; i++) {
		if (auxv_given(exec, entries[i][0]))
			continue;
		*word++ = entries[i][0];
		*word++ = entries[i][1];
	}
	return word;
}

static uint64_t *put_whole_auxv(uint64_t *word, const struct exec_stack *stack,
				const struct exec_auxv *auxv, const uint64_t strings[3])
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
		{AT_RANDOM, strings[0]},
		{AT_EXECFN, strings[1]},
		{AT_PLATFORM, strings[2]},
	};

	/* The last one is AT_NULL, and before it a platform only if there is one. */
	word = put_auxv(word, stack, entries, AUXV_ENTRIES - (strings[2] ? 1 : 2));
	*word++ = AT_NULL;
	*word++ = 0;
	return word;
}

static void put_random(struct quire *quire, const unsigned char *given, char *to)
{
	uint64_t words[RANDOM_BYTES / WORD];

	if (given) {
		memcpy(to, given, RANDOM_BYTES);
		return;
	}
	spin_lock(&quire->prng_lock);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		words[i] = prng_next(&quire->prng);
	spin_unlock(&quire->prng_lock);
	memcpy(to, words, sizeof(words));
}

int exec_stack_write(struct mm_struct *mm, struct exec_stack *stack, const struct exec_auxv *auxv)
{
	const uint64_t bottom = mm->start_stack;
	const uint64_t platform = mm->arg_start - stack->platform_bytes;
	const uint64_t random = (platform - RANDOM_BYTES) & ~(uint64_t)15;
	const uint64_t strings_at[] = {random, mm->env_end, stack->platform_bytes ? platform : 0};
	const char *strings = stack->image + (mm->arg_start - bottom);
	uint64_t *word = (uint64_t *)(void *)stack->image;
	uint64_t *vector;
	int64_t done;

	put_random(mm->quire, stack->exec->random, stack->image + (random - bottom));
	*word++ = stack->argc;
	put_pointers(&word, strings, stack->argc, mm->arg_start);
	put_pointers(&word, strings + stack->arg_bytes, stack->envc, mm->env_start);
	vector = word;
	word = put_whole_auxv(word, stack, auxv, strings_at);
	QUIRE_ASSERT(1, (char *)word <= stack->image + (random - bottom));
	stack->auxv_address = bottom + (uint64_t)((char *)vector - stack->image);
	stack->auxv_words = (uint64_t)(word - vector);

	done = access_process_vm(mm, bottom, stack->image, stack->bytes, true);
	if (done == (int64_t)stack->bytes)
		return 0;
	return done == -ENOMEM ? -ENOMEM : -EIO;
}
