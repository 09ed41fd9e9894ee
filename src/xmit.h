/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The way out: the route that a direction keeps, and the neighbour behind it.
 */
#ifndef FNAT_XMIT_H
#define FNAT_XMIT_H

#include <linux/netfilter.h>
#include <net/dst.h>

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

#endif /* FNAT_XMIT_H */
