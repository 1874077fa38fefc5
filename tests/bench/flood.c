/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets past the sender's own protocols (a packet socket, 64 a system call), at full speed or
 * KPPS thousand a second.
 *
 *	flood syn IFACE COUNT [KPPS]	TCP SYNs, each of another connection
 *	flood udp IFACE COUNT [KPPS]	datagrams of 64 bytes, 16 flows
 *
 * Their MAC address is nobody's: observers see them, the receiving host drops them unanswered.
 * Prints "sent N elapsed_ns N".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH     64u
#define FRAME_MAX 106u
#define FLOWS     16u

struct sender {
	int fd;
	struct sockaddr_ll to;
	uint8_t frame[BATCH][FRAME_MAX];
	struct iovec iov[BATCH];
	struct mmsghdr m[BATCH];
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void put16(uint8_t *at, uint16_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static void ip_checksum(uint8_t *ip)
{
	uint32_t sum = 0;

	put16(ip + 10, 0);
	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	put16(ip + 10, (uint16_t) ~(sum + (sum >> 16)));
}

/* What all frames have in common; the source is set for each. */
static size_t frame_new(uint8_t *f, bool udp)
{
	static const uint8_t head[] = {
		0x02, 0, 0, 0, 0, 0x99, 0x02, 0, 0, 0, 0, 0x98, 0x08, 0, 0x45, 0};
	size_t len = 14 + 20 + (udp ? 8 + 64 : 20);

	memset(f, 0, FRAME_MAX);
	memcpy(f, head, sizeof(head));
	put16(f + 16, (uint16_t)(len - 14));
	f[22] = 64;
	f[23] = udp ? IPPROTO_UDP : IPPROTO_TCP;
	memcpy(f + 26, (uint8_t[]){10, 200, 0, 7, 10, 200, 255, 1}, 8);
	put16(f + 36, udp ? 9999 : 80);
	if (udp) {
		put16(f + 38, 8 + 64);
	} else {
		f[46] = 0x50;
		f[47] = 2;
		put16(f + 48, 64000);
	}
	return len;
}

static void frame_number(uint8_t *f, bool udp, uint64_t i)
{
	put16(f + 34, udp ? (uint16_t)(40000 + i % FLOWS) : (uint16_t)(1024 + i % 60000));
	f[28] = udp ? 0 : (uint8_t)(i / 60000);
	ip_checksum(f + 14);
}

static void sender_open(struct sender *s, const char *iface, bool udp)
{
	int on = 1;

	s->fd = socket(AF_PACKET, SOCK_RAW, 0);
	s->to = (struct sockaddr_ll){
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_IP),
		.sll_ifindex = (int)if_nametoindex(iface),
		.sll_halen = ETH_ALEN,
	};
	if (s->fd < 0 || !s->to.sll_ifindex)
		die(iface);
	if (setsockopt(s->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) < 0)
		die("PACKET_QDISC_BYPASS");
	for (unsigned i = 0; i < BATCH; i++) {
		s->iov[i] = (struct iovec){s->frame[i], frame_new(s->frame[i], udp)};
		s->m[i].msg_hdr = (struct msghdr){
			.msg_name = &s->to,
			.msg_namelen = sizeof(s->to),
			.msg_iov = &s->iov[i],
			.msg_iovlen = 1,
		};
	}
}

static void send_batch(struct sender *s, unsigned n)
{
	for (unsigned done = 0; done < n;) {
		int r = sendmmsg(s->fd, s->m + done, n - done, 0);

		if (r < 0 && errno != ENOBUFS && errno != EAGAIN && errno != EINTR)
			die("sendmmsg");
		done += r > 0 ? (unsigned)r : 0;
	}
}

int main(int argc, char **argv)
{
	bool udp = argc > 3 && !strcmp(argv[1], "udp");
	uint64_t count = argc > 3 ? strtoul(argv[3], NULL, 10) : 0, begin, sent = 0;
	uint64_t kpps = argc > 4 ? strtoul(argv[4], NULL, 10) : 0;
	static struct sender s;

	if (!count || (!udp && strcmp(argv[1], "syn"))) {
		fprintf(stderr, "flood: see the head of its source\n");
		return 64;
	}
	sender_open(&s, argv[2], udp);
	begin = now_ns();
	while (sent < count) {
		unsigned n = count - sent < BATCH ? (unsigned)(count - sent) : BATCH;

		for (unsigned i = 0; i < n; i++)
			frame_number(s.frame[i], udp, sent++);
		send_batch(&s, n);
		while (kpps && now_ns() - begin < sent * 1000000 / kpps)
			;
	}
	printf("sent %lu elapsed_ns %lu\n", (unsigned long)sent, (unsigned long)(now_ns() - begin));
	return 0;
}
