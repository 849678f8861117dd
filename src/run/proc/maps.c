/* SPDX-License-Identifier: MIT */
/*
 * maps, smaps and smaps_rollup, in the format of Linux.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "core/call/proc_view.h"
#include "run/proc/text.h"

#define NAME_COLUMN 73

/* The path does not lead to the mapped file any more. */
static bool deleted(const struct vma_view *view)
{
	struct stat file;

	if (!view->regular)
		return false;
	return stat(view->name, &file) || file.st_dev != view->dev || file.st_ino != view->ino;
}

/* A newline in a path would end the line. */
static void print_name(const struct vma_view *view, FILE *stream)
{
	for (const char *c = view->name; *c; c++)
		if (*c == '\n')
			fputs("\\012", stream);
		else
			fputc(*c, stream);
	if (deleted(view))
		fputs(" (deleted)", stream);
}

static void print_line(const struct vma_view *view, FILE *stream)
{
	const uint64_t flags = view->vm_flags;
	int length = fprintf(
		stream, "%08" PRIx64 "-%08" PRIx64 " %c%c%c%c %08" PRIx64 " %02x:%02x %" PRIu64 " ",
		view->start, view->end, flags & VM_READ ? 'r' : '-', flags & VM_WRITE ? 'w' : '-',
		flags & VM_EXEC ? 'x' : '-', flags & VM_MAYSHARE ? 's' : 'p', view->offset,
		major(view->dev), minor(view->dev), view->ino);

	if (view->name[0]) {
		for (; length < NAME_COLUMN; length++)
			fputc(' ', stream);
		print_name(view, stream);
	}
	fputc('\n', stream);
}

int proc_maps(struct thread *thread, pid_t tid, FILE *stream)
{
	struct mm_struct *mm = thread_mm(thread);
	struct vma_view view;

	(void)tid;
	for (uint64_t address = 0; mm_view_next(mm, address, &view, NULL); address = view.end)
		print_line(&view, stream);
	return 0;
}

static void print_kib(FILE *stream, const char *name, uint64_t bytes)
{
	fprintf(stream, "%-16s%8" PRIu64 " kB\n", name, bytes >> 10);
}

static void print_sums(const struct smaps_view *sums, bool rollup, FILE *stream)
{
	print_kib(stream, "Rss:", sums->rss);
	print_kib(stream, "Pss:", sums->pss >> PSS_SHIFT);
	print_kib(stream, "Pss_Dirty:", sums->pss_dirty >> PSS_SHIFT);
	if (rollup) {
		print_kib(stream, "Pss_Anon:", sums->pss_anon >> PSS_SHIFT);
		print_kib(stream, "Pss_File:", sums->pss_file >> PSS_SHIFT);
		print_kib(stream, "Pss_Shmem:", sums->pss_shmem >> PSS_SHIFT);
	}
	print_kib(stream, "Shared_Clean:", sums->shared_clean);
	print_kib(stream, "Shared_Dirty:", sums->shared_dirty);
	print_kib(stream, "Private_Clean:", sums->private_clean);
	print_kib(stream, "Private_Dirty:", sums->private_dirty);
	print_kib(stream, "Referenced:", sums->referenced);
	print_kib(stream, "Anonymous:", sums->anonymous);
	print_kib(stream, "KSM:", 0);
	print_kib(stream, "LazyFree:", sums->lazyfree);
	print_kib(stream, "AnonHugePages:", 0);
	print_kib(stream, "ShmemPmdMapped:", 0);
	print_kib(stream, "FilePmdMapped:", 0);
	print_kib(stream, "Shared_Hugetlb:", 0);
	print_kib(stream, "Private_Hugetlb:", 0);
	print_kib(stream, "Swap:", sums->swap);
	print_kib(stream, "SwapPss:", sums->swap_pss >> PSS_SHIFT);
	print_kib(stream, "Locked:", sums->pss_locked >> PSS_SHIFT);
}

int proc_smaps(struct thread *thread, pid_t tid, FILE *stream)
{
	struct mm_struct *mm = thread_mm(thread);
	struct smaps_view sums = {0};
	struct vma_view view;
	char flags[VM_FLAGS_TEXT];

	(void)tid;
	for (uint64_t address = 0; mm_view_next(mm, address, &view, &sums); address = view.end) {
		print_line(&view, stream);
		print_kib(stream, "Size:", view.end - view.start);
		print_kib(stream, "KernelPageSize:", PAGE_SIZE);
		print_kib(stream, "MMUPageSize:", PAGE_SIZE);
		print_sums(&sums, false, stream);
		vm_flags_text(view.vm_flags, flags);
		fprintf(stream, "%-16s%8d\nVmFlags: %s\n", "THPeligible:", 0, flags);
		sums = (struct smaps_view){0};
	}
	return 0;
}

int proc_smaps_rollup(struct thread *thread, pid_t tid, FILE *stream)
{
	struct mm_struct *mm = thread_mm(thread);
	struct vma_view rollup = {.name = "[rollup]"};
	struct smaps_view sums = {0};
	struct vma_view view;
	bool any = false;

	(void)tid;
	for (uint64_t address = 0; mm_view_next(mm, address, &view, &sums); address = view.end) {
		if (!any)
			rollup.start = view.start;
		rollup.end = view.end;
		any = true;
	}
	if (!any)
		return -ESRCH;
	print_line(&rollup, stream);
	print_sums(&sums, true, stream);
	return 0;
}
