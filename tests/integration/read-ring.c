/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A consumer of capture's ring for tests: read-ring [OPTION]... SOCKET
 *
 * Takes the hand-over as enrich does, reads until the end mark (or -n packets, or the end of the
 * connection with nothing left), and prints what it saw: first "attached tap=RINGS", with -v one
 * line a packet, and at last "total packets=.. bytes=.. kernel=.. ring=.. killed=.. end=..". -s
 * sleeps before the first read. -u is capture's user, if it was not root when it began. -x is
 * hostile: it writes an impossible index and waits to be left alone.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/handover.h"
#include "shm/packet.h"
#include "shm/ring.h"
#include "shm/tap.h"

struct totals {
	unsigned long long packets, bytes, kernel, ring, killed;
	bool end;
};

/* Every index that the consumer writes becomes an impossible one. */
static void poison(int control_fd)
{
	void *page = mmap(NULL, RING_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, control_fd, 0);

	if (page == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	memset(page, 0xff, RING_PAGE);
	munmap(page, RING_PAGE);
}

/* Receives everything up to HANDOVER_DONE; the tap's descriptors are only counted. */
static struct ring_consumer *attach(int fd, bool hostile, size_t *ret_taps)
{
	struct ring_consumer *c = NULL;
	struct handover_message m;
	int r;

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		poll(&p, 1, 5000);
		r = handover_recv(fd, &m);
		if (r < 0) {
			fprintf(stderr, "hand-over: %s\n", strerror(-r));
			exit(1);
		}
		if (m.type == HANDOVER_RING) {
			r = ring_consumer_new(m.fds, &c);
			if (r < 0) {
				fprintf(stderr, "ring: %s\n", strerror(-r));
				exit(1);
			}
			if (hostile)
				poison(m.fds[RING_FD_CONTROL]);
			for (size_t i = 0; i < RING_FDS; i++)
				m.fds[i] = -1;
		}
		if (m.type == HANDOVER_TAP_CPUS)
			*ret_taps += m.n_fds;
		handover_message_close(&m);
		if (m.type == HANDOVER_DONE)
			return c;
	}
}

static void print_packet(const struct ring_frame *f, const uint8_t *body)
{
	struct packet_head h;

	memcpy(&h, body, sizeof(h));
	printf("packet t=%llu dlt=%u ifindex=%u netns=%u len=%u caplen=%u ",
		(unsigned long long)f->t_ns, h.dlt, h.ifindex, h.netns, h.len, h.caplen);
	for (uint32_t i = 0; i < h.caplen; i++)
		printf("%02x", body[sizeof(h) + i]);
	putchar('\n');
}

static void take(const struct ring_frame *f, const uint8_t *body, bool verbose, struct totals *t)
{
	struct ring_loss loss;

	switch (f->type) {
	case RING_FRAME_PACKET:
		t->packets++;
		t->bytes += f->len - sizeof(struct packet_head);
		if (verbose)
			print_packet(f, body);
		break;
	case RING_FRAME_LOSS:
		memcpy(&loss, body, sizeof(loss));
		if (loss.stage == RING_LOSS_KERNEL)
			t->kernel += loss.packets;
		else if (loss.stage == RING_LOSS_CAPTURE)
			t->killed += loss.packets;
		else
			t->ring += loss.packets;
		break;
	case RING_FRAME_END:
		t->end = true;
		break;
	case RING_FRAME_RECORD:
	case RING_FRAME_TIME:
		break;
	}
}

int main(int argc, char **argv)
{
	static uint8_t body[RING_BODY_MAX];
	unsigned long long want = 0;
	struct totals t = {0};
	struct ring_consumer *c;
	struct ring_frame f;
	bool verbose = false, hostile = false, gone = false;
	size_t taps = 0;
	unsigned asleep = 0;
	uid_t uid = 0;
	int fd, r, option;

	while ((option = getopt(argc, argv, "vxn:s:u:")) != -1) {
		if (option == 'v')
			verbose = true;
		else if (option == 'x')
			hostile = true;
		else if (option == 'n')
			want = strtoull(optarg, NULL, 10);
		else if (option == 'u')
			uid = (uid_t)atoi(optarg);
		else
			asleep = (unsigned)atoi(optarg);
	}
	for (int i = 0; (r = handover_connect(argv[optind], uid, &fd)) < 0; i++) {
		if (i == 500) {
			fprintf(stderr, "connect: %s\n", strerror(-r));
			return 1;
		}
		usleep(10000);
	}
	c = attach(fd, hostile, &taps);
	printf("attached tap=%zu\n", taps);
	fflush(stdout);
	if (hostile) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		poll(&p, 1, 20000);
		ring_consumer_free(c);
		return 0;
	}
	sleep(asleep);
	while (!t.end && (!want || t.packets < want)) {
		r = ring_get(c, body, &f);
		if (r == 0) {
			take(&f, body, verbose, &t);
			if (t.packets % 64 == 0)
				ring_release(c);
			continue;
		}
		ring_release(c);
		if (r < 0) {
			fprintf(stderr, "ring: %s\n", strerror(-r));
			return 1;
		}
		if (gone)
			break;
		if (ring_sleep(c, 1)) {
			struct pollfd p[] = {
				{ring_consumer_wake_fd(c), POLLIN, 0}, {fd, POLLIN, 0}};

			poll(p, 2, -1);
			gone = p[1].revents;
		}
		ring_awake(c);
	}
	ring_release(c);
	printf("total packets=%llu bytes=%llu kernel=%llu ring=%llu killed=%llu end=%d\n",
		t.packets, t.bytes, t.kernel, t.ring, t.killed, t.end);
	ring_consumer_free(c);
	close(fd);
	return 0;
}
