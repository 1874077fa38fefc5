/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a packet costs that meets a packet socket: frames are sent through interfaces that throw
 * them away (bridges without ports), one for each kind of socket, so that all of it happens in the
 * sender's time; what the interface without a socket takes is taken off.
 *
 *	tap-cost NONE REJECT REJECT-5 FLOWNER ACCEPT ACCEPT-128 ROUNDS BURSTS
 *
 * takes the six interfaces; the third meets five sockets instead of one. Prints in each round the
 *ns of CPU time of a frame beyond one without a socket (medians over the bursts, kinds in turn):
 *"size BYTES KIND NS" for one kind of frame, "share PERCENT KIND NS" for full frames of which
 *PERCENT are SYNs, including the reading of what came; "base BYTES NS" is a frame without a socket.
 *Exit status 1 if a frame was lost or was not decided about as it should be.
 */
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "capture-frames.h"
#include "capture/program.h"
#include "capture/source.h"

/* libpcap's interpreter; its headers do not go together with linux/filter.h. */
unsigned bpf_filter(const void *insn, const unsigned char *packet, unsigned len, unsigned caplen);

enum {
	BURST = 256,
	BATCH = 64,
	BURSTS_MAX = 1000,
	CASES_MAX = 6,
	BLOCK = 1 << 18,
	BLOCKS = 32,
	EN10MB = 1,
	FULL = 1500,
	SEGMENT = 1454,
};

enum kind { NONE, REJECT, REJECT_5, FLOWNER, ACCEPT, ACCEPT_128, KINDS };

static const char *const names[] = {
	"none", "reject", "reject-5", "flowner", "accept", "accept-128"};

struct tap {
	int out; /* sends to its interface */
	int fd;
	uint8_t *ring;
	unsigned next;   /* block */
	bool decide;     /* in user space, by program */
	uint64_t wanted; /* frames found by reading */
};

struct traffic {
	size_t len;       /* of a segment, bytes */
	unsigned percent; /* SYNs among them */
};

static struct filter_program in_user;
static struct tap taps[KINDS], more[4];
/* Two that are sent over and over: the sender's cache misses are not the question. */
static struct frames fs;
static const struct frame *burst[BURST];

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static void open_tap(
	struct tap *t, struct sockaddr_ll *address, const struct filter_insn *insn, size_t n)
{
	struct tpacket_req3 req = {.tp_block_size = BLOCK,
		.tp_block_nr = BLOCKS,
		.tp_frame_size = 2048,
		.tp_frame_nr = BLOCK / 2048 * BLOCKS,
		.tp_retire_blk_tov = 1000};
	struct sock_fprog prog = {(unsigned short)n, (struct sock_filter *)insn};
	int version = TPACKET_V3;

	t->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (t->fd < 0 ||
		setsockopt(t->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) < 0 ||
		setsockopt(t->fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req)) < 0 ||
		setsockopt(t->fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) < 0)
		die("packet socket");
	t->ring = mmap(NULL, (size_t)BLOCK * BLOCKS, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_POPULATE, t->fd, 0);
	if (t->ring == MAP_FAILED)
		die("mmap");
	address->sll_protocol = htons(ETH_P_ALL);
	if (bind(t->fd, (struct sockaddr *)address, sizeof(*address)) < 0)
		die("bind");
}

/* Looks at each frame that came, and gives the blocks back. */
static void read_tap(struct tap *t)
{
	for (;;) {
		struct tpacket_block_desc *b = (void *)(t->ring + (size_t)t->next * BLOCK);
		struct tpacket_hdr_v1 *h = &b->hdr.bh1;
		struct tpacket3_hdr *p = (void *)((uint8_t *)b + h->offset_to_first_pkt);

		if (!(__atomic_load_n(&h->block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
			return;
		for (unsigned i = 0; i < h->num_pkts; i++) {
			const uint8_t *bytes = (uint8_t *)p + p->tp_mac;

			t->wanted += t->decide ? bpf_filter(in_user.insn, bytes, p->tp_len,
							 p->tp_snaplen) != 0
					       : (bytes[12] == 8);
			p = (void *)((uint8_t *)p + p->tp_next_offset);
		}
		__atomic_store_n(&h->block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
		t->next = (t->next + 1) % BLOCKS;
	}
}

static void send_burst(int out)
{
	for (size_t i = 0; i < BURST;) {
		struct mmsghdr m[BATCH];
		struct iovec v[BATCH];
		int n;

		memset(m, 0, sizeof(m));
		for (size_t k = 0; k < BATCH; k++) {
			v[k] = (struct iovec){(void *)burst[i + k]->bytes, burst[i + k]->len};
			m[k].msg_hdr.msg_iov = &v[k];
			m[k].msg_hdr.msg_iovlen = 1;
		}
		for (int done = 0; done < BATCH; done += n) {
			n = sendmmsg(out, m + done, (unsigned)(BATCH - done), 0);
			if (n <= 0)
				die("sendmmsg");
		}
		i += BATCH;
	}
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *v, long n)
{
	qsort(v, (size_t)n, sizeof(*v), by_value);
	return v[n / 2];
}

/* CPU time of this thread: being preempted costs nobody anything. */
static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* Segments of @len bytes in between connections that begin, @percent of the frames. */
static unsigned fill(size_t len, unsigned percent)
{
	unsigned due = 0, syns = 0;

	fs.n = 0;
	frame_tcp(frame_v4(&fs, "SYN", "", 6, 0, 0), "S", 80, 0);
	frame_tcp(frame_v4(&fs, "data", "", 6, 0, 0), ".", 80, FULL - 54);
	fs.frame[1].len = len;
	for (size_t i = 0; i < BURST; i++) {
		bool syn = (due += percent) >= 100;

		due -= syn ? 100 : 0;
		syns += syn;
		burst[i] = &fs.frame[syn ? 0 : 1];
	}
	return syns;
}

/* Frames that @k took since the last call; exits if one was lost. */
static unsigned taken(enum kind k)
{
	struct tpacket_stats_v3 st;
	socklen_t len = sizeof(st);

	if (getsockopt(taps[k].fd, SOL_PACKET, PACKET_STATISTICS, &st, &len) < 0)
		die("PACKET_STATISTICS");
	if (st.tp_drops) {
		fprintf(stderr, "%s: %u frames lost\n", names[k], st.tp_drops);
		exit(1);
	}
	return st.tp_packets;
}

static void check(enum kind k, unsigned want)
{
	unsigned got = taken(k);

	/* What takes all may see a word of the interface's own. */
	if (got == want || (k >= ACCEPT && got > want && got <= want + 8))
		return;
	fprintf(stderr, "%s took %u frames, not %u\n", names[k], got, want);
	exit(1);
}

static void one_burst(enum kind k, bool reading, double *ret_ns)
{
	double start = now_ns();

	send_burst(taps[k].out);
	if (k != NONE && reading)
		read_tap(&taps[k]);
	*ret_ns = (now_ns() - start) / BURST;
	if (k != NONE)
		read_tap(&taps[k]);
}

static void shuffle(enum kind order[KINDS])
{
	static uint32_t random = 1;

	for (size_t n = KINDS; n > 1; n--) {
		enum kind last = order[n - 1];
		size_t with;

		random = random * 1664525 + 1013904223;
		with = (random >> 16) % n;
		order[n - 1] = order[with];
		order[with] = last;
	}
}

/* All cases and kinds take turns: what changes on the machine meanwhile meets all. */
static void measure(const struct traffic *cases, size_t n, const char *what, long bursts)
{
	static double ns[CASES_MAX][KINDS][BURSTS_MAX];
	bool reading = !strcmp(what, "share");
	enum kind order[KINDS];
	unsigned sent = 0, syns = 0;

	for (enum kind k = NONE; k < KINDS; k++)
		order[k] = k;
	for (long i = 0; i < bursts; i++) {
		for (size_t c = 0; c < n; c++) {
			syns += fill(cases[c].len, cases[c].percent);
			sent += BURST;
			shuffle(order);
			for (long turn = 0; turn < KINDS; turn++) {
				enum kind k = order[turn];

				one_burst(k, reading, &ns[c][k][i]);
			}
		}
	}
	for (size_t c = 0; c < n; c++) {
		unsigned name = reading ? cases[c].percent : (unsigned)cases[c].len;

		for (enum kind k = REJECT; k < KINDS; k++) {
			for (long i = 0; i < bursts; i++)
				ns[c][k][i] -= ns[c][NONE][i];
			printf("%s %u %s %.2f\n", what, name, names[k], median(ns[c][k], bursts));
		}
		if (!reading)
			printf("base %u %.2f\n", name, median(ns[c][NONE], bursts));
	}
	check(REJECT, 0);
	check(REJECT_5, 0);
	check(FLOWNER, syns);
	check(ACCEPT, sent);
	check(ACCEPT_128, sent);
}

int main(int argc, char **argv)
{
	static const struct filter_insn none = {BPF_RET | BPF_K, 0, 0, 0},
					all = {BPF_RET | BPF_K, 0, 0, 262144},
					some = {BPF_RET | BPF_K, 0, 0, 128};
	static const struct traffic sizes[CASES_MAX] = {
		{64, 0}, {128, 0}, {256, 0}, {512, 0}, {1024, 0}, {1500, 0}};
	static const struct traffic shares[] = {
		{SEGMENT, 0}, {SEGMENT, 1}, {SEGMENT, 10}, {SEGMENT, 100}};
	long rounds = argc == KINDS + 3 ? strtol(argv[KINDS + 1], NULL, 10) : 0;
	long bursts = argc == KINDS + 3 ? strtol(argv[KINDS + 2], NULL, 10) : 0;
	struct filter_program in_kernel;
	struct source_error err;

	if (rounds <= 0 || bursts <= 0 || bursts > BURSTS_MAX) {
		fprintf(stderr,
			"tap-cost NONE REJECT REJECT-5 FLOWNER ACCEPT ACCEPT-128 ROUNDS BURSTS\n");
		return 2;
	}
	if (source_program(EN10MB, true, CONFIG_MODE_HANDSHAKE, "", &in_kernel, &err) < 0 ||
		source_program(EN10MB, false, CONFIG_MODE_HANDSHAKE, "", &in_user, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 2;
	}
	for (enum kind k = NONE; k < KINDS; k++) {
		struct sockaddr_ll address = {
			.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(argv[k + 1])};
		const struct filter_insn *insn = k == REJECT || k == REJECT_5 ? &none
						 : k == FLOWNER               ? in_kernel.insn
						 : k == ACCEPT                ? &all
									      : &some;

		taps[k].out = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
		if (taps[k].out < 0 || !address.sll_ifindex ||
			bind(taps[k].out, (struct sockaddr *)&address, sizeof(address)) < 0)
			die(argv[k + 1]);
		if (k != NONE)
			open_tap(&taps[k], &address, insn, k == FLOWNER ? in_kernel.n : 1);
		for (size_t i = 0; k == REJECT_5 && i < 4; i++)
			open_tap(&more[i], &address, insn, 1);
		taps[k].decide = k >= ACCEPT;
	}
	for (enum kind k = REJECT; k < KINDS; k++)
		(void)taken(k); /* what the interfaces said when they came up */
	for (long r = 0; r < rounds; r++) {
		measure(sizes, 6, "size", bursts);
		measure(shares, 4, "share", bursts);
		fflush(stdout);
	}
	return 0;
}
