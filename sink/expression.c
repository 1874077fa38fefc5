/* SPDX-License-Identifier: Apache-2.0 */
/* Parses expressions. */
#include "sink/expression.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/schema.h"
#include "config/text.h"
#include "sink/expression-internal.h"

#define NAMES_MAX 64u /* keys, words of a key */

struct parser {
	const char *text, *at;
	struct expression *e;
	struct expression_error *err;
};

static int complain(struct parser *p, const char *at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int complain(struct parser *p, const char *at, const char *format, ...)
{
	struct expression_error *err = p->err;
	va_list ap;
	int n;

	err->column = (size_t)(at - p->text) + 1;
	n = snprintf(err->text, sizeof(err->text), "column %zu: ", err->column);
	va_start(ap, format);
	vsnprintf(err->text + n, sizeof(err->text) - (size_t)n, format, ap);
	va_end(ap);
	return EXPRESSION_E_SYNTAX;
}

const char *expression_error_text(const struct expression_error *err)
{
	return strstr(err->text, ": ") + 2;
}

static const char *blanks(const char *s)
{
	return s + strspn(s, " \t\n");
}

static bool ends_word(char c)
{
	return c == '\0' || c == ' ' || c == '\t' || c == '\n';
}

/* Values ---------------------------------------------------------------------------------- */

/* One value as written: its bytes with \ before each that is to be taken literally. */
struct token {
	const char *at;
	char bytes[EXPRESSION_MAX + 1];
	size_t len;
};

static int read_token(struct parser *p, struct token *ret)
{
	const char *quote = NULL, *s = p->at;

	ret->at = s;
	ret->len = 0;
	for (; *s && (quote || (!ends_word(*s) && *s != ',')); s++) {
		if (*s == '"') {
			quote = quote ? NULL : s;
			continue;
		}
		if (*s == '\\') {
			if (!s[1])
				return complain(p, s, "a backslash with nothing behind it");
			ret->bytes[ret->len++] = *s++;
		}
		ret->bytes[ret->len++] = *s;
	}
	if (quote)
		return complain(p, quote, "this quote is not closed");
	ret->bytes[ret->len] = '\0';
	p->at = s;
	if (!ret->len)
		return complain(p, ret->at, "a value is missing here");
	return 0;
}

static int set_glob(const struct token *t, bool fold, struct expression_pattern *ret)
{
	ret->kind = EXPRESSION_PATTERN_GLOB;
	ret->glob = strndup(t->bytes, t->len);
	ret->len = t->len;
	ret->fold = fold;
	return ret->glob ? 0 : -ENOMEM;
}

static bool read_number(
	const char **s, const struct schema_unit *units, bool required, uint64_t *ret)
{
	const char *from = *s;
	uint64_t n = 0;
	size_t len;

	for (; **s >= '0' && **s <= '9'; (*s)++) {
		if (__builtin_mul_overflow(n, 10u, &n) ||
			__builtin_add_overflow(n, (uint64_t)(**s - '0'), &n))
			return false;
	}
	if (*s == from)
		return false;
	*ret = n;
	len = strspn(*s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
	if (!len || !units)
		return !required;
	for (; units->name; units++) {
		if (strlen(units->name) == len && memcmp(units->name, *s, len) == 0) {
			*s += len;
			return !__builtin_mul_overflow(n, units->factor, ret);
		}
	}
	return false;
}

static bool read_range(const char *s, enum expression_type type, struct expression_pattern *ret)
{
	const struct schema_unit *units = NULL;
	bool required = type == EXPRESSION_DURATION;

	if (type == EXPRESSION_SIZE)
		units = schema_units(SCHEMA_SIZE);
	else if (type == EXPRESSION_DURATION)
		units = schema_units(SCHEMA_DURATION);
	ret->kind = EXPRESSION_PATTERN_RANGE;
	ret->low = 0;
	ret->high = UINT64_MAX;
	if (*s == '-') {
		s++;
		return read_number(&s, units, required, &ret->high) && !*s;
	}
	if (!read_number(&s, units, required, &ret->low))
		return false;
	if (*s == '\0') {
		ret->high = ret->low;
		return true;
	}
	if (*s++ != '-')
		return false;
	return !*s || (read_number(&s, units, required, &ret->high) && !*s);
}

static int set_range(struct parser *p, const struct token *t, enum expression_type type,
	struct expression_pattern *ret)
{
	const char *form = "a number, or a range as 1-9, 1- or -9";

	if (type == EXPRESSION_SIZE)
		form = "a size, such as 100, 4KiB or a range as 1MiB-";
	else if (type == EXPRESSION_DURATION)
		form = "a duration with its unit, such as 10ms, 5s or a range as 1m-";
	if (!read_range(t->bytes, type, ret))
		return complain(p, t->at, "%s is not %s", text_quote(t->bytes, t->len).text, form);
	if (ret->low > ret->high)
		return complain(p, t->at, "%s is a range from high to low",
			text_quote(t->bytes, t->len).text);
	return 0;
}

/* An address, or one with the bits of its network. False: neither. */
static bool read_net(const char *text, struct expression_pattern *ret)
{
	char address[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	unsigned most = 128, bits = 0;

	if (len >= sizeof(address))
		return false;
	memcpy(address, text, len);
	address[len] = '\0';
	memset(ret->address, 0, sizeof(ret->address));
	if (inet_pton(AF_INET, address, ret->address + 12) == 1) {
		ret->address[10] = ret->address[11] = 0xff;
		most = 32;
	} else if (inet_pton(AF_INET6, address, ret->address) != 1) {
		return false;
	}
	ret->kind = EXPRESSION_PATTERN_NET;
	ret->bits = 128;
	if (!slash)
		return true;
	len = strspn(slash + 1, "0123456789");
	if (!len || len > 3 || slash[1 + len])
		return false;
	for (size_t i = 1; i <= len; i++)
		bits = bits * 10 + (unsigned)(slash[i] - '0');
	ret->bits = 128 - most + bits;
	return bits <= most;
}

static int set_host(struct parser *p, const struct token *t, struct expression_pattern *ret)
{
	if (read_net(t->bytes, ret))
		return 0;
	/* No DNS name has these: somebody meant an address. */
	if (memchr(t->bytes, '/', t->len) || memchr(t->bytes, ':', t->len))
		return complain(p, t->at,
			"%s is not an address such as 10.1.2.3, 10.0.0.0/8 or "
			"2001:db8::/32",
			text_quote(t->bytes, t->len).text);
	return set_glob(t, true, ret);
}

/* "tcp, udp or icmp", and the nearest to what was written. */
static int complain_word(
	struct parser *p, const struct token *t, const struct expression_key *k, const char **names)
{
	const char *meant = schema_suggest_name(names, t->bytes, t->len);
	char list[200] = "";

	if (meant)
		return complain(p, t->at, "%s is no %s (did you mean \"%s\"?)",
			text_quote(t->bytes, t->len).text, k->info.name, meant);
	for (size_t i = 0; names[i]; i++)
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", i ? ", " : "",
			names[i]);
	return complain(p, t->at, "%s is no %s; one of: %s", text_quote(t->bytes, t->len).text,
		k->info.name, list);
}

static int set_word(struct parser *p, const struct token *t, const struct expression_key *k,
	struct expression_pattern *ret)
{
	const char *names[NAMES_MAX + 1] = {0}, *word;
	size_t n = 0;

	for (unsigned i = 0; n < NAMES_MAX && i < k->info.words; i++) {
		word = k->info.word(i);
		if (!*word)
			continue;
		names[n++] = word;
		if (strcmp(word, t->bytes) == 0) {
			ret->kind = EXPRESSION_PATTERN_RANGE;
			ret->low = ret->high = i;
			return 0;
		}
	}
	return complain_word(p, t, k, names);
}

static const struct {
	const char *name;
	uint8_t number;
} protocols[] = {
	{"tcp", IPPROTO_TCP},
	{"udp", IPPROTO_UDP},
	{"icmp", IPPROTO_ICMP},
	{"sctp", IPPROTO_SCTP},
};
#define PROTOCOLS (sizeof(protocols) / sizeof(protocols[0]))

/* icmp is ICMPv6 too, as in what people see: @second is a place for it, *n how many are used. */
static int set_proto(struct parser *p, const struct token *t, const struct expression_key *k,
	struct expression_pattern *ret, struct expression_pattern *second, size_t *n)
{
	const char *names[PROTOCOLS + 1] = {0};

	if (t->bytes[0] >= '0' && t->bytes[0] <= '9')
		return set_range(p, t, EXPRESSION_NUMBER, ret);
	for (size_t i = 0; i < PROTOCOLS; i++) {
		names[i] = protocols[i].name;
		if (strcmp(t->bytes, names[i]) != 0)
			continue;
		ret->kind = EXPRESSION_PATTERN_RANGE;
		ret->low = ret->high = protocols[i].number;
		if (protocols[i].number == IPPROTO_ICMP) {
			*second = *ret;
			second->low = second->high = IPPROTO_ICMPV6;
			(*n)++;
		}
		return 0;
	}
	return complain_word(p, t, k, names);
}

static int set_value(struct parser *p, const struct token *t, const struct expression_key *k)
{
	struct expression *e = p->e;
	struct expression_pattern *pattern = &e->pattern[e->n_patterns];
	size_t n = 1;
	int r = 0;

	if (e->n_patterns + 2 > EXPRESSION_VALUES_MAX)
		return complain(p, t->at, "more than %u values", EXPRESSION_VALUES_MAX);
	switch (k->info.type) {
	case EXPRESSION_TEXT:
		r = set_glob(t, false, pattern);
		break;
	case EXPRESSION_NUMBER:
	case EXPRESSION_SIZE:
	case EXPRESSION_DURATION:
		r = set_range(p, t, k->info.type, pattern);
		break;
	case EXPRESSION_NAME:
		r = set_word(p, t, k, pattern);
		break;
	case EXPRESSION_PROTO:
		r = set_proto(p, t, k, pattern, pattern + 1, &n);
		break;
	case EXPRESSION_HOST:
		r = set_host(p, t, pattern);
		break;
	case EXPRESSION_BARE:
		pattern->kind = EXPRESSION_PATTERN_ANY;
		break;
	}
	if (r == 0) {
		e->n_patterns += n;
		e->term[e->n_terms].n += n;
	}
	return r;
}

/* Terms ----------------------------------------------------------------------------------- */

static int complain_key(struct parser *p, const char *at, size_t len)
{
	const char *names[NAMES_MAX + 1] = {0}, *meant;
	size_t n = 0;

	for (const struct expression_key_info *i;
		n < NAMES_MAX && (i = expression_key_at((unsigned)n)); n++)
		names[n] = i->name;
	meant = schema_suggest_name(names, at, len);
	if (meant)
		return complain(p, at, "unknown key %s (did you mean \"%s\"?)",
			text_quote(at, len).text, meant);
	return complain(p, at, "unknown key %s", text_quote(at, len).text);
}

/* A word without a colon: most likely a value whose key was forgotten. */
static int complain_bare(struct parser *p, const char *at, size_t len)
{
	struct expression_pattern ignored;
	char word[64] = "";
	const char *key = NULL;

	if (len < sizeof(word))
		memcpy(word, at, len);
	for (size_t i = 0; i < PROTOCOLS; i++)
		if (strcmp(protocols[i].name, word) == 0)
			key = "proto";
	if (read_net(word, &ignored))
		key = "host";
	else if (read_range(word, EXPRESSION_NUMBER, &ignored))
		key = "port";
	if (schema_suggest_name((const char *const[]){"loopback", NULL}, at, len))
		return complain(p, at, "%s is not KEY:VALUE (did you mean \"loopback\"?)",
			text_quote(at, len).text);
	if (!key)
		return complain(p, at, "%s is not KEY:VALUE, such as process:curl",
			text_quote(at, len).text);
	return complain(p, at, "%s is not KEY:VALUE (did you mean \"%s:%s\"?)",
		text_quote(at, len).text, key, word);
}

static int parse_values(struct parser *p, const struct expression_key *k)
{
	struct token t;
	int r;

	do {
		p->at++; /* the colon, the comma */
		r = read_token(p, &t);
		if (r == 0)
			r = set_value(p, &t, k);
		if (r)
			return r;
	} while (*p->at == ',');
	return 0;
}

static int parse_term(struct parser *p, bool negated, bool alternative)
{
	struct expression *e = p->e;
	struct expression_term *term = &e->term[e->n_terms];
	const char *at = p->at;
	size_t len = strcspn(at, ": \t\n");
	struct token none = {.at = at};
	int r;

	if (e->n_terms == EXPRESSION_TERMS_MAX)
		return complain(p, at, "more than %u terms", EXPRESSION_TERMS_MAX);
	*term = (struct expression_term){.key = expression_key_find(at, len),
		.negated = negated,
		.alternative = alternative,
		.first = e->n_patterns};
	p->at += len;
	if (!term->key)
		return *p->at == ':' ? complain_key(p, at, len) : complain_bare(p, at, len);
	if (*p->at == ':' && term->key->info.type == EXPRESSION_BARE)
		return complain(p, p->at, "%s takes no value", term->key->info.name);
	if (*p->at != ':' && term->key->info.type != EXPRESSION_BARE)
		return complain(p, p->at, "%s needs a value: %s:VALUE", term->key->info.name,
			term->key->info.name);
	r = *p->at == ':' ? parse_values(p, term->key) : set_value(p, &none, term->key);
	if (r == 0)
		e->n_terms++;
	return r;
}

/* Whether @word stands here alone; goes behind it then. */
static bool take_word(struct parser *p, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(p->at, word, len) != 0 || !ends_word(p->at[len]))
		return false;
	p->at = blanks(p->at + len);
	return true;
}

static int parse(struct parser *p)
{
	bool alternative = false;

	p->at = blanks(p->text);
	while (*p->at) {
		const char *at = p->at;
		bool negated;
		int r;

		if (take_word(p, "or")) {
			if (!p->e->n_terms || alternative)
				return complain(p, at, "\"or\" needs a term before it");
			alternative = true;
			continue;
		}
		negated = take_word(p, "not");
		if (negated && !*p->at)
			return complain(p, at, "\"not\" needs a term behind it");
		if (negated && (take_word(p, "not") || take_word(p, "or")))
			return complain(p, at, "\"not\" needs a term behind it");
		r = parse_term(p, negated, alternative);
		if (r)
			return r;
		alternative = false;
		p->at = blanks(p->at);
	}
	return alternative ? complain(p, p->at, "\"or\" needs a term behind it") : 0;
}

int expression_parse(const char *text, struct expression **ret, struct expression_error *err)
{
	struct parser p = {.text = text, .at = text, .err = err};
	int r;

	if (strlen(text) > EXPRESSION_MAX)
		return complain(&p, text, "an expression of more than %u bytes", EXPRESSION_MAX);
	p.e = calloc(1, sizeof(*p.e));
	if (!p.e)
		return -ENOMEM;
	r = parse(&p);
	if (r) {
		expression_free(p.e);
		return r;
	}
	*ret = p.e;
	return 0;
}

void expression_free(struct expression *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < EXPRESSION_VALUES_MAX; i++)
		free(e->pattern[i].glob);
	free(e);
}
