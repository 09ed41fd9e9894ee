/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The way out: the route that a direction keeps, and the neighbour behind it.
 */
#ifndef FNAT_XMIT_H
#define FNAT_XMIT_H

#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <net/dst.h>
#include <net/dst_metadata.h>

#include "conn.h"
#include "dest.h"

struct flowi4;
struct flowi6;
struct fnat_pkt;

/*
 * The route that @p, in direction @d, is to leave by; NULL if there is none.
 * Borrowed from @d, valid under RCU only.
 */
struct dst_entry *fnat_route(const struct fnat_pkt *p, struct fnat_dir *d);

/*
 * The route of @fl4, of @fl6, with a reference; NULL: there is none, or none that
 * xfrm's policies allow now.
 */
struct dst_entry *fnat_route4(struct net *net, struct flowi4 *fl4);
struct dst_entry *fnat_route6(struct net *net, struct flowi6 *fl6);

/*
 * With Route the server itself, the next hop of packets of @d, whatever they say
 * of where they go; NULL: who their route says.
 */
static inline const union nf_inet_addr *fnat_route_hop(struct fnat_dir *d)
{
	const struct fnat_conn *c = fnat_dir_conn(d);

	return unlikely(c->flags & FNAT_CONN_ROUTE) ? &c->dest->addr : NULL;
}

/*
 * Whether @p fits the route as it is, or as the segments it will become. What
 * came in fragments never does.
 */
bool fnat_route_fits(const struct fnat_pkt *p, const struct dst_entry *dst);

/*
 * Sends the translated @p by @dst and @hop. @whole: it fits. The verdict for netfilter,
 * which may still own the skb (a drop, or a real server on this host).
 */
unsigned int fnat_xmit(const struct fnat_pkt *p, struct dst_entry *dst,
		       const union nf_inet_addr *hop, bool whole);

/* Whether fnat_xmit() has left @skb, translated, to the stack for a server of this host. */
static inline bool fnat_xmit_went_up(const struct sk_buff *skb)
{
	return skb_valid_dst(skb) &&
	       (skb_get_nfct(skb) & NFCT_INFOMASK) == IP_CT_UNTRACKED;
}

#endif /* FNAT_XMIT_H */
