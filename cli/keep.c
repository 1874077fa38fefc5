/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors that outlive the program that uses them. */
#include "cli/keep.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_FD  3 /* SD_LISTEN_FDS_START */
#define VARIABLES 3u

void keep_add(struct keep *k, const char *name, const int *fds, unsigned n)
{
	for (unsigned i = 0; n > KEEP_MAX - k->n && i < n; i++)
		close(fds[i]);
	if (n > KEEP_MAX - k->n)
		return;
	for (unsigned i = 0; i < n; i++, k->n++) {
		k->item[k->n].fd = fds[i];
		snprintf(k->item[k->n].name, sizeof(k->item[k->n].name), "%s", name);
	}
}

void keep_remove(struct keep *k, const char *name)
{
	unsigned to = 0;

	for (unsigned i = 0; i < k->n; i++) {
		if (strcmp(k->item[i].name, name) != 0)
			k->item[to++] = k->item[i];
		else
			close(k->item[i].fd);
	}
	k->n = to;
}

void keep_deinit(struct keep *k)
{
	for (unsigned i = 0; i < k->n; i++)
		close(k->item[i].fd);
	k->n = 0;
}

char **keep_pass(const struct keep *k, char *const *envp)
{
	static char text[VARIABLES][KEEP_MAX * KEEP_NAME_MAX + 32];
	int len, high[KEEP_MAX];
	char **env;
	size_t n = 0;

	while (envp[n])
		n++;
	env = calloc(n + VARIABLES + 1, sizeof(*env));
	if (!env)
		return NULL;
	/* Out of the way first: some of them may be in each other's place. */
	for (unsigned i = 0; i < k->n; i++) {
		high[i] = fcntl(k->item[i].fd, F_DUPFD_CLOEXEC, FIRST_FD + (int)KEEP_MAX);
		if (high[i] < 0)
			return NULL;
	}
	for (unsigned i = 0; i < k->n; i++)
		if (dup2(high[i], FIRST_FD + (int)i) < 0)
			return NULL;
	snprintf(text[0], sizeof(text[0]), "LISTEN_PID=%d", (int)getpid());
	snprintf(text[1], sizeof(text[1]), "LISTEN_FDS=%u", k->n);
	len = snprintf(text[2], sizeof(text[2]), "LISTEN_FDNAMES=");
	for (unsigned i = 0; i < k->n; i++)
		len += snprintf(text[2] + len, sizeof(text[2]) - (size_t)len, "%s%s", i ? ":" : "",
			k->item[i].name);
	for (unsigned i = 0; i < VARIABLES; i++)
		env[i] = text[i];
	memcpy(env + VARIABLES, envp, n * sizeof(*env));
	return env;
}
