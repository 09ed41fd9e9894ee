/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A packet as the rest of the module sees it: what pkt.c read from the skb
 * and found sound. Lives on the stack of the hook.
 */
#ifndef FNAT_PKT_H
#define FNAT_PKT_H

#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/netfilter.h>
#include <linux/skbuff.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/ip.h>

struct fnat_net;

/* Flags of a TCP segment, as in its thirteenth byte. */
enum {
	FNAT_TH_FIN = 0x01,
	FNAT_TH_SYN = 0x02,
	FNAT_TH_RST = 0x04,
	FNAT_TH_ACK = 0x10,
	FNAT_TH_ECE = 0x40,
	FNAT_TH_CWR = 0x80,
};

/* TCP, UDP, ICMP or ICMPv6. */
struct fnat_pkt {
	struct sk_buff		*skb;
	struct fnat_net		*fn;
	const struct net_device	*in;		/* NULL: from the host itself */
	const struct nf_hook_state *hook;
	union nf_inet_addr	saddr;
	union nf_inet_addr	daddr;
	__be32			ports;		/* source, then destination */
	u32			l3mdev;		/* VRF it came in by, or 0 */
	u32			hash;		/* by fnat_conn_find(); 0: not known */
	u16			af;
	u8			proto;
	u8			tcp_flags;	/* FNAT_TH_*; 0 unless TCP */
	u16			nhoff;		/* IP header, in skb->data */
	u16			thoff;		/* transport header, likewise */
	u16			thlen;		/* with TCP options */
	/* From here on nothing is said unless it is TCP. */
	u32			seq;		/* host order */
	u32			ack;
	u32			seg_len;	/* payload, SYN and FIN */
	u16			win;		/* as sent, unscaled */
};

/*
 * Whether @skb has been sent to this host, and is not on a bridge that only
 * shows it: that makes sure of a second look if it is passed up.
 */
bool fnat_pkt_for_host(struct sk_buff *skb);

/*
 * Reads @skb, no fragment, of the family that @state names, into @p. False: not
 * ours or not understood; the skb may have been linearised further but is
 * otherwise as it was.
 */
bool fnat_pkt_parse(struct fnat_pkt *p, struct fnat_net *fn,
		    struct sk_buff *skb, const struct nf_hook_state *state);

/*
 * Reads into @p what tells @skb's connection, at netdev ingress and so before anybody
 * has checked it, where it lies open: TCP or UDP for an address that may be ours, no
 * fragment, without IP options. False: nothing is read. Nothing else of @p is.
 */
bool fnat_pkt_glimpse(struct fnat_pkt *p, struct fnat_net *fn,
		      struct sk_buff *skb);

/*
 * Whether @skb, an IPv6 packet, is a fragment of one. What its extension
 * headers hide is none.
 */
bool fnat_pkt_is_fragment6(struct sk_buff *skb);

/*
 * Reads into @quote the TCP or UDP packet that @p, an ICMP error, is about, of
 * which there may be no more than RFC 792's eight bytes of transport header: thlen
 * says how much, of 20 for TCP; ack is 0 and flags are if they are not there.
 * False: there is none, or it makes no sense.
 */
bool fnat_pkt_quoted(struct fnat_pkt *quote, const struct fnat_pkt *p);

/* Whether the transport checksum is right, or vouched for by the device. */
bool fnat_pkt_intact(const struct fnat_pkt *p);

/* The timestamp that @p, of TCP, carries, in *@val. Whether it does. */
bool fnat_pkt_timestamp(const struct fnat_pkt *p, u32 *val);

/*
 * Whether @p carries a source address that no client and no server may have; and
 * the same as far as can be told without asking the routes.
 */
bool fnat_pkt_source_absurd(const struct fnat_pkt *p);
bool fnat_pkt_source_forged(const struct fnat_pkt *p);

static inline struct tcphdr *fnat_pkt_tcp(const struct fnat_pkt *p)
{
	return (struct tcphdr *)(p->skb->data + p->thoff);
}

static inline struct udphdr *fnat_pkt_udp(const struct fnat_pkt *p)
{
	return (struct udphdr *)(p->skb->data + p->thoff);
}

/* Routers that @p may still pass, this one included. */
static inline u8 fnat_pkt_ttl(const struct fnat_pkt *p)
{
	return p->af == AF_INET ? ip_hdr(p->skb)->ttl :
				  ipv6_hdr(p->skb)->hop_limit;
}

/* Where @skb, of IP, comes from and goes to. */
static __always_inline
union nf_inet_addr fnat_skb_saddr(const struct sk_buff *skb, u16 af)
{
	union nf_inet_addr addr = {};

	if (af == AF_INET)
		addr.ip = ip_hdr(skb)->saddr;
	else
		addr.in6 = ipv6_hdr(skb)->saddr;
	return addr;
}

static __always_inline
union nf_inet_addr fnat_skb_daddr(const struct sk_buff *skb, u16 af)
{
	union nf_inet_addr addr = {};

	if (af == AF_INET)
		addr.ip = ip_hdr(skb)->daddr;
	else
		addr.in6 = ipv6_hdr(skb)->daddr;
	return addr;
}

static inline __be16 fnat_sport(__be32 ports)
{
	return cpu_to_be16(be32_to_cpu(ports) >> 16);
}

static inline __be16 fnat_dport(__be32 ports)
{
	return cpu_to_be16(be32_to_cpu(ports) & 0xffff);
}

static inline __be32 fnat_ports(__be16 sport, __be16 dport)
{
	return cpu_to_be32((u32)be16_to_cpu(sport) << 16 | be16_to_cpu(dport));
}

#endif /* FNAT_PKT_H */
