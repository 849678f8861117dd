/* SPDX-License-Identifier: MIT */
/*
 * The soft machine: the shell's commands carried out by Quire's core. Everything happens on the
 * shell's own thread, input and output included, and by a clock that counts operations, so that a
 * script runs the same each time.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/vma/mm.h"
#include "tools/shell/memory.h"
#include "tools/shell/soft_task.h"

#include <quire/file_store.h>

/* What an operation takes on the machine's own clock, and after how many of them background work is
 * done unasked: every five seconds, as the kernel's flusher does it. */
#define OPERATION_NS ((uint64_t)100 * 1000 * 1000)
#define BACKGROUND_OPERATIONS 50

struct shell_result soft_result(int64_t value)
{
	if (value >= 0)
		return (struct shell_result){.value = (uint64_t)value};
	return (struct shell_result){.error = errno};
}

static struct shell_result address_result(uint64_t address)
{
	if (address != QUIRE_MAP_FAILED)
		return (struct shell_result){.value = address};
	return (struct shell_result){.error = errno};
}

void soft_background(struct shell_machine *machine)
{
	soft_machine_advance(machine->machine, OPERATION_NS);
	machine->operations++;
	if (atomic_exchange_explicit(&machine->pressure, false, memory_order_acq_rel) ||
	    machine->operations % BACKGROUND_OPERATIONS == 0)
		quire_balance(machine->quire);
}

static void note_pressure(void *context)
{
	struct shell_machine *machine = context;

	atomic_store_explicit(&machine->pressure, true, memory_order_release);
}

static void report_oom(void *context, const char *mm, uint64_t resident, const char *group,
		       uint64_t limit)
{
	(void)context;
	(void)limit;
	fprintf(stderr,
		"quire: out of memory in group %s: process %s with %" PRIu64
		" resident pages is killed; give more by --memory, --swap or budget\n",
		group, mm, resident);
}

static int complain(const char *what, int error)
{
	fprintf(stderr, "quire: machine soft: %s: %s\n", what, strerror(error));
	return -error;
}

/* A file that is made for the purpose has no name from then on, so that nothing stays behind
 * however the shell ends. */
static int open_swap(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return errno == EEXIST ? open(path, O_RDWR | O_CLOEXEC) : -1;
	unlink(path);
	return fd;
}

static int add_swap(struct quire *quire, const struct shell_machine_options *options)
{
	struct quire_store *store;
	int fd = open_swap(options->swap_path);
	int error;

	if (fd < 0)
		return complain(options->swap_path, errno);
	if (ftruncate(fd, (off_t)options->swap_size) != 0) {
		error = errno;
		close(fd);
		return complain(options->swap_path, error);
	}
	error = quire_file_store_create(fd, true, QUIRE_FILE_IO_PLAIN, &store);
	if (error) {
		close(fd);
		return complain(options->swap_path, -error);
	}
	if (quire_swapon(quire, store, options->swap_size) != 0) {
		error = errno;
		store->ops->close(store);
		return complain("the swap area is refused", error);
	}
	return 0;
}

static int create_instance(struct shell_machine *machine,
			   const struct shell_machine_options *options)
{
	struct quire_params params = {
		.size = sizeof(params),
		.memory = options->memory,
		.seed = options->seed,
		.events = {.context = machine, .pressure = note_pressure, .oom = report_oom},
	};
	uint64_t most = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	int error;

	if (options->memory > most) {
		fprintf(stderr,
			"quire: machine soft: --memory: this computer has %" PRIu64
			"M, not %" PRIu64 "M\n",
			most >> 20, options->memory >> 20);
		return -ENOMEM;
	}
	error = soft_machine_create(NULL, &machine->machine);
	if (error)
		return complain("the machine cannot be made", -error);
	if (quire_create(machine->machine, &params, &machine->quire) != 0) {
		error = complain("an instance with that memory cannot be made", errno);
		goto no_instance;
	}
	error = soft_cpu_create(machine->machine, &machine->cpu);
	if (error) {
		complain("no CPU", -error);
		goto no_cpu;
	}
	if (options->swap_path) {
		error = add_swap(machine->quire, options);
		if (error)
			goto no_swap;
	}
	return 0;

no_swap:
	soft_cpu_destroy(machine->cpu);
no_cpu:
	quire_destroy(machine->quire);
no_instance:
	soft_machine_destroy(machine->machine);
	return error;
}

static struct shell_task *task_new(struct shell_machine *machine, quire_mm *mm)
{
	struct shell_task *task = shell_allocate(sizeof(*task));

	task->machine = machine;
	task->mm = mm;
	list_add_tail(&task->link, &machine->tasks);
	return task;
}

static int destroy_instance(struct shell_machine *machine)
{
	int error = 0;

	soft_cpu_destroy(machine->cpu);
	if (quire_destroy(machine->quire) != 0)
		error = complain("what was dirty could not all be written", errno);
	soft_machine_destroy(machine->machine);
	return error;
}

static int soft_start(const struct shell_machine_options *options, struct shell_machine **machine,
		      struct shell_task **first)
{
	struct shell_machine *fresh = shell_allocate(sizeof(*fresh));
	quire_mm *mm;
	int error;

	list_init(&fresh->tasks);
	error = create_instance(fresh, options);
	if (error)
		goto no_instance;
	if (quire_mm_create(fresh->quire, "main", NULL, &mm) != 0) {
		error = complain("no address space", errno);
		goto no_mm;
	}
	*first = task_new(fresh, mm);
	*machine = fresh;
	return 0;

no_mm:
	destroy_instance(fresh);
no_instance:
	free(fresh);
	return error;
}

static void run_on_cpu(struct shell_task *task)
{
	struct shell_machine *machine = task->machine;

	soft_background(machine);
	if (machine->running == task)
		return;
	soft_cpu_switch(machine->cpu, task->mm);
	machine->running = task;
}

static void leave_cpu(struct shell_task *task)
{
	if (task->machine->running != task)
		return;
	soft_cpu_switch(task->machine->cpu, NULL);
	task->machine->running = NULL;
}

static bool soft_alive(struct shell_task *task)
{
	return task->mm;
}

/* Gives back all that the task has; it is dead then. */
static void release_task(struct shell_task *task)
{
	leave_cpu(task);
	soft_descriptors_close(task);
	quire_mm_exit(task->mm);
	task->mm = NULL;
}

static void soft_exit(struct shell_task *task)
{
	if (soft_alive(task))
		release_task(task);
	list_del(&task->link);
	free(task);
}

static int soft_stop(struct shell_machine *machine)
{
	struct shell_task *task, *next;
	int error;

	list_for_each_entry_safe (task, next, &machine->tasks, link)
		soft_exit(task);
	error = destroy_instance(machine);
	free(machine);
	return error;
}

static struct shell_result soft_fork(struct shell_task *task, const char *name,
				     struct shell_task **child)
{
	quire_mm *mm;

	soft_background(task->machine);
	if (quire_fork(task->mm, name, &mm) != 0)
		return soft_result(-1);
	*child = task_new(task->machine, mm);
	soft_descriptors_copy(*child, task);
	return (struct shell_result){0};
}

static quire_file *open_interpreter(void *context, const char *path)
{
	return soft_open_program(context, path);
}

static struct shell_result soft_exec(struct shell_task *task, const char *path, char *const *argv)
{
	static char *const no_environment[] = {NULL};
	struct quire *quire = task->machine->quire;
	struct quire_exec exec = {
		.path = path,
		.argv = argv,
		.envp = no_environment,
		.open = open_interpreter,
		.context = quire,
	};
	struct shell_result result;

	soft_background(task->machine);
	exec.file = soft_open_program(quire, path);
	if (!exec.file)
		return soft_result(-1);
	leave_cpu(task);
	result = soft_result(quire_exec(task->mm, &exec));
	quire_close(exec.file);
	return result;
}

static uint64_t soft_heap_start(struct shell_task *task)
{
	return PAGE_ALIGN(task->mm->start_brk);
}

static struct shell_result soft_brk(struct shell_task *task, int64_t delta)
{
	uint64_t old = quire_brk(task->mm, 0);
	uint64_t wanted = old + (uint64_t)delta;

	soft_background(task->machine);
	if ((delta < 0) != (wanted < old) || quire_brk(task->mm, wanted) != wanted)
		return (struct shell_result){.error = ENOMEM};
	return (struct shell_result){.value = wanted};
}

/* What the host keeps cannot be mapped: the same refusals, in the order of mmap(2). */
static struct shell_result mmap_host(const struct shell_mmap *request, int host)
{
	int mode = fcntl(host, F_GETFL) & O_ACCMODE;

	if (request->length == 0 || PAGE_OFFSET(request->offset))
		return (struct shell_result){.error = EINVAL};
	if (mode == O_WRONLY)
		return (struct shell_result){.error = EACCES};
	return (struct shell_result){.error = ENODEV};
}

static struct shell_result soft_mmap(struct shell_task *task, const struct shell_mmap *request)
{
	struct soft_descriptor *descriptor =
		request->fd >= 0 ? soft_descriptor(task, request->fd) : NULL;
	quire_file *file = NULL;

	soft_background(task->machine);
	if (descriptor && !(request->flags & MAP_ANONYMOUS)) {
		if (!descriptor->file)
			return mmap_host(request, descriptor->host);
		file = descriptor->file;
	}
	return address_result(quire_mmap(task->mm, request->address, request->length,
					 (int)request->prot, (int)request->flags, file,
					 (int64_t)request->offset));
}

static struct shell_result soft_mremap(struct shell_task *task, const struct shell_mremap *request)
{
	soft_background(task->machine);
	return address_result(quire_mremap(task->mm, request->old_address, request->old_length,
					   request->new_length, (int)request->flags,
					   request->new_address));
}

static struct shell_result soft_munmap(struct shell_task *task, uint64_t address, uint64_t length)
{
	soft_background(task->machine);
	return soft_result(quire_munmap(task->mm, address, length));
}

static struct shell_result soft_mprotect(struct shell_task *task, uint64_t address, uint64_t length,
					 uint64_t prot)
{
	soft_background(task->machine);
	return soft_result(quire_mprotect(task->mm, address, length, (int)prot));
}

static struct shell_result soft_madvise(struct shell_task *task, uint64_t address, uint64_t length,
					uint64_t advice)
{
	soft_background(task->machine);
	return soft_result(quire_madvise(task->mm, address, length, (int)advice));
}

static struct shell_result soft_mseal(struct shell_task *task, uint64_t address, uint64_t length)
{
	soft_background(task->machine);
	return soft_result(quire_mseal(task->mm, address, length, 0));
}

static struct shell_result soft_remap_file_pages(struct shell_task *task, uint64_t address,
						 uint64_t length, uint64_t offset)
{
	soft_background(task->machine);
	return soft_result(
		quire_remap_file_pages(task->mm, address, length, 0, offset / PAGE_SIZE, 0));
}

static struct shell_result soft_mdwe(struct shell_task *task, uint64_t bits)
{
	soft_background(task->machine);
	return soft_result(quire_set_mdwe(task->mm, bits));
}

static struct shell_result soft_msync(struct shell_task *task, uint64_t address, uint64_t length,
				      uint64_t flags)
{
	soft_background(task->machine);
	return soft_result(quire_msync(task->mm, address, length, (int)flags));
}

static struct shell_result soft_mlock(struct shell_task *task, uint64_t address, uint64_t length)
{
	soft_background(task->machine);
	return soft_result(quire_mlock(task->mm, address, length));
}

static struct shell_result soft_munlock(struct shell_task *task, uint64_t address, uint64_t length)
{
	soft_background(task->machine);
	return soft_result(quire_munlock(task->mm, address, length));
}

static struct shell_result soft_mincore(struct shell_task *task, uint64_t address, uint64_t length,
					unsigned char *vector)
{
	soft_background(task->machine);
	return soft_result(quire_mincore(task->mm, address, length, vector));
}

/* Addresses with the upper bits unlike bit 47 never reach a page table: another exception. */
static bool is_canonical(uint64_t address)
{
	return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

static struct shell_result signal_result(const struct soft_outcome *outcome)
{
	switch (outcome->signal) {
	case QUIRE_SEGV_ACCERR:
		return (struct shell_result){.signal = SIGSEGV, .code = SEGV_ACCERR};
	case QUIRE_BUS_ADRERR:
		return (struct shell_result){.signal = SIGBUS, .code = BUS_ADRERR};
	case QUIRE_KILL_OOM:
		return (struct shell_result){.signal = SIGKILL, .code = SI_KERNEL};
	default:
		return (struct shell_result){
			.signal = SIGSEGV,
			.code = is_canonical(outcome->address) ? SEGV_MAPERR : SI_KERNEL,
		};
	}
}

/* Carries out the verdicts that fell on other tasks. False: there was none. */
static bool kill_victims(struct shell_task *task)
{
	struct shell_task *other;
	bool killed = false;

	list_for_each_entry (other, &task->machine->tasks, link) {
		if (other == task || !soft_alive(other) ||
		    !atomic_load_explicit(&other->mm->oom_killed, memory_order_relaxed))
			continue;
		release_task(other);
		killed = true;
	}
	return killed;
}

/* What the CPU is to do for a task. */
struct cpu_access {
	enum {
		CPU_LOAD,
		CPU_STORE,
		CPU_FILL
	} kind;
	uint64_t address;
	uint64_t length;
	void *in;
	const void *out;
	unsigned char byte;
};

static int run_once(struct shell_task *task, const struct cpu_access *access,
		    struct soft_outcome *outcome)
{
	struct soft_cpu *cpu = task->machine->cpu;

	run_on_cpu(task);
	switch (access->kind) {
	case CPU_LOAD:
		return soft_load(cpu, access->address, access->in, access->length, outcome);
	case CPU_STORE:
		return soft_store(cpu, access->address, access->out, access->length, outcome);
	default:
		return soft_fill(cpu, access->address, access->length, access->byte, outcome);
	}
}

/* When memory is short and somebody else has to go, the access is made again once they have. */
static struct shell_result run_access(struct shell_task *task, const struct cpu_access *access)
{
	struct soft_outcome outcome;
	struct shell_result result;
	int error;

	do
		error = run_once(task, access, &outcome);
	while (error == -ENOMEM && kill_victims(task));
	if (!error)
		return (struct shell_result){0};
	if (error != -EFAULT)
		return (struct shell_result){.error = -error};
	result = signal_result(&outcome);
	if (outcome.signal == QUIRE_KILL_OOM)
		release_task(task);
	return result;
}

static struct shell_result soft_task_load(struct shell_task *task, uint64_t address, void *buffer,
					  size_t length)
{
	return run_access(task, &(struct cpu_access){.kind = CPU_LOAD,
						     .address = address,
						     .length = length,
						     .in = buffer});
}

static struct shell_result soft_task_store(struct shell_task *task, uint64_t address,
					   const void *buffer, size_t length)
{
	return run_access(task, &(struct cpu_access){.kind = CPU_STORE,
						     .address = address,
						     .length = length,
						     .out = buffer});
}

static struct shell_result soft_task_fill(struct shell_task *task, uint64_t address,
					  unsigned char byte, uint64_t length)
{
	return run_access(task, &(struct cpu_access){.kind = CPU_FILL,
						     .address = address,
						     .length = length,
						     .byte = byte});
}

static struct shell_result soft_limit(struct shell_task *task, int resource, uint64_t limit)
{
	static const enum quire_limit limits[] = {
		[RLIMIT_AS] = QUIRE_LIMIT_AS,
		[RLIMIT_DATA] = QUIRE_LIMIT_DATA,
		[RLIMIT_STACK] = QUIRE_LIMIT_STACK,
		[RLIMIT_MEMLOCK] = QUIRE_LIMIT_MEMLOCK,
	};

	return soft_result(quire_setlimit(task->mm, limits[resource], limit));
}

const struct shell_machine_ops shell_soft_machine = {
	.name = "soft",
	.inspect = &soft_inspect,
	.start = soft_start,
	.stop = soft_stop,
	.fork = soft_fork,
	.exec = soft_exec,
	.exit = soft_exit,
	.alive = soft_alive,
	.heap_start = soft_heap_start,
	.brk = soft_brk,
	.mmap = soft_mmap,
	.mremap = soft_mremap,
	.munmap = soft_munmap,
	.mprotect = soft_mprotect,
	.madvise = soft_madvise,
	.msync = soft_msync,
	.mseal = soft_mseal,
	.remap_file_pages = soft_remap_file_pages,
	.mdwe = soft_mdwe,
	.mlock = soft_mlock,
	.munlock = soft_munlock,
	.mincore = soft_mincore,
	.open = soft_open,
	.memfd = soft_memfd,
	.close = soft_close,
	.unlink = soft_unlink,
	.pread = soft_pread,
	.pwrite = soft_pwrite,
	.read = soft_read,
	.write = soft_write,
	.size = soft_size,
	.ftruncate = soft_ftruncate,
	.punch = soft_punch,
	.fsync = soft_fsync,
	.load = soft_task_load,
	.store = soft_task_store,
	.fill = soft_task_fill,
	.limit = soft_limit,
	.maps = soft_maps,
};
