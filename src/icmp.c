// SPDX-License-Identifier: GPL-2.0
/*
 * An error quotes the packet that it is about as that left us. The other
 * direction of its connection knows all that is needed: what comes from where
 * the quoted packet went belongs to it, its translation is the opposite of the
 * quoted packet's, and its route leads to who sent that.
 */
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <net/checksum.h>
#include <net/ip.h>
#include <net/ipv6.h>

#include "addr.h"
#include "conn.h"
#include "dial.h"
#include "frag.h"
#include "icmp.h"
#include "pkt.h"
#include "segment.h"
#include "xlate.h"
#include "xmit.h"

/* What a packet from the quoted one's destination to its source looks like. */
static struct fnat_pkt turned(const struct fnat_pkt *quote)
{
	struct fnat_pkt back = *quote;

	back.saddr = quote->daddr;
	back.daddr = quote->saddr;
	back.ports = fnat_ports(fnat_dport(quote->ports),
				fnat_sport(quote->ports));
	return back;
}

/* The addresses of the quoted IP header, as its sender wrote them. */
static __wsum restore_ip(const struct fnat_pkt *quote, const struct fnat_dir *back)
{
	void *header = quote->skb->data + quote->nhoff;
	struct ipv6hdr *ip6h = header;
	struct iphdr *iph = header;
	__be32 saddr, daddr;
	__wsum diff;

	if (quote->af == AF_INET6) {
		diff = csum_partial(&ip6h->saddr, 32, 0);
		ip6h->saddr = *fnat_dir_end6(back, FNAT_END_SERVER);
		ip6h->daddr = *fnat_dir_end6(back, FNAT_END_LIP);
		return csum_sub(csum_partial(&ip6h->saddr, 32, 0), diff);
	}
	saddr = back->new_daddr;
	daddr = back->new_saddr;
	diff = csum_sub(csum_add((__force __wsum)saddr, (__force __wsum)daddr),
			csum_add((__force __wsum)iph->saddr,
				 (__force __wsum)iph->daddr));
	iph->saddr = saddr;
	iph->daddr = daddr;
	csum_replace_by_diff(&iph->check, diff);
	return diff;
}

static __wsum replace32(void *at, __be32 to)
{
	__be32 from = get_unaligned((__be32 *)at);

	put_unaligned(to, (__be32 *)at);
	return csum_sub((__force __wsum)to, (__force __wsum)from);
}

/* Ports, numbers and checksum of the quoted segment, as far as it is there. */
static void restore_transport(const struct fnat_pkt *quote,
			      const struct fnat_dir *back, __wsum diff)
{
	u8 *th = quote->skb->data + quote->thoff;
	__sum16 *check = NULL;

	diff = csum_add(diff,
			replace32(th, fnat_ports(fnat_dport(back->new_ports),
						 fnat_sport(back->new_ports))));
	if (quote->proto == IPPROTO_UDP) {
		check = &((struct udphdr *)th)->check;
		if (!*check)
			return;
	} else {
		/* What @back adds to acknowledgements was taken from these. */
		diff = csum_add(diff, replace32(th + 4, htonl(quote->seq +
							      back->ack_off)));
		if (quote->thlen >= 12)
			diff = csum_add(diff,
					replace32(th + 8,
						  htonl(quote->ack + back->seq_off)));
		if (quote->thlen >= 18)
			check = &((struct tcphdr *)th)->check;
	}
	if (check)
		csum_replace_by_diff(check, diff);
}

/* Turns @p into what the sender of @quote is to read; cannot fail any more. */
static void translate(const struct fnat_pkt *p, const struct fnat_pkt *quote,
		      const struct fnat_dir *back)
{
	unsigned int len = quote->thoff + quote->thlen - quote->nhoff;
	u8 *at = p->skb->data + quote->nhoff;
	struct icmphdr *icmph = (struct icmphdr *)(p->skb->data + p->thoff);
	__wsum before = csum_partial(at, len, 0);
	__wsum diff, pseudo;

	restore_transport(quote, back, restore_ip(quote, back));
	diff = csum_sub(csum_partial(at, len, 0), before);
	pseudo = fnat_xlate_ip(p, back);
	if (p->af == AF_INET6)
		diff = csum_add(diff, pseudo);
	csum_replace_by_diff(&icmph->checksum, diff);
	skb_forward_csum(p->skb);
}

static unsigned int pass_on(const struct fnat_pkt *p,
			    const struct fnat_pkt *quote, struct fnat_dir *back)
{
	struct dst_entry *dst = fnat_route(p, back);
	bool whole;

	/* An error about an error must not be: RFC 1122 3.2.2, RFC 4443 2.4. */
	if (!dst)
		return fnat_drop(p, FNAT_DROP_NO_ROUTE);
	if (fnat_pkt_ttl(p) <= 1)
		return fnat_drop(p, FNAT_DROP_TTL);
	whole = fnat_route_fits(p, dst);
	if (!whole && !fnat_frag_may(p, dst_mtu(dst)))
		return fnat_drop(p, FNAT_DROP_MTU);
	if (skb_ensure_writable(p->skb, quote->thoff + quote->thlen))
		return fnat_drop(p, FNAT_DROP_MEMORY);
	/* With Route it speaks of the very packet that the server sent. */
	if (fnat_dir_conn(back)->flags & FNAT_CONN_ROUTE)
		fnat_xlate_ttl(p);
	else
		translate(p, quote, back);
	fnat_count(p->fn, FNAT_EV_ICMP_ERROR);
	return fnat_xmit(p, dst, fnat_route_hop(back), whole);
}

/*
 * Whether @p, about a packet of @back's other side, cannot come from where it says.
 * The host's own come from whatever address it has, a LIP as well; those of a
 * router on this link may come from a link-local one, which goes no further.
 */
static bool is_forged(const struct fnat_pkt *p, struct fnat_dir *back)
{
	if (!p->in || p->in->flags & IFF_LOOPBACK)
		return false;
	if (p->af == AF_INET6 && !(fnat_dir_conn(back)->flags & FNAT_CONN_ROUTE) &&
	    ipv6_addr_type(&p->saddr.in6) & IPV6_ADDR_LINKLOCAL)
		return false;
	return fnat_pkt_source_forged(p);
}

/*
 * Whether @p says that a host or what is on it cannot be reached. Whose SYN that was
 * gives up, as TCPs do (RFC 5461 4.1): there is nothing yet to be lost.
 */
static bool says_unreachable(const struct fnat_pkt *p)
{
	const struct icmphdr *icmph = (void *)(p->skb->data + p->thoff);

	if (p->af == AF_INET6)
		return icmph->type == ICMPV6_DEST_UNREACH;
	return icmph->type == ICMP_DEST_UNREACH &&
	       icmph->code != ICMP_FRAG_NEEDED;
}

static unsigned int error(const struct fnat_pkt *p)
{
	struct fnat_pkt quote, key;
	struct fnat_dir *back;

	if (!fnat_pkt_quoted(&quote, p) ||
	    !nf_inet_addr_cmp(&quote.saddr, &p->daddr))
		return NF_ACCEPT;
	key = turned(&quote);
	back = fnat_conn_find(&key);
	if (!back)
		return NF_ACCEPT;
	if (!fnat_pkt_intact(p))
		return fnat_drop(p, FNAT_DROP_CORRUPT);
	if (is_forged(p, back))
		return fnat_drop(p, FNAT_DROP_SOURCE);
	/* The next SYN, or the first client, will find out. */
	if (fnat_conn_is_probe(fnat_dir_conn(back)) ||
	    fnat_dial_error(p, back, quote.seq, says_unreachable(p)))
		return fnat_drop(p, FNAT_DROP_DIALLING);
	return pass_on(p, &quote, back);
}

/* An address of the host answers for itself. */
static unsigned int echo(const struct fnat_pkt *p)
{
	if (!READ_ONCE(p->fn->tune.vip_echo) ||
	    !fnat_addrset_has(&p->fn->addrs, FNAT_ADDR_VIP, p->af,
			      &p->daddr) ||
	    fnat_addr_is_local(p->fn->net, p->in, p->af, &p->daddr))
		return NF_ACCEPT;
	if (fnat_pkt_source_forged(p))
		return fnat_drop(p, FNAT_DROP_SOURCE);
	if (!fnat_pkt_intact(p))
		return fnat_drop(p, FNAT_DROP_CORRUPT);
	return fnat_echo_reply(p);
}

unsigned int fnat_icmp(const struct fnat_pkt *p)
{
	const struct icmphdr *icmph = (void *)(p->skb->data + p->thoff);

	if (p->af == AF_INET6) {
		if (icmph->type == ICMPV6_ECHO_REQUEST)
			return echo(p);
		return icmph->type < ICMPV6_INFOMSG_MASK ? error(p) : NF_ACCEPT;
	}
	switch (icmph->type) {
	case ICMP_ECHO:
		return echo(p);
	case ICMP_DEST_UNREACH:
	case ICMP_TIME_EXCEEDED:
	case ICMP_PARAMETERPROB:
		return error(p);
	default:
		return NF_ACCEPT;
	}
}
