/* SPDX-License-Identifier: MIT */
/*
 * One file seen through mappings and through calls: whatever writes, whatever reads, they agree at
 * once. Every writer is paired with every reader; then what changes the size or the contents in
 * other ways.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILE_PAGES 16
#define BLOCK 6000 /* crosses pages, begins and ends within one */

static struct {
	int fd, again; /* the same file, opened twice */
	int source;    /* another file, to copy from */
	char *shared, *other, *readonly;
} world;

static char block[BLOCK], got[BLOCK];

static void make_world(void)
{
	static char name[] = "coherence-file";

	world.fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	world.again = open(name, O_RDWR);
	world.source = new_file(BLOCK);
	if (world.fd < 0 || world.again < 0 || ftruncate(world.fd, FILE_PAGES * PAGE))
		guest_die("the file");
	unlink(name);
	world.shared =
		mmap(NULL, FILE_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, world.fd, 0);
	world.other =
		mmap(NULL, FILE_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, world.again, 0);
	world.readonly = mmap(NULL, FILE_PAGES * PAGE, PROT_READ, MAP_PRIVATE, world.fd, 0);
	if (world.shared == MAP_FAILED || world.other == MAP_FAILED || world.readonly == MAP_FAILED)
		guest_die("mmap");
}

/* Writers put `block` at an offset of the file; each answers whether it could. */
static bool by_store(off_t offset)
{
	memcpy(world.shared + offset, block, BLOCK);
	return true;
}

static bool by_write(off_t offset)
{
	return lseek(world.again, offset, SEEK_SET) == offset &&
	       write(world.again, block, BLOCK) == BLOCK;
}

static bool by_pwrite(off_t offset)
{
	return pwrite(world.fd, block, BLOCK, offset) == BLOCK;
}

static bool by_pwritev(off_t offset)
{
	struct iovec iovec[3] = {{block, 100}, {block + 100, 4000}, {block + 4100, BLOCK - 4100}};

	return pwritev(world.fd, iovec, 3, offset) == BLOCK;
}

static bool fill_source(void)
{
	return pwrite(world.source, block, BLOCK, 0) == BLOCK;
}

static bool by_sendfile(off_t offset)
{
	off_t from = 0;

	return fill_source() && lseek(world.fd, offset, SEEK_SET) == offset &&
	       sendfile(world.fd, world.source, &from, BLOCK) == BLOCK;
}

static bool by_copy_file_range(off_t offset)
{
	off_t from = 0;

	return fill_source() &&
	       copy_file_range(world.source, &from, world.fd, &offset, BLOCK, 0) == BLOCK;
}

static bool by_splice(off_t offset)
{
	size_t done = 0;
	int ends[2];
	bool good;

	if (pipe(ends) || write(ends[1], block, BLOCK) != BLOCK)
		return false;
	while (done < BLOCK) {
		ssize_t count = splice(ends[0], NULL, world.fd, &offset, BLOCK - done, 0);

		if (count <= 0)
			break;
		done += (size_t)count;
	}
	good = done == BLOCK;
	close(ends[0]);
	close(ends[1]);
	return good;
}

static bool by_read_into_mapping(off_t offset)
{
	return fill_source() && pread(world.source, world.shared + offset, BLOCK, 0) == BLOCK;
}

static bool by_recv_into_mapping(off_t offset)
{
	int sockets[2];
	bool good;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets))
		return false;
	good = send(sockets[0], block, BLOCK, 0) == BLOCK &&
	       recv(sockets[1], world.shared + offset, BLOCK, MSG_WAITALL) == BLOCK;
	close(sockets[0]);
	close(sockets[1]);
	return good;
}

/* Readers get BLOCK bytes at an offset of the file into `got`. */
static bool with_load(off_t offset)
{
	memcpy(got, world.shared + offset, BLOCK);
	return true;
}

static bool with_other_load(off_t offset)
{
	memcpy(got, world.other + offset, BLOCK);
	return true;
}

static bool with_private_load(off_t offset)
{
	memcpy(got, world.readonly + offset, BLOCK);
	return true;
}

static bool with_read(off_t offset)
{
	return lseek(world.again, offset, SEEK_SET) == offset &&
	       read(world.again, got, BLOCK) == BLOCK;
}

static bool with_preadv(off_t offset)
{
	struct iovec iovec[2] = {{got, 5}, {got + 5, BLOCK - 5}};

	return preadv(world.fd, iovec, 2, offset) == BLOCK;
}

static bool with_sendfile(off_t offset)
{
	int ends[2];
	bool good;

	if (pipe(ends))
		return false;
	good = sendfile(ends[1], world.fd, &offset, BLOCK) == BLOCK &&
	       read(ends[0], got, BLOCK) == BLOCK;
	close(ends[0]);
	close(ends[1]);
	return good;
}

static bool with_copy_file_range(off_t offset)
{
	off_t to = 0;

	return copy_file_range(world.again, &offset, world.source, &to, BLOCK, 0) == BLOCK &&
	       pread(world.source, got, BLOCK, 0) == BLOCK;
}

static bool with_splice(off_t offset)
{
	int ends[2];
	ssize_t done = 0, count;

	if (pipe(ends))
		return false;
	while (done < BLOCK) {
		count = splice(world.fd, &offset, ends[1], NULL, (size_t)(BLOCK - done), 0);
		if (count <= 0)
			break;
		done += count;
	}
	for (ssize_t read_so_far = 0; read_so_far < done; read_so_far += count) {
		count = read(ends[0], got + read_so_far, (size_t)(done - read_so_far));
		if (count <= 0)
			return false;
	}
	close(ends[0]);
	close(ends[1]);
	return done == BLOCK;
}

static bool with_write_from_mapping(off_t offset)
{
	return pwrite(world.source, world.other + offset, BLOCK, 0) == BLOCK &&
	       pread(world.source, got, BLOCK, 0) == BLOCK;
}

static const struct way {
	const char *name;
	bool (*go)(off_t offset);
} writers[] =
	{
		{"store", by_store},
		{"write", by_write},
		{"pwrite", by_pwrite},
		{"pwritev", by_pwritev},
		{"sendfile", by_sendfile},
		{"copy_file_range", by_copy_file_range},
		{"splice", by_splice},
		{"read into the mapping", by_read_into_mapping},
		{"recv into the mapping", by_recv_into_mapping},
},
  readers[] = {
	  {"load", with_load},
	  {"load elsewhere", with_other_load},
	  {"private load", with_private_load},
	  {"read", with_read},
	  {"preadv", with_preadv},
	  {"sendfile", with_sendfile},
	  {"copy_file_range", with_copy_file_range},
	  {"splice", with_splice},
	  {"write from the mapping", with_write_from_mapping},
};

static void case_pairs(void)
{
	unsigned int seed = 0;

	make_world();
	for (size_t w = 0; w < sizeof(writers) / sizeof(*writers); w++) {
		for (size_t r = 0; r < sizeof(readers) / sizeof(*readers); r++) {
			size_t wrong = 0;
			bool could = true;

			for (int round = 0; round < 4; round++) {
				off_t offset = (off_t)(++seed * 7919 % (FILE_PAGES * PAGE - BLOCK));

				/* Known to the mappings before it changes. */
				(void)*(volatile char *)(world.other + offset);
				(void)*(volatile char *)(world.readonly + offset);
				fill(block, BLOCK, seed);
				could = could && writers[w].go(offset) && readers[r].go(offset);
				wrong += count_wrong(got, BLOCK, seed);
			}
			show("%s, %s: %s, %zu wrong", writers[w].name, readers[r].name,
			     could ? "done" : "refused", wrong);
		}
	}
}

static void case_holes(void)
{
	char page[PAGE];
	struct caught caught;

	memset(world.shared, 'h', FILE_PAGES * PAGE);
	show("punch: %s", answer(fallocate(world.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					   2 * PAGE - 100, PAGE + 200)));
	show("load: %c %d %d %c", world.shared[2 * PAGE - 101], world.shared[2 * PAGE - 100],
	     world.other[3 * PAGE + 99], world.shared[3 * PAGE + 100]);
	show("read: %s", answer(pread(world.again, page, PAGE, 2 * PAGE)));
	show("  %d %d", page[0], page[PAGE - 1]);
	world.shared[2 * PAGE + 7] = 'n';
	show("stored into the hole: %s", answer(pread(world.again, page, PAGE, 2 * PAGE)));
	show("  %d %c", page[6], page[7]);
	show("zero range: %s",
	     answer(fallocate(world.fd, FALLOC_FL_ZERO_RANGE, 5 * PAGE + 10, 20)));
	show("  %c %d %d %c", world.shared[5 * PAGE + 9], world.shared[5 * PAGE + 10],
	     world.shared[5 * PAGE + 29], world.shared[5 * PAGE + 30]);
	show("collapse: %s", answer(fallocate(world.fd, FALLOC_FL_COLLAPSE_RANGE, 0, 2 * PAGE)));
	caught = try_read(world.shared + (FILE_PAGES - 1) * PAGE);
	show("the last page after it: %s", describe(&caught, world.shared));
	show("  %d %c", world.shared[6], world.shared[7]);
	show("grow by allocation: %s", answer(fallocate(world.fd, 0, 0, FILE_PAGES * PAGE)));
	caught = try_read(world.shared + (FILE_PAGES - 1) * PAGE);
	show("the last page again: %s", describe(&caught, world.shared));
}

static void case_size(void)
{
	struct stat stat;
	struct caught caught;
	int truncated;
	char path[64];

	memset(world.shared, 's', FILE_PAGES * PAGE);
	show("shrink: %s", answer(ftruncate(world.again, 3 * PAGE + 10)));
	fstat(world.fd, &stat);
	show("size %ld, seek to the end %ld", (long)stat.st_size,
	     (long)lseek(world.fd, 0, SEEK_END));
	show("load: %c %d", world.other[3 * PAGE + 9], world.other[3 * PAGE + 10]);
	caught = try_read(world.other + 4 * PAGE);
	show("beyond: %s", describe(&caught, world.other));
	show("append: %s", answer(write(world.fd, "appended", 8)));
	show("load: %.8s", world.other + 3 * PAGE + 10);
	show("write far beyond: %s", answer(pwrite(world.fd, "far", 3, 9 * PAGE)));
	show("load: %.3s, between %d", world.shared + 9 * PAGE, world.shared[8 * PAGE]);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", world.fd);
	truncated = open(path, O_RDWR | O_TRUNC);
	show("O_TRUNC: %s", answer(truncated < 0 ? -1 : 0));
	caught = try_write(world.shared);
	show("store: %s", describe(&caught, world.shared));
	fstat(world.fd, &stat);
	show("size %ld, read %s", (long)stat.st_size, answer(pread(world.again, got, 10, 0)));
	show("grow: %s", answer(ftruncate(world.fd, FILE_PAGES * PAGE)));
	show("load: %d %d", world.shared[0], world.other[5 * PAGE]);
	close(truncated);
}

/* Private copies stay what they were; what was not copied follows the file. */
static void case_private(void)
{
	char *private = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, world.fd, 0);

	memset(world.shared, 'a', 3 * PAGE);
	__asm__ volatile("" ::: "memory");
	/* The copy is of this moment: the compiler knows nothing of that. */
	*(volatile char *)(private + PAGE) = 'p';
	__asm__ volatile("" ::: "memory");
	memset(world.shared, 'b', 3 * PAGE);
	if (pwrite(world.fd, "w", 1, 1) != 1)
		guest_die("pwrite");
	show("not copied: %c%c, copied: %c%c", private[0], private[1], private[PAGE],
	     private[PAGE + 1]);
	madvise(private, 3 * PAGE, MADV_DONTNEED);
	show("after MADV_DONTNEED: %c%c", private[PAGE], private[PAGE + 1]);
	/* A system call writes into a private page, and into the one that shares it. */
	if (pread(world.source, private + 2 * PAGE, 10, 0) != 10)
		guest_die("pread");
	show("a call's own copy: %d, the file's: %c", private[2 * PAGE] == 'b',
	     world.shared[2 * PAGE]);
	munmap(private, 3 * PAGE);
}

static void case_times(void)
{
	struct timespec old = {.tv_sec = 1000000000}, times[2] = {old, old};
	struct stat stat;

	/* Only the first store to a clean page is seen. */
	if (msync(world.shared, FILE_PAGES * PAGE, MS_SYNC))
		guest_die("msync");
	futimens(world.fd, times);
	world.shared[5] = 't';
	show("msync: %s", answer(msync(world.shared, PAGE, MS_SYNC)));
	fstat(world.fd, &stat);
	show("the modification time moved: %d", stat.st_mtim.tv_sec > 1000000000);
	show("blocks in use: %d", stat.st_blocks > 0);
	show("fsync: %s, fdatasync: %s, sync_file_range: %s", answer(fsync(world.fd)),
	     answer(fdatasync(world.fd)),
	     answer(sync_file_range(world.fd, 0, 0, SYNC_FILE_RANGE_WRITE)));
}

/* The mapping as its own reader and writer: overlapping and straddling. */
static void case_onto_itself(void)
{
	fill(world.shared, 8 * PAGE, 5);
	show("write a mapping to its own file: %s",
	     answer(pwrite(world.fd, world.shared, 3 * PAGE, 4 * PAGE)));
	show("  %zu wrong", count_wrong(world.shared + 4 * PAGE, 3 * PAGE, 5));
	show("read a file into its own mapping: %s",
	     answer(pread(world.fd, world.shared + 9 * PAGE, 3 * PAGE, 0)));
	show("  %zu wrong", count_wrong(world.other + 9 * PAGE, 3 * PAGE, 5));
	show("the same place: %s", answer(pread(world.fd, world.shared, PAGE, 0)));
	show("  %zu wrong", count_wrong(world.shared, PAGE, 5));
	show("the same place: %s", answer(pwrite(world.fd, world.shared + 100, 2 * PAGE, 100)));
	show("  %zu wrong", count_wrong(world.shared, 3 * PAGE, 5));
}

int main(int argc, char **argv)
{
	static const struct guest_case cases[] = {
		{"pairs", case_pairs}, {"holes", case_holes},
		{"size", case_size},   {"private", case_private},
		{"times", case_times}, {"onto_itself", case_onto_itself},
		{NULL, NULL},
	};

	return guest_main(argc, argv, cases);
}
