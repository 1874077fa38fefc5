/* SPDX-License-Identifier: Apache-2.0 */
/* Precedence is asked for, given back, and never taken from somebody who decided otherwise. */
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/schedule.h"
#include "tap.h"

static int niceness(void)
{
	return getpriority(PRIO_PROCESS, 0);
}

/* In a child: a niceness once given up is not ours to take back. */
static int in_child(int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(fn());
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int back_and_forth(void)
{
	int urgent, before = niceness();

	if (schedule_urgent() < 0)
		return 1;
	urgent = niceness();
	if (urgent != before && urgent != -5)
		return 2;
	if (schedule_ordinary() < 0)
		return 3;
	return niceness() == before ? 0 : 4;
}

static int own_niceness(void)
{
	if (setpriority(PRIO_PROCESS, 0, 7) < 0)
		return 1;
	if (schedule_urgent() < 0 || niceness() != 7)
		return 2;
	return schedule_ordinary() < 0 || niceness() != 7 ? 3 : 0;
}

static int without_privilege(void)
{
	if (niceness() != 0)
		return 0;
	if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
		return 1;
	return schedule_urgent() < 0 || niceness() < -5 ? 2 : 0;
}

int main(void)
{
	tap_is_int(in_child(back_and_forth), 0, "precedence comes and goes");
	tap_is_int(in_child(own_niceness), 0, "a niceness somebody gave stays");
	tap_is_int(in_child(without_privilege), 0, "without a privilege there are short turns");
	return tap_done();
}
