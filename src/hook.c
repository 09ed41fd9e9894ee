// SPDX-License-Identifier: GPL-2.0
/*
 * Where packets enter, and the story of a packet.
 *
 * One hook, at PRE_ROUTING just before conntrack: ACLs in the raw table,
 * NOTRACK and defragmentation come first, and what we take is never tracked.
 * Both directions enter here, so a VIP need not be an address of the host.
 * Every packet ends in one of three ways: it is not ours and goes on
 * untouched, it is dropped with its reason counted, or it is sent.
 */
#include <linux/icmp.h>
#include <linux/netfilter_ipv4.h>
#include <net/ip.h>
#include <net/route.h>

#include "conn.h"
#include "dest.h"
#include "hook.h"
#include "lport.h"
#include "pkt.h"
#include "refuse.h"
#include "sched.h"
#include "svc.h"
#include "track.h"
#include "xlate.h"
#include "xmit.h"

static bool opens(const struct fnat_pkt *p)
{
	return p->proto != IPPROTO_TCP ||
	       (p->tcp_flags & (FNAT_TH_SYN | FNAT_TH_ACK | FNAT_TH_RST |
				FNAT_TH_FIN)) == FNAT_TH_SYN;
}

/*
 * Whether @p, a SYN from the client, ends what is left of the connection
 * before it, which has closed on both sides (RFC 9293 3.6.1).
 */
static bool reopens(const struct fnat_pkt *p, const struct fnat_dir *d,
		    const struct fnat_conn *c)
{
	return unlikely(p->tcp_flags & FNAT_TH_SYN) && opens(p) &&
	       fnat_dir_which(d) == FNAT_C2S && fnat_state_reopens(c->state) &&
	       !(c->flags & FNAT_CONN_DOUBTED) && fnat_pkt_intact(p);
}

/* A connection with everything it needs; or NULL and *@why. */
static struct fnat_conn *connect(const struct fnat_pkt *p,
				 struct fnat_svc *svc, enum fnat_event *why)
{
	struct fnat_net *fn = p->fn;
	struct fnat_lport lport;
	struct fnat_dest *dest;
	struct fnat_conn *c;

	*why = FNAT_DROP_CONN_MAX;
	if (atomic_read(&fn->nr_conns) >= READ_ONCE(fn->tune.conn_max))
		return NULL;
	*why = FNAT_DROP_NO_DEST;
	dest = fnat_sched_pick(svc, p);
	if (!dest)
		return NULL;
	if (!fnat_lport_get(p, dest, &lport, why))
		goto unbind_dest;
	*why = FNAT_DROP_MEMORY;
	c = fnat_conn_new(p, dest, &lport);
	if (!c)
		goto put_lport;
	return c;

put_lport:
	fnat_lport_put(fn, lport.map, lport.index);
unbind_dest:
	fnat_dest_unbind(dest, false);
	return NULL;
}

/*
 * A segment of a connection that we do not know (any more). The stack answers
 * it if the VIP is the host's; if not it would go back to where it came from,
 * and come here again.
 */
static unsigned int stray(const struct fnat_pkt *p)
{
	fnat_count(p->fn, FNAT_EV_STRAY);
	return inet_addr_type(p->fn->net, p->daddr.ip) == RTN_LOCAL ?
	       NF_ACCEPT : NF_DROP;
}

static void count_conn(const struct fnat_pkt *p, const struct fnat_dest *dest)
{
	fnat_stats_conn(&p->fn->total);
	fnat_stats_conn(&dest->svc->stats);
	fnat_stats_conn(&dest->stats);
}

/*
 * The direction of a connection that @p opens; or NULL and the verdict, which
 * for what is not ours is NF_ACCEPT.
 */
static struct fnat_dir *first_packet(const struct fnat_pkt *p,
				     unsigned int *verdict)
{
	struct fnat_svc *svc = fnat_svc_of(p);
	enum fnat_event why;
	struct fnat_conn *c;
	struct fnat_dir *d;

	*verdict = NF_ACCEPT;
	if (!svc)
		return NULL;
	if (!opens(p)) {
		*verdict = stray(p);
		return NULL;
	}
	if (fnat_pkt_source_forged(p)) {
		*verdict = fnat_drop(p, FNAT_DROP_SOURCE);
		return NULL;
	}
	if (p->proto == IPPROTO_TCP && !fnat_pkt_intact(p)) {
		*verdict = fnat_drop(p, FNAT_DROP_CORRUPT);
		return NULL;
	}
	c = connect(p, svc, &why);
	if (!c) {
		*verdict = fnat_refuse(p, why);
		return NULL;
	}
	d = fnat_conn_publish(p->fn, c);
	if (!d)
		*verdict = fnat_drop(p, FNAT_DROP_NO_PORT);
	else if (fnat_dir_conn(d) == c)
		count_conn(p, c->dest);
	return d;
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
	struct rtable *rt;
	bool whole;

	rt = fnat_route(p, d);
	if (unlikely(!rt))
		return fnat_drop(p, FNAT_DROP_NO_ROUTE);
	if (unlikely(ip_hdr(p->skb)->ttl <= 1))
		return fnat_drop_icmp(p, FNAT_DROP_TTL, ICMP_TIME_EXCEEDED,
				      ICMP_EXC_TTL, 0);
	if (skb_warn_if_lro(p->skb))
		return fnat_drop(p, FNAT_DROP_LRO);
	whole = fnat_route_fits(p, rt);
	if (unlikely(!whole && ip_hdr(p->skb)->frag_off & htons(IP_DF)))
		return fnat_drop_icmp(p, FNAT_DROP_MTU, ICMP_DEST_UNREACH,
				      ICMP_FRAG_NEEDED, dst_mtu(&rt->dst));

	fnat_track(p, d);
	count_packet(p, d, fnat_dir_conn(d)->dest);
	if (unlikely(fnat_xlate(p, d)))
		return fnat_drop(p, FNAT_DROP_MEMORY);
	return fnat_xmit(p, rt, whole);
}

static unsigned int story(void *priv, struct sk_buff *skb,
			  const struct nf_hook_state *state)
{
	unsigned int verdict;
	struct fnat_dir *d;
	struct fnat_pkt p;

	if (!fnat_pkt_parse(&p, priv, skb, state))
		return NF_ACCEPT;

	d = fnat_conn_find(&p);
	if (d && reopens(&p, d, fnat_dir_conn(d))) {
		fnat_count(p.fn, FNAT_EV_REOPENED);
		fnat_conn_kill(p.fn, fnat_dir_conn(d));
		d = NULL;
	}
	if (!d)
		d = first_packet(&p, &verdict);
	if (!d)
		return verdict;
	return forward(&p, d);
}

int fnat_hook_init(struct fnat_net *fn)
{
	int err;

	lockdep_assert_held(&fn->cfg);
	if (fn->hooked)
		return 0;
	fn->hook_ops = (struct nf_hook_ops) {
		.hook		= story,
		.priv		= fn,
		.pf		= NFPROTO_IPV4,
		.hooknum	= NF_INET_PRE_ROUTING,
		.priority	= NF_IP_PRI_CONNTRACK - 1,
	};
	err = nf_register_net_hook(fn->net, &fn->hook_ops);
	fn->hooked = !err;
	return err;
}

void fnat_hook_exit(struct fnat_net *fn)
{
	if (!fn->hooked)
		return;
	nf_unregister_net_hook(fn->net, &fn->hook_ops);
	fn->hooked = false;
}
