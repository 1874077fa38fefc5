/* SPDX-License-Identifier: Apache-2.0 */
/* What enrich loses beside packets is told once, also over its own death. */
#include <string.h>
#include <unistd.h>

#include "enrich/pipeline.h"
#include "shm/ledger.h"
#include "tap.h"

static struct config config;
static struct ledger ledger;
static struct ring_producer *producer;
static struct ring_consumer *consumer;
static struct pipeline *pipeline;

static void start(void)
{
	pipeline_free(pipeline);
	if (pipeline_new(&config, &ledger, NULL, producer, 7, &pipeline) < 0)
		tap_bail("no pipeline");
}

static void setup(void)
{
	int fds[RING_FDS];

	if (config_init(&config) < 0 || ledger_open_anonymous(&ledger, LEDGER_OF_ENRICH) < 0 ||
		ring_producer_new(RING_DATA_MIN, 1, RING_LOSS_RECORD_RING, &producer) < 0)
		tap_bail("no ring");
	ring_producer_fds(producer, fds);
	for (int i = 0; i < RING_FDS; i++)
		fds[i] = dup(fds[i]);
	if (ring_consumer_new(fds, &consumer) < 0)
		tap_bail("no consumer");
	start();
}

/* The sum told of @stage since the last time; only losses may come. */
static uint64_t told(enum ring_loss_stage stage, uint64_t now_ns, struct ring_loss *ret)
{
	static _Alignas(8) uint8_t body[RING_BODY_MAX];
	struct ring_frame frame;
	struct ring_loss loss;
	uint64_t sum = 0;

	if (pipeline_losses(pipeline, now_ns) < 0)
		tap_bail("pipeline_losses");
	while (ring_get(consumer, body, &frame) == 0) {
		if (frame.type != RING_FRAME_LOSS)
			tap_bail("something else came");
		memcpy(&loss, body, sizeof(loss));
		if (loss.stage != stage)
			tap_bail("another stage came");
		sum += loss.count;
		*ret = loss;
	}
	ring_release(consumer);
	return sum;
}

static const struct {
	enum ring_loss_stage stage;
	enum ledger_enrich counter;
} cases[] = {
	{RING_LOSS_TAP, LEDGER_enrich_tap_lost},
	{RING_LOSS_NETLINK, LEDGER_enrich_diag_errors},
	{RING_LOSS_NETLINK, LEDGER_enrich_closed_overruns},
	{RING_LOSS_NETLINK, LEDGER_enrich_connector_overruns},
	{RING_LOSS_FLOW_TABLE, LEDGER_enrich_flows_evicted},
	{RING_LOSS_PROCESS_CACHE, LEDGER_enrich_processes_lost},
	{RING_LOSS_NAME_CACHE, LEDGER_enrich_names_evicted},
	{RING_LOSS_AGGREGATES, LEDGER_enrich_aggregates_evicted},
};

int main(void)
{
	struct ring_loss loss = {0};
	uint64_t now = 1000;

	setup();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *name = ledger_name(LEDGER_OF_ENRICH, cases[i].counter);

		tap_is_int(told(cases[i].stage, now, &loss), 0, "%s: nothing", name);
		ledger_add(&ledger, cases[i].counter, 3);
		tap_is_int(told(cases[i].stage, now + 10, &loss), 3, "%s: three", name);
		tap_ok(loss.first_ns == now && loss.last_ns == now + 10 && loss.packets == 0,
			"%s: since the last look, no packet", name);
		tap_is_int(told(cases[i].stage, now + 20, &loss), 0, "%s: no second time", name);
		ledger_add(&ledger, cases[i].counter, 4);
		start(); /* killed before it told */
		tap_is_int(told(cases[i].stage, now + 30, &loss), 4,
			"%s: told by the next run, and only that", name);
		now += 100;
	}
	pipeline_free(pipeline);
	ring_consumer_free(consumer);
	ring_producer_free(producer);
	ledger_close(&ledger);
	config_deinit(&config);
	return tap_done();
}
