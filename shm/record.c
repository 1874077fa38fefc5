/* SPDX-License-Identifier: Apache-2.0 */
/* Builds and validates connection records, and names their values. */
#include "shm/record.h"

#include <string.h>

#include "shm/ring.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

bool record_put_str(struct record *r, const void *bytes, size_t len, struct record_str *ret)
{
	size_t room = RECORD_STRINGS_MAX - r->strings_len;
	size_t put = len < room ? len : room;

	if (!put) {
		*ret = (struct record_str){0};
		return len == 0;
	}
	memcpy(r->strings + r->strings_len, bytes, put);
	ret->off = (uint16_t)r->strings_len;
	ret->len = (uint16_t)put;
	r->strings_len += (uint32_t)put;
	return put == len;
}

/* Validation -------------------------------------------------------------------------------- */

_Static_assert(RECORD_STRINGS_MAX <= UINT16_MAX, "record_str holds every offset and length");
_Static_assert(sizeof(struct record) <= RING_BODY_MAX, "every record fits a frame");

static bool str_possible(const struct record *r, struct record_str s)
{
	return (uint32_t)s.off + s.len <= r->strings_len;
}

static bool history_possible(const char history[RECORD_HISTORY_MAX])
{
	static const char none[RECORD_HISTORY_MAX];
	size_t i = 0;

	for (; i < RECORD_HISTORY_MAX && history[i]; i++) {
		char c = (char)(history[i] | 0x20);

		if (!(c >= 'a' && c <= 'z') && history[i] != '^')
			return false;
	}
	return !memcmp(history + i, none, RECORD_HISTORY_MAX - i);
}

const char *record_next_ancestor(const struct record *r, struct record_str ancestors, size_t *pos,
	uint32_t *ret_pid, size_t *ret_len)
{
	const char *at = record_get_str(r, ancestors) + *pos;
	const char *end = record_get_str(r, ancestors) + ancestors.len;
	const char *stop = at < end ? memchr(at, 0, (size_t)(end - at)) : NULL;
	uint64_t pid = 0;

	if (!stop || *at < '1' || *at > '9')
		return NULL;
	while (*at >= '0' && *at <= '9' && pid <= UINT32_MAX)
		pid = pid * 10 + (uint64_t)(*at++ - '0');
	if (*at != ' ' || pid > UINT32_MAX)
		return NULL;
	*ret_pid = (uint32_t)pid;
	*ret_len = (size_t)(stop - at) - 1;
	*pos = (size_t)(stop - record_get_str(r, ancestors)) + 1;
	return at + 1;
}

static bool ancestors_possible(const struct record *r, struct record_str s)
{
	size_t pos = 0, len, n = 0;
	uint32_t pid;

	while (record_next_ancestor(r, s, &pos, &pid, &len))
		n++;
	return pos == s.len && n <= RECORD_ANCESTORS_MAX;
}

int record_check_process(const struct record *r, const struct record_process *p)
{
	const uint8_t known = RECORD_PROCESS_ARGS_CUT | RECORD_PROCESS_EXE_DELETED |
			      RECORD_PROCESS_IN_TREE | RECORD_PROCESS_IDS_UNCONFIRMED;
	const struct record_str strings[] = {p->name, p->exe, p->args, p->cwd, p->cgroup,
		p->parent_name, p->ancestors, p->user, p->group, p->unit, p->user_unit,
		p->container, p->pod};

	if (p->method >= RECORD_METHODS || p->confidence >= RECORD_CONFIDENCES ||
		p->unknown >= RECORD_UNKNOWNS || p->runtime >= RECORD_RUNTIMES ||
		(p->flags & ~known))
		return RECORD_E_VALUE;
	for (size_t i = 0; i < COUNT(strings); i++)
		if (!str_possible(r, strings[i]))
			return RECORD_E_STRING;
	return ancestors_possible(r, p->ancestors) ? 0 : RECORD_E_STRING;
}

static bool values_possible(const struct record *r)
{
	if (r->event < RECORD_START || r->event > RECORD_SUMMARY || r->direction > RECORD_LOCAL ||
		r->state >= RECORD_STATES || r->end_reason >= RECORD_END_REASONS ||
		r->service >= RECORD_SERVICES || r->packet_resp > 1 ||
		r->flags >= RECORD_FLAG_UNANNOUNCED << 1)
		return false;
	if (!history_possible(r->history))
		return false;
	if (r->event == RECORD_LOSS)
		return r->loss_stage >= RING_LOSS_KERNEL && r->loss_stage < RING_LOSS_STAGES &&
		       r->loss_first_ns <= r->loss_last_ns;
	return (r->family == 4 || r->family == 6) && r->start_ns <= r->end_ns;
}

int record_check_flow(const struct record *r, size_t len)
{
	const struct record_str strings[] = {r->ifname, r->netns, r->name, r->server_name, r->alpn,
		r->dns_query, r->dns_answers, r->packet};

	if (len < offsetof(struct record, strings) || r->strings_len > RECORD_STRINGS_MAX ||
		len != record_size(r))
		return RECORD_E_SIZE;
	if (r->version != RECORD_VERSION)
		return RECORD_E_VERSION;
	if (!values_possible(r))
		return RECORD_E_VALUE;
	for (size_t i = 0; i < COUNT(strings); i++)
		if (!str_possible(r, strings[i]))
			return RECORD_E_STRING;
	if (r->event == RECORD_PACKET && r->packet.len > r->packet_len)
		return RECORD_E_VALUE;
	return 0;
}

int record_check(const struct record *r, size_t len)
{
	int e = record_check_flow(r, len);

	if (e == 0)
		e = record_check_process(r, &r->orig);
	return e ? e : record_check_process(r, &r->resp);
}

/* Names ------------------------------------------------------------------------------------- */

static const char *const event_names[] = {
	[RECORD_START] = "start",
	[RECORD_INFO] = "info",
	[RECORD_END] = "end",
	[RECORD_LOSS] = "loss",
	[RECORD_PACKET] = "packet",
	[RECORD_SUMMARY] = "summary",
};

static const char *const service_names[] = {
	[RECORD_SERVICE_NONE] = "",
	[RECORD_SERVICE_DNS] = "dns",
	[RECORD_SERVICE_TLS] = "tls",
	[RECORD_SERVICE_QUIC] = "quic",
};

static const char *const direction_names[] = {
	[RECORD_DIRECTION_UNKNOWN] = "unknown",
	[RECORD_EGRESS] = "egress",
	[RECORD_INGRESS] = "ingress",
	[RECORD_LOCAL] = "local",
};

/* Zeek's spelling: these are upper case wherever they appear. */
static const char *const state_names[] = {
	[RECORD_STATE_OTH] = "OTH",
	[RECORD_STATE_S0] = "S0",
	[RECORD_STATE_S1] = "S1",
	[RECORD_STATE_SF] = "SF",
	[RECORD_STATE_REJ] = "REJ",
	[RECORD_STATE_S2] = "S2",
	[RECORD_STATE_S3] = "S3",
	[RECORD_STATE_RSTO] = "RSTO",
	[RECORD_STATE_RSTR] = "RSTR",
	[RECORD_STATE_RSTOS0] = "RSTOS0",
	[RECORD_STATE_RSTRH] = "RSTRH",
	[RECORD_STATE_SH] = "SH",
	[RECORD_STATE_SHR] = "SHR",
};

static const char *const end_reason_names[] = {
	[RECORD_END_NONE] = "none",
	[RECORD_END_SHUTDOWN] = "shutdown",
	[RECORD_END_RESET] = "reset",
	[RECORD_END_REFUSED] = "refused",
	[RECORD_END_TIMEOUT] = "timeout",
	[RECORD_END_FORCED] = "forced",
	[RECORD_END_EVICTED] = "evicted",
	[RECORD_END_TCP_REUSE] = "tcp_reuse",
	[RECORD_END_OWNER_CHANGED] = "owner_changed",
};

static const char *const method_names[] = {
	[RECORD_METHOD_NONE] = "none",
	[RECORD_METHOD_TAP_CONNECT] = "tap_connect",
	[RECORD_METHOD_TAP_SEND] = "tap_send",
	[RECORD_METHOD_TAP_LISTEN] = "tap_listen",
	[RECORD_METHOD_TAP_CLOSE] = "tap_close",
	[RECORD_METHOD_SOCK_DIAG] = "sock_diag",
	[RECORD_METHOD_SEED] = "seed",
	[RECORD_METHOD_PROCFS] = "procfs",
	[RECORD_METHOD_KERNEL] = "kernel",
};

static const char *const confidence_names[] = {
	[RECORD_CONFIDENCE_UNKNOWN] = "unknown",
	[RECORD_CONFIDENCE_CGROUP_ONLY] = "cgroup_only",
	[RECORD_CONFIDENCE_PROBABLE] = "probable",
	[RECORD_CONFIDENCE_EXACT] = "exact",
};

static const char *const unknown_names[] = {
	[RECORD_UNKNOWN_NONE] = "none",
	[RECORD_UNKNOWN_REMOTE] = "remote",
	[RECORD_UNKNOWN_NO_SOCKET] = "no_socket",
	[RECORD_UNKNOWN_NO_PROCESS] = "no_process",
	[RECORD_UNKNOWN_TAP_LOST] = "tap_lost",
	[RECORD_UNKNOWN_OLDER] = "older",
	[RECORD_UNKNOWN_OFFLINE] = "offline",
	[RECORD_UNKNOWN_OFF] = "off",
	[RECORD_UNKNOWN_AMBIGUOUS] = "ambiguous",
	[RECORD_UNKNOWN_NETNS] = "netns",
	[RECORD_UNKNOWN_RAW] = "raw_socket",
};

static const char *const runtime_names[] = {
	[RECORD_RUNTIME_NONE] = "none",
	[RECORD_RUNTIME_DOCKER] = "docker",
	[RECORD_RUNTIME_CONTAINERD] = "containerd",
	[RECORD_RUNTIME_CRIO] = "cri-o",
	[RECORD_RUNTIME_PODMAN] = "podman",
	[RECORD_RUNTIME_LXC] = "lxc",
	[RECORD_RUNTIME_NSPAWN] = "systemd-nspawn",
};

static const char *const loss_stage_names[] = {
	[RING_LOSS_KERNEL] = "kernel",
	[RING_LOSS_PACKET_RING] = "packet_ring",
	[RING_LOSS_RECORD_RING] = "record_ring",
	[RING_LOSS_TAP] = "tap",
	[RING_LOSS_FLOWS] = "flows",
	[RING_LOSS_NETLINK] = "netlink",
	[RING_LOSS_FLOW_TABLE] = "flow_table",
	[RING_LOSS_PROCESS_CACHE] = "process_cache",
	[RING_LOSS_NAME_CACHE] = "name_cache",
	[RING_LOSS_AGGREGATES] = "aggregates",
	[RING_LOSS_OUTPUT] = "output",
	[RING_LOSS_INVALID] = "records",
	[RING_LOSS_CAPTURE] = "capture",
};

static const char *const loss_reason_names[] = {
	[RING_LOSS_KERNEL] = "buffer_full",
	[RING_LOSS_PACKET_RING] = "full",
	[RING_LOSS_RECORD_RING] = "full",
	[RING_LOSS_TAP] = "overflow",
	[RING_LOSS_FLOWS] = "killed",
	[RING_LOSS_NETLINK] = "overflow",
	[RING_LOSS_FLOW_TABLE] = "full",
	[RING_LOSS_PROCESS_CACHE] = "full",
	[RING_LOSS_NAME_CACHE] = "full",
	[RING_LOSS_AGGREGATES] = "full",
	[RING_LOSS_OUTPUT] = "refused",
	[RING_LOSS_INVALID] = "invalid",
	[RING_LOSS_CAPTURE] = "killed",
};

_Static_assert(COUNT(state_names) == RECORD_STATES, "every state has a name");
_Static_assert(COUNT(end_reason_names) == RECORD_END_REASONS, "every end reason has a name");
_Static_assert(COUNT(method_names) == RECORD_METHODS, "every method has a name");
_Static_assert(COUNT(confidence_names) == RECORD_CONFIDENCES, "every confidence has a name");
_Static_assert(COUNT(unknown_names) == RECORD_UNKNOWNS, "every reason has a name");
_Static_assert(COUNT(loss_stage_names) == RING_LOSS_STAGES, "every stage has a name");
_Static_assert(COUNT(loss_reason_names) == RING_LOSS_STAGES, "and a reason");
_Static_assert(COUNT(runtime_names) == RECORD_RUNTIMES, "every runtime has a name");

static const char *name_of(const char *const *names, size_t count, unsigned value)
{
	return value < count && names[value] ? names[value] : "invalid";
}

const char *record_event_name(enum record_event e)
{
	return name_of(event_names, COUNT(event_names), e);
}

const char *record_direction_name(enum record_direction d)
{
	return name_of(direction_names, COUNT(direction_names), d);
}

const char *record_state_name(enum record_state s)
{
	return name_of(state_names, COUNT(state_names), s);
}

const char *record_end_reason_name(enum record_end_reason e)
{
	return name_of(end_reason_names, COUNT(end_reason_names), e);
}

const char *record_method_name(enum record_method m)
{
	return name_of(method_names, COUNT(method_names), m);
}

const char *record_confidence_name(enum record_confidence c)
{
	return name_of(confidence_names, COUNT(confidence_names), c);
}

const char *record_unknown_name(enum record_unknown u)
{
	return name_of(unknown_names, COUNT(unknown_names), u);
}

const char *record_runtime_name(enum record_runtime r)
{
	return name_of(runtime_names, COUNT(runtime_names), r);
}

const char *record_service_name(enum record_service s)
{
	return name_of(service_names, COUNT(service_names), s);
}

const char *record_loss_stage_name(uint32_t stage)
{
	return name_of(loss_stage_names, COUNT(loss_stage_names), stage);
}

const char *record_loss_reason_name(uint32_t stage)
{
	return name_of(loss_reason_names, COUNT(loss_reason_names), stage);
}
