// SPDX-License-Identifier: GPL-2.0
/*
 * Sends one frame, read in hex from standard input, many times through a
 * packet socket, and says how many nanoseconds a frame took. Its own cost is
 * the same for every frame, and no reference to an skb stays with it (pktgen
 * keeps one, and what comes after must clone or not as the race falls).
 *
 * usage: gen DEVICE COUNT <frame
 */
#define _GNU_SOURCE
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH	64

static unsigned char frame[2048];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static size_t read_frame(void)
{
	unsigned int byte;
	size_t len = 0;

	while (len < sizeof(frame) && scanf("%2x", &byte) == 1)
		frame[len++] = byte;
	return len;
}

static int open_socket(const char *dev)
{
	struct sockaddr_ll to = {
		.sll_family	= AF_PACKET,
		.sll_ifindex	= if_nametoindex(dev),
	};
	int fd = socket(AF_PACKET, SOCK_RAW, 0);
	int one = 1;

	if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof(to)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)))
		die(dev);
	return fd;
}

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv)
{
	struct iovec iov = { .iov_base = frame };
	struct mmsghdr batch[BATCH];
	long long start;
	long count, i;
	int fd;

	if (argc != 3) {
		fprintf(stderr, "usage: gen DEVICE COUNT <frame\n");
		return 2;
	}
	count = atol(argv[2]) / BATCH;
	iov.iov_len = read_frame();
	fd = open_socket(argv[1]);
	memset(batch, 0, sizeof(batch));
	for (i = 0; i < BATCH; i++) {
		batch[i].msg_hdr.msg_iov = &iov;
		batch[i].msg_hdr.msg_iovlen = 1;
	}

	start = now();
	for (i = 0; i < count; i++)
		if (sendmmsg(fd, batch, BATCH, 0) != BATCH)
			die("sendmmsg");
	printf("%lld\n", (now() - start) / (count * BATCH));
	return 0;
}
