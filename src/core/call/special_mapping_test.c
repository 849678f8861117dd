/* SPDX-License-Identifier: MIT */
/*
 * Mappings of Quire's own frames: what programs may and may not do with them, and that their frames
 * stay where they are.
 */
#include "core/call/special_mapping.h"

#include "core/call/fixture_test.h"
#include "core/call/proc_view.h"

struct special_fixture {
	struct fixture *f;
	struct file *objects[2];
	uint64_t start;
};

#define VVAR_FLAGS (VM_READ | VM_MAYREAD | VM_IO | VM_PFNMAP | VM_DONTDUMP)
#define VDSO_FLAGS (VM_READ | VM_EXEC | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC)

/* One page of [vvar], two of [vdso] behind it. */
static void install(struct special_fixture *s, struct fixture *f)
{
	s->f = f;
	assert_ok(special_object_create(f->quire, "[vvar]", 1, &s->objects[0]));
	assert_ok(special_object_create(f->quire, "[vdso]", 2, &s->objects[1]));

	const struct special_mapping mappings[] = {
		{s->objects[0], VVAR_FLAGS},
		{s->objects[1], VDSO_FLAGS},
	};
	int64_t start = install_special_mappings(f->mm, mappings, 2, 0);

	assert_true(start > 0);
	s->start = (uint64_t)start;
	memset(special_object_page(s->objects[0], 0), 10, PAGE_SIZE);
	memset(special_object_page(s->objects[1], 0), 20, PAGE_SIZE);
	memset(special_object_page(s->objects[1], 1), 21, PAGE_SIZE);
}

static void uninstall(struct special_fixture *s)
{
	fput(s->objects[0]);
	fput(s->objects[1]);
}

/* The byte at the start of a page of the mappings; -1: a fault. */
static int byte_in(quire_mm *mm, uint64_t address)
{
	uint8_t byte;

	return quire_read_memory(mm, address, &byte, 1) == 1 ? byte : -1;
}

static int byte_at(struct special_fixture *s, uint64_t page)
{
	return byte_in(s->f->mm, s->start + PAGES(page));
}

static void test_shows_the_frames(void **state)
{
	struct special_fixture s;
	struct vma_view view;

	install(&s, *state);
	for (uint64_t page = 0; page < 3; page++)
		assert_int_equal(byte_at(&s, page), page ? 19 + page : 10);
	memset(special_object_page(s.objects[0], 0), 11, PAGE_SIZE);
	assert_int_equal(byte_at(&s, 0), 11);
	assert_true(mm_view_next(s.f->mm, s.start, &view, NULL));
	assert_string_equal(view.name, "[vvar]");
	assert_int_equal(view.vm_flags, VVAR_FLAGS | VM_DONTEXPAND);
	assert_int_equal(view.end, s.start + PAGE_SIZE);
	assert_true(mm_view_next(s.f->mm, view.end, &view, NULL));
	assert_string_equal(view.name, "[vdso]");
	assert_int_equal(view.end, s.start + PAGES(3));
	assert_int_equal(view.offset + view.dev + view.ino, 0);
	uninstall(&s);
}

/* As Linux's own vDSO answers. */
static void test_is_never_split(void **state)
{
	struct special_fixture s;

	install(&s, *state);
	quire_mm *mm = s.f->mm;
	const uint64_t vdso = s.start + PAGE_SIZE;

	assert_error(quire_munmap(mm, vdso, PAGE_SIZE), EINVAL);
	assert_error(quire_mprotect(mm, vdso, PAGE_SIZE, QUIRE_PROT_READ), EINVAL);
	assert_error(quire_madvise(mm, vdso, PAGE_SIZE, QUIRE_MADV_DONTFORK), EINVAL);
	assert_error(quire_madvise(mm, vdso, PAGE_SIZE, QUIRE_MADV_FREE), EINVAL);
	assert_error(quire_madvise(mm, vdso, PAGE_SIZE, QUIRE_MADV_GUARD_INSTALL), EINVAL);
	assert_error(quire_mremap(mm, vdso, PAGES(2), PAGES(3), QUIRE_MREMAP_MAYMOVE, 0), EFAULT);
	assert_error(quire_mprotect(mm, s.start, PAGE_SIZE, RW), EACCES);
	assert_error(quire_madvise(mm, s.start, PAGE_SIZE, QUIRE_MADV_DONTNEED), EINVAL);
	assert_ok(quire_madvise(mm, vdso, PAGE_SIZE, QUIRE_MADV_DONTNEED));
	assert_ok(quire_madvise(mm, vdso, PAGE_SIZE, QUIRE_MADV_COLD));
	assert_ok(quire_mlock(mm, vdso, PAGE_SIZE));
	assert_int_equal(byte_at(&s, 1), 20);
	assert_int_equal(quire_mremap(mm, vdso, PAGES(2), PAGES(2),
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, AT(0)),
			 AT(0));
	assert_int_equal(byte_at(&s, 1), -1);
	assert_int_equal(load(s.f, 1), 21);
	assert_ok(quire_munmap(mm, AT(0), PAGES(2)));
	uninstall(&s);
}

static void test_private_copy(void **state)
{
	struct special_fixture s;

	install(&s, *state);
	const uint64_t vdso = s.start + PAGE_SIZE;
	uint8_t byte = 99;

	assert_ok(quire_mprotect(s.f->mm, vdso, PAGES(2), RW));
	assert_int_equal(quire_write_memory(s.f->mm, vdso, &byte, 1), 1);
	assert_int_equal(byte_at(&s, 1), 99);
	assert_int_equal(*(uint8_t *)special_object_page(s.objects[1], 0), 20);
	uninstall(&s);
}

static void test_stays_in_its_frames(void **state)
{
	struct special_fixture s;

	install(&s, *state);
	void *before = special_object_page(s.objects[1], 1);

	assert_int_equal(byte_at(&s, 2), 21);
	evict_all(s.f);
	assert_ptr_equal(special_object_page(s.objects[1], 1), before);
	memset(before, 31, PAGE_SIZE);
	assert_int_equal(byte_at(&s, 2), 31);
	uninstall(&s);
}

static void test_fork_shares(void **state)
{
	struct special_fixture s;
	quire_mm *child;

	install(&s, *state);
	assert_ok(quire_fork(s.f->mm, "child", &child));
	memset(special_object_page(s.objects[0], 0), 12, PAGE_SIZE);
	assert_int_equal(byte_in(child, s.start), 12);
	uninstall(&s);
	/* The mappings keep the objects. */
	assert_int_equal(byte_at(&s, 0), 12);
	quire_mm_exit(child);
}

static void test_failed_install(void **state)
{
	struct fixture *f = *state;
	struct special_fixture s;
	struct special_mapping mappings[2];

	install(&s, f);
	mappings[0] = (struct special_mapping){s.objects[0], VVAR_FLAGS};
	mappings[1] = (struct special_mapping){s.objects[1], VDSO_FLAGS};
	assert_ok(quire_setlimit(f->mm, QUIRE_LIMIT_AS, PAGES(5)));
	assert_int_equal(install_special_mappings(f->mm, mappings, 2, 0), -ENOMEM);
	assert_ok(quire_setlimit(f->mm, QUIRE_LIMIT_AS, PAGES(6)));
	for (int nth = 1; nth <= 2; nth++) {
		quire_fail_arm(FAIL_ALLOC, (uint64_t)nth, false);
		assert_int_equal(install_special_mappings(f->mm, mappings, 2, 0), -ENOMEM);
		assert_true(quire_fail_disarm());
		assert_int_equal(f->mm->total_vm, 3);
		test_instance_check(&f->instance);
	}
	assert_true(install_special_mappings(f->mm, mappings, 2, 0) > 0);
	uninstall(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_shows_the_frames, setup, teardown),
		cmocka_unit_test_setup_teardown(test_is_never_split, setup, teardown),
		cmocka_unit_test_setup_teardown(test_private_copy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stays_in_its_frames, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fork_shares, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failed_install, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
