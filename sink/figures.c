/* SPDX-License-Identifier: Apache-2.0 */
/* What the outputs' writers have done, in the ledger. */
#include "sink/figures.h"

#include <string.h>

enum { RECORDS, BYTES, ERRORS };

_Static_assert(LEDGER_sink_output_0_records + BYTES == (int)LEDGER_sink_output_0_bytes &&
		       LEDGER_sink_output_0_records + ERRORS == (int)LEDGER_sink_output_0_errors,
	"the order of the table");

static unsigned counter(unsigned output, unsigned which)
{
	return LEDGER_sink_output_0_records + output * LEDGER_OUTPUT_COUNTERS + which;
}

void figures_name(struct ledger *l, const struct spool *s)
{
	for (unsigned i = 0; i < LEDGER_OUTPUTS; i++) {
		const struct output *o = i < s->n ? &s->output[i] : NULL;
		struct ledger_output before = l->file->output[i];

		ledger_name_output(l, i, o ? o->format->name : "", o ? o->path : "");
		if (memcmp(&before, &l->file->output[i], sizeof(before)) == 0)
			continue;
		for (unsigned which = 0; which < LEDGER_OUTPUT_COUNTERS; which++)
			ledger_set(l, counter(i, which), 0);
	}
}

/* What came since, which is @seen then. */
static uint64_t since(uint64_t now, uint64_t *seen)
{
	uint64_t n = now - *seen;

	*seen = now;
	return n;
}

void figures_count(struct ledger *l, struct spool *s)
{
	bool uring = false;

	for (unsigned i = 0; i < s->n; i++) {
		struct output *o = &s->output[i];
		uint64_t errors = since(writer_errors(o->writer), &o->told.errors);

		ledger_add(l, counter(i, RECORDS), since(o->lines, &o->told.lines));
		ledger_add(l, counter(i, BYTES), since(writer_written(o->writer), &o->told.bytes));
		ledger_add(l, counter(i, ERRORS), errors);
		ledger_add(l, LEDGER_sink_write_errors, errors);
		ledger_add(l, LEDGER_sink_writes, since(writer_writes(o->writer), &o->told.writes));
		uring |= writer_is_uring(o->writer);
	}
	ledger_set(l, LEDGER_sink_io_uring, uring);
}
