/* SPDX-License-Identifier: MIT */
/*
 * mm_validate(): an address space against the invariants at the head of mm.h.
 */
#include "base/check.h"
#include "core/pgtable/pgtable.h"
#include "core/rmap/rmap.h"
#include "core/vma/account.h"
#include "core/vma/internal.h"

typedef unsigned long long ull;

static bool vma_in_order(const struct rb_node *earlier, const struct rb_node *later)
{
	return rb_entry(earlier, const struct vm_area_struct, vm_rb)->vm_end <=
	       rb_entry(later, const struct vm_area_struct, vm_rb)->vm_start;
}

static const struct rb_check vma_tree_check = {
	.in_order = vma_in_order,
	.value_right = vma_gap_right,
};

static void validate_range(const struct vm_area_struct *vma, struct check_report *report)
{
	CHECK_THAT(report, vma->vm_start < vma->vm_end, "vma %llx-%llx is empty",
		   (ull)vma->vm_start, (ull)vma->vm_end);
	CHECK_THAT(report, !PAGE_OFFSET(vma->vm_start | vma->vm_end),
		   "vma %llx-%llx is not page-aligned", (ull)vma->vm_start, (ull)vma->vm_end);
	CHECK_THAT(report, vma->vm_end <= vma->vm_mm->task_size,
		   "vma %llx-%llx is beyond the address space", (ull)vma->vm_start,
		   (ull)vma->vm_end);
}

static void validate_flags(const struct vm_area_struct *vma, struct check_report *report)
{
	uint64_t may = (vma->vm_flags / VM_MAYREAD) & VM_ACCESS_FLAGS;

	CHECK_THAT(report, !(vma->vm_flags & VM_SHARED) || (vma->vm_flags & VM_MAYSHARE),
		   "vma %llx is shared, but may not be", (ull)vma->vm_start);
	CHECK_THAT(report, !(vma->vm_flags & VM_ACCESS_FLAGS & ~may),
		   "vma %llx allows more than it may: flags %llx", (ull)vma->vm_start,
		   (ull)vma->vm_flags);
	CHECK_THAT(report, vma->vm_page_prot == vma_page_prot(vma),
		   "vma %llx has protection %llx, not %llx", (ull)vma->vm_start,
		   (ull)vma->vm_page_prot, (ull)vma_page_prot(vma));
}

/* Sums over the list. */
struct mm_totals {
	uint64_t vmas;
	uint64_t total_vm, data_vm, exec_vm, stack_vm, locked_vm;
	uint64_t highest_vm_end;
};

static void count_vma(struct mm_totals *totals, const struct vm_area_struct *vma)
{
	struct mm_struct sums = {0};

	vm_stat_count(&sums, vma->vm_flags, (int64_t)vma_pages(vma));
	totals->vmas++;
	totals->total_vm += sums.total_vm;
	totals->data_vm += sums.data_vm;
	totals->exec_vm += sums.exec_vm;
	totals->stack_vm += sums.stack_vm;
	if (vma->vm_flags & VM_LOCKED)
		totals->locked_vm += vma_pages(vma);
	totals->highest_vm_end = vma->vm_end;
}

static void validate_total(const struct mm_struct *mm, const char *what, uint64_t counted,
			   uint64_t noted, struct check_report *report)
{
	CHECK_THAT(report, counted == noted, "mm %s: %s is %llu, but the VMAs have %llu", mm->name,
		   what, (ull)noted, (ull)counted);
}

static void validate_totals(const struct mm_struct *mm, const struct mm_totals *totals,
			    struct check_report *report)
{
	validate_total(mm, "map_count", totals->vmas, mm->map_count, report);
	validate_total(mm, "total_vm", totals->total_vm, mm->total_vm, report);
	validate_total(mm, "data_vm", totals->data_vm, mm->data_vm, report);
	validate_total(mm, "exec_vm", totals->exec_vm, mm->exec_vm, report);
	validate_total(mm, "stack_vm", totals->stack_vm, mm->stack_vm, report);
	validate_total(mm, "locked_vm", totals->locked_vm, mm->locked_vm, report);
	validate_total(mm, "highest_vm_end", totals->highest_vm_end, mm->highest_vm_end, report);
}

void mm_validate(struct mm_struct *mm, struct check_report *report)
{
	struct rb_node *rb = rb_first(&mm->mm_rb);
	struct mm_totals totals = {0};
	struct vm_area_struct *vma;

	for_each_vma (mm, vma) {
		CHECK_THAT(report, rb == &vma->vm_rb, "vma %llx: list and tree differ",
			   (ull)vma->vm_start);
		CHECK_THAT(report, vma->vm_mm == mm, "vma %llx belongs to another mm",
			   (ull)vma->vm_start);
		CHECK_THAT(report, vma->vm_list.next->prev == &vma->vm_list,
			   "vma %llx: broken list", (ull)vma->vm_start);
		validate_range(vma, report);
		validate_flags(vma, report);
		rmap_validate_vma(vma, report);
		count_vma(&totals, vma);
		if (rb)
			rb = rb_next(rb);
	}
	CHECK_THAT(report, !rb, "mm %s: the tree has more VMAs than the list", mm->name);
	rb_validate(&mm->mm_rb, &vma_tree_check, report);
	vma_index_validate(mm, report);
	validate_totals(mm, &totals, report);
	pgtable_validate(mm, report);
}
