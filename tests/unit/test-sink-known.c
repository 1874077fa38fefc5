/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that were met before, and lines of a kind that was: whatever comes in whatever order,
 * lines are byte for byte those that are written without knowing anybody, and no record passes that
 * would not have passed so.
 */
#include "sink/known.h"

#include "sink-build.h"
#include "sink/json-plan.h"
#include "tap.h"

#define LINES 8000u

static struct known known;
static struct format_context ctx;
static struct record r;
static char kept[FORMAT_MAX], plain[FORMAT_MAX];
static uint64_t state = 7;

static uint32_t below(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 20) % n;
}

static void put(struct record_str *to, uint32_t who, uint32_t salt, bool zeros)
{
	static const char some[] = "ab/c d'e\"f\\g\n\x1b\xff\xc3\xa9.x";
	uint64_t mixed = (who * 31ull + salt + 1) * 0x9e3779b97f4a7c15ull >> 20;
	char text[64];
	size_t len = mixed % 5 == 0 ? 0 : mixed % 40;

	for (size_t i = 0; i < len; i++)
		text[i] = some[(mixed >> i % 30) % (sizeof(some) - 1)];
	for (size_t i = 7; zeros && i < len; i += 8)
		text[i] = 0;
	if (len)
		build_str(&r, to, text, len);
}

/* The process number @who, always the same one but for what differs from record to record. */
static void put_process(struct record_process *p, uint32_t who)
{
	p->uid = p->gid = p->ruid = p->loginuid = UINT32_MAX;
	p->latency_ns = below(3) ? below(100000) : 0;
	if (!who)
		return;
	p->pid = 100 + who;
	p->ppid = who % 3;
	p->sid = who % 7;
	p->tty = who % 4 ? 0 : 0x8803;
	p->start_ns = who % 11 ? BUILD_START - who : 0;
	p->uid = p->ruid = who % 13 ? who : UINT32_MAX;
	p->gid = who % 2 ? 5 : UINT32_MAX;
	p->cgroup_id = who % 6;
	p->netns = who % 9 ? 0 : 77;
	p->method = (uint8_t)(1 + who % (RECORD_METHODS - 1));
	p->confidence = (uint8_t)(1 + who % (RECORD_CONFIDENCES - 1));
	p->flags = (uint8_t)(who % 16);
	p->runtime = (uint8_t)(who % RECORD_RUNTIMES);
	put(&p->user, who, 1, false);
	put(&p->cgroup, who, 2, false);
	put(&p->unit, who, 3, false);
	put(&p->container, who, 4, false);
	put(&p->name, who, 5, false);
	put(&p->parent_name, who, 6, false);
	if (who % 5)
		build_str(&r, &p->ancestors, "9 sh\0001 i\"t", 11);
	put(&p->exe, who, 7, false);
	put(&p->cwd, who, 8, false);
	put(&p->args, who, 9, true);
}

/* Now and then 0, often the same, else short or long. */
static uint64_t some(void)
{
	if (below(3) == 0)
		return 4711;
	return !below(30) ? 0 : UINT64_C(0x123456789abcdef) >> below(60);
}

/* Whatever may be there or not, long or short, without making it another kind. */
static void vary(void)
{
	uint64_t *numbers[] = {&r.orig_bytes, &r.resp_bytes, &r.orig_packets, &r.resp_packets,
		&r.orig_ip_bytes, &r.resp_ip_bytes, &r.delta_packets, &r.delta_orig_packets,
		&r.delta_resp_packets, &r.delta_orig_bytes, &r.delta_resp_bytes, &r.name_age_ns};
	uint32_t *shorts[] = {&r.ifindex, &r.rtt_ns, &r.srtt_ns, &r.retransmits, &r.connections};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		*numbers[i] = some();
	for (size_t i = 0; i < sizeof(shorts) / sizeof(shorts[0]); i++)
		*shorts[i] = (uint32_t)some();
	r.flow_id = some();
	r.start_ns += some() % 1000000000000;
	r.end_ns = r.start_ns + some() % 1000000000000;
	r.t_ns = r.end_ns + below(1000);
	r.orig_port = (uint16_t)some();
	r.resp_port = (uint16_t)some();
	r.vlan = (uint16_t)some();
	r.orig_addr[below(16)] = (uint8_t)below(256);
	r.resp_addr[12 + below(4)] ^= (uint8_t)(below(2) ? below(256) : 0);
	memset(r.history, 0, sizeof(r.history));
	memcpy(r.history, "ShADadFf", below(9));
	put(&r.name, below(3), 11, false);
}

static void make(uint32_t processes)
{
	static const uint8_t events[] = {
		RECORD_START, RECORD_INFO, RECORD_END, RECORD_SUMMARY, RECORD_LOSS, RECORD_END};

	build_record(&r);
	r.strings_len = 0;
	memset(&r.ifname, 0, offsetof(struct record, packet) - offsetof(struct record, ifname));
	memset(&r.orig, 0, sizeof(r.orig));
	memset(&r.resp, 0, sizeof(r.resp));
	r.event = events[below(sizeof(events))];
	r.loss_stage = RING_LOSS_TAP;
	r.direction = (uint8_t)below(RECORD_LOCAL + 1);
	r.seq = below(1000000);
	put_process(&r.orig, below(processes));
	put_process(&r.resp, below(processes));
	put(&r.ifname, below(4), 10, false);
	vary();
	if (below(4))
		return;
	r.flags = (uint16_t)below(RECORD_FLAG_UNANNOUNCED << 1);
	r.state = (uint8_t)below(RECORD_STATES);
	r.end_reason = (uint8_t)below(RECORD_END_REASONS);
	r.proto = below(2) ? 6 : (uint8_t)below(256);
	r.service = (uint8_t)below(RECORD_SERVICES);
	r.dns_type = (uint16_t)below(70);
	r.dns_rcode = (uint8_t)below(12);
	r.epoch = below(3);
	put(&r.netns, below(3), 12, false);
	put(&r.server_name, below(3), 13, false);
	put(&r.alpn, below(3), 14, false);
	put(&r.dns_query, below(3), 15, false);
	put(&r.dns_answers, below(3), 16, false);
}

static bool same_line(const struct format *f, const struct known_ends *ends)
{
	size_t n = format_record(f, &r, &ctx, plain);
	size_t k = format_record_known(f, &r, ends, &ctx, kept);

	return n == k && memcmp(plain, kept, n) == 0;
}

static void test_lines(uint32_t processes)
{
	uint64_t newest = 0, bad = 0, met = 0;
	struct known_ends ends;

	for (unsigned i = 0; i < LINES; i++) {
		make(processes);
		bad += known_check(&known, &r, record_size(&r), &ends) != 0;
		met += ends.orig.id && ends.orig.id <= newest;
		newest = ends.orig.id > newest ? ends.orig.id : newest;
		newest = ends.resp.id > newest ? ends.resp.id : newest;
		bad += !same_line(&format_ecs, &ends) || !same_line(&format_ocsf, &ends) ||
		       !same_line(&format_zeek_json, &ends);
	}
	tap_is_int(bad, 0, "%u processes: every line is the same", processes);
	tap_ok(met > LINES / (processes < 100 ? 2 : 50), "%llu had been met before",
		(unsigned long long)met);
}

/* Most lines of few kinds are made of others, whatever values they have. */
static void test_kinds(void)
{
	static const struct json_plan_style style = {
		.column = FIELD_ECS, .time = JSON_PLAN_RFC3339, .quoted_ids = true};
	static struct json_plan plan;
	uint64_t bad = 0, repeated, had;
	struct known_ends ends;

	json_plan_compile(&plan, &style, &ctx);
	for (unsigned i = 0; i < LINES; i++) {
		size_t n, k;

		make(2);
		bad += known_check(&known, &r, record_size(&r), &ends) != 0;
		n = (size_t)(json_plan_write(&plan, &r, &KNOWN_NOBODY, &ctx, plain) - plain);
		k = (size_t)(json_plan_write(&plan, &r, &ends, &ctx, kept) - kept);
		bad += n != k || memcmp(plain, kept, n) != 0;
	}
	tap_is_int(bad, 0, "few kinds: every line is the same");
	tap_ok(plan.repeated > LINES / 10, "%llu were made of others",
		(unsigned long long)plan.repeated);

	/* Only what comes anew into every line differs. */
	had = plan.repeated;
	for (unsigned i = 0; i < 100; i++) {
		r.seq++;
		r.orig_port ^= 1;
		bad += known_check(&known, &r, record_size(&r), &ends) != 0;
		json_plan_write(&plan, &r, &ends, &ctx, kept);
	}
	repeated = plan.repeated - had;
	tap_ok(repeated >= 100 - JSON_LINE_TIMES - 1 && !bad, "%llu of 100 of one kind were",
		(unsigned long long)repeated);
	json_plan_compile(&plan, &style, &ctx);
	tap_is_int(plan.repeated, 0, "a plan made anew has none");
}

/* Whether the record's line is what it is without knowing anybody. */
static bool is_right(const struct format *f)
{
	struct known_ends ends;

	return !known_check(&known, &r, record_size(&r), &ends) && same_line(f, &ends);
}

static void use_name(const char *name)
{
	r.strings_len = 0;
	memset(&r.ifname, 0, offsetof(struct record, packet) - offsetof(struct record, ifname));
	memset(&r.orig, 0, sizeof(r.orig));
	memset(&r.resp, 0, sizeof(r.resp));
	put_process(&r.orig, 3);
	put_process(&r.resp, 5);
	build_str(&r, &r.name, name, strlen(name));
	build_str(&r, &r.ifname, "eth0", 4);
}

/* Of a kind that is kept, each value alone is another one, and then the same again. */
static void test_values(void)
{
	static const char *const names[] = {"a\"b", "a\\\"b", "ab", "abc", "ab", "", "ab", "a\x01"};
	const size_t n = sizeof(names) / sizeof(names[0]),
		     end = offsetof(struct record, strings_len);
	uint64_t wrong = 0;
	static struct record same;

	for (size_t first = 0; first < n; first++) {
		build_context(&ctx); /* forgets all lines */
		build_record(&r);
		r.direction = first % 2 ? RECORD_INGRESS : RECORD_EGRESS;
		for (unsigned i = 0; i < 2 * JSON_LINE_TIMES; i++) {
			use_name(names[first]);
			wrong += !is_right(&format_ecs);
		}
		for (size_t i = 0; i < 4 * n; i++) {
			use_name(names[i % n]);
			wrong += !is_right(&format_ecs);
		}
	}
	tap_is_int(wrong, 0, "names, escaped or not, are those of the record");

	use_name("ab");
	for (unsigned i = 0; i < 2 * JSON_LINE_TIMES; i++)
		wrong += !is_right(&format_ecs);
	same = r;
	for (size_t at = offsetof(struct record, seq); at < end; at++) {
		r = same;
		((uint8_t *)&r)[at] ^= (uint8_t)(1 << below(3));
		if (format_check(&r, record_size(&r)))
			continue;
		wrong += !is_right(&format_ecs) || !is_right(&format_ocsf);
		r = same;
		wrong += !is_right(&format_ecs) || !is_right(&format_ocsf);
	}
	tap_is_int(wrong, 0, "whichever byte of a record differs, the line is right");
}

/* One byte of what is known becomes another: then it is somebody else, or impossible. */
static void test_checks(void)
{
	const size_t from = offsetof(struct record, orig);
	struct known_ends ends;
	uint64_t wrong = 0, refused = 0;
	int e, f;

	for (unsigned i = 0; i < LINES; i++) {
		size_t at;

		make(20);
		at = below(8) ? from + below(2 * sizeof(struct record_process))
			      : offsetof(struct record, strings) + below(r.strings_len + 1);
		((uint8_t *)&r)[at] ^= (uint8_t)(1 << below(8));
		e = known_check(&known, &r, record_size(&r), &ends);
		f = format_check(&r, record_size(&r));
		refused += f != 0;
		wrong += e != f || (e == 0 && !same_line(&format_ecs, &ends));
	}
	tap_is_int(wrong, 0, "what is not quite the same is treated as what it is");
	tap_ok(refused > 100 && refused < LINES / 2, "%llu were impossible",
		(unsigned long long)refused);
}

/* Where the last of its strings ends. */
static size_t end_of(const struct record_process *p)
{
	const struct record_str *s = &p->name;
	size_t end = 0;

	for (; s <= &p->pod; s++)
		if (s->len && (size_t)s->off + s->len > end)
			end = (size_t)s->off + s->len;
	return end;
}

/* The same again, but its strings end before those of its processes do. */
static void test_cut(void)
{
	struct known_ends ends;
	uint64_t wrong = 0, refused = 0;

	for (unsigned i = 0; i < LINES / 10; i++) {
		int e, f;

		make(20);
		memset(&r.ifname, 0,
			offsetof(struct record, packet) - offsetof(struct record, ifname));
		r.strings_len = (uint32_t)end_of(&r.orig);
		if (r.strings_len < end_of(&r.resp))
			r.strings_len = (uint32_t)end_of(&r.resp);
		wrong += known_check(&known, &r, record_size(&r), &ends) != 0;
		if (!r.strings_len)
			continue;
		r.strings_len--;
		e = known_check(&known, &r, record_size(&r), &ends);
		f = format_check(&r, record_size(&r));
		refused += f != 0;
		wrong += e != f;
	}
	tap_is_int(wrong, 0, "a record cut short is not what it was");
	tap_ok(refused > LINES / 20, "%llu were impossible", (unsigned long long)refused);
}

/* Others have taken the place of what a name stands for. */
static void test_bytes(void)
{
	static struct known_bytes b;
	uint64_t first, pos;
	unsigned n = 0;

	memcpy(known_bytes_put(&b, 5, &first), "first", 5);
	while (known_bytes_get(&b, first) && n++ < 1000)
		memset(known_bytes_put(&b, 10000, &pos), 'x', 10000);
	tap_is_int(n, KNOWN_BYTES / 10000 + 1, "the oldest bytes are the first to go");
	tap_ok(known_bytes_get(&b, pos) && *known_bytes_get(&b, pos) == 'x', "the newest stay");
}

int main(void)
{
	build_context(&ctx);
	test_bytes();
	test_lines(10);
	test_lines(4000);
	tap_ok(known.evicted > 100, "%llu were forgotten for others",
		(unsigned long long)known.evicted);
	test_kinds();
	test_values();
	test_checks();
	test_cut();
	/* Another host's lines say so: nothing written before is used again. */
	strcpy(ctx.boot_id, "an0ther");
	format_context_prepare(&ctx);
	test_lines(12);
	return tap_done();
}
