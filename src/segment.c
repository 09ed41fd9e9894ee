// SPDX-License-Identifier: GPL-2.0
#include <linux/etherdevice.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <net/icmp.h>
#include <net/ip.h>
#include <net/ip6_checksum.h>
#include <net/ip6_route.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/route.h>
#include <net/tcp.h>

#include "fnat.h"
#include "pkt.h"
#include "segment.h"
#include "tcpopt.h"
#include "xmit.h"

/* Where a packet of ours goes, and what it carries. */
struct envelope {
	struct fnat_net			*fn;
	const union nf_inet_addr	*saddr;
	const union nf_inet_addr	*daddr;
	u32				l3mdev;
	u16				af;
	u8				proto;
};

/* The route, with a reference; or NULL. */
static struct dst_entry *route(const struct envelope *e)
{
	struct flowi4 fl4 = {
		.flowi4_l3mdev	= e->l3mdev,
		.flowi4_proto	= e->proto,
		.flowi4_flags	= FLOWI_FLAG_ANYSRC,
		.saddr		= e->saddr->ip,
		.daddr		= e->daddr->ip,
	};
	struct flowi6 fl6 = {
		.flowi6_l3mdev	= e->l3mdev,
		.flowi6_proto	= e->proto,
		.flowi6_flags	= FLOWI_FLAG_ANYSRC,
		.saddr		= e->saddr->in6,
		.daddr		= e->daddr->in6,
	};

	return e->af == AF_INET ? fnat_route4(e->fn->net, &fl4) :
				  fnat_route6(e->fn->net, &fl6);
}

static __always_inline
void put_ip4(struct sk_buff *skb, const struct envelope *e, u8 ttl)
{
	struct iphdr *iph = __skb_put_zero(skb, sizeof(*iph));

	skb->protocol = htons(ETH_P_IP);
	iph->version = 4;
	iph->ihl = sizeof(*iph) / 4;
	iph->frag_off = htons(IP_DF);
	iph->ttl = ttl;
	iph->protocol = e->proto;
	iph->saddr = e->saddr->ip;
	iph->daddr = e->daddr->ip;
}

static __always_inline
void put_ip6(struct sk_buff *skb, const struct envelope *e, u8 ttl)
{
	struct ipv6hdr *ip6h = __skb_put_zero(skb, sizeof(*ip6h));

	skb->protocol = htons(ETH_P_IPV6);
	ip6h->version = 6;
	ip6h->hop_limit = ttl;
	ip6h->nexthdr = e->proto;
	ip6h->saddr = e->saddr->in6;
	ip6h->daddr = e->daddr->in6;
}

/* An skb with a route and an IP header, room for @len bytes behind it; NULL. */
static struct sk_buff *start(const struct envelope *e, unsigned int len)
{
	struct dst_entry *dst = route(e);
	struct sk_buff *skb;

	if (!dst)
		return NULL;
	skb = alloc_skb(LL_RESERVED_SPACE(dst->dev) + sizeof(struct ipv6hdr) +
			len, FNAT_GFP_PACKET);
	if (!skb) {
		dst_release(dst);
		return NULL;
	}
	skb_dst_set(skb, dst);
	nf_ct_set(skb, NULL, IP_CT_UNTRACKED);
	skb_reserve(skb, LL_RESERVED_SPACE(dst->dev));
	skb_reset_network_header(skb);
	if (e->af == AF_INET)
		put_ip4(skb, e, ip4_dst_hoplimit(dst));
	else
		put_ip6(skb, e, ip6_dst_hoplimit(dst));
	skb_set_transport_header(skb, skb->len);
	return skb;
}

/* The stack fills in what is left of the header. */
static int finish(const struct envelope *e, struct sk_buff *skb)
{
	if (e->af == AF_INET)
		return ip_local_out(e->fn->net, NULL, skb);
	return ip6_local_out(e->fn->net, NULL, skb);
}

/* Of the pseudo header, for a sum over @len bytes that adds up to @sum so far. */
static __always_inline
__sum16 pseudo_sum(const struct envelope *e, unsigned int len, __wsum sum)
{
	if (e->af == AF_INET)
		return csum_tcpudp_magic(e->saddr->ip, e->daddr->ip, len,
					 e->proto, sum);
	return csum_ipv6_magic(&e->saddr->in6, &e->daddr->in6, len, e->proto,
			       sum);
}

static struct envelope envelope_of(struct fnat_net *fn,
				   const struct fnat_segment *s)
{
	return (struct envelope){
		.fn	= fn,
		.saddr	= s->saddr,
		.daddr	= s->daddr,
		.l3mdev	= s->l3mdev,
		.af	= s->af,
		.proto	= IPPROTO_TCP,
	};
}

/* With all the options that we ever send. */
#define SEGMENT_MAX	(sizeof(struct tcphdr) + FNAT_TCPOPT_OFFER_LEN)

/* Behind the IP header; the checksum is left to the device, or to the stack. */
static __always_inline
void put_tcp(struct sk_buff *skb, const struct envelope *e,
	     const struct fnat_segment *s)
{
	struct tcphdr *th = (struct tcphdr *)skb_tail_pointer(skb);
	unsigned int len = sizeof(*th);

	if (s->offer)
		len += fnat_tcpopt_write((u8 *)(th + 1), s->offer);
	__skb_put(skb, len);
	*(__be32 *)th = s->ports;
	th->seq = htonl(s->seq);
	th->ack_seq = htonl(s->ack);
	tcp_flag_word(th) = htonl(len / 4 << 28 | s->flags << 16 | s->win);
	th->urg_ptr = 0;

	th->check = ~pseudo_sum(e, len, 0);
	skb->ip_summed = CHECKSUM_PARTIAL;
	skb->csum_start = (unsigned char *)th - skb->head;
	skb->csum_offset = offsetof(struct tcphdr, check);
}

int fnat_segment_send(struct fnat_net *fn, const struct fnat_segment *s)
{
	const struct envelope e = envelope_of(fn, s);
	struct sk_buff *skb = start(&e, SEGMENT_MAX);

	if (!skb)
		return -ENOBUFS;
	put_tcp(skb, &e, s);
	return finish(&e, skb);
}

/*
 * Whether the neighbour that @skb came from can be told by its MAC address alone:
 * what has come by IPsec, or has a way already (of a tunnel that keeps where from),
 * goes back by routes.
 */
static bool has_neighbour(const struct sk_buff *skb)
{
	return skb->dev->type == ARPHRD_ETHER &&
	       skb_mac_header_was_set(skb) && skb_mac_header_len(skb) == ETH_HLEN &&
	       is_valid_ether_addr(eth_hdr(skb)->h_source) &&
	       !skb_sec_path(skb) && !skb_dst(skb);
}

/* Empties @skb, which others may be looking at, for what @e and @s say to go in. */
static int rewrite(struct sk_buff *skb, const struct fnat_pkt *p,
		   const struct envelope *e, const struct fnat_segment *s, u8 ttl)
{
	unsigned int iplen = e->af == AF_INET ? sizeof(struct iphdr) :
						sizeof(struct ipv6hdr);

	if (skb_cloned(skb) &&
	    skb_ensure_writable(skb, p->thoff + sizeof(struct tcphdr)))
		return -ENOMEM;
	/* IP options and extension headers stay behind. */
	__skb_pull(skb, p->thoff - iplen);
	if (pskb_trim(skb, 0) ||
	    (unlikely(skb_tailroom(skb) < iplen + SEGMENT_MAX) &&
	     pskb_expand_head(skb, 0, iplen + SEGMENT_MAX, FNAT_GFP_PACKET)))
		return -ENOMEM;
	skb_reset_network_header(skb);
	if (e->af == AF_INET)
		put_ip4(skb, e, ttl);
	else
		put_ip6(skb, e, ttl);
	skb_set_transport_header(skb, iplen);
	put_tcp(skb, e, s);
	if (e->af == AF_INET) {
		ip_hdr(skb)->tot_len = htons(skb->len);
		ip_hdr(skb)->check = ip_fast_csum(ip_hdr(skb), 5);
	} else {
		ipv6_hdr(skb)->payload_len = htons(skb->len - iplen);
	}
	return 0;
}

/* What the skb still says of the way in. */
static void forget_way_in(struct sk_buff *skb)
{
	skb_orphan(skb);
	skb_clear_tstamp(skb);
	nf_reset_ct(skb);
	nf_ct_set(skb, NULL, IP_CT_UNTRACKED);
	skb->mark = 0;
	skb->priority = 0;
}

static noinline_for_stack
unsigned int reply_by_route(const struct fnat_pkt *p,
			    const struct fnat_segment *s)
{
	/* Or anybody could have us broadcast. */
	if (fnat_pkt_source_forged(p))
		return fnat_drop(p, FNAT_DROP_SOURCE);
	if (fnat_segment_send(p->fn, s))
		return fnat_drop(p, FNAT_DROP_NO_ROUTE);
	consume_skb(p->skb);
	return NF_STOLEN;
}

unsigned int fnat_segment_reply(const struct fnat_pkt *p,
				const struct fnat_segment *s, u8 ttl)
{
	const struct envelope e = envelope_of(p->fn, s);
	struct sk_buff *skb = p->skb;
	struct ethhdr was, *eth;

	if (unlikely(!has_neighbour(skb) || skb_is_gso(skb) ||
		     READ_ONCE(p->fn->tune.synack_route)))
		return reply_by_route(p, s);
	was = *eth_hdr(skb);
	if (rewrite(skb, p, &e, s, ttl))
		return fnat_drop(p, FNAT_DROP_MEMORY);
	forget_way_in(skb);
	eth = __skb_push(skb, ETH_HLEN);
	skb_reset_mac_header(skb);
	ether_addr_copy(eth->h_dest, was.h_source);
	ether_addr_copy(eth->h_source, was.h_dest);
	eth->h_proto = was.h_proto;
	dev_queue_xmit(skb);
	return NF_STOLEN;
}

/* An error as the two families number it. */
static const struct {
	u8	type4, code4;
	u8	type6, code6;
} errors[] = {
	[FNAT_ICMP_UNREACH] = { ICMP_DEST_UNREACH, ICMP_PORT_UNREACH,
				ICMPV6_DEST_UNREACH, ICMPV6_PORT_UNREACH },
	[FNAT_ICMP_TTL] = { ICMP_TIME_EXCEEDED, ICMP_EXC_TTL,
			    ICMPV6_TIME_EXCEED, ICMPV6_EXC_HOPLIMIT },
	[FNAT_ICMP_TOO_BIG] = { ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED,
				ICMPV6_PKT_TOOBIG, 0 },
};

/* Both headers begin alike: type, code, checksum, and 32 bits of the error's. */
static_assert(sizeof(struct icmphdr) == sizeof(struct icmp6hdr));

/* Of an error message, all headers included. */
static unsigned int icmp_max(u16 af)
{
	return af == AF_INET ? 576 : IPV6_MIN_MTU;
}

int fnat_icmp_send(const struct fnat_pkt *p, enum fnat_icmp_error error,
		   u32 mtu)
{
	bool v4 = p->af == AF_INET;
	const struct envelope e = {
		.fn	= p->fn,
		.saddr	= &p->daddr,
		.daddr	= &p->saddr,
		.l3mdev	= p->l3mdev,
		.af	= p->af,
		.proto	= v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6,
	};
	unsigned int quoted = min_t(unsigned int, p->skb->len,
				    icmp_max(p->af) - sizeof(struct icmphdr) -
				    (v4 ? sizeof(struct iphdr) :
					  sizeof(struct ipv6hdr)));
	struct icmphdr *icmph;
	struct sk_buff *skb;
	__wsum sum;

	skb = start(&e, sizeof(*icmph) + quoted);
	if (!skb)
		return -ENOBUFS;
	icmph = skb_put_zero(skb, sizeof(*icmph));
	icmph->type = v4 ? errors[error].type4 : errors[error].type6;
	icmph->code = v4 ? errors[error].code4 : errors[error].code6;
	icmph->un.gateway = htonl(mtu);
	if (skb_copy_bits(p->skb, 0, skb_put(skb, quoted), quoted)) {
		kfree_skb(skb);
		return -EINVAL;
	}
	sum = csum_partial(icmph, sizeof(*icmph) + quoted, 0);
	icmph->checksum = v4 ? csum_fold(sum) :
			       pseudo_sum(&e, sizeof(*icmph) + quoted, sum);
	return finish(&e, skb);
}

/* Addresses swapped, and as many routers to pass as a packet of our own. */
static void turn_ip(const struct fnat_pkt *p)
{
	struct ipv6hdr *ip6h = ipv6_hdr(p->skb);
	struct iphdr *iph = ip_hdr(p->skb);

	if (p->af == AF_INET) {
		iph->saddr = p->daddr.ip;
		iph->daddr = p->saddr.ip;
		iph->ttl = ip4_dst_hoplimit(skb_dst(p->skb));
		memset(IPCB(p->skb), 0, sizeof(*IPCB(p->skb)));
	} else {
		ip6h->saddr = p->daddr.in6;
		ip6h->daddr = p->saddr.in6;
		ip6h->hop_limit = ip6_dst_hoplimit(skb_dst(p->skb));
		memset(IP6CB(p->skb), 0, sizeof(*IP6CB(p->skb)));
	}
}

unsigned int fnat_echo_reply(const struct fnat_pkt *p)
{
	const struct envelope e = {
		.fn	= p->fn,
		.saddr	= &p->daddr,
		.daddr	= &p->saddr,
		.l3mdev	= p->l3mdev,
		.af	= p->af,
		.proto	= p->proto,
	};
	struct sk_buff *skb = p->skb;
	struct icmphdr *icmph;
	struct dst_entry *dst;
	__be16 before, after;

	if (skb_ensure_writable(skb, p->thoff + p->thlen))
		return fnat_drop(p, FNAT_DROP_MEMORY);
	dst = route(&e);
	if (!dst)
		return fnat_drop(p, FNAT_DROP_NO_ROUTE);
	skb_orphan(skb);
	skb_clear_tstamp(skb);
	skb_dst_drop(skb);
	skb_dst_set(skb, dst);
	nf_reset_ct(skb);
	nf_ct_set(skb, NULL, IP_CT_UNTRACKED);
	turn_ip(p);

	icmph = (struct icmphdr *)(skb->data + p->thoff);
	before = *(__be16 *)icmph;
	icmph->type = p->af == AF_INET ? ICMP_ECHOREPLY : ICMPV6_ECHO_REPLY;
	after = *(__be16 *)icmph;
	csum_replace2(&icmph->checksum, before, after);
	skb->ip_summed = CHECKSUM_NONE;
	fnat_count(p->fn, FNAT_EV_ECHO);
	finish(&e, skb);
	return NF_STOLEN;
}
