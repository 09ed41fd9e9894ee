// SPDX-License-Identifier: GPL-2.0
/*
 * Where packets enter, and the story of a packet.
 *
 * At PRE_ROUTING just before conntrack: ACLs in the raw table, NOTRACK and
 * defragmentation come first, and what we take is never tracked. While there
 * is a service by firewall mark, once more behind the mangle table.
 * Both directions enter here, so a VIP need not be an address of the host.
 * While there are servers of Masq, packets are also looked at by their source.
 * Every packet ends in one of three ways: it is not ours and goes on
 * untouched, it is dropped with its reason counted, or it is sent.
 */
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <net/dst.h>

#include "begin.h"
#include "conn.h"
#include "dest.h"
#include "dial.h"
#include "frag.h"
#include "hook.h"
#include "icmp.h"
#include "pkt.h"
#include "refuse.h"
#include "svc.h"
#include "synproxy.h"
#include "track.h"
#include "xlate.h"
#include "xmit.h"

/* Nothing of a packet but its direction needs to be looked at. */
static bool is_up(const struct fnat_conn *c)
{
	__le16 state = READ_ONCE(c->state_alone);

	return state == cpu_to_le16(FNAT_TCP_S_ESTABLISHED) ||
	       state == cpu_to_le16(FNAT_S_UDP);
}

/* The same, but for its numbers: the SYN proxy shifts them both ways. */
static bool is_up_spliced(const struct fnat_conn *c)
{
	/* Pairs with fnat_conn_set_state(): the offsets of what was dialled. */
	return smp_load_acquire(&c->state) == FNAT_TCP_S_ESTABLISHED &&
	       c->proxied;
}

/*
 * Whether @p, whose dest has been removed, is to go no further; the connection
 * may end with that.
 */
static bool abandoned(const struct fnat_pkt *p, struct fnat_conn *c)
{
	int mode = READ_ONCE(p->fn->tune.expire_nodest_conn);

	if (mode == FNAT_NODEST_EXPIRE)
		fnat_conn_kill(p->fn, c);
	return mode != FNAT_NODEST_DRAIN;
}

static void count_packet(const struct fnat_pkt *p, const struct fnat_dir *d,
			 const struct fnat_dest *dest)
{
	enum fnat_which dir = fnat_dir_which(d);

	fnat_stats_packet(&p->fn->total, dir, p->skb->len);
	fnat_stats_packet(&dest->svc->stats, dir, p->skb->len);
	fnat_stats_packet(&dest->stats, dir, p->skb->len);
}

/* @p belongs to direction @d: on to the other side. */
static unsigned int forward(const struct fnat_pkt *p, struct fnat_dir *d)
{
	struct dst_entry *dst;
	bool whole;

	if (unlikely(READ_ONCE(fnat_dir_conn(d)->dest->removed)) &&
	    abandoned(p, fnat_dir_conn(d)))
		return fnat_drop(p, FNAT_DROP_DEST_GONE);
	dst = fnat_route(p, d);
	if (unlikely(!dst))
		return fnat_drop(p, FNAT_DROP_NO_ROUTE);
	if (unlikely(fnat_pkt_ttl(p) <= 1))
		return fnat_drop_icmp(p, FNAT_DROP_TTL, FNAT_ICMP_TTL, 0);
	if (skb_warn_if_lro(p->skb))
		return fnat_drop(p, FNAT_DROP_LRO);
	whole = fnat_route_fits(p, dst);
	if (unlikely(!whole && !fnat_frag_may(p, dst_mtu(dst))))
		return fnat_drop_icmp(p, FNAT_DROP_MTU, FNAT_ICMP_TOO_BIG,
				      dst_mtu(dst));

	fnat_track(p, d);
	count_packet(p, d, fnat_dir_conn(d)->dest);
	if (unlikely(fnat_xlate(p, d)))
		return fnat_drop(p, FNAT_DROP_MEMORY);
	return fnat_xmit(p, dst, fnat_route_hop(d), whole);
}

/* The same, unless it is an echo between two sides that do not understand each other. */
static unsigned int forward_spliced(const struct fnat_pkt *p, struct fnat_dir *d)
{
	if (fnat_track_storms(p, d))
		return fnat_drop(p, FNAT_DROP_ACK_STORM);
	return forward(p, d);
}

/* What the client sent while its server was dialled, the answer to which is @p. */
static void forward_early(const struct fnat_pkt *p, struct fnat_dir *in,
			  struct sk_buff_head *early)
{
	struct nf_hook_state hook = *p->hook;
	unsigned int verdict;
	struct sk_buff *skb;
	struct fnat_pkt q;

	while ((skb = __skb_dequeue(early))) {
		skb->dev = dev_get_by_index_rcu(p->fn->net, skb->skb_iif);
		hook.in = skb->dev;
		verdict = NF_DROP;
		if (skb->dev && fnat_pkt_parse(&q, p->fn, skb, &hook))
			verdict = forward(&q, in);
		/* The real server is this host. */
		if (verdict == NF_ACCEPT)
			hook.okfn(p->fn->net, NULL, skb);
		else if (verdict == NF_DROP)
			kfree_skb(skb);
	}
}

/* @p comes while the server of its connection is dialled. */
static unsigned int dialled(const struct fnat_pkt *p, struct fnat_dir *d)
{
	struct sk_buff_head early;
	unsigned int verdict;

	__skb_queue_head_init(&early);
	if (!fnat_dial_packet(p, d, &early, &verdict))
		return forward(p, d);
	forward_early(p, fnat_dir_other(d), &early);
	return verdict;
}

/* @p belongs to direction @d, of a connection in whatever state. */
static unsigned int go_on(const struct fnat_pkt *p, struct fnat_dir *d)
{
	struct fnat_conn *c = fnat_dir_conn(d);

	/* As in is_up_spliced(). */
	if (smp_load_acquire(&c->state) == FNAT_TCP_S_SYN_SENT)
		return dialled(p, d);
	if (c->proxied)
		return forward_spliced(p, d);
	return forward(p, d);
}

/* What becomes of @p; @find tells which service a new connection is for. */
static __always_inline
unsigned int tell(struct fnat_pkt *p,
		  struct fnat_svc *(*find)(const struct fnat_pkt *p))
{
	unsigned int verdict;
	struct fnat_dir *d;

	d = fnat_conn_find(p);
	if (likely(d && is_up(fnat_dir_conn(d))))
		return forward(p, d);
	if (d && is_up_spliced(fnat_dir_conn(d)))
		return forward_spliced(p, d);
	if (d && fnat_begins_anew(p, d, find))
		d = NULL;
	if (!d)
		d = fnat_begin(p, find(p), &verdict);
	if (!d)
		return verdict;
	return go_on(p, d);
}

/*
 * What becomes of @p if a server of Masq has sent it to a client of ours. For
 * anything else its source tells nothing: clients have their own hooks.
 */
static unsigned int answer(struct fnat_pkt *p)
{
	struct fnat_dir *d = fnat_conn_find(p);

	if (!d || fnat_dir_which(d) != FNAT_S2C)
		return NF_ACCEPT;
	return go_on(p, d);
}

static bool is_icmp(const struct fnat_pkt *p)
{
	return p->proto == IPPROTO_ICMP || p->proto == IPPROTO_ICMPV6;
}

/*
 * Reads @skb, which is no fragment, into @p; or there is no more to say of it than
 * *@verdict. Nothing else of @p is read later, and zeroing it would cost more.
 */
static __always_inline
bool reads(struct fnat_pkt *p, struct fnat_net *fn, struct sk_buff *skb,
	   const struct nf_hook_state *state, unsigned int *verdict)
{
	*verdict = NF_ACCEPT;
	if (!fnat_pkt_parse(p, fn, skb, state))
		return false;
	if (likely(!is_icmp(p)))
		return true;
	*verdict = fnat_icmp(p);
	return false;
}

/*
 * Packets that user space has looked at (nf_reinject()), and the host's own, come
 * in a process: @hook once more, without anything that comes between.
 */
static noinline_for_stack
unsigned int undisturbed(nf_hookfn *hook, void *priv, struct sk_buff *skb,
			 const struct nf_hook_state *state)
{
	unsigned int verdict;

	local_bh_disable();
	verdict = hook(priv, skb, state);
	local_bh_enable();
	return verdict;
}

static __always_inline bool is_fragment(struct sk_buff *skb, u16 af)
{
	return af == AF_INET ? ip_is_fragment(ip_hdr(skb)) :
			       fnat_pkt_is_fragment6(skb);
}

/* Packets to a VIP or a LIP. */
static __always_inline
unsigned int story(nf_hookfn *hook, struct fnat_net *fn, struct sk_buff *skb,
		   const struct nf_hook_state *state, u16 af)
{
	const union nf_inet_addr daddr = fnat_skb_daddr(skb, af);
	struct fnat_pkt p __uninitialized;
	unsigned int verdict;

	if (!fnat_addrset_maybe(&fn->addrs, af, &daddr))
		return NF_ACCEPT;
	if (unlikely(!in_softirq()))
		return undisturbed(hook, fn, skb, state);
	if (unlikely(is_fragment(skb, af)) &&
	    !fnat_frag_gather(fn, skb, af, false, &verdict))
		return verdict;
	if (!reads(&p, fn, skb, state, &verdict))
		return verdict;
	return tell(&p, fnat_svc_of);
}

static unsigned int story4(void *priv, struct sk_buff *skb,
			   const struct nf_hook_state *state)
{
	return story(story4, priv, skb, state, AF_INET);
}

static unsigned int story6(void *priv, struct sk_buff *skb,
			   const struct nf_hook_state *state)
{
	return story(story6, priv, skb, state, AF_INET6);
}

static __always_inline bool claims_icmp(const struct sk_buff *skb, u16 af)
{
	return af == AF_INET ? ip_hdr(skb)->protocol == IPPROTO_ICMP :
			       ipv6_hdr(skb)->nexthdr == IPPROTO_ICMPV6;
}

/*
 * Packets with a firewall mark, once more: the mangle table has spoken, and
 * nobody has taken them by their address. Errors need no mark: rules that name
 * ports do not see them, and MTUs are found by them.
 */
static unsigned int marked(void *priv, struct sk_buff *skb,
			   const struct nf_hook_state *state)
{
	struct fnat_pkt p __uninitialized;
	unsigned int verdict = NF_ACCEPT;

	if ((!skb->mark && !claims_icmp(skb, state->pf)) ||
	    fnat_xmit_went_up(skb))
		return NF_ACCEPT;
	if (unlikely(!in_softirq()))
		return undisturbed(marked, priv, skb, state);
	if (is_fragment(skb, state->pf) &&
	    !(fnat_svc_has_mark(priv, state->pf, skb->mark) &&
	      fnat_frag_gather(priv, skb, state->pf, true, &verdict)))
		return verdict;
	if (!reads(&p, priv, skb, state, &verdict))
		return verdict;
	return tell(&p, fnat_svc_marked);
}

/*
 * What a server of Masq sends is addressed to the client: who sent it tells
 * whose it may be. Errors about what it was sent may come from any router.
 */
static __always_inline
unsigned int masq(nf_hookfn *hook, struct fnat_net *fn, struct sk_buff *skb,
		  const struct nf_hook_state *state, u16 af)
{
	const union nf_inet_addr saddr = fnat_skb_saddr(skb, af);
	struct fnat_pkt p __uninitialized;
	unsigned int verdict = NF_ACCEPT;

	if (!fnat_addrset_maybe(&fn->masqs, af, &saddr) && !claims_icmp(skb, af))
		return NF_ACCEPT;
	if (unlikely(!in_softirq()))
		return undisturbed(hook, fn, skb, state);
	if (unlikely(is_fragment(skb, af)) &&
	    !(fnat_addrset_has_any(&fn->masqs, af, &saddr) &&
	      fnat_frag_gather(fn, skb, af, true, &verdict)))
		return verdict;
	if (!reads(&p, fn, skb, state, &verdict))
		return verdict;
	return answer(&p);
}

static unsigned int masq4(void *priv, struct sk_buff *skb,
			  const struct nf_hook_state *state)
{
	return masq(masq4, priv, skb, state, AF_INET);
}

static unsigned int masq6(void *priv, struct sk_buff *skb,
			  const struct nf_hook_state *state)
{
	return masq(masq6, priv, skb, state, AF_INET6);
}

#define KIND(_hook, _pf, _where, _priority)				\
	{								\
		.hook		= (_hook),				\
		.pf		= (_pf),				\
		.hooknum	= (_where),				\
		.priority	= (_priority),				\
	}

/* By enum fnat_hook_kind. */
const struct nf_hook_ops fnat_hook_kinds[FNAT_HOOKS] = {
	[FNAT_HOOK_IP4] = KIND(story4, NFPROTO_IPV4, NF_INET_PRE_ROUTING,
			       NF_IP_PRI_CONNTRACK - 1),
	[FNAT_HOOK_IP4_MARKED] = KIND(marked, NFPROTO_IPV4, NF_INET_PRE_ROUTING,
				      NF_IP_PRI_MANGLE + 1),
	[FNAT_HOOK_IP4_MASQ] = KIND(masq4, NFPROTO_IPV4, NF_INET_PRE_ROUTING,
				    NF_IP_PRI_CONNTRACK - 1),
	[FNAT_HOOK_IP4_MASQ_OUT] = KIND(masq4, NFPROTO_IPV4, NF_INET_LOCAL_OUT,
					NF_IP_PRI_CONNTRACK - 1),
	[FNAT_HOOK_IP6] = KIND(story6, NFPROTO_IPV6, NF_INET_PRE_ROUTING,
			       NF_IP6_PRI_CONNTRACK - 1),
	[FNAT_HOOK_IP6_MARKED] = KIND(marked, NFPROTO_IPV6, NF_INET_PRE_ROUTING,
				      NF_IP6_PRI_MANGLE + 1),
	[FNAT_HOOK_IP6_MASQ] = KIND(masq6, NFPROTO_IPV6, NF_INET_PRE_ROUTING,
				    NF_IP6_PRI_CONNTRACK - 1),
	[FNAT_HOOK_IP6_MASQ_OUT] = KIND(masq6, NFPROTO_IPV6, NF_INET_LOCAL_OUT,
					NF_IP6_PRI_CONNTRACK - 1),
};
