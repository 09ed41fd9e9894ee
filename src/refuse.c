// SPDX-License-Identifier: GPL-2.0
#include <linux/ratelimit.h>

#include "fnat.h"
#include "pkt.h"
#include "refuse.h"
#include "segment.h"

/* A flood of refused SYNs must not become a flood of RSTs. */
static bool may_tell(const struct fnat_pkt *p, struct ratelimit_state *limit)
{
	if (__ratelimit(limit))
		return true;
	fnat_count(p->fn, FNAT_EV_RATELIMIT);
	return false;
}

unsigned int fnat_drop_icmp(const struct fnat_pkt *p, enum fnat_event why,
			    enum fnat_icmp_error error, u32 mtu)
{
	/* Nobody's junk may keep others from learning their MTU. */
	struct ratelimit_state *limit = mtu ? &p->fn->pmtu_news :
					      &p->fn->refusals;

	if (may_tell(p, limit) && !fnat_icmp_send(p, error, mtu))
		fnat_count(p->fn, FNAT_EV_SENT_ICMP);
	return fnat_drop(p, why);
}

/* RFC 9293 3.10.7.1: the answer to a segment that nobody wants. */
static unsigned int refuse_tcp(const struct fnat_pkt *p, enum fnat_event why)
{
	struct fnat_segment rst = {
		.saddr	= &p->daddr,
		.daddr	= &p->saddr,
		.af	= p->af,
		.ports	= fnat_ports(fnat_dport(p->ports),
				     fnat_sport(p->ports)),
		.l3mdev	= p->l3mdev,
	};

	if (p->tcp_flags & FNAT_TH_ACK) {
		rst.seq = p->ack;
		rst.flags = FNAT_TH_RST;
	} else {
		rst.ack = p->seq + p->seg_len;
		rst.flags = FNAT_TH_RST | FNAT_TH_ACK;
	}
	if (may_tell(p, &p->fn->refusals) && !fnat_segment_send(p->fn, &rst))
		fnat_count(p->fn, FNAT_EV_SENT_RST);
	return fnat_drop(p, why);
}

unsigned int fnat_refuse(const struct fnat_pkt *p, enum fnat_event why)
{
	if (p->proto == IPPROTO_TCP)
		return refuse_tcp(p, why);
	return fnat_drop_icmp(p, why, FNAT_ICMP_UNREACH, 0);
}
