// SPDX-License-Identifier: GPL-2.0
/*
 * Where packets enter, and the story of a packet.
 *
 * At PRE_ROUTING just before conntrack: ACLs in the raw table, NOTRACK and
 * defragmentation come first, and what we take is never tracked. While there
 * is a service by firewall mark, once more behind the mangle table.
 * Both directions enter here, so a VIP need not be an address of the host.
 * Every packet ends in one of three ways: it is not ours and goes on
 * untouched, it is dropped with its reason counted, or it is sent.
 */
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <net/dst.h>

#include "addr.h"
#include "conn.h"
#include "defence.h"
#include "dest.h"
#include "dial.h"
#include "frag.h"
#include "hook.h"
#include "icmp.h"
#include "lport.h"
#include "persist.h"
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
	u8 state = smp_load_acquire(&c->state);

	return state == FNAT_TCP_S_ESTABLISHED || state == FNAT_S_UDP;
}

static bool opens(const struct fnat_pkt *p)
{
	return p->proto != IPPROTO_TCP ||
	       (p->tcp_flags & (FNAT_TH_SYN | FNAT_TH_ACK | FNAT_TH_RST |
				FNAT_TH_FIN)) == FNAT_TH_SYN;
}

/*
 * Whether @p is for nothing that is left of its connection, which has closed on
 * both sides: the client begins anew, by a SYN (RFC 9293 3.6.1) or a cookie. To a
 * SYN that is answered with one the old connection is no obstacle yet.
 */
static bool reopens(const struct fnat_pkt *p, const struct fnat_dir *d,
		    struct fnat_conn *c)
{
	const struct fnat_svc *svc = c->dest->svc;
	struct fnat_proof proof;

	if (fnat_dir_which(d) != FNAT_C2S)
		return false;
	if (opens(p)) {
		if (!fnat_track_reopens(p, d) || !fnat_pkt_intact(p))
			return false;
		if (fnat_synproxy_guards(svc, p))
			return true;
		fnat_count(p->fn, FNAT_EV_REOPENED);
	} else {
		if (!fnat_synproxy_guards(svc, p) ||
		    c->flags & FNAT_CONN_DOUBTED ||
		    !fnat_synproxy_reuses(p->fn, c->state) ||
		    !fnat_synproxy_proves(p, svc, &proof))
			return false;
		fnat_count(p->fn, FNAT_EV_SYNPROXY_REUSED);
	}
	fnat_conn_kill(p->fn, c);
	return true;
}

static void count_conn(const struct fnat_pkt *p, const struct fnat_dest *dest)
{
	fnat_stats_conn(&p->fn->total);
	fnat_stats_conn(&dest->svc->stats);
	fnat_stats_conn(&dest->stats);
}

/*
 * A connection with everything it needs; or NULL and *@why. @proof: its server is
 * to be dialled.
 */
static struct fnat_conn *connect(const struct fnat_pkt *p,
				 struct fnat_svc *svc,
				 const struct fnat_proof *proof,
				 enum fnat_event *why)
{
	struct fnat_net *fn = p->fn;
	struct fnat_lport lport;
	struct fnat_conn *tmpl;
	struct fnat_dest *dest;
	struct fnat_conn *c;

	*why = FNAT_DROP_CONN_MAX;
	if (atomic_read(&fn->nr_conns) >= READ_ONCE(fn->tune.conn_max))
		return NULL;
	dest = fnat_persist_pick(svc, p, &tmpl, why);
	if (!dest)
		return NULL;
	if (!fnat_lport_get(p, dest, &lport, why))
		goto unbind_dest;
	*why = FNAT_DROP_MEMORY;
	c = fnat_conn_new(p, dest, &lport, tmpl);
	if (!c)
		goto put_lport;
	if (!proof || !fnat_dial_new(fn, c, proof))
		return c;
	fnat_conn_abandon(fn, c);
	return NULL;

put_lport:
	fnat_lport_put(fn, lport.map, lport.index);
unbind_dest:
	fnat_dest_unbind(dest, false);
	fnat_conn_put_template(tmpl);
	return NULL;
}

/* Ports to try where two maps may give out the same. */
#define CLASHES	16

/*
 * The direction of a connection of @svc that @p opens, which may be another
 * CPU's; or NULL and *@why. @proof, if any, is the one that @p was made of.
 */
static struct fnat_dir *open(const struct fnat_pkt *p, struct fnat_svc *svc,
			     const struct fnat_proof *proof,
			     enum fnat_event *why)
{
	struct fnat_conn *c;
	struct fnat_dir *d;
	int tries;

	for (tries = 0; tries < CLASHES; tries++) {
		c = connect(p, svc, proof, why);
		if (!c)
			return NULL;
		d = fnat_conn_publish(p->fn, c);
		if (d && fnat_dir_conn(d) == c) {
			count_conn(p, c->dest);
			if (proof)
				fnat_dial_start(c);
		}
		if (d)
			return d;
		fnat_count(p->fn, FNAT_EV_PORT_CLASH);
	}
	*why = FNAT_DROP_NO_PORT;
	return NULL;
}

/*
 * A segment of a connection that we do not know (any more). Unless told what to
 * do we leave it to the stack if the VIP is the host's; if not it would go back
 * to where it came from, and come here again. What is only marked may well be
 * on its way elsewhere.
 */
static unsigned int stray(const struct fnat_pkt *p, const struct fnat_svc *svc)
{
	int mode = READ_ONCE(p->fn->tune.stray);

	if (svc->key.fwmark)
		return NF_ACCEPT;
	if (READ_ONCE(p->fn->tune.defence_tcp_drop))
		return fnat_drop(p, FNAT_DROP_DEFENCE_TCP);
	if (mode == FNAT_STRAY_RST && !(p->tcp_flags & FNAT_TH_RST) &&
	    !fnat_pkt_source_forged(p))
		return fnat_refuse(p, FNAT_EV_STRAY);
	if (mode == FNAT_STRAY_PASS ||
	    (mode == FNAT_STRAY_HOST &&
	     fnat_addr_is_local(p->fn->net, p->af, &p->daddr))) {
		fnat_count(p->fn, FNAT_EV_STRAY);
		return NF_ACCEPT;
	}
	return fnat_drop(p, FNAT_EV_STRAY);
}

/* What keeps @p, which opens a connection, from it; FNAT_EV_MAX: nothing. */
static enum fnat_event objection(const struct fnat_pkt *p)
{
	if (fnat_pkt_source_forged(p))
		return FNAT_DROP_SOURCE;
	if (p->proto == IPPROTO_TCP && !fnat_pkt_intact(p))
		return FNAT_DROP_CORRUPT;
	if (fnat_defence_thins(p->fn))
		return FNAT_DROP_PACKET;
	return FNAT_EV_MAX;
}

/*
 * @p, to a service that the SYN proxy guards: as first_packet(). A connection there
 * is opened by what looks like the SYN that the cookie answers for.
 */
static struct fnat_dir *guarded(const struct fnat_pkt *p, struct fnat_svc *svc,
				unsigned int *verdict)
{
	struct fnat_pkt syn = *p;
	struct fnat_proof proof;
	enum fnat_event why;
	struct fnat_dir *d;

	if (opens(p)) {
		why = objection(p);
		*verdict = why == FNAT_EV_MAX ? fnat_synproxy_answer(p, svc) :
						fnat_drop(p, why);
		return NULL;
	}
	if (!fnat_synproxy_proves(p, svc, &proof)) {
		*verdict = fnat_synproxy_reject(p);
		return NULL;
	}
	why = !p->seg_len && READ_ONCE(p->fn->tune.defer) ? FNAT_DROP_NULL_ACK :
							    objection(p);
	if (why != FNAT_EV_MAX) {
		*verdict = fnat_drop(p, why);
		return NULL;
	}
	syn.seq = proof.isn;
	d = open(&syn, svc, &proof, &why);
	if (!d)
		*verdict = fnat_refuse(p, why);
	return d;
}

/*
 * The direction of a connection to @svc (NULL: to no service) that @p opens; or
 * NULL and the verdict, which for what is not ours is NF_ACCEPT.
 */
static struct fnat_dir *first_packet(const struct fnat_pkt *p,
				     struct fnat_svc *svc,
				     unsigned int *verdict)
{
	enum fnat_event why;
	struct fnat_dir *d;

	if (!svc) {
		*verdict = fnat_defence_verdict(p);
		return NULL;
	}
	if (fnat_synproxy_guards(svc, p))
		return guarded(p, svc, verdict);
	if (!opens(p)) {
		*verdict = stray(p, svc);
		return NULL;
	}
	why = objection(p);
	if (why != FNAT_EV_MAX) {
		*verdict = fnat_drop(p, why);
		return NULL;
	}
	d = open(p, svc, NULL, &why);
	if (!d)
		*verdict = fnat_refuse(p, why);
	return d;
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
	return fnat_xmit(p, dst, whole);
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

/* What becomes of @p; @find tells which service a new connection is for. */
static __always_inline
unsigned int tell(const struct fnat_pkt *p,
		  struct fnat_svc *(*find)(const struct fnat_pkt *p))
{
	unsigned int verdict;
	struct fnat_dir *d;

	d = fnat_conn_find(p);
	if (likely(d && is_up(fnat_dir_conn(d))))
		return forward(p, d);
	if (d && reopens(p, d, fnat_dir_conn(d)))
		d = NULL;
	if (!d)
		d = first_packet(p, find(p), &verdict);
	if (!d)
		return verdict;
	if (fnat_dir_conn(d)->state == FNAT_TCP_S_SYN_SENT)
		return dialled(p, d);
	return forward(p, d);
}

static bool is_icmp(const struct fnat_pkt *p)
{
	return p->proto == IPPROTO_ICMP || p->proto == IPPROTO_ICMPV6;
}

static unsigned int whole(struct fnat_net *fn, struct sk_buff *skb,
			  const struct nf_hook_state *state)
{
	struct fnat_pkt p;

	if (!fnat_pkt_parse(&p, fn, skb, state))
		return NF_ACCEPT;
	if (unlikely(is_icmp(&p)))
		return fnat_icmp(&p);
	return tell(&p, fnat_svc_of);
}

static unsigned int story4(void *priv, struct sk_buff *skb,
			   const struct nf_hook_state *state)
{
	struct fnat_net *fn = priv;
	unsigned int verdict;

	if (!fnat_addrset_maybe4(&fn->addrs, ip_hdr(skb)->daddr))
		return NF_ACCEPT;
	if (unlikely(ip_is_fragment(ip_hdr(skb))) &&
	    !fnat_frag_gather(fn, skb, AF_INET, false, &verdict))
		return verdict;
	return whole(fn, skb, state);
}

static unsigned int story6(void *priv, struct sk_buff *skb,
			   const struct nf_hook_state *state)
{
	struct fnat_net *fn = priv;
	unsigned int verdict;

	if (!fnat_addrset_maybe6(&fn->addrs, &ipv6_hdr(skb)->daddr))
		return NF_ACCEPT;
	if (unlikely(fnat_pkt_is_fragment6(skb)) &&
	    !fnat_frag_gather(fn, skb, AF_INET6, false, &verdict))
		return verdict;
	return whole(fn, skb, state);
}

/*
 * Packets with a firewall mark, once more: the mangle table has spoken, and
 * nobody has taken them by their address.
 */
static unsigned int marked(void *priv, struct sk_buff *skb,
			   const struct nf_hook_state *state)
{
	bool v4 = state->pf == NFPROTO_IPV4;
	unsigned int verdict = NF_ACCEPT;
	struct fnat_pkt p;

	if (!skb->mark)
		return NF_ACCEPT;
	if ((v4 ? ip_is_fragment(ip_hdr(skb)) : fnat_pkt_is_fragment6(skb)) &&
	    !(fnat_svc_has_mark(priv, state->pf, skb->mark) &&
	      fnat_frag_gather(priv, skb, state->pf, true, &verdict)))
		return verdict;
	if (!fnat_pkt_parse(&p, priv, skb, state))
		return NF_ACCEPT;
	if (is_icmp(&p))
		return fnat_icmp(&p);
	return tell(&p, fnat_svc_marked);
}

/* By enum fnat_hook_kind. */
static const struct nf_hook_ops kinds[FNAT_HOOKS] = {
	[FNAT_HOOK_IP4] = {
		.hook		= story4,
		.pf		= NFPROTO_IPV4,
		.priority	= NF_IP_PRI_CONNTRACK - 1,
	},
	[FNAT_HOOK_IP4_MARKED] = {
		.hook		= marked,
		.pf		= NFPROTO_IPV4,
		.priority	= NF_IP_PRI_MANGLE + 1,
	},
	[FNAT_HOOK_IP6] = {
		.hook		= story6,
		.pf		= NFPROTO_IPV6,
		.priority	= NF_IP6_PRI_CONNTRACK - 1,
	},
	[FNAT_HOOK_IP6_MARKED] = {
		.hook		= marked,
		.pf		= NFPROTO_IPV6,
		.priority	= NF_IP6_PRI_MANGLE + 1,
	},
};

void fnat_hook_count(struct fnat_net *fn, u16 af, bool marked, int n)
{
	int kind = af == AF_INET ? FNAT_HOOK_IP4 : FNAT_HOOK_IP6;

	atomic_add(n, &fn->hook[kind].users);
	if (marked)
		atomic_add(n, &fn->hook[kind + 1].users);
}

int fnat_hook_init(struct fnat_net *fn)
{
	int i, err;

	lockdep_assert_held(&fn->cfg);
	for (i = 0; i < FNAT_HOOKS; i++) {
		struct fnat_hook *h = &fn->hook[i];

		if (h->up || !atomic_read(&h->users))
			continue;
		h->ops = kinds[i];
		h->ops.priv = fn;
		h->ops.hooknum = NF_INET_PRE_ROUTING;
		err = nf_register_net_hook(fn->net, &h->ops);
		if (err)
			return err;
		h->up = true;
	}
	return 0;
}

/* Takes away those that are up and have no users; or all. Whether any was. */
static bool take_away(struct fnat_net *fn, bool all)
{
	bool any = false;
	int i;

	for (i = 0; i < FNAT_HOOKS; i++) {
		struct fnat_hook *h = &fn->hook[i];

		if (!h->up || (!all && atomic_read(&h->users)))
			continue;
		nf_unregister_net_hook(fn->net, &h->ops);
		h->up = false;
		any = true;
	}
	return any;
}

void fnat_hook_trim(struct fnat_net *fn)
{
	lockdep_assert_held(&fn->cfg);
	/* Packets may still be in the hook, and readers in its ops. */
	if (take_away(fn, false))
		synchronize_net();
}

void fnat_hook_exit(struct fnat_net *fn)
{
	take_away(fn, true);
}
