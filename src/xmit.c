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
#include <net/ip6_route.h>
#include <net/l3mdev.h>
#include <net/lwtunnel.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/route.h>

#include "conn.h"
#include "dest.h"
#include "frag.h"
#include "pkt.h"
#include "refuse.h"
#include "xmit.h"

/* What a route is looked up for, beside what the packet itself says. */
struct journey {
	union nf_inet_addr	saddr;
	union nf_inet_addr	daddr;
	__be32			ports;
	u32			l3mdev;
	u8			flags;		/* FLOWI_FLAG_* */
};

/*
 * While a policy waits for what it needs, its route is one for packets to wait on or
 * to vanish in: not for us, who may send without dst_output().
 */
struct dst_entry *fnat_route4(struct net *net, struct flowi4 *fl4)
{
	struct rtable *rt = ip_route_output_key(net, fl4);

	if (IS_ERR(rt))
		return NULL;
	if (rt->dst.obsolete <= 0 && !(rt->dst.flags & DST_XFRM_QUEUE))
		return &rt->dst;
	ip_rt_put(rt);
	return NULL;
}

static struct dst_entry *lookup4(const struct fnat_pkt *p,
				 const struct journey *j)
{
	struct flowi4 fl4 = {
		.flowi4_l3mdev	= j->l3mdev,
		.flowi4_mark	= p->skb->mark,
		.flowi4_tos	= RT_TOS(ip_hdr(p->skb)->tos),
		.flowi4_proto	= p->proto,
		.flowi4_flags	= j->flags,
		.saddr		= j->saddr.ip,
		.daddr		= j->daddr.ip,
		.fl4_sport	= fnat_sport(j->ports),
		.fl4_dport	= fnat_dport(j->ports),
	};
	struct dst_entry *dst = fnat_route4(p->fn->net, &fl4);
	const struct rtable *rt = (const struct rtable *)dst;

	if (!dst || rt->rt_type == RTN_UNICAST || rt->rt_type == RTN_LOCAL)
		return dst;
	dst_release(dst);
	return NULL;
}

struct dst_entry *fnat_route6(struct net *net, struct flowi6 *fl6)
{
	struct dst_entry *dst = ip6_route_output(net, NULL, fl6);

	if (dst->error) {
		dst_release(dst);
		return NULL;
	}
	/* The rest is what ip_route_output_key() does for IPv4. */
	if (((struct rt6_info *)dst)->rt6i_flags & RTF_LOCAL)
		return dst;
	dst = xfrm_lookup(net, dst, flowi6_to_flowi(fl6), NULL, 0);
	return IS_ERR(dst) ? NULL : dst;
}

static struct dst_entry *lookup6(const struct fnat_pkt *p,
				 const struct journey *j)
{
	struct flowi6 fl6 = {
		.flowi6_l3mdev	= j->l3mdev,
		.flowi6_mark	= p->skb->mark,
		.flowlabel	= ip6_flowinfo(ipv6_hdr(p->skb)) &
				  IPV6_TCLASS_MASK,
		.flowi6_proto	= p->proto,
		.flowi6_flags	= j->flags,
		.saddr		= j->saddr.in6,
		.daddr		= j->daddr.in6,
		.fl6_sport	= fnat_sport(j->ports),
		.fl6_dport	= fnat_dport(j->ports),
	};
	return fnat_route6(p->fn->net, &fl6);
}

static struct dst_entry *lookup(const struct fnat_pkt *p,
				const struct journey *j)
{
	return p->af == AF_INET ? lookup4(p, j) : lookup6(p, j);
}

static struct journey journey_of(const struct fnat_pkt *p, struct fnat_dir *d)
{
	const union nf_inet_addr *hop = fnat_route_hop(d);
	struct journey j = {
		.ports	= d->new_ports,
		.l3mdev	= fnat_dir_other(d)->l3mdev,
		/* A VIP need not be an address of the host. */
		.flags	= FLOWI_FLAG_ANYSRC,
	};

	if (p->af == AF_INET) {
		j.saddr.ip = d->new_saddr;
		j.daddr.ip = d->new_daddr;
	} else {
		j.saddr.in6 = *fnat_dir_end6(d, FNAT_END_LIP);
		j.daddr.in6 = *fnat_dir_end6(d, FNAT_END_SERVER);
	}
	if (hop)
		j.daddr = *hop;
	return j;
}

/*
 * Looks the route up and keeps it, unless the connection has just died; then
 * it lives until the grace period ends, and so does the packet's use of it.
 */
static noinline_for_stack
struct dst_entry *renew(const struct fnat_pkt *p, struct fnat_dir *d)
{
	const struct journey j = journey_of(p, d);
	struct fnat_conn *c = fnat_dir_conn(d);
	struct dst_entry *old, *dst;

	dst = lookup(p, &j);
	if (!dst)
		return NULL;
	spin_lock(&c->lock);
	old = dst;
	if (!(c->flags & FNAT_CONN_DEAD)) {
		old = rcu_replace_pointer(d->dst, dst,
					  lockdep_is_held(&c->lock));
		/* Who reads the two apart finds a route too old, once. */
		if (p->af == AF_INET6)
			WRITE_ONCE(d->cookie, rt6_get_cookie((struct rt6_info *)dst));
	}
	spin_unlock(&c->lock);
	dst_release(old);
	return dst;
}

struct dst_entry *fnat_route(const struct fnat_pkt *p, struct fnat_dir *d)
{
	struct dst_entry *dst = rcu_dereference(d->dst);

	/* IPv4 does not look at the cookie. */
	if (likely(dst && dst_check(dst, READ_ONCE(d->cookie))))
		return dst;
	return renew(p, d);
}

bool fnat_route_fits(const struct fnat_pkt *p, const struct dst_entry *dst)
{
	u32 mtu = dst_mtu(dst);

	if (unlikely(fnat_frag_longest(p)))
		return false;
	if (p->skb->len <= mtu)
		return true;
	return skb_is_gso(p->skb) && skb_gso_validate_network_len(p->skb, mtu);
}

static bool needs_stack(const struct dst_entry *dst)
{
#ifdef CONFIG_XFRM
	if (dst->xfrm)
		return true;
#endif
	return dst->lwtstate;
}

static void untrack(struct sk_buff *skb)
{
	nf_reset_ct(skb);
	nf_ct_set(skb, NULL, IP_CT_UNTRACKED);
}

static unsigned int hand_up(const struct fnat_pkt *p)
{
	/* A process of this host may have sent it, and its RCU section end with us. */
	if (!skb_dst_force(p->skb))
		return fnat_drop(p, FNAT_DROP_NO_ROUTE);
	untrack(p->skb);
	fnat_count(p->fn, FNAT_EV_LOCAL);
	return NF_ACCEPT;
}

/*
 * The stack looks for the neighbour itself: @p gets a route of its own that tells it
 * of @hop; or none, if there is none. One that does would pin its device if it were
 * kept.
 */
static noinline_for_stack
void set_route_by(const struct fnat_pkt *p, const union nf_inet_addr *hop)
{
	const struct journey j = {
		.saddr	= p->saddr,
		.daddr	= *hop,
		.ports	= p->ports,
		.l3mdev	= p->l3mdev,
		.flags	= FLOWI_FLAG_ANYSRC | FLOWI_FLAG_KNOWN_NH,
	};

	skb_dst_drop(p->skb);
	skb_dst_set(p->skb, lookup(p, &j));
}

static noinline_for_stack
unsigned int xmit_stack(const struct fnat_pkt *p, bool whole,
			const union nf_inet_addr *hop)
{
	struct sk_buff *skb = p->skb;

	untrack(skb);
	if (hop)
		set_route_by(p, hop);
	skb_dst_force(skb);
	if (!skb_dst(skb))
		return fnat_drop(p, FNAT_DROP_NO_ROUTE);
	fnat_count(p->fn, FNAT_EV_SLOW_XMIT);
	fnat_frag_prepare(p, !whole);
	NF_HOOK(p->af, NF_INET_LOCAL_OUT, p->fn->net, NULL, skb, NULL,
		skb->dev, dst_output);
	return NF_STOLEN;
}

/*
 * Who is next on the way to @hop or, if that is NULL, to @p's destination.
 * Borrowed; *@v6 is its family.
 */
static struct neighbour *next_hop(const struct fnat_pkt *p,
				  struct dst_entry *dst,
				  const union nf_inet_addr *hop, bool *v6)
{
	struct rt6_info *rt6 = (struct rt6_info *)dst;
	struct rtable *rt = (struct rtable *)dst;

	if (p->af == AF_INET6)
		return ip_neigh_gw6(dst->dev,
				    rt6_nexthop(rt6, hop ? &hop->in6 :
						     &ipv6_hdr(p->skb)->daddr));
	if (unlikely(hop) && !rt->rt_gw_family)
		return ip_neigh_gw4(dst->dev, hop->ip);
	return ip_neigh_for_gw(rt, p->skb, v6);
}

/*
 * A neighbour that is yet to be found keeps @p meanwhile, and then asks @p's route,
 * not us, who is next: that must know of @hop. False: there is no such route.
 */
static bool tell_route(const struct fnat_pkt *p, const struct neighbour *neigh,
		       const union nf_inet_addr *hop)
{
	if (READ_ONCE(neigh->nud_state) & NUD_VALID)
		return true;
	set_route_by(p, hop);
	return skb_dst(p->skb);
}

static unsigned int xmit_neigh(const struct fnat_pkt *p, struct dst_entry *dst,
			       const union nf_inet_addr *hop)
{
	struct net_device *dev = dst->dev;
	struct sk_buff *skb = p->skb;
	struct neighbour *neigh;
	bool v6_gw = false;

	neigh = next_hop(p, dst, hop, &v6_gw);
	if (IS_ERR(neigh))
		return fnat_drop(p, FNAT_DROP_NEIGH);
	if (unlikely(hop) && !tell_route(p, neigh, hop))
		return fnat_drop(p, FNAT_DROP_NO_ROUTE);
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

/* An output route to here knows its way in, as loopback's packets do. */
static bool leads_here(const struct fnat_pkt *p, const struct dst_entry *dst)
{
	if (p->af == AF_INET)
		return ((const struct rtable *)dst)->rt_type == RTN_LOCAL;
	return ((const struct rt6_info *)dst)->rt6i_flags & RTF_LOCAL;
}

unsigned int fnat_xmit(const struct fnat_pkt *p, struct dst_entry *dst,
		       const union nf_inet_addr *hop, bool whole)
{
	struct sk_buff *skb = p->skb;

	skb_orphan(skb);
	skb_clear_tstamp(skb);
	skb_dst_drop(skb);
	skb_dst_set_noref(skb, dst);
	if (unlikely(leads_here(p, dst)))
		return hand_up(p);
	skb->dev = dst->dev;
	if (unlikely(!whole || needs_stack(dst) ||
		     !READ_ONCE(p->fn->tune.fast_xmit)))
		return xmit_stack(p, whole, hop);
	return xmit_neigh(p, dst, hop);
}
