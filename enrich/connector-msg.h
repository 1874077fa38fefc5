/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of the process connector: requests to it and the life of processes it tells of. Pure:
 * any message is answered, reads stay inside it.
 *
 * Sources: linux/connector.h, linux/cn_proc.h, the kernel's drivers/connector/cn_proc.c.
 *
 * Threads: any. Blocks: no. Logs: no.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "enrich/process.h"

#define CONNECTOR_REQUEST_SIZE 40u /* bytes of one request */
#define CONNECTOR_NARROW_SIZE  44u

enum connector_kind {
	CONNECTOR_OTHER, /* of a thread, or nothing that matters here */
	CONNECTOR_ACK,   /* answers a request */
	CONNECTOR_FORK,
	CONNECTOR_EXEC,
	CONNECTOR_EXIT,
	CONNECTOR_COMM, /* renamed itself */
	CONNECTOR_UID,
	CONNECTOR_GID,
	CONNECTOR_SESSION, /* leads a session of its own */
};

/* One event of a whole process: those of its threads are OTHER. */
struct connector_event {
	enum connector_kind kind;
	uint32_t pid;
	uint32_t ppid; /* of FORK */
	uint32_t id;   /* effective one of UID, GID */
	uint32_t real; /* real one of these */
	uint32_t seq;  /* of ACK: the request's */
	int error;     /* of ACK: -errno */
	uint64_t t_ns; /* CLOCK_MONOTONIC */
	char comm[PROCESS_COMM_MAX];
};

enum {
	CONNECTOR_E_END = 1,   /* no message left */
	CONNECTOR_E_MALFORMED, /* the rest makes no sense */
};

/* Writes a request to begin (or end) telling; @buf has CONNECTOR_REQUEST_SIZE bytes. */
size_t connector_request(void *buf, bool listen, uint32_t seq);

/* A request to be told of UID, GID and SESSION alone; @buf has CONNECTOR_NARROW_SIZE bytes. */
size_t connector_narrow(void *buf);

/* Takes the next event at *@offset of @len received bytes. 0; positive CONNECTOR_E_*. */
int connector_next(const void *bytes, size_t len, size_t *offset, struct connector_event *ret);
