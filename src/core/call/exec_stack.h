/* SPDX-License-Identifier: MIT */
/*
 * The first contents of a program's stack (System V ABI for x86-64, "Initial Stack and Register
 * State"):
 *
 *   stack top   8 zero bytes
 *               path of the program (AT_EXECFN)
 *               environment strings        env_start .. env_end
 *               argument strings           arg_start .. arg_end
 *               name of the platform (AT_PLATFORM)
 *               16 random bytes (AT_RANDOM)
 *               auxiliary vector, AT_NULL last
 *               envp[], NULL
 *               argv[], NULL
 *   start_stack argc                       16-byte aligned
 */
#ifndef QUIRE_CORE_CALL_EXEC_STACK_H
#define QUIRE_CORE_CALL_EXEC_STACK_H

#include <quire/quire.h>

#include "core/vma/mm.h"

/* Everything but the addresses: made before the old address space is given up. */
struct exec_stack {
	uint64_t argc, envc;
	uint64_t arg_bytes, env_bytes, path_bytes; /* of the strings, each with its zero */
	uint64_t platform_bytes;
	uint64_t auxv_address, auxv_words; /* once it is written */
	uint64_t bytes;                    /* of the image, from start_stack to the stack top */
	char *image;                       /* owned: ends at the stack top */
	const struct quire_exec *exec;
};

/* What only the loaded program tells. */
struct exec_auxv {
	uint64_t phdr, phnum; /* address and number of program headers */
	uint64_t base;        /* bias of the interpreter, 0 for none */
	uint64_t entry;       /* of the program */
};

/* Copies the strings. 0, -E2BIG (a string of 128 KiB or more, or all of them above a quarter of
 * `stack_limit`), -ENOMEM. To be released in every case. */
QUIRE_MUST_CHECK int exec_stack_prepare(struct exec_stack *stack, const struct quire_exec *exec,
					uint64_t stack_limit);
void exec_stack_release(struct exec_stack *stack);

/* Maps the stack with its top at `top` and room to grow, within LIMIT_STACK; sets start_stack and
 * the bounds of the strings. mmap_lock held for writing. 0 or -ENOMEM. */
QUIRE_MUST_CHECK int exec_stack_map(struct mm_struct *mm, const struct exec_stack *stack,
				    uint64_t top, bool executable);
/* Writes the image. mmap_lock not held. 0, -ENOMEM, -EIO. */
QUIRE_MUST_CHECK int exec_stack_write(struct mm_struct *mm, struct exec_stack *stack,
				      const struct exec_auxv *auxv);

#endif
