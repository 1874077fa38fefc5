/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The perf record parser on any bytes: it stays inside them and never returns a byte of them that
 * is not there. Input: records one behind the other, then what is left as a user stack.
 */
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "enrich/perf-record.h"
#include "perf-build.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
	if (!ok)
		abort();
}

static volatile char sink; /* keeps the reads in */

static void check_bytes(struct perf_bytes b, const uint8_t *from, size_t len)
{
	if (!b.len)
		return;
	check(b.bytes >= (const char *)from && b.bytes + b.len <= (const char *)from + len);
	for (size_t i = 0; i < b.len; i++)
		sink ^= b.bytes[i];
}

static void check_record(const struct perf_record *r, const uint8_t *from, size_t len)
{
	switch (r->kind) {
	case PERF_KIND_NAMED:
		check_bytes(r->named.comm, from, len);
		break;
	case PERF_KIND_MAPPED:
		check_bytes(r->path, from, len);
		check(r->path.len > 0 && r->path.bytes[0] == '/');
		break;
	case PERF_KIND_NEW_CGROUP:
		check_bytes(r->cgroup.path, from, len);
		break;
	case PERF_KIND_EXEC:
		check_bytes(r->exec.args, from, len);
		break;
	case PERF_KIND_ROUTE:
		check(r->route.proto != 0);
		check(r->route.sport != 0 || r->route.proto != IPPROTO_TCP);
		break;
	case PERF_KIND_IGNORED:
	case PERF_KIND_FORKED:
	case PERF_KIND_EXITED:
	case PERF_KIND_NAMESPACES:
	case PERF_KIND_DROPPED:
	case PERF_KIND_STATE:
		break;
	}
}

/* Exactly sized, so that a sanitizer sees a read of one byte too many. */
static void one(const struct tap_layout *l, const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	struct perf_record_exec e;
	struct perf_record r;

	memcpy(copy, data, len);
	if (!perf_record_parse(l, pb_ids, copy, len, &r))
		check_record(&r, copy, len);
	for (size_t word = 4; word <= 8; word += 4) {
		perf_record_stack(copy, len, 0x7ffc00001230, word, &e);
		check_bytes(e.args, copy, len);
	}
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct tap_layout l = pb_layout();
	struct perf_event_header h;
	size_t at = 0;

	while (size - at >= sizeof(h)) {
		memcpy(&h, data + at, sizeof(h));
		if (h.size < sizeof(h) || h.size > size - at)
			break;
		one(&l, data + at, h.size);
		at += h.size;
	}
	one(&l, data + at, size - at);
	return 0;
}
