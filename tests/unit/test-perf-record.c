/* SPDX-License-Identifier: Apache-2.0 */
/* Hand-built perf records: each kind, each cut at every byte, stacks with argv out of reach. */
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "enrich/perf-record.h"
#include "perf-build.h"
#include "tap.h"

static struct tap_layout layout;
static struct pb b;
static struct perf_record r;

static int parse(void)
{
	memset(&r, 0x5a, sizeof(r));
	return perf_record_parse(&layout, pb_ids, b.bytes, b.len, &r);
}

/* Exactly sized copies, so that a sanitizer sees a byte read too many; none may be accepted. */
static void cut_everywhere(const char *what)
{
	unsigned accepted = 0;

	for (size_t len = 0; len < b.len; len++) {
		struct perf_event_header h;
		uint8_t *copy = malloc(len ? len : 1);

		memcpy(copy, b.bytes, len);
		for (int fix = 0; fix < 2; fix++) {
			if (fix && len >= sizeof(h)) { /* a header that agrees with the cut */
				memcpy(&h, copy, sizeof(h));
				h.size = (uint16_t)len;
				memcpy(copy, &h, sizeof(h));
			}
			if (!perf_record_parse(&layout, pb_ids, copy, len, &r))
				accepted += !fix;
		}
		free(copy);
	}
	tap_is_int(accepted, 0, "%s: cut anywhere it is refused", what);
}

static bool is_string(struct perf_bytes s, const char *want)
{
	return s.len == strlen(want) && !memcmp(s.bytes, want, s.len);
}

static void test_life(void)
{
	pb_task(&b, PERF_RECORD_FORK, 50, 40, 50, 41, 1000);
	tap_is_int(parse(), 0, "fork");
	tap_ok(r.kind == PERF_KIND_FORKED && r.pid == 50 && r.fork.ppid == 40 && !r.fork.thread &&
			r.t_ns == 1000,
		"fork: child, parent, time");
	cut_everywhere("fork");
	pb_task(&b, PERF_RECORD_FORK, 40, 40, 51, 40, 1000);
	tap_ok(!parse() && r.fork.thread, "a new thread is no new process");
	pb_task(&b, PERF_RECORD_EXIT, 50, 40, 50, 41, 1001);
	tap_ok(!parse() && r.kind == PERF_KIND_EXITED && r.pid == 50 && !r.fork.thread, "exit");
	pb_task(&b, PERF_RECORD_EXIT, 50, 40, 52, 41, 1001);
	tap_ok(!parse() && r.fork.thread, "a thread's exit is none of its process");

	pb_comm(&b, 50, 50, "a\nb\xff", 1, 1002);
	tap_ok(!parse() && r.kind == PERF_KIND_NAMED && r.named.exec, "comm by exec");
	tap_ok(is_string(r.named.comm, "a\nb\xff"), "comm: raw bytes");
	cut_everywhere("comm");
	pb_comm(&b, 50, 53, "worker", 0, 1002);
	tap_ok(!parse() && !r.named.exec && r.tid == 53, "comm of a thread");

	pb_mmap(&b, 50, "/usr/bin/some thing", 1003);
	tap_ok(!parse() && r.kind == PERF_KIND_MAPPED && r.pid == 50, "executable mapping");
	tap_ok(is_string(r.path, "/usr/bin/some thing"), "its path");
	cut_everywhere("mmap2");
	pb_mmap(&b, 50, "//anon", 1003);
	tap_ok(!parse() && r.kind == PERF_KIND_IGNORED, "an anonymous mapping is no program");
	pb_mmap(&b, 50, "[vdso]", 1003);
	tap_ok(!parse() && r.kind == PERF_KIND_IGNORED, "nor is the vdso");

	pb_namespaces(&b, 50, 50, 900, 1004);
	tap_ok(!parse() && r.kind == PERF_KIND_NAMESPACES && r.ns.net == 900 && r.ns.pid == 903 &&
			r.ns.user == 904,
		"namespaces");
	cut_everywhere("namespaces");
}

static void test_others(void)
{
	pb_begin(&b, PERF_RECORD_LOST, 0, 1, 1, 1005);
	pb_u64(&b, pb_ids[TAP_LIFE]);
	pb_u64(&b, 17);
	pb_trailer(&b);
	tap_ok(!parse() && r.kind == PERF_KIND_DROPPED && r.lost == 17 && r.t_ns == 1005, "lost");
	pb_begin(&b, PERF_RECORD_LOST_SAMPLES, 0, 1, 1, 1005);
	pb_u64(&b, 18);
	pb_trailer(&b);
	tap_ok(!parse() && r.kind == PERF_KIND_DROPPED && r.lost == 18, "lost samples");
	pb_begin(&b, PERF_RECORD_CGROUP, 0, 1, 1, 1006);
	pb_u64(&b, 4711);
	pb_string(&b, "/system.slice/x.service");
	pb_trailer(&b);
	tap_ok(!parse() && r.kind == PERF_KIND_NEW_CGROUP && r.cgroup.id == 4711, "new cgroup");
	tap_ok(is_string(r.cgroup.path, "/system.slice/x.service"), "its path");
	pb_begin(&b, PERF_RECORD_THROTTLE, 0, 1, 1, 1006);
	pb_trailer(&b);
	tap_ok(!parse() && r.kind == PERF_KIND_IGNORED, "another type is ignored");
	pb_begin(&b, PERF_RECORD_COMM, 0, 1, 1, 1006);
	pb_u64(&b, 999);
	pb_end(&b);
	tap_is_int(parse(), PERF_RECORD_E_ID, "an event nobody opened");
}

static void test_route(void)
{
	static const uint8_t dst[16] = {[10] = 0xff, 0xff, 10, 0, 0, 2};
	static const uint8_t any[16] = {[10] = 0xff, 0xff};

	pb_fib(&b, 60, 0, IPPROTO_TCP, 0, 40000, 0x0a000002, 80, 2000);
	tap_is_int(parse(), 0, "route lookup");
	tap_ok(r.kind == PERF_KIND_ROUTE && r.pid == 60 && r.t_ns == 2000 && r.cgroup_id == 77 &&
			!r.softirq,
		"who and when");
	tap_ok(r.route.proto == IPPROTO_TCP && r.route.sport == 40000 && r.route.dport == 80,
		"protocol and ports");
	tap_ok(!memcmp(r.route.dst, dst, 16) && !memcmp(r.route.src, any, 16),
		"addresses are v4-mapped");
	cut_everywhere("route");
	pb_fib(&b, 60, 0x10, IPPROTO_TCP, 0, 40000, 0x0a000002, 80, 2000);
	tap_ok(!parse() && r.softirq, "in softirq nobody is to blame");
	pb_fib(&b, 60, 0x81, IPPROTO_TCP, 0, 40000, 0x0a000002, 80, 2000);
	tap_ok(!parse() && !r.softirq, "interrupts off is no interrupt");
	pb_fib(&b, 60, 0, IPPROTO_TCP, 0, 0, 0x0a000002, 80, 2000);
	tap_ok(!parse() && r.kind == PERF_KIND_IGNORED, "without a port it says nothing");
	layout.fib[TAP_FIB_DST].size = 0;
	pb_fib(&b, 60, 0, IPPROTO_TCP, 0, 40000, 0x0a000002, 80, 2000);
	tap_ok(!parse() && r.kind == PERF_KIND_IGNORED, "nor without the field in this kernel");
	layout = pb_layout();
	layout.fib[TAP_FIB_DST].offset = 4000;
	tap_ok(!parse() && r.kind == PERF_KIND_IGNORED, "nor with a field outside the data");
	layout = pb_layout();
}

static void test_state(void)
{
	static const uint8_t lo6[16] = {[15] = 1};
	static const uint8_t lo4[16] = {[10] = 0xff, 0xff, 127, 0, 0, 1};

	pb_state(&b, 70, 0, 0xffff888012345678, 7, 10, AF_INET6, lo6, 80, lo6, 0, 3000);
	tap_ok(!parse() && r.kind == PERF_KIND_STATE && r.state.newstate == 10 &&
			r.state.oldstate == 7 && r.state.sport == 80 &&
			r.state.skaddr == 0xffff888012345678,
		"state change");
	tap_ok(!memcmp(r.state.src, lo6, 16), "IPv6 address");
	cut_everywhere("state");
	pb_state(&b, 70, 0, 1, 1, 4, AF_INET, lo4, 80, lo4, 40000, 3000);
	tap_ok(!parse() && !memcmp(r.state.dst, lo4, 16), "IPv4 address");
}

static const char *const args[] = {"/bin/prog", "-x", "two words", NULL};
static const char all[] = "/bin/prog\0-x\0two words";
static const char *const envp[] = {"SECRET=hidden", "HOME=/root", NULL};

static void test_exec(void)
{
	static _Alignas(8) uint8_t stack[8192];
	const uint64_t sp = 0x7ffc00001230;
	size_t len = pb_stack(stack, sizeof(stack), sp, args, envp, 1000, 100, 64);

	pb_exec(&b, 80, sp, stack, len, 4000);
	tap_is_int(parse(), 0, "exec");
	tap_ok(r.kind == PERF_KIND_EXEC && r.pid == 80 && r.cgroup_id == 77, "who");
	tap_is_int(r.exec.args.len, sizeof(all), "command line: length, without the environment");
	tap_ok(r.exec.args.len == sizeof(all) && !memcmp(r.exec.args.bytes, all, sizeof(all)) &&
			!r.exec.args_cut,
		"command line: all of it");
	tap_ok(r.exec.have_ids && r.exec.uid == 1000 && r.exec.gid == 100, "effective ids");
	tap_ok(r.exec.ruid == 4242 && r.exec.rgid == 4343, "real ids");
	cut_everywhere("exec");

	len = pb_stack(stack, sizeof(stack), sp, args, envp, 0, 0, 7000);
	for (size_t used = 0, bad = 0; used <= len; used++) {
		struct perf_record_exec e;
		uint8_t *copy = malloc(used ? used : 1);

		memcpy(copy, stack, used);
		perf_record_stack(copy, used, sp, 8, &e);
		bad += e.args.len > sizeof(all) ||
		       (e.args.len && memcmp(e.args.bytes, all, e.args.len) != 0) ||
		       (e.args.len && e.args.len < sizeof(all) && !e.args_cut);
		free(copy);
		if (used == len)
			tap_is_int(bad, 0, "read up to any byte: a prefix of argv, flagged as cut");
	}
	pb_exec(&b, 80, sp, stack, 300, 4000);
	tap_ok(!parse() && !r.exec.args.len && r.exec.have_ids,
		"strings out of reach: no command line, but ids");
}

static void test_hostile_stack(void)
{
	static _Alignas(8) uint8_t stack[8192];
	const uint64_t sp = 0x7ffc00001230;
	struct perf_record_exec e;
	uint64_t *w = (uint64_t *)stack;
	size_t len = pb_stack(stack, sizeof(stack), sp, args, envp, 0, 0, 0);

	w[2] = w[1]; /* argv[1] points into argv[0] */
	perf_record_stack(stack, len, sp, 8, &e);
	tap_ok(e.args.len == sizeof("/bin/prog") && e.args_cut, "strings out of order end argv");
	w[1] = w[5]; /* argv[0] points at the environment's first string */
	w[2] = w[6];
	perf_record_stack(stack, len, sp, 8, &e);
	tap_ok(true, "argv aimed at the environment does not crash");
	w[0] = UINT64_MAX;
	perf_record_stack(stack, len, sp, 8, &e);
	tap_ok(!e.args.len && !e.have_ids, "argc out of range");
	w[0] = 0;
	perf_record_stack(stack, len, sp, 8, &e);
	tap_ok(!e.args.len, "argc 0");
	pb_stack(stack, sizeof(stack), sp, args, envp, 0, 0, 0);
	w[1] = sp - 8;
	perf_record_stack(stack, len, sp, 8, &e);
	tap_ok(!e.args.len && !e.args_cut, "a pointer below the stack");
	w[1] = UINT64_MAX;
	perf_record_stack(stack, len, sp, 8, &e);
	tap_ok(!e.args.len, "a pointer beyond it");
}

int main(void)
{
	layout = pb_layout();
	test_life();
	test_others();
	test_route();
	test_state();
	test_exec();
	test_hostile_stack();
	return tap_done();
}
