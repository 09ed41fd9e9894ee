// SPDX-License-Identifier: GPL-2.0
/*
 * Checksums are updated by the difference between old and new (RFC 1624),
 * never computed anew: what came in corrupt goes out corrupt. The difference
 * comes in two parts, for where the device has yet to sum the segment
 * (CHECKSUM_PARTIAL) only the pseudo header's counts.
 */
#include <net/checksum.h>
#include <net/ip.h>

#include "conn.h"
#include "offer.h"
#include "pkt.h"
#include "tcpopt.h"
#include "xlate.h"

static const struct fnat_conn *conn_of(const struct fnat_dir *d)
{
	return container_of(d, struct fnat_conn, dir[fnat_dir_which(d)]);
}

static __wsum changed(__be32 from, __be32 to)
{
	return csum_sub((__force __wsum)to, (__force __wsum)from);
}

static __wsum xlate_ip4(const struct fnat_pkt *p, const struct fnat_dir *d)
{
	struct iphdr *iph = ip_hdr(p->skb);
	__wsum diff = csum_add(changed(iph->saddr, d->new_saddr),
			       changed(iph->daddr, d->new_daddr));

	iph->saddr = d->new_saddr;
	iph->daddr = d->new_daddr;
	csum_replace_by_diff(&iph->check, diff);
	ip_decrease_ttl(iph);
	return diff;
}

/* IPv6 has no checksum in its header. */
static __wsum xlate_ip6(const struct fnat_pkt *p, const struct fnat_dir *d)
{
	struct ipv6hdr *ip6h = ipv6_hdr(p->skb);
	const int len = 2 * sizeof(struct in6_addr);
	__wsum before = csum_partial(&ip6h->saddr, len, 0);

	ip6h->saddr = *fnat_dir_end6(d, FNAT_END_LIP);
	ip6h->daddr = *fnat_dir_end6(d, FNAT_END_SERVER);
	ip6h->hop_limit--;
	return csum_sub(csum_partial(&ip6h->saddr, len, 0), before);
}

void fnat_xlate_ttl(const struct fnat_pkt *p)
{
	if (p->af == AF_INET)
		ip_decrease_ttl(ip_hdr(p->skb));
	else
		ipv6_hdr(p->skb)->hop_limit--;
}

__wsum fnat_xlate_ip(const struct fnat_pkt *p, const struct fnat_dir *d)
{
	return p->af == AF_INET ? xlate_ip4(p, d) : xlate_ip6(p, d);
}

/*
 * Whether somebody is yet to complete the sum of the header at @th. Where what is to
 * be summed lies further in, in a tunnel's packet, only if that is to be cut up.
 */
static bool is_partial(const struct sk_buff *skb, const void *th)
{
	return skb->ip_summed == CHECKSUM_PARTIAL &&
	       (likely(skb_checksum_start(skb) == th) ||
		skb_shinfo(skb)->gso_type & SKB_GSO_UDP_TUNNEL_CSUM);
}

/* @check is the sum of the header at @th. */
static void fix_check(const struct sk_buff *skb, const void *th, __sum16 *check,
		      __wsum pseudo, __wsum rest)
{
	if (is_partial(skb, th))
		*check = ~csum_fold(csum_add(csum_unfold(*check), pseudo));
	else
		csum_replace_by_diff(check, csum_add(pseudo, rest));
}

static bool edits_options(const struct fnat_pkt *p, const struct fnat_dir *d)
{
	return p->thlen > sizeof(struct tcphdr) &&
	       (d->ack_off | (d->flags & FNAT_DIR_STAMPED) |
		(p->tcp_flags & FNAT_TH_SYN));
}

/*
 * What each side sends is shifted, and what it echoes is the other's, shifted.
 * Without ACK there is no echo (RFC 7323 3.2).
 */
static bool shift_timestamp(const struct fnat_pkt *p, const struct fnat_dir *d,
			    u8 *opt, unsigned int len)
{
	enum fnat_which which = fnat_dir_which(d);
	const struct fnat_conn *c = conn_of(d);

	return fnat_tcpopt_shift_timestamp(opt, len, c->ts_off[which],
					   p->tcp_flags & FNAT_TH_ACK ?
					   -c->ts_off[!which] : 0);
}

/*
 * SACK edges speak the other side's numbers. A client's timestamps mean
 * nothing behind a shared address: a server in TIME_WAIT would take a lower
 * one for an old segment (RFC 7323 5.2), so SYNs do not offer them unless they
 * are translated. Without a LIP the server knows whose they are.
 */
static __wsum xlate_options(const struct fnat_pkt *p, const struct fnat_dir *d)
{
	struct tcphdr *th = fnat_pkt_tcp(p);
	unsigned int len = p->thlen - sizeof(*th);
	u8 *opt = (u8 *)(th + 1);
	__wsum before = csum_partial(opt, len, 0);
	bool edited = false;

	if (d->ack_off)
		edited = fnat_tcpopt_shift_sack(opt, len, d->ack_off);
	if (d->flags & FNAT_DIR_STAMPED)
		edited |= shift_timestamp(p, d, opt, len);
	else if (p->tcp_flags & FNAT_TH_SYN && fnat_dir_which(d) == FNAT_C2S &&
		 fnat_dir_has_lip(d) &&
		 READ_ONCE(p->fn->tune.timestamp) != FNAT_TIMESTAMP_PASS)
		edited |= fnat_tcpopt_strip_timestamp(opt, len);
	return edited ? csum_sub(csum_partial(opt, len, 0), before) : 0;
}

/*
 * A side whose SYN proxy told the other a scale that is not its own: the window is
 * rounded down to what the scale can say, but an open one is never said to be shut.
 */
static __wsum rescale(const struct fnat_pkt *p, const struct fnat_dir *d)
{
	int shift = d->flags & FNAT_DIR_WSCALE;
	struct tcphdr *th = fnat_pkt_tcp(p);
	__be16 was = th->window;
	u32 win = p->win;

	/* A SYN's is not scaled (RFC 7323 2.2). */
	if (p->tcp_flags & FNAT_TH_SYN || !win)
		return 0;
	if (fnat_dir_which(d) == FNAT_S2C)
		shift -= FNAT_OFFER_SCALE;
	else if (!(conn_of(d)->proxied & FNAT_PROXIED_UNSCALED))
		return 0;
	win = shift > 0 ? min(win << shift, 0xffffU) : max(win >> -shift, 1U);
	th->window = htons(win);
	return csum_sub((__force __wsum)th->window, (__force __wsum)was);
}

static void xlate_tcp(const struct fnat_pkt *p, const struct fnat_dir *d,
		      __wsum pseudo)
{
	struct tcphdr *th = fnat_pkt_tcp(p);
	__be32 seq = htonl(p->seq + d->seq_off);
	__wsum rest;

	rest = csum_add(changed(p->ports, d->new_ports),
			changed(th->seq, seq));
	*(__be32 *)th = d->new_ports;
	th->seq = seq;
	if (p->tcp_flags & FNAT_TH_ACK) {
		__be32 ack = htonl(p->ack + d->ack_off);

		rest = csum_add(rest, changed(th->ack_seq, ack));
		th->ack_seq = ack;
	}
	if (unlikely(conn_of(d)->proxied & FNAT_PROXIED_RESCALE))
		rest = csum_add(rest, rescale(p, d));
	if (edits_options(p, d))
		rest = csum_add(rest, xlate_options(p, d));
	fix_check(p->skb, th, &th->check, pseudo, rest);
}

static void xlate_udp(const struct fnat_pkt *p, const struct fnat_dir *d,
		      __wsum pseudo)
{
	struct udphdr *uh = fnat_pkt_udp(p);

	*(__be32 *)uh = d->new_ports;
	/* Zero means that there is none (RFC 768), and none there will be. */
	if (!uh->check)
		return;
	fix_check(p->skb, uh, &uh->check, pseudo,
		  changed(p->ports, d->new_ports));
	if (!uh->check)
		uh->check = CSUM_MANGLED_0;
}

int fnat_xlate(const struct fnat_pkt *p, const struct fnat_dir *d)
{
	unsigned int len = p->thoff + p->thlen;
	__wsum pseudo;

	if (skb_ensure_writable(p->skb, len))
		return -ENOMEM;
	pseudo = fnat_xlate_ip(p, d);
	if (p->proto == IPPROTO_TCP)
		xlate_tcp(p, d, pseudo);
	else
		xlate_udp(p, d, pseudo);
	/*
	 * In a list of packets the others' headers are stale: cut it anew. Of TCP some
	 * kernels would take them none the less, so it is a list no more.
	 */
	if (skb_shinfo(p->skb)->gso_type & SKB_GSO_FRAGLIST) {
		skb_shinfo(p->skb)->gso_type |= SKB_GSO_DODGY;
		if (p->proto == IPPROTO_TCP)
			skb_shinfo(p->skb)->gso_type &= ~SKB_GSO_FRAGLIST;
	}
	/* A sum over the whole packet, taken by the device, no longer holds. */
	skb_forward_csum(p->skb);
	return 0;
}
