/* SPDX-License-Identifier: MIT */
/*
 * For tests that compare VMAs with what Linux shows: their extent in pages and their flags as
 * VmFlags of smaps.
 */
#ifndef QUIRE_CORE_CALL_VIEW_FLAGS_TEST_H
#define QUIRE_CORE_CALL_VIEW_FLAGS_TEST_H

#include "core/call/fixture_test.h"
#include "core/call/proc_view.h"

/* The VMA that holds a page lies at pages [first, last] and has these flags. */
static inline void assert_vma(struct fixture *f, uint64_t first, uint64_t last,
			      const char *expected)
{
	struct vma_view view;
	char text[VM_FLAGS_TEXT];

	assert_true(mm_view_next(f->mm, AT(first), &view, NULL));
	vm_flags_text(view.vm_flags, text);
	assert_string_equal(text, expected);
	assert_int_equal(view.start, AT(first));
	assert_int_equal(view.end, AT(last + 1));
}

#endif
