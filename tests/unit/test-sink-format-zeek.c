/* SPDX-License-Identifier: Apache-2.0 */
/* Zeek's conn.log: head, lines and foot, byte for byte. */
#include "tap.h"

#include "sink-build.h"

static struct format_context ctx;
static struct record r;
static char buf[FORMAT_MAX + 1];

/* The line without its newline, "" for none. */
static const char *line(void)
{
	size_t n = format_zeek.record(&r, &ctx, buf);

	buf[n] = 0;
	if (n)
		buf[n - 1] = buf[n - 1] == '\n' ? 0 : '!';
	return buf;
}

static const char *head(void)
{
	static char text[FORMAT_MAX];

	text[format_zeek.head(&ctx, BUILD_START, text)] = 0;
	return text;
}

/* The cell of the line in @buf below the column @name of the head, up to 100 bytes. */
static const char *cell(const char *name)
{
	static char text[101];
	const char *column = strstr(head(), "#fields\t") + 8, *at = buf;
	size_t len = strlen(name);

	while (strncmp(column, name, len) != 0 || (column[len] != '\t' && column[len] != '\n')) {
		column += strcspn(column, "\t\n");
		at = strchr(at, '\t');
		if (*column++ == '\n' || !at++)
			return "no such column";
	}
	snprintf(text, sizeof(text), "%.*s", (int)strcspn(at, "\t"), at);
	return text;
}

static unsigned count(const char *text, char c)
{
	unsigned n = 0;

	for (; *text && *text != '\n'; text++)
		n += *text == c;
	return n;
}

#define HEAD                                                                                       \
	"#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n"            \
	"#path\tconn\n#open\t2026-01-01-00-00-00\n"                                                \
	"#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\t" \
	"orig_bytes\tresp_bytes\tconn_state\tlocal_orig\tlocal_resp\tmissed_bytes\thistory\t"      \
	"orig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\ttunnel_parents\tip_proto\t"           \
	"community_id\t"
#define TYPES                                                                                      \
	"\n#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tstring\tinterval\tcount\tcount\t"   \
	"string\tbool\tbool\tcount\tstring\tcount\tcount\tcount\tcount\tset[string]\tcount\t"      \
	"string\t"

static void test_head(void)
{
	const char *types = strstr(head(), "\n#types\t");
	char foot[64];

	tap_ok(strncmp(head(), HEAD, strlen(HEAD)) == 0, "the head, zeek's columns first");
	tap_ok(types && strncmp(types, TYPES, strlen(TYPES)) == 0, "their types");
	build_record(&r);
	tap_ok(types && count(types + 1, '\t') == count(strstr(head(), "#fields"), '\t') &&
			count(types + 1, '\t') == count(line(), '\t') + 1,
		"as many types as fields, and as many values");
	foot[format_zeek.foot(&ctx, BUILD_START + UINT64_C(86399000000000), foot)] = 0;
	tap_is_str(foot, "#close\t2026-01-01-23-59-59\n", "the foot");
}

#define LINE                                                                                       \
	"1767225600.000000\tCKi\t10.0.0.1\t50000\t93.184.216.34\t80\ttcp\t-\t1.500000000\t100\t"   \
	"2000\tSF\tT\tF\t-\tShADadFf\t6\t-\t5\t-\t-\t6\t1:mCLmt2dclE10U9JIfoRWv0O9Vy8=\t"

static void test_line(void)
{
	build_record(&r);
	tap_ok(strncmp(line(), LINE, strlen(LINE)) == 0, "the end of a connection");
	tap_is_str(cell("missed_bytes"), "-", "what zeek alone can know is not made up");
	tap_is_str(cell("pid"), "1234", "its process: pid");
	tap_is_str(cell("exe"), "/usr/bin/curl", "executable");
	tap_is_str(cell("command"), "curl -s 'http://x/it'\\\\''s' ''",
		"command line as a shell reads it, a backslash doubled");
	tap_is_str(cell("owner_method"), "tap_connect", "how it was found");
	r.end_ns = r.start_ns;
	line();
	tap_is_str(cell("duration"), "-", "nothing lasted: no duration");
	tap_is_str(cell("orig_bytes"), "-", "and no bytes");
	r.event = RECORD_INFO;
	tap_is_str(line(), "", "one line a connection, at its end");
	r.event = RECORD_SUMMARY;
	r.connections = 7;
	line();
	tap_is_str(cell("connections"), "7", "or one for many");
	build_loss(&r);
	tap_is_str(line(),
		"#flowner_loss\tpacket_ring\tfull\t17\t17\t2025-12-31T23:59:59.999999995Z\t"
		"2026-01-01T00:00:00.000000000Z",
		"a loss is no connection but a comment");
}

static void test_escapes(void)
{
	build_record(&r);
	build_str(&r, &r.orig.name, "-", 1);
	build_str(&r, &r.orig.exe, "(empty)", 7);
	build_str(&r, &r.orig.cwd, "a\tb\nc\\d\xff,\xe2\x80\xae", 12);
	build_str(&r, &r.orig.ancestors, "9 a,b\0001 -", 10);
	line();
	tap_is_str(cell("process"), "\\x2d", "what would read as unset");
	tap_is_str(cell("exe"), "\\x28empty)", "what would read as empty");
	tap_is_str(cell("cwd"), "a\\x09b\\x0ac\\\\d\\xff,\\xe2\\x80\\xae",
		"tabs, newlines, backslashes, bytes that are no characters, and what steers");
	tap_is_str(cell("ancestors"), "a\\x2cb,\\x2d", "commas inside of elements");
}

static void test_last(void)
{
	uint64_t epoch = 0, seq = 0;

	build_record(&r);
	line();
	tap_ok(format_zeek.last(buf, strlen(buf), &epoch, &seq) && epoch == 3 && seq == 42,
		"a line tells its number");
	epoch = seq = 0;
	buf[strlen(buf)] = '\n';
	tap_ok(format_zeek.last(buf, (size_t)(strchr(buf, '\n') - buf) + 1, &epoch, &seq) &&
			epoch == 3 && seq == 42,
		"with its newline, too");
	tap_ok(!format_zeek.last(buf, strlen(LINE), &epoch, &seq), "a part of one does not");
	tap_ok(!format_zeek.last("#close\t2026", 11, &epoch, &seq), "nor does a comment");
	tap_ok(!format_zeek.last("", 0, &epoch, &seq), "nor nothing");
}

int main(void)
{
	build_context(&ctx);
	test_head();
	test_line();
	test_escapes();
	test_last();
	return tap_done();
}
