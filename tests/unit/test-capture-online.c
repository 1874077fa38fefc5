/* SPDX-License-Identifier: Apache-2.0 */
/* CPUs that come and go, and a machine that slept. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture/online.h"
#include "tap.h"

static char file[] = "/tmp/flowner-online-XXXXXX";

static void write_list(int fd, const char *list)
{
	if (ftruncate(fd, 0) < 0 || pwrite(fd, list, strlen(list), 0) != (ssize_t)strlen(list))
		tap_bail("cannot write");
}

int main(void)
{
	const uint64_t hour = UINT64_C(3600000000000);
	int fd = mkstemp(file);
	struct online o;

	if (fd < 0)
		tap_bail("no file");
	write_list(fd, "0-3\n");
	online_open(&o, file, hour);
	tap_ok(!online_changed(&o, hour), "nothing has changed");
	tap_ok(!online_changed(&o, hour + 1000) && !online_changed(&o, hour - 1000),
		"clocks that are read in turn are not quite together");
	tap_ok(online_changed(&o, 2 * hour), "it slept, whatever CPUs are there now");
	write_list(fd, "0-2\n");
	tap_ok(online_changed(&o, hour), "one went");
	write_list(fd, "0-3\n");
	tap_ok(!online_changed(&o, hour), "that it is back is the next look's");
	write_list(fd, "0-31\n");
	tap_ok(online_changed(&o, hour), "some came");
	online_close(&o);
	unlink(file);
	close(fd);

	online_open(&o, "/nonexistent", hour);
	tap_ok(!online_changed(&o, hour), "where nobody tells, nothing is seen");
	tap_ok(online_changed(&o, 2 * hour), "but a sleep");
	online_close(&o);

	online_open(&o, ONLINE_PATH, online_asleep_ns());
	tap_ok(o.len > 0 && !online_changed(&o, online_asleep_ns()), "this machine is as it was");
	online_close(&o);
	return tap_done();
}
