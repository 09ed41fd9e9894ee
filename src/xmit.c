// SPDX-License-Identifier: GPL-2.0
/*
 * Packets leave straight through the neighbour: neither FORWARD nor
 * POST_ROUTING sees them, as no filter there could make sense of half a
 * translation. Routes that need more (xfrm, encapsulation, fragments) go
 * through LOCAL_OUT and the stack.
 *
 * A kept route does not pin its device: when that goes, the stack marks the
 * route dead and takes the device out of it, and we look it up anew.
 */
#include <linux/netfilter.h>
#include <net/arp.h>
#include <net/ip.h>
#include <net/l3mdev.h>
#include <net/lwtunnel.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/route.h>

#include "conn.h"
#include "pkt.h"
#include "xmit.h"

static struct rtable *lookup(const struct fnat_pkt *p,
			     const struct fnat_dir *d, u32 l3mdev)
{
	struct flowi4 fl4 = {
		.flowi4_l3mdev	= l3mdev,
		.flowi4_mark	= p->skb->mark,
		.flowi4_tos	= RT_TOS(ip_hdr(p->skb)->tos),
		.flowi4_proto	= p->proto,
		/* A VIP need not be an address of the host. */
		.flowi4_flags	= FLOWI_FLAG_ANYSRC,
		.saddr		= d->new_saddr,
		.daddr		= d->new_daddr,
		.fl4_sport	= fnat_sport(d->new_ports),
		.fl4_dport	= fnat_dport(d->new_ports),
	};

	return ip_route_output_key(p->fn->net, &fl4);
}

/*
 * Looks the route up and keeps it, unless the connection has just died; then
 * it lives until the grace period ends, and so does the packet's use of it.
 */
static struct rtable *renew(const struct fnat_pkt *p, struct fnat_dir *d)
{
	struct fnat_conn *c = fnat_dir_conn(d);
	struct fnat_dir *peer = fnat_dir_other(d);
	struct rtable *rt = lookup(p, d, peer->l3mdev);
	struct dst_entry *old;

	if (IS_ERR(rt))
		return NULL;
	if (rt->rt_type != RTN_UNICAST && rt->rt_type != RTN_LOCAL) {
		ip_rt_put(rt);
		return NULL;
	}
	spin_lock(&c->lock);
	old = &rt->dst;
	if (!(c->flags & FNAT_CONN_DEAD))
		old = rcu_replace_pointer(d->dst, &rt->dst,
					  lockdep_is_held(&c->lock));
	spin_unlock(&c->lock);
	dst_release(old);
	return rt;
}

struct rtable *fnat_route(const struct fnat_pkt *p, struct fnat_dir *d)
{
	struct dst_entry *dst = rcu_dereference(d->dst);

	if (likely(dst && dst_check(dst, 0)))
		return (struct rtable *)dst;
	return renew(p, d);
}

bool fnat_route_fits(const struct fnat_pkt *p, const struct rtable *rt)
{
	u32 mtu = dst_mtu(&rt->dst);

	if (p->skb->len <= mtu)
		return true;
	return skb_is_gso(p->skb) && skb_gso_validate_network_len(p->skb, mtu);
}

static bool needs_stack(const struct rtable *rt)
{
#ifdef CONFIG_XFRM
	if (rt->dst.xfrm)
		return true;
#endif
	return rt->dst.lwtstate;
}

static void untrack(struct sk_buff *skb)
{
	nf_reset_ct(skb);
	nf_ct_set(skb, NULL, IP_CT_UNTRACKED);
}

static unsigned int hand_up(const struct fnat_pkt *p)
{
	untrack(p->skb);
	fnat_count(p->fn, FNAT_EV_LOCAL);
	return NF_ACCEPT;
}

static unsigned int xmit_stack(const struct fnat_pkt *p)
{
	struct sk_buff *skb = p->skb;

	untrack(skb);
	skb_dst_force(skb);
	if (!skb_dst(skb))
		return fnat_drop(p, FNAT_DROP_NO_ROUTE);
	fnat_count(p->fn, FNAT_EV_SLOW_XMIT);
	memset(IPCB(skb), 0, sizeof(*IPCB(skb)));
	NF_HOOK(NFPROTO_IPV4, NF_INET_LOCAL_OUT, p->fn->net, NULL, skb, NULL,
		skb->dev, dst_output);
	return NF_STOLEN;
}

static unsigned int xmit_neigh(const struct fnat_pkt *p, struct rtable *rt)
{
	struct net_device *dev = rt->dst.dev;
	struct sk_buff *skb = p->skb;
	struct neighbour *neigh;
	bool v6_gw = false;

	neigh = ip_neigh_for_gw(rt, skb, &v6_gw);
	if (IS_ERR(neigh))
		return fnat_drop(p, FNAT_DROP_NEIGH);
	if (unlikely(skb_headroom(skb) < LL_RESERVED_SPACE(dev))) {
		/* Frees the skb if it fails: no longer netfilter's to free. */
		skb = skb_expand_head(skb, LL_RESERVED_SPACE(dev));
		if (!skb) {
			fnat_count(p->fn, FNAT_DROP_MEMORY);
			return NF_STOLEN;
		}
	}
	nf_reset_ct(skb);
	neigh_output(neigh, skb, v6_gw);
	return NF_STOLEN;
}

unsigned int fnat_xmit(const struct fnat_pkt *p, struct rtable *rt,
		       bool whole)
{
	struct sk_buff *skb = p->skb;

	skb_orphan(skb);
	skb_clear_tstamp(skb);
	skb_dst_drop(skb);
	skb_dst_set_noref(skb, &rt->dst);
	/* An output route to here knows its way in, as loopback's packets do. */
	if (unlikely(rt->rt_type == RTN_LOCAL))
		return hand_up(p);
	skb->dev = rt->dst.dev;
	if (unlikely(!whole || needs_stack(rt) ||
		     !READ_ONCE(p->fn->tune.fast_xmit)))
		return xmit_stack(p);
	return xmit_neigh(p, rt);
}
