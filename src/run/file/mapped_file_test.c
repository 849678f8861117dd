/* SPDX-License-Identifier: MIT */
/*
 * Which files of the host can be mapped and as what, whose locks stay, what is noticed of changes
 * by others, and what becomes of descriptors that Quire keeps.
 */
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "core/file/filemap.h"
#include "run/file/fixture_test.h"

static struct run_fixture *setup_run(void)
{
	struct run_fixture *fixture = malloc(sizeof(*fixture));

	assert_non_null(fixture);
	run_fixture_setup(fixture, 8 << 20);
	return fixture;
}

static void teardown_run(struct run_fixture *fixture)
{
	run_fixture_teardown(fixture);
	free(fixture);
}

static int get_error(struct run_fixture *fixture, int fd)
{
	struct file *file;
	int error = mapped_file_get(&fixture->run, fd, &file);

	if (!error)
		fput(file);
	return error;
}

static int get_error_and_close(struct run_fixture *fixture, int fd)
{
	int error = get_error(fixture, fd);

	assert_int_equal(close(fd), 0);
	return error;
}

static void what_can_be_mapped(void **state)
{
	(void)state;
	struct run_fixture *fixture = setup_run();
	int fd = new_file(100);
	int pipe_fds[2];

	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(get_error(fixture, fd), 0);
	assert_int_equal(get_error_and_close(fixture, open_again(fd, O_RDONLY)), 0);
	assert_int_equal(get_error_and_close(fixture, open_again(fd, O_WRONLY)), -EACCES);
	assert_int_equal(get_error_and_close(fixture, open("/tmp", O_RDONLY | O_PATH)), -EBADF);
	assert_int_equal(get_error_and_close(fixture, open("/tmp", O_RDONLY)), -ENODEV);
	assert_int_equal(get_error_and_close(fixture, open("/dev/null", O_RDONLY)), -ENODEV);
	assert_int_equal(get_error_and_close(fixture, open("/dev/zero", O_RDWR)), 0);
	assert_int_equal(get_error_and_close(fixture, open("/proc/self/maps", O_RDONLY)), -ENODEV);
	assert_int_equal(get_error_and_close(fixture, pipe_fds[0]), -ENODEV);
	assert_int_equal(get_error_and_close(fixture, memfd_create("x", 0)), 0);
	assert_int_equal(get_error(fixture, 12345), -EBADF);
	close(pipe_fds[1]);
	close(fd);
	teardown_run(fixture);
}

static void one_object_for_all_descriptors(void **state)
{
	(void)state;
	struct run_fixture *fixture = setup_run();
	int fd = new_file(PAGE_SIZE), readonly = open_again(fd, O_RDONLY);
	struct file *first, *second, *third;
	struct inode *inode;

	/* A store that cannot be written is replaced by one that can. */
	assert_int_equal(mapped_file_get(&fixture->run, readonly, &first), 0);
	assert_false(first->f_inode->store->writable);
	assert_int_equal(mapped_file_get(&fixture->run, fd, &second), 0);
	assert_ptr_equal(first->f_inode, second->f_inode);
	assert_true(first->f_inode->store->writable);
	assert_int_equal(first->f_mode, FMODE_READ);
	assert_int_equal(second->f_mode, FMODE_READ | FMODE_WRITE);
	/* Neighbouring mappings of a descriptor may merge, as of one open file. */
	assert_int_equal(mapped_file_get(&fixture->run, fd, &third), 0);
	assert_ptr_equal(second, third);
	inode = mapped_inode(&fixture->run, readonly);
	assert_ptr_equal(inode, first->f_inode);
	iput(inode);
	fput(first);
	fput(second);
	fput(third);
	close(fd);
	close(readonly);
	teardown_run(fixture);
}

/* Stores go where they belong, whatever the program's open file does with its writes. */
static void an_appending_descriptor_can_be_mapped(void **state)
{
	(void)state;
	struct run_fixture *fixture = setup_run();
	int fd = new_file(2 * PAGE_SIZE), append = open_again(fd, O_RDWR | O_APPEND);
	uint64_t map = map_file(fixture, append, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
	char byte = 'x';

	close(append);
	put(fixture, map + 5, &byte, 1);
	assert_int_equal(CALL(fixture, msync, map, 2 * PAGE_SIZE, MS_SYNC), 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), 2 * PAGE_SIZE);
	assert_int_equal(pread(fd, &byte, 1, 5), 1);
	assert_int_equal(byte, 'x');
	close(fd);
	teardown_run(fixture);
}

/* The modification time moves on, whatever the clock's grain is. */
static void touch(int fd)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1}};

	assert_int_equal(futimens(fd, times), 0);
}

static void changes_by_others_are_seen_when_mapped_again(void **state)
{
	(void)state;
	struct run_fixture *fixture = setup_run();
	int fd = new_file(2 * PAGE_SIZE);
	uint64_t map = map_file(fixture, fd, 2 * PAGE_SIZE, PROT_READ, MAP_SHARED);
	char bytes[2];

	get(fixture, map + 10, bytes, 1);
	assert_int_equal(bytes[0], 70);
	assert_int_equal(pwrite(fd, "new", 3, 10), 3);
	touch(fd);
	map = map_file(fixture, fd, 2 * PAGE_SIZE, PROT_READ, MAP_SHARED);
	get(fixture, map + 10, bytes, 2);
	assert_memory_equal(bytes, "ne", 2);
	/* A file that got shorter has no second page any more. */
	assert_int_equal(ftruncate(fd, 100), 0);
	map = map_file(fixture, fd, 2 * PAGE_SIZE, PROT_READ, MAP_SHARED);
	assert_int_equal(access_process_vm(fixture->process.mm, map + PAGE_SIZE, bytes, 1, false),
			 -EFAULT);
	close(fd);
	teardown_run(fixture);
}

/* 1: another process finds the file locked. */
static int is_locked(int fd)
{
	pid_t child = fork();
	int status;

	if (!child) {
		struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

		_exit(fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WEXITSTATUS(status);
}

static void posix_locks_outlive_quires_descriptors(void **state)
{
	(void)state;
	struct run_fixture *fixture = setup_run();
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = new_file(PAGE_SIZE);
	uint64_t map = map_file(fixture, fd, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);

	put(fixture, fixture->user, &lock, sizeof(lock));
	assert_int_equal(CALL(fixture, fcntl, (uint64_t)fd, F_SETLK, fixture->user), 0);
	assert_int_equal(is_locked(fd), 1);
	/* Neither giving up the file nor mapping it again drops the lock. */
	assert_int_equal(CALL(fixture, munmap, map, PAGE_SIZE), 0);
	mapped_evict_idle(&fixture->run, true);
	assert_int_equal(is_locked(fd), 1);
	map = map_file(fixture, fd, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
	assert_int_equal(is_locked(fd), 1);
	assert_int_equal(CALL(fixture, munmap, map, PAGE_SIZE), 0);
	mapped_evict_idle(&fixture->run, true);
	assert_int_equal(is_locked(fd), 1);
	/* The program's own close does, and takes along what Quire had kept. */
	assert_int_equal(CALL(fixture, close, (uint64_t)fd), 0);
	teardown_run(fixture);
}

/* A lock of an open file ends with the program's last descriptor of it. */
static void flocks_end_with_the_programs_descriptor(void **state)
{
	(void)state;
	struct run_fixture *fixture = setup_run();
	int fd = new_file(PAGE_SIZE), locked = open_again(fd, O_RDWR);

	assert_int_equal(flock(locked, LOCK_EX), 0);
	map_file(fixture, locked, PAGE_SIZE, PROT_READ, MAP_SHARED);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), -1);
	assert_int_equal(CALL(fixture, close, (uint64_t)locked), 0);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	close(fd);
	teardown_run(fixture);
}

static void seals_are_kept(void **state)
{
	(void)state;
	struct run_fixture *fixture = setup_run();
	int fd = memfd_create("sealed", MFD_ALLOW_SEALING);
	uint64_t map;
	char byte = 'x';

	assert_int_equal(ftruncate(fd, PAGE_SIZE), 0);
	map = map_file(fixture, fd, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
	put(fixture, map, &byte, 1);
	assert_int_equal(CALL(fixture, fcntl, (uint64_t)fd, F_ADD_SEALS, F_SEAL_WRITE), -EBUSY);
	assert_int_equal(CALL(fixture, munmap, map, PAGE_SIZE), 0);
	assert_int_equal(CALL(fixture, fcntl, (uint64_t)fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	/* What was stored before is in the object. */
	assert_int_equal(pread(fd, &byte, 1, 0), 1);
	assert_int_equal(byte, 'x');
	assert_int_equal(CALL(fixture, mmap, 0, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			      (uint64_t)fd, 0),
			 -EPERM);
	map = map_file(fixture, fd, PAGE_SIZE, PROT_READ, MAP_SHARED);
	assert_int_equal(CALL(fixture, mprotect, map, PAGE_SIZE, PROT_READ | PROT_WRITE), -EACCES);
	map_file(fixture, fd, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	assert_int_equal(CALL(fixture, ftruncate, (uint64_t)fd, 0), 0);
	close(fd);
	teardown_run(fixture);
}

/* Where the host has no more descriptors, files that nobody uses give theirs. */
static void descriptors_are_given_back(void **state)
{
	(void)state;
	struct run_fixture *fixture = setup_run();
	struct rlimit before, limit;
	char byte;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = before;
	limit.rlim_cur = TEST_FD_BASE + 10;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	for (int i = 0; i < 50; i++) {
		int fd = new_file(PAGE_SIZE);
		uint64_t map = map_file(fixture, fd, PAGE_SIZE, PROT_READ, MAP_SHARED);

		get(fixture, map + 3, &byte, 1);
		assert_int_equal(byte, 21);
		assert_int_equal(CALL(fixture, munmap, map, PAGE_SIZE), 0);
		close(fd);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	teardown_run(fixture);
}

/* What nobody uses stays cached, unless it was unlinked or keeps the file open for writing. */
static void idle_files_go_in_time(void **state)
{
	(void)state;
	struct run_fixture *fixture = setup_run();
	struct file *file;
	int fd = new_file(PAGE_SIZE);
	uint64_t map = map_file(fixture, fd, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
	char byte = 'y';

	put(fixture, map, &byte, 1);
	assert_int_equal(mapped_evict_idle(&fixture->run, false), 0);
	assert_int_equal(CALL(fixture, munmap, map, PAGE_SIZE), 0);
	assert_int_equal(mapped_evict_idle(&fixture->run, false), 1);
	assert_int_equal(pread(fd, &byte, 1, 0), 1);
	assert_int_equal(byte, 'y');
	close(fd);

	assert_int_equal(mapped_file_open(&fixture->run, "/proc/self/exe", &file), 0);
	assert_int_equal(filemap_read(file, fixture->process.mm->memcg, &byte, 1, 0), 1);
	fput(file);
	assert_int_equal(mapped_evict_idle(&fixture->run, false), 0);
	assert_int_equal(mapped_evict_idle(&fixture->run, true), 1);
	teardown_run(fixture);
}

/* One digit for each page of the file: whether it is cached. */
static void assert_cached(struct run_fixture *fixture, int fd, const char *expected)
{
	struct inode *inode = mapped_inode(&fixture->run, fd);
	char cached[17] = "";

	assert_non_null(inode);
	for (pgoff_t i = 0; i < strlen(expected); i++)
		cached[i] = filemap_resident(&inode->i_data, i) ? '1' : '0';
	iput(inode);
	assert_string_equal(cached, expected);
}

/* Reading ahead waits for nobody. */
static void await_cached(struct run_fixture *fixture, int fd, pgoff_t index)
{
	struct inode *inode = mapped_inode(&fixture->run, fd);

	assert_non_null(inode);
	while (!filemap_resident(&inode->i_data, index))
		sched_yield();
	iput(inode);
}

static void advice_reaches_the_cache(void **state)
{
	(void)state;
	struct run_fixture *fixture = setup_run();
	const uint64_t size = 10 * PAGE_SIZE - 100;
	int fd = new_file(size);
	uint64_t map = map_file(fixture, fd, 10 * PAGE_SIZE, PROT_READ, MAP_SHARED);
	char bytes[10 * PAGE_SIZE];

	/* Without a page and without a mapping the file would be forgotten. */
	map_file(fixture, fd, PAGE_SIZE, PROT_READ, MAP_SHARED);
#define ADVISE(offset, length, advice) \
	assert_int_equal(CALL(fixture, fadvise64, (uint64_t)fd, offset, length, advice), 0)
	get(fixture, map, bytes, sizeof(bytes));
	ADVISE(0, 0, POSIX_FADV_DONTNEED);
	assert_cached(fixture, fd, "1111111111");
	assert_int_equal(CALL(fixture, munmap, map, 10 * PAGE_SIZE), 0);
	ADVISE(0, 0, POSIX_FADV_NORMAL);
	assert_cached(fixture, fd, "1111111111");
	ADVISE(PAGE_SIZE + 1, 3 * PAGE_SIZE - 1, POSIX_FADV_DONTNEED);
	assert_cached(fixture, fd, "1100111111");
	ADVISE(5 * PAGE_SIZE, 2 * PAGE_SIZE - 1, POSIX_FADV_DONTNEED);
	assert_cached(fixture, fd, "1100101111");
	/* The last page is whole when the range ends with the file. */
	ADVISE(9 * PAGE_SIZE, PAGE_SIZE - 101, POSIX_FADV_DONTNEED);
	assert_cached(fixture, fd, "1100101111");
	ADVISE(8 * PAGE_SIZE, 2 * PAGE_SIZE - 100, POSIX_FADV_DONTNEED);
	assert_cached(fixture, fd, "1100101100");
	ADVISE(0, 0, POSIX_FADV_DONTNEED);
	assert_cached(fixture, fd, "0000000000");
	ADVISE(PAGE_SIZE + 5, PAGE_SIZE, POSIX_FADV_WILLNEED);
	assert_int_equal(CALL(fixture, readahead, (uint64_t)fd, 8 * PAGE_SIZE, 100 * PAGE_SIZE), 0);
	for (pgoff_t i = 0; i < 10; i++)
		if (i == 1 || i == 2 || i >= 8)
			await_cached(fixture, fd, i);
	assert_cached(fixture, fd, "0110000011");
	ADVISE((uint64_t)-1, 0, POSIX_FADV_WILLNEED);
	ADVISE((uint64_t)-1, 0, POSIX_FADV_DONTNEED);
	assert_int_equal(CALL(fixture, fadvise64, (uint64_t)fd, 0, (uint64_t)-1, 4), -EINVAL);
	assert_int_equal(CALL(fixture, fadvise64, TEST_FD_BASE, 0, 0, 4), -EBADF);
	close(fd);
	teardown_run(fixture);
}

/* What a mapping wrote is on its way to the host's file, and is not lost. */
static void advice_writes_dirty_pages(void **state)
{
	(void)state;
	struct run_fixture *fixture = setup_run();
	int fd = new_file(2 * PAGE_SIZE);
	uint64_t map = map_file(fixture, fd, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
	char byte = 'd';

	put(fixture, map + 7, &byte, 1);
	ADVISE(0, 0, POSIX_FADV_DONTNEED);
	assert_int_equal(CALL(fixture, munmap, map, 2 * PAGE_SIZE), 0);
	ADVISE(0, 0, POSIX_FADV_DONTNEED);
	assert_int_equal(mapped_sync_all(&fixture->run), 0);
	assert_int_equal(pread(fd, &byte, 1, 7), 1);
	assert_int_equal(byte, 'd');
	close(fd);
	teardown_run(fixture);
}

static void truncation_by_open(void **state)
{
	(void)state;
	struct run_fixture *fixture = setup_run();
	int fd = new_file(3 * PAGE_SIZE);
	uint64_t map = map_file(fixture, fd, 3 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
	char byte = 'z', path[32];
	int64_t truncating;

	put(fixture, map + PAGE_SIZE, &byte, 1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	put(fixture, fixture->user, path, sizeof(path));
	truncating = CALL(fixture, open, fixture->user, O_RDWR | O_TRUNC);
	assert_true(truncating >= 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), 0);
	assert_int_equal(access_process_vm(fixture->process.mm, map, &byte, 1, false), -EFAULT);
	/* Nothing of what was dirty comes back. */
	assert_int_equal(CALL(fixture, fsync, (uint64_t)fd), 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), 0);
	close(fd);
	assert_int_equal(CALL(fixture, close, (uint64_t)truncating), 0);
	teardown_run(fixture);
}

/* What cannot be written is told once, is read all the same, and is written when it can be. */
static void errors_of_writing_are_told_and_nothing_is_lost(void **state)
{
	(void)state;
	struct run_fixture *fixture = setup_run();
	struct rlimit before, limit;
	int fd = new_file(3 * PAGE_SIZE);
	uint64_t map = map_file(fixture, fd, 3 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
	char byte = 'e';

	/* The host refuses to write behind the first page. */
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = PAGE_SIZE;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	put(fixture, map + 2 * PAGE_SIZE, &byte, 1);
	assert_int_equal(mapped_sync_all(&fixture->run), -EFBIG);
	assert_int_equal(CALL(fixture, fsync, (uint64_t)fd), -EFBIG);
	assert_int_equal(CALL(fixture, pread64, (uint64_t)fd, fixture->user, 1, 2 * PAGE_SIZE), 1);
	get(fixture, fixture->user, &byte, 1);
	assert_int_equal(byte, 'e');
	/* To make room in the file it must not be given up either. */
	assert_int_equal(CALL(fixture, munmap, map, 3 * PAGE_SIZE), 0);
	assert_int_equal(mapped_evict_idle(&fixture->run, true), 0);

	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	signal(SIGXFSZ, SIG_DFL);
	/* That attempt has failed too. */
	assert_int_equal(CALL(fixture, fsync, (uint64_t)fd), -EFBIG);
	assert_int_equal(CALL(fixture, fsync, (uint64_t)fd), 0);
	byte = 0;
	assert_int_equal(pread(fd, &byte, 1, 2 * PAGE_SIZE), 1);
	assert_int_equal(byte, 'e');
	close(fd);
	teardown_run(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_can_be_mapped),
		cmocka_unit_test(one_object_for_all_descriptors),
		cmocka_unit_test(an_appending_descriptor_can_be_mapped),
		cmocka_unit_test(changes_by_others_are_seen_when_mapped_again),
		cmocka_unit_test(posix_locks_outlive_quires_descriptors),
		cmocka_unit_test(flocks_end_with_the_programs_descriptor),
		cmocka_unit_test(seals_are_kept),
		cmocka_unit_test(descriptors_are_given_back),
		cmocka_unit_test(idle_files_go_in_time),
		cmocka_unit_test(advice_reaches_the_cache),
		cmocka_unit_test(advice_writes_dirty_pages),
		cmocka_unit_test(truncation_by_open),
		cmocka_unit_test(errors_of_writing_are_told_and_nothing_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
