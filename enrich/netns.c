/* SPDX-License-Identifier: Apache-2.0 */
/* The network namespaces that can be asked, and which addresses they have. */
#include "enrich/netns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/daemon.h"
#include "enrich/address.h"
#include "enrich/netlink.h"
#include "shm/packet.h"

#define NAMES "/run/netns/"
#define HOLDINGS_MAX                                                                               \
	131072u /* addresses of all namespaces together; those beyond are not known                \
		 */

struct holding {
	uint8_t addr[16];
	uint16_t number;
};

struct netns_set {
	size_t end;
	size_t tidied;              /* the number looked at last */
	struct netns at[NETNS_MAX]; /* links == NULL: free */
	uint16_t by_capture[PACKET_NETNS_MAX + 1];
	size_t n_captured;
	struct diag_stats gone;
	/* Addresses of all of them, sorted. */
	size_t n_holdings, room;
	struct holding *holding;
	uint16_t *numbers; /* of the holdings, for netns_holders() */
	bool stale;        /* an address or a namespace has come or gone since */
};

int netns_set_new(uint64_t inode, struct links *links, struct diag *diag, struct netns_set **ret)
{
	struct netns_set *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->at[0] = (struct netns){.inode = inode, .links = links, .diag = diag};
	s->end = 1;
	for (size_t i = 1; i <= PACKET_NETNS_MAX; i++)
		s->by_capture[i] = NETNS_NONE;
	s->stale = true;
	links_watch(links, &s->stale);
	*ret = s;
	return 0;
}

static void let_go(struct netns_set *s, size_t number)
{
	struct netns *n = &s->at[number];

	if (n->diag) {
		s->gone.requests += diag_stats(n->diag)->requests;
		s->gone.errors += diag_stats(n->diag)->errors;
	}
	if (n->entry.captured) {
		s->by_capture[n->entry.captured] = NETNS_NONE;
		s->n_captured--;
	}
	diag_free(n->diag);
	links_free(n->links);
	*n = (struct netns){0};
	s->stale = true;
	while (!s->at[s->end - 1].links)
		s->end--;
}

void netns_set_clear(struct netns_set *s)
{
	for (size_t i = s->end; i > 1; i--)
		if (s->at[i - 1].links)
			let_go(s, i - 1);
}

void netns_set_free(struct netns_set *s)
{
	if (!s)
		return;
	netns_set_clear(s);
	links_watch(s->at[0].links, NULL);
	free(s->holding);
	free(s->numbers);
	free(s);
}

static size_t free_number(const struct netns_set *s)
{
	size_t i = 1;

	while (i < s->end && s->at[i].links)
		i++;
	return i;
}

int netns_set_add(struct netns_set *s, const struct handover_netns_entry *e, const int fds[2],
	bool use_diag, size_t *ret)
{
	struct netns n = {.inode = e->inode, .entry = *e};
	size_t number = free_number(s);
	int r = 0;

	if (number == NETNS_MAX || e->captured > PACKET_NETNS_MAX || !e->inode ||
		netns_by_inode(s, e->inode) || !netlink_is(fds[0]) || !netlink_is(fds[1]))
		r = -EPROTO;
	if (r == 0 && use_diag)
		r = diag_new_from(fds[0], &n.diag);
	else
		close(fds[0]);
	if (r < 0) {
		close(fds[1]);
		return r;
	}
	r = links_new_from(fds[1], &n.links);
	if (r < 0) {
		links_free(n.links);
		diag_free(n.diag);
		return r;
	}
	links_watch(n.links, &s->stale);
	s->at[number] = n;
	if (number == s->end)
		s->end++;
	if (e->captured) {
		s->by_capture[e->captured] = (uint16_t)number;
		s->n_captured++;
	}
	s->stale = true;
	*ret = number;
	return 0;
}

void netns_set_read(struct netns_set *s)
{
	struct pollfd fds[NETNS_MAX];

	for (size_t i = 1; i < s->end; i++)
		fds[i] = (struct pollfd){
			.fd = s->at[i].links ? links_fd(s->at[i].links) : -1, .events = POLLIN};
	if (s->end == 1 || daemon_poll(fds + 1, s->end - 1, 0) <= 0)
		return;
	for (size_t i = 1; i < s->end; i++)
		if (fds[i].revents && s->at[i].links)
			(void)links_read(s->at[i].links);
}

void netns_set_tidy(struct netns_set *s, netns_heir_fn heir, void *arg)
{
	size_t left = s->end - 1 < NETNS_TIDY ? s->end - 1 : NETNS_TIDY;

	for (; left && s->end > 1; left--) {
		size_t i = s->tidied > 1 && s->tidied < s->end ? s->tidied - 1 : s->end - 1;
		struct netns *n = &s->at[i];

		s->tidied = i;
		if (!n->links || handover_netns_alive(&n->entry))
			continue;
		n->entry.pid = n->entry.captured ? 0 : heir(arg, n->inode);
		n->entry.path[0] = '\0';
		if (!n->entry.pid)
			let_go(s, i);
	}
}

const struct netns *netns_at(const struct netns_set *s, size_t number)
{
	return number < s->end && s->at[number].links ? &s->at[number] : NULL;
}

size_t netns_number(const struct netns_set *s, const struct netns *n)
{
	return (size_t)(n - s->at);
}

size_t netns_end(const struct netns_set *s)
{
	return s->end;
}

bool netns_captured_elsewhere(const struct netns_set *s)
{
	return s->n_captured != 0;
}

const struct netns *netns_captured(const struct netns_set *s, unsigned captured)
{
	return captured <= PACKET_NETNS_MAX ? netns_at(s, s->by_capture[captured]) : NULL;
}

const struct netns *netns_by_inode(const struct netns_set *s, uint64_t inode)
{
	for (size_t i = 0; inode && i < s->end; i++)
		if (s->at[i].links && s->at[i].inode == inode)
			return &s->at[i];
	return NULL;
}

const char *netns_name(const struct netns *n)
{
	const char *path = n->entry.path;

	return strncmp(path, NAMES, strlen(NAMES)) ? path : path + strlen(NAMES);
}

/* ---- who has which address ---- */

static int compare(const void *a, const void *b)
{
	const struct holding *x = a, *y = b;
	int order = address_order(x->addr, y->addr);

	return order ? order : (int)x->number - (int)y->number;
}

static bool is_loopback(const uint8_t addr[16])
{
	static const uint8_t loopback6[16] = {[15] = 1};

	return address_is_loopback4(addr) || !memcmp(addr, loopback6, sizeof(loopback6));
}

static bool make_room(struct netns_set *s, size_t n)
{
	struct holding *h;
	uint16_t *numbers;

	if (n <= s->room)
		return true;
	h = realloc(s->holding, n * sizeof(*h));
	if (!h)
		return false;
	s->holding = h;
	numbers = realloc(s->numbers, n * sizeof(*numbers));
	if (!numbers)
		return false;
	s->numbers = numbers;
	s->room = n;
	return true;
}

static void collect(struct netns_set *s)
{
	size_t total = 0, n = 0;

	for (size_t i = 0; i < s->end; i++)
		total += s->at[i].links ? links_count(s->at[i].links) : 0;
	s->stale = false;
	s->n_holdings = 0;
	if (!make_room(s, total < HOLDINGS_MAX ? total : HOLDINGS_MAX))
		return;
	for (size_t i = 0; i < s->end; i++) {
		const struct links *l = s->at[i].links;

		for (size_t j = 0; l && j < links_count(l) && n < s->room; j++) {
			const uint8_t *addr = links_address(l, j);

			if (is_loopback(addr))
				continue;
			memcpy(s->holding[n].addr, addr, sizeof(s->holding[n].addr));
			s->holding[n++].number = (uint16_t)i;
		}
	}
	if (n)
		qsort(s->holding, n, sizeof(*s->holding), compare);
	/* An address on two interfaces of one namespace is one. */
	for (size_t i = 0; i < n; i++)
		if (!s->n_holdings || compare(&s->holding[s->n_holdings - 1], &s->holding[i]))
			s->holding[s->n_holdings++] = s->holding[i];
	for (size_t i = 0; i < s->n_holdings; i++)
		s->numbers[i] = s->holding[i].number;
}

size_t netns_holders(struct netns_set *s, const uint8_t addr[16], const uint16_t **ret)
{
	size_t low = 0, high, n = 0;

	if (s->stale)
		collect(s);
	high = s->n_holdings;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (address_order(s->holding[middle].addr, addr) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	while (low + n < s->n_holdings && !address_order(s->holding[low + n].addr, addr))
		n++;
	*ret = n ? &s->numbers[low] : NULL;
	return n;
}

struct diag_stats netns_diag_stats(const struct netns_set *s)
{
	struct diag_stats sum = s->gone;

	for (size_t i = 1; i < s->end; i++) {
		if (!s->at[i].diag)
			continue;
		sum.requests += diag_stats(s->at[i].diag)->requests;
		sum.errors += diag_stats(s->at[i].diag)->errors;
	}
	return sum;
}
