/* SPDX-License-Identifier: MIT */
/*
 * What a thread remembers of a descriptor is what the number stands for now, however and by
 * whichever thread it was closed, and whatever it is open for next.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "run/file/fixture_test.h"
#include "run/file/open_file.h"

/* Far from the numbers that the test itself comes by. */
#define NUMBER 100
#define FILES 4
#define SLOTS 2
#define LOOKERS 3
#define ROUNDS 1500
#define TURNS 200

/* File i holds this many bytes, each of them 'a' + i. */
#define BYTES 64

struct files {
	struct run_fixture base;
	struct run_fixture other; /* the same process by another of its threads */
	int fd[FILES];
	ino_t inode[FILES];
};

static int file_of(char letter)
{
	char data[BYTES];
	int fd = new_file(0);

	memset(data, letter, sizeof(data));
	assert_int_equal(pwrite(fd, data, sizeof(data), 0), sizeof(data));
	return fd;
}

static struct files *setup_files(void)
{
	struct files *files = calloc(1, sizeof(*files));
	struct stat status;

	assert_non_null(files);
	run_fixture_setup(&files->base, 4 << 20);
	files->other.thread.process = &files->base.process;
	for (int i = 0; i < FILES; i++) {
		files->fd[i] = file_of((char)('a' + i));
		assert_int_equal(fstat(files->fd[i], &status), 0);
		files->inode[i] = status.st_ino;
	}
	return files;
}

static void teardown_files(struct files *files)
{
	for (int i = 0; i < FILES; i++)
		close(files->fd[i]);
	run_fixture_teardown(&files->base);
	free(files);
}

static ino_t inode_at(struct run_fixture *fixture, int fd)
{
	const struct open_file *file;

	assert_int_equal(open_file_get(&fixture->thread, fd, &file), 0);
	return file->status.st_ino;
}

/* Behind Quire's back. */
static void put_at(struct files *files, int file)
{
	assert_int_equal(dup2(files->fd[file], NUMBER), NUMBER);
}

static void a_look_is_remembered(void **state)
{
	struct files *files = setup_files();

	(void)state;
	put_at(files, 0);
	assert_int_equal(inode_at(&files->base, NUMBER), files->inode[0]);
	put_at(files, 1);
	assert_int_equal(inode_at(&files->base, NUMBER), files->inode[0]);
	/* Another thread has not looked yet; another number in the same place makes it forget. */
	assert_int_equal(inode_at(&files->other, NUMBER), files->inode[1]);
	assert_int_equal(dup2(files->fd[2], NUMBER + OPEN_FILES_REMEMBERED),
			 NUMBER + OPEN_FILES_REMEMBERED);
	assert_int_equal(inode_at(&files->base, NUMBER + OPEN_FILES_REMEMBERED), files->inode[2]);
	assert_int_equal(inode_at(&files->base, NUMBER), files->inode[1]);
	close(NUMBER + OPEN_FILES_REMEMBERED);
	close(NUMBER);
	teardown_files(files);
}

static void reopen(struct run_fixture *thread, int fd, int number)
{
	assert_int_equal(CALL(thread, fcntl, (uint64_t)fd, F_DUPFD, (uint64_t)number), number);
}

/* The ways of closing: `fd` is what the number is open for afterwards. */
static void by_close(struct run_fixture *thread, int fd, int number)
{
	assert_int_equal(CALL(thread, close, (uint64_t)number), 0);
	reopen(thread, fd, number);
}

static void by_close_range(struct run_fixture *thread, int fd, int number)
{
	assert_int_equal(CALL(thread, close_range, (uint64_t)number, (uint64_t)number, 0), 0);
	reopen(thread, fd, number);
}

static void by_dup2(struct run_fixture *thread, int fd, int number)
{
	assert_int_equal(CALL(thread, dup2, (uint64_t)fd, (uint64_t)number), number);
}

static void by_dup3(struct run_fixture *thread, int fd, int number)
{
	assert_int_equal(CALL(thread, dup3, (uint64_t)fd, (uint64_t)number, O_CLOEXEC), number);
}

typedef void change(struct run_fixture *thread, int fd, int number);
static change *const changes[] = {by_close, by_close_range, by_dup2, by_dup3};

static void every_way_of_closing_is_seen(void **state)
{
	struct files *files = setup_files();
	char byte;

	(void)state;
	put_at(files, 0);
	for (size_t way = 0; way < ARRAY_SIZE(changes); way++) {
		const int next = (int)(way + 1) % FILES;

		assert_int_equal(inode_at(&files->base, NUMBER), files->inode[way % FILES]);
		changes[way](&files->other, files->fd[next], NUMBER);
		assert_int_equal(inode_at(&files->base, NUMBER), files->inode[next]);
		assert_int_equal(CALL(&files->base, pread64, NUMBER, files->base.user, 1, 0), 1);
		get(&files->base, files->base.user, &byte, 1);
		assert_int_equal(byte, 'a' + next);
	}
	assert_int_equal(CALL(&files->other, close, NUMBER), 0);
	assert_int_equal(CALL(&files->base, pread64, NUMBER, 1, 1, 0), -EBADF);
	teardown_files(files);
}

/* Quire opens files for itself, for a moment and at numbers that are free. */
static void a_number_of_quires_is_forgotten(void **state)
{
	struct files *files = setup_files();
	int pair[2];

	(void)state;
	put_at(files, 0);
	assert_int_equal(inode_at(&files->base, NUMBER), files->inode[0]);
	close(NUMBER);
	reopen(&files->other, files->fd[1], NUMBER);
	assert_int_equal(inode_at(&files->base, NUMBER), files->inode[1]);
	assert_int_equal(CALL(&files->base, close, NUMBER), 0);

	pair[0] = dup(files->fd[0]);
	pair[1] = dup(files->fd[0]);
	assert_int_equal(inode_at(&files->base, pair[0]), files->inode[0]);
	close(pair[0]);
	close(pair[1]);
	assert_int_equal(CALL(&files->other, pipe, files->base.user), 0);
	get(&files->base, files->base.user, pair, sizeof(pair));
	assert_int_not_equal(inode_at(&files->base, pair[0]), files->inode[0]);
	close(pair[0]);
	close(pair[1]);
	teardown_files(files);
}

static void an_empty_file_is_looked_at_anew(void **state)
{
	struct files *files = setup_files();
	const struct open_file *file;
	int fd = new_file(0);

	(void)state;
	assert_int_equal(open_file_get(&files->base.thread, fd, &file), 0);
	assert_int_equal(file->status.st_size, 0);
	assert_int_equal(CALL(&files->other, pwrite64, (uint64_t)fd, files->base.user, 10, 0), 10);
	assert_int_equal(open_file_get(&files->base.thread, fd, &file), 0);
	assert_int_equal(file->status.st_size, 10);
	close(fd);
	teardown_files(files);
}

static void some_descriptors_are_none(void **state)
{
	struct files *files = setup_files();
	const struct open_file *file;
	int path = open("/tmp", O_PATH);
	int private = fcntl(files->fd[0], F_DUPFD, TEST_FD_BASE);

	(void)state;
	assert_true(path >= 0 && private >= TEST_FD_BASE);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(open_file_get(&files->base.thread, path, &file), -EBADF);
		assert_int_equal(open_file_get(&files->base.thread, private, &file), -EBADF);
		assert_int_equal(open_file_get(&files->base.thread, NUMBER, &file), -EBADF);
		assert_int_equal(open_file_get(&files->base.thread, -1, &file), -EBADF);
		assert_int_equal(CALL(&files->base, read, (uint64_t)path, 1, 1), -EBADF);
		assert_int_equal(CALL(&files->base, write, (uint64_t) private, 1, 1), -EBADF);
	}
	close(path);
	close(private);
	teardown_files(files);
}

/* A number that one thread opens for one file after the other. */
struct slot {
	pthread_rwlock_t lock;
	int number;
	int file; /* lock */
};

struct worker {
	struct files *files;
	struct slot *slots; /* of a looker all of them, else its own */
	struct run_fixture view;
	uint64_t user;
	bool wrong;
};

static void *change_files(void *argument)
{
	struct worker *worker = argument;
	struct slot *slot = worker->slots;

	for (uint32_t round = 0; round < ROUNDS; round++) {
		const int next = (slot->file + 1 + (int)round % 2) % FILES;

		pthread_rwlock_wrlock(&slot->lock);
		changes[round % ARRAY_SIZE(changes)](&worker->view, worker->files->fd[next],
						     slot->number);
		slot->file = next;
		pthread_rwlock_unlock(&slot->lock);
	}
	return NULL;
}

/* What the number is open for stays while the lock is held. */
static bool is_right(struct worker *worker, const struct slot *slot)
{
	const struct open_file *file;
	char byte = 0;

	return !open_file_get(&worker->view.thread, slot->number, &file) &&
	       file->status.st_ino == worker->files->inode[slot->file] &&
	       CALL(&worker->view, pread64, (uint64_t)slot->number, worker->user, 1, 0) == 1 &&
	       access_process_vm(worker->files->base.process.mm, worker->user, &byte, 1, false) ==
		       1 &&
	       byte == 'a' + slot->file;
}

static void *look_at_files(void *argument)
{
	struct worker *worker = argument;

	for (uint32_t round = 0; round < ROUNDS * 2; round++) {
		struct slot *slot = &worker->slots[round % SLOTS];
		const struct open_file *file;

		/* While it is being closed, perhaps: any answer will do, but not to be kept. */
		(void)!open_file_get(&worker->view.thread, slot->number, &file);
		pthread_rwlock_rdlock(&slot->lock);
		if (!is_right(worker, slot))
			worker->wrong = true;
		pthread_rwlock_unlock(&slot->lock);
	}
	return NULL;
}

static void threads_close_and_look(void **state)
{
	struct files *files = setup_files();
	struct worker *workers = calloc(SLOTS + LOOKERS, sizeof(*workers));
	pthread_t threads[SLOTS + LOOKERS];
	struct slot slots[SLOTS];

	(void)state;
	assert_non_null(workers);
	for (int i = 0; i < SLOTS; i++) {
		pthread_rwlock_init(&slots[i].lock, NULL);
		slots[i].number = NUMBER + i;
		slots[i].file = 0;
		assert_int_equal(dup2(files->fd[0], NUMBER + i), NUMBER + i);
	}
	for (int i = 0; i < SLOTS + LOOKERS; i++) {
		workers[i].files = files;
		workers[i].slots = i < SLOTS ? &slots[i] : slots;
		workers[i].view.thread.process = &files->base.process;
		workers[i].user = files->base.user + (uint64_t)i * PAGE_SIZE;
		assert_int_equal(pthread_create(&threads[i], NULL,
						i < SLOTS ? change_files : look_at_files,
						&workers[i]),
				 0);
	}
	for (int i = 0; i < SLOTS + LOOKERS; i++) {
		pthread_join(threads[i], NULL);
		assert_false(workers[i].wrong);
	}
	for (int i = 0; i < SLOTS; i++) {
		close(slots[i].number);
		pthread_rwlock_destroy(&slots[i].lock);
	}
	free(workers);
	teardown_files(files);
}

/* Replaces what the number is open for, each time that it is its turn. */
struct turns {
	struct files *files;
	_Atomic uint32_t turn; /* odd: of the thread that replaces */
	bool wrong;
};

static void *replace_in_turn(void *argument)
{
	struct turns *turns = argument;
	struct files *files = turns->files;

	for (uint32_t round = 0; round < TURNS; round++) {
		while (atomic_load_explicit(&turns->turn, memory_order_acquire) != 2 * round + 1)
			sched_yield();
		by_dup2(&files->other, files->fd[(round + 1) % FILES], NUMBER);
		atomic_store_explicit(&turns->turn, 2 * round + 2, memory_order_release);
	}
	return NULL;
}

/* Looks until the host shows the new file, which may be before dup2 has returned. */
static bool sees_the_new_file(struct files *files, uint32_t round)
{
	const struct open_file *file;
	struct stat status;

	do {
		if (open_file_get(&files->base.thread, NUMBER, &file) || fstat(NUMBER, &status))
			return false;
	} while (status.st_ino == files->inode[round % FILES]);
	return !open_file_get(&files->base.thread, NUMBER, &file) &&
	       file->status.st_ino == files->inode[(round + 1) % FILES];
}

static void what_the_host_shows_is_not_remembered_otherwise(void **state)
{
	struct turns turns = {.files = setup_files()};
	pthread_t thread;

	(void)state;
	put_at(turns.files, 0);
	assert_int_equal(pthread_create(&thread, NULL, replace_in_turn, &turns), 0);
	for (uint32_t round = 0; round < TURNS; round++) {
		atomic_store_explicit(&turns.turn, 2 * round + 1, memory_order_release);
		if (!sees_the_new_file(turns.files, round))
			turns.wrong = true;
		while (atomic_load_explicit(&turns.turn, memory_order_acquire) != 2 * round + 2)
			sched_yield();
	}
	pthread_join(thread, NULL);
	assert_false(turns.wrong);
	close(NUMBER);
	teardown_files(turns.files);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_look_is_remembered),
		cmocka_unit_test(every_way_of_closing_is_seen),
		cmocka_unit_test(a_number_of_quires_is_forgotten),
		cmocka_unit_test(an_empty_file_is_looked_at_anew),
		cmocka_unit_test(some_descriptors_are_none),
		cmocka_unit_test(threads_close_and_look),
		cmocka_unit_test(what_the_host_shows_is_not_remembered_otherwise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
