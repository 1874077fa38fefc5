/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loaded into flowner-enrich by LD_PRELOAD: holds BALLAST_MIB of memory that nobody reads. What
 * that alone costs is no part of what as many flows cost.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

__attribute__((constructor)) static void hold(void)
{
	const char *mib = getenv("BALLAST_MIB");
	size_t size = mib ? strtoul(mib, NULL, 10) << 20 : 0;
	char name[16] = "";
	char *held;

	/* Named by its file still. */
	if (!size || prctl(PR_GET_NAME, name) < 0 || strcmp(name, "flowner-enrich") != 0)
		return;
	held = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (held == MAP_FAILED) {
		perror("ballast");
		exit(1);
	}
	memset(held, 1, size);
}
