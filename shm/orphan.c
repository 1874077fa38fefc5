/* SPDX-License-Identifier: Apache-2.0 */
/* What the next life of a ring's producer sees of the ring. */
#include "shm/orphan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "shm/cleanup.h"
#include "shm/ring-internal.h"
#include "shm/segment.h"

struct orphan {
	const struct ring_page_a *a;
	const struct ring_page_b *b;
	uint64_t size, epoch;
	int fds[RING_FDS];
};

static const void *map_page(int fd)
{
	void *m = mmap(NULL, RING_PAGE, PROT_READ, MAP_SHARED, fd, 0);

	return m == MAP_FAILED ? NULL : m;
}

static void unmap_page(const void *page)
{
	if (page)
		munmap((void *)(uintptr_t)page, RING_PAGE);
}

DEFINE_CLEANUP(orphan, struct orphan, orphan_free)

int orphan_new(const int fds[RING_FDS], struct orphan **ret)
{
	_cleanup_(cleanup_orphan) struct orphan *o = NULL;
	size_t a_len, b_len;
	int r;

	r = segment_check(fds[RING_FD_DATA], SEGMENT_SEALS_DATA, O_RDONLY, &a_len);
	if (r == 0)
		r = segment_check(fds[RING_FD_CONTROL], SEGMENT_SEALS_CONTROL, O_RDWR, &b_len);
	if (r < 0)
		return r;
	if (a_len <= RING_PAGE || b_len != RING_PAGE)
		return -EPROTO;
	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	for (int i = 0; i < RING_FDS; i++)
		o->fds[i] = -1;
	o->a = map_page(fds[RING_FD_DATA]);
	o->b = o->a ? map_page(fds[RING_FD_CONTROL]) : NULL;
	if (!o->b)
		return -errno;
	o->size = o->a->data_size;
	o->epoch = o->a->epoch;
	if (o->a->magic != RING_MAGIC || o->a->version != RING_VERSION ||
		o->size != a_len - RING_PAGE)
		return -EPROTO;
	memcpy(o->fds, fds, sizeof(o->fds));
	*ret = take_ptr(o);
	return 0;
}

void orphan_free(struct orphan *o)
{
	if (!o)
		return;
	unmap_page(o->a);
	unmap_page(o->b);
	for (int i = 0; i < RING_FDS; i++)
		cleanup_close(&o->fds[i]);
	free(o);
}

uint64_t orphan_waiting(const struct orphan *o)
{
	/* The producer is dead and what it published is old; the tail is only compared. */
	uint64_t waiting = orphan_head(o) - orphan_tail(o);

	return waiting > o->size ? 0 : waiting;
}

uint64_t orphan_tail(const struct orphan *o)
{
	return __atomic_load_n(&o->b->tail, __ATOMIC_RELAXED);
}

uint64_t orphan_head(const struct orphan *o)
{
	return __atomic_load_n(&o->a->head, __ATOMIC_RELAXED);
}

uint64_t orphan_epoch(const struct orphan *o)
{
	return o->epoch;
}

uint64_t orphan_size(const struct orphan *o)
{
	return o->size;
}

const int *orphan_fds(const struct orphan *o)
{
	return o->fds;
}
