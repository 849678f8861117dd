/* SPDX-License-Identifier: MIT */
/*
 * Random mappings, unmappings, changes of protection and stores against a model that knows each
 * page by itself: its flags, file, offset and contents. After each step the mm validates, every
 * page is as the model says, and without anonymous identities the VMAs are as few as they can be.
 */
#include "base/prng.h"
#include "core/fault/fault.h"
#include "core/vma/vma_fixture_test.h"

#define PAGES 48
#define FILES 2

struct model_page {
	bool mapped;
	uint64_t vm_flags; /* those of MODEL_FLAGS */
	struct file *file;
	pgoff_t pgoff; /* of a file */
	uint8_t byte;  /* first byte of anonymous memory */
};

struct model {
	struct mm_struct *mm;
	struct prng prng;
	struct model_page pages[PAGES];
	struct file *files[FILES];
	bool stores; /* otherwise no VMA ever gets an identity */
};

#define MODEL_FLAGS (VM_ACCESS_FLAGS | VM_SHARED | VM_ACCOUNT)

static bool anonymous(const struct model_page *page)
{
	return page->mapped && !page->file;
}

/* Would the two be in one VMA, if neither has an identity? */
static bool continues(const struct model_page *a, const struct model_page *b)
{
	if (!a->mapped || !b->mapped || a->vm_flags != b->vm_flags || a->file != b->file)
		return false;
	return !a->file || a->pgoff + 1 == b->pgoff;
}

static uint64_t model_runs(const struct model *model)
{
	uint64_t runs = 0;

	for (int i = 0; i < PAGES; i++)
		if (model->pages[i].mapped &&
		    (!i || !continues(&model->pages[i - 1], &model->pages[i])))
			runs++;
	return runs;
}

static void compare_page(struct model *model, uint64_t index)
{
	const struct model_page *page = &model->pages[index];
	struct vm_area_struct *vma;
	uint32_t error = 0;

	mmap_read_lock(model->mm);
	vma = vma_lookup(model->mm, at(index));
	assert_int_equal(!!vma, page->mapped);
	if (vma) {
		uint64_t known = MODEL_FLAGS;

		if (model->stores && !page->file)
			known &= ~(uint64_t)VM_ACCOUNT;
		assert_int_equal(vma->vm_flags & known, page->vm_flags & known);
		assert_ptr_equal(vma->vm_file, page->file);
		if (page->file)
			assert_int_equal(linear_page_index(vma, at(index)), page->pgoff);
	}
	mmap_read_unlock(model->mm);
	if (model->stores && anonymous(page) && (page->vm_flags & VM_READ)) {
		assert_int_equal(test_load(model->mm, at(index), &error), page->byte);
		assert_int_equal(error, 0);
	}
}

static void compare(struct model *model)
{
	check_mm(model->mm);
	for (uint64_t i = 0; i < PAGES; i++)
		compare_page(model, i);
	if (!model->stores)
		assert_int_equal(model->mm->map_count, model_runs(model));
}

static uint32_t random_prot(struct model *model)
{
	return (uint32_t)prng_below(&model->prng, 8);
}

/* Private memory counts as committed once it is writable. A private file's stays so, as it may have
 * copies; anonymous memory only if it has an identity, which the model does not know. */
static uint64_t commits(uint64_t vm_flags)
{
	return (vm_flags & (VM_WRITE | VM_SHARED)) == VM_WRITE ? VM_ACCOUNT : 0;
}

static void step_map(struct model *model, uint64_t first, uint64_t pages)
{
	uint64_t kind = prng_below(&model->prng, 3);
	struct file *file = kind ? model->files[prng_below(&model->prng, FILES)] : NULL;
	struct mmap_request request = {
		.address = at(first),
		.length = pages << PAGE_SHIFT,
		.prot = random_prot(model),
		.flags = QUIRE_MAP_FIXED,
		.file = file,
	};
	pgoff_t pgoff = 0;
	uint64_t vm_flags;

	request.flags |= kind == 2 ? QUIRE_MAP_SHARED : QUIRE_MAP_PRIVATE;
	if (file)
		/* Mostly so that neighbours continue each other. */
		pgoff = first + (prng_below(&model->prng, 4) ? 0 : 3);
	else
		request.flags |= QUIRE_MAP_ANONYMOUS;
	request.offset = (int64_t)(pgoff << PAGE_SHIFT);
	vm_flags = request.prot | (kind == 2 ? VM_SHARED : 0);
	assert_int_equal(do_mmap(model->mm, &request), at(first));
	for (uint64_t i = 0; i < pages; i++)
		model->pages[first + i] = (struct model_page){
			.mapped = true,
			.vm_flags = vm_flags | commits(vm_flags),
			.file = file,
			.pgoff = pgoff + i,
		};
}

static void step_unmap(struct model *model, uint64_t first, uint64_t pages)
{
	unmap(model->mm, first, pages);
	for (uint64_t i = 0; i < pages; i++)
		model->pages[first + i] = (struct model_page){0};
}

static void step_protect(struct model *model, uint64_t first, uint64_t pages)
{
	uint32_t prot = random_prot(model);
	int error = do_mprotect(model->mm, at(first), pages << PAGE_SHIFT, prot);
	uint64_t done = 0;

	while (done < pages && model->pages[first + done].mapped) {
		struct model_page *page = &model->pages[first + done++];

		page->vm_flags = (page->vm_flags & ~(uint64_t)VM_ACCESS_FLAGS) | prot;
		page->vm_flags |= commits(page->vm_flags);
		if (!page->file && !(prot & VM_WRITE) && !model->stores)
			page->vm_flags &= ~(uint64_t)VM_ACCOUNT;
	}
	assert_int_equal(error, done < pages ? -ENOMEM : 0);
}

static void step_store(struct model *model, uint64_t index)
{
	struct model_page *page = &model->pages[index];
	uint8_t byte = (uint8_t)prng_next(&model->prng);
	uint32_t error = 0;

	if (!anonymous(page) && page->mapped)
		return;
	test_store(model->mm, at(index), byte, &error);
	if (!page->mapped)
		assert_int_equal(error, VM_FAULT_MAPERR);
	else
		assert_int_equal(error, page->vm_flags & VM_WRITE ? 0 : VM_FAULT_ACCERR);
	if (!error)
		page->byte = byte;
}

static void run(void **state, bool stores, uint64_t seed, int steps)
{
	struct model model = {.mm = fixture_mm(state), .stores = stores};

	prng_seed(&model.prng, seed);
	for (int i = 0; i < FILES; i++)
		model.files[i] = test_file(model.mm);
	for (int i = 0; i < steps; i++) {
		uint64_t first = prng_below(&model.prng, PAGES);
		uint64_t pages = 1 + prng_below(&model.prng, min_u64(PAGES - first, 8));

		switch (prng_below(&model.prng, stores ? 6 : 4)) {
		case 0:
			step_unmap(&model, first, pages);
			break;
		case 1:
			step_map(&model, first, pages);
			break;
		case 2:
		case 3:
			step_protect(&model, first, pages);
			break;
		default:
			step_store(&model, first);
		}
		compare(&model);
	}
	for (int i = 0; i < FILES; i++)
		fput(model.files[i]);
}

static void test_without_stores(void **state)
{
	run(state, false, 21, 4000);
}

static void test_with_stores(void **state)
{
	run(state, true, 22, 4000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_without_stores),
		TEST(test_with_stores),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
