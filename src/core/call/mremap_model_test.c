/* SPDX-License-Identifier: MIT */
/*
 * Random mmap, munmap, mremap, madvise, store and eviction against a naive model: an array of
 * pages, each of which is not mapped, or holds a private byte, or is one page of a shared object.
 *
 * The model knows the VMAs only through their boundaries in the mm itself, from which it foretells
 * whether a call may succeed; what the pages then hold it foretells alone.
 */
#include "core/call/fixture_test.h"

#include <stdio.h>

#define SPACE 96  /* pages of the playground */
#define OBJECT 48 /* pages of the shared object */
#define STEPS 12000

enum page_kind {
	UNMAPPED,
	PRIVATE,
	SHARED
};

struct model_page {
	enum page_kind kind;
	bool guard;
	uint8_t byte;   /* PRIVATE */
	uint32_t index; /* SHARED */
};

struct model {
	struct model_page pages[SPACE];
	uint8_t object[OBJECT];
	struct prng prng;
};

static uint64_t pick(struct model *model, uint64_t below)
{
	return prng_below(&model->prng, below);
}

static int expected(const struct model *model, uint64_t page)
{
	const struct model_page *p = &model->pages[page];

	if (p->kind == UNMAPPED || p->guard)
		return MAPERR;
	if (p->kind == PRIVATE)
		return p->byte;
	return p->index < OBJECT ? model->object[p->index] : SIGBUS;
}

static void check_page(struct fixture *f, const struct model *model, uint64_t page)
{
	const int got = load(f, page);
	const int want = expected(model, page);

	if (got != want)
		fail_msg("page %d holds %#x, not %#x", (int)page, (unsigned int)got,
			 (unsigned int)want);
}

static void random_store(struct fixture *f, struct model *model)
{
	const uint64_t page = pick(model, SPACE);
	const uint8_t byte = (uint8_t)pick(model, 256);
	struct model_page *p = &model->pages[page];
	const int now = expected(model, page);

	assert_int_equal(store(f, page, byte), now < 256 ? 0 : now);
	if (now >= 256)
		return;
	if (p->kind == PRIVATE)
		p->byte = byte;
	else
		model->object[p->index] = byte;
}

static void random_mmap(struct fixture *f, struct model *model)
{
	const uint64_t page = pick(model, SPACE);
	const uint64_t pages = 1 + pick(model, SPACE - page < 12 ? SPACE - page : 12);
	const uint64_t index = pick(model, OBJECT);
	const bool shared = pick(model, 3) == 0;

	if (shared)
		map_file(f, page, pages, QUIRE_MAP_SHARED, index);
	else
		map_anon(f, page, pages);
	for (uint64_t i = 0; i < pages; i++)
		model->pages[page + i] = (struct model_page){
			.kind = shared ? SHARED : PRIVATE,
			.index = (uint32_t)(index + i),
		};
}

static void random_munmap(struct fixture *f, struct model *model)
{
	const uint64_t page = pick(model, SPACE);
	const uint64_t pages = 1 + pick(model, SPACE - page < 6 ? SPACE - page : 6);

	assert_ok(quire_munmap(f->mm, AT(page), PAGES(pages)));
	memset(&model->pages[page], 0, pages * sizeof(model->pages[0]));
}

/* One page of advice, so that neither holes nor VMA boundaries matter. */
static void random_madvise(struct fixture *f, struct model *model)
{
	static const int advices[] = {QUIRE_MADV_GUARD_INSTALL, QUIRE_MADV_GUARD_REMOVE,
				      QUIRE_MADV_DONTNEED, QUIRE_MADV_COLD};
	const uint64_t page = pick(model, SPACE);
	const int advice = advices[pick(model, ARRAY_SIZE(advices))];
	struct model_page *p = &model->pages[page];

	if (p->kind == UNMAPPED) {
		assert_error(quire_madvise(f->mm, AT(page), PAGES(1), advice), ENOMEM);
		return;
	}
	assert_ok(quire_madvise(f->mm, AT(page), PAGES(1), advice));
	if (advice == QUIRE_MADV_GUARD_INSTALL)
		p->guard = true;
	else if (advice == QUIRE_MADV_GUARD_REMOVE)
		p->guard = false;
	if (advice == QUIRE_MADV_GUARD_INSTALL || advice == QUIRE_MADV_DONTNEED)
		p->byte = 0;
}

static bool is_free(const struct model *model, uint64_t page, uint64_t pages)
{
	for (uint64_t i = page; i < page + pages; i++)
		if (i >= SPACE || model->pages[i].kind != UNMAPPED)
			return false;
	return true;
}

/* Pages from `page` to the end of its VMA, 0 when there is none. */
static uint64_t pages_to_vma_end(struct fixture *f, uint64_t page)
{
	const struct vm_area_struct *vma = vma_lookup(f->mm, AT(page));

	return vma ? (vma->vm_end - AT(page)) >> PAGE_SHIFT : 0;
}

static void model_move(struct model *model, uint64_t from, uint64_t to, uint64_t old_pages,
		       uint64_t new_pages)
{
	struct model_page moved[SPACE];
	const uint64_t common = old_pages < new_pages ? old_pages : new_pages;

	memcpy(moved, &model->pages[from], common * sizeof(moved[0]));
	for (uint64_t i = common; i < new_pages; i++)
		moved[i] = (struct model_page){
			.kind = moved[0].kind,
			.index = moved[0].index + (uint32_t)i,
		};
	memset(&model->pages[from], 0, old_pages * sizeof(moved[0]));
	memcpy(&model->pages[to], moved, new_pages * sizeof(moved[0]));
}

/* To a fixed place, other size or not; DONTUNMAP with equal sizes only. */
static void random_fixed_mremap(struct fixture *f, struct model *model)
{
	const uint64_t from = pick(model, SPACE - 12);
	const uint64_t to = pick(model, SPACE - 12);
	const uint64_t old_pages = 1 + pick(model, 8);
	const uint64_t new_pages = pick(model, 2) ? old_pages : 1 + pick(model, 12);
	const uint64_t common = old_pages < new_pages ? old_pages : new_pages;
	const bool keep = old_pages == new_pages && pick(model, 3) == 0;
	const int flags =
		QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED | (keep ? QUIRE_MREMAP_DONTUNMAP : 0);
	struct model_page source[SPACE];
	uint64_t address;
	int want = 0;

	if (from < to + new_pages && to < from + old_pages)
		want = EINVAL;
	else if (pages_to_vma_end(f, from) < common)
		want = EFAULT;
	/* Several VMAs of equal sizes move one by one: that has a test of its own. */
	if (want == EFAULT && old_pages == new_pages)
		return;
	errno = 0;
	address = quire_mremap(f->mm, AT(from), PAGES(old_pages), PAGES(new_pages), flags, AT(to));
	if (want) {
		assert_int_equal(address, QUIRE_MAP_FAILED);
		assert_int_equal(errno, want);
		return;
	}
	assert_int_equal(address, AT(to));
	memset(&model->pages[to], 0, new_pages * sizeof(source[0]));
	memcpy(source, &model->pages[from], old_pages * sizeof(source[0]));
	model_move(model, from, to, old_pages, new_pages);
	for (uint64_t i = 0; keep && i < old_pages; i++)
		model->pages[from + i] = (struct model_page){
			.kind = source[i].kind,
			.index = source[i].index,
		};
}

/* In place, growing or shrinking. */
static void random_resize(struct fixture *f, struct model *model)
{
	const uint64_t page = pick(model, SPACE - 12);
	const uint64_t old_pages = 1 + pick(model, 8);
	const uint64_t new_pages = 1 + pick(model, 12);
	const uint64_t in_vma = pages_to_vma_end(f, page);
	uint64_t address;
	int want = 0;

	if (!in_vma || (new_pages > old_pages && in_vma < old_pages))
		want = EFAULT;
	else if (new_pages > old_pages &&
		 (in_vma > old_pages || !is_free(model, page + old_pages, new_pages - old_pages)))
		want = ENOMEM;
	errno = 0;
	address = quire_mremap(f->mm, AT(page), PAGES(old_pages), PAGES(new_pages), 0, 0);
	if (want) {
		assert_int_equal(address, QUIRE_MAP_FAILED);
		assert_int_equal(errno, want);
		return;
	}
	assert_int_equal(address, AT(page));
	model_move(model, page, page, old_pages, new_pages);
}

static void random_step(struct fixture *f, struct model *model)
{
	switch (pick(model, 16)) {
	case 0:
	case 1:
		random_mmap(f, model);
		break;
	case 2:
		random_munmap(f, model);
		break;
	case 3:
		random_madvise(f, model);
		break;
	case 4:
	case 5:
	case 6:
		random_fixed_mremap(f, model);
		break;
	case 7:
	case 8:
		random_resize(f, model);
		break;
	case 9:
		quire_reclaim(f->quire, NULL, 1 + pick(model, 8));
		break;
	case 10:
	case 11:
		check_page(f, model, pick(model, SPACE));
		break;
	default:
		random_store(f, model);
	}
}

static void play(struct fixture *f, uint64_t seed)
{
	static struct model model;

	model = (struct model){.prng = {seed}};
	for (int step = 0; step < STEPS; step++) {
		random_step(f, &model);
		if (step % 100)
			continue;
		test_instance_check(&f->instance);
		for (uint64_t page = 0; page < SPACE; page++)
			check_page(f, &model, page);
	}
	assert_ok(quire_munmap(f->mm, AT(0), PAGES(SPACE)));
	assert_int_equal(f->mm->map_count, 0);
	assert_int_equal(f->mm->total_vm, 0);
	assert_ok(quire_ftruncate(f->file, 0));
	assert_ok(quire_ftruncate(f->file, PAGES(OBJECT)));
}

static void test_random_calls(void **state)
{
	struct fixture *f = *state;

	make_memfd(f, OBJECT);
	for (uint64_t seed = 1; seed <= 4; seed++)
		play(f, seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_random_calls, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
