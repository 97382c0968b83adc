/* SPDX-License-Identifier: MIT */
/*
 * The server: one listening socket, one client, and the loop that gives the client's packets to a session.
 *
 * A client counts (`holds`) from its first valid packet on. Before that a live guest runs on, whatever the client
 * sends, and a new connection takes the silent one's place; after that a new connection is turned away. While a
 * request runs, cv_gdb_poll reads what comes: Ctrl-C, a whole packet, or the end of the connection stop the timeline.
 * At most one packet is read ahead.
 */
#include "gdbstub/gdbstub.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gdbstub/listen.h"
#include "gdbstub/packet.h"
#include "gdbstub/session.h"
#include "gdbstub/symbols.h"

enum { INPUT = 65536, WAIT_MS = 100, SEND_MS = 5000 };

struct cv_gdb {
	struct cv_listener listener;
	int client, epoll; /* owned; client -1: none */
	bool holds;	   /* the client has sent a valid packet: it holds the guest */
	bool have_packet;  /* reader.body is one that waits to be handled */
	bool interrupt;	   /* Ctrl-C has come and has stopped nothing yet */
	bool lost;	   /* the client that held the guest is gone, and its session not yet over */
	bool no_ack;
	struct cv_packet_reader reader;
	uint8_t input[INPUT];
	size_t in_len, in_pos;
	char body[CV_PACKET_MAX + 1]; /* the packet that is being handled */
	struct cv_wbuf sent;	      /* the last packet, for a NACK */
};

/* --- Connections --- */

static void drop_client(struct cv_gdb *g)
{
	if (g->client >= 0)
		close(g->client); /* epoll forgets it */
	g->client = -1;
	g->lost |= g->holds;
	g->holds = g->have_packet = g->interrupt = g->no_ack = false;
	g->in_len = g->in_pos = 0;
	cv_packet_reader_init(&g->reader);
	cv_wbuf_release(&g->sent);
}

static int watch(struct cv_gdb *g, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP, .data.fd = fd };

	return epoll_ctl(g->epoll, EPOLL_CTL_ADD, fd, &ev);
}

static void accept_client(struct cv_gdb *g)
{
	int fd = g->listener.fd >= 0 && !g->lost ? cv_listener_accept(&g->listener) : -1;

	if (fd < 0)
		return;
	if (g->holds) {
		close(fd);
		return;
	}
	drop_client(g);
	if (watch(g, fd) < 0)
		close(fd);
	else
		g->client = fd;
}

static int new_server(struct cv_gdb **out, struct cv_error *err)
{
	struct cv_gdb *g = calloc(1, sizeof(*g));

	*out = NULL;
	if (!g)
		return cv_error_set(err, CV_E_NOMEM, "out of memory for the GDB server");
	g->listener.fd = g->client = -1;
	cv_packet_reader_init(&g->reader);
	g->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (g->epoll < 0) {
		free(g);
		return cv_error_set(err, CV_E_IO, "GDB server: epoll: %m");
	}
	*out = g;
	return 0;
}

int cv_gdb_new(struct cv_gdb **out, const char *address, struct cv_error *err)
{
	struct cv_gdb *g;
	int r = new_server(&g, err);

	*out = NULL;
	if (r < 0)
		return r;
	r = cv_listener_open(&g->listener, address, err);
	if (r == 0 && watch(g, g->listener.fd) < 0)
		r = cv_error_set(err, CV_E_IO, "GDB server: epoll: %m");
	if (r < 0) {
		cv_gdb_free(g);
		return r;
	}
	*out = g;
	return 0;
}

int cv_gdb_new_connected(struct cv_gdb **out, int fd, struct cv_error *err)
{
	struct cv_gdb *g;
	int r = new_server(&g, err);

	*out = NULL;
	if (r < 0) {
		close(fd);
		return r;
	}
	g->client = fd;
	strcpy(g->listener.address, "(connected)");
	if (watch(g, fd) < 0) {
		r = cv_error_set(err, CV_E_IO, "GDB server: epoll: %m");
		cv_gdb_free(g);
		return r;
	}
	*out = g;
	return 0;
}

void cv_gdb_free(struct cv_gdb *g)
{
	if (!g)
		return;
	drop_client(g);
	cv_listener_close(&g->listener);
	close(g->epoll);
	free(g);
}

const char *cv_gdb_local_address(const struct cv_gdb *g)
{
	return g->listener.address;
}

int cv_gdb_fd(const struct cv_gdb *g)
{
	return g->epoll;
}

/* --- Sending --- */

/* A client that takes nothing for SEND_MS is dropped. */
static void send_bytes(struct cv_gdb *g, const uint8_t *p, size_t n)
{
	while (n && g->client >= 0) {
		ssize_t done = send(g->client, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		struct pollfd pfd = { .fd = g->client, .events = POLLOUT };

		if (done > 0) {
			p += done;
			n -= (size_t)done;
		} else if (done < 0 && errno == EINTR) {
			continue;
		} else if (done < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			int r = poll(&pfd, 1, SEND_MS);

			if (r == 0 || (r < 0 && errno != EINTR))
				drop_client(g);
		} else {
			drop_client(g);
		}
	}
}

static void send_packet(void *ctx, const void *body, size_t n)
{
	struct cv_gdb *g = ctx;

	if (g->client < 0)
		return;
	cv_wbuf_release(&g->sent);
	cv_packet_frame(&g->sent, body, n);
	if (g->sent.err)
		drop_client(g); /* half a packet would be worse */
	else
		send_bytes(g, g->sent.data, g->sent.len);
}

static void resend(struct cv_gdb *g)
{
	if (g->sent.len && !g->no_ack) {
		struct cv_wbuf copy = { 0 };

		cv_put_bytes(&copy, g->sent.data, g->sent.len);
		if (!copy.err)
			send_bytes(g, copy.data, copy.len);
		cv_wbuf_release(&copy);
	}
}

/* --- Receiving --- */

static void take_event(struct cv_gdb *g, enum cv_packet_event ev)
{
	switch (ev) {
	case CV_PACKET_BODY:
		g->have_packet = true;
		break;
	case CV_PACKET_BAD:
		if (!g->no_ack)
			send_bytes(g, (const uint8_t *)"-", 1);
		break;
	case CV_PACKET_NACK:
		resend(g);
		break;
	case CV_PACKET_INTERRUPT:
		g->interrupt = g->holds;
		break;
	default:
		break;
	}
}

/* Feeds what is in the input buffer to the reader, up to one whole packet. */
static void scan_input(struct cv_gdb *g)
{
	while (g->in_pos < g->in_len && !g->have_packet && g->client >= 0)
		take_event(g, cv_packet_feed(&g->reader, g->input[g->in_pos++]));
	if (g->in_pos == g->in_len)
		g->in_pos = g->in_len = 0;
}

/* Reads what there is without waiting. */
static void receive(struct cv_gdb *g)
{
	ssize_t n;

	scan_input(g);
	if (g->client < 0 || g->have_packet || g->in_len)
		return;
	n = recv(g->client, g->input, sizeof(g->input), MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
		drop_client(g);
		return;
	}
	if (n < 0)
		return;
	g->in_len = (size_t)n;
	scan_input(g);
}

/* Waits at most ms for something on the sockets and takes it. */
static void look(struct cv_gdb *g, int ms)
{
	struct epoll_event ev[4];
	bool caller = false, closing = false;
	int n;

	scan_input(g);
	if (g->have_packet)
		ms = 0;
	n = epoll_wait(g->epoll, ev, 4, ms);
	for (int i = 0; i < n; i++) {
		if (ev[i].data.fd == g->listener.fd)
			caller = true;
		else if (ev[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
			closing = true;
	}
	if (n > 0)
		receive(g);
	/* A client that has hung up is served to its last packet; who calls meanwhile waits and is not turned away. */
	if (caller && !(closing && g->holds))
		accept_client(g);
}

bool cv_gdb_poll(void *server)
{
	struct cv_gdb *g = server;

	look(g, 0);
	return g->have_packet || g->interrupt || g->lost;
}

/* --- Serving --- */

static void handle_packet(struct cv_gdb *g, struct cv_gdb_session *s)
{
	size_t n = g->reader.len;

	/* The reader goes on reading while the request runs. */
	memcpy(g->body, g->reader.body, n + 1);
	g->have_packet = false;
	if (!g->no_ack)
		send_bytes(g, (const uint8_t *)"+", 1);
	/* A Ctrl-C while nothing moves is for the next move (GDB, "Interrupts"): many short moves can be stopped, too. */
	cv_gdb_session_handle(s, g->body, n);
	if (s->heeded)
		g->interrupt = false;
	if (!s->silent)
		send_packet(g, s->reply.data, s->reply.len);
	g->no_ack = s->no_ack && g->client >= 0;
}

static bool quits(const struct cv_gdb_options *opt)
{
	return opt->quit && opt->quit(opt->ctx);
}

struct serving {
	struct cv_timeline *t;
	const struct cv_gdb_options *opt;
	bool live;  /* the guest lives: it runs whenever nobody holds it */
	bool ended; /* its run has ended */
};

/* One client from its first valid packet until it goes. */
static enum cv_gdb_after hold(struct cv_gdb *g, struct serving *sv, bool *quit)
{
	const struct cv_gdb_link link = { send_packet, cv_gdb_poll, g };
	enum cv_gdb_after after = CV_AFTER_DETACH;
	struct cv_gdb_session s;

	g->holds = true;
	cv_gdb_session_init(&s, sv->t, sv->opt, &link);
	if (sv->ended)
		s.stop.why = CV_TL_END;
	while (g->client >= 0) {
		if (!g->have_packet) {
			if (quits(sv->opt)) {
				*quit = true;
				break;
			}
			look(g, WAIT_MS);
			continue;
		}
		handle_packet(g, &s);
		sv->ended |= sv->live && s.stop.why == CV_TL_END;
		if (s.after != CV_AFTER_STAY) {
			after = s.after;
			break;
		}
	}
	if (s.killed)
		after = CV_AFTER_KILL;
	drop_client(g);
	g->lost = false;
	cv_gdb_session_release(&s);
	return after;
}

/* The client has gone. A living guest is where it was, wherever the client looked: it needn't wait for a replay to get there. */
static int let_go(struct serving *sv, struct cv_error *err)
{
	struct cv_tl_stop stop = { 0 };

	return sv->live ? cv_timeline_seek(sv->t, UINT64_MAX, &stop, err) : 0;
}

/* The live guest goes on; returns when somebody wants something, or the run has ended. */
static int run_free(struct serving *sv, struct cv_error *err)
{
	struct cv_tl_stop stop = { 0 };
	int r = cv_timeline_run(sv->t, CV_FORWARD, &stop, err);

	if (r < 0)
		return r;
	if (stop.why == CV_TL_END)
		sv->ended = true;
	if (stop.why == CV_TL_DIVERGED)
		return cv_error_set(err, CV_E_DIVERGED, "%.400s", cv_timeline_divergence(sv->t)->text);
	return 0;
}

static enum cv_gdb_end after_client(const struct serving *sv, enum cv_gdb_after after, bool quit)
{
	if (quit)
		return CV_GDB_QUIT;
	if (after == CV_AFTER_KILL && (sv->live || !sv->opt->keep))
		return CV_GDB_KILLED;
	if (sv->live)
		return sv->ended ? CV_GDB_RUN_ENDED : 0;
	return sv->opt->keep ? 0 : CV_GDB_DETACHED;
}

int cv_gdb_serve(struct cv_gdb *g, struct cv_timeline *t, const struct cv_gdb_options *opt, enum cv_gdb_end *end,
		 struct cv_error *err)
{
	struct cv_gdb_options options = { 0 };
	struct serving sv = { .t = t, .opt = &options, .live = cv_timeline_is_live(t) };
	const struct cv_machine *machine = cv_timeline_machine(t);
	enum cv_gdb_end why = 0;
	bool wait;

	if (opt)
		options = *opt;
	if (options.arch == CV_GDB_AUTO && options.symbols && !cv_symbols_is_64(options.symbols))
		options.arch = CV_GDB_I386;
	if (machine && (machine->model.features & CV_HAS(avx)))
		options.avx = true;
	wait = options.wait;
	while (!why) {
		if (g->have_packet) {
			bool quit = false;
			enum cv_gdb_after after = hold(g, &sv, &quit);

			int r = let_go(&sv, err);

			if (r < 0)
				return r;
			wait = false;
			why = after_client(&sv, after, quit);
		} else if (sv.live && sv.ended) {
			why = CV_GDB_RUN_ENDED;
		} else if (sv.live && !wait) {
			int r = run_free(&sv, err);

			if (r < 0)
				return r;
		} else if (quits(sv.opt)) {
			why = CV_GDB_QUIT;
		} else if (g->client < 0 && g->listener.fd < 0) {
			why = CV_GDB_DETACHED; /* the one connection is gone, and none can come */
		} else {
			look(g, WAIT_MS);
		}
	}
	*end = why;
	return 0;
}

const char *cv_gdb_init_commands(void)
{
	return "set pagination off\n"
	       "set confirm off\n"
	       "define hookpost-monitor\n"
	       "  pipe maintenance flush register-cache | cat >/dev/null\n"
	       "  pipe maintenance flush dcache | cat >/dev/null\n"
	       "end\n"
	       "define when\n"
	       "  monitor when\n"
	       "end\n"
	       "document when\n"
	       "Where in the recorded run this is: instructions retired, branches, RIP.\n"
	       "end\n"
	       "define seek\n"
	       "  if $argc == 2\n"
	       "    monitor seek $arg0 $arg1\n"
	       "  else\n"
	       "    monitor seek $arg0\n"
	       "  end\n"
	       "  frame\n"
	       "end\n"
	       "document seek\n"
	       "Go to a position in the recorded run: seek N | +N | -N | N% | begin | end | crash | event N.\n"
	       "end\n"
	       "define console\n"
	       "  monitor console\n"
	       "end\n"
	       "document console\n"
	       "The last lines that the guest had printed on its console by now.\n"
	       "end\n";
}
