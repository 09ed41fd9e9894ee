// SPDX-License-Identifier: GPL-2.0
/*
 * The only reader of raw headers. ip_rcv() has checked version, header
 * length, header checksum and total length before PRE_ROUTING.
 */
#include <linux/netfilter_bridge.h>
#include <linux/netfilter_ipv4.h>
#include <net/ip.h>
#include <net/ip_fib.h>
#include <net/l3mdev.h>
#include <net/route.h>
#include <net/tcp.h>

#include "fnat.h"
#include "pkt.h"

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

bool fnat_pkt_parse(struct fnat_pkt *p, struct fnat_net *fn,
		    struct sk_buff *skb, const struct nf_hook_state *state)
{
	const struct iphdr *iph = ip_hdr(skb);

	if (skb->pkt_type != PACKET_HOST || nf_bridge_info_get(skb))
		return false;

	p->skb = skb;
	p->fn = fn;
	p->in = state->in;
	p->saddr.ip = iph->saddr;
	p->daddr.ip = iph->daddr;
	p->l3mdev = l3mdev_master_ifindex_rcu(state->in);
	p->af = AF_INET;
	p->proto = iph->protocol;
	p->thoff = skb_network_offset(skb) + ip_hdrlen(skb);

	switch (p->proto) {
	case IPPROTO_TCP:
		return parse_tcp(p);
	case IPPROTO_UDP:
		return parse_udp(p);
	default:
		return false;
	}
}

bool fnat_pkt_intact(const struct fnat_pkt *p)
{
	return !nf_ip_checksum(p->skb, NF_INET_PRE_ROUTING, p->thoff,
			       p->proto);
}

bool fnat_pkt_source_forged(const struct fnat_pkt *p)
{
	__be32 saddr = p->saddr.ip;

	if (fnat_addr4_unusable(saddr) || ipv4_is_loopback(saddr))
		return true;
	if (fnat_addrset_maybe4(&p->fn->addrs, saddr) &&
	    fnat_addrset_has_any(&p->fn->addrs, AF_INET, &p->saddr))
		return true;
	/* Directed broadcast; or the host's own, unless it really is the host. */
	switch (inet_addr_type_dev_table(p->fn->net, p->in, saddr)) {
	case RTN_UNICAST:
		return false;
	case RTN_LOCAL:
		return !(p->in->flags & IFF_LOOPBACK);
	default:
		return true;
	}
}
