/* SPDX-License-Identifier: Apache-2.0 */
/* Community ID against the flows that its specification publishes. */
#include "tap.h"

#include <arpa/inet.h>

#include "sink/community-id.h"

/* github.com/corelight/community-id-spec, baseline of seed 0; ICMP: type and counterpart or code.
 */
static const struct {
	uint8_t proto;
	const char *orig, *resp;
	uint16_t orig_port, resp_port;
	const char *id;
} EXAMPLES[] = {
	{58, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 135, 136,
		"1:dGHyGvjMfljg6Bppwm3bg0LO8TY="},
	{58, "fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 136, 135,
		"1:dGHyGvjMfljg6Bppwm3bg0LO8TY="},
	{58, "fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 135, 136,
		"1:zavyT/cezQr1fmImYCwYnMXbgck="},
	{58, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 136, 135,
		"1:zavyT/cezQr1fmImYCwYnMXbgck="},
	{58, "3ffe:501:1800:2345::2", "3ffe:507:0:1:200:86ff:fe05:80da", 3, 0,
		"1:2ObVBgIn28oZvibYZhZMBgh7WdQ="},
	{58, "3ffe:501:410:0:2c0:dfff:fe47:33e", "3ffe:507:0:1:200:86ff:fe05:80da", 1, 4,
		"1:hLZd0XGWojozrvxqE0dWB1iM6R0="},
	{58, "3ffe:507:0:1:200:86ff:fe05:80da", "3ffe:501:0:1001::2", 128, 129,
		"1:+TW+HtLHvV1xnGhV1lv7XoJrqQg="},
	{58, "3ffe:501:0:1001::2", "3ffe:507:0:1:200:86ff:fe05:80da", 129, 128,
		"1:+TW+HtLHvV1xnGhV1lv7XoJrqQg="},
	{58, "fe80::200:86ff:fe05:80da", "ff02::2", 133, 134, "1:hO+sN4H+MG5MY/8hIrXPqc4ZQz0="},
	{58, "fe80::260:97ff:fe07:69ea", "ff02::1", 134, 133, "1:pkvHqCL88/tg1k4cPigmZXUtL00="},
	{1, "192.168.0.89", "192.168.0.1", 8, 0, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="},
	{1, "192.168.0.1", "192.168.0.89", 0, 8, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="},
	{1, "10.0.0.1", "10.0.0.2", 11, 0, "1:YHxtAirCG//0OzkcVAukqKQN9xM="},
	{6, "2001:470:e5bf:dead:4957:2174:e82c:4887", "2607:f8b0:400c:c03::1a", 63943, 25,
		"1:/qFaeAR+gFe1KYjMzVDsMv+wgU4="},
	{6, "2607:f8b0:400c:c03::1a", "2001:470:e5bf:dead:4957:2174:e82c:4887", 25, 63943,
		"1:/qFaeAR+gFe1KYjMzVDsMv+wgU4="},
	{132, "192.168.170.8", "192.168.170.56", 7, 7, "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs="},
	{132, "192.168.170.56", "192.168.170.8", 7, 7, "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs="},
	{6, "128.232.110.120", "66.35.250.204", 34855, 80, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
	{6, "66.35.250.204", "128.232.110.120", 80, 34855, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
	{17, "192.168.1.52", "8.8.8.8", 54585, 53, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="},
	{17, "8.8.8.8", "192.168.1.52", 53, 54585, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="},
	{46, "10.1.12.1", "10.1.12.2", 0, 0, "1:KHlLkgoJW7ifUTyTSgyVfkFHzKw="},
	{46, "10.1.12.2", "10.1.12.1", 0, 0, "1:KHlLkgoJW7ifUTyTSgyVfkFHzKw="},
	{6, "1.2.3.4", "5.6.7.8", 1122, 3344, "1:wCb3OG7yAFWelaUydu0D+125CLM="},
};

static void set_addr(struct record *r, uint8_t addr[16], const char *text)
{
	memset(addr, 0, 16);
	r->family = strchr(text, ':') ? 6 : 4;
	if (r->family == 4)
		addr[10] = addr[11] = 0xff;
	inet_pton(r->family == 6 ? AF_INET6 : AF_INET, text, r->family == 6 ? addr : addr + 12);
}

/* The published ICMP rows name the counterpart; a packet has type and code. */
static uint16_t code_of(unsigned i)
{
	bool one_way = EXAMPLES[i].proto == IPPROTO_ICMP ? EXAMPLES[i].orig_port == 11
							 : EXAMPLES[i].orig_port < 128;

	return one_way ? EXAMPLES[i].resp_port : 0;
}

static void test_examples(void)
{
	static struct record r;
	char id[COMMUNITY_ID_MAX];

	for (unsigned i = 0; i < sizeof(EXAMPLES) / sizeof(EXAMPLES[0]); i++) {
		bool icmp =
			EXAMPLES[i].proto == IPPROTO_ICMP || EXAMPLES[i].proto == IPPROTO_ICMPV6;

		r.proto = EXAMPLES[i].proto;
		set_addr(&r, r.orig_addr, EXAMPLES[i].orig);
		set_addr(&r, r.resp_addr, EXAMPLES[i].resp);
		r.orig_port = EXAMPLES[i].orig_port;
		r.resp_port = icmp ? code_of(i) : EXAMPLES[i].resp_port;
		tap_is_int(community_id(&r, id), strlen(id), "its length");
		tap_is_str(id, EXAMPLES[i].id, "%u: %s -> %s", EXAMPLES[i].proto, EXAMPLES[i].orig,
			EXAMPLES[i].resp);
	}
}

/* Whoever is called originator, where the protocol has ports. */
static void test_directions(void)
{
	static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP};
	static const char *const addrs[] = {"10.0.0.1", "10.0.0.2", "fe80::1", "2001:db8::1"};
	static struct record r, back;
	char id[COMMUNITY_ID_MAX], id_back[COMMUNITY_ID_MAX];
	unsigned differ = 0;

	for (unsigned k = 0; k < sizeof(protos); k++)
		for (unsigned i = 0; i < 4; i++)
			for (uint16_t port = 79; port <= 81; port++) {
				r.proto = back.proto = protos[k];
				set_addr(&r, r.orig_addr, addrs[i]);
				set_addr(&r, r.resp_addr, addrs[i & 2]);
				r.orig_port = port;
				r.resp_port = 80;
				back.family = r.family;
				memcpy(back.orig_addr, r.resp_addr, 16);
				memcpy(back.resp_addr, r.orig_addr, 16);
				back.orig_port = r.resp_port;
				back.resp_port = r.orig_port;
				community_id(&r, id);
				community_id(&back, id_back);
				differ += strcmp(id, id_back) != 0;
			}
	tap_is_int(differ, 0, "both directions have one ID");
}

/* The last ID is kept: that of another connection must not be taken for it. */
static void test_kept(void)
{
	char first[COMMUNITY_ID_MAX], other[COMMUNITY_ID_MAX], again[COMMUNITY_ID_MAX];
	struct record r = {.family = 4, .proto = IPPROTO_TCP, .orig_port = 1, .resp_port = 2};

	community_id(&r, first);
	community_id(&r, again);
	tap_is_str(again, first, "the same twice");
	r.proto = IPPROTO_UDP;
	community_id(&r, other);
	tap_ok(strcmp(other, first) != 0, "another protocol between the same ends");
	r.family = 6;
	community_id(&r, again);
	tap_ok(strcmp(again, other) != 0, "another family");
	r.family = 4;
	r.proto = IPPROTO_TCP;
	community_id(&r, again);
	tap_is_str(again, first, "the first again");
}

int main(void)
{
	test_examples();
	test_directions();
	test_kept();
	return tap_done();
}
