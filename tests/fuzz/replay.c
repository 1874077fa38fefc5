/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over every file of a corpus folder as TAP tests, without a fuzzing engine. */
#include <dirent.h>
#include <errno.h>

#include "tap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void replay(const char *folder, const char *name)
{
	char path[4096];
	uint8_t *data = NULL;
	size_t size;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "rb");
	if (!f) {
		tap_ok(false, "%s: %s", path, strerror(errno));
		return;
	}
	fseek(f, 0, SEEK_END);
	size = (size_t)ftell(f);
	rewind(f);
	/* Exactly sized, so that a sanitizer sees a read of one byte too many. */
	data = malloc(size ? size : 1);
	if (data && fread(data, 1, size, f) == size)
		tap_ok(LLVMFuzzerTestOneInput(data, size) == 0, "%s", name);
	else
		tap_ok(false, "%s cannot be read", path);
	fclose(f);
	free(data);
}

int main(int argc, char **argv)
{
	struct dirent **names;
	int n;

	if (argc != 2)
		tap_bail("usage: fuzz-TARGET CORPUS-FOLDER");
	n = scandir(argv[1], &names, NULL, alphasort);
	if (n < 0)
		tap_bail("the corpus folder cannot be read");
	for (int i = 0; i < n; i++) {
		if (names[i]->d_name[0] != '.')
			replay(argv[1], names[i]->d_name);
		free(names[i]);
	}
	free(names);
	return tap_done();
}
