/* SPDX-License-Identifier: MIT */
/*
 * rsp SOCKET WHERE N: a small client of GDB's remote protocol. Seeks to WHERE ("50%"), steps N instructions forward, N back and N forward
 * again; what the registers are must be the same at the same place each time. Prints RIP and a sum of all registers at each, for
 * comparison with another engine's.
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int fd;

static int get(void)
{
	unsigned char c;
	return read(fd, &c, 1) == 1 ? c : -1;
}

/* The next packet's text. */
static void receive(char *buf, size_t size)
{
	int c;
	size_t n = 0;
	while ((c = get()) != '$')
		if (c < 0) {
			fprintf(stderr, "rsp: the server has gone\n");
			exit(1);
		}
	while ((c = get()) != '#' && c >= 0) {
		/* '*' and a count: the last character so many times more. */
		int times = c == '*' && n ? get() - 29 : 1;
		char what = c == '*' && n ? buf[n - 1] : (char)c;
		while (times-- > 0)
			if (n + 1 < size)
				buf[n++] = what;
	}
	buf[n] = 0;
	get();
	get();
	if (write(fd, "+", 1) != 1) /* after a detach nobody wants it */
		errno = 0;
}

static void ask(const char *text, char *answer, size_t size)
{
	char packet[512];
	unsigned char sum = 0;
	for (const char *p = text; *p; p++)
		sum = (unsigned char)(sum + (unsigned char)*p);
	int n = snprintf(packet, sizeof(packet), "$%s#%02x", text, sum);
	if (write(fd, packet, (size_t)n) != n)
		exit(1);
	receive(answer, size);
}

/* qRcmd: what is printed comes in "O" packets, the end is OK. */
static void monitor(const char *command)
{
	char packet[256] = "qRcmd,", answer[8192];
	for (const char *p = command; *p; p++)
		sprintf(packet + strlen(packet), "%02x", (unsigned char)*p);
	ask(packet, answer, sizeof(answer));
	while (answer[0] == 'O' && strcmp(answer, "OK"))
		receive(answer, sizeof(answer));
	if (strcmp(answer, "OK")) {
		fprintf(stderr, "rsp: monitor %s: %s\n", command, answer);
		exit(1);
	}
}

struct place {
	uint64_t rip, sum;
	char g[2048];
};

static struct place look(void)
{
	char g[16384];
	struct place p = {.sum = 14695981039346656037ull};
	ask("g", g, sizeof(g));
	if (strlen(g) < 17 * 16) {
		fprintf(stderr, "rsp: g: %s\n", g);
		exit(1);
	}
	strncpy(p.g, g, sizeof(p.g) - 1);
	for (const char *c = g; *c; c++)
		p.sum = (p.sum ^ (unsigned char)*c) * 1099511628211ull;
	for (int i = 7; i >= 0; i--) { /* the 17th register, little-endian */
		char byte[3] = {g[16 * 16 + 2 * i], g[16 * 16 + 2 * i + 1], 0};
		p.rip = p.rip << 8 | strtoul(byte, NULL, 16);
	}
	return p;
}

static void move(const char *how)
{
	char answer[4096];
	ask(how, answer, sizeof(answer));
	while (answer[0] == 'O')
		receive(answer, sizeof(answer));
	if (answer[0] != 'T' && answer[0] != 'S') {
		fprintf(stderr, "rsp: %s: %s\n", how, answer);
		exit(1);
	}
}

static int same(const char *when, int i, struct place a, struct place b)
{
	if (a.rip == b.rip && a.sum == b.sum)
		return 1;
	size_t at = 0;
	while (a.g[at] && a.g[at] == b.g[at])
		at++;
	at -= at % 16;
	fprintf(stderr, "rsp: %s, step %d: rip %#llx instead of %#llx, byte %zu of g: %.16s instead of %.16s\n", when, i,
		(unsigned long long)a.rip, (unsigned long long)b.rip, at / 2, a.g + at, b.g + at);
	return 0;
}

int main(int argc, char **argv)
{
	static struct place trail[1001];
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	char seek[64], answer[4096];
	int n = argc == 4 ? atoi(argv[3]) : 0, good = 1;
	if (n < 1 || n > 1000)
		return 2;
	strncpy(addr.sun_path, argv[1], sizeof(addr.sun_path) - 1);
	signal(SIGPIPE, SIG_IGN);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	for (int tries = 0; connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0; tries++) {
		if (tries == 100) {
			fprintf(stderr, "rsp: %s: %s\n", argv[1], strerror(errno));
			return 1;
		}
		usleep(50000);
	}
	ask("qSupported:swbreak+", answer, sizeof(answer));
	if (!strstr(answer, "ReverseStep+")) {
		fprintf(stderr, "rsp: no reverse steps: %s\n", answer);
		return 1;
	}
	ask("?", answer, sizeof(answer));
	snprintf(seek, sizeof(seek), "seek %s", argv[2]);
	monitor(seek);
	trail[0] = look();
	for (int i = 1; i <= n; i++) {
		move("s");
		trail[i] = look();
	}
	for (int i = n - 1; i >= 0; i--) {
		move("bs");
		good &= same("back", i, look(), trail[i]);
	}
	for (int i = 1; i <= n; i++) {
		move("s");
		good &= same("again", i, look(), trail[i]);
	}
	for (int i = 0; i <= n; i++)
		printf("%d %#llx %016llx\n", i, (unsigned long long)trail[i].rip, (unsigned long long)trail[i].sum);
	ask("D", answer, sizeof(answer));
	return !good;
}
