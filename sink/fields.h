/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of fields: everything a record can hold, what it means, and its name in each format.
 *
 * Formats are compiled from it (sink/json-plan.h), `flowner fields` prints it, expressions and
 * `flowner tail` find their names in it. A row is a value; a value that a format writes twice, or
 * that only a format has, is a row of its own.
 *
 * Threads: any (the table is constant). Blocks: no. Logs: no. Never fails.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/record.h"
#include "sink/format.h"

enum field_type {
	FIELD_STRING,
	FIELD_NUMBER,
	FIELD_IP,
	FIELD_PORT,
	FIELD_TIME,     /* CLOCK_REALTIME in ns */
	FIELD_DURATION, /* ns */
	FIELD_BOOLEAN,
	FIELD_ID, /* a number that stands for something: user, protocol, VLAN */
	FIELD_STRINGS,
	FIELD_NUMBERS,
	FIELD_TYPES,
};

/* The columns of names; zeek and zeek-json share theirs. */
enum field_format {
	FIELD_ECS,
	FIELD_OCSF,
	FIELD_ZEEK,
	FIELD_SYSMON,
	FIELD_TEXT,
	FIELD_PCAPNG,
	FIELD_FORMATS,
};

/* How a value is written, where its type alone does not say. */
enum field_as {
	FIELD_AS_TYPE = 0,
	FIELD_AS_QUOTED,    /* a number as a string */
	FIELD_AS_NUMBER,    /* an id as a number */
	FIELD_AS_HEX,       /* 16 digits */
	FIELD_AS_JSON,      /* constant text that is JSON already */
	FIELD_AS_COMMAND,   /* arguments as a shell would read them back */
	FIELD_AS_DATA,      /* a list of {"data":} */
	FIELD_AS_ADDRESSES, /* only those items that are addresses */
	FIELD_AS_LASTING,   /* by type, but only if the connection lasted longer than 0 */
	FIELD_AS_TITLE,     /* a boolean as the string "true" or "false" */
};

/* One value's place in one format. */
struct field_in {
	const char *path; /* NULL: not in this format. "a.b": nested; "a[].b": alone in a list */
	uint8_t as;       /* enum field_as */
	uint8_t order;    /* of those where order matters (zeek, sysmon): 1..; 0: after them */
};

/* What a value belongs to. */
enum field_of {
	FIELD_OF_RECORD,
	FIELD_OF_PROCESS,   /* the connection's process, see format_owners() */
	FIELD_OF_RESPONDER, /* the second one, of a connection with both ends here */
	FIELD_OF_CONTEXT,   /* this host */
	FIELD_OFS,
};

enum field_kind {
	FIELD_NONE,   /* not known, or means nothing here */
	FIELD_BYTES,  /* `bytes`, `len`: foreign, to be escaped */
	FIELD_SAFE,   /* `bytes`, `len`: our own, in need of no escaping */
	FIELD_LIST,   /* `bytes`, `len`: foreign items, each followed by NUL (but maybe the last) */
	FIELD_PIDS,   /* `bytes`, `len`: ancestors as in struct record_process */
	FIELD_COMMAS, /* `bytes`, `len`: foreign items, joined by commas */
	FIELD_U64,    /* `number`: also times, durations, ports, ids, and booleans as 0 or 1 */
	FIELD_ADDRESS, /* `bytes`: 16 of them, `family` 4 or 6 */
};

struct field_value {
	const char *bytes;
	uint64_t number;
	uint32_t len;
	uint8_t family;
	char scratch[128]; /* `bytes` may point here */
};

/* A record with what every value of it needs to know, worked out once. */
struct field_source {
	const struct record *record;
	const struct format_context *ctx; /* NULL: values of this host are FIELD_NONE */
	const void *base[FIELD_OFS];      /* what offsets count from; NULL: there is none */
	uint32_t have[FIELD_OFS];         /* FIELD_HAVE_* */
	uint8_t event;                    /* 1 << the record's event */
};

#define FIELD_EVENT(e) (1u << (e))

/* Bits of `have` above the record's or process's own flags. */
#define FIELD_HAVE_PORTS     (1u << 16) /* the protocol has ports */
#define FIELD_HAVE_ICMP      (1u << 17) /* the "ports" are ICMP's type and code */
#define FIELD_HAVE_DIRECTION (1u << 18)
#define FIELD_HAVE_PID       (1u << 19)
#define FIELD_HAVE_AT_ALL    (1u << 20) /* base[] is not NULL */
#define FIELD_HAVE_LASTING   (1u << 21) /* longer than 0 */
#define FIELD_HAVE_KNOWN     (1u << 22) /* the socket was found, if not its process */
/* Of what most records do not have, at least one value: one look tells that all are missing. */
#define FIELD_HAVE_DNS        (1u << 23)
#define FIELD_HAVE_TLS        (1u << 24)
#define FIELD_HAVE_TERMINAL   (1u << 25)
#define FIELD_HAVE_CONTAINER  (1u << 26)
#define FIELD_HAVE_UNIT       (1u << 27)
#define FIELD_HAVE_NAMESPACES (1u << 28)
#define FIELD_HAVE_ANCESTORS  (1u << 29)
/* Of a record, by its direction: whose `name` is, and which way it went through `ifname`. */
#define FIELD_HAVE_ORIG_NAME (1u << 26)
#define FIELD_HAVE_RESP_NAME (1u << 27)
#define FIELD_HAVE_WAY_OUT   (1u << 28)
#define FIELD_HAVE_WAY_IN    (1u << 29)

struct field {
	const char *name;
	const char *unit; /* "" = none */
	const char *meaning;
	union {
		const char *constant;
		const char *(*word)(unsigned value);
		enum field_kind (*call)(const struct field *f, const struct field_source *s,
			struct field_value *ret);
	};
	struct field_in in[FIELD_FORMATS];
	uint32_t need;    /* bits of `have` without which there is no value */
	uint32_t none;    /* the number that says "unknown" */
	uint16_t offset;  /* from base[of] */
	uint8_t type;     /* enum field_type */
	uint8_t from;     /* where the value comes from, see fields-get.c */
	uint8_t of;       /* enum field_of */
	uint8_t words;    /* how many values `word` knows, from 0 */
	uint8_t events;   /* FIELD_EVENT()s that have it; 0 = all of a connection */
	bool format_only; /* says nothing about a record, but a format wants it */
};

/* NULL behind the last. Order: that of the ecs format. */
const struct field *field_at(unsigned i);
/* By name; NULL: no such field. */
const struct field *field_find(const char *name, size_t len);

const char *field_type_name(enum field_type t);
/* ecs, ocsf, zeek, sysmon, text, pcapng */
const char *field_format_name(enum field_format f);
/* The column of a format's name ("zeek-json" is zeek's), or -1. */
int field_format_find(const char *name, size_t len);

/* @r has passed format_check(); @ctx may be NULL. */
void field_source_init(
	struct field_source *s, const struct record *r, const struct format_context *ctx);

/*
 * The value of @f. `bytes` point into the record, the context, *ret, or constants: valid as long as
 * those. Members that the kind does not name are undefined.
 */
enum field_kind field_get(
	const struct field *f, const struct field_source *s, struct field_value *ret);
