/* SPDX-License-Identifier: MIT */
/*
 * execve(2) without running anything: the address space becomes that of the program in a file.
 *
 * Everything that can be known beforehand (headers of the program and of its interpreter, strings)
 * is read and checked first; the old address space is given up only then. An error after that point
 * leaves the mm empty, as the process would be killed on Linux.
 */
#include "core/call/call.h"
#include "core/call/elf.h"
#include "core/call/exec_stack.h"
#include "core/file/filemap.h"
#include "core/instance/instance.h"
#include "core/vma/vma.h"

#include <errno.h>

/* One execve under way. */
struct exec_state {
	struct mm_struct *mm;
	struct quire_exec *exec;
	struct elf_image program;
	struct elf_image interpreter;
	struct file *interpreter_file; /* owned; NULL for a static program */
	struct exec_stack stack;
};

/* An interpreter that is no good is -ELIBBAD, so that it is not taken for the program. */
static int open_interpreter(struct exec_state *state)
{
	const struct quire_exec *exec = state->exec;
	int error;

	if (!state->program.interpreter)
		return 0;
	if (!exec->open)
		return -ENOENT;
	/* As a directory: an empty path is the current one here. */
	if (!*state->program.interpreter)
		return -EACCES;
	state->interpreter_file = exec->open(exec->context, state->program.interpreter);
	if (!state->interpreter_file)
		return errno ? -errno : -ENOENT;
	error = elf_read(&state->interpreter, state->interpreter_file, state->mm->memcg);
	return error == -ENOEXEC ? -ELIBBAD : error;
}

/* Everything before the old address space is given up. */
static int prepare_exec(struct exec_state *state)
{
	struct mm_struct *mm = state->mm;
	int error = elf_read(&state->program, state->exec->file, mm->memcg);

	if (!error)
		error = open_interpreter(state);
	if (!error)
		error = exec_stack_prepare(&state->stack, state->exec, mm->limit[LIMIT_STACK]);
	if (!error && state->exec->begin)
		error = state->exec->begin(state->exec->context);
	return error;
}

static void release_exec(struct exec_state *state)
{
	exec_stack_release(&state->stack);
	elf_release(&state->interpreter);
	elf_release(&state->program);
	if (state->interpreter_file)
		fput(state->interpreter_file);
}

/* The mm forgets the old program. */
static void reset_mm(struct mm_struct *mm, bool no_randomize)
{
	exit_mmap(mm);
	mmap_write_lock(mm);
	mm->start_code = mm->end_code = mm->start_data = mm->end_data = 0;
	mm->start_stack = mm->arg_start = mm->arg_end = mm->env_start = mm->env_end = 0;
	mm->def_flags &= ~(uint64_t)VM_LOCKED_MASK;
	mm->mdwe = mdwe_inherited(mm);
	mm->no_randomize = no_randomize;
	arch_pick_mmap_layout(mm);
	mmap_write_unlock(mm);
}

/*
 * Where a position-independent file goes: a program that has an interpreter at the PIE base, so
 * that the heap has room behind it; an interpreter, or a program without one, into the mmap area.
 * mmap_lock held for writing.
 */
static int choose_bias(struct mm_struct *mm, struct elf_image *image, bool at_pie_base)
{
	const uint64_t bytes = image->end - image->start;
	uint64_t address = image->start;

	if (image->broken)
		return -EINVAL;
	if (image->header.e_type == ELF_ET_DYN && at_pie_base) {
		address = elf_et_dyn_base(mm);
	} else if (image->header.e_type == ELF_ET_DYN) {
		int64_t found =
			get_unmapped_area(mm, 0, bytes + image->alignment - PAGE_SIZE, false);

		if (found < 0)
			return (int)found;
		address = (uint64_t)found + image->alignment - PAGE_SIZE;
	}
	if (image->header.e_type == ELF_ET_DYN)
		address &= ~(image->alignment - 1);
	if (!may_map_at(mm, address) || address > mm->task_size - bytes)
		return -ENOMEM;
	if (find_vma_intersection(mm, address, address + bytes))
		return -ENOMEM;
	image->bias = address - image->start;
	return 0;
}

static int load_image(struct mm_struct *mm, struct elf_image *image, bool at_pie_base)
{
	int error;

	mmap_write_lock(mm);
	error = choose_bias(mm, image, at_pie_base);
	mmap_write_unlock(mm);
	return error ? error : elf_map(mm, image);
}

/* Bounds of code, data and heap from the program's segments. mmap_lock held for writing. */
static void set_program_fields(struct mm_struct *mm, const struct elf_image *image,
			       bool at_pie_base)
{
	mm->start_code = UINT64_MAX;
	mm->start_data = mm->end_code = mm->end_data = 0;
	for (uint32_t i = 0; i < image->header.e_phnum; i++) {
		const struct elf64_program_header *segment = &image->segments[i];
		uint64_t start = image->bias + segment->p_vaddr;
		uint64_t end = start + segment->p_filesz;

		if (segment->p_type != ELF_PT_LOAD)
			continue;
		mm->start_data = max_u64(mm->start_data, start);
		mm->end_data = max_u64(mm->end_data, end);
		if (segment->p_flags & ELF_PF_X) {
			mm->start_code = min_u64(mm->start_code, start);
			mm->end_code = max_u64(mm->end_code, end);
		}
	}
	/* Without an executable segment there is no code. */
	if (!mm->end_code)
		mm->start_code = 0;
	mm->start_brk = mm->brk = image->header.e_type == ELF_ET_DYN && !at_pie_base
					  ? elf_et_dyn_brk(mm)
					  : arch_randomize_brk(mm, image->bias + image->end);
}

static int map_stack(struct exec_state *state)
{
	struct mm_struct *mm = state->mm;
	int error;

	mmap_write_lock(mm);
	error = exec_stack_map(mm, &state->stack, randomize_stack_top(mm),
			       state->program.executable_stack);
	mmap_write_unlock(mm);
	return error;
}

/* The new contents of an empty mm. */
static int fill_mm(struct exec_state *state)
{
	struct mm_struct *mm = state->mm;
	struct elf_image *program = &state->program;
	struct elf_image *interpreter = state->interpreter_file ? &state->interpreter : NULL;
	struct exec_auxv auxv = {.phnum = program->header.e_phnum};
	int error = map_stack(state);

	if (!error)
		error = load_image(mm, program, interpreter != NULL);
	if (!error && interpreter)
		error = load_image(mm, interpreter, false);
	if (error)
		return error;

	mmap_write_lock(mm);
	set_program_fields(mm, program, interpreter != NULL);
	mmap_write_unlock(mm);
	auxv.phdr = elf_phdr_address(program);
	auxv.entry = program->bias + program->header.e_entry;
	auxv.base = interpreter ? interpreter->bias : 0;
	if (state->exec->mapped)
		error = state->exec->mapped(state->exec->context, mm);
	if (!error)
		error = exec_stack_write(mm, &state->stack, &auxv);
	if (error)
		return error;
	state->exec->auxv_address = state->stack.auxv_address;
	state->exec->auxv_words = state->stack.auxv_words;
	state->exec->entry =
		interpreter ? interpreter->bias + interpreter->header.e_entry : auxv.entry;
	if (state->exec->entry >= TASK_SIZE_MAX)
		return -EINVAL;
	state->exec->stack_pointer = mm->start_stack;
	return 0;
}

int do_execve(struct mm_struct *mm, struct quire_exec *exec)
{
	struct exec_state state = {.mm = mm, .exec = exec};
	int error = prepare_exec(&state);

	exec->lost = !error;
	if (!error) {
		reset_mm(mm, exec->no_randomize);
		error = fill_mm(&state);
		if (error)
			reset_mm(mm, exec->no_randomize);
	}
	release_exec(&state);
	return error;
}
