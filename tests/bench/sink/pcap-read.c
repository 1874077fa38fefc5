/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What reading a file takes without writing anything, for tests/bench/offline.py:
 *
 *	pcap-read loop FILE	all packets with pcap_loop(3): the limit
 *	pcap-read decode FILE	the same, and flowner's decoder on each
 *
 * Prints how many packets there were, and how many were understood.
 */
#include <pcap.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "enrich/decode.h"

static uint64_t packets, understood;
static uint16_t dlt;

static void count(u_char *arg, const struct pcap_pkthdr *h, const u_char *data)
{
	(void)arg, (void)h, (void)data;
	packets++;
}

static void decode(u_char *arg, const struct pcap_pkthdr *h, const u_char *data)
{
	struct decoded d;

	(void)arg;
	packets++;
	understood += decode_packet(dlt, data, h->caplen, h->len, &d) == DECODE_OK;
}

int main(int argc, char **argv)
{
	char err[PCAP_ERRBUF_SIZE];
	pcap_t *p;

	if (argc != 3)
		return 64;
	p = pcap_open_offline_with_tstamp_precision(argv[2], PCAP_TSTAMP_PRECISION_NANO, err);
	if (!p) {
		fprintf(stderr, "pcap-read: %s\n", err);
		return 1;
	}
	dlt = (uint16_t)pcap_datalink(p);
	if (pcap_loop(p, -1, strcmp(argv[1], "decode") ? count : decode, NULL) < 0) {
		pcap_perror(p, "pcap-read");
		return 1;
	}
	printf("%llu %llu\n", (unsigned long long)packets, (unsigned long long)understood);
	return 0;
}
