/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a DNS message as far as its bytes go: the question, the return code, answers that are
 * addresses or aliases. Pure: no state, no allocation; any input is answered, reads stay inside it,
 * and the work is bounded by its length (compression pointers only lead backwards).
 *
 * Sources: RFC 1035 (4.1), 3596 (AAAA), 2181 (8, the TTL's sign).
 *
 * Threads: any. Blocks: no. Logs: no. Errors: DNS_E_*.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_PORT     53
#define DNS_WIRE_MAX 255u /* bytes of a name in a message */
/* Bytes of its dotted form: at most 250 in labels, each may need a backslash, and the dots. */
#define DNS_NAME_MAX    512u
#define DNS_ANSWERS_MAX 16u

enum { DNS_TYPE_A = 1, DNS_TYPE_CNAME = 5, DNS_TYPE_AAAA = 28 };

/*
 * Labels joined by dots, without one at the end; "." is the root. The bytes are the message's own,
 * whatever they are; a dot, comma or backslash inside a label has a backslash in front, so that
 * names can be told apart, and lists of them.
 */
struct dns_name {
	uint16_t len;
	char text[DNS_NAME_MAX];
};

struct dns_answer {
	struct dns_name owner;
	uint16_t type; /* DNS_TYPE_* */
	bool asked;    /* its owner is the name asked for, or where that name's aliases lead */
	uint32_t ttl_s;
	uint8_t addr[16];       /* A (as ::ffff:a.b.c.d), AAAA */
	struct dns_name target; /* CNAME */
};

struct dns_message {
	uint16_t id;
	bool response;
	bool has_question;
	uint8_t rcode; /* of the header */
	uint16_t type; /* of the question */
	struct dns_name question;
	size_t n_answers; /* class IN; others, and those beyond the bound, are left out */
	struct dns_answer answer[DNS_ANSWERS_MAX];
};

enum {
	DNS_E_MALFORMED = 1, /* no header, or a question that is none or is cut */
	DNS_E_OTHER = 2,     /* not a plain query (opcode 0) with at most one question */
};

/*
 * @len bytes of a message whose end may be cut. What stands behind a malformed or cut answer is
 * left out. *ret is unspecified on errors.
 */
int dns_parse(const uint8_t *bytes, size_t len, struct dns_message *ret);

/* Equal without regard to ASCII case. */
bool dns_name_equal(const struct dns_name *a, const struct dns_name *b);
