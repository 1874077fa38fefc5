/* SPDX-License-Identifier: Apache-2.0 */
/* What the captured contents of a flow's packets tell about it. */
#include "enrich/hints.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "enrich/dns.h"
#include "enrich/quic.h"
#include "enrich/tls.h"

#define QUESTIONS_MAX 16u  /* of one flow that wait for an answer; the oldest is forgotten */
#define ANSWERS_MAX   512u /* bytes of the answers' text */

struct question {
	struct name *name; /* as asked; NULL = free */
	uint16_t id, type;
};

struct hints_dns {
	struct question question[QUESTIONS_MAX];
	unsigned next;
	struct name *last; /* name of the last question */
	uint16_t type;
	uint8_t rcode;
	bool answered;
	uint16_t answers_len;
	char answers[ANSWERS_MAX];
};

struct hints {
	enum record_service service;
	struct name *name; /* the remote address's */
	uint64_t name_age_ns;
	struct name *server_name;
	struct name *alpn;
	struct hints_dns *dns;
};

static struct hints *hints_of(struct flow *f)
{
	if (!f->user)
		f->user = calloc(1, sizeof(struct hints));
	return f->user;
}

void hints_free(struct flow *f)
{
	struct hints *h = f->user;

	if (!h)
		return;
	name_unref(h->name);
	name_unref(h->server_name);
	name_unref(h->alpn);
	if (h->dns) {
		for (unsigned i = 0; i < QUESTIONS_MAX; i++)
			name_unref(h->dns->question[i].name);
		name_unref(h->dns->last);
	}
	free(h->dns);
	free(h);
	f->user = NULL;
}

/* DNS --------------------------------------------------------------------------------------- */

static bool same_name(const struct name *n, const struct dns_name *d)
{
	struct dns_name other;

	if (!n || n->len != d->len)
		return false;
	other.len = n->len;
	memcpy(other.text, n->text, n->len);
	return dns_name_equal(&other, d);
}

static void see_question(struct hints_dns *h, const struct dns_message *m)
{
	struct question *q = &h->question[h->next++ % QUESTIONS_MAX];
	struct name *name = same_name(h->last, &m->question)
				    ? name_ref(h->last)
				    : name_new(m->question.text, m->question.len);

	if (!name)
		return;
	if (name != h->last) {
		name_unref(h->last);
		h->last = name_ref(name);
		h->answers_len = 0;
		h->answered = false;
	}
	h->type = m->type;
	name_unref(q->name);
	*q = (struct question){name, m->id, m->type};
}

/* The question that @m answers; it is answered once. The caller owns the name; NULL = none. */
static struct name *take_question(struct hints_dns *h, const struct dns_message *m)
{
	for (unsigned i = 0; i < QUESTIONS_MAX; i++) {
		struct question *q = &h->question[i];

		if (q->name && q->id == m->id && q->type == m->type &&
			same_name(q->name, &m->question)) {
			struct name *name = q->name;

			q->name = NULL;
			return name;
		}
	}
	return NULL;
}

/* Appends one answer, whole or not at all, and none twice. */
static void add_answer(struct hints_dns *h, const char *text, size_t len)
{
	const char *end = h->answers + h->answers_len;
	size_t comma = h->answers_len ? 1 : 0;

	for (const char *s = h->answers; s < end;) {
		const char *e = s;

		while (e < end && *e != ',')
			e += *e == '\\' && e + 1 < end ? 2 : 1;
		if ((size_t)(e - s) == len && memcmp(s, text, len) == 0)
			return;
		s = e + 1;
	}
	if (h->answers_len + comma + len > ANSWERS_MAX)
		return;
	if (comma)
		h->answers[h->answers_len++] = ',';
	memcpy(h->answers + h->answers_len, text, len);
	h->answers_len = (uint16_t)(h->answers_len + len);
}

static void add_addr(struct hints_dns *h, const struct dns_answer *a)
{
	char text[INET6_ADDRSTRLEN];
	bool v4 = a->type == DNS_TYPE_A;

	if (inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? a->addr + 12 : a->addr, text, sizeof(text)))
		add_answer(h, text, strlen(text));
}

static void see_answer(struct names *names, struct hints_dns *h, const struct dns_message *m,
	const struct hints_packet *p)
{
	struct name *asked = take_question(h, m);
	const struct flow_key *k = &p->flow->key;
	bool to_us;

	if (!asked)
		return;
	to_us = !p->owners || owners_is_local_addr(p->owners, k->netns, k->addr[FLOW_ORIG]);
	if (asked == h->last) {
		h->answered = true;
		h->rcode = m->rcode;
	}
	for (size_t i = 0; i < m->n_answers; i++) {
		const struct dns_answer *a = &m->answer[i];

		if (!a->asked)
			continue;
		if (a->type == DNS_TYPE_CNAME) {
			if (asked == h->last)
				add_answer(h, a->target.text, a->target.len);
			continue;
		}
		if (asked == h->last)
			add_addr(h, a);
		if (to_us && !m->rcode)
			names_learn(names, k->netns, a->addr, asked, a->ttl_s, p->t_ns);
	}
	name_unref(asked);
}

static void see_dns(struct names *names, const struct hints_packet *p)
{
	struct dns_message m;
	struct hints *h;

	if (dns_parse(p->payload, p->decoded->payload_caplen, &m) != 0 || !m.has_question ||
		m.response != (p->side == FLOW_RESP))
		return;
	h = hints_of(p->flow);
	if (h && !h->dns)
		h->dns = calloc(1, sizeof(*h->dns));
	if (!h || !h->dns)
		return;
	h->service = RECORD_SERVICE_DNS;
	if (m.response)
		see_answer(names, h->dns, &m, p);
	else
		see_question(h->dns, &m);
}

/* TLS, QUIC --------------------------------------------------------------------------------- */

static void see_tls(const struct hints_packet *p)
{
	struct tls_hello hello;
	struct hints *h;

	if (tls_parse(p->payload, p->decoded->payload_caplen, &hello) != 0)
		return;
	h = hints_of(p->flow);
	if (!h || h->service != RECORD_SERVICE_NONE)
		return; /* the first one counts */
	h->service = RECORD_SERVICE_TLS;
	if (hello.server_name)
		h->server_name = name_new((const char *)hello.server_name, hello.server_name_len);
	if (hello.alpn_len)
		h->alpn = name_new(hello.alpn, hello.alpn_len);
}

static void see_quic(const struct hints_packet *p)
{
	struct hints *h;

	if (!quic_is_initial(p->payload, p->decoded->payload_caplen, p->decoded->payload_len))
		return;
	h = hints_of(p->flow);
	if (h && h->service == RECORD_SERVICE_NONE)
		h->service = RECORD_SERVICE_QUIC;
}

void hints_see(struct names *names, const struct hints_packet *p)
{
	const struct flow *f = p->flow;

	if (f->key.proto == IPPROTO_TCP) {
		if (p->payload[0] == 0x16)
			see_tls(p);
	} else if (f->key.proto == IPPROTO_UDP) {
		if (f->key.port[FLOW_RESP] == DNS_PORT)
			see_dns(names, p);
		else if (p->payload[0] >= 0xc0 && p->side == FLOW_ORIG &&
			 f->packets[FLOW_ORIG] == 1)
			see_quic(p);
	}
}

/* ------------------------------------------------------------------------------------------- */

static enum flow_side remote_of(struct owners *o, const struct flow_key *k)
{
	return o && owners_is_local_addr(o, k->netns, k->addr[FLOW_RESP]) &&
			       !owners_is_local_addr(o, k->netns, k->addr[FLOW_ORIG])
		       ? FLOW_ORIG
		       : FLOW_RESP;
}

void hints_name(struct names *names, struct owners *owners, struct flow *f)
{
	const struct flow_key *k = &f->key;
	struct name *name;
	struct hints *h;
	uint64_t age_ns;

	if (!names_count(names))
		return;
	name = names_find(names, k->netns, k->addr[remote_of(owners, k)], f->start_ns, &age_ns);
	h = name ? hints_of(f) : NULL;
	if (!h)
		return;
	name_unref(h->name);
	h->name = name_ref(name);
	h->name_age_ns = age_ns;
}

static void put(struct record *r, const struct name *n, struct record_str *ret)
{
	if (n)
		record_put_str(r, n->text, n->len, ret);
}

void hints_to_record(const struct flow *f, struct record *r)
{
	const struct hints *h = f->user;

	if (!h)
		return;
	r->service = (uint8_t)h->service;
	if (h->name) {
		r->name_age_ns = h->name_age_ns;
		put(r, h->name, &r->name);
	}
	put(r, h->server_name, &r->server_name);
	put(r, h->alpn, &r->alpn);
	if (!h->dns)
		return;
	put(r, h->dns->last, &r->dns_query);
	r->dns_type = h->dns->type;
	if (h->dns->answered) {
		r->flags |= RECORD_FLAG_DNS_ANSWERED;
		r->dns_rcode = h->dns->rcode;
	}
	record_put_str(r, h->dns->answers, h->dns->answers_len, &r->dns_answers);
}
