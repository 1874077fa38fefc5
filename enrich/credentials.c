/* SPDX-License-Identifier: Apache-2.0 */
/* User or group ids over time: the latest value and the one before. */
#include "enrich/credentials.h"

static const struct credential NOBODY = {.effective = UINT32_MAX, .real = UINT32_MAX};

void credentials_init(struct credentials *c)
{
	c->now = c->was = NOBODY;
}

void credentials_seen(struct credentials *c, uint32_t effective, uint32_t real, uint64_t t_ns)
{
	if (t_ns < c->now.to_ns)
		return;
	if (real == UINT32_MAX && effective == c->now.effective)
		real = c->now.real;
	if (effective == c->now.effective && real == c->now.real) {
		c->now.to_ns = t_ns;
		return;
	}
	c->was = c->now;
	c->now = (struct credential){effective, real, t_ns, t_ns, t_ns};
	/* The first there is: no other was seen before. */
	if (!c->was.to_ns)
		c->now.from_ns = 0;
}

void credentials_changed(struct credentials *c, uint32_t effective, uint32_t real, uint64_t t_ns)
{
	bool same = effective == c->now.effective && real == c->now.real;

	if (t_ns >= c->now.to_ns) {
		credentials_seen(c, effective, real, t_ns);
		if (c->now.from_ns < t_ns && !same)
			c->now.from_ns = t_ns;
		return;
	}
	/* Word of it comes after a look at /proc that was later. */
	if (t_ns >= c->now.seen_ns || t_ns <= c->was.to_ns)
		return;
	if (same)
		c->now.seen_ns = t_ns;
	else
		c->was = (struct credential){effective, real, t_ns, t_ns, t_ns};
	c->now.from_ns = c->now.seen_ns;
}

void credentials_lose(struct credentials *c, uint64_t t_ns)
{
	credentials_seen(c, UINT32_MAX, UINT32_MAX, t_ns);
}

static const struct credential *value_at(const struct credentials *c, uint64_t t_ns)
{
	if (t_ns >= c->now.from_ns)
		return &c->now;
	return t_ns >= c->was.from_ns ? &c->was : &NOBODY;
}

void credentials_inherit(struct credentials *child, const struct credentials *parent, uint64_t t_ns)
{
	const struct credential *v = value_at(parent, t_ns);

	child->was = NOBODY;
	child->now = *v;
	child->now.from_ns = t_ns;
	if (child->now.seen_ns < t_ns)
		child->now.seen_ns = t_ns;
	/* Not seen at the fork itself: sure only as far as the parent was. */
	if (child->now.to_ns > t_ns)
		child->now.to_ns = t_ns;
}

int credentials_at(const struct credentials *c, uint64_t t_ns, uint64_t watched_ns,
	uint32_t *ret_effective, uint32_t *ret_real)
{
	const struct credential *v = value_at(c, t_ns);
	bool sure =
		t_ns < v->seen_ns ? t_ns >= watched_ns : t_ns <= v->to_ns || v->to_ns >= watched_ns;

	/*
	 * Between its last sight and that of the next value, either may be true. And a child
	 * without a program of its own is often made to become another user.
	 */
	if (!sure && (v == &c->was || v->to_ns < v->from_ns))
		v = &NOBODY;
	*ret_effective = v->effective;
	*ret_real = v->real;
	if (v->effective == UINT32_MAX)
		return CREDENTIALS_E_UNKNOWN;
	return sure ? 0 : CREDENTIALS_E_UNCONFIRMED;
}
