// SPDX-License-Identifier: GPL-2.0
/*
 * The only reader of raw headers. Before PRE_ROUTING ip_rcv() has checked
 * version, header length, header checksum and total length, and ipv6_rcv()
 * version and payload length.
 */
#include <linux/icmp.h>
#include <linux/netfilter_bridge.h>
#include <linux/netfilter_ipv4.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/ip_fib.h>
#include <net/l3mdev.h>
#include <net/route.h>
#include <net/tcp.h>

#include "addr.h"
#include "fnat.h"
#include "pkt.h"
#include "tcpopt.h"

static bool parse_tcp(struct fnat_pkt *p)
{
	const struct tcphdr *th;
	unsigned int hlen;

	if (!pskb_may_pull(p->skb, p->thoff + sizeof(*th)))
		return false;
	hlen = __tcp_hdrlen(fnat_pkt_tcp(p));
	if (hlen < sizeof(*th) || !pskb_may_pull(p->skb, p->thoff + hlen))
		return false;

	th = fnat_pkt_tcp(p);
	p->thlen = hlen;
	p->ports = *(__be32 *)th;
	p->tcp_flags = tcp_flag_byte(th);
	p->seq = ntohl(th->seq);
	p->ack = ntohl(th->ack_seq);
	p->win = ntohs(th->window);
	p->seg_len = p->skb->len - p->thoff - hlen + th->syn + th->fin;
	return true;
}

static bool parse_udp(struct fnat_pkt *p)
{
	if (!pskb_may_pull(p->skb, p->thoff + sizeof(struct udphdr)))
		return false;
	p->thlen = sizeof(struct udphdr);
	p->ports = *(__be32 *)fnat_pkt_udp(p);
	p->tcp_flags = 0;
	return true;
}

static bool parse_icmp(struct fnat_pkt *p)
{
	if (!pskb_may_pull(p->skb, p->thoff + sizeof(struct icmphdr)))
		return false;
	p->thlen = sizeof(struct icmphdr);
	p->ports = 0;
	p->tcp_flags = 0;
	return true;
}

static __always_inline bool parse_ip4(struct fnat_pkt *p)
{
	const struct iphdr *iph = (void *)(p->skb->data + p->nhoff);

	p->saddr = (union nf_inet_addr){ .ip = iph->saddr };
	p->daddr = (union nf_inet_addr){ .ip = iph->daddr };
	p->af = AF_INET;
	p->proto = iph->protocol;
	p->thoff = p->nhoff + iph->ihl * 4;
	return iph->ihl >= 5;
}

/* What stands behind IPv6 extension headers. */
struct behind {
	unsigned int	off;		/* in skb->data */
	u8		proto;
	u16		place;		/* of a fragment: IP6_OFFSET, IP6_MF */
};

#define EXTENSIONS_MAX	8	/* more than any honest packet carries */

/* Whether @to->proto stands for a header that we step over. */
static bool is_extension(const struct behind *to)
{
	return to->proto == NEXTHDR_HOP || to->proto == NEXTHDR_DEST ||
	       to->proto == NEXTHDR_ROUTING || to->proto == NEXTHDR_FRAGMENT;
}

/*
 * Steps over one. All begin alike: the next header, a length, two bytes that
 * are a routing header's type and segments left, or a fragment's place. False:
 * cut short, or a packet that is yet to be routed to others (RFC 8200 4.4).
 */
static bool step_over(struct sk_buff *skb, struct behind *to)
{
	u8 _h[4];
	const u8 *h = skb_header_pointer(skb, to->off, sizeof(_h), _h);

	if (!h || (to->proto == NEXTHDR_ROUTING && h[3]))
		return false;
	if (to->proto == NEXTHDR_FRAGMENT) {
		/* One that is whole all the same: RFC 6946. */
		to->place = get_unaligned_be16(h + 2) & (IP6_OFFSET | IP6_MF);
		to->off += sizeof(struct frag_hdr);
	} else {
		to->off += (h[1] + 1) * 8;
	}
	to->proto = h[0];
	return true;
}

/*
 * Goes through the extension headers of the packet at @nhoff that new addresses do not harm,
 * up to the first of a fragment. False: nonsense, or one that they would (RFC
 * 4302).
 */
static bool skip_extensions(struct sk_buff *skb, unsigned int nhoff,
			    struct behind *to)
{
	const struct ipv6hdr *ip6h = (void *)(skb->data + nhoff);
	int i;

	*to = (struct behind){
		.off	= nhoff + sizeof(*ip6h),
		.proto	= ip6h->nexthdr,
	};
	for (i = 0; i < EXTENSIONS_MAX; i++) {
		if (to->place || !is_extension(to))
			return to->proto != NEXTHDR_AUTH;
		if (!step_over(skb, to))
			return false;
	}
	return false;
}

bool fnat_pkt_is_fragment6(struct sk_buff *skb)
{
	struct behind to;

	return skip_extensions(skb, skb_network_offset(skb), &to) &&
	       to.place;
}

/* @but: what the place of a fragment may not have. */
static bool parse_ip6(struct fnat_pkt *p, u16 but)
{
	const struct ipv6hdr *ip6h = (void *)(p->skb->data + p->nhoff);
	struct behind to;

	if (!skip_extensions(p->skb, p->nhoff, &to) || to.place & but)
		return false;
	p->saddr.in6 = ip6h->saddr;
	p->daddr.in6 = ip6h->daddr;
	p->af = AF_INET6;
	p->proto = to.proto;
	p->thoff = to.off;
	return true;
}

/*
 * A bridge that calls netfilter (br_netfilter) shows a packet before it knows
 * where it leads: we wait until it has been passed up. It would then be kept
 * from all hooks, for they have seen it; this asks for a second look.
 */
static bool is_on_bridge(struct sk_buff *skb)
{
#if IS_ENABLED(CONFIG_BRIDGE_NETFILTER)
	struct nf_bridge_info *nf_bridge = nf_bridge_info_get(skb);

	if (unlikely(nf_bridge) && nf_bridge->in_prerouting) {
		fnat_bridge_show_again(nf_bridge);
		return true;
	}
#endif
	return false;
}

bool fnat_pkt_for_host(struct sk_buff *skb)
{
	return skb->pkt_type == PACKET_HOST && !is_on_bridge(skb);
}

static u32 vrf_of(const struct net_device *dev)
{
	if (likely(!dev || (!netif_is_l3_slave(dev) && !netif_is_l3_master(dev))))
		return 0;
	return l3mdev_master_ifindex_rcu(dev);
}

bool fnat_pkt_parse(struct fnat_pkt *p, struct fnat_net *fn,
		    struct sk_buff *skb, const struct nf_hook_state *state)
{
	if (!fnat_pkt_for_host(skb))
		return false;

	p->skb = skb;
	p->fn = fn;
	p->in = state->in;
	p->hook = state;
	p->l3mdev = vrf_of(state->in);
	p->nhoff = skb_network_offset(skb);
	if (!(state->pf == NFPROTO_IPV4 ? parse_ip4(p) :
					  parse_ip6(p, IP6_OFFSET | IP6_MF)))
		return false;
	switch (p->proto) {
	case IPPROTO_TCP:
		return parse_tcp(p);
	case IPPROTO_UDP:
		return parse_udp(p);
	case IPPROTO_ICMP:
		return p->af == AF_INET && parse_icmp(p);
	case IPPROTO_ICMPV6:
		return p->af == AF_INET6 && parse_icmp(p);
	default:
		return false;
	}
}

/* The IP header that is quoted. Of a later fragment no ports are. */
static bool parse_quoted_ip(struct fnat_pkt *q)
{
	const struct iphdr *iph;

	if (q->af == AF_INET6)
		return pskb_may_pull(q->skb, q->nhoff +
					     sizeof(struct ipv6hdr)) &&
		       parse_ip6(q, IP6_OFFSET);
	if (!pskb_may_pull(q->skb, q->nhoff + sizeof(*iph)))
		return false;
	iph = (void *)(q->skb->data + q->nhoff);
	return iph->version == 4 && !(iph->frag_off & htons(IP_OFFSET)) &&
	       parse_ip4(q);
}

bool fnat_pkt_quoted(struct fnat_pkt *q, const struct fnat_pkt *p)
{
	const unsigned int least = 8;		/* RFC 792 */
	const struct tcphdr *th;
	unsigned int left;

	*q = *p;
	q->nhoff = p->thoff + sizeof(struct icmphdr);
	if (!parse_quoted_ip(q) || q->thoff + least > q->skb->len)
		return false;
	left = q->skb->len - q->thoff;
	if (q->proto == IPPROTO_TCP)
		q->thlen = min_t(unsigned int, left, sizeof(*th));
	else if (q->proto == IPPROTO_UDP)
		q->thlen = least;
	else
		return false;
	if (!pskb_may_pull(q->skb, q->thoff + q->thlen))
		return false;
	th = fnat_pkt_tcp(q);
	q->ports = *(__be32 *)th;
	q->seq = ntohl(th->seq);
	q->ack = q->thlen >= 12 ? ntohl(th->ack_seq) : 0;
	return true;
}

bool fnat_pkt_intact(const struct fnat_pkt *p)
{
	return !nf_checksum(p->skb, NF_INET_PRE_ROUTING, p->thoff, p->proto,
			    p->af);
}

bool fnat_pkt_timestamp(const struct fnat_pkt *p, u32 *val)
{
	const struct tcphdr *th = fnat_pkt_tcp(p);
	u32 ecr;

	return fnat_tcpopt_timestamp((const u8 *)(th + 1),
				     p->thlen - sizeof(*th), val, &ecr);
}

bool fnat_pkt_source_absurd(const struct fnat_pkt *p)
{
	/* Not if the host itself sends it. */
	return p->in && (fnat_addr_unusable(p->af, &p->saddr) ||
			 fnat_addr_loopback(p->af, &p->saddr) ||
			 fnat_addrset_has_any(&p->fn->addrs, p->af, &p->saddr));
}

bool fnat_pkt_source_forged(const struct fnat_pkt *p)
{
	if (fnat_pkt_source_absurd(p) || !p->in)
		return p->in;
	/* Nobody speaks to himself by way of us; the attack is called land. */
	if (nf_inet_addr_cmp(&p->saddr, &p->daddr))
		return !(p->in->flags & IFF_LOOPBACK);
	/* Directed broadcast; or the host's own, unless it really is the host. */
	if (p->af == AF_INET6)
		return !(p->in->flags & IFF_LOOPBACK) &&
		       fnat_addr_is_local(p->fn->net, p->in, p->af,
					  &p->saddr);
	switch (inet_addr_type_dev_table(p->fn->net, p->in, p->saddr.ip)) {
	case RTN_UNICAST:
		return false;
	case RTN_LOCAL:
		return !(p->in->flags & IFF_LOOPBACK);
	default:
		return true;
	}
}

static bool lies_open4(const struct fnat_net *fn, const struct sk_buff *skb)
{
	const struct iphdr *iph = (void *)skb->data;

	return skb_headlen(skb) >= sizeof(*iph) + sizeof(__be32) &&
	       *(const u8 *)iph == 0x45 && !ip_is_fragment(iph) &&
	       fnat_addrset_maybe4(&fn->addrs, iph->daddr);
}

static bool lies_open6(const struct fnat_net *fn, const struct sk_buff *skb)
{
	const struct ipv6hdr *ip6h = (void *)skb->data;

	return skb_headlen(skb) >= sizeof(*ip6h) + sizeof(__be32) &&
	       (ip6h->nexthdr == NEXTHDR_TCP || ip6h->nexthdr == NEXTHDR_UDP) &&
	       fnat_addrset_maybe6(&fn->addrs, &ip6h->daddr);
}

bool fnat_pkt_glimpse(struct fnat_pkt *p, struct fnat_net *fn,
		      struct sk_buff *skb)
{
	p->skb = skb;
	p->fn = fn;
	p->nhoff = 0;
	if (skb->protocol == htons(ETH_P_IP) ?
	    !lies_open4(fn, skb) || !parse_ip4(p) :
	    skb->protocol != htons(ETH_P_IPV6) || !lies_open6(fn, skb) ||
	    !parse_ip6(p, IP6_OFFSET | IP6_MF))
		return false;
	p->l3mdev = vrf_of(skb->dev);
	p->ports = *(__be32 *)(skb->data + p->thoff);
	return p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP;
}
