/* SPDX-License-Identifier: Apache-2.0 */
/* Which word of a wrong filter expression is the wrong one. */
#include "capture/place.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "shm/cleanup.h"

#define WORDS_MAX 256u
#define MESSAGE   256u /* bytes; libpcap's own limit */
#define LONGEST   32u  /* bytes of a base and a tail */
#define SYNTAX    "syntax error"

struct word {
	size_t at, len;
};

struct search {
	const char *expression;
	place_compile_fn compile;
	void *arg;
	char *trial;
	struct word word[WORDS_MAX];
	size_t n;
};

static bool is_word(char c, unsigned brackets)
{
	/* Outside brackets these are parts of addresses, networks and ranges. */
	return isalnum((unsigned char)c) || strchr("._\\-\"", c) || (!brackets && strchr(":/", c));
}

/* False: too many words. */
static bool split(struct search *s)
{
	static const char *const pairs[] = {"&&", "||", "==", "!=", "<=", ">=", "<<", ">>"};
	const char *e = s->expression;
	unsigned brackets = 0;

	for (size_t i = 0; e[i];) {
		size_t len = 1;

		if (isspace((unsigned char)e[i])) {
			i++;
			continue;
		}
		for (size_t k = 0; k < sizeof(pairs) / sizeof(*pairs); k++)
			if (!strncmp(e + i, pairs[k], 2))
				len = 2;
		if (is_word(e[i], brackets))
			while (e[i + len] && is_word(e[i + len], brackets))
				len++;
		if (e[i] == '[')
			brackets++;
		else if (e[i] == ']' && brackets)
			brackets--;
		if (s->n == WORDS_MAX)
			return false;
		s->word[s->n++] = (struct word){i, len};
		i += len;
	}
	return true;
}

/* The first @n words, @base, what closes the open brackets, @tail. */
static const char *try(struct search *s, size_t n, const char *base, const char *tail)
{
	size_t len = n ? s->word[n - 1].at + s->word[n - 1].len : 0, open = 0;
	char *out = s->trial;
	char closers[WORDS_MAX];

	for (size_t i = 0; i < n; i++) {
		char c = s->expression[s->word[i].at];

		if (c == '(' || c == '[')
			closers[open++] = c == '(' ? ')' : ']';
		else if ((c == ')' || c == ']') && open)
			open--;
	}
	memcpy(out, s->expression, len);
	out = stpcpy(out + len, base);
	while (open)
		*out++ = closers[--open];
	strcpy(out, tail);
	return s->compile(s->arg, s->trial);
}

static bool is_syntax(const char *message)
{
	return message && strstr(message, SYNTAX);
}

/* Whether the first @n words could be the beginning of an expression. */
static bool could_be(struct search *s, size_t n)
{
	static const char *const bases[] = {
		"", " 80", " 1.2.3.4", " = 1", " 1 = 1", " dst 1.2.3.4"};
	static const char *const tails[] = {"", " = 1"};

	for (size_t b = 0; b < sizeof(bases) / sizeof(*bases); b++)
		for (size_t t = 0; t < sizeof(tails) / sizeof(*tails); t++)
			if (!is_syntax(try(s, n, bases[b], tails[t])))
				return true;
	return false;
}

/* The number of words before the wrong one; s->n: it is none of them. */
static size_t find(struct search *s, const char *message)
{
	size_t n = s->n;

	if (is_syntax(message)) {
		while (n && !could_be(s, n))
			n--;
		return n;
	}
	for (n = 1; n < s->n; n++) {
		static const char *const tails[] = {"", " = 1"};

		for (size_t t = 0; t < 2; t++) {
			const char *other = try(s, n, "", tails[t]);

			if (other && !strcmp(other, message))
				return n - 1;
		}
	}
	return s->n ? s->n - 1 : 0;
}

int place_find(const char *expression, place_compile_fn compile, void *arg, size_t *ret_at,
	size_t *ret_len)
{
	struct search s = {.expression = expression, .compile = compile, .arg = arg};
	_cleanup_free_ char *trial = malloc(strlen(expression) + LONGEST + WORDS_MAX);
	const char *said = compile(arg, expression);
	char message[MESSAGE] = "";
	size_t n;

	if (!trial)
		return -ENOMEM;
	if (!said || !split(&s))
		return -ENOENT;
	strncpy(message, said, sizeof(message) - 1);
	s.trial = trial;
	n = find(&s, message);
	*ret_at = n < s.n ? s.word[n].at : strlen(expression);
	*ret_len = n < s.n ? s.word[n].len : 0;
	return 0;
}
