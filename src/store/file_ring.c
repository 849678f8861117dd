/* SPDX-License-Identifier: MIT */
/*
 * The one io_uring that the file stores of a process share, and the thread that collects its
 * completions.
 *
 * Any thread submits, under ring->lock; only the service thread touches the completion queue. No
 * more than RING_ENTRIES transfers are in the ring at a time, so the submission queue always has
 * room and the completion queue never overflows; further ones wait in a queue, first in first out,
 * from which the service thread starts one whenever one completes.
 *
 * A transfer that the ring gives back unfinished for a reason of its own is finished by the service
 * thread with plain system calls. One reason is the exit of the thread that submitted it: the
 * kernel gives up what it would have gone on with in that thread, with ECANCELED or, a read whose
 * page had just arrived, with EFAULT.
 */
#include "base/alloc.h"
#include "base/check.h"
#include "base/lock.h"
#include "store/file_transfer.h"

#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#define RING_ENTRIES 256

/* Fields: L = lock, S = service thread only, I = set before the ring is shared, E = shared_lock. */
struct file_ring {
	struct mutex lock;
	struct io_uring uring; /* submission queue: L, completion queue: S */
	uint32_t in_ring;      /* L: transfers handed to the kernel */
	bool stopping;         /* L */
	/* L: requests that wait for room, linked through store[2]. */
	struct quire_request *first_waiting;
	struct quire_request *last_waiting;
	pthread_t service; /* I */
	uint32_t users;    /* E */
};

static struct mutex shared_lock = {.rank = LOCK_LEAF};
static struct file_ring *shared_ring; /* under shared_lock */

static void queue_waiting(struct file_ring *ring, struct quire_request *request)
{
	request->store[2] = 0;
	if (ring->first_waiting)
		ring->last_waiting->store[2] = (uint64_t)(uintptr_t)request;
	else
		ring->first_waiting = request;
	ring->last_waiting = request;
}

/* A request that waited, when there is room for it in the ring. */
static struct quire_request *take_waiting(struct file_ring *ring)
{
	struct quire_request *request = NULL;

	mutex_lock(&ring->lock);
	if (ring->in_ring < RING_ENTRIES && ring->first_waiting) {
		request = ring->first_waiting;
		ring->first_waiting = (struct quire_request *)(uintptr_t)request->store[2];
	}
	mutex_unlock(&ring->lock);
	return request;
}

/*
 * Hands what was prepared in the submission queue to the kernel; under ring->lock. When the kernel
 * takes nothing, `sqe`, the last one prepared, becomes a no-operation that goes along with the next
 * submission, and false is returned.
 */
static bool submit_prepared(struct file_ring *ring, struct io_uring_sqe *sqe)
{
	while (io_uring_sq_ready(&ring->uring)) {
		int submitted = io_uring_submit(&ring->uring);

		if (submitted > 0 || submitted == -EINTR)
			continue;
		io_uring_prep_nop(sqe);
		io_uring_sqe_set_data(sqe, NULL);
		return false;
	}
	return true;
}

/* Gives the transfer's next piece to the kernel; under ring->lock. False when there is no room or
 * it takes none. */
static bool enter_ring(struct file_ring *ring, struct quire_request *request)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
	struct file_piece piece;

	if (!sqe)
		return false;
	/* The kernel copies the vector while it takes the entry (IORING_FEAT_SUBMIT_STABLE), so
	 * `piece` may go. */
	file_transfer_next(request, &piece);
	if (request->direction == QUIRE_READ)
		io_uring_prep_readv(sqe, file_store_of(request)->fd, piece.vector,
				    (unsigned int)piece.count, piece.offset);
	else
		io_uring_prep_writev(sqe, file_store_of(request)->fd, piece.vector,
				     (unsigned int)piece.count, piece.offset);
	io_uring_sqe_set_data(sqe, request);
	return submit_prepared(ring, sqe);
}

void file_ring_start(struct file_ring *ring, struct quire_request *request)
{
	bool refused = false;

	mutex_lock(&ring->lock);
	if (ring->in_ring == RING_ENTRIES) {
		queue_waiting(ring, request);
	} else {
		refused = !enter_ring(ring, request);
		ring->in_ring += !refused;
	}
	mutex_unlock(&ring->lock);
	if (refused)
		file_transfer_end(request, file_transfer_plain(request));
}

/* Whether the error may be the ring's own. A real one comes back from the plain system call. */
static bool ring_gave_up(int returned)
{
	return returned == -EINTR || returned == -EAGAIN || returned == -ECANCELED ||
	       returned == -EFAULT;
}

/* One completion: those that waited for room enter, and the transfer ends or goes on. */
static void complete(struct file_ring *ring, struct quire_request *request, int returned)
{
	struct quire_request *waiting;
	int64_t result;
	bool over;

	mutex_lock(&ring->lock);
	ring->in_ring--;
	mutex_unlock(&ring->lock);
	while ((waiting = take_waiting(ring)))
		file_ring_start(ring, waiting);

	if (ring_gave_up(returned)) {
		result = file_transfer_plain(request);
		over = true;
	} else {
		over = file_transfer_advance(request, returned, &result);
	}
	if (over)
		file_transfer_end(request, result);
	else
		file_ring_start(ring, request);
}

static bool must_stop(struct file_ring *ring)
{
	mutex_lock(&ring->lock);

	bool stop = ring->stopping;

	mutex_unlock(&ring->lock);
	return stop;
}

static void *serve(void *argument)
{
	struct file_ring *ring = argument;

	for (;;) {
		struct io_uring_cqe *cqe;

		if (io_uring_wait_cqe(&ring->uring, &cqe))
			continue;

		struct quire_request *request = io_uring_cqe_get_data(cqe);
		int returned = cqe->res;

		io_uring_cqe_seen(&ring->uring, cqe);
		if (request)
			complete(ring, request, returned);
		else if (must_stop(ring))
			return NULL;
	}
}

static int start_service(struct file_ring *ring)
{
	sigset_t all, before;

	/* The application's signals are not for a thread that it does not know of. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);

	int error = pthread_create(&ring->service, NULL, serve, ring);

	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -error;
}

/* The ring's descriptor goes where those of the stores are: an owner who keeps low numbers free of
 * his own descriptors finds none of them there. */
static int move_descriptor(struct io_uring *uring, int least)
{
	int fd = fcntl(uring->ring_fd, F_DUPFD_CLOEXEC, least);

	if (fd < 0)
		return -errno;
	close(uring->ring_fd);
	uring->ring_fd = uring->enter_ring_fd = fd;
	return 0;
}

static int ring_create(struct file_ring **result, int least)
{
	const unsigned int needed = IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_NODROP;
	struct file_ring *ring = quire_zalloc(sizeof(*ring));

	if (!ring)
		return -ENOMEM;
	mutex_init(&ring->lock, LOCK_LEAF);

	int error = io_uring_queue_init(RING_ENTRIES, &ring->uring, 0);

	if (error)
		goto free_ring;
	error = (ring->uring.features & needed) == needed ? move_descriptor(&ring->uring, least)
							  : -ENOSYS;
	if (!error)
		error = start_service(ring);
	if (error)
		goto exit_queue;
	*result = ring;
	return 0;

exit_queue:
	io_uring_queue_exit(&ring->uring);
free_ring:
	quire_free(ring);
	/* -ENOMEM is kept for our own memory; here the host refuses to lock some. */
	return error == -ENOMEM ? -EPERM : error;
}

int file_ring_get(struct file_ring **ring, int fd)
{
	int error = 0;

	mutex_lock(&shared_lock);
	if (!shared_ring)
		error = ring_create(&shared_ring, fd);
	if (!error) {
		shared_ring->users++;
		*ring = shared_ring;
	}
	mutex_unlock(&shared_lock);
	return error;
}

/* Nothing is under way any more: every store waited for its transfers. */
static void ring_destroy(struct file_ring *ring)
{
	struct io_uring_sqe *sqe;

	mutex_lock(&ring->lock);
	QUIRE_ASSERT(1, !ring->in_ring && !ring->first_waiting);
	ring->stopping = true;
	do {
		sqe = io_uring_get_sqe(&ring->uring);
		if (sqe) {
			io_uring_prep_nop(sqe);
			io_uring_sqe_set_data(sqe, NULL);
		}
	} while (io_uring_submit(&ring->uring) <= 0);
	mutex_unlock(&ring->lock);
	pthread_join(ring->service, NULL);
	io_uring_queue_exit(&ring->uring);
	quire_free(ring);
}

void file_ring_put(struct file_ring *ring)
{
	mutex_lock(&shared_lock);

	bool last = !--ring->users;

	if (last)
		shared_ring = NULL;
	mutex_unlock(&shared_lock);
	if (last)
		ring_destroy(ring);
}
