/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for flowner-enrich: serves a record ring at RUNTIME/enrich/ring.sock and publishes
 * synthetic records with sequence numbers 1..N.
 *
 *	ring-feed --runtime-dir DIR --peer UID --count N [--rate N/s] [--ring BYTES] [--first SEQ]
 *		[--epoch N] [--hold] [--late-end] [--no-end] [--hostile SEED] [--wait] [--formats]
 *
 * A full ring is waited for, not counted as loss, unless --lossy. It accepts one consumer after
 * another. After the last record it sends RING_FRAME_END (unless --no-end; with --late-end when
 * standard input has ended) and, with --hold, stays until standard input ends; else until
 * everything is released. --hostile mixes in frames that fail validation. --wait publishes only
 * once a consumer is attached. With --formats each format has something to write of each record:
 * pcapng a packet behind it that begins with its number, 8 bytes, lowest first. Ends with one line
 *on standard output: records published and lost.
 */
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "config/handover.h"
#include "shm/record.h"
#include "shm/ring.h"

#define S_NS 1000000000ull

struct feed {
	const char *runtime_dir;
	uid_t peer;
	uint64_t count, rate, first, epoch, hostile;
	size_t ring_size;
	bool hold, late_end, no_end, wait, lossy, formats;
	struct ring_producer *ring;
	int listen_fd, peer_fd;
	uint64_t published, lost;
	struct record record;
};

static void die(const char *what, int r)
{
	fprintf(stderr, "ring-feed: %s: %s\n", what, strerror(-r));
	exit(1);
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * S_NS + (uint64_t)t.tv_nsec;
}

/* Hands the ring to whoever has come, and notices who has gone. */
static void serve(struct feed *f)
{
	struct handover_ring ring = {.epoch = f->epoch, .data_size = f->ring_size};
	int fds[RING_FDS], fd;
	char c;

	if (f->peer_fd >= 0 && recv(f->peer_fd, &c, 1, MSG_DONTWAIT) == 0) {
		close(f->peer_fd);
		f->peer_fd = -1;
	}
	if (handover_accept(f->listen_fd, f->peer, &fd) < 0)
		return;
	if (f->peer_fd >= 0)
		close(f->peer_fd);
	f->peer_fd = fd;
	ring_producer_fds(f->ring, fds);
	if (handover_send(fd, HANDOVER_RING, &ring, sizeof(ring), fds, RING_FDS) < 0 ||
		handover_send(fd, HANDOVER_DONE, NULL, 0, NULL, 0) < 0) {
		close(fd);
		f->peer_fd = -1;
	}
}

static void fill(struct feed *f, uint64_t seq)
{
	static const char ARGS[] = "curl\0-s\0http://127.0.0.1:8080/it's \"quoted\"\n\xff";
	struct record *r = &f->record;
	uint8_t addr[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};

	memset(r, 0, offsetof(struct record, strings));
	r->version = RECORD_VERSION;
	r->event = RECORD_END;
	r->direction = RECORD_EGRESS;
	r->family = 4;
	r->proto = IPPROTO_TCP;
	r->state = RECORD_STATE_SF;
	r->end_reason = RECORD_END_SHUTDOWN;
	r->seq = seq;
	r->epoch = f->epoch;
	r->flow_id = seq * 0x9e3779b97f4a7c15u;
	r->t_ns = r->end_ns = now_ns(CLOCK_REALTIME);
	r->start_ns = r->t_ns - 1234567;
	memcpy(r->orig_addr, addr, 16);
	memcpy(r->resp_addr, addr, 16);
	r->orig_port = (uint16_t)(seq % 28000 + 32768);
	r->resp_port = 8080;
	r->flags = RECORD_FLAG_ORIG_BYTES | RECORD_FLAG_RESP_BYTES;
	r->orig_bytes = seq % 5000;
	r->resp_bytes = seq * 7 % 100000;
	r->orig_packets = 5;
	r->resp_packets = 4;
	r->delta_packets = 9;
	memcpy(r->history, "ShADadFf", 8);
	record_put_str(r, "lo", 2, &r->ifname);
	r->orig.pid = (uint32_t)(seq % 30000 + 2);
	r->orig.ppid = 1;
	r->orig.start_ns = r->start_ns - S_NS;
	r->orig.uid = r->orig.gid = 1000;
	r->orig.ruid = r->orig.loginuid = r->resp.ruid = r->resp.loginuid = UINT32_MAX;
	r->orig.method = RECORD_METHOD_TAP_CONNECT;
	r->orig.confidence = RECORD_CONFIDENCE_EXACT;
	record_put_str(r, "curl", 4, &r->orig.name);
	record_put_str(r, "/usr/bin/curl", 13, &r->orig.exe);
	record_put_str(r, ARGS, sizeof(ARGS), &r->orig.args);
	record_put_str(r, "/user.slice/session-1.scope", 27, &r->orig.cgroup);
	r->resp.uid = r->resp.gid = UINT32_MAX;
	r->resp.unknown = RECORD_UNKNOWN_REMOTE;
}

/* Waits up to @ns, serving consumers. */
static void pause_for(struct feed *f, uint64_t ns)
{
	struct pollfd p[2] = {
		{.fd = f->listen_fd, .events = POLLIN}, {.fd = f->peer_fd, .events = POLLIN}};
	struct timespec t = {(time_t)(ns / S_NS), (long)(ns % S_NS)};

	ppoll(p, 2, &t, NULL);
	serve(f);
}

static bool has_room(struct feed *f, size_t body)
{
	uint64_t used;
	int r = ring_producer_used(f->ring, &used);

	if (r < 0)
		die("the consumer's index", r);
	return used + body + 256 <= f->ring_size; /* and a loss record's room */
}

static void wait_for_room(struct feed *f, size_t body)
{
	while (!f->lossy && !has_room(f, body)) {
		ring_commit(f->ring);
		pause_for(f, 1000000);
	}
}

static void put(struct feed *f, const struct record *r, size_t size)
{
	int e;

	wait_for_room(f, size);
	e = ring_put(f->ring, RING_FRAME_RECORD, 0, r->t_ns, r->delta_packets, r, size, NULL, 0);
	if (e < 0)
		die("ring_put", e);
	if (e)
		f->lost++;
	else
		f->published++;
}

/* A packet of the record's connection, with the number of the record. */
static void put_packet(struct feed *f)
{
	struct record r = f->record;
	char bytes[64] = {0};

	for (unsigned i = 0; i < 8; i++)
		bytes[i] = (char)(r.seq >> 8 * i);
	r.event = RECORD_PACKET;
	r.dlt = 1; /* DLT_EN10MB */
	r.seq = r.delta_packets = 0;
	r.packet_len = sizeof(bytes);
	record_put_str(&r, bytes, sizeof(bytes), &r.packet);
	wait_for_room(f, record_size(&r));
	if (ring_put(f->ring, RING_FRAME_RECORD, 0, r.t_ns, 0, &r, record_size(&r), NULL, 0))
		die("a packet", -ENOBUFS);
}

/* A frame with random bytes, or a record with one byte changed. */
static void put_hostile(struct feed *f)
{
	struct record r;
	size_t size = (size_t)rand() % sizeof(r);

	if (rand() % 2) {
		for (size_t i = 0; i < size; i++)
			((uint8_t *)&r)[i] = (uint8_t)rand();
	} else {
		r = f->record;
		size = record_size(&r);
		((uint8_t *)&r)[(size_t)rand() % offsetof(struct record, strings)] ^=
			(uint8_t)(1 + rand() % 255);
		r.seq = 0; /* must not pass for one of ours */
	}
	wait_for_room(f, size);
	ring_put(f->ring, RING_FRAME_RECORD, 0, 0, 0, &r, size, NULL, 0);
}

static void publish(struct feed *f)
{
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	uint64_t start = now_ns(CLOCK_MONOTONIC);

	for (uint64_t i = 0; i < f->count; i++) {
		/* In batches of a millisecond, as a real producer wakes up. */
		while (f->rate && i >= (now_ns(CLOCK_MONOTONIC) - start) * f->rate / S_NS) {
			ring_commit(f->ring);
			pause_for(f, 1000000);
		}
		fill(f, f->first + i);
		if (f->formats)
			f->record.flags |= RECORD_FLAG_UNANNOUNCED; /* for sysmon */
		put(f, &f->record, record_size(&f->record));
		if (f->formats)
			put_packet(f);
		if (f->hostile && rand() % 4 == 0)
			put_hostile(f);
		if (i % 64 == 0) {
			ring_commit(f->ring);
			serve(f);
		}
	}
	/* A consumer that is killed behind END leaves nothing that its successor could see. */
	while (f->late_end && poll(&in, 1, 0) == 0) {
		ring_commit(f->ring);
		pause_for(f, 5000000);
	}
	if (!f->no_end)
		ring_put(f->ring, RING_FRAME_END, 0, now_ns(CLOCK_REALTIME), 0, NULL, 0, NULL, 0);
	ring_commit(f->ring);
}

static void finish(struct feed *f)
{
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	uint64_t used = 1;

	while (f->hold ? poll(&in, 1, 0) == 0 : used > 0) {
		pause_for(f, 5000000);
		if (ring_producer_used(f->ring, &used) < 0)
			die("the consumer's index", -EPROTO);
	}
}

static void report(const struct feed *f)
{
	printf("published %llu lost %llu\n", (unsigned long long)f->published,
		(unsigned long long)f->lost);
	fflush(stdout);
}

static void parse(struct feed *f, int argc, char **argv)
{
	static const struct option options[] = {{"runtime-dir", 1, NULL, 'd'},
		{"peer", 1, NULL, 'p'}, {"count", 1, NULL, 'n'}, {"rate", 1, NULL, 'r'},
		{"ring", 1, NULL, 's'}, {"first", 1, NULL, 'f'}, {"epoch", 1, NULL, 'e'},
		{"hold", 0, NULL, 'h'}, {"late-end", 0, NULL, 'L'}, {"no-end", 0, NULL, 'x'},
		{"hostile", 1, NULL, 'H'}, {"wait", 0, NULL, 'w'}, {"lossy", 0, NULL, 'l'},
		{"formats", 0, NULL, 'F'}, {0}};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		uint64_t v = optarg ? strtoull(optarg, NULL, 0) : 0;

		switch (c) {
		case 'd':
			f->runtime_dir = optarg;
			break;
		case 'p':
			f->peer = (uid_t)v;
			break;
		case 'n':
			f->count = v;
			break;
		case 'r':
			f->rate = v;
			break;
		case 's':
			f->ring_size = (size_t)v;
			break;
		case 'f':
			f->first = v;
			break;
		case 'e':
			f->epoch = v;
			break;
		case 'h':
			f->hold = true;
			break;
		case 'L':
			f->late_end = true;
			break;
		case 'x':
			f->no_end = true;
			break;
		case 'H':
			f->hostile = v;
			break;
		case 'w':
			f->wait = true;
			break;
		case 'F':
			f->formats = true;
			break;
		case 'l':
			f->lossy = true;
			break;
		default:
			exit(64);
		}
	}
}

int main(int argc, char **argv)
{
	struct feed f = {.peer = geteuid(),
		.count = 1000,
		.ring_size = 1 << 20,
		.first = 1,
		.epoch = 1,
		.peer_fd = -1};
	char path[256];
	int r;

	parse(&f, argc, argv);
	if (!f.runtime_dir)
		die("--runtime-dir", -EINVAL);
	signal(SIGPIPE, SIG_IGN);
	srand((unsigned)f.hostile);
	snprintf(path, sizeof(path), "%s/enrich", f.runtime_dir);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/enrich/ring.sock", f.runtime_dir);
	r = ring_producer_new(f.ring_size, f.epoch, RING_LOSS_RECORD_RING, &f.ring);
	if (r < 0)
		die("ring", r);
	r = handover_listen(path, f.peer, &f.listen_fd);
	if (r < 0)
		die(path, r);
	while (f.wait && f.peer_fd < 0)
		pause_for(&f, 100000000);
	publish(&f);
	report(&f);
	finish(&f);
	ring_producer_free(f.ring);
	return 0;
}
