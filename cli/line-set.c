/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of an output file as members of a record. */
#include "cli/line-set.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shm/ring.h"
#include "sink/fields-internal.h"

#define SECOND_NS UINT64_C(1000000000)

/* Seconds with decimals as ns, without rounding. */
static uint64_t seconds(const char *s)
{
	char *end;
	uint64_t ns = strtoull(s, &end, 10) * SECOND_NS, unit = SECOND_NS / 10;

	if (*end == '.')
		for (end++; *end >= '0' && *end <= '9'; end++, unit /= 10)
			ns += (uint64_t)(*end - '0') * unit;
	return ns;
}

static uint64_t time_of(const char *s, enum field_format format)
{
	struct tm tm = {0};
	const char *rest = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);
	char fraction[32];

	if (!rest)
		rest = strptime(s, "%Y-%m-%d %H:%M:%S", &tm);
	if (!rest)
		return format == FIELD_OCSF ? strtoull(s, NULL, 10) * 1000000 : seconds(s);
	snprintf(fraction, sizeof(fraction), "0%s", rest);
	return (uint64_t)timegm(&tm) * SECOND_NS + seconds(fraction);
}

static uint64_t number_of(enum field_format format, const struct field *f, const char *s)
{
	if (f->type == FIELD_TIME)
		return time_of(s, format);
	if (f->type == FIELD_DURATION && format == FIELD_ZEEK)
		return seconds(s);
	if (f->type == FIELD_DURATION && format == FIELD_OCSF && !strcmp(f->name, "duration"))
		return strtoull(s, NULL, 10) * 1000000;
	return strtoull(s, NULL, f->in[format].as == FIELD_AS_HEX ? 16 : 10);
}

static void set_address(struct record *r, const char *s, uint8_t *ret)
{
	memset(ret, 0, 16);
	r->family = strchr(s, ':') ? 6 : 4;
	if (r->family == 6) {
		inet_pton(AF_INET6, s, ret);
		return;
	}
	ret[10] = ret[11] = 0xff;
	inet_pton(AF_INET, s, ret + 12);
}

/* Names with a NUL behind each, their pids being elsewhere in the line, or nowhere. */
static void set_ancestors(struct record *r, const char *s, size_t len, struct record_str *ret)
{
	char list[RECORD_ANCESTORS_MAX * 64];
	size_t n = 0;

	for (unsigned i = 0; i < RECORD_ANCESTORS_MAX && len; i++) {
		size_t size = strnlen(s, len - 1) + 1;

		if (n + 2 + size > sizeof(list))
			break;
		memcpy(list + n, "1 ", 2);
		memcpy(list + n + 2, s, size - 1);
		n += 2 + size;
		list[n - 1] = '\0';
		s += size;
		len -= size;
	}
	record_put_str(r, list, n, ret);
}

/* Sysmon's Image is a path, or a name where there is no path; its User a name or a number. */
static void set_sysmon(struct record *r, const struct field *f, const char *s, size_t len)
{
	struct record_process *o = r->direction == RECORD_INGRESS ? &r->resp : &r->orig;
	const char *name = memrchr(s, '/', len);

	if (!strcmp(f->name, "user_text")) {
		if (strspn(s, "0123456789") == len)
			o->uid = (uint32_t)strtoul(s, NULL, 10);
		else
			record_put_str(r, s, len, &o->user);
		return;
	}
	name = name ? name + 1 : s;
	if (*s == '/')
		record_put_str(r, s, len, &o->exe);
	record_put_str(r, name, len - (size_t)(name - s), &o->name);
}

/* Values that the formats work out, as far as records hold what they are made of. */
static void set_worked_out(const struct field *f, struct record *r, const char *s, size_t len)
{
	static const struct {
		const char *name;
		uint8_t number;
	} proto[] = {{"tcp", 6}, {"udp", 17}, {"icmp", 1}, {"ipv6-icmp", 58}, {"sctp", 132}};

	if (!strcmp(f->name, "image") || !strcmp(f->name, "user_text"))
		set_sysmon(r, f, s, len);
	else if (!strcmp(f->name, "history") && len < RECORD_HISTORY_MAX)
		memcpy(r->history, s, len);
	else if (!strcmp(f->name, "proto") || !strcmp(f->name, "zeek_proto"))
		for (size_t i = 0; i < sizeof(proto) / sizeof(proto[0]); i++)
			r->proto =
				strcmp(s, proto[i].name) || r->proto ? r->proto : proto[i].number;
	else if (!strcmp(f->name, "loss_stage"))
		for (uint8_t i = 1; i < RING_LOSS_STAGES && !r->loss_stage; i++)
			r->loss_stage = strcmp(s, record_loss_stage_name(i)) ? 0 : i;
}

void line_set(enum field_format format, const struct field *f, struct record *r, void *base,
	const char *s, size_t len)
{
	char *at = (char *)base + f->offset;
	uint64_t n;

	switch ((enum field_from)f->from) {
	case FIELD_FROM_U8:
		*(uint8_t *)at = (uint8_t)number_of(format, f, s);
		break;
	case FIELD_FROM_U16:
		*(uint16_t *)(void *)at = (uint16_t)number_of(format, f, s);
		break;
	case FIELD_FROM_U32:
		*(uint32_t *)(void *)at = (uint32_t)number_of(format, f, s);
		break;
	case FIELD_FROM_U64:
	case FIELD_FROM_ALWAYS:
		n = number_of(format, f, s);
		memcpy(at, &n, sizeof(n));
		break;
	case FIELD_FROM_SPAN:
		memcpy(&n, at, sizeof(n));
		n += number_of(format, f, s);
		memcpy(at + sizeof(n), &n, sizeof(n));
		break;
	case FIELD_FROM_STR:
	case FIELD_FROM_LIST:
	case FIELD_FROM_COMMAS:
		if (!((struct record_str *)(void *)at)->len || f->in[format].as != FIELD_AS_COMMAND)
			record_put_str(r, s, len, (struct record_str *)(void *)at);
		break;
	case FIELD_FROM_ADDRESS:
		set_address(r, s, (uint8_t *)at);
		break;
	case FIELD_FROM_WORD:
		for (uint8_t i = 0; i < f->words; i++) {
			if (i != f->none && strcmp(f->word(i), s) == 0)
				*(uint8_t *)at = i;
		}
		break;
	case FIELD_FROM_CALL:
		set_worked_out(f, r, s, len);
		break;
	case FIELD_FROM_PIDS:
		if (f->type == FIELD_STRINGS)
			set_ancestors(r, s, len, (struct record_str *)(void *)at);
		break;
	case FIELD_FROM_SUM:
	case FIELD_FROM_TRUE:
	case FIELD_FROM_CONSTANT:
	case FIELD_FROM_CONTEXT:
		break;
	}
}
