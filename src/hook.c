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
	       fnat_pkt_intact(p);
}

/* A connection with everything it needs; or NULL and *@why. */
static struct fnat_conn *connect(const struct fnat_pkt *p,
				 struct fnat_svc *svc, enum fnat_event *why)
{
	struct fnat_dest *dest = fnat_sched_pick(svc, p);
	struct fnat_lports *lports;
	struct fnat_conn *c;
	__be16 lport;
	u16 index;

	*why = FNAT_DROP_NO_DEST;
	if (!dest)
		return NULL;
	lports = fnat_lport_get(p, dest, &index, &lport, why);
	if (!lports)
		goto unbind_dest;
	c = fnat_conn_new(p, dest, lports, index, lport, why);
	if (!c)
		goto put_lport;
	fnat_stats_conn(&p->fn->total);
	fnat_stats_conn(&svc->stats);
	fnat_stats_conn(&dest->stats);
	return c;

put_lport:
	fnat_lport_put(p->fn, lports, index, 0);
unbind_dest:
	fnat_dest_unbind(dest, false);
	return NULL;
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

	*verdict = NF_ACCEPT;
	if (!svc)
		return NULL;
	if (!opens(p)) {
		fnat_count(p->fn, FNAT_EV_STRAY);
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
	return fnat_conn_publish(p->fn, c);
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
