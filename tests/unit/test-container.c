/* SPDX-License-Identifier: Apache-2.0 */
/* Cgroup paths and what they say, and what hostile ones must not say. */
#include <stdlib.h>

#include "enrich/container.h"
#include "tap.h"

#define ID   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID2  "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
#define POD  "8ac5ad4c-3a4b-4c5d-9e6f-0123456789ab"
#define POD_ "8ac5ad4c_3a4b_4c5d_9e6f_0123456789ab"
#define USER "/user.slice/user-1000.slice/user@1000.service"
#define LONG "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct {
	const char *path, *unit, *user_unit, *runtime, *id, *pod;
} paths[] = {
	/* systemd */
	{"/", "", "", "none", "", ""},
	{"", "", "", "none", "", ""},
	{"/init.scope", "init.scope", "", "none", "", ""},
	{"/system.slice", "", "", "none", "", ""},
	{"/system.slice/ssh.service", "ssh.service", "", "none", "", ""},
	{"/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service", "", "none",
		"", ""},
	{"/system.slice/_memory.service", "memory.service", "", "none", "", ""},
	{"/system.slice/dev-disk-by\\x2dlabel-x.swap", "dev-disk-by\\x2dlabel-x.swap", "", "none",
		"", ""},
	{"/system.slice/ssh.service/deeper/x.service", "ssh.service", "", "none", "", ""},
	{"/user.slice/user-1000.slice/session-3.scope", "session-3.scope", "", "none", "", ""},
	{USER "/init.scope", "user@1000.service", "init.scope", "none", "", ""},
	{USER "/app.slice/app-gnome\\x2dterminal-7.scope", "user@1000.service",
		"app-gnome\\x2dterminal-7.scope", "none", "", ""},
	{USER "/app.slice/a.service/b.service", "user@1000.service", "a.service", "none", "", ""},
	{"/user.slice/user@me.service/a.service", "user@me.service", "", "none", "", ""},
	{"/not-a-unit/ssh.service", "", "", "none", "", ""},
	{"/system.slice/a b.service", "", "", "none", "", ""},
	{"/system.slice/.service", "", "", "none", "", ""},
	{"/system.slice/@.service", "", "", "none", "", ""},

	/* docker */
	{"/docker/" ID, "", "", "docker", ID, ""},
	{"/system.slice/docker-" ID ".scope", "docker-" ID ".scope", "", "docker", ID, ""},
	{"/docker/" ID "/system.slice/ssh.service", "", "", "docker", ID, ""},
	{"/docker/" ID "/docker/" ID2, "", "", "docker", ID, ""},
	{"/system.slice/docker-" ID ".scope/docker-" ID2 ".scope", "docker-" ID ".scope", "",
		"docker", ID, ""},
	{"/system.slice/docker.service", "docker.service", "", "none", "", ""},
	{USER "/app.slice/docker-" ID ".scope", "user@1000.service", "docker-" ID ".scope",
		"docker", ID, ""},
	{"/system.slice/docker-0123.scope", "docker-0123.scope", "", "none", "", ""},
	{"/system.slice/docker-" ID "0.scope", "docker-" ID "0.scope", "", "none", "", ""},
	{"/docker/buildx", "", "", "none", "", ""},

	/* podman */
	{"/machine.slice/libpod-" ID ".scope", "libpod-" ID ".scope", "", "podman", ID, ""},
	{"/machine.slice/libpod-" ID ".scope/container", "libpod-" ID ".scope", "", "podman", ID,
		""},
	{"/machine.slice/libpod-conmon-" ID ".scope", "libpod-conmon-" ID ".scope", "", "none", "",
		""},
	{USER "/user.slice/libpod-" ID ".scope/container", "user@1000.service",
		"libpod-" ID ".scope", "podman", ID, ""},
	{"/system.slice/web.service/libpod-payload-" ID, "web.service", "", "podman", ID, ""},
	{"/system.slice/web.service/runtime", "web.service", "", "none", "", ""},
	{"/libpod_parent/libpod-" ID, "", "", "podman", ID, ""},

	/* containerd, CRI-O, Kubernetes */
	{"/system.slice/nerdctl-" ID ".scope", "nerdctl-" ID ".scope", "", "containerd", ID, ""},
	{"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" POD_
	 ".slice/cri-containerd-" ID ".scope",
		"cri-containerd-" ID ".scope", "", "containerd", ID, POD},
	{"/kubepods.slice/kubepods-pod" POD_ ".slice/crio-" ID ".scope", "crio-" ID ".scope", "",
		"cri-o", ID, POD},
	{"/kubepods.slice/kubepods-pod" POD_ ".slice/crio-conmon-" ID ".scope",
		"crio-conmon-" ID ".scope", "", "none", "", POD},
	{"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/"
	 "kubelet-kubepods-besteffort-pod" POD_ ".slice/docker-" ID ".scope",
		"docker-" ID ".scope", "", "docker", ID, POD},
	{"/kubepods/besteffort/pod" POD "/" ID, "", "", "none", ID, POD},
	{"/kubepods/pod" POD "/crio-" ID, "", "", "cri-o", ID, POD},
	{"/kubelet/kubepods/burstable/pod" POD "/" ID, "", "", "none", ID, POD},
	{"/kubepods/besteffort/pod0123456789abcdef0123456789abcdef/" ID, "", "", "none", ID,
		"0123456789abcdef0123456789abcdef"},
	{"/system.slice/containerd.service/kubepods-burstable-pod" POD_ ".slice:cri-containerd:" ID,
		"containerd.service", "", "containerd", ID, POD},
	{"/kubepods/besteffort/pod" POD, "", "", "none", "", POD},
	{"/kubepods/besteffort/pod" POD_ "/" ID, "", "", "none", "", ""},
	{"/other/pod" POD "/" ID, "", "", "none", "", ""},
	{"/" ID, "", "", "none", "", ""},

	/* LXC, LXD, Incus */
	{"/lxc/web", "", "", "lxc", "web", ""},
	{"/lxc.payload.web/system.slice/ssh.service", "", "", "lxc", "web", ""},
	{"/lxc.payload/web", "", "", "lxc", "web", ""},
	{"/lxc.monitor.web", "", "", "none", "", ""},
	{"/lxc/lxc.monitor.web", "", "", "none", "", ""},
	{"/system.slice/lxc/web", "", "", "none", "", ""},
	{"/lxc", "", "", "none", "", ""},
	{"/lxc.payload." LONG LONG, "", "", "none", "", ""},

	/* systemd-nspawn; virtual machines are registered likewise, but have no payload */
	{"/machine.slice/systemd-nspawn@web.service/payload/system.slice/a.service",
		"systemd-nspawn@web.service", "", "systemd-nspawn", "web", ""},
	{"/machine.slice/systemd-nspawn@web.service/supervisor", "systemd-nspawn@web.service", "",
		"none", "", ""},
	{"/machine.slice/machine-my\\x2dbox.scope/payload", "machine-my\\x2dbox.scope", "",
		"systemd-nspawn", "my-box", ""},
	{"/machine.slice/machine-qemu\\x2d1\\x2dvm.scope", "machine-qemu\\x2d1\\x2dvm.scope", "",
		"none", "", ""},
	{"/machine.slice/machine-a\\x2.scope/payload", "machine-a\\x2.scope", "", "none", "", ""},
	{"/machine.slice/machine-a\\x2x.scope/payload", "machine-a\\x2x.scope", "", "none", "", ""},
	{"/machine.slice/machine-a\\x2fb.scope/payload", "machine-a\\x2fb.scope", "", "none", "",
		""},
	{"/system.slice/web.service/payload", "web.service", "", "none", "", ""},

	/* odd slashes */
	{"//docker//" ID "//", "", "", "docker", ID, ""},
	{"docker/" ID, "", "", "docker", ID, ""},
};

static void is_part(
	const char *at, size_t len, const char *want, const char *path, const char *name)
{
	tap_ok(len == strlen(want) && (!len || !memcmp(at, want, len)), "%s of %s", name, path);
}

static void test_paths(void)
{
	struct container c;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		const char *path = paths[i].path;

		container_parse(path, strlen(path), &c);
		is_part(c.unit, c.unit_len, paths[i].unit, path, "unit");
		is_part(c.user_unit, c.user_unit_len, paths[i].user_unit, path, "user unit");
		is_part(c.id, c.id_len, paths[i].id, path, "container");
		is_part(c.pod, c.pod_len, paths[i].pod, path, "pod");
		tap_is_str(record_runtime_name(c.runtime), paths[i].runtime, "runtime of %s", path);
	}
}

/* Whatever a container makes below its cgroup, it stays what it is. */
static void test_below(void)
{
	static const char *const tails[] = {"docker", "/", "//", "-", ".scope", ".slice",
		"kubepods", "pod" POD, ID2, "docker-" ID2 ".scope", "libpod-" ID2, "lxc",
		"lxc.payload.x", "payload", "supervisor", "_", "\\x2d", "user@1.service",
		"a.service", "\n", "kubepods-pod" POD_ ".slice:cri-containerd:", "system.slice"};
	size_t changed = 0, tried = 0;
	struct container was, is;
	char path[4096];

	srand(1);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		size_t len = strlen(paths[i].path);

		container_parse(paths[i].path, len, &was);
		if (!was.id_len)
			continue;
		for (unsigned n = 0; n < 200; n++) {
			int room = (int)sizeof(path), at;

			at = snprintf(path, sizeof(path), "%s/", paths[i].path);
			for (int k = rand() % 12; k; k--)
				at += snprintf(path + at, (size_t)(room - at), "%s",
					tails[(size_t)rand() % (sizeof(tails) / sizeof(tails[0]))]);
			container_parse(path, (size_t)at, &is);
			tried++;
			changed += is.runtime != was.runtime || is.id_len != was.id_len ||
				   memcmp(is.id, was.id, was.id_len) != 0 ||
				   is.pod_len != was.pod_len || is.unit_len != was.unit_len ||
				   is.user_unit_len != was.user_unit_len;
		}
	}
	tap_ok(tried > 1000, "%zu paths below containers", tried);
	tap_is_int(changed, 0, "none of them is of another container, pod or unit");
}

/* Random joins of what the parser looks for, in memory of their exact size for the sanitizers. */
static void test_random(void)
{
	static const char *const bits[] = {"/", "/", "docker", "docker-", ID, ".scope", "lxc",
		"lxc.payload", "kubepods", "/kubepods/pod" POD "/", "-pod" POD_ ".slice", "-pod",
		POD_, POD, ".slice", "pod", ":cri-containerd:", "machine-", "payload", "\\x2d",
		"\\x", "\\", "_", "user@", "1", ".service", "@", "a", "\xff", "\n", "libpod-",
		"crio-", "conmon-", "besteffort", "systemd-nspawn@", LONG};
	size_t wrong = 0, containers = 0, pods = 0, units = 0;
	struct container c;
	char path[4096];

	srand(2);
	for (unsigned n = 0; n < 100000; n++) {
		size_t at = 0;
		char *exact;

		for (int k = rand() % 14; k; k--) {
			const char *bit = bits[(size_t)rand() % (sizeof(bits) / sizeof(bits[0]))];

			memcpy(path + at, bit, strlen(bit));
			at += strlen(bit);
		}
		exact = malloc(at ? at : 1);
		if (!exact)
			tap_bail("no memory");
		memcpy(exact, path, at);
		container_parse(exact, at, &c);
		containers += c.id_len != 0;
		pods += c.pod_len != 0;
		units += c.unit_len != 0;
		wrong += c.id_len > CONTAINER_ID_MAX || c.pod_len > CONTAINER_POD_MAX ||
			 (c.runtime != RECORD_RUNTIME_NONE && !c.id_len) ||
			 (c.unit_len && (c.unit < exact || c.unit + c.unit_len > exact + at)) ||
			 (c.user_unit_len && !c.unit_len) || memchr(c.id, '/', c.id_len) != NULL;
		free(exact);
	}
	tap_is_int(wrong, 0, "random paths: all results are possible");
	tap_ok(containers > 100 && pods > 10 && units > 100, "and some say something: %zu %zu %zu",
		containers, pods, units);
}

int main(void)
{
	test_paths();
	test_below();
	test_random();
	return tap_done();
}
