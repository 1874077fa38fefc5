/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A writer's backend on io_uring: a ring that can do nothing but write and sync. The queue is no
 * registered buffer: its pages would be copied one by one, which takes a sixth longer.
 *
 * The restrictions matter because seccomp does not see what a ring does. They and the enabling go
 * through io_uring_register(), which liburing 2.3 exports; its wrappers for them it does not.
 * Sources: io_uring_setup(2), io_uring_enter(2), io_uring_register(2).
 */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "sink/writer-internal.h"

#define ENTRIES 4u /* one write, one sync, and room */

enum { TAG_WRITE = 1, TAG_SYNC = 2, TAG_NOW = 3 };

struct uring {
	struct io_uring ring;
};

/*
 * From the fullest set to none: SUBMIT_ALL since Linux 5.18, COOP_TASKRUN 5.19, SINGLE_ISSUER 6.0.
 * The last row is for kernels before 5.10, without R_DISABLED and restrictions.
 */
static const unsigned FLAGS[] = {
	IORING_SETUP_R_DISABLED | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN |
		IORING_SETUP_SINGLE_ISSUER,
	IORING_SETUP_R_DISABLED,
	0,
};

static int setup(struct io_uring *ring, unsigned *ret_flags)
{
	int r = -EINVAL;

	for (size_t i = 0; i < sizeof(FLAGS) / sizeof(*FLAGS) && r == -EINVAL; i++) {
		struct io_uring_params p = {.flags = FLAGS[i]};

		r = io_uring_queue_init_params(ENTRIES, ring, &p);
		*ret_flags = FLAGS[i];
		/* Came with IORING_OP_WRITE, in Linux 5.6. */
		if (r == 0 && !(p.features & IORING_FEAT_RW_CUR_POS)) {
			io_uring_queue_exit(ring);
			return -EOPNOTSUPP;
		}
	}
	return r;
}

static int restrict_and_enable(struct io_uring *ring)
{
	struct io_uring_restriction only[] = {
		{.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITE},
		{.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FSYNC},
	};
	int r;

	r = io_uring_register((unsigned)ring->ring_fd, IORING_REGISTER_RESTRICTIONS, only,
		sizeof(only) / sizeof(*only));
	if (r < 0)
		return r;
	return io_uring_register((unsigned)ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

/* Errors of io_uring_enter(2) that pass; any other means that this ring will never work. */
static bool is_transient(int r)
{
	return r >= 0 || r == -EAGAIN || r == -EBUSY || r == -EINTR || r == -ENOMEM || r == -EBADR;
}

static void uring_deinit(struct writer *w)
{
	struct uring *u = w->state;

	io_uring_queue_exit(&u->ring);
	free(u);
	w->state = NULL;
}

/* Hands prepared entries to the kernel; those it does not take are offered again later. */
static void submit(struct writer *w)
{
	struct uring *u = w->state;
	int r = io_uring_submit(&u->ring);

	w->kicked = io_uring_sq_ready(&u->ring) > 0;
	if (!w->kicked)
		return;
	if (is_transient(r)) {
		writer_back_off(w, r < 0 ? r : -EAGAIN);
		return;
	}
	/* Nothing of it has reached the kernel: go on with plain writes, from the same place. */
	uring_deinit(w);
	w->backend = &writer_backend_plain;
	w->durable = true; /* fsync() is not among the calls of a sink with io_uring */
	w->kicked = w->writing = false;
	if (w->syncing)
		w->sync_wanted = true;
	w->syncing = false;
	writer_back_off(w, r);
}

static void push(struct writer *w, struct io_uring_sqe *sqe, uint64_t tag)
{
	sqe->user_data = tag;
	submit(w);
}

static ssize_t uring_write(struct writer *w, const char *data, size_t len, uint64_t offset)
{
	struct uring *u = w->state;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	if (!sqe)
		return -EAGAIN;
	io_uring_prep_write(sqe, w->fd, data, (unsigned)len, offset);
	push(w, sqe, TAG_WRITE);
	return -EINPROGRESS;
}

static int uring_sync(struct writer *w)
{
	struct uring *u = w->state;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	if (!sqe)
		return -EAGAIN;
	io_uring_prep_fsync(sqe, w->fd, IORING_FSYNC_DATASYNC);
	push(w, sqe, TAG_SYNC);
	return -EINPROGRESS;
}

static void uring_reap(struct writer *w)
{
	struct uring *u = w->state;
	struct io_uring_cqe *cqe;

	if (w->kicked && w->now_ns >= w->retry_ns) {
		submit(w);
		if (!w->state)
			return; /* it went over to plain writes */
	}
	while (io_uring_peek_cqe(&u->ring, &cqe) == 0) {
		uint64_t tag = cqe->user_data;
		int res = cqe->res;

		io_uring_cqe_seen(&u->ring, cqe);
		if (tag == TAG_WRITE)
			writer_write_done(w, res);
		else if (tag == TAG_SYNC)
			writer_sync_done(w, res);
	}
}

/* Nothing is under way: the next completion is this one's. */
static int uring_sync_now(struct writer *w, int fd)
{
	struct uring *u = w->state;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
	struct io_uring_cqe *cqe;
	int r;

	if (!sqe)
		return -EAGAIN;
	io_uring_prep_fsync(sqe, fd, 0);
	sqe->user_data = TAG_NOW;
	r = io_uring_submit_and_wait(&u->ring, 1);
	if (r < 0) {
		w->kicked = true; /* it is offered again, and its end is not waited for */
		return r;
	}
	if (io_uring_peek_cqe(&u->ring, &cqe) < 0)
		return -EAGAIN;
	r = cqe->res;
	io_uring_cqe_seen(&u->ring, cqe);
	return r;
}

static const struct writer_backend backend_uring = {
	.write = uring_write,
	.sync = uring_sync,
	.reap = uring_reap,
	.sync_now = uring_sync_now,
	.deinit = uring_deinit,
};

int writer_new_uring(int fd, uint64_t offset, size_t size, struct writer **ret)
{
	struct uring *u = calloc(1, sizeof(*u));
	struct writer *w = NULL;
	unsigned flags;
	int r;

	if (!u)
		return -ENOMEM;
	r = setup(&u->ring, &flags);
	if (r < 0) {
		free(u);
		return r;
	}
	r = writer_alloc(fd, WRITER_FILE, offset, size, &w);
	if (r < 0) {
		io_uring_queue_exit(&u->ring);
		free(u);
		return r;
	}
	w->state = u;
	w->backend = &backend_uring;
	r = flags & IORING_SETUP_R_DISABLED ? restrict_and_enable(&u->ring) : 0;
	if (r < 0) {
		writer_free(w);
		return r;
	}
	*ret = w;
	return 0;
}

/* Here because only this backend's descriptor is not the target's. */
int writer_poll_fd(const struct writer *w, short *ret_events)
{
	const struct uring *u = w->state;

	if (u) {
		*ret_events = POLLIN;
		return w->writing || w->syncing ? u->ring.ring_fd : -1;
	}
	*ret_events = POLLOUT;
	if (w->broken || w->target == WRITER_FILE || w->written >= w->flush_to || w->retry_ns)
		return -1;
	return w->fd;
}
