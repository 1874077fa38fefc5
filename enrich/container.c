/* SPDX-License-Identifier: Apache-2.0 */
/* Cgroup paths read from the root down, one component at a time. */
#include "enrich/container.h"

#include <stdbool.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define HEX_ID   64u
#define UNIT_MAX 255u

/* A part of the path. */
struct part {
	const char *at;
	size_t len;
};

static bool is(struct part p, const char *text)
{
	return p.len == strlen(text) && !memcmp(p.at, text, p.len);
}

static bool has_prefix(struct part p, const char *text)
{
	size_t n = strlen(text);

	return p.len >= n && !memcmp(p.at, text, n);
}

static bool skip_prefix(struct part *p, const char *text)
{
	size_t n = strlen(text);

	if (!has_prefix(*p, text))
		return false;
	p->at += n;
	p->len -= n;
	return true;
}

static bool drop_suffix(struct part *p, const char *text)
{
	size_t n = strlen(text);

	if (p->len <= n || memcmp(p->at + p->len - n, text, n) != 0)
		return false;
	p->len -= n;
	return true;
}

static bool next_part(const char **at, const char *end, struct part *ret)
{
	const char *stop;

	while (*at < end && **at == '/')
		++*at;
	if (*at == end)
		return false;
	stop = memchr(*at, '/', (size_t)(end - *at));
	ret->at = *at;
	ret->len = (size_t)((stop ? stop : end) - *at);
	*at += ret->len;
	/* systemd's way around names that the kernel has files for. */
	if (ret->len > 1 && *ret->at == '_') {
		ret->at++;
		ret->len--;
	}
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_hex(const char *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (hex_digit(at[i]) < 0)
			return false;
	return true;
}

/* ---- containers ---- */

static bool set_hex_id(struct container *c, struct part p, enum record_runtime runtime)
{
	if (p.len != HEX_ID || !is_hex(p.at, p.len))
		return false;
	memcpy(c->id, p.at, p.len);
	c->id_len = p.len;
	c->runtime = runtime;
	return true;
}

static bool set_name(struct container *c, struct part p, enum record_runtime runtime)
{
	if (!p.len || p.len > sizeof(c->id))
		return false;
	memcpy(c->id, p.at, p.len);
	c->id_len = p.len;
	c->runtime = runtime;
	return true;
}

/* A name as systemd escapes it for a unit: "-" is "\x2d". */
static bool set_escaped_name(struct container *c, struct part p, enum record_runtime runtime)
{
	char name[CONTAINER_ID_MAX];
	size_t n = 0;

	for (size_t i = 0; i < p.len; n++) {
		if (n == sizeof(name))
			return false;
		if (p.at[i] != '\\') {
			name[n] = p.at[i++];
			continue;
		}
		if (p.len - i < 4 || p.at[i + 1] != 'x' || hex_digit(p.at[i + 2]) < 0 ||
			hex_digit(p.at[i + 3]) < 0)
			return false;
		name[n] = (char)(hex_digit(p.at[i + 2]) << 4 | hex_digit(p.at[i + 3]));
		if (!name[n] || name[n] == '/')
			return false;
		i += 4;
	}
	return set_name(c, (struct part){name, n}, runtime);
}

/* Components that hold the container's id themselves. */
static bool is_container(struct part p, struct container *c)
{
	static const struct {
		const char *prefix;
		enum record_runtime runtime;
	} kinds[] = {
		{"docker-", RECORD_RUNTIME_DOCKER},
		{"cri-containerd-", RECORD_RUNTIME_CONTAINERD},
		{"nerdctl-", RECORD_RUNTIME_CONTAINERD},
		{"crio-", RECORD_RUNTIME_CRIO},
		{"libpod-payload-", RECORD_RUNTIME_PODMAN},
		{"libpod-", RECORD_RUNTIME_PODMAN},
	};

	if (skip_prefix(&p, "lxc.payload."))
		return set_name(c, p, RECORD_RUNTIME_LXC);
	(void)drop_suffix(&p, ".scope");
	for (size_t i = 0; i < COUNT(kinds); i++)
		if (skip_prefix(&p, kinds[i].prefix))
			return set_hex_id(c, p, kinds[i].runtime);
	return false;
}

/* Components whose child is the container; @top: @parent is the first of the path. */
static bool is_child_container(
	struct part parent, bool top, bool in_pod, struct part p, struct container *c)
{
	struct part name = parent;

	if (is(parent, "docker"))
		return set_hex_id(c, p, RECORD_RUNTIME_DOCKER);
	if (is(parent, "lxc.payload") || (top && is(parent, "lxc")))
		return !has_prefix(p, "lxc.monitor") && set_name(c, p, RECORD_RUNTIME_LXC);
	if (in_pod)
		return set_hex_id(c, p, RECORD_RUNTIME_NONE);
	/* Beside the payload there is only its supervisor. */
	if (!is(p, "payload"))
		return false;
	if (skip_prefix(&name, "systemd-nspawn@") && drop_suffix(&name, ".service"))
		return set_escaped_name(c, name, RECORD_RUNTIME_NSPAWN);
	if (skip_prefix(&name, "machine-") && drop_suffix(&name, ".scope"))
		return set_escaped_name(c, name, RECORD_RUNTIME_NSPAWN);
	return false;
}

/* A pod's uid: a UUID, or a hash where the pod comes from a file of the node. */
static bool set_pod(struct container *c, struct part p, char dash)
{
	char uid[CONTAINER_POD_MAX];
	bool uuid = p.len == 36;

	if (!uuid && p.len != 32)
		return false;
	for (size_t i = 0; i < p.len; i++) {
		bool dashed = uuid && (i == 8 || i == 13 || i == 18 || i == 23);

		if (dashed ? p.at[i] != dash : hex_digit(p.at[i]) < 0)
			return false;
		uid[i] = dashed ? '-' : p.at[i];
	}
	memcpy(c->pod, uid, p.len);
	c->pod_len = p.len;
	return true;
}

static void skip_pod_class(struct part *p)
{
	(void)(skip_prefix(p, "-burstable") || skip_prefix(p, "-besteffort"));
}

/* Pods made by systemd: kubepods[-CLASS]-podUID.slice, or that with ":cri-containerd:ID". */
static bool is_pod_slice(struct part p, struct container *c)
{
	static const char inner[] = ".slice:cri-containerd:";
	const char *colon;
	struct part id;

	(void)skip_prefix(&p, "kubelet-");
	if (!skip_prefix(&p, "kubepods"))
		return false;
	skip_pod_class(&p);
	if (!skip_prefix(&p, "-pod"))
		return false;
	colon = memmem(p.at, p.len, inner, sizeof(inner) - 1);
	if (!colon)
		return drop_suffix(&p, ".slice") && set_pod(c, p, '_');
	id.at = colon + sizeof(inner) - 1;
	id.len = (size_t)(p.at + p.len - id.at);
	p.len = (size_t)(colon - p.at);
	return set_pod(c, p, '_') && set_hex_id(c, id, RECORD_RUNTIME_CONTAINERD);
}

/* ---- units ---- */

static bool is_slice(struct part p)
{
	return drop_suffix(&p, ".slice");
}

static bool is_unit(struct part p)
{
	static const char *const types[] = {".service", ".scope", ".socket", ".mount", ".swap"};
	static const char chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789:-_.\\@";
	size_t type = 0;

	for (size_t i = 0; i < p.len; i++)
		if (!p.at[i] || !strchr(chars, p.at[i]))
			return false;
	while (type < COUNT(types) && !drop_suffix(&p, types[type]))
		type++;
	return type < COUNT(types) && p.len < UNIT_MAX && p.at[0] != '@';
}

static bool is_user_manager(struct part p)
{
	if (!skip_prefix(&p, "user@") || !drop_suffix(&p, ".service"))
		return false;
	for (size_t i = 0; i < p.len; i++)
		if (p.at[i] < '0' || p.at[i] > '9')
			return false;
	return true;
}

/* Units come before everything that is not a slice: first the system's, then a user manager's. */
enum units {
	UNITS_SYSTEM,
	UNITS_USER,
	UNITS_NO_MORE,
};

static enum units take_unit(enum units state, struct part p, struct container *ret)
{
	if (state == UNITS_NO_MORE || is_slice(p))
		return state;
	if (!is_unit(p))
		return UNITS_NO_MORE;
	if (state == UNITS_USER) {
		ret->user_unit = p.at;
		ret->user_unit_len = p.len;
		return UNITS_NO_MORE;
	}
	ret->unit = p.at;
	ret->unit_len = p.len;
	return is_user_manager(p) ? UNITS_USER : UNITS_NO_MORE;
}

void container_parse(const char *path, size_t len, struct container *ret)
{
	const char *at = path, *end = path + len;
	struct part parent = {"", 0}, p;
	enum units units = UNITS_SYSTEM;
	bool in_pod = false, in_kubepods = false;
	unsigned depth = 0;

	*ret = (struct container){0};
	while (next_part(&at, end, &p)) {
		units = take_unit(units, p, ret);
		if (is_child_container(parent, depth == 1, in_pod, p, ret) || is_container(p, ret))
			return;
		in_pod = false;
		/* With the other driver: [kubelet/]kubepods[/CLASS]/podUID/ID. */
		in_kubepods |= is(p, "kubepods") && (depth == 0 || is(parent, "kubelet"));
		if (!ret->pod_len && has_prefix(p, "pod") && in_kubepods) {
			struct part uid = {p.at + 3, p.len - 3};

			in_pod = set_pod(ret, uid, '-');
		} else if (!ret->pod_len) {
			in_pod = is_pod_slice(p, ret);
			if (ret->id_len)
				return;
		}
		parent = p;
		depth++;
	}
}
