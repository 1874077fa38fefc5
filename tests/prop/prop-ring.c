/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random operations on a real ring and on a model of it: a list of frames, the bytes they take, and
 * the losses still to be told. After every operation both must say the same.
 *
 * usage: prop-ring [OPERATIONS [SEED]]
 */
#include <errno.h>
#include <unistd.h>

#include "shm/ring-internal.h"
#include "shm/ring.h"
#include "tap.h"

#define QUEUE_MAX 8192 /* frames of 16 bytes a smallest ring can hold, and a few */

struct frame {
	enum ring_frame_type type;
	uint16_t flags;
	uint32_t len;
	uint64_t t_ns;
	struct ring_loss loss;
};

/* A queue of frames: [0, read) read but not released, [read, published), [.., count) put. */
static struct {
	struct frame frame[QUEUE_MAX];
	size_t count, published, read;
	uint64_t used; /* bytes of all of them */
	struct frame pending[RING_STAGES];
	uint64_t wake; /* bytes behind the cursor that wake; 0 = never */
} model;

static struct ring_producer *p;
static struct ring_consumer *c;
static uint64_t state, failed, clock_ns = 1;
static const char *operation;
static uint64_t counted[16];
static unsigned kinds;

static uint64_t random_below(uint64_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 8) % n;
}

static void expect(bool right, const char *what)
{
	if (!right && failed++ < 10)
		printf("# %s: %s\n", operation, what);
}

static void model_push(const struct frame *f)
{
	model.frame[model.count++] = *f;
	model.used += ring_frame_size(f->len);
}

static uint64_t model_pending_size(void)
{
	uint64_t size = 0;

	for (unsigned s = 0; s < RING_STAGES; s++)
		size += model.pending[s].loss.count ? ring_frame_size(sizeof(struct ring_loss)) : 0;
	return size;
}

static void model_flush(void)
{
	for (unsigned s = 0; s < RING_STAGES; s++) {
		if (model.pending[s].loss.count)
			model_push(&model.pending[s]);
		model.pending[s] = (struct frame){0};
	}
}

static void model_lose(const struct ring_loss *l, uint64_t t_ns)
{
	struct frame *f = &model.pending[l->stage];

	f->type = RING_FRAME_LOSS;
	f->len = sizeof(*l);
	f->t_ns = t_ns;
	if (!f->loss.count)
		f->loss.first_ns = l->first_ns;
	f->loss.stage = l->stage;
	f->loss.count += l->count;
	f->loss.packets += l->packets;
	f->loss.last_ns = l->last_ns;
}

static uint64_t model_behind_cursor(void)
{
	uint64_t bytes = 0;

	for (size_t i = model.read; i < model.published; i++)
		bytes += ring_frame_size(model.frame[i].len);
	return bytes;
}

static void model_release(size_t frames)
{
	for (size_t i = 0; i < frames; i++)
		model.used -= ring_frame_size(model.frame[i].len);
	memmove(model.frame, model.frame + frames, (model.count - frames) * sizeof(model.frame[0]));
	model.count -= frames;
	model.published -= frames;
	model.read -= frames;
}

static uint8_t body_byte(uint64_t t_ns, uint32_t at)
{
	return (uint8_t)(t_ns * 31 + at);
}

static uint32_t random_len(void)
{
	switch (random_below(8)) {
	case 0:
		return (uint32_t)random_below(RING_BODY_MAX + 1);
	case 1:
		return RING_BODY_MAX - (uint32_t)random_below(9);
	default:
		return (uint32_t)random_below(400);
	}
}

static void do_put(void)
{
	static uint8_t body[RING_BODY_MAX];
	struct frame f = {.type = random_below(2) ? RING_FRAME_PACKET : RING_FRAME_RECORD,
		.flags = (uint16_t)random_below(65536),
		.len = random_len(),
		.t_ns = clock_ns++};
	uint64_t packets = random_below(5), need = ring_frame_size(f.len) + model_pending_size();
	uint32_t cut;
	int r;

	if (random_below(16) == 0) {
		f.type = random_below(2) ? RING_FRAME_TIME : RING_FRAME_END;
		need -= ring_frame_size(f.len) - ring_frame_size(0);
		f.len = 0;
	}
	cut = (uint32_t)random_below(f.len + 1);
	for (uint32_t i = 0; i < f.len; i++)
		body[i] = body_byte(f.t_ns, i);
	r = ring_put(p, f.type, f.flags, f.t_ns, packets, body, cut, body + cut, f.len - cut);
	if (model.used + need <= RING_DATA_MIN) {
		expect(r == 0, "there is room");
		model_flush();
		model_push(&f);
		return;
	}
	expect(r == RING_E_FULL, "there is no room");
	if (f.type == RING_FRAME_PACKET || f.type == RING_FRAME_RECORD)
		model_lose(
			&(struct ring_loss){RING_LOSS_PACKET_RING, 0, 1, packets, f.t_ns, f.t_ns},
			f.t_ns);
}

static void do_put_loss(void)
{
	struct ring_loss l = {1 + (uint32_t)random_below(4), 0, 1 + random_below(9),
		random_below(9), clock_ns, clock_ns};

	clock_ns++;
	expect(ring_put_loss(p, &l, clock_ns) == 0, "a loss is always taken");
	model_lose(&l, clock_ns++);
	if (model.used + model_pending_size() <= RING_DATA_MIN)
		model_flush();
}

static void do_commit(void)
{
	uint64_t before = model_behind_cursor(), after;
	int r = ring_commit(p);

	if (model.used + model_pending_size() <= RING_DATA_MIN)
		model_flush();
	model.published = model.count;
	after = model_behind_cursor();
	expect(r == (model.wake && before < model.wake && model.wake <= after),
		"wakes exactly when the request is crossed");
}

static void do_get(void)
{
	static uint8_t body[RING_BODY_MAX];
	const struct frame *want = &model.frame[model.read];
	struct ring_frame f;
	int r = ring_get(c, body, &f);

	if (model.read == model.published) {
		expect(r == RING_E_EMPTY, "nothing is published");
		return;
	}
	expect(r == 0, "a frame is published");
	expect(f.type == want->type && f.flags == want->flags && f.len == want->len &&
			f.t_ns == want->t_ns,
		"header as put");
	if (want->type == RING_FRAME_LOSS)
		expect(!memcmp(body, &want->loss, sizeof(want->loss)), "loss as counted");
	for (uint32_t i = 0; i < want->len && want->type != RING_FRAME_LOSS; i++)
		expect(body[i] == body_byte(want->t_ns, i), "body as put");
	model.read++;
	model.wake = 0; /* a consumer that reads is awake */
	ring_awake(c);
}

static void do_release(void)
{
	size_t frames = random_below(4) ? model.read : random_below(model.read + 1);
	uint64_t pos = c->tail;

	for (size_t i = 0; i < frames; i++)
		pos += ring_frame_size(model.frame[i].len);
	if (frames == model.read)
		ring_release(c);
	else
		ring_release_to(c, pos);
	ring_release_to(c, c->cursor + 1 + random_below(1 << 20)); /* never read: no effect */
	model_release(frames);
}

static void do_sleep(void)
{
	uint64_t bytes = 1 + random_below(RING_DATA_MIN), limit, read = 0;
	bool asleep;

	for (size_t i = 0; i < model.read; i++)
		read += ring_frame_size(model.frame[i].len);
	limit = read < RING_DATA_MIN / 2 ? RING_DATA_MIN / 2 - read : 1;
	asleep = ring_sleep(c, bytes);
	bytes = bytes < limit ? bytes : limit;
	expect(asleep == (model_behind_cursor() < bytes), "sleeps if less is there");
	model.wake = asleep ? bytes : 0;
}

static struct ring_consumer *attach(void)
{
	struct ring_consumer *next = NULL;
	int fds[RING_FDS];

	ring_producer_fds(p, fds);
	for (int i = 0; i < RING_FDS; i++)
		fds[i] = dup(fds[i]);
	if (ring_consumer_new(fds, &next))
		tap_bail("a consumer cannot attach");
	return next;
}

static void do_restart(void)
{
	struct ring_consumer *next;
	uint8_t mark = (uint8_t)random_below(256), *kept = ring_consumer_checkpoint(c);

	memset(kept, mark, RING_CHECKPOINT);
	next = attach();
	ring_consumer_free(c);
	c = next;
	kept = ring_consumer_checkpoint(c);
	expect(kept[0] == mark && kept[RING_CHECKPOINT - 1] == mark, "the checkpoint is kept");
	model.read = 0; /* again from the tail */
	model.wake = 0;
}

static void check(void)
{
	uint64_t used = 0, pending = 0;

	for (unsigned s = 0; s < RING_STAGES; s++)
		pending += model.pending[s].loss.count;
	expect(ring_producer_used(p, &used) == 0 && used == model.used, "used bytes");
	expect(ring_producer_pending_loss(p) == pending, "losses not yet told");
	expect(ring_consumer_waiting(c) == model_behind_cursor(), "waiting bytes");
}

static const struct {
	const char *name;
	void (*run)(void);
	unsigned weight;
} operations[] = {
	{"put", do_put, 40},
	{"put_loss", do_put_loss, 2},
	{"commit", do_commit, 12},
	{"get", do_get, 34},
	{"release", do_release, 8},
	{"sleep", do_sleep, 4},
	{"restart", do_restart, 1},
};

static void run(uint64_t n)
{
	kinds = sizeof(operations) / sizeof(operations[0]);
	for (uint64_t i = 0; i < n && !failed; i++) {
		/* Phases in which one side is faster, so that it is both full and empty at times.
		 */
		bool slow_reader = i / 500 % 2;
		unsigned pick = (unsigned)random_below(101), o = 0;

		while (pick >= operations[o].weight)
			pick -= operations[o++].weight;
		if (slow_reader && operations[o].run == do_get && random_below(4))
			continue;
		operation = operations[o].name;
		operations[o].run();
		counted[o]++;
		check();
	}
}

int main(int argc, char **argv)
{
	uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 0) : 60000;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 20240229;

	for (uint64_t i = 0; i < 4 && !failed; i++) {
		state = seed + i * 7919;
		memset(&model, 0, sizeof(model));
		if (ring_producer_new(RING_DATA_MIN, 1, RING_LOSS_PACKET_RING, &p))
			tap_bail("no ring");
		c = attach();
		run(n / 4);
		printf("# seed %llu: %llu bytes went through\n",
			(unsigned long long)(seed + i * 7919), (unsigned long long)p->pos);
		tap_ok(p->pos > 4 * RING_DATA_MIN, "the ring went round several times");
		tap_is_int(failed, 0, "ring and model agree after every operation (seed %llu)",
			(unsigned long long)(seed + i * 7919));
		ring_consumer_free(c);
		ring_producer_free(p);
	}
	for (unsigned o = 0; o < kinds; o++)
		tap_ok(counted[o] > 0, "%s: %llu times", operations[o].name,
			(unsigned long long)counted[o]);
	return tap_done();
}
