/* SPDX-License-Identifier: MIT */
/*
 * Tests of how a store of a host file comes to be, with a ring or without one, and of the
 * descriptor's way through it.
 */
#include "store/file_store_fixture_test.h"

#include <quire/memory_store.h>

#include "base/fail.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		AUTO(test_not_a_regular_file),    AUTO(test_out_of_memory),
		AUTO(test_io_uring_refused),      RING(test_ring_as_asked),
		AUTO(test_descriptor_given_back),
	};

	return exit_status(cmocka_run_group_tests(tests, NULL, NULL));
}
