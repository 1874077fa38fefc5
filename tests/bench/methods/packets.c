/* SPDX-License-Identifier: Apache-2.0 */
/*
 * First packets of connections to a port, through libpcap.
 */
#include "bench/methods/packets.h"

#include <netinet/ip.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_SIZE (8 << 20)
#define SNAPLEN     128

static pcap_t *handle;
static size_t link_len;

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, pcap_geterr(handle));
	exit(1);
}

static void set_filter(uint16_t port)
{
	struct bpf_program program;
	char text[128];

	snprintf(text, sizeof(text),
		"ip and dst port %u and (udp or tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn)",
		port);
	if (pcap_compile(handle, &program, text, 1, PCAP_NETMASK_UNKNOWN) ||
		pcap_setfilter(handle, &program))
		fail(text);
	pcap_freecode(&program);
}

void packets_open(const struct observe_options *o)
{
	char error[PCAP_ERRBUF_SIZE];

	handle = pcap_create(o->iface, error);
	if (!handle) {
		fprintf(stderr, "%s\n", error);
		exit(1);
	}
	/* Immediate: the sooner a packet is seen, the likelier its process still lives. */
	pcap_set_immediate_mode(handle, 1);
	pcap_set_snaplen(handle, SNAPLEN);
	pcap_set_buffer_size(handle, BUFFER_SIZE);
	pcap_set_tstamp_precision(handle, PCAP_TSTAMP_PRECISION_NANO);
	if (pcap_activate(handle) < 0)
		fail(o->iface);
	if (pcap_datalink(handle) != DLT_EN10MB) {
		fprintf(stderr, "%s: not Ethernet\n", o->iface);
		exit(1);
	}
	link_len = 14;
	set_filter(o->port);
	if (pcap_setnonblock(handle, 1, error))
		fail("setnonblock");
}

int packets_fd(void)
{
	return pcap_get_selectable_fd(handle);
}

bool packets_parse(const uint8_t *ip, size_t len, struct packet *ret)
{
	size_t head = len ? (ip[0] & 15u) * 4u : 0;

	if (len < sizeof(struct iphdr) || ip[0] >> 4 != 4 || len < head + 4 ||
		(ip[9] != IPPROTO_TCP && ip[9] != IPPROTO_UDP))
		return false;
	ret->proto = ip[9];
	memcpy(&ret->saddr, ip + 12, 4);
	memcpy(&ret->daddr, ip + 16, 4);
	ret->sport = (uint16_t)(ip[head] << 8 | ip[head + 1]);
	ret->dport = (uint16_t)(ip[head + 2] << 8 | ip[head + 3]);
	return true;
}

bool packets_next(struct packet *ret)
{
	struct pcap_pkthdr *h;
	const u_char *bytes;

	for (;;) {
		int r = pcap_next_ex(handle, &h, &bytes);

		if (r < 0)
			fail("reading packets");
		if (r == 0)
			return false;
		if (h->caplen <= link_len ||
			!packets_parse(bytes + link_len, h->caplen - link_len, ret))
			continue;
		ret->t_ns = (uint64_t)h->ts.tv_sec * 1000000000 + (uint64_t)h->ts.tv_usec;
		return true;
	}
}

/* For what knows processes but no ports: the times and ports to join them with. */
void packets_run(const struct observe_options *o)
{
	struct packet p;

	packets_open(o);
	observe_ready();
	while (observe_wait(packets_fd(), -1)) {
		while (packets_next(&p))
			observe_report(p.t_ns, p.proto, p.sport, 0, (uid_t)-1);
	}
}
