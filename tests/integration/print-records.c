/* SPDX-License-Identifier: Apache-2.0 */
/* Prints random records in a format: print-records FORMAT COUNT SEED. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit/sink-build.h"

/* Random bytes are hardly ever an address: one behind the other strings of @r. */
static void add_address(struct record *r)
{
	static const char address[] = "192.0.2.1,x";

	r->dns_answers.len = sizeof(address) - 1;
	r->dns_answers.off = (uint16_t)(r->strings_len - r->dns_answers.len);
	memcpy(r->strings + r->dns_answers.off, address, r->dns_answers.len);
}

int main(int argc, char **argv)
{
	static const uint8_t protocols[] = {
		IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_SCTP, 200};
	static struct format_context ctx;
	static struct record r;
	static char buf[FORMAT_MAX];
	const struct format *f = argc == 4 ? format_find(argv[1], strlen(argv[1])) : NULL;

	if (!f)
		return 64;
	build_context(&ctx);
	strcpy(ctx.host_id, "0123");
	format_context_prepare(&ctx);
	srand((unsigned)atoi(argv[3]));
	for (int i = 0; i < atoi(argv[2]); i++) {
		build_random(&r, i % 16 ? 400 : RECORD_STRINGS_MAX);
		r.proto = protocols[(size_t)rand() % sizeof(protocols)];
		if (i % 8 == 0)
			add_address(&r);
		fwrite(buf, 1, format_record(f, &r, &ctx, buf), stdout);
	}
	return fflush(stdout) ? 1 : 0;
}
