/* SPDX-License-Identifier: Apache-2.0 */
/* Which name an address has when, and which answers count: the memory, and flows that feed it. */
#include "enrich/names.h"

#include <netinet/in.h>

#include "dns-build.h"
#include "enrich/hints.h"
#include "tap.h"

#define SECOND UINT64_C(1000000000)
#define HOUR   (3600 * SECOND)

static const uint8_t *addr(unsigned n)
{
	static uint8_t a[16] = {[10] = 0xff, 0xff, 10, 9};

	a[14] = (uint8_t)(n >> 8);
	a[15] = (uint8_t)n;
	return a;
}

static void learn(
	struct names *n, unsigned address, const char *text, uint32_t ttl_s, uint64_t t_ns)
{
	struct name *name = name_new(text, strlen(text));

	names_learn(n, 0, addr(address), name, ttl_s, t_ns);
	name_unref(name);
}

/* "NAME@AGE" in seconds, "" = none. */
static const char *find(struct names *n, unsigned address, uint64_t t_ns)
{
	static char text[64];
	uint64_t age_ns;
	struct name *name = names_find(n, 0, addr(address), t_ns, &age_ns);

	if (!name)
		return "";
	snprintf(text, sizeof(text), "%.*s@%llu", name->len, name->text,
		(unsigned long long)(age_ns / SECOND));
	return text;
}

static void check_memory(void)
{
	struct names *n = NULL;
	uint64_t age_ns;

	tap_is_int(names_new(3, &n), 0, "a memory for three");
	tap_is_str(find(n, 1, HOUR), "", "knows nothing");
	learn(n, 1, "one", 60, 100 * SECOND);
	tap_is_str(find(n, 1, 107 * SECOND), "one@7", "a name and its age");
	tap_is_str(find(n, 1, 99 * SECOND), "", "not before it was answered");
	tap_ok(!names_find(n, 1, addr(1), 107 * SECOND, &age_ns), "nor in another namespace");
	tap_is_str(find(n, 1, 100 * SECOND + HOUR - 1), "one@3599", "an hour longer than a minute");
	tap_is_str(find(n, 1, 100 * SECOND + HOUR), "", "and no more");
	learn(n, 1, "uno", 7200, 200 * SECOND);
	tap_is_str(find(n, 1, 201 * SECOND), "uno@1", "the name resolved last");
	tap_is_str(find(n, 1, 7199 * SECOND), "uno@6999", "as long as the answer says");
	learn(n, 1, "uno", UINT32_MAX, 200 * SECOND);
	tap_is_str(find(n, 1, (NAMES_TTL_MAX_S + 200ull) * SECOND), "", "but a week at most");
	learn(n, 2, "two", 60, 300 * SECOND);
	learn(n, 3, "three", 60, 300 * SECOND);
	tap_is_int((long long)names_count(n), 3, "three");
	tap_is_str(find(n, 1, 400 * SECOND), "uno@200", "the first one is in use");
	learn(n, 4, "four", 60, 400 * SECOND);
	tap_is_str(
		find(n, 2, 400 * SECOND), "", "a full memory forgets the one unused for longest");
	tap_is_int((long long)names_evicted(n), 1, "and counts it");
	tap_is_str(find(n, 3, 400 * SECOND), "three@100", "the others stay");
	learn(n, 5, "five", 60, 2 * HOUR + 200 * SECOND);
	learn(n, 6, "six", 60, 2 * HOUR + 200 * SECOND);
	tap_is_int((long long)names_evicted(n), 2, "one whose time is over is no loss");
	names_free(n);
	names_new(1000, &n);
	for (unsigned i = 0; i < 5000; i++)
		learn(n, i, "many", 60, 100 * SECOND + i);
	tap_ok(names_count(n) == 1000 && names_evicted(n) == 4000, "5000 in a memory for 1000");
	tap_is_str(find(n, 3999, 200 * SECOND), "", "of these, the last ones are known");
	tap_is_str(find(n, 4000, 200 * SECOND), "many@99", "and all of them");
	names_free(n);
}

/* A flow between a resolver and a server, and the messages it carries. ----------------------- */

static struct flow f;
static struct names *names;
static uint64_t now_ns;

static void begin(void)
{
	hints_free(&f);
	f = (struct flow){.key = {.port = {40000, 53}, .proto = IPPROTO_UDP, .family = 4}};
}

static void carry(enum flow_side side, const struct dns_build *b)
{
	struct decoded d = {.payload_len = (uint32_t)b->len, .payload_caplen = (uint16_t)b->len};
	struct hints_packet p = {
		.decoded = &d, .payload = b->bytes, .flow = &f, .side = side, .t_ns = now_ns};

	f.packets[side]++;
	hints_see(names, &p);
}

static void ask(unsigned id, const char *name, unsigned type)
{
	struct dns_build b;

	dns_head(&b, id, 0x0100, 1, 0);
	dns_question(&b, name, type);
	carry(FLOW_ORIG, &b);
}

/* One address, or for 0 none; rcode in @flags. */
static void answer(unsigned id, const char *name, unsigned type, const char *owner, uint8_t last,
	unsigned flags)
{
	struct dns_build b;

	dns_head(&b, id, 0x8180 | flags, 1, last ? 1 : 0);
	dns_question(&b, name, type);
	if (last)
		dns_address(&b, owner, 60, (const uint8_t[]){10, 9, 0, last});
	carry(FLOW_RESP, &b);
}

static void check_counts(void)
{
	names_new(64, &names);
	now_ns = 100 * SECOND;
	begin();
	answer(7, "a.test", 1, "a.test", 1, 0);
	tap_is_str(find(names, 1, now_ns), "", "an answer nobody asked for");
	ask(7, "a.test", 1);
	answer(8, "a.test", 1, "a.test", 1, 0);
	tap_is_str(find(names, 1, now_ns), "", "another id");
	answer(7, "b.test", 1, "b.test", 1, 0);
	tap_is_str(find(names, 1, now_ns), "", "another name");
	answer(7, "a.test", 28, "a.test", 1, 0);
	tap_is_str(find(names, 1, now_ns), "", "another type");
	answer(7, "A.test", 1, "b.test", 1, 0);
	tap_is_str(find(names, 1, now_ns), "", "an address of another name");
	answer(7, "a.test", 1, "a.test", 1, 0);
	tap_is_str(find(names, 1, now_ns), "", "a second answer");
	ask(9, "a.test", 1);
	answer(9, "A.TEST", 1, "a.Test", 1, 0);
	tap_is_str(find(names, 1, now_ns), "a.test@0", "the answer, in any case of letters");
	ask(10, "c.test", 1);
	answer(10, "c.test", 1, "c.test", 2, 3);
	tap_is_str(find(names, 2, now_ns), "", "an address beside an error");
	begin();
	answer(9, "a.test", 1, "a.test", 3, 0);
	tap_is_str(find(names, 3, now_ns), "", "a question of another flow");
	for (unsigned i = 0; i < 17; i++)
		ask(i, "d.test", 1);
	answer(0, "d.test", 1, "d.test", 4, 0);
	tap_is_str(find(names, 4, now_ns), "", "the oldest of 17 open questions is forgotten");
	answer(1, "d.test", 1, "d.test", 4, 0);
	tap_is_str(find(names, 4, now_ns), "d.test@0", "16 are not");
}

static struct record r;

static bool has(struct record_str s, const char *text)
{
	return s.len == strlen(text) && !memcmp(record_get_str(&r, s), text, s.len);
}

static void record(void)
{
	memset(&r, 0, sizeof(r));
	hints_to_record(&f, &r);
}

static void check_records(void)
{
	begin();
	record();
	tap_ok(!r.service && !r.dns_query.len, "a flow that told nothing");
	ask(1, "e.test", 1);
	ask(2, "e.test", 28);
	answer(1, "e.test", 1, "e.test", 9, 0);
	answer(2, "e.test", 28, "", 0, 0);
	record();
	tap_ok(r.service == RECORD_SERVICE_DNS && has(r.dns_query, "e.test") && r.dns_type == 28 &&
			has(r.dns_answers, "10.9.0.9"),
		"the name asked for, its last type, its addresses");
	tap_ok(r.flags & RECORD_FLAG_DNS_ANSWERED && r.dns_rcode == 0, "answered");
	ask(3, "f.test", 1);
	record();
	tap_ok(has(r.dns_query, "f.test") && !(r.flags & RECORD_FLAG_DNS_ANSWERED) &&
			!r.dns_answers.len,
		"another name has no answer yet");
	answer(3, "f.test", 1, "", 0, 3);
	record();
	tap_ok(r.flags & RECORD_FLAG_DNS_ANSWERED && r.dns_rcode == 3,
		"and then it does not exist");

	hints_free(&f);
	f = (struct flow){.key = {.port = {40000, 443}, .proto = IPPROTO_TCP, .family = 4},
		.start_ns = now_ns + 5 * SECOND};
	memcpy(f.key.addr[FLOW_RESP], addr(9), 16);
	hints_name(names, NULL, &f);
	learn(names, 9, "later.test", 60, now_ns + 6 * SECOND);
	record();
	tap_ok(has(r.name, "e.test") && r.name_age_ns == 5 * SECOND,
		"a connection keeps the name of its start");
	hints_free(&f);
	memcpy(f.key.addr[FLOW_RESP], addr(10), 16);
	hints_name(names, NULL, &f);
	tap_ok(!f.user, "without a name nothing is kept");
	names_free(names);
}

int main(void)
{
	check_memory();
	check_counts();
	check_records();
	return tap_done();
}
