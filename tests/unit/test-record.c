/* SPDX-License-Identifier: Apache-2.0 */
/* Building, checking and naming records. */
#include "shm/record.h"
#include "shm/ring.h"
#include "tap.h"

static struct record r;

static void fresh(void)
{
	memset(&r, 0, sizeof(r));
	r.version = RECORD_VERSION;
	r.event = RECORD_START;
	r.family = 6;
	r.start_ns = 5;
	r.end_ns = 5;
}

static void test_strings(void)
{
	static char long_text[RECORD_STRINGS_MAX];
	struct record_str a, b, c;

	fresh();
	tap_ok(record_put_str(&r, "eth0", 4, &a) && a.off == 0 && a.len == 4, "first string");
	tap_ok(record_put_str(&r, "a\0b", 3, &b) && b.off == 4 && b.len == 3, "second, with a NUL");
	tap_ok(!memcmp(record_get_str(&r, b), "a\0b", 3), "bytes as given");
	tap_is_int(record_size(&r), offsetof(struct record, strings) + 7, "only used bytes travel");
	tap_ok(record_put_str(&r, NULL, 0, &c) && c.off == 0 && c.len == 0,
		"empty: nothing stored");
	tap_ok(!record_put_str(&r, long_text, sizeof(long_text), &c), "longer than the room: told");
	tap_ok(c.off == 7 && c.len == RECORD_STRINGS_MAX - 7, "and cut to it");
	tap_ok(!record_put_str(&r, "x", 1, &c) && c.off == 0 && c.len == 0,
		"no room at all: empty");
	tap_is_int(record_check(&r, record_size(&r)), 0, "a full string area is valid");
	tap_is_int(record_size(&r), sizeof(r), "and the largest record");
	tap_ok(sizeof(r) <= RING_BODY_MAX, "which fits a frame");
}

static void test_size(void)
{
	fresh();
	record_put_str(&r, "eth0", 4, &r.ifname);
	tap_is_int(record_check(&r, record_size(&r)), 0, "a small record is valid");
	tap_is_int(record_check(&r, record_size(&r) - 1), RECORD_E_SIZE, "one byte short");
	tap_is_int(record_check(&r, record_size(&r) + 1), RECORD_E_SIZE, "one byte long");
	tap_is_int(record_check(&r, offsetof(struct record, strings) - 1), RECORD_E_SIZE,
		"shorter than the fixed part");
	tap_is_int(record_check(&r, 0), RECORD_E_SIZE, "nothing at all");
	r.strings_len = RECORD_STRINGS_MAX + 1;
	tap_is_int(record_check(&r, record_size(&r)), RECORD_E_SIZE, "too large a string area");
	r.strings_len = UINT32_MAX;
	tap_is_int(record_check(&r, sizeof(r)), RECORD_E_SIZE, "a string area that overflows");
	fresh();
	r.version = RECORD_VERSION + 1;
	tap_is_int(record_check(&r, record_size(&r)), RECORD_E_VERSION, "another version");
}

/* Each field in turn, one past its last value. */
static void test_values(void)
{
	static const struct {
		const char *name;
		size_t offset;
		uint8_t last;
	} fields[] = {
#define FIELD(f, last) {#f, offsetof(struct record, f), (last)}
		FIELD(event, RECORD_SUMMARY),
		FIELD(direction, RECORD_LOCAL),
		FIELD(state, RECORD_STATES - 1),
		FIELD(end_reason, RECORD_END_REASONS - 1),
		FIELD(orig.method, RECORD_METHODS - 1),
		FIELD(orig.confidence, RECORD_CONFIDENCES - 1),
		FIELD(orig.unknown, RECORD_UNKNOWNS - 1),
		FIELD(orig.flags, 15),
		FIELD(resp.method, RECORD_METHODS - 1),
		FIELD(resp.confidence, RECORD_CONFIDENCES - 1),
		FIELD(resp.unknown, RECORD_UNKNOWNS - 1),
		FIELD(orig.runtime, RECORD_RUNTIMES - 1),
		FIELD(resp.flags, 15),
		FIELD(resp.runtime, RECORD_RUNTIMES - 1),
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		uint8_t *field = (uint8_t *)&r + fields[i].offset;

		fresh();
		*field = fields[i].last;
		tap_is_int(record_check(&r, record_size(&r)), 0, "%s: last value", fields[i].name);
		*field = fields[i].offset == offsetof(struct record, event) ? RECORD_SUMMARY + 1
									    : fields[i].last + 1;
		tap_is_int(record_check(&r, record_size(&r)), RECORD_E_VALUE, "%s: one more",
			fields[i].name);
	}
	fresh();
	r.event = 0;
	tap_is_int(record_check(&r, record_size(&r)), RECORD_E_VALUE, "no event");
	fresh();
	r.family = 5;
	tap_is_int(record_check(&r, record_size(&r)), RECORD_E_VALUE, "neither IPv4 nor IPv6");
	fresh();
	r.end_ns = 4;
	tap_is_int(record_check(&r, record_size(&r)), RECORD_E_VALUE, "ends before it starts");
	fresh();
	r.flags = 0x1000;
	tap_is_int(record_check(&r, record_size(&r)), RECORD_E_VALUE, "an unknown flag");
}

static void test_history(void)
{
	fresh();
	memcpy(r.history, "^ShADadFfRrhhhhhShADadFfRrhhhhhh", RECORD_HISTORY_MAX);
	tap_is_int(record_check(&r, record_size(&r)), 0, "a history of all 32 letters");
	r.history[3] = '\n';
	tap_is_int(record_check(&r, record_size(&r)), RECORD_E_VALUE, "a control character in it");
	r.history[3] = 0;
	tap_is_int(record_check(&r, record_size(&r)), RECORD_E_VALUE, "a letter behind its end");
}

static void test_loss(void)
{
	fresh();
	r.event = RECORD_LOSS;
	r.family = 0;
	r.loss_stage = RING_LOSS_TAP;
	tap_is_int(record_check(&r, record_size(&r)), 0, "a loss has no addresses");
	r.loss_stage = RING_LOSS_STAGES;
	tap_is_int(record_check(&r, record_size(&r)), RECORD_E_VALUE, "unknown stage");
	r.loss_stage = 0;
	tap_is_int(record_check(&r, record_size(&r)), RECORD_E_VALUE, "no stage");
	r.loss_stage = RING_LOSS_KERNEL;
	r.loss_first_ns = 1;
	tap_is_int(record_check(&r, record_size(&r)), RECORD_E_VALUE, "window backwards");
}

static void test_string_bounds(void)
{
#define STRINGS(o)                                                                                 \
	&(o).name, &(o).exe, &(o).args, &(o).cwd, &(o).cgroup, &(o).parent_name, &(o).user,        \
		&(o).group, &(o).unit, &(o).user_unit, &(o).container, &(o).pod
	struct record_str *strings[] = {&r.ifname, &r.netns, STRINGS(r.orig), STRINGS(r.resp)};

	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
		struct record_str all;

		fresh();
		record_put_str(&r, "0123456789", 10, &all);
		*strings[i] = (struct record_str){4, 6};
		tap_is_int(record_check(&r, record_size(&r)), 0, "string %zu up to the end", i);
		*strings[i] = (struct record_str){4, 7};
		tap_is_int(record_check(&r, record_size(&r)), RECORD_E_STRING, "one byte further");
		*strings[i] = (struct record_str){UINT16_MAX, UINT16_MAX};
		tap_is_int(
			record_check(&r, record_size(&r)), RECORD_E_STRING, "a sum that overflows");
	}
}

/* Bytes of a C string with its terminators as the ancestors of both ends: what the check says. */
static int check_ancestors(const char *bytes, size_t len)
{
	int e;

	fresh();
	record_put_str(&r, bytes, len, &r.orig.ancestors);
	e = record_check(&r, record_size(&r));
	r.resp.ancestors = r.orig.ancestors;
	r.orig.ancestors = (struct record_str){0};
	tap_is_int(record_check(&r, record_size(&r)), e, "the same for the other end");
	return e;
}

static void test_ancestors(void)
{
	static const char some[] = "4294967295 sh\0"
				   "12 a 5 b\n\0"
				   "1 ";
	static const struct {
		const char *bytes;
		size_t len;
		const char *name;
	} wrong[] = {
#define WRONG(bytes, name) {bytes, sizeof(bytes) - 1, name}
		WRONG("1 sh", "no NUL"),
		WRONG("1 sh\0"
		      "2 x",
			"no NUL behind the last"),
		WRONG("0 sh\0", "no pid 0"),
		WRONG("01 sh\0", "a leading zero"),
		WRONG("4294967296 sh\0", "a pid too large"),
		WRONG("99999999999999999999999 sh\0", "one that overflows"),
		WRONG("1\0sh\0", "no blank"),
		WRONG("sh\0", "no pid"),
		WRONG("-1 sh\0", "a negative pid"),
		WRONG("\0", "nothing but a NUL"),
		WRONG("1 a\0"
		      "1 a\0"
		      "1 a\0"
		      "1 a\0"
		      "1 a\0"
		      "1 a\0"
		      "1 a\0"
		      "1 a\0"
		      "1 a\0",
			"nine of them"),
	};
	uint32_t pid = 0;
	size_t pos = 0, len = 0;
	const char *name;

	tap_is_int(check_ancestors(some, sizeof(some)), 0, "three ancestors");
	name = record_next_ancestor(&r, r.resp.ancestors, &pos, &pid, &len);
	tap_ok(name && pid == UINT32_MAX && len == 2 && !memcmp(name, "sh", 2), "the parent");
	name = record_next_ancestor(&r, r.resp.ancestors, &pos, &pid, &len);
	tap_ok(name && pid == 12 && len == 6 && !memcmp(name, "a 5 b\n", 6), "any bytes in a name");
	name = record_next_ancestor(&r, r.resp.ancestors, &pos, &pid, &len);
	tap_ok(name && pid == 1 && len == 0, "an empty name");
	tap_ok(!record_next_ancestor(&r, r.resp.ancestors, &pos, &pid, &len), "the end");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		tap_is_int(check_ancestors(wrong[i].bytes, wrong[i].len), RECORD_E_STRING, "%s",
			wrong[i].name);
}

static void test_names(void)
{
	tap_is_str(record_event_name(RECORD_LOSS), "loss", "event");
	tap_is_str(record_direction_name(RECORD_INGRESS), "ingress", "direction");
	tap_is_str(record_state_name(RECORD_STATE_RSTOS0), "RSTOS0", "state");
	tap_is_str(record_end_reason_name(RECORD_END_TCP_REUSE), "tcp_reuse", "end reason");
	tap_is_str(record_method_name(RECORD_METHOD_TAP_CONNECT), "tap_connect", "method");
	tap_is_str(record_confidence_name(RECORD_CONFIDENCE_EXACT), "exact", "confidence");
	tap_is_str(record_unknown_name(RECORD_UNKNOWN_NO_SOCKET), "no_socket", "reason");
	tap_is_str(record_runtime_name(RECORD_RUNTIME_CRIO), "cri-o", "runtime");
	tap_is_str(record_loss_stage_name(RING_LOSS_RECORD_RING), "record_ring", "stage");
	tap_is_str(record_loss_stage_name(UINT32_MAX), "invalid", "out of range");
	tap_is_str(record_event_name(0), "invalid", "a hole in the list");
}

int main(void)
{
	test_strings();
	test_size();
	test_values();
	test_history();
	test_loss();
	test_string_bounds();
	test_ancestors();
	test_names();
	return tap_done();
}
