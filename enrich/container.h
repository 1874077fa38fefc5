/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the path of a cgroup says by the conventions of systemd and the container runtimes: unit,
 * container, pod.
 *
 * The outermost container is the one named: whatever lies below it was named by those inside, and
 * says nothing about this host. A path is a convention, not a proof: whoever may make a cgroup can
 * give it any name.
 *
 * Sources: systemd.slice(5), systemd's "Control Group APIs and Delegation"; the runtimes' own
 * names: docker-ID.scope or docker/ID, cri-containerd-ID.scope, nerdctl-ID.scope, crio-ID.scope,
 * libpod-ID.scope (conmon, which only watches, has scopes of its own), lxc.payload.NAME or
 * lxc/NAME, systemd-nspawn@NAME.service/payload, and Kubernetes' kubepods with either cgroup
 * driver.
 *
 * Threads: any. Blocks: no. Logs: no. Never fails; len 0 = the path does not say.
 */
#pragma once

#include <stddef.h>

#include "shm/record.h"

#define CONTAINER_ID_MAX  128u /* a longer name counts as none */
#define CONTAINER_POD_MAX 36u

struct container {
	enum record_runtime runtime;
	const char *unit; /* both point into the path */
	const char *user_unit;
	size_t unit_len;
	size_t user_unit_len;
	size_t id_len;
	size_t pod_len;
	char id[CONTAINER_ID_MAX];
	char pod[CONTAINER_POD_MAX];
};

void container_parse(const char *path, size_t len, struct container *ret);
