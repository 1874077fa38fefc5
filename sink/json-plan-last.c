/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the record's number back out of a line of a JSON format. */
#include <string.h>

#include "sink/json-plan.h"

static bool find_u64(const char *line, size_t len, const char *key, uint64_t *ret)
{
	const char *at = memmem(line, len, key, strlen(key)), *end = line + len;
	uint64_t v = 0;

	if (!at)
		return false;
	at += strlen(key);
	if (at == end || *at < '0' || *at > '9')
		return false;
	for (; at < end && *at >= '0' && *at <= '9'; at++)
		v = v * 10 + (uint64_t)(*at - '0');
	*ret = v;
	return true;
}

bool json_plan_last(const char *line, size_t len, const char *epoch, const char *seq,
	uint64_t *ret_epoch, uint64_t *ret_seq)
{
	uint64_t e, s;

	if (!find_u64(line, len, epoch, &e) || !find_u64(line, len, seq, &s))
		return false;
	*ret_epoch = e;
	*ret_seq = s;
	return true;
}
