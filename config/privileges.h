/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Giving up privileges for good, and proof that they are gone.
 *
 * Order as setgroups, setresgid, setresuid, capabilities with bounding and ambient set,
 * no_new_privs, no dumps. Any failure is fatal: the caller exits. Sources: capabilities(7),
 * prctl(2), credentials(7).
 *
 * Threads: one. Blocks: user lookup may read /etc/passwd. Logs: no.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Resolves "name" or "1234" to ids. -ENOENT: no such user; -EINVAL: not a name nor a number, or
 * the number is 0 (flowner's programs never run as root). A name that is not in /etc/passwd is
 * looked for wherever nsswitch.conf(5) says; a number that is not there has the group of the same
 * number.
 */
int privileges_user(const char *user, uid_t *ret_uid, gid_t *ret_gid);

/* The group that the account of @uid has; -ENOENT: there is no account. */
int privileges_group_of(uid_t uid, gid_t *ret_gid);

/* Whether this process has root's uid or any of the capabilities given (CAP_* numbers). */
bool privileges_is_root(void);
bool privileges_have(unsigned cap);

/*
 * Becomes @uid/@gid with no supplementary groups, keeps only the capabilities in @keep (bit per
 * CAP_* number; 0 = none) in the permitted and effective sets, empties inheritable, ambient and
 * bounding sets, locks the securebits, sets no_new_privs, forbids dumps (PR_SET_DUMPABLE 0: no
 * core, no debugger, /proc/self is root's). Without CAP_SETPCAP bounding set and securebits stay.
 * Already unprivileged (no uid 0 and no way to change it): the uid stays, everything else is done
 * all the same. Then tries to get root back and to regain a capability; success of that is
 * -ENOTRECOVERABLE. A parent-death signal set before (PR_SET_PDEATHSIG) stays set.
 */
int privileges_drop(uid_t uid, gid_t gid, uint64_t keep);

/* What this process holds, for a log line: "uid 997 gid 997, no capability, ...". */
void privileges_describe(char *text, size_t size);
