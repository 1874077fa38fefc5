/* SPDX-License-Identifier: Apache-2.0 */
/* Findings as lines of text, and back. */
#include "config/findings.h"

#include <stdarg.h>
#include <string.h>

#include "config/text.h"

static const char *const names[FINDING_VERDICTS] = {
	[FINDING_PASS] = "pass", [FINDING_WARN] = "warn", [FINDING_FAIL] = "fail"};

_Static_assert(sizeof(((struct finding *)0)->id) + sizeof(((struct finding *)0)->what) +
			       sizeof(((struct finding *)0)->remedy) + 8 <=
		       FINDING_LINE_MAX,
	"a line holds a finding");

const char *finding_name(enum finding_verdict verdict)
{
	return verdict < FINDING_VERDICTS ? names[verdict] : "";
}

static void make(struct finding *ret, enum finding_verdict verdict, const char *id,
	const char *remedy, const char *format, va_list ap)
{
	char text[1024];

	if (vsnprintf(text, sizeof(text), format, ap) < 0)
		snprintf(text, sizeof(text), "%s", format);
	ret->verdict = verdict;
	text_escape(ret->id, sizeof(ret->id), id, strlen(id));
	text_escape(ret->what, sizeof(ret->what), text, strlen(text));
	text_escape(ret->remedy, sizeof(ret->remedy), remedy, strlen(remedy));
}

void finding_make(struct finding *ret, enum finding_verdict verdict, const char *id,
	const char *remedy, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	make(ret, verdict, id, remedy, format, ap);
	va_end(ap);
}

void finding_print(const struct finding *f, FILE *out)
{
	fprintf(out, "%s\t%s\t%s\t%s\n", finding_name(f->verdict), f->id, f->what, f->remedy);
}

void finding_say(
	enum finding_verdict verdict, const char *id, const char *remedy, const char *format, ...)
{
	struct finding f;
	va_list ap;

	va_start(ap, format);
	make(&f, verdict, id, remedy, format, ap);
	va_end(ap);
	finding_print(&f, stdout);
}

/* The part of *line up to the next tab, or its end if @last; false: too long, or no tab. */
static bool part(const char **line, char *ret, size_t size, bool last)
{
	size_t len = strcspn(*line, "\t");

	if (len >= size || ((*line)[len] == '\t') == last)
		return false;
	memcpy(ret, *line, len);
	ret[len] = '\0';
	*line += len + !last;
	return true;
}

bool finding_parse(const char *line, struct finding *ret)
{
	struct finding f;
	char verdict[8];

	if (!part(&line, verdict, sizeof(verdict), false) ||
		!part(&line, f.id, sizeof(f.id), false) ||
		!part(&line, f.what, sizeof(f.what), false) ||
		!part(&line, f.remedy, sizeof(f.remedy), true))
		return false;
	for (unsigned v = 0; v < FINDING_VERDICTS; v++) {
		if (strcmp(verdict, names[v]) != 0)
			continue;
		f.verdict = (enum finding_verdict)v;
		*ret = f;
		return true;
	}
	return false;
}
