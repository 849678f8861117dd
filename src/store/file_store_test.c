/* SPDX-License-Identifier: MIT */
/*
 * Tests of the transfers of a store of a host file, one at a time, and of the file's size, its
 * holes and its errors.
 */
#include "store/file_store_fixture_test.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

/*
 * While set, the host's preadv2() and pwritev2(), which the functions below replace, are
 * interrupted, then busy, then move only a few bytes, in turn.
 */
static bool host_is_unkind;
static uint64_t unkind_calls;

static ssize_t move_unkindly(long call, int fd, const struct iovec *vector, int count, off_t offset,
			     int flags)
{
	struct iovec few = vector[0];

	if (host_is_unkind) {
		switch (unkind_calls++ % 3) {
		case 0:
			errno = EINTR;
			return -1;
		case 1:
			errno = EAGAIN;
			return -1;
		}
		few.iov_len = min_u64(few.iov_len, 1000);
		vector = &few;
		count = 1;
	}
	return syscall(call, fd, vector, count, offset, 0L, flags);
}

ssize_t preadv2(int fd, const struct iovec *vector, int count, off_t offset, int flags)
{
	return move_unkindly(SYS_preadv2, fd, vector, count, offset, flags);
}

ssize_t pwritev2(int fd, const struct iovec *vector, int count, off_t offset, int flags)
{
	return move_unkindly(SYS_pwritev2, fd, vector, count, offset, flags);
}

static void test_write_and_read(void **state)
{
	(void)state;
	struct quire_store *store = the_store();

	assert_true(store->writable);
	assert_int_equal(store->ops->size(store), 0);
	test_fill(buffer, 40960, 4096);
	assert_int_equal(test_write(store, buffer, 40960, 4096), 40960);
	assert_int_equal(store->ops->size(store), 4096 + 40960);
	assert_int_equal(store->ops->sync(store), 0);
	/* From outside. */
	assert_int_equal(pread(fixture.fd, other, 100000, 0), 4096 + 40960);
	assert_true(test_is_zero(other, 4096));
	assert_true(test_is_filled(other + 4096, 40960, 4096));
	/* And through the store. */
	memset(other, 0xee, sizeof(other));
	assert_int_equal(test_read(store, other, 40960, 4096), 40960);
	assert_true(test_is_filled(other, 40960, 4096));
}

static void test_end_of_file(void **state)
{
	(void)state;
	struct quire_store *store = the_store();

	test_fill(buffer, 5000, 0);
	assert_int_equal(test_write(store, buffer, 5000, 0), 5000);
	assert_int_equal(store->ops->size(store), 5000);
	assert_int_equal(test_read(store, other, 8192, 0), 5000);
	assert_true(test_is_filled(other, 5000, 0));
	assert_int_equal(other[5000], 0xee);
	assert_int_equal(test_read(store, other, 4096, 8192), 0);
	assert_int_equal(test_read(store, other, 0, 0), 0);
	assert_int_equal(test_write(store, buffer, 0, 9000), 0);
	assert_int_equal(store->ops->size(store), 5000);
}

static int64_t transfer_pages(struct quire_store *store, enum quire_direction direction,
			      unsigned char *memory, size_t bytes)
{
	static struct quire_segment segments[PAGES + 2];
	struct test_transfer transfer;
	uint32_t count = 0;

	/* Pages of memory in the opposite order of the file's, and a segment of nothing at the
	 * front. */
	segments[count++] = (struct quire_segment){memory, 0};
	for (size_t done = 0; done < bytes; done += 4096)
		segments[count++] = (struct quire_segment){memory + PAGES * 4096 - done,
							   min_u64(4096, bytes - done)};
	memset(&transfer, 0, sizeof(transfer));
	transfer.request = (struct quire_request){.direction = direction,
						  .segments = segments,
						  .nr_segments = count,
						  .done = test_transfer_done,
						  .context = &transfer};
	assert_int_equal(store->ops->submit(store, &transfer.request), 0);
	return test_wait(&transfer);
}

static void test_many_segments(void **state)
{
	(void)state;
	struct quire_store *store = the_store();
	const int64_t bytes = PAGES * 4096 + 77;

	for (size_t page = 0; page <= PAGES; page++)
		test_fill(buffer + (PAGES - page) * 4096, 4096, page * 4096);
	assert_int_equal(transfer_pages(store, QUIRE_WRITE, buffer, bytes), bytes);
	assert_int_equal(store->ops->size(store), bytes);
	assert_int_equal(transfer_pages(store, QUIRE_READ, other, bytes), bytes);
	for (size_t page = 0; page < PAGES; page++)
		assert_true(test_is_filled(other + (PAGES - page) * 4096, 4096, page * 4096));
	assert_true(test_is_filled(other, 77, PAGES * 4096));
	assert_int_equal(other[77], 0xee);
	/* A request that goes beyond the end, by more than one system call's worth. */
	assert_int_equal(store->ops->resize(store, 1500 * 4096 + 5), 0);
	assert_int_equal(transfer_pages(store, QUIRE_READ, other, bytes), 1500 * 4096 + 5);
}

/* Interrupted and short system calls are not seen by the user; transfers go on in the middle of a
 * segment. */
static void test_unkind_host(void **state)
{
	(void)state;
	struct quire_store *store = the_store();
	const uint64_t bytes = 20 * 4096 + 77;

	for (size_t page = 0; page <= PAGES; page++)
		test_fill(buffer + (PAGES - page) * 4096, 4096, page * 4096);
	host_is_unkind = true;
	unkind_calls = 0;

	int64_t written = transfer_pages(store, QUIRE_WRITE, buffer, bytes);
	int64_t read = transfer_pages(store, QUIRE_READ, other, bytes + 4096);

	host_is_unkind = false;
	assert_true(unkind_calls > 2 * 3 * (bytes / 1000));
	assert_int_equal(written, bytes);
	assert_int_equal(read, bytes);
	for (size_t page = 0; page < 20; page++)
		assert_true(test_is_filled(other + (PAGES - page) * 4096, 4096, page * 4096));
	assert_true(test_is_filled(other + (PAGES - 20) * 4096, 77, 20 * 4096));
}

static void test_one_big_segment(void **state)
{
	(void)state;
	struct quire_store *store = the_store();
	uint64_t far = (uint64_t)5 << 32;

	test_fill(buffer, sizeof(buffer), far);
	assert_int_equal(test_write(store, buffer, sizeof(buffer), far), sizeof(buffer));
	assert_int_equal(test_read(store, other, sizeof(other), far), sizeof(other));
	assert_memory_equal(buffer, other, sizeof(buffer));
}

static void test_resize(void **state)
{
	(void)state;
	struct quire_store *store = the_store();

	test_fill(buffer, 8192, 0);
	assert_int_equal(test_write(store, buffer, 8192, 0), 8192);
	assert_int_equal(store->ops->resize(store, 100), 0);
	assert_int_equal(store->ops->size(store), 100);
	assert_int_equal(store->ops->resize(store, 6000), 0);
	assert_int_equal(test_read(store, other, 8192, 0), 6000);
	assert_true(test_is_filled(other, 100, 0));
	assert_true(test_is_zero(other + 100, 5900));
	assert_int_equal(store->ops->resize(store, UINT64_MAX), -EFBIG);
	assert_int_equal(store->ops->size(store), 6000);
}

static void test_discard(void **state)
{
	(void)state;
	struct quire_store *store = the_store();
	struct stat before, after;

	test_fill(buffer, 64 * 4096, 0);
	assert_int_equal(test_write(store, buffer, 64 * 4096, 0), 64 * 4096);
	assert_int_equal(store->ops->sync(store), 0);
	assert_int_equal(fstat(fixture.fd, &before), 0);
	assert_int_equal(store->ops->discard(store, 4096 - 10, 32 * 4096), 0);
	assert_int_equal(fstat(fixture.fd, &after), 0);
	assert_true(after.st_blocks < before.st_blocks);
	assert_int_equal(after.st_size, before.st_size);
	assert_int_equal(test_read(store, other, 64 * 4096, 0), 64 * 4096);
	assert_true(test_is_filled(other, 4086, 0));
	assert_true(test_is_zero(other + 4086, 32 * 4096));
	assert_true(test_is_filled(other + 4086 + 32 * 4096, 31 * 4096 + 10, 4086 + 32 * 4096));
	assert_int_equal(store->ops->discard(store, 0, 0), 0);
	assert_int_equal(store->ops->discard(store, 0, UINT64_MAX), 0);
	assert_int_equal(store->ops->discard(store, UINT64_MAX, 1), -EINVAL);
	assert_int_equal(store->ops->size(store), 64 * 4096);
	assert_int_equal(test_read(store, other, 64 * 4096, 0), 64 * 4096);
	assert_true(test_is_zero(other, 64 * 4096));
}

static void test_bad_ranges(void **state)
{
	(void)state;
	struct quire_store *store = the_store();

	assert_int_equal(test_write(store, buffer, 4096, INT64_MAX - 100), -EFBIG);
	assert_int_equal(test_read(store, buffer, 4096, INT64_MAX - 100), -EINVAL);
	assert_int_equal(test_read(store, buffer, 4096, UINT64_MAX), -EINVAL);
	assert_int_equal(store->ops->size(store), 0);
}

/* A write that the file size limit cuts moves some bytes, and then must report the error, not the
 * bytes. */
static void test_write_cut_by_limit(void **state)
{
	(void)state;
	struct quire_store *store = the_store();
	struct rlimit before, limit;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = 6000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);

	int64_t cut = test_write(store, buffer, 8192, 0);
	int64_t beyond = test_write(store, buffer, 4096, 8192);
	int resized = store->ops->resize(store, 10000);

	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(cut, -EFBIG);
	assert_int_equal(beyond, -EFBIG);
	assert_int_equal(resized, -EFBIG);
	assert_int_equal(store->ops->size(store), 6000);
}

static void test_read_only(void **state)
{
	(void)state;
	struct quire_store *store = the_store(), *read_only;
	enum quire_file_io io =
		quire_file_store_uses_ring(store) ? QUIRE_FILE_IO_RING : QUIRE_FILE_IO_PLAIN;
	int fd = reopen(fixture.fd, O_RDONLY);

	test_fill(buffer, 4096, 0);
	assert_int_equal(test_write(store, buffer, 4096, 0), 4096);
	assert_int_equal(quire_file_store_create(fd, false, io, &read_only), 0);
	assert_false(read_only->writable);
	assert_int_equal(test_read(read_only, other, 4096, 0), 4096);
	assert_int_equal(test_write(read_only, buffer, 4096, 0), -EBADF);
	assert_int_equal(read_only->ops->resize(read_only, 0), -EBADF);
	assert_int_equal(read_only->ops->discard(read_only, 0, 4096), -EBADF);
	assert_int_equal(read_only->ops->sync(read_only), 0);
	read_only->ops->close(read_only);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

/* The host's own errors come through: here the file is open the wrong way for what the store tries.
 */
static void test_error_of_host(void **state)
{
	(void)state;
	struct quire_store *store = the_store(), *wrong;
	enum quire_file_io io =
		quire_file_store_uses_ring(store) ? QUIRE_FILE_IO_RING : QUIRE_FILE_IO_PLAIN;

	assert_int_equal(quire_file_store_create(reopen(fixture.fd, O_RDONLY), true, io, &wrong),
			 0);
	assert_int_equal(test_write(wrong, buffer, 4096, 0), -EBADF);
	wrong->ops->close(wrong);
	assert_int_equal(quire_file_store_create(reopen(fixture.fd, O_WRONLY), true, io, &wrong),
			 0);
	assert_int_equal(test_read(wrong, other, 4096, 0), -EBADF);
	wrong->ops->close(wrong);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(test_write_and_read), EACH(test_end_of_file),
		EACH(test_many_segments),  EACH(test_one_big_segment),
		EACH(test_resize),         EACH(test_discard),
		EACH(test_bad_ranges),     EACH(test_write_cut_by_limit),
		EACH(test_read_only),      EACH(test_error_of_host),
		PLAIN(test_unkind_host),
	};

	return exit_status(cmocka_run_group_tests(tests, NULL, NULL));
}
