/* SPDX-License-Identifier: MIT */
/*
 * System calls made as a program would make them, but by a thread without a CPU: arguments are
 * addresses in an mm of a test instance, and the host serves them. What the program passes goes
 * over whole, in part, or not at all; descriptors of Quire's are out of reach.
 */
#include "core/call/fixture_test.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "run/file/mapped_file.h"
#include "run/syscall/file_size.h"
#include "run/syscall/numbers.h"
#include "run/syscall/table.h"
#include "run/user/user.h"

/* Quire's descriptors begin here, and the program may have fewer. */
#define PRIVATE 200
#define LIMIT 100

struct program {
	struct fixture memory;
	struct run run;
	struct process process;
	struct thread thread;
	int private_fd;
};

static struct program program;

static int program_setup(void **state)
{
	memset(&program, 0, sizeof(program));
	fixture_create(&program.memory, (struct quire_params){.memory = (uint64_t)8 << 20});
	assert_ok(mapped_files_create(&program.run.files));
	program.run.quire = program.memory.quire;
	program.run.fd_base = PRIVATE;
	program.process.run = &program.run;
	program.process.mm = program.memory.mm;
	program.process.limits[RLIMIT_NOFILE] = (struct rlimit){LIMIT, LIMIT};
	pthread_mutex_init(&program.process.lock, NULL);
	program.thread.process = &program.process;
	list_init(&program.process.threads);
	list_add_tail(&program.thread.list, &program.process.threads);
	program.private_fd = dup2(0, PRIVATE + 1);
	assert_int_equal(program.private_fd, PRIVATE + 1);
	map_anon(&program.memory, 0, 16);
	*state = &program;
	return 0;
}

static int program_teardown(void **state)
{
	void *memory = &program.memory;

	(void)state;
	/* Whatever was tried, it is open still. */
	assert_true(fcntl(program.private_fd, F_GETFD) >= 0);
	close(program.private_fd);
	pthread_mutex_destroy(&program.process.lock);
	mapped_files_destroy(program.run.files);
	return teardown(&memory);
}

/* One call with up to six arguments. */
#define call(...) make_call((const uint64_t[7]){__VA_ARGS__})

static int64_t make_call(const uint64_t numbers[7])
{
	const struct syscall_row *row = syscall_row((int64_t)numbers[0]);

	program.thread.syscall = (int64_t)numbers[0];
	return row->function ? row->function(&program.thread, numbers + 1)
			     : host_call(&program.thread, row, numbers + 1);
}

static void put(uint64_t address, const void *data, size_t bytes)
{
	assert_ok(copy_to_user(program.process.mm, address, data, bytes));
}

static void get(uint64_t address, void *data, size_t bytes)
{
	assert_ok(copy_from_user(program.process.mm, data, address, bytes));
}

static uint32_t get_word(uint64_t address)
{
	uint32_t word;

	get(address, &word, sizeof(word));
	return word;
}

static void put_word(uint64_t address, uint32_t word)
{
	put(address, &word, sizeof(word));
}

/* The last page is followed by nothing. */
#define END AT(16)

static void test_out(void **state)
{
	struct utsname host, seen;

	(void)state;
	assert_ok(uname(&host));
	assert_int_equal(call(__NR_uname, AT(1) - 10), 0);
	get(AT(1) - 10, &seen, sizeof(seen));
	assert_memory_equal(&host, &seen, sizeof(seen));
	assert_int_equal(call(__NR_uname, END - sizeof(seen)), 0);
	assert_int_equal(call(__NR_uname, END - sizeof(seen) + 1), -EFAULT);
	assert_int_equal(call(__NR_uname, 0), -EFAULT);
	assert_int_equal(call(__NR_uname, UINT64_MAX), -EFAULT);
}

static void test_out_bytes(void **state)
{
	char host[PATH_MAX], seen[PATH_MAX];
	int64_t length;

	(void)state;
	assert_non_null(getcwd(host, sizeof(host)));
	length = call(__NR_getcwd, AT(0), PATH_MAX);
	assert_int_equal(length, strlen(host) + 1);
	get(AT(0), seen, (size_t)length);
	assert_string_equal(seen, host);
	/* As much as there is room for, however much was asked for. */
	assert_int_equal(call(__NR_getcwd, END - PAGE_SIZE, UINT64_MAX), length);
	assert_int_equal(call(__NR_getcwd, AT(0), 0), -ERANGE);
	assert_int_equal(call(__NR_getrandom, END - 7, 100, 0), 7);
	assert_int_equal(call(__NR_getrandom, END, 100, 0), -EFAULT);
	assert_int_equal(call(__NR_getrandom, AT(0), PAGES(16), 0), PAGES(16));
}

/* The host sees which argument is bad, in its own order. */
static void test_order_of_errors(void **state)
{
	(void)state;
	assert_int_equal(call(__NR_getrandom, 0, 10, 0xffff), -EINVAL);
	assert_int_equal(call(__NR_fstat, -1ull, 0), -EBADF);
	assert_int_equal(call(__NR_fstat, 0, 0), -EFAULT);
	assert_int_equal(call(__NR_statfs, 0, END), -EFAULT);
	assert_int_equal(call(__NR_clock_getres, 12345, END), -EINVAL);
	assert_int_equal(call(__NR_clock_getres, 0, END), -EFAULT);
}

static void test_paths(void **state)
{
	static char path[PATH_MAX + 1];

	(void)state;
	put(AT(0), "/", 2);
	assert_int_equal(call(__NR_access, AT(0), F_OK), 0);
	/* At the last byte; without an end there; and nowhere. */
	put(END - 2, "/", 2);
	assert_int_equal(call(__NR_access, END - 2, F_OK), 0);
	put(END - 2, "//", 2);
	assert_int_equal(call(__NR_access, END - 2, F_OK), -EFAULT);
	assert_int_equal(call(__NR_access, END, F_OK), -EFAULT);
	assert_int_equal(call(__NR_access, 0, F_OK), -EFAULT);
	memset(path, '/', PATH_MAX);
	put(AT(4), path, sizeof(path));
	assert_int_equal(call(__NR_access, AT(4), F_OK), -ENAMETOOLONG);
	put(AT(4) + PATH_MAX - 1, "", 1);
	assert_int_equal(call(__NR_access, AT(4), F_OK), 0);
	memset(path, 'x', 300);
	put(AT(8), path, 300);
	assert_int_equal(call(__NR_getxattr, AT(0), AT(8), AT(9), 100), -ERANGE);
}

static void test_private_descriptors(void **state)
{
	static const long calls[] = {
		__NR_close,     __NR_dup,        __NR_fstat,    __NR_fchdir,           __NR_flock,
		__NR_fcntl,     __NR_ioctl,      __NR_listen,   __NR_getdents64,       __NR_fchmod,
		__NR_epoll_ctl, __NR_fgetxattr,  __NR_shutdown, __NR_accept4,          __NR_recvmsg,
		__NR_sendto,    __NR_getsockopt, __NR_syncfs,   __NR_inotify_rm_watch,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		assert_int_equal(call((uint64_t)calls[i], PRIVATE + 1, AT(0), AT(1)), -EBADF);
		assert_int_equal(call((uint64_t)calls[i], INT_MAX, AT(0), AT(1)), -EBADF);
	}
	put(AT(0), ".", 2);
	assert_int_equal(call(__NR_openat, PRIVATE + 1, AT(0), O_RDONLY), -EBADF);
	assert_int_equal(call(__NR_dup2, 0, PRIVATE + 1), -EBADF);
	assert_int_equal(call(__NR_dup3, 0, PRIVATE + 1, 0), -EBADF);
	assert_int_equal(call(__NR_fcntl, 0, F_DUPFD, PRIVATE), -EINVAL);
	assert_int_equal(call(__NR_close_range, PRIVATE, UINT32_MAX, 0), 0);
	assert_int_equal(call(__NR_close_range, LIMIT, UINT32_MAX, 0), 0);
}

static void test_limit_of_descriptors(void **state)
{
	int pair[2];
	int fd;

	(void)state;
	fd = (int)call(__NR_fcntl, 0, F_DUPFD, LIMIT - 1);
	assert_int_equal(fd, LIMIT - 1);
	/* The next one would lie beyond the limit. */
	assert_int_equal(call(__NR_fcntl, 0, F_DUPFD, LIMIT - 1), -EMFILE);
	assert_int_equal(call(__NR_fcntl, 0, F_DUPFD, LIMIT), -EINVAL);
	assert_int_equal(call(__NR_dup2, 0, LIMIT), -EBADF);
	assert_int_equal(fcntl(LIMIT, F_GETFD), -1);
	assert_int_equal(call(__NR_close, (uint64_t)fd), 0);
	assert_int_equal(call(__NR_pipe2, AT(0), 0), 0);
	get(AT(0), pair, sizeof(pair));
	assert_int_equal(call(__NR_pipe2, END - 7, 0), -EFAULT);
	/* Nothing was left open by that. */
	fd = dup(0);
	assert_true(fd > pair[0]);
	close(fd);
	program.process.limits[RLIMIT_NOFILE].rlim_cur = (rlim_t)fd + 1;
	assert_int_equal(call(__NR_pipe2, AT(0), 0), -EMFILE);
	assert_int_equal(call(__NR_dup, 0), fd);
	assert_int_equal(call(__NR_dup, 0), -EMFILE);
	close(fd);
	close(pair[0]);
	close(pair[1]);
}

static int64_t open_link(int fd)
{
	char link[32];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	put(AT(0), link, sizeof(link));
	return call(__NR_open, AT(0), O_RDONLY | O_NONBLOCK);
}

/* What has a number of Quire's only cannot be opened by its link in /proc. */
static void check_link(int fd)
{
	const int private_fd = dup2(fd, PRIVATE + 2);
	int64_t opened;

	assert_int_equal(private_fd, PRIVATE + 2);
	opened = open_link(private_fd);
	assert_true(opened >= 0);
	close((int)opened);
	close(fd);
	assert_int_equal(open_link(private_fd), -EACCES);
	close(private_fd);
}

static void test_links_to_private(void **state)
{
	int pair[2];

	(void)state;
	assert_ok(pipe(pair));
	close(pair[1]);
	check_link(pair[0]);
	check_link(memfd_create("object", 0));
}

static void test_listing(void **state)
{
	char entries[4096];
	int64_t bytes;
	bool seen[2] = {false, false};
	int fd;

	(void)state;
	put(AT(0), "/proc/self/fd", 14);
	fd = (int)call(__NR_open, AT(0), O_RDONLY | O_DIRECTORY);
	assert_true(fd >= 0);
	bytes = call(__NR_getdents64, (uint64_t)fd, AT(0), sizeof(entries));
	assert_true(bytes > 0);
	get(AT(0), entries, (size_t)bytes);
	for (int64_t at = 0; at < bytes;) {
		uint16_t length;

		memcpy(&length, entries + at + 16, sizeof(length));
		seen[0] |= atoi(entries + at + 19) == fd;
		seen[1] |= atoi(entries + at + 19) == program.private_fd;
		at += length;
	}
	assert_true(seen[0]);
	assert_false(seen[1]);
	assert_int_equal(call(__NR_getdents64, (uint64_t)fd, AT(0), sizeof(entries)), 0);
	assert_int_equal(call(__NR_close, (uint64_t)fd), 0);
}

static void test_limits(void **state)
{
	struct rlimit limit = {PAGES(4), PAGES(8)};

	(void)state;
	program.process.limits[RLIMIT_MEMLOCK] = limit;
	limit.rlim_cur = PAGES(2);
	put(AT(0), &limit, sizeof(limit));
	assert_int_equal(call(__NR_prlimit64, 0, RLIMIT_MEMLOCK, AT(0), AT(1)), 0);
	get(AT(1), &limit, sizeof(limit));
	assert_int_equal(limit.rlim_cur, PAGES(4));
	assert_int_equal(quire_getlimit(program.process.mm, QUIRE_LIMIT_MEMLOCK), PAGES(2));
	assert_int_equal(call(__NR_getrlimit, RLIMIT_MEMLOCK, AT(1)), 0);
	get(AT(1), &limit, sizeof(limit));
	assert_int_equal(limit.rlim_cur, PAGES(2));
	limit.rlim_cur = PAGES(9);
	put(AT(0), &limit, sizeof(limit));
	assert_int_equal(call(__NR_setrlimit, RLIMIT_MEMLOCK, AT(0)), -EINVAL);
	assert_int_equal(call(__NR_setrlimit, RLIMIT_MEMLOCK, 0), -EFAULT);
	assert_int_equal(call(__NR_getrlimit, RLIMIT_MEMLOCK, END - 1), -EFAULT);
	assert_int_equal(call(__NR_getrlimit, 9999, AT(0)), -EINVAL);
	/* Never as many that Quire's would be among them. */
	limit = (struct rlimit){LIMIT, PRIVATE + 10};
	put(AT(0), &limit, sizeof(limit));
	assert_int_equal(call(__NR_setrlimit, RLIMIT_NOFILE, AT(0)), -EPERM);
}

/* The call as it would be made; its count, or the error. */
static int64_t limited(int64_t number, uint64_t fd, uint64_t second, uint64_t third,
		       uint64_t fourth)
{
	struct limited_call limited = {number, {fd, second, third, fourth}};
	int error = limit_file_size(&program.thread, &limited);

	assert_true(error || limited.number == number || number == __NR_writev);
	return error ? error : (int64_t)limited.args[2];
}

static void test_file_size(void **state)
{
	const struct iovec parts[2] = {{(void *)AT(1), 60}, {(void *)AT(2), 60}};
	char path[] = "/tmp/quire-test-XXXXXX";
	const int file = mkstemp(path);
	const uint64_t fd = (uint64_t)file;

	(void)state;
	assert_true(file >= 0);
	unlink(path);
	signal(SIGXFSZ, SIG_IGN);
	program.thread.tid = gettid();
	program.process.limits[RLIMIT_FSIZE].rlim_cur = 100;
	assert_int_equal(limited(__NR_write, fd, AT(0), 100, 0), 100);
	assert_int_equal(limited(__NR_write, fd, AT(0), 101, 0), 100);
	assert_int_equal(limited(__NR_pwrite64, fd, AT(0), 10, 95), 5);
	assert_int_equal(limited(__NR_pwrite64, fd, AT(0), 10, 100), -EFBIG);
	assert_int_equal(limited(__NR_pwrite64, fd, AT(0), 0, 100), 0);
	put(AT(0), parts, sizeof(parts));
	assert_int_equal(limited(__NR_writev, fd, AT(0), 2, 0), 1);
	assert_int_equal(lseek(file, 50, SEEK_SET), 50);
	assert_int_equal(limited(__NR_writev, fd, AT(0), 2, 0), 50);
	assert_int_equal(lseek(file, 100, SEEK_SET), 100);
	assert_int_equal(limited(__NR_writev, fd, AT(0), 2, 0), -EFBIG);
	assert_int_equal(limited(__NR_write, fd, AT(0), 1, 0), -EFBIG);
	assert_int_equal(limited(__NR_ftruncate, fd, 100, 1, 0), 1);
	assert_int_equal(limited(__NR_ftruncate, fd, 101, 1, 0), -EFBIG);
	assert_int_equal(limited(__NR_fallocate, fd, 0, 50, 50), 50);
	assert_int_equal(limited(__NR_fallocate, fd, 0, 50, 51), -EFBIG);
	/* What does not grow, and what is no file, is left alone. */
	assert_ok(ftruncate(file, 200));
	assert_int_equal(limited(__NR_ftruncate, fd, 150, 1, 0), 1);
	assert_int_equal(limited(__NR_write, PRIVATE + 1, AT(0), 500, 0), 500);
	program.process.limits[RLIMIT_FSIZE].rlim_cur = RLIM_INFINITY;
	assert_int_equal(limited(__NR_pwrite64, fd, AT(0), 10, 100), 10);
	close(file);
	signal(SIGXFSZ, SIG_DFL);
}

static void test_poll(void **state)
{
	struct pollfd fds[3] = {{.events = POLLIN}, {.events = POLLIN}, {.events = POLLOUT}};
	int pair[2];

	(void)state;
	assert_ok(pipe(pair));
	fds[0].fd = pair[0];
	fds[1].fd = PRIVATE + 1;
	fds[2].fd = pair[1];
	put(END - sizeof(fds), fds, sizeof(fds));
	assert_int_equal(call(__NR_poll, END - sizeof(fds), 3, 0), 2);
	get(END - sizeof(fds), fds, sizeof(fds));
	assert_int_equal(fds[0].revents, 0);
	assert_int_equal(fds[1].revents, POLLNVAL);
	assert_int_equal(fds[1].fd, PRIVATE + 1);
	assert_int_equal(fds[2].revents, POLLOUT);
	assert_int_equal(call(__NR_poll, END - sizeof(fds) + 1, 3, 0), -EFAULT);
	assert_int_equal(call(__NR_poll, AT(0), LIMIT + 1, 0), -EINVAL);
	assert_int_equal(call(__NR_poll, 0, 0, 0), 0);
	close(pair[0]);
	close(pair[1]);
}

static void test_select(void **state)
{
	uint64_t set[2] = {0};
	int pair[2];

	(void)state;
	assert_ok(pipe(pair));
	set[0] = (uint64_t)1 << pair[1];
	put(AT(0), set, sizeof(set));
	put(AT(1), (uint64_t[2]){0, 0}, 16);
	assert_int_equal(call(__NR_select, 64, 0, AT(0), 0, AT(1)), 1);
	/* Of huge counts only what descriptors there may be is looked at. */
	assert_int_equal(call(__NR_select, INT_MAX, 0, AT(0), 0, AT(1)), 1);
	assert_int_equal(call(__NR_select, -1ull, 0, AT(0), 0, AT(1)), -EINVAL);
	assert_int_equal(call(__NR_select, 64, 0, END, 0, AT(1)), -EFAULT);
	close(pair[0]);
	close(pair[1]);
}

/* A message of the program with one buffer and one descriptor to go along. */
static uint64_t put_message(uint64_t at, uint64_t buffer, uint64_t bytes, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr header;
	} control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)),
				.cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS}};
	const struct iovec part = {(void *)buffer, bytes};
	const struct msghdr header = {.msg_iov = (struct iovec *)(at + 128),
				      .msg_iovlen = 1,
				      .msg_control = (void *)(at + 256),
				      .msg_controllen = sizeof(control)};

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	put(at, &header, sizeof(header));
	put(at + 128, &part, sizeof(part));
	put(at + 256, &control, sizeof(control));
	return at;
}

static void test_messages(void **state)
{
	uint64_t message;
	int pair[2];
	int received;

	(void)state;
	assert_int_equal(call(__NR_socketpair, AF_UNIX, SOCK_STREAM, 0, AT(0)), 0);
	get(AT(0), pair, sizeof(pair));
	put(AT(1), "hello", 5);
	message = put_message(AT(2), AT(1), 5, PRIVATE + 1);
	assert_int_equal(call(__NR_sendmsg, (uint64_t)pair[0], message, 0), -EBADF);
	message = put_message(AT(2), AT(1), 5, pair[0]);
	assert_int_equal(call(__NR_sendmsg, (uint64_t)pair[0], message, 0), 5);
	message = put_message(AT(2), AT(3), 100, 0);
	assert_int_equal(call(__NR_recvmsg, (uint64_t)pair[1], message, 0), 5);
	assert_int_equal(get_word(AT(3)), 0x6c6c6568);
	received = (int)get_word(message + 256 + CMSG_LEN(0));
	assert_true(fcntl(received, F_GETFD) >= 0);
	close(received);
	/* A descriptor beyond the limit does not arrive. */
	message = put_message(AT(2), AT(1), 5, pair[0]);
	assert_int_equal(call(__NR_sendmsg, (uint64_t)pair[0], message, 0), 5);
	program.process.limits[RLIMIT_NOFILE].rlim_cur = (rlim_t)received;
	message = put_message(AT(2), AT(3), 100, 0);
	assert_int_equal(call(__NR_recvmsg, (uint64_t)pair[1], message, 0), 5);
	assert_int_equal(get_word(message + offsetof(struct msghdr, msg_flags)), MSG_CTRUNC);
	assert_int_equal(fcntl(received, F_GETFD), -1);
	close(pair[0]);
	close(pair[1]);
}

static void test_partly_bad_messages(void **state)
{
	int pair[2];

	(void)state;
	assert_ok(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	assert_int_equal(call(__NR_sendto, (uint64_t)pair[0], END, 10), -EFAULT);
	assert_int_equal(call(__NR_sendto, (uint64_t)pair[0], AT(0), 10), 10);
	/* Nothing is taken from the stream for a buffer that is not there. */
	assert_int_equal(call(__NR_recvfrom, (uint64_t)pair[1], END, 10), -EFAULT);
	assert_int_equal(call(__NR_recvfrom, (uint64_t)pair[1], END - 3, 10), 3);
	assert_int_equal(call(__NR_recvfrom, (uint64_t)pair[1], AT(0), 10), 7);
	assert_int_equal(call(__NR_recvfrom, (uint64_t)pair[1], AT(0), 10, MSG_DONTWAIT), -EAGAIN);
	close(pair[0]);
	close(pair[1]);
}

static void test_addresses(void **state)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	(void)state;
	put_word(AT(0), 4);
	put(AT(1), "........", 8);
	assert_int_equal(call(__NR_getsockname, (uint64_t)fd, AT(1), AT(0)), 0);
	/* The length is the whole one; no more than there was room for is stored. */
	assert_int_equal(get_word(AT(0)), 16);
	assert_int_equal(get_word(AT(1)), AF_INET);
	assert_int_equal(get_word(AT(1) + 4), 0x2e2e2e2e);
	put_word(AT(0), UINT32_MAX);
	assert_int_equal(call(__NR_getsockname, (uint64_t)fd, AT(1), AT(0)), -EINVAL);
	assert_int_equal(call(__NR_getsockname, (uint64_t)fd, AT(1), END), -EFAULT);
	put_word(AT(0), 16);
	assert_int_equal(call(__NR_getsockname, (uint64_t)fd, END, AT(0)), -EFAULT);
	close(fd);
}

static void test_own_memory(void **state)
{
	const struct iovec from = {(void *)AT(4), 100}, to = {(void *)AT(5), 60};

	(void)state;
	put(AT(0), &to, sizeof(to));
	put(AT(1), &from, sizeof(from));
	put(AT(4), "contents", 9);
	assert_int_equal(call(__NR_process_vm_readv, (uint64_t)getpid(), AT(0), 1, AT(1), 1, 0),
			 60);
	assert_int_equal(get_word(AT(5)), get_word(AT(4)));
	/* An address of Quire's is none of the program's. */
	put(AT(1), &(struct iovec){&program, 8}, sizeof(from));
	assert_int_equal(call(__NR_process_vm_readv, (uint64_t)getpid(), AT(0), 1, AT(1), 1, 0),
			 -EFAULT);
	assert_int_equal(call(__NR_process_vm_writev, (uint64_t)gettid(), AT(0), 1, AT(1), 1, 0),
			 -EFAULT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, program_setup, program_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_out),
		TEST(test_out_bytes),
		TEST(test_order_of_errors),
		TEST(test_paths),
		TEST(test_private_descriptors),
		TEST(test_limit_of_descriptors),
		TEST(test_links_to_private),
		TEST(test_listing),
		TEST(test_limits),
		TEST(test_file_size),
		TEST(test_poll),
		TEST(test_select),
		TEST(test_messages),
		TEST(test_partly_bad_messages),
		TEST(test_addresses),
		TEST(test_own_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
