/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and interface names, with the other end of a socket pair as the kernel. */
#include "enrich/links.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "enrich/netns.h"
#include "tap.h"

static int ours, kernel;

struct message {
	_Alignas(8) uint8_t bytes[512];
	size_t len;
};

static struct message message(uint16_t type, uint32_t seq, const void *head, size_t len)
{
	struct message m = {.len = NLMSG_SPACE(len)};
	struct nlmsghdr h = {
		.nlmsg_len = (uint32_t)NLMSG_LENGTH(len), .nlmsg_type = type, .nlmsg_seq = seq};

	memcpy(m.bytes, &h, sizeof(h));
	if (len)
		memcpy(m.bytes + NLMSG_HDRLEN, head, len);
	return m;
}

static void attribute(struct message *m, uint16_t type, const void *value, size_t len)
{
	struct rtattr a = {.rta_len = (uint16_t)RTA_LENGTH(len), .rta_type = type};

	memcpy(m->bytes + m->len, &a, sizeof(a));
	memcpy(m->bytes + m->len + RTA_LENGTH(0), value, len);
	m->len += RTA_SPACE(len);
	((struct nlmsghdr *)(void *)m->bytes)->nlmsg_len = (uint32_t)m->len;
}

static void tell(const struct message *m)
{
	if (send(kernel, m->bytes, m->len, 0) != (ssize_t)m->len)
		tap_bail("send");
}

/* @type is RTM_NEWADDR or RTM_DELADDR; @peer NULL = no point-to-point link. */
static struct message address(uint16_t type, unsigned ifindex, const char *text, const char *peer)
{
	bool v6 = strchr(text, ':');
	struct ifaddrmsg head = {.ifa_family = v6 ? AF_INET6 : AF_INET, .ifa_index = ifindex};
	struct message m = message(type, 0, &head, sizeof(head));
	uint8_t addr[16];

	if (inet_pton(head.ifa_family, peer ? peer : text, addr) != 1)
		tap_bail(text);
	attribute(&m, IFA_ADDRESS, addr, v6 ? 16 : 4);
	if (peer && inet_pton(head.ifa_family, text, addr) == 1)
		attribute(&m, IFA_LOCAL, addr, v6 ? 16 : 4);
	return m;
}

static struct message interface(uint16_t type, uint8_t family, int ifindex, const char *name)
{
	struct ifinfomsg head = {.ifi_family = family, .ifi_index = ifindex};
	struct message m = message(type, 0, &head, sizeof(head));

	attribute(&m, IFLA_IFNAME, name, strlen(name) + 1);
	return m;
}

/* Answers requests, with an old dump's end in between, until asked no more. */
static void *answer(void *arg)
{
	struct message m, request;

	(void)arg;
	for (;;) {
		const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)request.bytes;
		ssize_t n = recv(kernel, request.bytes, sizeof(request.bytes), 0);

		if (n < (ssize_t)sizeof(*h))
			return NULL;
		m = message(NLMSG_DONE, h->nlmsg_seq - 1, NULL, 0);
		tell(&m);
		if (h->nlmsg_type == RTM_GETLINK) {
			m = interface(RTM_NEWLINK, AF_UNSPEC, 1, "lo");
			tell(&m);
			m = interface(RTM_NEWLINK, AF_UNSPEC, 7, "eth0");
			tell(&m);
		} else {
			/* In no order, and one twice. */
			m = address(RTM_NEWADDR, 7, "2001:db8::1", NULL);
			tell(&m);
			m = address(RTM_NEWADDR, 7, "10.0.0.1", "10.0.0.2");
			tell(&m);
			m = address(RTM_NEWADDR, 7, "2001:db8::1", NULL);
			tell(&m);
		}
		m = message(NLMSG_DONE, h->nlmsg_seq, NULL, 0);
		tell(&m);
	}
}

static struct links *open_links(void)
{
	struct links *l = NULL;
	pthread_t thread;
	int r;

	if (pthread_create(&thread, NULL, answer, NULL))
		tap_bail("no thread");
	r = links_new_from(ours, &l);
	if (r)
		tap_bail("no links");
	/* Enough to be asked no more. */
	if (send(ours, "", 1, 0) != 1)
		tap_bail("send");
	pthread_join(thread, NULL);
	return l;
}

static bool is_local(const struct links *l, const char *text)
{
	uint8_t addr[16] = {[10] = 0xff, [11] = 0xff};

	if (inet_pton(AF_INET, text, addr + 12) != 1 && inet_pton(AF_INET6, text, addr) != 1)
		tap_bail(text);
	return links_is_local(l, addr);
}

static void hear(struct links *l, struct message m)
{
	tell(&m);
	if (links_read(l))
		tap_bail("links_read");
}

static void test_dump(const struct links *l)
{
	tap_ok(is_local(l, "10.0.0.1"), "the own end of a point-to-point link is ours");
	tap_ok(!is_local(l, "10.0.0.2"), "the other is not");
	tap_ok(is_local(l, "2001:db8::1"), "an IPv6 address");
	tap_ok(!is_local(l, "10.9.9.9"), "what was left in the socket before is not read");
	tap_ok(is_local(l, "127.8.8.8") && !is_local(l, "::1"), "127/8 is, whoever says so");
	tap_is_int((long long)links_count(l), 2, "two addresses");
	tap_is_str(links_name(l, 7), "eth0", "an interface");
	tap_ok(!links_name(l, 8), "another there is not");
}

static void test_changes(struct links *l)
{
	bool changed = false;

	links_watch(l, &changed);
	hear(l, address(RTM_NEWADDR, 7, "10.0.0.3", NULL));
	tap_ok(is_local(l, "10.0.0.3") && changed, "an address comes");
	changed = false;
	hear(l, address(RTM_NEWADDR, 7, "10.0.0.3", NULL));
	tap_ok(!changed, "told twice it is no other");
	hear(l, address(RTM_NEWADDR, 7, "10.0.0.4", NULL));
	changed = false;
	hear(l, address(RTM_DELADDR, 7, "10.0.0.4", NULL));
	tap_ok(changed, "one goes");
	changed = false;
	links_watch(l, NULL);
	hear(l, address(RTM_NEWADDR, 7, "10.0.0.4", NULL));
	tap_ok(!changed, "nobody wants to know");
	hear(l, address(RTM_DELADDR, 7, "10.0.0.4", NULL));
	hear(l, address(RTM_NEWADDR, 8, "10.0.0.3", NULL));
	hear(l, address(RTM_DELADDR, 7, "10.0.0.3", NULL));
	tap_ok(is_local(l, "10.0.0.3"), "on two interfaces it stays until it has gone from both");
	hear(l, address(RTM_DELADDR, 8, "10.0.0.3", NULL));
	tap_ok(!is_local(l, "10.0.0.3"), "and goes");
	hear(l, interface(RTM_NEWLINK, AF_UNSPEC, 7, "wan"));
	tap_is_str(links_name(l, 7), "wan", "another name");
	hear(l, interface(RTM_DELLINK, AF_BRIDGE, 7, "wan"));
	tap_is_str(links_name(l, 7), "wan", "leaving a bridge is not leaving");
	hear(l, interface(RTM_DELLINK, AF_UNSPEC, 7, "wan"));
	tap_ok(!links_name(l, 7), "this is");
}

/* Who has an address is looked up in a table of all namespaces, which has to follow. */
static void test_holders(struct links *l)
{
	const uint8_t addr[16] = {[10] = 0xff, [11] = 0xff, 10, 0, 0, 5};
	const uint16_t *numbers;
	struct netns_set *s;

	if (netns_set_new(1000, l, NULL, &s))
		tap_bail("no set");
	tap_is_int((long long)netns_holders(s, addr, &numbers), 0, "nobody has it");
	hear(l, address(RTM_NEWADDR, 7, "10.0.0.5", NULL));
	tap_is_int((long long)netns_holders(s, addr, &numbers), 1, "it came to one");
	hear(l, address(RTM_DELADDR, 7, "10.0.0.5", NULL));
	tap_is_int((long long)netns_holders(s, addr, &numbers), 0, "and went");
	netns_set_free(s);
	hear(l, address(RTM_NEWADDR, 7, "10.0.0.5", NULL));
	hear(l, address(RTM_DELADDR, 7, "10.0.0.5", NULL));
	tap_ok(links_count(l) == 2, "whom nobody watches goes on alone");
}

/* Nonsense changes nothing, and is not read past its end. */
static void test_nonsense(struct links *l)
{
	struct message m = address(RTM_NEWADDR, 7, "10.0.0.4", NULL);
	struct nlmsghdr *h = (struct nlmsghdr *)(void *)m.bytes;
	const uint32_t whole = h->nlmsg_len;
	bool any = false;

	for (uint32_t len = 0; len < whole; len++) {
		m.len = len;
		h->nlmsg_len = len;
		if (len) /* an empty message is the end of it all */
			hear(l, m);
		h->nlmsg_len = whole;
		if (len)
			hear(l, m);
		any |= is_local(l, "10.0.0.4");
	}
	m.len = whole;
	h->nlmsg_len = UINT32_MAX;
	hear(l, m);
	tap_ok(!any && !is_local(l, "10.0.0.4"), "cut at every byte, or longer than it is");
	h->nlmsg_len = whole;
	hear(l, m);
	tap_ok(is_local(l, "10.0.0.4"), "whole it counts");
}

static void test_gone(void)
{
	struct links *l = NULL;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair))
		tap_bail("socketpair");
	close(pair[1]);
	tap_ok(links_new_from(pair[0], &l) < 0 && !l, "nobody at the other end: no links");
	tap_ok(close(pair[0]) < 0 && errno == EBADF, "and the socket is closed");
}

int main(void)
{
	struct message old;
	struct links *l;
	int pair[2];

	signal(SIGPIPE, SIG_IGN);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair))
		tap_bail("socketpair");
	ours = pair[0];
	kernel = pair[1];
	old = address(RTM_NEWADDR, 7, "10.9.9.9", NULL);
	tell(&old);
	l = open_links();
	test_dump(l);
	test_changes(l);
	test_holders(l);
	test_nonsense(l);
	close(kernel);
	tap_ok(links_read(l) < 0, "an end of file is an error");
	links_free(l);
	test_gone();
	return tap_done();
}
