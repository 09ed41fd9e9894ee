// SPDX-License-Identifier: GPL-2.0
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "cookie.h"
#include "dest.h"
#include "offer.h"
#include "probe.h"

/*
 * What a server can do, and what a service offers, in one word, for packets read
 * it without a lock. Of a server that has not been heard it is 0.
 */
#define CAN_MSS		0xffff
#define CAN_WSCALE	0x10000
#define CAN_SACK	0x20000
#define CAN_STAMPS	0x40000
#define CAN_ECN		0x80000
/* Of a service: the TTL of its SYN-ACKs. */
#define TTL_SHIFT	24

/* What a host says that does not say it (RFC 9293 3.7.1). */
static u16 default_mss(u16 af)
{
	return af == AF_INET ? 536 : 1220;
}

/* What @svc has of its own, or else the sysctl @tune says. */
static u32 says(const struct fnat_svc *svc, int what, const int *tune)
{
	u32 own = svc->opts.offer[what];

	return own ? own - 1 : READ_ONCE(*tune);
}

/* What servers that have not answered a SYN yet are taken to do. */
static u32 presumed(const struct fnat_svc *svc)
{
	u32 own = svc->opts.offer[FNAT_SYNPROXY_OFFER_ATTR_MSS];
	u32 mss = READ_ONCE(svc->fn->tune.init_mss);

	if (own)
		mss = own - 1;
	else if (svc->key.af == AF_INET6)
		mss -= sizeof(struct ipv6hdr) - sizeof(struct iphdr);
	return mss | CAN_WSCALE | CAN_SACK;
}

/* What both can do. */
static u32 common(u32 a, u32 b)
{
	return min(a & CAN_MSS, b & CAN_MSS) | (a & b & ~CAN_MSS);
}

/* What all that take connections can do; 0: there are none. */
static u32 common_of(const struct fnat_svc *svc, const struct fnat_dests *set)
{
	u32 all = 0;
	u32 i, one;

	for (i = 0; set && i < set->n; i++) {
		if (READ_ONCE(set->v[i]->opts.weight) <= 0)
			continue;
		one = READ_ONCE(set->v[i]->learned) ?: presumed(svc);
		all = all ? common(all, one) : one;
	}
	return all;
}

/* Whether some have a LIP, which clients share. */
static bool has_lip(const struct fnat_dests *set)
{
	u32 i;

	for (i = 0; set && i < set->n; i++)
		if (READ_ONCE(set->v[i]->opts.weight) > 0 &&
		    READ_ONCE(set->v[i]->opts.fwd_method) != IP_VS_CONN_F_MASQ)
			return true;
	return false;
}

/* What @svc is not to do, whatever its servers can. */
static u32 withheld(const struct fnat_svc *svc, const struct fnat_dests *set)
{
	const struct fnat_tunables *tune = &svc->fn->tune;
	u32 not = 0;

	if (!says(svc, FNAT_SYNPROXY_OFFER_ATTR_WSCALE, &tune->synproxy_wscale))
		not |= CAN_WSCALE;
	if (!says(svc, FNAT_SYNPROXY_OFFER_ATTR_SACK, &tune->synproxy_sack))
		not |= CAN_SACK;
	/* Servers may not hear timestamps that are to be taken out of SYNs. */
	if (!says(svc, FNAT_SYNPROXY_OFFER_ATTR_TIMESTAMP,
		  &tune->synproxy_timestamp) ||
	    (READ_ONCE(tune->timestamp) == FNAT_TIMESTAMP_STRIP &&
	     has_lip(set)))
		not |= CAN_STAMPS;
	return not;
}

bool fnat_offer_settle(struct fnat_svc *svc)
{
	const struct fnat_tunables *tune = &svc->fn->tune;
	const struct fnat_dests *set;
	u32 can;

	/* Who comes last has seen what the one before has learned. */
	spin_lock_bh(&svc->offer_lock);
	set = rcu_dereference_check(svc->dests,
				    lockdep_is_held(&svc->fn->cfg));
	can = common_of(svc, set) ?: presumed(svc);
	can &= ~withheld(svc, set);
	can |= says(svc, FNAT_SYNPROXY_OFFER_ATTR_TTL, &tune->synack_ttl)
	       << TTL_SHIFT;
	WRITE_ONCE(svc->offer, can);
	spin_unlock_bh(&svc->offer_lock);
	return false;
}

/* Of an offer what is either done or not. */
static u32 switches(const struct fnat_tcpopt_offer *offer)
{
	return (offer->wscale >= 0 ? CAN_WSCALE : 0) |
	       (offer->sack ? CAN_SACK : 0) |
	       (offer->stamped ? CAN_STAMPS : 0) |
	       (offer->ecn ? CAN_ECN : 0);
}

/*
 * A server under pressure answers with cookies of its own, and forgets what it can
 * do. As clients are not offered that any more, none of them would ever ask again.
 */
bool fnat_offer_has_lost(const struct fnat_dest *dest)
{
	return READ_ONCE(dest->could) & ~READ_ONCE(dest->learned) & ~CAN_MSS;
}

/* About what it was not asked nothing is learned: not every client can everything. */
void fnat_offer_learn(struct fnat_dest *dest,
		      const struct fnat_tcpopt_offer *asked,
		      const struct fnat_tcpopt_offer *said)
{
	struct fnat_svc *svc = dest->svc;
	u32 was = READ_ONCE(dest->learned) ?: presumed(svc);
	u32 learned = (said->mss ?: default_mss(svc->key.af)) |
		      (switches(said) & switches(asked)) |
		      (was & ~CAN_MSS & ~switches(asked));

	if (READ_ONCE(dest->learned) == learned)
		return;
	WRITE_ONCE(dest->learned, learned);
	WRITE_ONCE(dest->could, READ_ONCE(dest->could) | learned);
	fnat_offer_settle(svc);
	if (fnat_offer_has_lost(dest))
		fnat_probe_later(svc);
}

/* Ticks of 65 us: faster than any server's, so what these add falls behind it. */
static u32 clock_now(const struct fnat_net *fn)
{
	return fn->synack_clock + (u32)(ktime_get_ns() >> 16);
}

/*
 * A client that marks rather than loses (ECN) relies on a server that says so, and
 * there is room for that only beside a timestamp.
 */
u8 fnat_offer_agree(const struct fnat_svc *svc, struct fnat_tcpopt_offer *client,
		    struct fnat_tcpopt_offer *ours)
{
	u32 can = READ_ONCE(svc->offer);

	if (!client->mss)
		client->mss = default_mss(svc->key.af);
	if (!(can & CAN_WSCALE))
		client->wscale = -1;
	client->sack = client->sack && can & CAN_SACK;
	client->stamped = client->stamped && can & CAN_STAMPS;
	client->ecn = client->ecn && client->stamped && can & CAN_ECN;
	*ours = (struct fnat_tcpopt_offer){
		.mss	= can & CAN_MSS,
		.wscale	= client->wscale < 0 ? -1 : FNAT_OFFER_SCALE,
		.sack	= client->sack,
		.ecn	= client->ecn,
		.stamped = client->stamped,
		.tsecr	= client->tsval,
	};
	if (ours->stamped)
		ours->tsval = fnat_cookie_stamp(clock_now(svc->fn), client);
	return can >> TTL_SHIFT;
}
