/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows between other hosts, seen on loopback.
 *
 *	flows open FIRST COUNT	those numbered from FIRST on, all different: a SYN each
 *	flows over FIRST COUNT	a SYN and a RST each: they leave the table again
 *
 * The frames are for another station, so that the kernel shows them to packet sockets and then
 * throws them away.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BURST 64u
#define PORTS 50000u
#define FROM  0xc6120000u /* 198.18.0.0 */
#define TO    0xc6336401u /* 198.51.100.1 */

struct __attribute__((packed)) frame {
	struct ether_header eth;
	struct iphdr ip;
	struct tcphdr tcp;
};

static void make(struct frame *f, uint32_t number, bool rst)
{
	*f = (struct frame){
		.eth = {.ether_dhost = {2, 0, 0, 0, 0, 1}, .ether_type = htons(ETHERTYPE_IP)},
		.ip = {.version = 4,
			.ihl = 5,
			.ttl = 64,
			.protocol = IPPROTO_TCP,
			.tot_len = htons(sizeof(f->ip) + sizeof(f->tcp)),
			.saddr = htonl(FROM + number / PORTS),
			.daddr = htonl(TO)},
		.tcp = {.source = htons((uint16_t)(1024 + number % PORTS)),
			.dest = htons(443),
			.seq = htonl(number),
			.doff = 5,
			.syn = !rst,
			.rst = rst},
	};
}

static int open_socket(void)
{
	struct sockaddr_ll sll = {.sll_family = AF_PACKET};
	int s = socket(AF_PACKET, SOCK_RAW, 0); /* protocol 0: receives nothing */

	sll.sll_ifindex = (int)if_nametoindex("lo");
	if (s < 0 || bind(s, (struct sockaddr *)&sll, sizeof(sll)) < 0) {
		perror("lo");
		exit(1);
	}
	return s;
}

int main(int argc, char **argv)
{
	unsigned each = argc == 4 && !strcmp(argv[1], "over") ? 2 : 1;
	uint32_t first = argc == 4 ? each * (uint32_t)strtoul(argv[2], NULL, 10) : 0;
	uint32_t count = argc == 4 ? each * (uint32_t)strtoul(argv[3], NULL, 10) : 0;
	struct frame frame[BURST];
	struct iovec iov[BURST];
	struct mmsghdr m[BURST] = {0};
	int s;

	if (!count) {
		fprintf(stderr, "flows: see the head of its source\n");
		return 64;
	}
	s = open_socket();
	for (unsigned i = 0; i < BURST; i++) {
		iov[i] = (struct iovec){&frame[i], sizeof(frame[i])};
		m[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
	}
	for (uint32_t sent = 0; sent < count;) {
		unsigned n = count - sent < BURST ? count - sent : BURST;
		int r;

		for (unsigned i = 0; i < n; i++)
			make(&frame[i], (first + sent + i) / each, (sent + i) % each);
		r = sendmmsg(s, m, n, 0);
		if (r > 0)
			sent += (uint32_t)r;
		else if (errno != ENOBUFS && errno != EAGAIN) {
			perror("sendmmsg");
			return 1;
		}
	}
	return 0;
}
