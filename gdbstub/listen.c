/* SPDX-License-Identifier: MIT */
/*
 * Listening sockets. Without a host TCP binds to the loopback interface: who reaches the port owns the guest. A Unix
 * socket that a killed process has left behind is replaced, one that still answers is busy.
 */
#ifndef _GNU_SOURCE
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#endif
#include "gdbstub/listen.h"

#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int new_socket(int family)
{
	return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* --- unix:PATH --- */

static bool stale(const struct sockaddr_un *a)
{
	struct stat st;
	int fd;
	bool refused;

	if (lstat(a->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	fd = new_socket(AF_UNIX);
	if (fd < 0)
		return false;
	refused = connect(fd, (const struct sockaddr *)a, sizeof(*a)) < 0 && errno == ECONNREFUSED;
	close(fd);
	return refused;
}

static int open_unix(struct cv_listener *l, const char *path, struct cv_error *err)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	size_t n = strlen(path);
	int r;

	if (!n || n >= sizeof(a.sun_path))
		return cv_error_set(err, CV_E_BADINPUT, "unix:%.200s: the path of a socket has 1 to %zu bytes", path,
				    sizeof(a.sun_path) - 1);
	memcpy(a.sun_path, path, n + 1);
	l->fd = new_socket(AF_UNIX);
	if (l->fd < 0)
		return cv_error_set(err, CV_E_IO, "unix:%s: %m", path);
	r = bind(l->fd, (struct sockaddr *)&a, sizeof(a));
	if (r < 0 && errno == EADDRINUSE && stale(&a)) {
		unlink(path);
		r = bind(l->fd, (struct sockaddr *)&a, sizeof(a));
	}
	if (r < 0)
		return cv_error_set(err, CV_E_IO, "unix:%s: %m", path);
	memcpy(l->unix_path, path, n + 1);
	memcpy(l->address, path, n + 1);
	if (chmod(path, 0600) < 0 || listen(l->fd, 4) < 0)
		return cv_error_set(err, CV_E_IO, "unix:%s: %m", path);
	return 0;
}

/* --- [HOST]:PORT --- */

struct host_port {
	char host[128], port[6];
};

static bool split(const char *address, struct host_port *hp)
{
	const char *colon = strrchr(address, ':'), *host = address;
	size_t n, digits;
	unsigned long port = 0;

	if (!colon)
		return false;
	digits = strlen(colon + 1);
	if (!digits || digits > 5)
		return false;
	for (const char *p = colon + 1; *p; p++) {
		if (!isdigit((unsigned char)*p))
			return false;
		port = port * 10 + (unsigned long)(*p - '0');
	}
	n = (size_t)(colon - address);
	if (n >= 2 && host[0] == '[' && host[n - 1] == ']') {
		host++;
		n -= 2;
	} else if (memchr(host, ':', n)) {
		return false;
	}
	if (n >= sizeof(hp->host) || port > 65535)
		return false;
	memcpy(hp->host, host, n);
	hp->host[n] = '\0';
	memcpy(hp->port, colon + 1, digits + 1);
	if (!n)
		strcpy(hp->host, "127.0.0.1");
	return true;
}

/* The port that the system chose, if it was 0. */
static void note_address(struct cv_listener *l, const struct host_port *hp)
{
	struct sockaddr_storage a;
	socklen_t n = sizeof(a);
	unsigned port = 0;

	if (getsockname(l->fd, (struct sockaddr *)&a, &n) == 0)
		port = ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port
						     : ((struct sockaddr_in *)&a)->sin_port);
	snprintf(l->address, sizeof(l->address), strchr(hp->host, ':') ? "[%s]:%u" : "%s:%u", hp->host, port);
}

static int open_tcp(struct cv_listener *l, const char *address, struct cv_error *err)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	struct addrinfo *list = NULL;
	struct host_port hp;
	int r, one = 1, saved = 0;

	if (!split(address, &hp))
		return cv_error_set(err, CV_E_BADINPUT,
				    "%.200s: not an address for GDB: it is unix:PATH, HOST:PORT or :PORT", address);
	r = getaddrinfo(hp.host, hp.port, &hints, &list);
	if (r)
		return cv_error_set(err, CV_E_BADINPUT, "%.200s: %s", address, gai_strerror(r));
	for (struct addrinfo *a = list; a && l->fd < 0; a = a->ai_next) {
		l->fd = new_socket(a->ai_family);
		if (l->fd >= 0 && setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
		    bind(l->fd, a->ai_addr, a->ai_addrlen) == 0 && listen(l->fd, 4) == 0)
			break;
		saved = errno;
		if (l->fd >= 0)
			close(l->fd);
		l->fd = -1;
	}
	freeaddrinfo(list);
	if (l->fd < 0) {
		errno = saved;
		return cv_error_set(err, CV_E_IO, "%.200s: %m", address);
	}
	note_address(l, &hp);
	return 0;
}

int cv_listener_open(struct cv_listener *l, const char *address, struct cv_error *err)
{
	int r;

	memset(l, 0, sizeof(*l));
	l->fd = -1;
	r = strncmp(address, "unix:", 5) ? open_tcp(l, address, err) : open_unix(l, address + 5, err);
	if (r < 0)
		cv_listener_close(l);
	return r;
}

void cv_listener_close(struct cv_listener *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	if (l->unix_path[0])
		unlink(l->unix_path);
	l->unix_path[0] = '\0';
}

int cv_listener_accept(const struct cv_listener *l)
{
	int one = 1, idle = 10, fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0 && !l->unix_path[0]) { /* small packets to and fro; a host that has gone is noticed */
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
		setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
		setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &idle, sizeof(idle));
	}
	return fd;
}
