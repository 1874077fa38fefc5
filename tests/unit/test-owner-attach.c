/* SPDX-License-Identifier: Apache-2.0 */
/* Rings of the tap that filled up before enrich came: who comes after that is known again. */
#include "owner-world.h"

static struct world w;

/* An event of process @pid on every CPU; false = some ring is full. */
static bool tell_all(uint32_t pid)
{
	bool all = true;

	for (unsigned cpu = 0; cpu < WORLD_CPUS; cpu++) {
		w.t_ns += 1000;
		pb_task(&w.b, PERF_RECORD_FORK, pid, 1, pid, 1, w.t_ns);
		all &= world_put(&w, cpu);
	}
	world_now_ns = w.t_ns;
	return all;
}

int main(void)
{
	uint32_t pid = 100;

	world_open(&w, 1);
	while (tell_all(pid))
		pid++;
	tap_ok(!tell_all(pid + 1), "the rings are full");
	owners_attached(w.o);
	tap_ok(tell_all(5000), "attached, there is room for what `flowner run` starts");
	w.t_ns += WORLD_MS;
	world_now_ns = w.t_ns;
	owners_advance(w.o, w.t_ns);
	tap_ok(process_cache_find(w.o->processes, 5000, w.t_ns), "and it is known");
	tap_ok(w.o->lost_ns, "as is that something was lost before");
	world_close(&w);
	return tap_done();
}
