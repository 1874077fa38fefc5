/* SPDX-License-Identifier: Apache-2.0 */
/* Answers GET /metrics, a few connections at a time. */
#include "cli/responder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/metrics-text.h"
#include "config/metrics-listen.h"
#include "shm/cleanup.h"

#define QUEUE      8   /* connections that wait for their turn */
#define UNREAD_MAX 64u /* pieces of what a client sends behind its request */

void responder_init(struct responder *r, void (*print)(void *arg, FILE *f), void *arg)
{
	memset(r, 0, sizeof(*r));
	r->listen_fd = -1;
	r->print = print;
	r->arg = arg;
	for (unsigned i = 0; i < RESPONDER_CONNECTIONS; i++)
		r->connection[i].fd = -1;
}

/* Of a predecessor; other files stay, and bind() says that the name is taken. */
static void remove_socket(const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(path);
}

int responder_listen(struct responder *r, const char *where)
{
	struct sockaddr_storage address;
	_cleanup_close_ int fd = -1;
	socklen_t len;
	int one = 1, e = metrics_listen_parse(where, &address, &len);
	mode_t mask;

	if (e < 0)
		return e;
	fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (address.ss_family == AF_UNIX)
		remove_socket(where);
	else if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
		return -errno;
	/*
	 * Everybody may read ledgers, too; the folder says who gets here. unix(7): the file is born
	 * with the socket's own mode, less the umask.
	 */
	if (address.ss_family == AF_UNIX && fchmod(fd, 0666) < 0)
		return -errno;
	mask = umask(0);
	e = bind(fd, (struct sockaddr *)&address, len) < 0 ? -errno : 0;
	umask(mask);
	if (e < 0)
		return e;
	if (listen(fd, QUEUE) < 0)
		return -errno;
	r->listen_fd = take_fd(&fd);
	return 0;
}

static void hang_up(struct responder_connection *c)
{
	close(c->fd);
	c->fd = -1;
	free(c->answer);
	c->answer = NULL;
}

void responder_deinit(struct responder *r)
{
	for (unsigned i = 0; i < RESPONDER_CONNECTIONS; i++)
		if (r->connection[i].fd >= 0)
			hang_up(&r->connection[i]);
	if (r->listen_fd >= 0)
		close(r->listen_fd);
	r->listen_fd = -1;
}

/* Head and body in one piece of memory. */
static int make_answer(struct responder *r, struct responder_connection *c, enum http_status status)
{
	char head[512], *body = NULL;
	size_t len = 0, head_len;
	FILE *f = open_memstream(&body, &len);

	if (!f)
		return -ENOMEM;
	if (status == HTTP_OK)
		r->print(r->arg, f);
	else
		fprintf(f, "%s\n", http_reason(status));
	if (fclose(f) == EOF) {
		free(body);
		return -ENOMEM;
	}
	head_len = http_answer(status, status == HTTP_OK ? METRICS_CONTENT_TYPE : "text/plain", len,
		head, sizeof(head));
	c->answer = malloc(head_len + len);
	if (c->answer) {
		memcpy(c->answer, head, head_len);
		memcpy(c->answer + head_len, body, len);
		c->len = head_len + len;
	}
	free(body);
	return c->answer ? 0 : -ENOMEM;
}

static void write_answer(struct responder_connection *c)
{
	while (c->sent < c->len) {
		ssize_t n = send(c->fd, c->answer + c->sent, c->len - c->sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0)
			break;
		c->sent += (size_t)n;
	}
	/* What is still unread would make the kernel reset the connection before it is read. */
	shutdown(c->fd, SHUT_WR);
	for (unsigned i = 0; i < UNREAD_MAX; i++)
		if (recv(c->fd, c->request, sizeof(c->request), MSG_DONTWAIT) <= 0)
			break;
	hang_up(c);
}

static void read_request(struct responder *r, struct responder_connection *c)
{
	ssize_t n = recv(c->fd, c->request + c->got, sizeof(c->request) - c->got, 0);
	enum http_status status;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		hang_up(c);
		return;
	}
	c->got += (size_t)n;
	status = http_request(c->request, c->got);
	if (status == HTTP_MORE)
		return;
	*(status == HTTP_OK ? &r->answered : &r->refused) += 1;
	if (make_answer(r, c, status) < 0)
		hang_up(c);
	else
		write_answer(c);
}

static struct responder_connection *find_free(const struct responder *r)
{
	for (unsigned i = 0; i < RESPONDER_CONNECTIONS; i++)
		if (r->connection[i].fd < 0)
			return (struct responder_connection *)&r->connection[i];
	return NULL;
}

static void accept_one(struct responder *r, uint64_t now_ns)
{
	struct responder_connection *c = find_free(r);

	if (!c)
		return;
	c->fd = accept4(r->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	c->end_ns = now_ns + RESPONDER_LIFE_NS;
	c->got = c->len = c->sent = 0;
}

unsigned responder_poll(const struct responder *r, struct pollfd *fds)
{
	unsigned n = 0;

	if (r->listen_fd >= 0 && find_free(r))
		fds[n++] = (struct pollfd){.fd = r->listen_fd, .events = POLLIN};
	for (unsigned i = 0; i < RESPONDER_CONNECTIONS; i++) {
		const struct responder_connection *c = &r->connection[i];

		if (c->fd >= 0)
			fds[n++] = (struct pollfd){
				.fd = c->fd, .events = c->answer ? POLLOUT : POLLIN};
	}
	return n;
}

void responder_serve(struct responder *r, const struct pollfd *fds, unsigned n, uint64_t now_ns)
{
	for (unsigned f = 0; f < n; f++) {
		if (!fds[f].revents)
			continue;
		for (unsigned i = 0; i < RESPONDER_CONNECTIONS; i++) {
			struct responder_connection *c = &r->connection[i];

			if (c->fd < 0 || c->fd != fds[f].fd)
				continue;
			if (c->answer)
				write_answer(c);
			else
				read_request(r, c);
			break;
		}
	}
	for (unsigned i = 0; i < RESPONDER_CONNECTIONS; i++)
		if (r->connection[i].fd >= 0 && r->connection[i].end_ns <= now_ns)
			hang_up(&r->connection[i]);
	for (unsigned f = 0; f < n; f++) /* last: a number that was just freed may come again */
		if (fds[f].fd == r->listen_fd && fds[f].revents)
			accept_one(r, now_ns);
}

uint64_t responder_due_ns(const struct responder *r)
{
	uint64_t due = RESPONDER_NEVER;

	for (unsigned i = 0; i < RESPONDER_CONNECTIONS; i++)
		if (r->connection[i].fd >= 0 && r->connection[i].end_ns < due)
			due = r->connection[i].end_ns;
	return due;
}
