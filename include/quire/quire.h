/* SPDX-License-Identifier: MIT */
/*
 * quire.h - Linux's virtual memory system as a library.
 *
 * An instance (struct quire) owns frames, a page cache, swap and any number of address spaces
 * (quire_mm). The calls mirror the POSIX and Linux calls whose names they bear: same arguments
 * after the mm, same results, -1 (or QUIRE_MAP_FAILED) with errno set on failure; where a manual
 * page says EINVAL, so does Quire. Sources: the Linux manual pages mmap(2), munmap(2), mprotect(2),
 * mremap(2), madvise(2), process_madvise(2), msync(2), mlock(2), mincore(2), mseal(2),
 * remap_file_pages(2), prctl(2), brk(2), fork(2), execve(2), pread(2), pwrite(2), ftruncate(2),
 * fallocate(2), fsync(2).
 *
 * Addresses are those of the mm, not pointers of the calling program. All functions are
 * thread-safe; exceptions are named.
 */
#ifndef QUIRE_QUIRE_H
#define QUIRE_QUIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quire/machine.h>
#include <quire/store.h>

#ifdef __cplusplus
extern "C" {
#endif

struct quire;
typedef struct mm_struct quire_mm;
typedef struct file quire_file;
typedef struct mem_cgroup quire_group;

#define QUIRE_PAGE_SIZE 4096
#define QUIRE_MAP_FAILED UINT64_MAX

/* Values are those of x86-64 Linux. */
enum {
	QUIRE_PROT_NONE = 0,
	QUIRE_PROT_READ = 1,
	QUIRE_PROT_WRITE = 2,
	QUIRE_PROT_EXEC = 4,
	QUIRE_PROT_GROWSDOWN = 0x01000000,
	QUIRE_PROT_GROWSUP = 0x02000000,
};

enum {
	QUIRE_MAP_SHARED = 0x01,
	QUIRE_MAP_PRIVATE = 0x02,
	QUIRE_MAP_SHARED_VALIDATE = 0x03,
	QUIRE_MAP_DROPPABLE = 0x08,
	QUIRE_MAP_TYPE = 0x0f,
	QUIRE_MAP_FIXED = 0x10,
	QUIRE_MAP_ANONYMOUS = 0x20,
	QUIRE_MAP_32BIT = 0x40,
	QUIRE_MAP_GROWSDOWN = 0x0100,
	QUIRE_MAP_DENYWRITE = 0x0800,
	QUIRE_MAP_EXECUTABLE = 0x1000,
	QUIRE_MAP_LOCKED = 0x2000,
	QUIRE_MAP_NORESERVE = 0x4000,
	QUIRE_MAP_POPULATE = 0x8000,
	QUIRE_MAP_NONBLOCK = 0x10000,
	QUIRE_MAP_STACK = 0x20000,
	QUIRE_MAP_HUGETLB = 0x40000,
	QUIRE_MAP_SYNC = 0x80000,
	QUIRE_MAP_FIXED_NOREPLACE = 0x100000,
};

enum {
	QUIRE_MREMAP_MAYMOVE = 1,
	QUIRE_MREMAP_FIXED = 2,
	QUIRE_MREMAP_DONTUNMAP = 4
};
enum {
	QUIRE_MS_ASYNC = 1,
	QUIRE_MS_INVALIDATE = 2,
	QUIRE_MS_SYNC = 4
};
enum {
	QUIRE_MLOCK_ONFAULT = 1
};
enum {
	QUIRE_MCL_CURRENT = 1,
	QUIRE_MCL_FUTURE = 2,
	QUIRE_MCL_ONFAULT = 4
};

enum {
	QUIRE_MADV_NORMAL = 0,
	QUIRE_MADV_RANDOM = 1,
	QUIRE_MADV_SEQUENTIAL = 2,
	QUIRE_MADV_WILLNEED = 3,
	QUIRE_MADV_DONTNEED = 4,
	QUIRE_MADV_FREE = 8,
	QUIRE_MADV_REMOVE = 9,
	QUIRE_MADV_DONTFORK = 10,
	QUIRE_MADV_DOFORK = 11,
	QUIRE_MADV_MERGEABLE = 12,
	QUIRE_MADV_UNMERGEABLE = 13,
	QUIRE_MADV_HUGEPAGE = 14,
	QUIRE_MADV_NOHUGEPAGE = 15,
	QUIRE_MADV_DONTDUMP = 16,
	QUIRE_MADV_DODUMP = 17,
	QUIRE_MADV_WIPEONFORK = 18,
	QUIRE_MADV_KEEPONFORK = 19,
	QUIRE_MADV_COLD = 20,
	QUIRE_MADV_PAGEOUT = 21,
	QUIRE_MADV_POPULATE_READ = 22,
	QUIRE_MADV_POPULATE_WRITE = 23,
	QUIRE_MADV_DONTNEED_LOCKED = 24,
	QUIRE_MADV_COLLAPSE = 25,
	QUIRE_MADV_GUARD_INSTALL = 102,
	QUIRE_MADV_GUARD_REMOVE = 103,
};

enum {
	QUIRE_MDWE_REFUSE_EXEC_GAIN = 1,
	QUIRE_MDWE_NO_INHERIT = 2
};

enum quire_limit {
	QUIRE_LIMIT_AS,
	QUIRE_LIMIT_DATA,
	QUIRE_LIMIT_STACK,
	QUIRE_LIMIT_MEMLOCK,
};
#define QUIRE_LIMIT_INFINITY UINT64_MAX

/* vm.overcommit_memory. */
enum quire_overcommit {
	QUIRE_OVERCOMMIT_GUESS,
	QUIRE_OVERCOMMIT_ALWAYS,
	QUIRE_OVERCOMMIT_NEVER
};

/* What a trace is told of. */
enum quire_trace_kind {
	QUIRE_TRACE_FAULT,     /* served, or failed: `result` is not 0 then */
	QUIRE_TRACE_EVICT,     /* a page left memory */
	QUIRE_TRACE_WRITEBACK, /* a dirty page of a file was written; `result` 0 or -errno */
	QUIRE_TRACE_SWAP_OUT,  /* a page was written to swap */
	QUIRE_TRACE_SWAP_IN,   /* a page was read from swap */
};
enum {
	QUIRE_TRACE_WRITE = 1,
	QUIRE_TRACE_EXEC = 2,
	QUIRE_TRACE_REMOTE = 4, /* not by the program itself: a system call's buffer */
	QUIRE_TRACE_MAJOR = 8   /* I/O was needed */
};
struct quire_trace_event {
	enum quire_trace_kind kind;
	uint32_t flags;      /* of faults: QUIRE_TRACE_* */
	int32_t result;      /* 0, or not */
	const char *mapping; /* what is mapped there, for people; valid during the call */
	uint64_t object;     /* the same number for the same `mapping`, 0 for none */
	uint64_t address;    /* of the mm; of a file's page its offset in the file */
	uint64_t bytes;
	uint64_t duration_ns; /* of faults */
};

/* What an instance tells its owner. Members may be NULL. Called from any thread, with no lock of
 * Quire held unless said. */
struct quire_events {
	void *context;
	/* Free frames fell below the low watermark, or a group came near its budget: somebody
	 * should call quire_balance(). Locks may be held: must only note or wake. */
	void (*pressure)(void *context);
	/* An OOM verdict fell on this mm, which has `resident` pages in memory; `group` is over its
	 * budget of `limit` pages. */
	void (*oom)(void *context, const char *mm, uint64_t resident, const char *group,
		    uint64_t limit);
	/* Something happened that a trace shows. Locks may be held: must only note. */
	void (*trace)(void *context, const struct quire_trace_event *event);
};

/* Zero means the default in parentheses. `size` must be sizeof(struct quire_params). */
struct quire_params {
	size_t size;
	uint64_t memory;                  /* bytes of frames (64 MiB) */
	uint64_t section;                 /* bytes of them that come into use at a time: a multiple
					     of 2 MiB (128 MiB) */
	uint64_t seed;                    /* randomises layouts (0: none) */
	const char *policy;               /* "two-list" (default), "sieve" */
	enum quire_overcommit overcommit; /* (guess) */
	uint64_t overcommit_most;         /* bytes that QUIRE_OVERCOMMIT_GUESS grants a call, if
					     that is more than memory and swap: what a program with
					     a budget would get from its host */
	uint32_t overcommit_ratio;        /* percent of memory, with QUIRE_OVERCOMMIT_NEVER (50) */
	uint32_t max_map_count;           /* VMAs in an mm (65530) */
	uint32_t fault_around;            /* bytes, power of two (65536; 4096: none) */
	/* A write to an empty page of private anonymous memory fills up to so many bytes of empty
	 * neighbours with zeroed pages, 64 KiB at first and more where memory is used densely,
	 * never reclaiming for it: for machines whose faults are dear. Pages that are in the swap
	 * cache come back together, too. Power of two, at most 2 MiB (4096: none). */
	uint32_t anon_fault_around;
	/* A read of empty anonymous memory gives a page of its own at once, not the zero page. */
	bool no_zero_page;
	/* Entries of file pages that are mapped around a fault bear the accessed bit, for machines
	 * that take over only such entries ahead of need. */
	bool premark_accessed;
	uint32_t readahead;  /* bytes at most (131072; UINT32_MAX: none) */
	uint32_t swappiness; /* 0..200 (60); UINT32_MAX: 0 */
	struct quire_events events;
};

/*
 * A new instance on a machine, which must outlive it. 0 and *quire, or -1 with errno ENOMEM, EINVAL
 * (size, memory below 1 MiB, unknown policy).
 */
int quire_create(struct quire_machine *machine, const struct quire_params *params,
		 struct quire **quire);
/*
 * Writes back what is dirty, then frees everything: mms that are left, files, swap. No call is
 * under way. 0, or -1 with the first write error's errno: the instance is gone all the same.
 */
int quire_destroy(struct quire *quire);

/* Adds `bytes` of a store as swap; takes over the store on success. errno ENOMEM, EINVAL, ENOSPC (8
 * areas). */
int quire_swapon(struct quire *quire, struct quire_store *store, uint64_t bytes);

/* A budget below `parent` (NULL: the instance's). `bytes` 0: none. The caller owns a reference.
 * errno ENOMEM. */
int quire_group_create(struct quire *quire, quire_group *parent, const char *name, uint64_t bytes,
		       quire_group **group);
void quire_group_put(quire_group *group);
/* Reclaims down to the new budget; errno EBUSY: the budget holds, but more is in use (locked, say).
 */
int quire_group_set_budget(quire_group *group, uint64_t bytes);
/* The instance's own group, and the group of an mm (each mm has one); no reference. */
quire_group *quire_root_group(struct quire *quire);
quire_group *quire_mm_group(quire_mm *mm);
/* A budget of its own for the mapping [address, address + length), whole VMAs being split as need
 * be; 0 bytes: none any more. errno ENOMEM, EINVAL. */
int quire_set_mapping_budget(quire_mm *mm, uint64_t address, uint64_t length, uint64_t bytes);

/* A new address space, empty, named for messages. `group` NULL: a new one below the instance's.
 * errno ENOMEM. */
int quire_mm_create(struct quire *quire, const char *name, quire_group *group, quire_mm **mm);
/* exit: unmaps all and frees the mm. No CPU runs it and no call on it is under way. */
void quire_mm_exit(quire_mm *mm);
/*
 * A copy on write of the address space. A child of an mm with a group of its own gets one too, with
 * the same budget (and so for budgets of mappings); else it is in the parent's group. errno ENOMEM.
 */
int quire_fork(quire_mm *mm, const char *name, quire_mm **child);

/*
 * Replaces the address space by the program in `file` and its interpreter, as execve does, without
 * running anything: PT_LOAD segments, bss, heap, stack with argc, argv, envp and auxv. `open` (with
 * `context`) opens PT_INTERP's path, returning a file or NULL with errno. *entry and *stack_pointer
 * are where it would start. errno ENOEXEC (not an x86-64 ELF file, or broken), ELIBBAD (the
 * interpreter is none), E2BIG, ENOMEM, EIO, and those of `open`. On an error after the old space
 * was given up, the mm is empty.
 */
struct quire_exec {
	quire_file *file;
	const char *path;
	char *const *argv;
	char *const *envp;
	quire_file *(*open)(void *context, const char *path);
	void *context;
	/* Called when all that can be known beforehand is good, before the old space is given up.
	 * 0, or -errno with which the call fails, the old space being whole. NULL: nothing to do.
	 */
	int (*begin)(void *context);
	/* Called when program and interpreter are mapped, before the stack is written: may map more
	 * and change values in `auxv`. 0 or -errno. NULL: nothing to do. */
	int (*mapped)(void *context, quire_mm *mm);
	/* Pairs of type and value for the auxiliary vector, without AT_NULL. One of a type that
	 * Quire sets by itself takes its place. At most 32. */
	const uint64_t (*auxv)[2];
	uint32_t nr_auxv;
	const char *platform;        /* AT_PLATFORM's string; NULL: none */
	const unsigned char *random; /* AT_RANDOM's 16 bytes; NULL: from the instance's seed */
	bool no_randomize;           /* the layout is not random, whatever the instance's seed */
	uint64_t entry;              /* out */
	uint64_t stack_pointer;      /* out */
	uint64_t auxv_address;       /* out: where the vector stands in the mm ... */
	uint64_t auxv_words;         /* out: ... and its length, AT_NULL included */
	bool lost;                   /* out, also on failure: the old space was given up */
};
int quire_exec(quire_mm *mm, struct quire_exec *exec);

/* Memory calls. `file` NULL: no descriptor (EBADF unless anonymous). Lengths in bytes. */
uint64_t quire_mmap(quire_mm *mm, uint64_t address, uint64_t length, int prot, int flags,
		    quire_file *file, int64_t offset);
int quire_munmap(quire_mm *mm, uint64_t address, uint64_t length);
int quire_mprotect(quire_mm *mm, uint64_t address, uint64_t length, int prot);
uint64_t quire_mremap(quire_mm *mm, uint64_t address, uint64_t old_length, uint64_t new_length,
		      int flags, uint64_t new_address);
int quire_madvise(quire_mm *mm, uint64_t address, uint64_t length, int advice);
/* process_madvise(2) of a process on itself: bytes of the ranges before the first error, which is
 * reported only when it is the first range's. */
struct quire_range {
	uint64_t address, length;
};
int64_t quire_process_madvise(quire_mm *mm, const struct quire_range *ranges, uint64_t count,
			      int advice);
int quire_mseal(quire_mm *mm, uint64_t address, uint64_t length, unsigned long flags);
/* `page_offset` in pages; `prot` must be 0. */
int quire_remap_file_pages(quire_mm *mm, uint64_t address, uint64_t length, int prot,
			   uint64_t page_offset, int flags);
/* prctl(2) with PR_SET_MDWE and PR_GET_MDWE: QUIRE_MDWE_*. */
int quire_set_mdwe(quire_mm *mm, unsigned long bits);
int quire_get_mdwe(quire_mm *mm);
/* prctl(2) with PR_SET_VMA_ANON_NAME; `name` NULL: none any more. */
int quire_set_anon_name(quire_mm *mm, uint64_t address, uint64_t length, const char *name);
int quire_msync(quire_mm *mm, uint64_t address, uint64_t length, int flags);
int quire_mlock(quire_mm *mm, uint64_t address, uint64_t length);
int quire_mlock2(quire_mm *mm, uint64_t address, uint64_t length, unsigned int flags);
int quire_munlock(quire_mm *mm, uint64_t address, uint64_t length);
int quire_mlockall(quire_mm *mm, int flags);
int quire_munlockall(quire_mm *mm);
/* One byte a page in `vector`, bit 0: resident. */
int quire_mincore(quire_mm *mm, uint64_t address, uint64_t length, unsigned char *vector);
/* The system call, not the C library's: returns the new break, or the unchanged one when it cannot
 * be set. */
uint64_t quire_brk(quire_mm *mm, uint64_t address);
/* Soft limit in bytes; `privileged` is CAP_IPC_LOCK. */
int quire_setlimit(quire_mm *mm, enum quire_limit limit, uint64_t bytes);
uint64_t quire_getlimit(quire_mm *mm, enum quire_limit limit);
void quire_set_privileged(quire_mm *mm, bool privileged);

/*
 * Files. quire_open() gives a handle on the regular file with identity (device, inode), the same
 * object for every handle of one identity, whatever its `path`, which is for people; it takes over
 * `store` (unless it fails) and uses it, or closes it when the object has one that serves. `mode`:
 * QUIRE_O_READ | QUIRE_O_WRITE. errno ENOMEM, EINVAL, and the store's.
 */
enum {
	QUIRE_O_READ = 1,
	QUIRE_O_WRITE = 2
};
int quire_open(struct quire *quire, const char *path, uint64_t device, uint64_t inode,
	       struct quire_store *store, int mode, quire_file **file);
/* memfd_create(2): an object that goes to swap. shmem of fixed size for SysV. errno ENOMEM, EINVAL
 * (name longer than 249 bytes). */
enum {
	QUIRE_SEAL_SEAL = 0x01,
	QUIRE_SEAL_SHRINK = 0x02,
	QUIRE_SEAL_GROW = 0x04,
	QUIRE_SEAL_WRITE = 0x08,
};
enum {
	QUIRE_MFD_ALLOW_SEALING = 0x02,
};
int quire_memfd_create(struct quire *quire, const char *name, int flags, quire_file **file);
/*
 * fcntl(F_ADD_SEALS), F_GET_SEALS: seals belong to the object, all of a call or none. Without
 * QUIRE_MFD_ALLOW_SEALING it carries QUIRE_SEAL_SEAL from the start. errno EPERM (sealed against
 * sealing, handle not for writing), EBUSY (QUIRE_SEAL_WRITE while a writable shared mapping
 * exists), EINVAL (not such an object, unknown seal).
 */
int quire_add_seals(quire_file *file, int seals);
int quire_get_seals(quire_file *file);
int quire_shm_create(struct quire *quire, const char *name, uint64_t bytes, quire_file **file);
/* /dev/zero: mapping it is anonymous memory. */
int quire_open_zero(struct quire *quire, quire_file **file);
/* One more handle on the same open file (as a descriptor inherited by fork); returns `file`. */
quire_file *quire_file_get(quire_file *file);
void quire_close(quire_file *file);
int64_t quire_pread(quire_file *file, quire_group *group, void *buffer, uint64_t bytes,
		    uint64_t offset);
int64_t quire_pwrite(quire_file *file, quire_group *group, const void *buffer, uint64_t bytes,
		     uint64_t offset);
/* The same with a buffer in an mm: EFAULT where it has no memory. */
int64_t quire_pread_user(quire_file *file, quire_mm *mm, uint64_t address, uint64_t bytes,
			 uint64_t offset);
int64_t quire_pwrite_user(quire_file *file, quire_mm *mm, uint64_t address, uint64_t bytes,
			  uint64_t offset);
int64_t quire_file_size(quire_file *file);
int quire_ftruncate(quire_file *file, uint64_t bytes);
int quire_punch_hole(quire_file *file, uint64_t offset, uint64_t bytes);
int quire_fsync(quire_file *file);

/*
 * The upward call of a machine: an access of an mm met an entry that is absent or forbids it. 0:
 * try the access again. -1 with errno EFAULT: *fault says what signal the program gets. Access is
 * QUIRE_ACCESS_*.
 */
enum {
	QUIRE_ACCESS_READ = 0,
	QUIRE_ACCESS_WRITE = 1,
	QUIRE_ACCESS_EXEC = 2
};
enum quire_signal {
	QUIRE_SIGNAL_NONE,
	QUIRE_SEGV_MAPERR,
	QUIRE_SEGV_ACCERR,
	QUIRE_BUS_ADRERR,
	QUIRE_KILL_OOM, /* no memory: SIGKILL by verdict */
};
int quire_handle_fault(quire_mm *mm, uint64_t address, int access, enum quire_signal *signal);
/* Copies in and out of an mm as the kernel would; bytes done, -1 with EFAULT when none. */
int64_t quire_read_memory(quire_mm *mm, uint64_t address, void *buffer, uint64_t bytes);
int64_t quire_write_memory(quire_mm *mm, uint64_t address, const void *buffer, uint64_t bytes);

/* Background work: reclaim towards the high watermark, old dirty pages. Returns pages freed. */
uint64_t quire_balance(struct quire *quire);
/* Evicts up to `pages` of a group (NULL: all); returns the number. */
uint64_t quire_reclaim(struct quire *quire, quire_group *group, uint64_t pages);
/* Writes every dirty page of every file and waits. errno of the first error. */
int quire_writeback(struct quire *quire);

/* Validates every structure; nothing else is under way. 0, or -1 with errno EUCLEAN and the first
 * violation in `message`. */
int quire_check(struct quire *quire, char *message, size_t bytes);

/* Counters of the instance, in pages or events. `size` must be sizeof(struct quire_stat). */
struct quire_stat {
	size_t size;
	uint64_t frames, frames_free, page_tables, metadata_bytes;
	uint64_t cached, dirty, writeback, committed, swap_slots, swap_free;
	uint64_t faults, faults_major, fault_around, cow_copies, cow_reuses, zero_page;
	uint64_t file_read, file_written, readahead, swap_in, swap_out;
	uint64_t scanned, reclaimed, direct_reclaim, background_reclaim, refaults, workingset;
	uint64_t revokes, write_errors, oom_kills, zero_dropped;
};
int quire_get_stat(struct quire *quire, struct quire_stat *stat);

#ifdef __cplusplus
}
#endif

#endif
