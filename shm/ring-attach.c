/* SPDX-License-Identifier: Apache-2.0 */
/* Makes rings and attaches to rings received from a peer: everything about them that is not the
 * algorithm. */
#include "shm/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shm/cleanup.h"
#include "shm/doorbell.h"
#include "shm/ring-internal.h"
#include "shm/segment.h"

#define POPULATE_MAX (UINT64_C(16) << 20)

DEFINE_CLEANUP(producer, struct ring_producer, ring_producer_free)
DEFINE_CLEANUP(consumer, struct ring_consumer, ring_consumer_free)

static bool size_possible(uint64_t data_size)
{
	return data_size >= RING_DATA_MIN && data_size <= RING_DATA_MAX &&
	       (data_size & (data_size - 1)) == 0;
}

void ring_page_init(struct ring_page_a *a, uint64_t data_size, uint64_t epoch)
{
	a->magic = RING_MAGIC;
	a->version = RING_VERSION;
	a->page = RING_PAGE;
	a->align = RING_ALIGN;
	a->body_max = RING_BODY_MAX;
	a->data_size = data_size;
	a->epoch = epoch;
}

/* An end with nothing in it yet: safe to free. */
static struct ring_producer *producer_alloc(size_t data_size, enum ring_loss_stage stage)
{
	struct ring_producer *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->size = data_size;
	p->stage = stage;
	p->ring_fd = -1;
	for (int i = 0; i < RING_FDS; i++)
		p->fds[i] = -1;
	return p;
}

/*
 * A ring goes through all of its pages anyway, again and again: they are there from the start on,
 * unless somebody wants a very large one. What the kernel cannot populate is faulted in as ever.
 */
static int map(int fd, size_t len, int prot, void **ret)
{
	const int populate = len <= POPULATE_MAX ? MAP_POPULATE : 0;
	void *m = mmap(NULL, len, prot, MAP_SHARED | populate, fd, 0);

	if (m == MAP_FAILED)
		return -errno;
	*ret = m;
	return 0;
}

/* Segment A: mapped writable by us first, then sealed against every later writer, then reopened. */
static int producer_make_a(struct ring_producer *p, uint64_t epoch)
{
	_cleanup_close_ int fd = -1;
	void *m = NULL;
	int r;

	r = segment_new("flowner-ring-data", RING_PAGE + p->size, &fd);
	if (r < 0)
		return r;
	r = map(fd, RING_PAGE + p->size, PROT_READ | PROT_WRITE, &m);
	if (r < 0)
		return r;
	p->a = m;
	p->data = (uint8_t *)m + RING_PAGE;
	ring_page_init(p->a, p->size, epoch);
	r = segment_seal(fd, SEGMENT_SEALS_DATA);
	if (r < 0)
		return r;
	return segment_reopen_readonly(fd, &p->fds[RING_FD_DATA]);
}

static int producer_make_b(struct ring_producer *p)
{
	void *m = NULL;
	int r;

	r = segment_new("flowner-ring-control", RING_PAGE, &p->fds[RING_FD_CONTROL]);
	if (r < 0)
		return r;
	r = segment_seal(p->fds[RING_FD_CONTROL], SEGMENT_SEALS_CONTROL);
	if (r < 0)
		return r;
	r = map(p->fds[RING_FD_CONTROL], RING_PAGE, PROT_READ, &m);
	if (r < 0)
		return r;
	p->b = m;
	p->b_map_len = RING_PAGE;
	return 0;
}

int ring_producer_new(size_t data_size, uint64_t epoch, enum ring_loss_stage loss_stage,
	struct ring_producer **ret)
{
	_cleanup_(cleanup_producer) struct ring_producer *p = NULL;
	int r;

	if (!size_possible(data_size))
		return -EINVAL;
	p = producer_alloc(data_size, loss_stage);
	if (!p)
		return -ENOMEM;
	r = producer_make_a(p, epoch);
	if (r < 0)
		return r;
	r = producer_make_b(p);
	if (r < 0)
		return r;
	r = doorbell_new(&p->ring_fd, &p->fds[RING_FD_WAKE]);
	if (r < 0)
		return r;
	*ret = take_ptr(p);
	return 0;
}

void ring_producer_free(struct ring_producer *p)
{
	if (!p)
		return;
	if (p->a)
		munmap(p->a, RING_PAGE + p->size + (p->b && !p->b_map_len ? RING_PAGE : 0));
	if (p->b && p->b_map_len)
		munmap((void *)p->b, p->b_map_len);
	for (int i = 0; i < RING_FDS; i++)
		cleanup_close(&p->fds[i]);
	cleanup_close(&p->ring_fd);
	free(p);
}

int ring_consumer_on_memory(
	const void *a_map, size_t a_len, void *b, int wake_fd, struct ring_consumer **ret)
{
	_cleanup_(cleanup_consumer) struct ring_consumer *c = NULL;
	const struct ring_page_a *a = a_map;
	uint64_t size = a_len - RING_PAGE, head;

	if (a_len <= RING_PAGE || !size_possible(size))
		return -EPROTO;
	if (a->magic != RING_MAGIC || a->version != RING_VERSION || a->page != RING_PAGE ||
		a->align != RING_ALIGN || a->body_max != RING_BODY_MAX || a->data_size != size)
		return -EPROTO;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->a = a;
	c->data = (const uint8_t *)a_map + RING_PAGE;
	c->b = b;
	c->size = size;
	c->epoch = a->epoch;
	c->before = a->before;
	c->before_records = a->before_records;
	for (int i = 0; i < RING_FDS; i++)
		c->fds[i] = -1;
	c->fds[RING_FD_WAKE] = wake_fd;
	/* Both from a peer: the producer could have kept a way to write B, too. */
	c->tail = __atomic_load_n(&c->b->tail, __ATOMIC_RELAXED); /* our predecessor's C */
	head = __atomic_load_n(&c->a->head, __ATOMIC_ACQUIRE);    /* B, partner A */
	if (c->tail % RING_ALIGN || head % RING_ALIGN || head - c->tail > size)
		return -EPROTO;
	c->cursor = c->tail;
	c->head = head;
	ring_awake(c); /* the predecessor's request and what came of it */
	*ret = take_ptr(c);
	return 0;
}

int ring_consumer_new(const int fds[RING_FDS], struct ring_consumer **ret)
{
	size_t a_len, b_len;
	void *a = NULL, *b = NULL;
	int r;

	r = segment_check(fds[RING_FD_DATA], SEGMENT_SEALS_DATA, O_RDONLY, &a_len);
	if (r < 0)
		return r;
	r = segment_check(fds[RING_FD_CONTROL], SEGMENT_SEALS_CONTROL, O_RDWR, &b_len);
	if (r < 0)
		return r;
	r = doorbell_check(fds[RING_FD_WAKE]);
	if (r < 0)
		return r;
	if (b_len != RING_PAGE || a_len <= RING_PAGE || !size_possible(a_len - RING_PAGE))
		return -EPROTO;
	r = map(fds[RING_FD_DATA], a_len, PROT_READ, &a);
	if (r < 0)
		return r;
	r = map(fds[RING_FD_CONTROL], b_len, PROT_READ | PROT_WRITE, &b);
	if (r < 0) {
		munmap(a, a_len);
		return r;
	}
	r = ring_consumer_on_memory(a, a_len, b, fds[RING_FD_WAKE], ret);
	if (r < 0) {
		munmap(a, a_len);
		munmap(b, b_len);
		return r;
	}
	(*ret)->mapped = true;
	memcpy((*ret)->fds, fds, sizeof((*ret)->fds));
	return 0;
}

void ring_consumer_free(struct ring_consumer *c)
{
	if (!c)
		return;
	if (c->mapped) {
		munmap((void *)c->a, RING_PAGE + c->size);
		munmap(c->b, RING_PAGE);
		for (int i = 0; i < RING_FDS; i++)
			cleanup_close(&c->fds[i]);
	}
	free(c);
}

int ring_pair_on_memory(size_t data_size, uint64_t epoch, enum ring_loss_stage loss_stage,
	struct ring_producer **ret_p, struct ring_consumer **ret_c)
{
	_cleanup_(cleanup_producer) struct ring_producer *p = NULL;
	size_t a_len = RING_PAGE + data_size;
	void *m = NULL;
	int r;

	if (!size_possible(data_size))
		return -EINVAL;
	p = producer_alloc(data_size, loss_stage);
	if (!p)
		return -ENOMEM;
	m = mmap(
		NULL, a_len + RING_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED)
		return -errno;
	p->a = m;
	p->data = (uint8_t *)m + RING_PAGE;
	p->b = (const struct ring_page_b *)((uint8_t *)m + a_len);
	ring_page_init(p->a, data_size, epoch);
	r = doorbell_new(&p->ring_fd, &p->fds[RING_FD_WAKE]);
	if (r < 0)
		return r;
	r = ring_consumer_on_memory(m, a_len, (uint8_t *)m + a_len, p->fds[RING_FD_WAKE], ret_c);
	if (r < 0)
		return r;
	*ret_p = take_ptr(p);
	return 0;
}
