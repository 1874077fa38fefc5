/* SPDX-License-Identifier: Apache-2.0 */
/* The report of `flowner doctor`: findings gathered, then printed for people or as JSON. */
#include "cli/doctor.h"

#include <stdarg.h>
#include <string.h>

#include "flowner-version.h"

void doctor_take(struct doctor_report *r, const struct finding *f)
{
	if (r->n < DOCTOR_FINDINGS_MAX)
		r->finding[r->n++] = *f;
	else
		r->missed++;
}

void doctor_add(struct doctor_report *r, enum finding_verdict verdict, const char *id,
	const char *remedy, const char *format, ...)
{
	struct finding f;
	char text[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	finding_make(&f, verdict, id, remedy, "%s", text);
	doctor_take(r, &f);
}

size_t doctor_count(const struct doctor_report *r, enum finding_verdict verdict)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		n += r->finding[i].verdict == verdict;
	return n;
}

const struct finding *doctor_find(const struct doctor_report *r, const char *id)
{
	for (size_t i = 0; i < r->n; i++)
		if (!strcmp(r->finding[i].id, id))
			return &r->finding[i];
	return NULL;
}

void doctor_print(const struct doctor_report *r, bool colour, FILE *f)
{
	static const char *const shade[FINDING_VERDICTS] = {[FINDING_PASS] = "\033[32m",
		[FINDING_WARN] = "\033[33m",
		[FINDING_FAIL] = "\033[31m"};

	for (size_t i = 0; i < r->n; i++) {
		const struct finding *d = &r->finding[i];

		fprintf(f, "%s%s%s  %.*s: %s%s%s\n", colour ? shade[d->verdict] : "",
			finding_name(d->verdict), colour ? "\033[0m" : "", (int)strcspn(d->id, "."),
			d->id, d->what, d->remedy[0] ? " — " : "", d->remedy);
	}
	fprintf(f, "%zu pass, %zu warn, %zu fail%s\n", doctor_count(r, FINDING_PASS),
		doctor_count(r, FINDING_WARN), doctor_count(r, FINDING_FAIL),
		r->missed ? " (and more than fit into this report)" : "");
}

/* Findings hold neither control characters nor bytes that are not UTF-8. */
static void print_string(const char *s, FILE *f)
{
	fputc('"', f);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			fputc('\\', f);
		fputc(*s, f);
	}
	fputc('"', f);
}

void doctor_print_json(const struct doctor_report *r, FILE *f)
{
	fprintf(f,
		"{\"flowner\":\"" FLOWNER_VERSION "\",\"pass\":%zu,\"warn\":%zu,\"fail\":%zu,"
		"\"checks\":[",
		doctor_count(r, FINDING_PASS), doctor_count(r, FINDING_WARN),
		doctor_count(r, FINDING_FAIL));
	for (size_t i = 0; i < r->n; i++) {
		const struct finding *d = &r->finding[i];

		fprintf(f, "%s\n{\"verdict\":\"%s\",\"id\":", i ? "," : "",
			finding_name(d->verdict));
		print_string(d->id, f);
		fputs(",\"what\":", f);
		print_string(d->what, f);
		fputs(",\"remedy\":", f);
		print_string(d->remedy, f);
		fputc('}', f);
	}
	fputs("\n]}\n", f);
}
