/* SPDX-License-Identifier: MIT */
/*
 * ELF headers: reading and checking (see elf.h). Nothing of a file is believed: every number is
 * compared with its bounds before it is used, so that what follows needs no check for overflow.
 */
#include "core/call/elf.h"

#include "base/alloc.h"
#include "core/file/filemap.h"

#include <errno.h>
#include <string.h>

static const uint8_t elf_magic[] = {0x7f, 'E', 'L', 'F'};

/* Exactly `bytes` bytes; a file that is too short is no ELF file. */
static int read_exact(const struct elf_image *image, struct mem_cgroup *memcg, void *buffer,
		      uint64_t bytes, uint64_t offset)
{
	const uint64_t size = i_size_read(image->file->f_inode);
	int64_t got;

	if (offset > size || bytes > size - offset)
		return -ENOEXEC;
	got = filemap_read(image->file, memcg, buffer, bytes, offset);
	if (got < 0)
		return (int)got;
	return (uint64_t)got == bytes ? 0 : -ENOEXEC;
}

/* As on Linux, class, byte order and version are not looked at. */
static bool header_good(const struct elf64_header *header)
{
	return !memcmp(header->e_ident, elf_magic, sizeof(elf_magic)) &&
	       (header->e_type == ELF_ET_EXEC || header->e_type == ELF_ET_DYN) &&
	       header->e_machine == ELF_EM_X86_64 &&
	       header->e_phentsize == sizeof(struct elf64_program_header) && header->e_phnum &&
	       header->e_phnum <= ELF_PHNUM_MAX;
}

/* It can be mapped somewhere; perhaps behind the end of the file. */
static bool segment_good(const struct elf64_program_header *segment)
{
	return segment->p_filesz <= segment->p_memsz && segment->p_memsz <= TASK_SIZE_MAX &&
	       segment->p_vaddr <= TASK_SIZE_MAX - segment->p_memsz &&
	       segment->p_offset <= (uint64_t)INT64_MAX - TASK_SIZE_MAX &&
	       PAGE_OFFSET(segment->p_offset) == PAGE_OFFSET(segment->p_vaddr);
}

/* What cannot be an alignment is none. */
static uint64_t segment_alignment(const struct elf64_program_header *segment)
{
	const uint64_t alignment = segment->p_align;

	return alignment & (alignment - 1) || alignment > TASK_SIZE_MAX / 2 ? 0 : alignment;
}

/* Collects the bounds of the PT_LOAD segments, which may come in any order, and overlap. */
static void check_loads(struct elf_image *image)
{
	image->alignment = PAGE_SIZE;
	image->start = UINT64_MAX;
	for (uint32_t i = 0; i < image->header.e_phnum; i++) {
		const struct elf64_program_header *segment = &image->segments[i];

		if (segment->p_type != ELF_PT_LOAD)
			continue;
		if (!segment_good(segment)) {
			image->broken = true;
			return;
		}
		image->start = min_u64(image->start, PAGE_ALIGN_DOWN(segment->p_vaddr));
		image->end = max_u64(image->end, PAGE_ALIGN(segment->p_vaddr + segment->p_memsz));
		image->alignment = max_u64(image->alignment, segment_alignment(segment));
	}
	/* Something to run. */
	image->broken = image->end <= image->start;
}

static int read_interpreter(struct elf_image *image, struct mem_cgroup *memcg,
			    const struct elf64_program_header *segment)
{
	const uint64_t bytes = segment->p_filesz;
	int error;

	if (bytes < 2 || bytes > ELF_INTERP_MAX)
		return -ENOEXEC;
	image->interpreter = quire_zalloc(bytes);
	if (!image->interpreter)
		return -ENOMEM;
	if (segment->p_offset > (uint64_t)INT64_MAX - bytes)
		return -EINVAL;
	error = read_exact(image, memcg, image->interpreter, bytes, segment->p_offset);
	if (error)
		return error == -ENOEXEC ? -EIO : error;
	return image->interpreter[bytes - 1] ? -ENOEXEC : 0;
}

/* Headers other than PT_LOAD that matter here; of several alike the first counts. */
static int read_special(struct elf_image *image, struct mem_cgroup *memcg)
{
	bool stack_seen = false;

	for (uint32_t i = 0; i < image->header.e_phnum; i++) {
		const struct elf64_program_header *segment = &image->segments[i];
		int error;

		if (segment->p_type == ELF_PT_GNU_STACK && !stack_seen) {
			stack_seen = true;
			image->executable_stack = segment->p_flags & ELF_PF_X;
		}
		if (segment->p_type != ELF_PT_INTERP || image->interpreter)
			continue;
		error = read_interpreter(image, memcg, segment);
		if (error)
			return error;
	}
	return 0;
}

int elf_read(struct elf_image *image, struct file *file, struct mem_cgroup *memcg)
{
	uint64_t bytes;
	int error;

	*image = (struct elf_image){.file = file};
	error = read_exact(image, memcg, &image->header, sizeof(image->header), 0);
	if (error)
		return error;
	if (!header_good(&image->header))
		return -ENOEXEC;
	bytes = (uint64_t)image->header.e_phnum * sizeof(*image->segments);
	image->segments = quire_zalloc(bytes);
	if (!image->segments)
		return -ENOMEM;
	error = read_exact(image, memcg, image->segments, bytes, image->header.e_phoff);
	if (error)
		return error;
	check_loads(image);
	return read_special(image, memcg);
}

void elf_release(struct elf_image *image)
{
	quire_free(image->segments);
	quire_free(image->interpreter);
	image->segments = NULL;
	image->interpreter = NULL;
}

uint64_t elf_phdr_address(const struct elf_image *image)
{
	const uint64_t offset = image->header.e_phoff;

	for (uint32_t i = 0; i < image->header.e_phnum; i++) {
		const struct elf64_program_header *segment = &image->segments[i];

		if (segment->p_type == ELF_PT_LOAD && segment->p_offset <= offset &&
		    offset - segment->p_offset < segment->p_filesz)
			return image->bias + segment->p_vaddr + (offset - segment->p_offset);
	}
	return 0;
}
