/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the corpus of fuzz-perf-record into the folder given: one file a kind of record, and a
 * life. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "perf-build.h"

static struct pb b;
static FILE *life;

static void put(const char *folder, const char *name)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "wbe");
	if (!f || fwrite(b.bytes, b.len, 1, f) != 1 || fclose(f) ||
		fwrite(b.bytes, b.len, 1, life) != 1) {
		perror(path);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	static const char *const args[] = {"/bin/prog", "-x", "two words", NULL};
	static const char *const envp[] = {"SECRET=hidden", "HOME=/root", NULL};
	static const uint8_t lo6[16] = {[15] = 1};
	static _Alignas(8) uint8_t stack[8192];
	const uint64_t sp = 0x7ffc00001230;
	char path[4096];
	size_t len;

	if (argc != 2)
		return 2;
	snprintf(path, sizeof(path), "%s/life", argv[1]);
	life = fopen(path, "wbe");
	if (!life)
		return 1;
	pb_task(&b, PERF_RECORD_FORK, 50, 40, 50, 41, 1000);
	put(argv[1], "fork");
	pb_namespaces(&b, 50, 50, 900, 1001);
	put(argv[1], "namespaces");
	pb_comm(&b, 50, 50, "prog\n\xff", 1, 1002);
	put(argv[1], "comm");
	pb_mmap(&b, 50, "/usr/bin/prog (deleted)", 1003);
	put(argv[1], "mmap");
	len = pb_stack(stack, sizeof(stack), sp, args, envp, 1000, 100, 64);
	pb_exec(&b, 50, sp, stack, len, 1004);
	put(argv[1], "exec");
	pb_exec(&b, 50, sp, stack, 200, 1004);
	put(argv[1], "exec-cut");
	pb_fib(&b, 50, 0, IPPROTO_TCP, 0x7f000001, 40000, 0x7f000001, 80, 1005);
	put(argv[1], "fib");
	pb_state(&b, 50, 0, 0xffff888012345678, 7, 2, AF_INET6, lo6, 0, lo6, 80, 1006);
	put(argv[1], "state");
	pb_begin(&b, PERF_RECORD_LOST, 0, 1, 1, 1007);
	pb_u64(&b, pb_ids[TAP_LIFE]);
	pb_u64(&b, 17);
	pb_trailer(&b);
	put(argv[1], "lost");
	pb_begin(&b, PERF_RECORD_CGROUP, 0, 1, 1, 1008);
	pb_u64(&b, 4711);
	pb_string(&b, "/system.slice/x.service");
	pb_trailer(&b);
	put(argv[1], "cgroup");
	pb_task(&b, PERF_RECORD_EXIT, 50, 40, 50, 41, 1009);
	put(argv[1], "exit");
	return fclose(life) ? 1 : 0;
}
