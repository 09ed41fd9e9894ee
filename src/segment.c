// SPDX-License-Identifier: GPL-2.0
#include <linux/icmp.h>
#include <net/icmp.h>
#include <net/ip.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/route.h>
#include <net/tcp.h>

#include "fnat.h"
#include "pkt.h"
#include "segment.h"

#define ICMP_MAX	576	/* RFC 1812 4.3.2.3 */

/*
 * An skb with a route and an IPv4 header, room for @len bytes behind it; or
 * an ERR_PTR.
 */
static struct sk_buff *start(struct fnat_net *fn, __be32 saddr, __be32 daddr,
			     u8 proto, u32 l3mdev, unsigned int len)
{
	struct flowi4 fl4 = {
		.flowi4_l3mdev	= l3mdev,
		.flowi4_proto	= proto,
		.flowi4_flags	= FLOWI_FLAG_ANYSRC,
		.saddr		= saddr,
		.daddr		= daddr,
	};
	struct rtable *rt = ip_route_output_key(fn->net, &fl4);
	struct sk_buff *skb;
	struct iphdr *iph;

	if (IS_ERR(rt))
		return ERR_CAST(rt);
	skb = alloc_skb(LL_RESERVED_SPACE(rt->dst.dev) + sizeof(*iph) + len,
			GFP_ATOMIC);
	if (!skb) {
		ip_rt_put(rt);
		return ERR_PTR(-ENOMEM);
	}
	skb_dst_set(skb, &rt->dst);
	skb->protocol = htons(ETH_P_IP);
	nf_ct_set(skb, NULL, IP_CT_UNTRACKED);
	skb_reserve(skb, LL_RESERVED_SPACE(rt->dst.dev));
	skb_reset_network_header(skb);
	iph = skb_put_zero(skb, sizeof(*iph));
	iph->version = 4;
	iph->ihl = sizeof(*iph) / 4;
	iph->frag_off = htons(IP_DF);
	iph->ttl = ip4_dst_hoplimit(&rt->dst);
	iph->protocol = proto;
	iph->saddr = saddr;
	iph->daddr = daddr;
	skb_set_transport_header(skb, skb->len);
	return skb;
}

/* ip_local_out() fills in what is left of the header. */
static int finish(struct fnat_net *fn, struct sk_buff *skb)
{
	return ip_local_out(fn->net, NULL, skb);
}

int fnat_segment_send(struct fnat_net *fn, const struct fnat_segment *s)
{
	struct sk_buff *skb;
	struct tcphdr *th;

	skb = start(fn, s->saddr, s->daddr, IPPROTO_TCP, s->l3mdev,
		    sizeof(*th));
	if (IS_ERR(skb))
		return PTR_ERR(skb);
	th = skb_put_zero(skb, sizeof(*th));
	*(__be32 *)th = s->ports;
	th->seq = htonl(s->seq);
	th->ack_seq = htonl(s->ack);
	th->doff = sizeof(*th) / 4;
	tcp_flag_byte(th) = s->flags;

	th->check = ~tcp_v4_check(sizeof(*th), s->saddr, s->daddr, 0);
	skb->ip_summed = CHECKSUM_PARTIAL;
	skb->csum_start = (unsigned char *)th - skb->head;
	skb->csum_offset = offsetof(struct tcphdr, check);
	return finish(fn, skb);
}

int fnat_icmp_send(const struct fnat_pkt *p, u8 type, u8 code, u32 info)
{
	unsigned int quoted = min_t(unsigned int, p->skb->len,
				    ICMP_MAX - sizeof(struct iphdr) -
				    sizeof(struct icmphdr));
	struct icmphdr *icmph;
	struct sk_buff *skb;

	skb = start(p->fn, p->daddr.ip, p->saddr.ip, IPPROTO_ICMP, p->l3mdev,
		    sizeof(*icmph) + quoted);
	if (IS_ERR(skb))
		return PTR_ERR(skb);
	icmph = skb_put_zero(skb, sizeof(*icmph));
	icmph->type = type;
	icmph->code = code;
	icmph->un.gateway = htonl(info);
	if (skb_copy_bits(p->skb, 0, skb_put(skb, quoted), quoted)) {
		kfree_skb(skb);
		return -EINVAL;
	}
	icmph->checksum = ip_compute_csum(icmph, sizeof(*icmph) + quoted);
	return finish(p->fn, skb);
}
