/* SPDX-License-Identifier: Apache-2.0 */
/* The host's addresses and interface names from rtnetlink. */
#include "enrich/links.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "enrich/address.h"
#include "enrich/netlink.h"

#define RECEIVE_SIZE  65536u
#define ADDRESSES_MAX 65536u
#define NAMES_MAX     65536u
#define AT_ONCE       1024u /* notifications read in one go */

struct address {
	uint8_t addr[16];
	uint32_t ifindex; /* the same address may be on two interfaces */
};

struct name {
	uint32_t ifindex;
	bool counted; /* the next two are set */
	uint64_t received, sent;
	char name[IF_NAMESIZE];
};

struct links {
	int fd;
	uint32_t seq;
	bool *changed; /* who wants to know; NULL = nobody */
	size_t n_addresses, room_addresses;
	struct address *address; /* sorted */
	size_t n_names, room_names;
	struct name *name;                /* sorted by index */
	uint64_t traffic, received, sent; /* the latter two in the dump that runs */
	bool traffic_known;
	bool overrun; /* notifications were lost, read all again */
	bool bulk;    /* the two arrays are sorted once all is there */
};

/* One for all: there is one thread, and up to hundreds of namespaces. */
static _Alignas(8) char received[RECEIVE_SIZE];

static int compare_address(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct address));
}

static int compare_name(const void *a, const void *b)
{
	uint32_t x = ((const struct name *)a)->ifindex, y = ((const struct name *)b)->ifindex;

	return x < y ? -1 : x > y;
}

/* Makes room for one more at the end; false = full or out of memory. */
static bool grow(void **array, size_t n, size_t *room, size_t size, size_t max)
{
	size_t more = *room ? *room * 2 : 16;
	void *bigger;

	if (n < *room)
		return true;
	if (n >= max)
		return false;
	bigger = realloc(*array, more * size);
	if (!bigger)
		return false;
	*array = bigger;
	*room = more;
	return true;
}

static void tell(struct links *l)
{
	if (l->changed)
		*l->changed = true;
}

typedef int (*compare_fn)(const void *, const void *);

/* Where @what stands, or belongs, in a sorted array. */
static size_t place_of(
	const void *what, const void *array, size_t n, size_t size, compare_fn compare)
{
	size_t low = 0;

	while (low < n) {
		size_t middle = low + (n - low) / 2;

		if (compare((const char *)array + middle * size, what) < 0)
			low = middle + 1;
		else
			n = middle;
	}
	return low;
}

/* Sorts an array whose equals are one; returns how many are left. */
static size_t sort(void *array, size_t n, size_t size, compare_fn compare)
{
	char *to = array, *from = array;
	size_t left = 0;

	if (n)
		qsort(array, n, size, compare);
	for (size_t i = 0; i < n; i++)
		if (!left || compare(to + (left - 1) * size, from + i * size))
			memmove(to + left++ * size, from + i * size, size);
	return left;
}

/* In a dump that many may wait for, a place for each would take a second for 8,000. */
static void set_address(struct links *l, const struct address *a, bool there)
{
	size_t n = l->n_addresses, i = n;

	if (!l->bulk) {
		i = place_of(a, l->address, n, sizeof(*a), compare_address);
		if (there == (i < n && !compare_address(&l->address[i], a)))
			return;
	}
	tell(l);
	if (!there && l->bulk) {
		l->overrun = true;
	} else if (!there) {
		memmove(&l->address[i], &l->address[i + 1], (n - i - 1) * sizeof(*a));
		l->n_addresses--;
	} else if (grow((void **)&l->address, n, &l->room_addresses, sizeof(*a), ADDRESSES_MAX)) {
		memmove(&l->address[i + 1], &l->address[i], (n - i) * sizeof(*a));
		l->address[i] = *a;
		l->n_addresses++;
	}
}

static void set_name(struct links *l, const struct name *a, bool there)
{
	size_t n = l->n_names, i = n;
	bool known = false;

	if (!l->bulk) {
		i = place_of(a, l->name, n, sizeof(*a), compare_name);
		known = i < n && !compare_name(&l->name[i], a);
	}
	if (known && there) {
		memcpy(l->name[i].name, a->name, sizeof(a->name));
	} else if (known) {
		memmove(&l->name[i], &l->name[i + 1], (n - i - 1) * sizeof(*a));
		l->n_names--;
	} else if (!there) {
		l->overrun |= l->bulk;
	} else if (grow((void **)&l->name, n, &l->room_names, sizeof(*a), NAMES_MAX)) {
		memmove(&l->name[i + 1], &l->name[i], (n - i) * sizeof(*a));
		l->name[i] = *a;
		l->n_names++;
	}
}

static void on_address(struct links *l, const struct nlmsghdr *h, bool there)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);
	const struct nlattr *attr, *best = NULL;
	struct address a = {0};
	size_t len;

	if (h->nlmsg_len < MNL_NLMSG_HDRLEN + sizeof(*m))
		return;
	/* IFA_LOCAL is the own end of a point-to-point link, IFA_ADDRESS then the other. */
	mnl_attr_for_each(attr, h, sizeof(*m))
	{
		uint16_t type = mnl_attr_get_type(attr);

		if (type == IFA_LOCAL || (type == IFA_ADDRESS && !best))
			best = attr;
	}
	len = best ? mnl_attr_get_payload_len(best) : 0;
	if (m->ifa_family == AF_INET && len == 4) {
		a.addr[10] = a.addr[11] = 0xff;
		memcpy(a.addr + 12, mnl_attr_get_payload(best), 4);
	} else if (m->ifa_family == AF_INET6 && len == 16) {
		memcpy(a.addr, mnl_attr_get_payload(best), 16);
	} else {
		return;
	}
	a.ifindex = m->ifa_index;
	set_address(l, &a, there);
}

static void on_link(struct links *l, const struct nlmsghdr *h, bool there)
{
	const struct ifinfomsg *m = mnl_nlmsg_get_payload(h);
	struct name n = {0};
	const struct nlattr *attr;

	/* AF_BRIDGE messages tell of a port leaving its bridge, not of the link. */
	if (h->nlmsg_len < MNL_NLMSG_HDRLEN + sizeof(*m) || m->ifi_family != AF_UNSPEC)
		return;
	n.ifindex = (uint32_t)m->ifi_index;
	mnl_attr_for_each(attr, h, sizeof(*m))
	{
		size_t len = mnl_attr_get_payload_len(attr);

		if (mnl_attr_get_type(attr) == IFLA_IFNAME && len && len <= sizeof(n.name))
			memcpy(n.name, mnl_attr_get_payload(attr), len - 1);
	}
	set_name(l, &n, there);
}

/* Bytes from @from to @to of a counter that begins anew when its driver is reset. */
static uint64_t counter_delta(uint64_t from, uint64_t to)
{
	return to >= from ? to - from : to;
}

static void on_stats(struct links *l, const struct nlmsghdr *h)
{
	const struct if_stats_msg *m = mnl_nlmsg_get_payload(h);
	struct rtnl_link_stats64 stats = {0};
	struct name key = {0}, *at = NULL;
	const struct nlattr *attr;

	if (h->nlmsg_len < MNL_NLMSG_HDRLEN + sizeof(*m))
		return;
	key.ifindex = m->ifindex;
	if (l->n_names)
		at = bsearch(&key, l->name, l->n_names, sizeof(key), compare_name);
	mnl_attr_for_each(attr, h, sizeof(*m))
	{
		size_t len = mnl_attr_get_payload_len(attr);

		if (mnl_attr_get_type(attr) == IFLA_STATS_LINK_64)
			memcpy(&stats, mnl_attr_get_payload(attr),
				len < sizeof(stats) ? len : sizeof(stats));
	}
	/* One that is new since the last dump has carried all this since then. */
	if (at && at->counted) {
		l->received += counter_delta(at->received, stats.rx_bytes);
		l->sent += counter_delta(at->sent, stats.tx_bytes);
	} else if (l->traffic_known) {
		l->received += stats.rx_bytes;
		l->sent += stats.tx_bytes;
	}
	if (at) {
		at->counted = true;
		at->received = stats.rx_bytes;
		at->sent = stats.tx_bytes;
	}
}

/* Takes in @len bytes; true = a dump numbered @seq ended in them. */
static bool take_in(struct links *l, size_t len, uint32_t seq)
{
	const struct nlmsghdr *h = (const struct nlmsghdr *)received;
	int left = (int)len;
	bool done = false;

	for (; left > 0 && netlink_ok(h, (size_t)left); h = mnl_nlmsg_next(h, &left)) {
		/* Of what was read meanwhile some may be missing. */
		l->overrun |= l->bulk && h->nlmsg_flags & NLM_F_DUMP_INTR && h->nlmsg_seq == seq;
		switch (h->nlmsg_type) {
		case RTM_NEWADDR:
		case RTM_DELADDR:
			on_address(l, h, h->nlmsg_type == RTM_NEWADDR);
			break;
		case RTM_NEWLINK:
		case RTM_DELLINK:
			on_link(l, h, h->nlmsg_type == RTM_NEWLINK);
			break;
		case RTM_NEWSTATS:
			on_stats(l, h);
			break;
		case NLMSG_DONE:
		case NLMSG_ERROR:
			done |= h->nlmsg_seq == seq;
			break;
		default: /* the kernel's types, not ours */
			break;
		}
	}
	return done;
}

static ssize_t receive(struct links *l, int flags)
{
	return netlink_take(l->fd, received, RECEIVE_SIZE, flags);
}

static int dump(struct links *l, uint16_t type)
{
	char buf[64] = {0};
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct if_stats_msg *stats;
	struct rtgenmsg *g;
	ssize_t n;

	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	h->nlmsg_seq = ++l->seq;
	if (type == RTM_GETSTATS) {
		stats = mnl_nlmsg_put_extra_header(h, sizeof(*stats));
		stats->filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64);
	} else {
		g = mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
		g->rtgen_family = AF_UNSPEC;
	}
	if (netlink_send(l->fd, h, h->nlmsg_len) < 0)
		return -errno;
	do {
		n = receive(l, 0);
		if (n < 0 && n != -ENOBUFS)
			return (int)n;
		l->overrun |= n == -ENOBUFS;
	} while (n < 0 || !take_in(l, (size_t)n, l->seq));
	return 0;
}

static int read_all(struct links *l)
{
	int e;

	l->n_addresses = l->n_names = 0;
	l->overrun = false; /* what interfaces had carried is forgotten: counted twice, not lost */
	tell(l);
	l->bulk = true;
	e = dump(l, RTM_GETLINK);
	if (!e)
		e = dump(l, RTM_GETADDR);
	l->bulk = false;
	l->n_addresses = sort(l->address, l->n_addresses, sizeof(*l->address), compare_address);
	l->n_names = sort(l->name, l->n_names, sizeof(*l->name), compare_name);
	l->overrun |= e != 0;
	return e;
}

/* Takes @fd. */
static int links_init(int fd, struct links **ret)
{
	struct links *l = calloc(1, sizeof(*l));
	ssize_t n;
	int e;

	if (!l) {
		close(fd);
		return -ENOMEM;
	}
	l->fd = fd;
	/* What an earlier reader of this socket left, an unfinished dump for instance. */
	do {
		n = receive(l, MSG_DONTWAIT);
	} while (n > 0 || n == -ENOBUFS);
	e = n == -EAGAIN ? read_all(l) : (int)n;
	if (e) {
		links_free(l);
		return e;
	}
	*ret = l;
	return 0;
}

int links_new(struct links **ret)
{
	const unsigned groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
	int fd = netlink_open(NETLINK_ROUTE, groups);

	return fd < 0 ? fd : links_init(fd, ret);
}

int links_new_from(int fd, struct links **ret)
{
	return links_init(fd, ret);
}

void links_free(struct links *l)
{
	if (!l)
		return;
	if (l->fd >= 0)
		close(l->fd);
	free(l->address);
	free(l->name);
	free(l);
}

int links_fd(const struct links *l)
{
	return l->fd;
}

int links_read(struct links *l)
{
	for (unsigned i = 0; i < AT_ONCE; i++) {
		ssize_t n = receive(l, MSG_DONTWAIT);

		if (n == -EAGAIN)
			return l->overrun ? read_all(l) : 0;
		if (n == -ENOBUFS)
			return read_all(l);
		if (n < 0)
			return (int)n;
		take_in(l, (size_t)n, 0);
	}
	return 0; /* there may be more: whoever makes them does not keep us from all else */
}

bool links_is_local(const struct links *l, const uint8_t addr[16])
{
	size_t low = 0, high = l->n_addresses;

	if (address_is_loopback4(addr))
		return true;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = address_order(l->address[middle].addr, addr);

		if (!order)
			return true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

void links_watch(struct links *l, bool *changed)
{
	l->changed = changed;
}

size_t links_count(const struct links *l)
{
	return l->n_addresses;
}

const uint8_t *links_address(const struct links *l, size_t i)
{
	return l->address[i].addr;
}

const char *links_name(const struct links *l, uint32_t ifindex)
{
	const struct name key = {.ifindex = ifindex};
	const struct name *n = NULL;

	if (l->n_names)
		n = bsearch(&key, l->name, l->n_names, sizeof(key), compare_name);
	return n && n->name[0] ? n->name : NULL;
}

int links_traffic(struct links *l, uint64_t *ret)
{
	int e;

	l->received = l->sent = 0;
	e = dump(l, RTM_GETSTATS);
	if (e)
		return e;
	l->traffic += l->received > l->sent ? l->received : l->sent;
	l->traffic_known = true;
	*ret = l->traffic;
	return 0;
}

size_t links_interfaces(const struct links *l)
{
	return l->n_names;
}
