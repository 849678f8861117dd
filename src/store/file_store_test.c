/* SPDX-License-Identifier: MIT */
/*
 * Tests of the store of a host file. Most run in each way of doing I/O; where the host refuses
 * io_uring, those that insist on it are skipped, and the program ends with the status of a skipped
 * test.
 */
#define _GNU_SOURCE
#include <quire/file_store.h>
#include <quire/memory_store.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "store/store_test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGES 3000
#define EXIT_SKIPPED 77 /* as meson understands it */

static bool ring_was_refused;

/* More segments than one system call takes. */
static unsigned char buffer[(PAGES + 1) * 4096] __attribute__((aligned(4096)));
static unsigned char other[sizeof(buffer)] __attribute__((aligned(4096)));

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

/* Each test gets a store on an empty file; neither memory nor open files may be left behind. */
struct fixture {
	uint64_t live;
	uint32_t open_files;
	struct quire_store *store;
	int fd; /* the file once more, to look at it from outside */
};

static struct fixture fixture;

/* A new empty file without a name, open for reading and writing. */
static int open_file(int flags)
{
	const char *directory = getenv("TMPDIR");
	char path[4096];

	snprintf(path, sizeof(path), "%s/quire-file-store-XXXXXX", directory ? directory : "/tmp");

	int fd = mkostemp(path, flags);

	assert_true(fd >= 0);
	unlink(path);
	return fd;
}

static int reopen(int fd, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags);
}

static int set_up(void **state, enum quire_file_io io)
{
	int fd, error;

	*state = NULL;
	memset(other, 0xee, sizeof(other));
	fixture.live = quire_alloc_live();
	fixture.open_files = test_open_files();
	fixture.fd = open_file(0);
	fd = reopen(fixture.fd, O_RDWR);
	assert_true(fd >= 0);
	error = quire_file_store_create(fd, true, io, &fixture.store);
	if (error) {
		close(fd);
		fixture.store = NULL;
	}
	return error && io != QUIRE_FILE_IO_RING ? -1 : 0;
}

static int set_up_auto(void **state)
{
	return set_up(state, QUIRE_FILE_IO_AUTO);
}

static int set_up_ring(void **state)
{
	return set_up(state, QUIRE_FILE_IO_RING);
}

static int set_up_plain(void **state)
{
	return set_up(state, QUIRE_FILE_IO_PLAIN);
}

static int tear_down(void **state)
{
	(void)state;
	if (fixture.store)
		fixture.store->ops->close(fixture.store);
	close(fixture.fd);
	if (quire_alloc_live() != fixture.live)
		return -1;
	return test_open_files() == fixture.open_files ? 0 : -1;
}

static struct quire_store *the_store(void)
{
	if (!fixture.store) {
		ring_was_refused = true;
		skip();
	}
	return fixture.store;
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

#define TRANSFERS 700
#define WORKERS 3

struct worker {
	struct quire_store *store;
	uint64_t number;
	struct test_transfer transfers[TRANSFERS];
};

static struct worker workers[WORKERS];

static unsigned char *page_of(const struct worker *worker, size_t i)
{
	return buffer + (worker->number * TRANSFERS + i) * 4096;
}

/* Each page's offset in the file; a worker's pages do not lie side by side. */
static uint64_t offset_of(const struct worker *worker, size_t i)
{
	return (i * WORKERS + worker->number) * 4096;
}

static int start_all(struct worker *worker, enum quire_direction direction)
{
	for (size_t i = 0; i < TRANSFERS; i++)
		if (test_submit(worker->store, &worker->transfers[i], direction, page_of(worker, i),
				4096, offset_of(worker, i)))
			return -1;
	return 0;
}

static int wait_for_all(struct worker *worker)
{
	for (size_t i = 0; i < TRANSFERS; i++)
		if (test_wait(&worker->transfers[i]) != 4096)
			return -1;
	return 0;
}

static void *write_then_read(void *argument)
{
	struct worker *worker = argument;

	for (size_t i = 0; i < TRANSFERS; i++)
		test_fill(page_of(worker, i), 4096, offset_of(worker, i));
	if (start_all(worker, QUIRE_WRITE) || wait_for_all(worker))
		return worker;
	memset(page_of(worker, 0), 0xee, TRANSFERS * 4096);
	if (start_all(worker, QUIRE_READ) || wait_for_all(worker))
		return worker;
	for (size_t i = 0; i < TRANSFERS; i++)
		if (!test_is_filled(page_of(worker, i), 4096, offset_of(worker, i)))
			return worker;
	return NULL;
}

/* More transfers at a time than the ring has room for, from several threads. */
static void check_concurrent(struct quire_store *store)
{
	pthread_t threads[WORKERS];

	for (size_t i = 0; i < WORKERS; i++) {
		workers[i].store = store;
		workers[i].number = i;
		assert_int_equal(pthread_create(&threads[i], NULL, write_then_read, &workers[i]),
				 0);
	}
	for (size_t i = 0; i < WORKERS; i++) {
		void *wrong;

		pthread_join(threads[i], &wrong);
		assert_null(wrong);
	}
}

static void test_concurrent(void **state)
{
	(void)state;
	check_concurrent(the_store());
}

/* The same without the host's page cache, where transfers really take a while. */
static void test_concurrent_direct(void **state)
{
	(void)state;
	struct quire_store *store = the_store(), *direct;
	int fd = reopen(fixture.fd, O_RDWR | O_DIRECT);

	if (fd < 0)
		skip();
	assert_int_equal(quire_file_store_create(fd, true,
						 quire_file_store_uses_ring(store)
							 ? QUIRE_FILE_IO_RING
							 : QUIRE_FILE_IO_PLAIN,
						 &direct),
			 0);
	check_concurrent(direct);
	direct->ops->close(direct);
}

static void *start_writes_and_exit(void *argument)
{
	return start_all(argument, QUIRE_WRITE) ? argument : NULL;
}

static void *start_reads_and_exit(void *argument)
{
	return start_all(argument, QUIRE_READ) ? argument : NULL;
}

static void check_submitter_exits(void *(*start)(void *))
{
	pthread_t thread;
	void *wrong;

	assert_int_equal(pthread_create(&thread, NULL, start, &workers[0]), 0);
	pthread_join(thread, &wrong);
	assert_null(wrong);
	assert_int_equal(wait_for_all(&workers[0]), 0);
}

/*
 * The kernel may give up what a thread has under way in a ring when the thread exits; the store
 * must not let that show. The file's pages are dropped from the host's cache before the reads, so
 * that these cannot be over at once.
 */
static void test_submitter_exits(void **state)
{
	(void)state;
	struct quire_store *store = the_store();

	workers[0].store = store;
	workers[0].number = 0;
	for (size_t i = 0; i < TRANSFERS; i++)
		test_fill(page_of(&workers[0], i), 4096, offset_of(&workers[0], i));
	check_submitter_exits(start_writes_and_exit);
	for (int round = 0; round < 5; round++) {
		memset(page_of(&workers[0], 0), 0xee, TRANSFERS * 4096);
		assert_int_equal(store->ops->sync(store), 0);
		posix_fadvise(fixture.fd, 0, 0, POSIX_FADV_DONTNEED);
		check_submitter_exits(start_reads_and_exit);
		for (size_t i = 0; i < TRANSFERS; i++)
			assert_true(test_is_filled(page_of(&workers[0], i), 4096,
						   offset_of(&workers[0], i)));
	}
}

static void test_close_waits(void **state)
{
	(void)state;

	workers[0].store = the_store();
	workers[0].number = 0;
	assert_int_equal(start_all(&workers[0], QUIRE_WRITE), 0);
	fixture.store->ops->close(fixture.store);
	fixture.store = NULL;
	for (size_t i = 0; i < TRANSFERS; i++) {
		assert_int_equal(workers[0].transfers[i].finished, 1);
		assert_int_equal(workers[0].transfers[i].result, 4096);
	}
}

static void test_not_a_regular_file(void **state)
{
	(void)state;
	struct quire_store *none;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(quire_file_store_create(ends[0], false, QUIRE_FILE_IO_AUTO, &none),
			 -EINVAL);
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(quire_file_store_create(-1, false, QUIRE_FILE_IO_AUTO, &none), -EBADF);
}

static void test_out_of_memory(void **state)
{
	(void)state;
	struct quire_store *store;
	uint64_t nth = 1;
	int error;

	/* The fixture's store is closed first, so that making the ring is among what can fail. */
	fixture.store->ops->close(fixture.store);
	fixture.store = NULL;
	do {
		int fd = reopen(fixture.fd, O_RDWR);

		quire_fail_arm(FAIL_ALLOC, nth++, false);
		error = quire_file_store_create(fd, true, QUIRE_FILE_IO_AUTO, &store);
		assert_int_equal(error, quire_fail_disarm() ? -ENOMEM : 0);
		if (error)
			close(fd);
	} while (error);
	assert_true(nth > 2);
	assert_int_equal(test_write(store, buffer, 4096, 0), 4096);
	store->ops->close(store);
}

/* Makes io_uring_setup(2) fail in this process, for good. */
static void refuse_io_uring(uint32_t error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {ARRAY_SIZE(code), code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		_exit(100);
}

/* In a child: what goes wrong there is told by the exit status. */
static int use_store_where_refused(uint32_t error)
{
	struct quire_store *store;
	unsigned char page[4096];

	refuse_io_uring(error);
	if (quire_file_store_create(fixture.fd, true, QUIRE_FILE_IO_RING, &store) != -(int)error)
		return 1;
	if (quire_file_store_create(fixture.fd, true, QUIRE_FILE_IO_AUTO, &store))
		return 2;
	if (quire_file_store_uses_ring(store))
		return 3;
	test_fill(buffer, 8192, 0);
	if (test_write(store, buffer, 8192, 0) != 8192)
		return 4;
	if (test_read(store, page, 4096, 4096) != 4096 || !test_is_filled(page, 4096, 4096))
		return 5;
	store->ops->close(store);
	return 0;
}

static void test_io_uring_refused(void **state)
{
	(void)state;
	const uint32_t errors[] = {EPERM, ENOSYS};

	/* The child makes its own ring, or would. */
	fixture.store->ops->close(fixture.store);
	fixture.store = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		pid_t child = fork();
		int status;

		assert_true(child >= 0);
		if (!child)
			_exit(use_store_where_refused(errors[i]));
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
}

static void note_fd(void *context, int fd)
{
	*(int *)context = fd;
}

/* Who wants the descriptor gets it open, after the last transfer. */
static void test_descriptor_given_back(void **state)
{
	(void)state;
	struct quire_store *store;
	int fd = reopen(fixture.fd, O_RDWR), given = -1;

	assert_int_equal(quire_file_store_create(fd, true, QUIRE_FILE_IO_PLAIN, &store), 0);
	assert_int_equal(quire_file_store_fd(store), fd);
	quire_file_store_on_close(store, note_fd, &given);
	store->ops->close(store);
	assert_int_equal(given, fd);
	assert_int_equal(close(fd), 0);
	assert_int_equal(quire_memory_store_create(0, &store), 0);
	assert_int_equal(quire_file_store_fd(store), -1);
	store->ops->close(store);
}

static void test_ring_as_asked(void **state)
{
	(void)state;
	struct quire_store *plain;

	assert_true(quire_file_store_uses_ring(the_store()));
	assert_int_equal(quire_file_store_create(reopen(fixture.fd, O_RDWR), true,
						 QUIRE_FILE_IO_PLAIN, &plain),
			 0);
	assert_false(quire_file_store_uses_ring(plain));
	plain->ops->close(plain);
}

#define AUTO(function) cmocka_unit_test_setup_teardown(function, set_up_auto, tear_down)
#define RING(function) cmocka_unit_test_setup_teardown(function, set_up_ring, tear_down)
#define PLAIN(function) cmocka_unit_test_setup_teardown(function, set_up_plain, tear_down)
#define EACH(function) AUTO(function), RING(function), PLAIN(function)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(test_write_and_read),  EACH(test_end_of_file),
		EACH(test_many_segments),   EACH(test_one_big_segment),
		EACH(test_resize),          EACH(test_discard),
		EACH(test_bad_ranges),      EACH(test_write_cut_by_limit),
		EACH(test_read_only),       EACH(test_error_of_host),
		EACH(test_concurrent),      EACH(test_concurrent_direct),
		EACH(test_submitter_exits), EACH(test_close_waits),
		PLAIN(test_unkind_host),    AUTO(test_not_a_regular_file),
		AUTO(test_out_of_memory),   AUTO(test_io_uring_refused),
		RING(test_ring_as_asked),   AUTO(test_descriptor_given_back),
	};

	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	return failed || !ring_was_refused ? failed : EXIT_SKIPPED;
}
