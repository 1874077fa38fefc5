/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bounded memory of which name an address was last resolved from on this host.
 *
 * An entry is an address in a network namespace; a newer answer replaces an older one, so where
 * names share an address it is the one that was resolved last, by whichever process. Behind an
 * alias (CNAME) it is the name that was asked for. An answer counts until its TTL is over, but at
 * least NAMES_KEEP_NS and at most NAMES_TTL_MAX_S: programs keep addresses longer than they may,
 * and a record says how old the answer was. A full memory forgets the name used longest ago, which
 * is counted.
 *
 * Threads: one. Blocks: no. Logs: no. Errors: 0, -errno.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAMES_MAX       16384u
#define NAMES_KEEP_NS   UINT64_C(3600000000000)
#define NAMES_TTL_MAX_S (7u * 86400u) /* RFC 8767, section 4 */

/* A name shared by entries and flows. */
struct name {
	uint32_t refs;
	uint16_t len;
	char text[]; /* not terminated */
};

/* NULL: out of memory. Starts with one reference. */
struct name *name_new(const char *text, size_t len);
struct name *name_ref(struct name *n);
/* Takes NULL. */
void name_unref(struct name *n);

struct names;

/* Room for @max addresses. */
int names_new(uint32_t max, struct names **ret);
/* Takes NULL. */
void names_free(struct names *n);

/* An answer at @t_ns: @name, when asked for, led to @addr. Takes a reference of its own. */
void names_learn(struct names *n, uint8_t netns, const uint8_t addr[16], struct name *name,
	uint32_t ttl_s, uint64_t t_ns);

/*
 * The name @addr was last resolved from at @t_ns, borrowed until the next call, and the answer's
 * age then; NULL = none is known, or it was answered after @t_ns.
 */
struct name *names_find(struct names *n, uint8_t netns, const uint8_t addr[16], uint64_t t_ns,
	uint64_t *ret_age_ns);

uint64_t names_count(const struct names *n);
uint64_t names_evicted(const struct names *n);
