/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends crafted Ethernet frames on an interface, for tests of capture:
 *
 *	send-frames IFACE TAGS MODE	the table of capture-frames.h, each with TAGS VLAN tags;
 *		prints "frame NUMBER KEEP TAGGED-HEX NAME" with what mode number MODE must keep
 *	send-frames IFACE flood COUNT
 *		COUNT SYNs as fast as they go; prints "sent COUNT"
 */
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "capture-frames.h"
#include "capture/program.h"

#define BURST 64

static int open_on(const char *interface)
{
	struct sockaddr_ll sll = {.sll_family = AF_PACKET};
	int s = socket(AF_PACKET, SOCK_RAW, 0); /* protocol 0: receives nothing */

	sll.sll_ifindex = (int)if_nametoindex(interface);
	if (s < 0 || !sll.sll_ifindex || bind(s, (struct sockaddr *)&sll, sizeof(sll)) < 0) {
		perror(interface);
		exit(1);
	}
	return s;
}

static unsigned keep_of(const struct frame *f, enum config_mode mode)
{
	size_t n;
	const struct program_class *c = program_classes(mode, &n);

	for (size_t i = 0; i < n; i++)
		if (!strcmp(c[i].name, f->class[mode]))
			return c[i].snaplen;
	return 0;
}

static void send_table(int s, unsigned tags, enum config_mode mode)
{
	static struct frames fs;

	frames_make(&fs);
	for (size_t i = 0; i < fs.n; i++) {
		uint8_t bytes[1700];
		size_t len = frame_tagged(&fs.frame[i], tags, bytes);

		if (send(s, bytes, len, 0) != (ssize_t)len) {
			perror(fs.frame[i].name);
			exit(1);
		}
		printf("frame %zu %u ", i, keep_of(&fs.frame[i], mode));
		for (size_t j = 0; j < len; j++)
			printf("%02x", bytes[j]);
		printf(" %s\n", fs.frame[i].name);
	}
}

static void flood(int s, unsigned long count)
{
	static struct frames fs;
	struct iovec iov[BURST];
	struct mmsghdr m[BURST] = {0};

	frames_make(&fs);
	for (size_t i = 0; i < BURST; i++) {
		iov[i] = (struct iovec){fs.frame[0].bytes, fs.frame[0].len};
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	for (unsigned long sent = 0; sent < count;) {
		unsigned long left = count - sent;
		int n = sendmmsg(s, m, left < BURST ? (unsigned)left : BURST, 0);

		if (n > 0)
			sent += (unsigned long)n;
		else if (errno != ENOBUFS && errno != EAGAIN) {
			perror("sendmmsg");
			exit(1);
		}
	}
	printf("sent %lu\n", count);
}

int main(int argc, char **argv)
{
	int s;

	if (argc < 4)
		return 64;
	s = open_on(argv[1]);
	if (strcmp(argv[2], "flood") != 0)
		send_table(s, (unsigned)atoi(argv[2]), (enum config_mode)atoi(argv[3]));
	else
		flood(s, strtoul(argv[3], NULL, 10));
	return 0;
}
