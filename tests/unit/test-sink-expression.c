/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions: every key, every operator, every complaint. */
#include "sink-build.h"
#include "sink/expression.h"
#include "sink/fields.h"
#include "tap.h"

static struct record r;

/* A connection of which everything is known, to this host itself and by name. */
static void build_known(void)
{
	build_record(&r);
	build_details(&r, &r.orig);
	r.resp.pid = 77;
	r.resp.uid = 33;
	r.resp.method = RECORD_METHOD_TAP_LISTEN;
	r.resp.confidence = RECORD_CONFIDENCE_PROBABLE;
	r.resp.unknown = RECORD_UNKNOWN_NONE;
	build_str(&r, &r.resp.name, "nginx", 5);
	build_str(&r, &r.name, "WWW.Example.com", 15);
	build_str(&r, &r.server_name, "api.example.com", 15);
	build_str(&r, &r.dns_query, "asked.example", 13);
	build_str(&r, &r.netns, "blue", 4);
	r.service = RECORD_SERVICE_TLS;
	r.connections = 1;
}

static bool yes(const char *text)
{
	struct expression_error err;
	struct expression *e = NULL;
	bool is;

	if (expression_parse(text, &e, &err) != 0) {
		printf("# %s: %s\n", text, err.text);
		return false;
	}
	is = expression_matches(e, &r);
	expression_free(e);
	return is;
}

static bool no(const char *text)
{
	struct expression_error err;
	struct expression *e = NULL;
	bool is;

	if (expression_parse(text, &e, &err) != 0) {
		printf("# %s: %s\n", text, err.text);
		return false;
	}
	is = expression_matches(e, &r);
	expression_free(e);
	return !is;
}

/* For each key, what the record has and what it has not. */
static const struct {
	const char *key, *is, *is_not;
} values[] = {
	{"process", "curl", "Curl"},
	{"comm", "nginx", "ngin"},
	{"exe", "/usr/bin/curl", "/usr/bin"},
	{"args", "\"curl -s http://x/it's \"", "curl"},
	{"cwd", "/srv/*", "/srv"},
	{"user", "ann", "root"},
	{"group", "users", "ann"},
	{"uid", "1000", "1001"},
	{"gid", "100", "1000"},
	{"loginuid", "1002", "0"},
	{"pid", "1234", "123"},
	{"ppid", "1000", "1"},
	{"parent", "bash", "systemd"},
	{"ancestor", "systemd", "init"},
	{"cgroup", "/user.slice", "/"},
	{"container", "01*", "01"},
	{"runtime", "podman", "docker"},
	{"pod", "11-22", "11"},
	{"unit", "libpod-0123.scope", "libpod-0123"},
	{"method", "tap_listen", "seed"},
	{"confidence", "exact", "unknown"},
	{"host", "93.184.216.34", "93.184.216.35"},
	{"src", "10.0.0.0/8", "93.184.216.34"},
	{"orig", "10.0.0.1", "11.0.0.0/8"},
	{"dst", "93.184.216.34/31", "93.184.216.36/31"},
	{"resp", "www.example.com", "10.0.0.1"},
	{"port", "50000", "443"},
	{"sport", "50000", "80"},
	{"dport", "80", "50000"},
	{"name", "*.EXAMPLE.com", "example.com"},
	{"server_name", "api.example.com", "www.example.com"},
	{"dns_query", "asked.example", "example"},
	{"proto", "tcp", "udp"},
	{"service", "tls", "dns"},
	{"direction", "egress", "ingress"},
	{"interface", "eth0", "lo"},
	{"netns", "blue", "red"},
	{"state", "SF", "S0"},
	{"event", "end", "start"},
	{"end_reason", "shutdown", "reset"},
	{"bytes", "2100", "2000"},
	{"packets", "11", "6"},
	{"duration", "1500ms", "1s"},
	{"connections", "1", "2"},
};

static void test_keys(void)
{
	unsigned listed = 0;

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		char is[128], is_not[128], negated[140];

		snprintf(is, sizeof(is), "%s:%s", values[i].key, values[i].is);
		snprintf(is_not, sizeof(is_not), "%s:%s", values[i].key, values[i].is_not);
		snprintf(negated, sizeof(negated), "not %s", is_not);
		tap_ok(yes(is) && no(is_not) && yes(negated), "%s, not %s", is, is_not);
	}
	for (unsigned n = 0; expression_key_at(n); n++) {
		const char *name = expression_key_at(n)->name;
		bool found = !strcmp(name, "loopback") || !strcmp(name, "unknown");

		for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
			found |= !strcmp(values[i].key, name);
		listed += found;
		if (!found)
			printf("# no value for %s\n", name);
		if (!expression_key_at(n + 1))
			tap_is_int(listed, n + 1, "every key has a value here");
	}
}

static void test_special_keys(void)
{
	tap_ok(no("loopback") && yes("not loopback"), "loopback: not there");
	build_str(&r, &r.ifname, "lo", 2);
	tap_ok(yes("loopback"), "loopback by its interface");
	r.ifname.len = 0;
	build_address(r.resp_addr, "127.9.9.9");
	tap_ok(yes("loopback"), "loopback by an address");
	build_address(r.resp_addr, "::1");
	r.family = 6;
	tap_ok(yes("loopback host:::1 host:::/64") && no("host:::2"), "IPv6 loopback");
	build_address(r.resp_addr, "2001:db8::5");
	tap_ok(no("loopback") && yes("dst:2001:db8::/32") && no("dst:2001:db9::/32"), "IPv6 nets");
	r.proto = IPPROTO_ICMPV6;
	tap_ok(yes("proto:icmp") && yes("proto:58") && no("proto:tcp,udp") && no("port:0-"),
		"icmp is ICMPv6 too and has no ports");
	build_known();
	r.direction = RECORD_INGRESS;
	tap_ok(yes("src:www.example.com") && no("dst:www.example.com"),
		"a name is that of the remote end");
	memset(&r.resp, 0, sizeof(r.resp));
	r.resp.unknown = RECORD_UNKNOWN_NO_PROCESS;
	r.resp.uid = UINT32_MAX;
	tap_ok(yes("unknown:no_process") && yes("confidence:unknown") && no("uid:0"),
		"an owner that is not known");
	r.resp.unknown = RECORD_UNKNOWN_REMOTE;
	tap_ok(yes("unknown:remote") && no("confidence:unknown"), "a remote end is no unknown one");
	build_known();
	r.flags = 0;
	tap_ok(no("bytes:0-") && yes("not bytes:0-"), "unknown bytes are not 0");
	r.flags = RECORD_FLAG_ORIG_BYTES;
	tap_ok(yes("bytes:100"), "bytes of one side");
	r.orig_bytes = UINT64_MAX;
	r.flags |= RECORD_FLAG_RESP_BYTES;
	tap_ok(yes("bytes:1GiB-"), "a sum that does not wrap");
	build_known();
}

static void test_operators(void)
{
	tap_ok(yes("") && yes("  "), "nothing asked matches");
	tap_ok(yes("process:curl port:80") && no("process:curl port:81") && no("port:81 port:80"),
		"terms are all to hold");
	tap_ok(yes("port:22,80") && yes("port:80,22") && no("port:22,23"), "any value of a list");
	tap_ok(yes("port:1-80") && yes("port:80-90") && yes("port:80-80") && no("port:81-90"),
		"ranges hold their ends");
	tap_ok(yes("port:50000-") && no("port:50001-") && yes("port:-80") && no("port:-79"),
		"open ranges");
	tap_ok(yes("bytes:2KiB-3KiB") && yes("bytes:-3KiB") && no("bytes:1MiB-") &&
			yes("bytes:2100B"),
		"sizes");
	tap_ok(yes("duration:1s-2s") && yes("duration:1500000us") && no("duration:1m-") &&
			yes("duration:1500000000ns") && no("duration:1499999999ns") &&
			yes("duration:-1h") && yes("duration:-1d") && no("duration:1h-1d"),
		"durations");
	tap_ok(yes("not process:wget") && no("not process:curl") && no("not port:80,22"),
		"not turns the whole term round");
	tap_ok(yes("port:1 or port:80") && yes("port:80 or port:1") && no("port:1 or port:2"),
		"either alternative");
	tap_ok(no("process:wget port:80 or process:curl port:1") &&
			yes("process:wget or process:curl port:80 not user:root"),
		"or binds less than the blank");
	tap_ok(yes("process:c*") && yes("process:*url") && yes("process:c*l") && yes("process:*") &&
			yes("process:*u*l*") && no("process:c*x"),
		"* is any bytes");
	tap_ok(yes("exe:*/bin/curl") && no("exe:/sbin/*"), "* is slashes too");
	tap_ok(no("process:c\\*") && yes("process:\\c\\u\\r\\l") && yes("process:\"curl\""),
		"backslash and quotes");
	build_str(&r, &r.orig.name, "a, *\"\\", 6);
	tap_ok(yes("process:\"a, \\*\\\"\\\\\"") && yes("process:a\\,\\ \\*\\\"\\\\") &&
			yes("process:\"a, \"*"),
		"bytes that mean something else");
	build_known();
	r.resp.name.len = r.orig.name.len = 0;
	tap_ok(no("process:*") && yes("not process:*"),
		"a value that is not there matches nothing");
	build_known();
	build_loss(&r);
	tap_ok(no("host:0.0.0.0/0") && yes("not port:0-"), "a loss has no values");
	build_known();
	tap_ok(yes("host:0.0.0.0/0") && no("host:::/128") && yes("host:::ffff:10.0.0.1"),
		"all of IPv4, and IPv4 as IPv6");
	tap_ok(yes("process:or,not,curl"), "words that are values");
}

static void test_complaints(void)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"port:80 prot:tcp", "column 9: unknown key \"prot\" (did you mean \"proto\"?)"},
		{"sevice:dns", "column 1: unknown key \"sevice\" (did you mean \"service\"?)"},
		{"xyzzy:1", "column 1: unknown key \"xyzzy\""},
		{":1", "column 1: unknown key \"\""},
		{"port", "column 5: port needs a value: port:VALUE"},
		{"port:", "column 6: a value is missing here"},
		{"port:1,,2", "column 8: a value is missing here"},
		{"port:1,", "column 8: a value is missing here"},
		{"process:\"\"", "column 9: a value is missing here"},
		{"port:http", "column 6: \"http\" is not a number, or a range as 1-9, 1- or -9"},
		{"port:-", "column 6: \"-\" is not a number, or a range as 1-9, 1- or -9"},
		{"port:1-2-3", "column 6: \"1-2-3\" is not a number, or a range as 1-9, 1- or -9"},
		{"port:9-1", "column 6: \"9-1\" is a range from high to low"},
		{"pid:99999999999999999999",
			"column 5: \"99999999999999999999\" is not a number, or "
			"a range as 1-9, 1- or -9"},
		{"bytes:1MB", "column 7: \"1MB\" is not a size, such as 100, 4KiB or a range as "
			      "1MiB-"},
		{"duration:5", "column 10: \"5\" is not a duration with its unit, such as 10ms, 5s "
			       "or a range as 1m-"},
		{"direction:egres", "column 11: \"egres\" is no direction (did you mean "
				    "\"egress\"?)"},
		{"direction:up", "column 11: \"up\" is no direction; one of: unknown, egress, "
				 "ingress, local"},
		{"proto:tpc", "column 7: \"tpc\" is no proto; one of: tcp, udp, icmp, sctp"},
		{"state:sf", "column 7: \"sf\" is no state (did you mean \"SF\"?)"},
		{"host:10.0.0.0/33",
			"column 6: \"10.0.0.0/33\" is not an address such as 10.1.2.3, "
			"10.0.0.0/8 or 2001:db8::/32"},
		{"host:a:b", "column 6: \"a:b\" is not an address such as 10.1.2.3, 10.0.0.0/8 or "
			     "2001:db8::/32"},
		{"loopback:1", "column 9: loopback takes no value"},
		{"loopbak", "column 1: \"loopbak\" is not KEY:VALUE (did you mean \"loopback\"?)"},
		{"tcp", "column 1: \"tcp\" is not KEY:VALUE (did you mean \"proto:tcp\"?)"},
		{"443", "column 1: \"443\" is not KEY:VALUE (did you mean \"port:443\"?)"},
		{"10.0.0.1", "column 1: \"10.0.0.1\" is not KEY:VALUE (did you mean "
			     "\"host:10.0.0.1\"?)"},
		{"curl", "column 1: \"curl\" is not KEY:VALUE, such as process:curl"},
		{"process:\"a b", "column 9: this quote is not closed"},
		{"process:a\\", "column 10: a backslash with nothing behind it"},
		{"or port:1", "column 1: \"or\" needs a term before it"},
		{"port:1 or or port:2", "column 11: \"or\" needs a term before it"},
		{"port:1 or", "column 10: \"or\" needs a term behind it"},
		{"not", "column 1: \"not\" needs a term behind it"},
		{"not not port:1", "column 1: \"not\" needs a term behind it"},
		{"not or port:1", "column 1: \"not\" needs a term behind it"},
		{"\x1b[2J:1", "column 1: unknown key \"\\x1b[2J\""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct expression_error err = {0};
		struct expression *e = NULL;

		tap_is_int(expression_parse(cases[i].text, &e, &err), EXPRESSION_E_SYNTAX,
			"case %zu is refused", i);
		tap_is_str(err.text, cases[i].want, "and why");
	}
}

static void test_bounds(void)
{
	static char text[EXPRESSION_MAX + 2];
	struct expression_error err;
	struct expression *e = NULL;

	for (unsigned i = 0; i <= EXPRESSION_TERMS_MAX; i++)
		strcat(text, "pid:1 ");
	tap_is_int(expression_parse(text, &e, &err), EXPRESSION_E_SYNTAX, "too many terms");
	text[EXPRESSION_TERMS_MAX * 6] = '\0';
	tap_is_int(expression_parse(text, &e, &err), 0, "as many as there may be");
	expression_free(e);
	strcpy(text, "pid:1");
	for (unsigned i = 1; i < EXPRESSION_VALUES_MAX; i++)
		strcat(text, ",1");
	tap_is_int(expression_parse(text, &e, &err), EXPRESSION_E_SYNTAX, "too many values");
	memset(text, 'a', EXPRESSION_MAX + 1);
	memcpy(text, "exe:", 4);
	tap_is_int(expression_parse(text, &e, &err), EXPRESSION_E_SYNTAX, "too long");
	text[EXPRESSION_MAX] = '\0';
	tap_is_int(expression_parse(text, &e, &err), 0, "as long as it may be");
	expression_free(e);
	expression_free(NULL);
}

/* A key that is called as a field is that field: same words, or the same kind of value. */
static void test_table(void)
{
	const struct expression_key_info *k;
	const struct field *f;
	unsigned shared = 0, differ = 0;

	for (unsigned i = 0; (k = expression_key_at(i)); i++) {
		f = field_find(k->name, strlen(k->name));
		if (!f || k->type == EXPRESSION_PROTO || k->type == EXPRESSION_HOST)
			continue;
		shared++;
		differ += (k->type == EXPRESSION_NAME) != (f->words > 0) ||
			  (k->word && (k->word != f->word || k->words != f->words)) ||
			  (k->type == EXPRESSION_TEXT) !=
				  ((f->type == FIELD_STRING || f->type == FIELD_STRINGS) &&
					  !f->words);
	}
	tap_ok(shared > 20, "keys are called as fields are: %u", shared);
	tap_is_int(differ, 0, "and hold what those do");
	tap_ok(yes("sni:api.example.com query:asked.example reason:shutdown"),
		"shorter names for some");
}

int main(void)
{
	build_known();
	test_keys();
	test_special_keys();
	test_operators();
	test_complaints();
	test_bounds();
	test_table();
	return tap_done();
}
