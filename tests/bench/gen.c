// SPDX-License-Identifier: GPL-2.0
/*
 * Plays clients and servers on the two sides of a director, with packet
 * sockets, and says how many nanoseconds the kernel took over what it was
 * sent. Only the time in sendmmsg() counts, so that its own cost is the same
 * for every frame of a length. No reference to an skb stays with it (pktgen
 * keeps one, and what comes after must clone or not as the race falls).
 *
 * usage: gen [-d ADDRESS] [-p PORT] [-t SECONDS] udp|tcp FIRST FLOWS PHASE...
 *
 * Flows FIRST to FIRST + FLOWS - 1 go to ADDRESS:PORT. PHASE is the name of a
 * kind of packet below, which each flow sends once, or KIND=COUNT, COUNT of
 * them round over the flows in no order; "learn", which sends "open" once more
 * and sees what the server gets of it; "blind", which takes the server to get
 * just that; "gso=COUNT"; or "!COMMAND". One line for each phase: its name,
 * packets, nanoseconds. A phase that takes more than SECONDS is broken off.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#define __FAVOR_BSD
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH		64
#define CLIENT_ISN	1000
#define SERVER_ISN	5000
#define SEGMENT		1448
#define SUPER		(45 * SEGMENT)	/* of one super-packet */

enum side { CLIENT, SERVER };

static const char *const device[] = { "v0", "v1" };
static const unsigned char macs[2][12] = {
	{ 2, 0, 0, 0, 0, 0xc0, 2, 0, 0, 0, 0, 0xa0 },
	{ 2, 0, 0, 0, 0, 0xc1, 2, 0, 0, 0, 0, 0xa1 },
};

static const struct kind {
	const char	*name;
	enum side	from;
	unsigned char	flags;
	unsigned int	seq, ack;	/* past the sides' first */
	unsigned int	len;
} kinds[] = {
	{ "open", CLIENT, TH_SYN, 0, 0, 0 },
	{ "synack", SERVER, TH_SYN | TH_ACK, 0, 1, 0 },
	{ "ack", CLIENT, TH_ACK, 1, 1, 0 },
	{ "request", CLIENT, TH_PUSH | TH_ACK, 1, 1, 6 },
	{ "response", SERVER, TH_PUSH | TH_ACK, 1, 7, 6 },
	{ "fin", CLIENT, TH_FIN | TH_ACK, 7, 7, 0 },
	{ "finack", SERVER, TH_FIN | TH_ACK, 7, 8, 0 },
	{ "lastack", CLIENT, TH_ACK, 8, 8, 0 },
	{ "c2s", CLIENT, TH_PUSH | TH_ACK, 1, 1, 6 },
	{ "s2c", SERVER, TH_PUSH | TH_ACK, 1, 1, 6 },
	{ "badack", CLIENT, TH_ACK, 77777, 99999, 6 },
	{ "gso", CLIENT, TH_PUSH | TH_ACK, 1, 1, SUPER },
};

/* MSS 1460, SACK, timestamp, window scale 7; a server has no timestamp. */
static const unsigned char options[] = {
	2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 1, 0, 0, 0, 0, 0, 1, 3, 3, 7,
}, server_options[] = { 2, 4, 5, 180, 1, 1, 4, 2, 1, 3, 3, 7 };

/* What a server sees of a flow. */
struct seen {
	in_addr_t	addr;
	in_port_t	port;
	unsigned int	isn;
};

static struct virtio_net_hdr vnet;
static unsigned char frames[BATCH][128];
static unsigned char super[ETH_HLEN + 40 + SUPER];
static struct seen *seen;
static long first, flows;
static int proto;
static in_addr_t dst, server;
static in_port_t dport;
static double limit = 1e9;
static int sock[2], gso_sock;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int open_socket(const char *dev, int vnet_hdr)
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
	if (vnet_hdr &&
	    setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)))
		die("PACKET_VNET_HDR");
	return fd;
}

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static unsigned int sum(const void *data, size_t len, unsigned int start)
{
	const unsigned char *p = data;
	unsigned int total = start;
	size_t i;

	for (i = 0; i < len; i++)
		total += i & 1 ? p[i] : p[i] << 8;
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return total;
}

/* 16384 clients; the ports of each, and of one next to another, are scattered. */
static struct seen client_of(long flow)
{
	unsigned int n = flow & 16383;
	unsigned int port = n * 2654435761U >> 17;
	struct seen s = {
		.addr	= htonl(0x64400000 + 256 + n),
		.port	= htons(32768 + (port + (flow >> 14) * 7919) % 28232),
		.isn	= CLIENT_ISN,
	};
	return s;
}

static size_t put_tcp(unsigned char *at, const struct kind *k, const struct seen *c)
{
	const int syn = k->flags & TH_SYN;
	const unsigned char *opt = k->from == CLIENT ? options : server_options;
	size_t optlen = !syn ? 0 : k->from == CLIENT ? sizeof(options) :
							sizeof(server_options);
	struct tcphdr *th = (void *)at;

	if (k->from == CLIENT) {
		th->th_seq = htonl(CLIENT_ISN + k->seq);
		th->th_ack = htonl(k->flags & TH_ACK ? SERVER_ISN + k->ack : 0);
	} else {
		th->th_seq = htonl(SERVER_ISN + k->seq);
		th->th_ack = htonl(c->isn + k->ack);
	}
	th->th_off = (sizeof(*th) + optlen) / 4;
	th->th_flags = k->flags;
	th->th_win = htons(65535);
	memcpy(th + 1, opt, optlen);
	return sizeof(*th) + optlen + k->len;
}

/* A frame of kind @k of @flow; returns its length. */
static size_t build(unsigned char *at, const struct kind *k, long flow)
{
	struct seen *s = &seen[flow - first], c = client_of(flow);
	struct ip *ip = (void *)(at + ETH_HLEN);
	unsigned char *l4 = (void *)(ip + 1);
	int away = k->from == CLIENT;
	unsigned int check;
	size_t len = 26;

	memset(at, 0, ETH_HLEN + 60);
	memcpy(at, macs[k->from], 12);
	at[12] = 8;
	ip->ip_v = 4;
	ip->ip_hl = 5;
	ip->ip_id = htons(flow);
	ip->ip_off = htons(IP_DF);
	ip->ip_ttl = 64;
	ip->ip_p = proto;
	ip->ip_src.s_addr = away ? c.addr : server;
	ip->ip_dst.s_addr = away ? dst : s->addr;
	((in_port_t *)l4)[0] = away ? c.port : htons(80);
	((in_port_t *)l4)[1] = away ? dport : s->port;
	if (proto == IPPROTO_TCP)
		len = put_tcp(l4, k, s);
	else
		((struct udphdr *)l4)->uh_ulen = htons(len);
	ip->ip_len = htons(sizeof(*ip) + len);
	ip->ip_sum = htons(~sum(ip, sizeof(*ip), 0));

	check = sum(&ip->ip_src, 8, proto + len);
	if (k->len != SUPER)
		check = ~sum(l4, len, check);
	if (proto == IPPROTO_TCP)
		((struct tcphdr *)l4)->th_sum = htons(check);
	else
		((struct udphdr *)l4)->uh_sum = htons(check);
	return ETH_HLEN + sizeof(*ip) + len;
}

/* Sends @n frames of @k, the @i-th and on in the order of @step. */
static long long send_batch(const struct kind *k, long i, long step, int n)
{
	static struct mmsghdr batch[BATCH];
	static struct iovec iov[BATCH][2];
	int gso = k->len == SUPER;
	long long start;
	int j;

	for (j = 0; j < n; j++) {
		unsigned char *at = gso ? super : frames[j];
		long flow = first + (long)((i + j) * (__int128)step % flows);

		iov[j][0] = (struct iovec){ &vnet, sizeof(vnet) };
		iov[j][1] = (struct iovec){ at, build(at, k, flow) };
		batch[j].msg_hdr.msg_iov = iov[j] + !gso;
		batch[j].msg_hdr.msg_iovlen = 1 + gso;
	}
	start = now();
	if (sendmmsg(gso ? gso_sock : sock[k->from], batch, n, 0) != n)
		die("sendmmsg");
	return now() - start;
}

static long gcd(long a, long b)
{
	return b ? gcd(b, a % b) : a;
}

static void play(const struct kind *k, long count)
{
	long long ns = 0;
	long step = 1;
	long i;

	if (count) {
		for (step = flows * 0.618; gcd(step, flows) != 1; step++)
			;
	} else {
		count = flows;
	}
	for (i = 0; i < count && ns < limit * 1e9; i += BATCH)
		ns += send_batch(k, i, step, count - i < BATCH ? count - i : BATCH);
	printf("%s %ld %lld\n", k->name, i < count ? i : count, ns);
	fflush(stdout);
}

/* Notes what came out for one of the @n flows from @i on; how many. */
static int take(int fd, long i, int n)
{
	unsigned char got[128];
	struct ip *ip = (void *)(got + ETH_HLEN);
	struct tcphdr *th = (void *)(ip + 1);
	unsigned short j;

	if (recv(fd, got, sizeof(got), 0) < 0)
		die("a flow did not get through");
	j = ntohs(ip->ip_id) - (unsigned short)(first + i);
	if (got[12] != 8 || got[13] || ip->ip_p != proto || j >= n)
		return 0;
	seen[i + j] = (struct seen){ ip->ip_src.s_addr, th->th_sport,
				     ntohl(th->th_seq) };
	return 1;
}

static void learn(void)
{
	struct timeval patience = { .tv_sec = 2 };
	int fd = open_socket(device[SERVER], 0);
	struct packet_mreq promisc = {
		.mr_ifindex = if_nametoindex(device[SERVER]),
		.mr_type = PACKET_MR_PROMISC,
	};
	struct sockaddr_ll all = {
		.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP),
		.sll_ifindex = promisc.mr_ifindex,
	};
	long i, n, got;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (bind(fd, (struct sockaddr *)&all, sizeof(all)))
		die("bind");
	for (i = 0; i < flows; i += n) {
		n = flows - i < BATCH ? flows - i : BATCH;
		send_batch(kinds, i, 1, n);
		for (got = 0; got < n;)
			got += take(fd, i, n);
	}
	close(fd);
}

static void phase(const char *word)
{
	const char *count = strchrnul(word, '=');
	size_t i;

	if (*word == '!') {
		if (system(word + 1))
			exit(1);
	} else if (!strcmp(word, "learn")) {
		learn();
	} else if (strcmp(word, "blind")) {
		for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
			if (!strncmp(word, kinds[i].name, count - word) &&
			    !kinds[i].name[count - word])
				return play(&kinds[i], *count ? atol(count + 1) : 0);
		fprintf(stderr, "no packet is called %s\n", word);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	int opt;
	long i;

	server = inet_addr("10.10.0.2");
	dst = inet_addr("198.51.100.1");
	dport = htons(80);
	while ((opt = getopt(argc, argv, "+d:p:t:")) != -1)
		switch (opt) {
		case 'd':
			dst = inet_addr(optarg);
			break;
		case 'p':
			dport = htons(atoi(optarg));
			break;
		case 't':
			limit = atof(optarg);
			break;
		default:
			return 2;
		}
	if (argc - optind < 4)
		return 2;
	proto = strcmp(argv[optind], "udp") ? IPPROTO_TCP : IPPROTO_UDP;
	first = atol(argv[optind + 1]);
	flows = atol(argv[optind + 2]);
	seen = malloc(flows * sizeof(*seen));
	if (!seen)
		die("malloc");
	for (i = 0; i < flows; i++)
		seen[i] = client_of(first + i);
	sock[CLIENT] = open_socket(device[CLIENT], 0);
	sock[SERVER] = open_socket(device[SERVER], 0);
	gso_sock = open_socket(device[CLIENT], 1);
	vnet = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = ETH_HLEN + 40, .gso_size = SEGMENT,
		.csum_start = ETH_HLEN + 20, .csum_offset = 16,
	};
	for (argv += optind + 3; *argv; argv++)
		phase(*argv);
	return 0;
}
