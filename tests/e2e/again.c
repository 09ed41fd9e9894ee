// SPDX-License-Identifier: GPL-2.0
/*
 * Connections from few ports, one after the other, to a server that closes
 * first and so keeps each of them in TIME_WAIT.
 *
 *	again serve ADDRESS PORT
 *	again knock ADDRESS PORT SECONDS SOURCE...
 *
 * A knock comes from one of PORTS ports of the next SOURCE. After SECONDS it says
 * how many there were.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <err.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PORTS	16
#define FIRST	20000
#define RETRIES	2	/* of a SYN, so that nobody waits for minutes */

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static struct addrinfo *place(const char *addr, int port)
{
	struct addrinfo hints = {
		.ai_flags	= AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_socktype	= SOCK_STREAM,
	};
	struct addrinfo *found;
	char text[8];

	snprintf(text, sizeof(text), "%d", port);
	if (getaddrinfo(addr, text, &hints, &found))
		errx(2, "no address: %s", addr);
	return found;
}

/* A socket at @at, which may have been somebody's a moment ago. */
static int bound(const struct addrinfo *at)
{
	int fd = socket(at->ai_family, SOCK_STREAM, 0);
	int yes = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) ||
	    bind(fd, at->ai_addr, at->ai_addrlen))
		err(1, "bind");
	return fd;
}

static void serve(const char *addr, int port)
{
	int fd = bound(place(addr, port));

	if (listen(fd, 128))
		err(1, "listen");
	for (;;) {
		int peer = accept(fd, NULL, NULL);

		if (peer < 0)
			err(1, "accept");
		if (write(peer, "bye\n", 4) != 4)
			warn("write");
		close(peer);
	}
}

/* Whether a connection from @from to @to came about, to its end. */
static int knock(const struct addrinfo *from, const struct addrinfo *to)
{
	char buf[8];
	int retries = RETRIES;
	int fd = bound(from);
	int done = 0;

	if (setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &retries, sizeof(retries)))
		err(1, "TCP_SYNCNT");
	if (!connect(fd, to->ai_addr, to->ai_addrlen)) {
		while (read(fd, buf, sizeof(buf)) > 0)
			;
		done = 1;
	} else if (errno != EADDRNOTAVAIL && errno != ETIMEDOUT) {
		/* The last one from here is not over yet, or nobody answers: that may be. */
		err(1, "connect");
	}
	close(fd);
	return done;
}

int main(int argc, char **argv)
{
	int sources = argc - 5;
	struct addrinfo *to, *from;
	int i, done = 0;
	long end;

	if (argc == 4 && !strcmp(argv[1], "serve"))
		serve(argv[2], atoi(argv[3]));
	if (sources < 1 || strcmp(argv[1], "knock"))
		errx(2, "see the source");
	to = place(argv[2], atoi(argv[3]));
	end = now_ms() + atol(argv[4]) * 1000;
	for (i = 0; now_ms() < end; i++) {
		from = place(argv[5 + i % sources], FIRST + i / sources % PORTS);
		done += knock(from, to);
		freeaddrinfo(from);
	}
	printf("%d\n", done);
	return 0;
}
