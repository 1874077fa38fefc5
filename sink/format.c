/* SPDX-License-Identifier: Apache-2.0 */
/* The table of output formats, with what they share. */
#include "sink/format.h"

#include <string.h>

static const struct format *const FORMATS[] = {
	&format_ecs,
	&format_ocsf,
	&format_pcapng,
	&format_sysmon,
	&format_text,
	&format_zeek,
	&format_zeek_json,
};

#define N_FORMATS (sizeof(FORMATS) / sizeof(FORMATS[0]))

const struct format *format_at(unsigned i)
{
	return i < N_FORMATS ? FORMATS[i] : NULL;
}

const struct format *format_find(const char *name, size_t len)
{
	const struct format *f;

	for (unsigned i = 0; (f = format_at(i)); i++)
		if (strlen(f->name) == len && !memcmp(f->name, name, len))
			return f;
	return NULL;
}

int format_check(const struct record *r, size_t len)
{
	struct known_ends ends;

	return known_check(NULL, r, len, &ends);
}

int format_loss(struct record *r, const struct ring_loss *loss, uint64_t epoch, uint64_t t_ns)
{
	memset(r, 0, offsetof(struct record, strings));
	r->version = RECORD_VERSION;
	r->event = RECORD_LOSS;
	r->epoch = epoch;
	r->t_ns = t_ns;
	r->loss_stage = loss->stage;
	r->loss_count = loss->count;
	r->loss_packets = loss->packets;
	r->loss_first_ns = loss->first_ns;
	r->loss_last_ns = loss->last_ns;
	return format_check(r, record_size(r));
}

static bool known(const struct record_process *p)
{
	return p->pid || p->confidence != RECORD_CONFIDENCE_UNKNOWN;
}

struct format_owners format_owners(const struct record *r)
{
	struct format_owners o = {0};

	switch ((enum record_direction)r->direction) {
	case RECORD_EGRESS:
		o.process = &r->orig;
		break;
	case RECORD_INGRESS:
		o.process = &r->resp;
		break;
	case RECORD_LOCAL:
		o.process = &r->orig;
		o.second = &r->resp;
		break;
	case RECORD_DIRECTION_UNKNOWN:
		o.process = !known(&r->orig) && known(&r->resp) ? &r->resp : &r->orig;
		break;
	}
	return o;
}
