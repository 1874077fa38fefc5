/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ecs line as others would make it, to compare with: by snprintf, and by json-c. Written the
 * straightforward way, sharing nothing with sink/ but what a character is and the names of values.
 *
 * Threads: one. Blocks: no. Logs: no. Never fails.
 */
#pragma once

#include "sink/format.h"

/* Both as struct format's record(); of connections, not of losses. */
size_t peer_snprintf(const struct record *r, const struct format_context *ctx, char *buf);
size_t peer_json_c(const struct record *r, const struct format_context *ctx, char *buf);

#define PEER_TIME 40u

/* What both need: times, ids and addresses as text, terminated. */
void peer_time(char buf[PEER_TIME], uint64_t t_ns);
void peer_address(char buf[64], const uint8_t addr[16], unsigned family);
void peer_community_id(char buf[64], const struct record *r);
/* Arguments as a shell would read them back, not yet escaped; returns their length. */
size_t peer_command(const char *args, size_t len, char *buf);
bool peer_is_address(const char *text, size_t len);

/* "" where there is none. */
const char *peer_transport(const struct record *r);
const char *peer_dns_type(const struct record *r, char buf[16]);
const char *peer_dns_rcode(const struct record *r, char buf[16]);
const char *peer_action(const struct record *r);
const char *peer_outcome(const struct record *r);
