/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The one builder of packets of our own: TCP segments and ICMP errors.
 */
#ifndef FNAT_SEGMENT_H
#define FNAT_SEGMENT_H

#include <linux/netfilter.h>
#include <linux/types.h>

struct fnat_net;
struct fnat_pkt;
struct fnat_tcpopt_offer;

/* A TCP segment without payload, from @saddr to @daddr. */
struct fnat_segment {
	const union nf_inet_addr *saddr;
	const union nf_inet_addr *daddr;
	u16	af;
	__be32	ports;		/* source, then destination */
	u32	l3mdev;		/* VRF to route it in, or 0 */
	u32	seq;
	u32	ack;
	u8	flags;		/* FNAT_TH_* */
	u16	win;
	const struct fnat_tcpopt_offer *offer;	/* its options; or NULL */
};

/* Sends it through LOCAL_OUT. 0, or -ENOBUFS: no memory or route. BH off or process. */
int fnat_segment_send(struct fnat_net *fn, const struct fnat_segment *s);

/*
 * Sends @s, an answer to @p, in @p's own skb and straight to the neighbour that
 * @p came from, with @ttl. Where that cannot be (there are no MAC addresses, or it
 * came by IPsec) or synproxy_synack_route says so, as fnat_segment_send(). The skb
 * is gone, or to be dropped: the verdict for netfilter. Bottom halves off.
 */
unsigned int fnat_segment_reply(const struct fnat_pkt *p,
				const struct fnat_segment *s, u8 ttl);

enum fnat_icmp_error {
	FNAT_ICMP_UNREACH,	/* nobody at that port */
	FNAT_ICMP_TTL,
	FNAT_ICMP_TOO_BIG,
};

/*
 * An ICMP error about @p to its sender, from the address it was sent to
 * (RFC 792, RFC 4443; as much of @p as RFC 1812 4.3.2.3 and RFC 4443 2.4 let
 * in). @mtu: of what is too big, or 0.
 */
int fnat_icmp_send(const struct fnat_pkt *p, enum fnat_icmp_error error,
		   u32 mtu);

/*
 * Turns @p, an echo request with a good checksum, round and sends it back. The
 * verdict for netfilter: drops are counted, and the skb is gone otherwise.
 */
unsigned int fnat_echo_reply(const struct fnat_pkt *p);

#endif /* FNAT_SEGMENT_H */
