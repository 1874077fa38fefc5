/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The set of network namespaces: numbers, who has which address, letting go. The sockets given to
 * it are all of our own namespace: what it is told of them is what counts here.
 */
#include "enrich/netns.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

static const uint8_t loopback[16] = {[10] = 0xff, 0xff, 127, 0, 0, 1};

static int netlink(int protocol)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		tap_bail("no netlink socket");
	return fd;
}

static int add(struct netns_set *s, uint64_t inode, uint16_t captured, const char *path,
	size_t *ret_number)
{
	struct handover_netns_entry e = {
		.inode = inode, .pid = (uint32_t)getpid(), .captured = captured};
	int fds[2] = {netlink(NETLINK_SOCK_DIAG), netlink(NETLINK_ROUTE)};
	int r;

	snprintf(e.path, sizeof(e.path), "%s", path);
	r = netns_set_add(s, &e, fds, true, ret_number);
	if (r)
		tap_ok(close(fds[0]) < 0 && close(fds[1]) < 0, "its sockets are closed");
	return r;
}

static uint32_t heir_pid;
static uint64_t heir_asked;

static uint32_t heir(void *arg, uint64_t inode)
{
	(void)arg;
	heir_asked = inode;
	return heir_pid;
}

/* Found through a process that ends, while others may still be in there. */
static void test_heir(struct netns_set *s)
{
	struct handover_netns_entry e = {.inode = 2001};
	int fds[2] = {netlink(NETLINK_SOCK_DIAG), netlink(NETLINK_ROUTE)};
	pid_t child = fork();
	size_t number = 0;

	if (child == 0)
		_exit(0);
	e.pid = (uint32_t)child;
	if (netns_set_add(s, &e, fds, true, &number) < 0)
		tap_bail("no namespace");
	netns_set_tidy(s, heir, NULL);
	tap_ok(netns_at(s, number) && !heir_asked,
		"while its process is there nobody else is asked for");
	waitpid(child, NULL, 0);
	heir_pid = (uint32_t)getpid();
	netns_set_tidy(s, heir, NULL);
	tap_ok(netns_at(s, number) && heir_asked == 2001, "then it stays for another one in there");
	heir_asked = 0;
	heir_pid = 0;
	netns_set_tidy(s, heir, NULL);
	tap_ok(netns_at(s, number) && !heir_asked, "as long as that one is there");
	((struct netns *)(uintptr_t)netns_at(s, number))->entry.pid = (uint32_t)child;
	netns_set_tidy(s, heir, NULL);
	tap_ok(!netns_at(s, number), "and is let go with the last");
}

/* Whoever sends sockets of other kinds could answer in the kernel's place, or never. */
static void test_other_kinds(struct netns_set *s)
{
	const struct handover_netns_entry e = {.inode = 1004, .pid = 1};
	size_t number;
	int pipes[2], pair[2];

	if (pipe(pipes) || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair))
		tap_bail("no descriptors");
	close(pair[1]);
	close(pipes[1]);
	tap_ok(netns_set_add(s, &e, (int[]){pipes[0], netlink(NETLINK_ROUTE)}, true, &number) < 0,
		"a pipe is not asked for sockets");
	tap_ok(netns_set_add(s, &e, (int[]){netlink(NETLINK_SOCK_DIAG), pair[0]}, true, &number) <
			0,
		"a unix socket is not asked for addresses");
	tap_ok(close(pipes[0]) < 0 && close(pair[0]) < 0, "both are closed");
}

int main(void)
{
	struct netns_set *s;
	struct links *links;
	const uint8_t *addr = NULL;
	const uint16_t *numbers;
	struct stat st;
	size_t one = 0, two = 0, n, owners;

	if (links_new(&links) < 0 || netns_set_new(1000, links, NULL, &s) < 0)
		tap_bail("no set");
	tap_ok(netns_at(s, 0)->inode == 1000 && netns_end(s) == 1, "our own is number 0");
	tap_is_int(netns_holders(s, loopback, &numbers), 0, "loopback leads nowhere");
	for (size_t i = 0; i < links_count(links); i++)
		if (memcmp(links_address(links, i), loopback, 13) != 0 &&
			links_address(links, i)[0] == 0)
			addr = links_address(links, i);
	owners = addr ? netns_holders(s, addr, &numbers) : 0;
	tap_is_int(owners, addr != NULL, "an address of our own is held by it");

	tap_is_int(add(s, 1001, 0, "", &one), 0, "another");
	tap_ok(!netns_captured_elsewhere(s), "nobody captures there");
	tap_is_int(add(s, 1002, 7, "/run/netns/flowner-no-such", &two), 0, "and one captured in");
	tap_ok(netns_captured_elsewhere(s), "somebody does");
	tap_ok(one == 1 && two == 2 && netns_end(s) == 3, "they have numbers");
	tap_ok(netns_captured(s, 7) == netns_at(s, two), "found by what its packets carry");
	tap_ok(!netns_captured(s, 8) && !netns_captured(s, 9999), "others are not known");
	tap_ok(netns_by_inode(s, 1001) == netns_at(s, one) && !netns_by_inode(s, 5), "by inode");
	tap_ok(netns_number(s, netns_at(s, two)) == two, "and back");
	tap_is_str(netns_name(netns_at(s, two)), "flowner-no-such", "a short name");
	n = addr ? netns_holders(s, addr, &numbers) : 0;
	tap_is_int(n, 3 * owners, "one address, three namespaces");
	tap_ok(add(s, 1001, 0, "", &one) < 0, "not twice");
	tap_ok(add(s, 1003, 64, "", &one) < 0, "nor with a number that no packet can carry");
	test_other_kinds(s);

	netns_set_tidy(s, heir, NULL);
	tap_ok(!netns_at(s, two) && !netns_captured(s, 7) && !netns_captured_elsewhere(s),
		"without its mount it is let go");
	tap_ok(netns_at(s, 1), "with its process it stays");
	n = addr ? netns_holders(s, addr, &numbers) : 0;
	tap_is_int(n, 2 * owners, "and its addresses went with it");
	if (stat("/proc/self/ns/net", &st) < 0)
		tap_bail("no /proc");
	tap_is_int(add(s, st.st_ino, 1, "/proc/self/ns/net", &two), 0, "one at a path");
	netns_set_tidy(s, heir, NULL);
	tap_ok(netns_captured(s, 1), "stays while the path is that namespace");
	test_heir(s);
	netns_set_read(s);
	netns_set_clear(s);
	tap_ok(netns_end(s) == 1 && !netns_captured(s, 1), "cleared");
	netns_set_free(s);
	netns_set_free(NULL);
	links_free(links);
	return tap_done();
}
