/* SPDX-License-Identifier: Apache-2.0 */
/* The pcapng format: blocks byte by byte, in this machine's order, and the mending of torn files.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sink-build.h"
#include "tap.h"

static struct format_context ctx;
static struct record r;
static char buf[FORMAT_MAX], head[FORMAT_MAX], want[4096];
static size_t n_head, n_want;
static struct format_section section;

static void u16(uint16_t v)
{
	memcpy(want + n_want, &v, sizeof(v));
	n_want += sizeof(v);
}

static void u32(uint32_t v)
{
	memcpy(want + n_want, &v, sizeof(v));
	n_want += sizeof(v);
}

/* Bytes, and zeros up to a multiple of four. */
static void padded(const char *bytes, size_t len)
{
	memset(want + n_want, 0, len + 3);
	memcpy(want + n_want, bytes, len);
	n_want += (len + 3) / 4 * 4;
}

static void option(uint16_t code, const char *bytes, size_t len)
{
	u16(code);
	u16((uint16_t)len);
	padded(bytes, len);
}

/* Fills in the lengths of the block that began at @from. */
static void finish(size_t from)
{
	uint32_t len = (uint32_t)(n_want - from) + 8;

	u32(0); /* no more options */
	u32(len);
	memcpy(want + from + 4, &len, sizeof(len));
}

static bool is_wanted(const char *got, size_t n)
{
	return n == n_want && memcmp(got, want, n) == 0;
}

static void want_section(void)
{
	size_t from = n_want;

	u32(0x0a0d0d0a);
	u32(0);
	u32(0x1a2b3c4d);
	u16(1);
	u16(0);
	u32(UINT32_MAX);
	u32(UINT32_MAX);
	option(4, "flowner 1.2.3", 13);
	finish(from);
}

static void want_interface(uint16_t linktype, const char *name)
{
	size_t from = n_want;

	u32(1);
	u32(0);
	u16(linktype);
	u16(0);
	u32(0);
	option(2, name, strlen(name));
	option(9, "\x09", 1);
	finish(from);
}

static size_t packet(void)
{
	return format_packet(&format_pcapng, &r, &section, &ctx, buf);
}

static void build_packet(void)
{
	build_record(&r);
	r.event = RECORD_PACKET;
	r.t_ns = UINT64_C(0x0123456789abcdef);
	r.dlt = 12;
	r.packet_len = 1500;
	build_str(&r, &r.packet, "\x45\0\0abc", 6);
}

/* Up to the options. */
static void want_packet(uint32_t interface)
{
	u32(6);
	u32(0);
	u32(interface);
	u32(0x01234567);
	u32(0x89abcdef);
	u32(6);
	u32(1500);
	padded("\x45\0\0abc", 6);
}

static void want_pid(uint32_t pid)
{
	u16(8);
	u16(8);
	u32(pid);
	u32(0);
}

#define CURL                                                                                       \
	"PID: 1234\nCmd: /usr/bin/curl\nArgs: curl -s http://x/it's \nParentPID: 1000\n"           \
	"ParentCmd: bash\nOwner: exact (tap_connect)\n"

/* A section that has described what build_packet() makes. */
static void begin(void)
{
	section = (struct format_section){.begun = true};
	packet();
	n_want = 0;
}

static void test_packet(void)
{
	static const char comment[] = CURL "Interface: eth0";
	const uint32_t out = 2, in = 1;

	build_packet();
	begin();
	want_packet(0);
	option(2, (const char *)&out, 4);
	want_pid(1234);
	option(1, comment, sizeof(comment) - 1);
	finish(0);
	tap_ok(is_wanted(buf, packet()),
		"a packet out, with its process in option 8 and in the comment");
	r.packet_resp = 1;
	n_want = 0;
	want_packet(0);
	option(2, (const char *)&in, 4);
	want_pid(1234);
	option(1, comment, sizeof(comment) - 1);
	finish(0);
	tap_ok(is_wanted(buf, packet()), "its answer");
	r.dlt = 9;
	tap_is_int(packet(), 0, "a link type without a number here");
	r.event = RECORD_END;
	tap_is_int(packet(), 0, "connections are not packets");
}

/* Link types are described where they come, in a section that is there or is begun. */
static void test_sections(void)
{
	static const struct {
		uint16_t dlt, linktype;
		const char *name;
	} links[] = {{229, 229, "ipv6"}, {1, 1, "ethernet"}, {113, 113, "cooked"},
		{276, 276, "cooked2"}, {12, 101, "raw"}, {228, 228, "ipv4"}, {0, 0, "null"},
		{108, 108, "loop"}};
	unsigned wrong = 0;

	n_want = 0;
	want_section();
	n_head = format_pcapng.head(&ctx, BUILD_START, head);
	tap_ok(is_wanted(head, n_head), "the head is a section's, without interfaces");

	section = (struct format_section){0};
	build_packet();
	r.flags |= RECORD_FLAG_OFFLINE;
	r.direction = RECORD_LOCAL;
	r.orig.pid = 0;
	for (uint32_t i = 0; i < 2 * sizeof(links) / sizeof(links[0]); i++) {
		uint32_t n = i % (sizeof(links) / sizeof(links[0]));
		size_t from;

		r.dlt = links[n].dlt;
		n_want = 0;
		if (i == 0)
			want_section();
		if (i == n)
			want_interface(links[n].linktype, links[n].name);
		from = n_want;
		want_packet(n);
		finish(from);
		wrong += !is_wanted(buf, packet());
	}
	tap_is_int(wrong, 0, "eight link types, each described before its first packet");
}

/* From here to here: the sender's process, and the other's as the peer. */
static void test_local(void)
{
	static const char server[] = "PID: 80\nCmd: x\\n\\e\nOwner: probable (tap_listen)\n"
				     "PeerPID: 1234\nPeerCmd: /usr/bin/curl\n"
				     "PeerArgs: curl -s http://x/it's \nPeerParentPID: 1000\n"
				     "PeerParentCmd: bash\nPeerOwner: exact (tap_connect)\n"
				     "Interface: eth0";
	static const char unknown[] = "Owner: unknown (no_process)\n"
				      "PeerPID: 1234\nPeerCmd: /usr/bin/curl\n"
				      "PeerArgs: curl -s http://x/it's \nPeerParentPID: 1000\n"
				      "PeerParentCmd: bash\nPeerOwner: exact (tap_connect)\n"
				      "Interface: eth0";

	build_packet();
	r.direction = RECORD_LOCAL;
	r.packet_resp = 1;
	r.resp.pid = 80;
	r.resp.method = RECORD_METHOD_TAP_LISTEN;
	r.resp.confidence = RECORD_CONFIDENCE_PROBABLE;
	build_str(&r, &r.resp.name, "x\n\x1b", 3);
	begin();
	want_packet(0);
	want_pid(80);
	option(1, server, sizeof(server) - 1);
	finish(0);
	tap_ok(is_wanted(buf, packet()),
		"both ends here: sender and peer, a key a line whatever their names");
	r.resp = (struct record_process){.unknown = RECORD_UNKNOWN_NO_PROCESS};
	n_want = 0;
	want_packet(0);
	option(1, unknown, sizeof(unknown) - 1);
	finish(0);
	tap_ok(is_wanted(buf, packet()), "a sender that is not known is nobody, whoever the peer");
	r.flags |= RECORD_FLAG_OFFLINE;
	r.resp.pid = r.orig.pid = 0;
	n_want = 0;
	want_packet(0);
	finish(0);
	tap_ok(is_wanted(buf, packet()), "from a file: the packet alone");
}

/* What whole() makes of the first @n bytes of head and two packets: where it ends, or an error. */
static long long mend(const char *bytes, size_t n)
{
	int fd = memfd_create("test", MFD_CLOEXEC), result;
	uint64_t end = 0;

	if (fd < 0 || write(fd, bytes, n) != (ssize_t)n)
		tap_bail("no file");
	result = format_pcapng.whole(fd, n, &end);
	close(fd);
	return result ? result : (long long)end;
}

static void test_whole(void)
{
	static char file[sizeof(head) + 8192];
	size_t one, n, wrong = 0;

	build_packet();
	begin();
	one = packet();
	memcpy(file, head, n_head);
	memcpy(file + n_head, buf, one);
	memcpy(file + n_head + one, buf, one);
	n = n_head + 2 * one;
	for (size_t i = 1; i <= n; i++) {
		size_t end = i < n_head ? 0 : n_head + (i - n_head) / one * one;

		wrong += mend(file, i) != (long long)end;
	}
	tap_is_int(wrong, 0, "cut anywhere, what is whole is kept: packets, or nothing of a head");
	memset(file + n, 0, FORMAT_MAX);
	tap_is_int(mend(file, n + 100), n, "a hole behind them is cut, too");
	section = (struct format_section){0};
	memcpy(file + n, buf, packet());
	tap_is_int(mend(file, n + n_head), n + n_head, "a section behind them is kept");
	file[28] = 'F';
	tap_is_int(mend(file, n), -EBADMSG, "another program's file is not touched");
	file[28] = 'f';
	memset(file + n_head, 0, one);
	file[n_head] = 5;
	tap_is_int(mend(file, n + FORMAT_MAX), -EBADMSG,
		"nor what has something else in it that nobody was just writing");
	tap_is_int(mend("1.2.3.4 -> 5.6.7.8\n", 19), -EBADMSG, "nor is text");
}

int main(void)
{
	build_context(&ctx);
	test_sections();
	test_packet();
	test_local();
	test_whole();
	return tap_done();
}
