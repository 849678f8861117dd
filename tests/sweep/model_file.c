/* SPDX-License-Identifier: MIT */
/*
 * The model of the failure sweep: files and objects, and what each of their bytes is.
 */
#include "sweep.h"

#include <quire/inject_store.h>
#include <quire/memory_store.h>

#include <errno.h>
#include <string.h>

static struct model_file *new_file(struct sweep *sweep, uint64_t size)
{
	for (uint32_t i = 0; i < SWEEP_FILES; i++) {
		struct model_file *file = &sweep->files[i];

		if (!file->live) {
			memset(file, 0, sizeof(*file));
			file->live = true;
			file->size = size;
			file->uncertain_from = UINT64_MAX;
			return file;
		}
	}
	sweep_die(sweep, "too many files");
}

struct model_file *model_shared_object(struct sweep *sweep, uint32_t pages)
{
	return new_file(sweep, pages * PAGE_SIZE);
}

struct transfer {
	struct quire_request request;
	int64_t result;
};

static void transfer_done(struct quire_request *request, int64_t result)
{
	((struct transfer *)request)->result = result;
}

/* A memory store is done when submit() returns. */
static bool transfer(struct quire_store *store, enum quire_direction direction, void *memory,
		     uint64_t bytes)
{
	struct quire_segment segment = {memory, bytes};
	struct transfer transfer = {
		.request = {.direction = direction,
			    .segments = &segment,
			    .nr_segments = 1,
			    .done = transfer_done},
		.result = -EINPROGRESS,
	};

	if (store->ops->submit(store, &transfer.request) || transfer.result != (int64_t)bytes) {
		errno = ENOMEM;
		return false;
	}
	return true;
}

static int from_error(int error)
{
	errno = -error;
	return error ? -1 : 0;
}

struct quire_store *model_store(struct sweep *sweep, struct quire_store *inner)
{
	struct quire_store *store = NULL;

	STEP(sweep, MAY_NOMEM, from_error(quire_inject_store_create(inner, &store)) == 0);
	return store;
}

static struct kept_store *kept_store(struct quire_store *store)
{
	return (struct kept_store *)store;
}

static int kept_submit(struct quire_store *store, struct quire_request *request)
{
	struct quire_store *inner = kept_store(store)->inner;

	return inner->ops->submit(inner, request);
}

static int64_t kept_size(struct quire_store *store)
{
	struct quire_store *inner = kept_store(store)->inner;

	return inner->ops->size(inner);
}

static int kept_resize(struct quire_store *store, uint64_t bytes)
{
	struct quire_store *inner = kept_store(store)->inner;

	return inner->ops->resize(inner, bytes);
}

static int kept_discard(struct quire_store *store, uint64_t offset, uint64_t bytes)
{
	struct quire_store *inner = kept_store(store)->inner;

	return inner->ops->discard(inner, offset, bytes);
}

static int kept_sync(struct quire_store *store)
{
	struct quire_store *inner = kept_store(store)->inner;

	return inner->ops->sync(inner);
}

static void kept_close(struct quire_store *store)
{
	kept_store(store)->closed = true;
}

static const struct quire_store_ops kept_ops = {
	.name = "kept",
	.submit = kept_submit,
	.size = kept_size,
	.resize = kept_resize,
	.discard = kept_discard,
	.sync = kept_sync,
	.close = kept_close,
};

struct model_file *model_open(struct sweep *sweep, uint64_t inode, uint32_t pages, uint8_t tag)
{
	struct model_file *file = new_file(sweep, pages * PAGE_SIZE);
	struct quire_store *inner = NULL, *store;

	for (uint64_t i = 0; i < file->size; i++)
		file->bytes[i] = (uint8_t)(tag + i / PAGE_SIZE * 7 + i % 251);
	STEP(sweep, MAY_NOMEM, from_error(quire_memory_store_create(file->size, &inner)) == 0);
	if (pages)
		STEP(sweep, MAY_NOMEM, transfer(inner, QUIRE_WRITE, file->bytes, file->size));
	file->kept = (struct kept_store){{&kept_ops, true}, inner, false};
	store = model_store(sweep, &file->kept.base);
	STEP(sweep, MAY_NOMEM | MAY_IO,
	     quire_open(sweep->quire, "file", 1, inode, store, QUIRE_O_READ | QUIRE_O_WRITE,
			&file->file) == 0);
	file->backing = inner;
	return file;
}

struct model_file *model_memfd(struct sweep *sweep, uint32_t pages)
{
	struct model_file *file = new_file(sweep, 0);

	STEP(sweep, MAY_NOMEM, quire_memfd_create(sweep->quire, "memory", 0, &file->file) == 0);
	model_truncate(sweep, file, pages * PAGE_SIZE);
	return file;
}

struct model_file *model_shm(struct sweep *sweep, uint32_t pages)
{
	struct model_file *file = new_file(sweep, pages * PAGE_SIZE);

	STEP(sweep, MAY_NOMEM,
	     quire_shm_create(sweep->quire, "SYSV", file->size, &file->file) == 0);
	return file;
}

/* Writes what is left, and says whether that was all of it. */
static bool try_write(struct sweep *sweep, struct model_file *file, uint64_t *offset, uint64_t end,
		      uint8_t byte)
{
	static uint8_t buffer[SWEEP_FILE_BYTES];
	int64_t done;

	memset(buffer, byte, end - *offset);
	done = quire_pwrite(file->file, quire_root_group(sweep->quire), buffer, end - *offset,
			    *offset);
	if (done < 0)
		return false;
	memset(file->bytes + *offset, byte, (uint64_t)done);
	*offset += (uint64_t)done;
	file->size = max_u64(file->size, *offset);
	/* A short count stands for the error that the next try meets. */
	errno = ENOMEM;
	return *offset == end;
}

void model_write(struct sweep *sweep, struct model_file *file, uint64_t offset, uint64_t bytes,
		 uint8_t byte)
{
	const uint64_t end = offset + bytes;

	/* As on ext4, a write behind the end that fails may leave the hole before it. */
	if (offset > file->size)
		file->uncertain_from = file->size;
	STEP(sweep, MAY_NOMEM | MAY_IO | MAY_NOSPC, try_write(sweep, file, &offset, end, byte));
	file->uncertain_from = UINT64_MAX;
}

/* Private copies of what is cut off go too. */
static void propose_cut(struct sweep *sweep, const struct model_file *file, uint64_t size)
{
	for (uint32_t i = 0; i < SWEEP_REGIONS; i++) {
		struct region *region = &sweep->regions[i];

		if (!region->live || region->file != file)
			continue;
		for (uint32_t page = 0; page < region->pages; page++)
			if ((region->pgoff + page) * PAGE_SIZE >= size &&
			    region->value[page] != VALUE_ANY)
				model_propose(region, page, 1, VALUE_FILE);
	}
}

static void commit_cut(struct sweep *sweep, const struct model_file *file)
{
	for (uint32_t i = 0; i < SWEEP_REGIONS; i++)
		if (sweep->regions[i].live && sweep->regions[i].file == file)
			model_commit(&sweep->regions[i]);
}

void model_truncate(struct sweep *sweep, struct model_file *file, uint64_t size)
{
	propose_cut(sweep, file, size);
	file->uncertain_from = min_u64(size, file->size);
	STEP(sweep, MAY_NOMEM | MAY_IO | MAY_NOSPC, quire_ftruncate(file->file, size) == 0);
	file->uncertain_from = UINT64_MAX;
	commit_cut(sweep, file);
	if (size < file->size)
		memset(file->bytes + size, 0, file->size - size);
	file->size = size;
}

void model_punch(struct sweep *sweep, struct model_file *file, uint64_t offset, uint64_t bytes)
{
	file->uncertain_from = offset;
	STEP(sweep, MAY_NOMEM | MAY_IO | MAY_NOSPC,
	     quire_punch_hole(file->file, offset, bytes) == 0);
	file->uncertain_from = UINT64_MAX;
	memset(file->bytes + offset, 0, bytes);
}

void model_close(struct sweep *sweep, struct model_file *file)
{
	(void)sweep;
	if (file->file)
		quire_close(file->file);
	file->file = NULL;
}

static void compare(struct sweep *sweep, const struct model_file *file, const uint8_t *bytes,
		    uint64_t length, const char *where)
{
	for (uint64_t i = 0; i < length; i++)
		if (bytes[i] != file->bytes[i])
			sweep_die(sweep, "byte %#llx of file %d %s is %#x instead of %#x",
				  (unsigned long long)i, (int)(file - sweep->files), where,
				  bytes[i], file->bytes[i]);
}

void model_verify_file(struct sweep *sweep, struct model_file *file)
{
	static uint8_t buffer[SWEEP_FILE_BYTES];
	const bool certain = file->uncertain_from == UINT64_MAX;
	const uint64_t length = min_u64(file->size, file->uncertain_from);

	if (!file->file)
		return;
	if (certain && quire_file_size(file->file) != (int64_t)file->size)
		sweep_die(sweep, "file %d has %lld bytes instead of %llu",
			  (int)(file - sweep->files), (long long)quire_file_size(file->file),
			  (unsigned long long)file->size);
	if (!length)
		return;
	int64_t done = quire_pread(file->file, quire_root_group(sweep->quire), buffer, length, 0);

	if (done != (int64_t)length)
		sweep_die(sweep, "file %d cannot be read: %lld (%s)", (int)(file - sweep->files),
			  (long long)done, strerror(errno));
	compare(sweep, file, buffer, length, "read back");
}

void model_verify_backing(struct sweep *sweep, struct model_file *file)
{
	static uint8_t buffer[SWEEP_FILE_BYTES];

	if (!file->backing)
		return;
	if (file->backing->ops->size(file->backing) != (int64_t)file->size)
		sweep_die(sweep, "the store of file %d has %lld bytes instead of %llu",
			  (int)(file - sweep->files),
			  (long long)file->backing->ops->size(file->backing),
			  (unsigned long long)file->size);
	if (!file->size)
		return;
	EXPECT(sweep, transfer(file->backing, QUIRE_READ, buffer, file->size));
	compare(sweep, file, buffer, file->size, "in its store");
}

void model_end_file(struct sweep *sweep, struct model_file *file)
{
	if (!file->backing)
		return;
	EXPECT(sweep, file->kept.closed);
	file->backing->ops->close(file->backing);
}
