/* SPDX-License-Identifier: GPL-2.0 */
/*
 * As much of a kernel as pkt.c asks for, in user space: an skb that is one
 * buffer, of which only so many bytes may be touched as have been pulled.
 */
#ifndef FNAT_SKB_H
#define FNAT_SKB_H

#include <arpa/inet.h>
#include <linux/icmp.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/netfilter.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stdlib.h>

#include "shim.h"

/* Not wanted here: what the whole module knows of a namespace and of addresses. */
#define FNAT_H
#define FNAT_ADDR_H

#define IS_ENABLED(CONFIG_any)	0
#define min_t(type, a, b) \
	({ type _a = (a), _b = (b); _a < _b ? _a : _b; })
#define cpu_to_be16(n)		htons(n)
#define cpu_to_be32(n)		htonl(n)
#define be16_to_cpu(n)		ntohs(n)
#define be32_to_cpu(n)		ntohl(n)

#define PACKET_HOST		0
#define IP_OFFSET		0x1fff
#define IP_MF			0x2000
#define IP6_OFFSET		0xfff8
#define IP6_MF			1
#define NEXTHDR_HOP		0
#define NEXTHDR_TCP		6
#define NEXTHDR_UDP		17
#define NEXTHDR_ROUTING		43
#define NEXTHDR_FRAGMENT	44
#define NEXTHDR_AUTH		51
#define NEXTHDR_DEST		60

enum { RTN_UNICAST = 1, RTN_LOCAL };

struct net;

struct net_device {
	int	flags;
};

struct fnat_net {
	struct net	*net;
	int		addrs;
};

struct nf_hook_state {
	u8				pf;
	const struct net_device		*in;
};

struct frag_hdr {
	u8	nexthdr, reserved;
	u16	frag_off;
	u32	identification;
};

/* What lies beyond @pulled is there, but not in line. */
struct sk_buff {
	u8		*data;
	unsigned int	len;
	unsigned int	pulled;
	u8		pkt_type;
	__be16		protocol;
	const struct net_device *dev;
};

static inline unsigned int skb_headlen(const struct sk_buff *skb)
{
	return skb->pulled;
}

/* Bytes that were not asked for are poisoned until they are. */
void skb_pull_in(struct sk_buff *skb, unsigned int len);

static inline bool pskb_may_pull(struct sk_buff *skb, unsigned int len)
{
	if (len > skb->len)
		return false;
	skb_pull_in(skb, len);
	return true;
}

static inline void *skb_header_pointer(const struct sk_buff *skb, int off,
				       unsigned int len, void *buf)
{
	if (off + len > skb->len)
		return NULL;
	if (off + len <= skb->pulled)
		return skb->data + off;
	skb_pull_in((struct sk_buff *)skb, off + len);
	memcpy(buf, skb->data + off, len);
	return buf;
}

static inline int skb_network_offset(const struct sk_buff *skb)
{
	(void)skb;
	return 0;
}

static inline struct iphdr *ip_hdr(const struct sk_buff *skb)
{
	return (struct iphdr *)skb->data;
}

static inline bool ip_is_fragment(const struct iphdr *iph)
{
	return iph->frag_off & htons(IP_MF | IP_OFFSET);
}

static inline struct ipv6hdr *ipv6_hdr(const struct sk_buff *skb)
{
	return (struct ipv6hdr *)skb->data;
}

static inline unsigned int __tcp_hdrlen(const struct tcphdr *th)
{
	return th->doff * 4;
}

#define tcp_flag_byte(th)	(((u8 *)(th))[13])

static inline u16 get_unaligned_be16(const void *p)
{
	const u8 *b = p;

	return b[0] << 8 | b[1];
}

/* Of these nothing is to be learnt here. */
#define l3mdev_master_ifindex_rcu(dev)			0
#define netif_is_l3_slave(dev)				false
#define netif_is_l3_master(dev)				false
#define nf_checksum(skb, hook, off, proto, af)		0
#define nf_inet_addr_cmp(a, b)				false
#define fnat_addr_unusable(af, addr)			false
#define fnat_addr_loopback(af, addr)			false
#define fnat_addrset_has_any(set, af, addr)		false
#define fnat_addrset_maybe4(set, addr)			true
#define fnat_addrset_maybe6(set, addr)			true
#define fnat_addr_is_local(net, dev, af, addr)	false
#define inet_addr_type_dev_table(net, dev, addr)	RTN_UNICAST

#endif /* FNAT_SKB_H */
