/* SPDX-License-Identifier: MIT */
/*
 * Mapping the PT_LOAD segments of a checked ELF file: a private file mapping for what is in the
 * file, zeroes up to the end of its last page, anonymous memory for the rest of bss.
 */
#include "core/call/call.h"
#include "core/call/elf.h"
#include "core/fault/fault.h"
#include "core/instance/instance.h"

#include <errno.h>

static uint32_t segment_prot(const struct elf64_program_header *segment)
{
	uint32_t prot = QUIRE_PROT_NONE;

	if (segment->p_flags & ELF_PF_R)
		prot |= QUIRE_PROT_READ;
	if (segment->p_flags & ELF_PF_W)
		prot |= QUIRE_PROT_WRITE;
	if (segment->p_flags & ELF_PF_X)
		prot |= QUIRE_PROT_EXEC;
	return prot;
}

/* The part that is in the file. */
static int map_file_part(struct mm_struct *mm, const struct elf_image *image,
			 const struct elf64_program_header *segment)
{
	const uint64_t offset = PAGE_OFFSET(segment->p_vaddr);
	const struct mmap_request request = {
		.address = image->bias + segment->p_vaddr - offset,
		.length = PAGE_ALIGN(segment->p_filesz + offset),
		.prot = segment_prot(segment),
		.flags = QUIRE_MAP_PRIVATE | QUIRE_MAP_FIXED | QUIRE_MAP_DENYWRITE,
		.file = image->file,
		.offset = (int64_t)(segment->p_offset - offset),
	};
	int64_t address;

	if (!segment->p_filesz)
		return 0;
	address = do_mmap(mm, &request);
	return address < 0 ? (int)address : 0;
}

/* Bytes of the last file page that lie behind the file part: bss begins there. */
static int zero_page_tail(struct mm_struct *mm, const struct elf_image *image,
			  const struct elf64_program_header *segment)
{
	static const char zeroes[PAGE_SIZE];
	const uint64_t start = image->bias + segment->p_vaddr + segment->p_filesz;
	const uint64_t bytes = PAGE_ALIGN(start) - start;
	int64_t done;

	/* A read-only segment keeps what the file has there, as on Linux. */
	if (!segment->p_filesz || segment->p_filesz == segment->p_memsz || !bytes ||
	    !(segment->p_flags & ELF_PF_W))
		return 0;
	done = access_process_vm(mm, start, (void *)zeroes, bytes, true);
	if (done == (int64_t)bytes)
		return 0;
	return done == -ENOMEM ? -ENOMEM : -EIO;
}

static int map_bss(struct mm_struct *mm, const struct elf_image *image,
		   const struct elf64_program_header *segment)
{
	const uint64_t file_end = image->bias + segment->p_vaddr + segment->p_filesz;
	const uint64_t end = PAGE_ALIGN(image->bias + segment->p_vaddr + segment->p_memsz);
	const uint64_t start = segment->p_filesz ? PAGE_ALIGN(file_end) : PAGE_ALIGN_DOWN(file_end);
	int error;

	if (start >= end)
		return 0;
	mmap_write_lock(mm);
	/* A segment without a file part may share its first page with the one before it. */
	error = do_munmap_locked(mm, start, end);
	if (!error)
		error = vm_brk_locked(mm, start, end, segment->p_flags & ELF_PF_X ? VM_EXEC : 0);
	mmap_write_unlock(mm);
	return error;
}

int elf_map(struct mm_struct *mm, struct elf_image *image)
{
	for (uint32_t i = 0; i < image->header.e_phnum; i++) {
		const struct elf64_program_header *segment = &image->segments[i];
		int error;

		if (segment->p_type != ELF_PT_LOAD)
			continue;
		error = map_file_part(mm, image, segment);
		if (!error)
			error = zero_page_tail(mm, image, segment);
		if (!error)
			error = map_bss(mm, image, segment);
		if (error)
			return error;
	}
	return 0;
}
