/* SPDX-License-Identifier: Apache-2.0 */
/* A new program's stack: argv and ids, nothing else. */
#include <elf.h>
#include <string.h>

#include "enrich/perf-record.h"

struct stack {
	const uint8_t *bytes;
	size_t len;
	uint64_t sp;
	size_t word;
};

#define AUXV_MAX 64u

/* Word number @i from the stack pointer; false = beyond what was dumped. */
static bool read_word(const struct stack *s, size_t i, uint64_t *ret)
{
	uint32_t narrow;

	if (i >= s->len / s->word)
		return false;
	if (s->word == sizeof(*ret)) {
		memcpy(ret, s->bytes + i * sizeof(*ret), sizeof(*ret));
	} else {
		memcpy(&narrow, s->bytes + i * sizeof(narrow), sizeof(narrow));
		*ret = narrow;
	}
	return true;
}

/*
 * The kernel lays the strings of argv out one behind the other, so that the command line is one
 * piece of the dump: as long as each pointer is where the previous string ended.
 */
static void read_args(const struct stack *s, size_t argc, struct perf_record_exec *ret)
{
	uint64_t at, start = 0, end = 0;

	for (size_t i = 0; i < argc; i++) {
		const uint8_t *nul;

		if (!read_word(s, 1 + i, &at) || at < s->sp || at - s->sp >= s->len ||
			(i && at - s->sp != end)) {
			ret->args_cut = i != 0;
			break;
		}
		at -= s->sp;
		if (!i)
			start = at;
		nul = memchr(s->bytes + at, 0, s->len - at);
		if (!nul) {
			end = s->len;
			ret->args_cut = true;
			break;
		}
		end = (uint64_t)(nul - s->bytes) + 1;
	}
	ret->args.bytes = (const char *)s->bytes + start;
	ret->args.len = end - start;
}

static void read_ids(const struct stack *s, size_t argc, struct perf_record_exec *ret)
{
	uint64_t key, value;
	bool uid = false, gid = false;
	size_t i = 1 + argc;

	if (!read_word(s, i++, &value) || value)
		return; /* argv does not end where argc says: this is no such stack */
	do {
		if (!read_word(s, i++, &value))
			return;
	} while (value);
	for (size_t n = 0; n < AUXV_MAX; n++, i += 2) {
		if (!read_word(s, i, &key) || !read_word(s, i + 1, &value) || key == AT_NULL)
			break;
		if (key == AT_EUID) {
			ret->uid = (uint32_t)value;
			uid = true;
		} else if (key == AT_EGID) {
			ret->gid = (uint32_t)value;
			gid = true;
		} else if (key == AT_UID) {
			ret->ruid = (uint32_t)value;
		} else if (key == AT_GID) {
			ret->rgid = (uint32_t)value;
		}
	}
	ret->have_ids = uid && gid;
}

void perf_record_stack(
	const uint8_t *stack, size_t len, uint64_t sp, size_t word, struct perf_record_exec *ret)
{
	const struct stack s = {.bytes = stack, .len = len, .sp = sp, .word = word};
	uint64_t argc;

	*ret = (struct perf_record_exec){
		.uid = UINT32_MAX, .gid = UINT32_MAX, .ruid = UINT32_MAX, .rgid = UINT32_MAX};
	if (!read_word(&s, 0, &argc) || !argc || argc >= len / word)
		return;
	read_args(&s, (size_t)argc, ret);
	read_ids(&s, (size_t)argc, ret);
}
