/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This host's addresses and interface names, read from rtnetlink at start and kept current by its
 * notifications. Needs no privilege.
 *
 * Threads: one. Blocks: only links_new(), for its two dumps. Logs: no. Errors: 0, -errno.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct links;

int links_new(struct links **ret);
/*
 * Those of another network namespace: @fd is an rtnetlink socket made there, already subscribed to
 * its notifications. It becomes ours, and is closed on an error.
 */
int links_new_from(int fd, struct links **ret);
void links_free(struct links *l);

/* Readable when something changed; then (or now and then) call links_read(). */
int links_fd(const struct links *l);
/* Takes in what has changed. After an overrun everything is read again. */
int links_read(struct links *l);

/* Addresses are 16 bytes, IPv4 as ::ffff:a.b.c.d. All of 127.0.0.0/8 is local. */
bool links_is_local(const struct links *l, const uint8_t addr[16]);
/* *changed becomes true when an address comes or goes; NULL = nobody wants to know any more. */
void links_watch(struct links *l, bool *changed);
size_t links_count(const struct links *l);
const uint8_t *links_address(const struct links *l, size_t i);
/* NULL = no such interface. Valid until the next links_read(). */
const char *links_name(const struct links *l, uint32_t ifindex);
/*
 * Asks how much the interfaces have carried: *ret is the bytes since the first call, of each
 * interface the direction that carried more. Counted low only by what an interface carried between
 * the last call and its removal. Costs some microseconds an interface.
 */
int links_traffic(struct links *l, uint64_t *ret);
size_t links_interfaces(const struct links *l);
