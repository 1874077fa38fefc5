/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes what a consumer reads from its peer: the index page, the frames, and the records in them.
 *
 * Input: struct input_head, then bytes laid into the ring from the tail on (they wrap). The head is
 * given as a distance from the tail, so that most inputs get past the attach.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shm/record.h"
#include "shm/ring-internal.h"
#include "shm/ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input_head {
	uint64_t tail;
	uint64_t used;        /* head - tail */
	uint64_t later_used;  /* head - tail at the second look */
	uint32_t geometry[2]; /* XORed into the word of the index page with this number, if not 0 */
};

static struct ring_page_a *a;
static struct ring_page_b *b;
static uint8_t *body;
static struct record *record;

/* Reads a string the way a formatter does: the sanitizer checks every byte. */
static unsigned touch(struct record_str s)
{
	const char *bytes = record_get_str(record, s);
	unsigned sum = 0;

	for (unsigned i = 0; i < s.len; i++)
		sum += (unsigned char)bytes[i];
	return sum;
}

static unsigned touch_ancestors(struct record_str s)
{
	size_t pos = 0, len, n = 0;
	const char *name;
	unsigned sum = 0;
	uint32_t pid;

	while ((name = record_next_ancestor(record, s, &pos, &pid, &len))) {
		for (size_t i = 0; i < len; i++)
			sum += (unsigned char)name[i];
		n++;
	}
	if (pos != s.len || n > RECORD_ANCESTORS_MAX)
		abort();
	return sum;
}

static unsigned touch_process(const struct record_process *p)
{
	return touch(p->name) + touch(p->exe) + touch(p->args) + touch(p->cwd) + touch(p->cgroup) +
	       touch(p->parent_name) + touch(p->user) + touch(p->group) + touch(p->unit) +
	       touch(p->user_unit) + touch(p->container) + touch(p->pod) +
	       touch_ancestors(p->ancestors) + (unsigned)*record_method_name(p->method) +
	       (unsigned)*record_runtime_name(p->runtime) +
	       (unsigned)*record_confidence_name(p->confidence) +
	       (unsigned)*record_unknown_name(p->unknown);
}

static void use_record(size_t len)
{
	volatile unsigned sum;

	memset(record, 0xa5, sizeof(*record)); /* what a frame does not bring is not to be used */
	memcpy(record, body, len < sizeof(*record) ? len : sizeof(*record));
	if (record_check(record, len))
		return;
	if (len > sizeof(*record) || record->strings_len > RECORD_STRINGS_MAX)
		abort();
	sum = touch(record->ifname) + touch_process(&record->orig) + touch_process(&record->resp);
	sum += (unsigned)*record_event_name(record->event) +
	       (unsigned)*record_direction_name(record->direction) +
	       (unsigned)*record_state_name(record->state) +
	       (unsigned)*record_end_reason_name(record->end_reason);
	(void)sum;
	if (record->event == RECORD_LOSS &&
		!strcmp(record_loss_stage_name(record->loss_stage), "invalid"))
		abort();
}

static void drain(struct ring_consumer *c)
{
	uint64_t frames = 0, last = c->cursor;
	struct ring_frame f;

	while (ring_get(c, body, &f) == 0) {
		if (f.len > RING_BODY_MAX || f.pos - last < RING_HEADER + f.len ||
			++frames > RING_DATA_MIN / RING_HEADER)
			abort();
		last = f.pos;
		if (f.type == RING_FRAME_RECORD)
			use_record(f.len);
	}
}

static void fill(const uint8_t *data, size_t size, uint64_t tail)
{
	uint8_t *ring = (uint8_t *)a + RING_PAGE;
	uint64_t at = tail % RING_DATA_MIN;
	size_t first;

	if (size > RING_DATA_MIN)
		size = RING_DATA_MIN;
	first = size < RING_DATA_MIN - at ? size : RING_DATA_MIN - at;
	memset(ring, 0, RING_DATA_MIN);
	memcpy(ring + at, data, first);
	memcpy(ring, data + first, size - first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ring_consumer *c;
	struct input_head in;

	if (!a) {
		a = aligned_alloc(RING_PAGE, RING_PAGE + RING_DATA_MIN);
		b = aligned_alloc(RING_LINE, sizeof(*b));
		body = malloc(RING_BODY_MAX);
		record = malloc(sizeof(*record));
	}
	if (!a || !b || !body || !record)
		abort();
	if (size < sizeof(in))
		return 0;
	memcpy(&in, data, sizeof(in));
	memset(a, 0, RING_PAGE);
	memset(b, 0, sizeof(*b));
	ring_page_init(a, RING_DATA_MIN, 1);
	if (in.geometry[1])
		((uint32_t *)a)[in.geometry[0] % 16] ^= in.geometry[1];
	b->tail = in.tail;
	a->head = in.tail + in.used;
	fill(data + sizeof(in), size - sizeof(in), in.tail);
	if (ring_consumer_on_memory(a, RING_PAGE + RING_DATA_MIN, b, -1, &c))
		return 0;
	drain(c);
	ring_sleep(c, 1);
	a->head = in.tail + in.later_used;
	ring_consumer_waiting(c);
	drain(c);
	ring_release(c);
	ring_consumer_free(c);
	return 0;
}
