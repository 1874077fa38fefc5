/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers GET /metrics on a loopback address or a unix socket; a few connections at a time, each
 * with one request, bounded in bytes and in time.
 *
 * Threads: one. Blocks: no, every socket is non-blocking. Logs: no. Errors: 0, -errno.
 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/http-request.h"

#define RESPONDER_CONNECTIONS 4u /* at a time; more wait in the socket's queue */
#define RESPONDER_POLL_MAX    (1u + RESPONDER_CONNECTIONS)
#define RESPONDER_LIFE_NS     UINT64_C(2000000000) /* of a connection, whatever it does */
#define RESPONDER_NEVER       UINT64_MAX

struct responder_connection {
	int fd;          /* -1 = free */
	uint64_t end_ns; /* CLOCK_MONOTONIC: closed then */
	size_t got;      /* bytes of the request */
	char request[HTTP_REQUEST_MAX];
	char *answer; /* owned; NULL while the request is read */
	size_t len, sent;
};

struct responder {
	int listen_fd; /* -1 = nobody can ask */
	void (*print)(void *arg, FILE *f);
	void *arg;
	uint64_t answered, refused;
	struct responder_connection connection[RESPONDER_CONNECTIONS];
};

/* The body of an answer is what @print writes. */
void responder_init(struct responder *r, void (*print)(void *arg, FILE *f), void *arg);
/*
 * Listens at @where (config/metrics-listen.h). A socket file that is there already is replaced, any
 * other file is not.
 */
int responder_listen(struct responder *r, const char *where);
void responder_deinit(struct responder *r);

/* What to poll for into @fds (RESPONDER_POLL_MAX of them); how many. */
unsigned responder_poll(const struct responder *r, struct pollfd *fds);
/* Serves what poll() has found, ends what took too long. */
void responder_serve(struct responder *r, const struct pollfd *fds, unsigned n, uint64_t now_ns);
/* CLOCK_MONOTONIC of the next end, or RESPONDER_NEVER. */
uint64_t responder_due_ns(const struct responder *r);
