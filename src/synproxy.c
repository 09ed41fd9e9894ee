// SPDX-License-Identifier: GPL-2.0
#include "cookie_key.h"
#include "dest.h"
#include "pkt.h"
#include "refuse.h"
#include "segment.h"
#include "svc.h"
#include "synproxy.h"

/* What a host says that does not say it (RFC 9293 3.7.1). */
static u16 default_mss(u16 af)
{
	return af == AF_INET ? 536 : 1220;
}

/* ------------------------------------------------------------- the offer */

/* In one word, for packets read it without a lock; 0: nothing is known. */
#define LEARNED_MSS	0xffff
#define LEARNED_WSCALE	0x10000
#define LEARNED_SACK	0x20000
#define LEARNED_STAMPS	0x40000
#define LEARNED_ECN	0x80000
/* Of a service: not of all dests; some have a LIP, which clients share. */
#define LEARNED_SOME	0x100000
#define LEARNED_LIP	0x200000

/* What servers that have not answered a SYN yet are taken to do. */
static u32 presumed(const struct fnat_svc *svc)
{
	const struct fnat_tunables *tune = &svc->fn->tune;
	u32 mss = READ_ONCE(tune->init_mss);

	if (svc->key.af == AF_INET6 && mss > 20)
		mss -= sizeof(struct ipv6hdr) - sizeof(struct iphdr);
	return mss | LEARNED_WSCALE | LEARNED_SACK;
}

/* What both can do. */
static u32 common(u32 a, u32 b)
{
	return min(a & LEARNED_MSS, b & LEARNED_MSS) |
	       (a & b & ~LEARNED_MSS);
}

void fnat_synproxy_settle(struct fnat_svc *svc)
{
	const struct fnat_dests *set = rcu_dereference_check(svc->dests,
					lockdep_is_held(&svc->fn->cfg));
	u32 all = 0, about = 0;
	u32 i, one;

	for (i = 0; set && i < set->n; i++) {
		if (READ_ONCE(set->v[i]->opts.weight) <= 0)
			continue;
		if (READ_ONCE(set->v[i]->opts.fwd_method) != IP_VS_CONN_F_MASQ)
			about |= LEARNED_LIP;
		one = READ_ONCE(set->v[i]->learned);
		if (!one)
			about |= LEARNED_SOME;
		else
			all = all ? common(all, one) : one;
	}
	WRITE_ONCE(svc->offer, all ? all | about : 0);
}

/* Of an @offer what is either done or not. */
static u32 switches(const struct fnat_tcpopt_offer *offer)
{
	return (offer->wscale >= 0 ? LEARNED_WSCALE : 0) |
	       (offer->sack ? LEARNED_SACK : 0) |
	       (offer->stamped ? LEARNED_STAMPS : 0) |
	       (offer->ecn ? LEARNED_ECN : 0);
}

/* About what it was not asked nothing is learned: not every client can everything. */
void fnat_synproxy_learn(struct fnat_dest *dest,
			 const struct fnat_tcpopt_offer *asked,
			 const struct fnat_tcpopt_offer *offer)
{
	struct fnat_svc *svc = dest->svc;
	u32 was = READ_ONCE(dest->learned) ?: presumed(svc);
	u32 learned = (offer->mss ?: default_mss(svc->key.af)) |
		      (switches(offer) & switches(asked)) |
		      (was & ~LEARNED_MSS & ~switches(asked));

	if (READ_ONCE(dest->learned) == learned)
		return;
	WRITE_ONCE(dest->learned, learned);
	fnat_synproxy_settle(svc);
}

static u32 offer_of(const struct fnat_svc *svc)
{
	u32 offer = READ_ONCE(svc->offer);

	if (!offer)
		return presumed(svc);
	return offer & LEARNED_SOME ? common(offer, presumed(svc)) : offer;
}

/*
 * Whether servers that do what @offer says may hear of clients' timestamps, which
 * they all do: not where these are to be taken out of SYNs.
 */
static bool may_stamp(const struct fnat_tunables *tune, u32 offer)
{
	return READ_ONCE(tune->synproxy_timestamp) && offer & LEARNED_STAMPS &&
	       !(offer & LEARNED_LIP &&
		 READ_ONCE(tune->timestamp) == FNAT_TIMESTAMP_STRIP);
}

/* Ticks of 65 us: faster than any server's, so what these add falls behind it. */
static u32 clock_now(const struct fnat_net *fn)
{
	return fn->synack_clock + (u32)(ktime_get_ns() >> 16);
}

/*
 * What @svc offers to a client that offers @client; from which goes what is not
 * agreed, for its server is to hear nothing else. A client that marks rather than
 * loses (ECN) relies on a server that says so, and there is room for that only
 * beside a timestamp.
 */
static void agree(const struct fnat_svc *svc, struct fnat_tcpopt_offer *client,
		  struct fnat_tcpopt_offer *ours)
{
	const struct fnat_tunables *tune = &svc->fn->tune;
	u32 offer = offer_of(svc);

	if (!client->mss)
		client->mss = default_mss(svc->key.af);
	if (!READ_ONCE(tune->synproxy_wscale) || !(offer & LEARNED_WSCALE))
		client->wscale = -1;
	client->sack = client->sack && offer & LEARNED_SACK &&
		       READ_ONCE(tune->synproxy_sack);
	client->stamped = client->stamped && may_stamp(tune, offer);
	client->ecn = client->ecn && client->stamped && offer & LEARNED_ECN;
	*ours = (struct fnat_tcpopt_offer){
		.mss	= offer & LEARNED_MSS,
		.wscale	= client->wscale < 0 ? -1 : FNAT_SYNPROXY_SCALE,
		.sack	= client->sack,
		.ecn	= client->ecn,
		.stamped = client->stamped,
		.tsecr	= client->tsval,
	};
	if (ours->stamped)
		ours->tsval = fnat_cookie_stamp(clock_now(svc->fn), client);
}

/* ------------------------------------------------------------ the cookie */

/*
 * Keyed hash over all that an ACK must have right: the flow, the client's number,
 * the service where its address does not name it, and the time.
 */
static u64 seal6(const struct fnat_pkt *p, const struct fnat_svc *svc, u32 isn,
		 u32 window, const siphash_key_t *key)
{
	const struct {
		struct in6_addr	saddr;
		struct in6_addr	daddr;
		__be32		ports;
		u32		isn;
		u32		window;
		u32		fwmark;
	} __aligned(SIPHASH_ALIGNMENT) said = {
		.saddr	= p->saddr.in6,
		.daddr	= p->daddr.in6,
		.ports	= p->ports,
		.isn	= isn,
		.window	= window,
		.fwmark	= svc->key.fwmark,
	};

	return siphash(&said, sizeof(said), key);
}

static __always_inline
u64 seal_of(const struct fnat_pkt *p, const struct fnat_svc *svc, u32 isn,
	    u32 window, const siphash_key_t *key)
{
	if (p->af == AF_INET6)
		return seal6(p, svc, isn, window, key);
	return siphash_3u64((u64)(__force u32)p->saddr.ip << 32 |
			    (__force u32)p->daddr.ip,
			    (u64)(__force u32)p->ports << 32 | isn,
			    (u64)svc->key.fwmark << 32 | window, key);
}

static bool is_sealed(const struct fnat_pkt *p, const struct fnat_svc *svc,
		      struct fnat_proof *proof)
{
	const struct fnat_cookie_keys *keys = fnat_cookie_keys(p->fn);
	u32 now = fnat_cookie_window_now();
	u32 window = fnat_cookie_window(proof->told, now);
	u32 i;

	for (i = 0; fnat_cookie_key_lives(keys, i, now); i++)
		if (fnat_cookie_open(seal_of(p, svc, proof->isn, window,
					     &keys->key[i]),
				     proof->told, &proof->offer))
			return true;
	return false;
}

/* ------------------------------------------------------------- the story */

/* Nobody could be dialled: the client is told at once. */
static bool has_dest(const struct fnat_svc *svc)
{
	const struct fnat_dests *set = rcu_dereference(svc->dests);

	return set && set->gcd;
}

unsigned int fnat_synproxy_answer(const struct fnat_pkt *p,
				  struct fnat_svc *svc)
{
	const struct tcphdr *th = fnat_pkt_tcp(p);
	const u8 ecn = FNAT_TH_ECE | FNAT_TH_CWR;
	struct fnat_tcpopt_offer client, ours;
	struct fnat_segment synack = {
		.saddr	= &p->daddr,
		.daddr	= &p->saddr,
		.af	= p->af,
		.ports	= fnat_ports(fnat_dport(p->ports), fnat_sport(p->ports)),
		.l3mdev	= p->l3mdev,
		.ack	= p->seq + 1,
		.flags	= FNAT_TH_SYN | FNAT_TH_ACK,
		.offer	= &ours,
	};
	u32 window = fnat_cookie_window_now();
	const siphash_key_t *key;

	if (!has_dest(svc)) {
		fnat_count(p->fn, FNAT_EV_SYNPROXY_NO_DEST);
		return fnat_refuse(p, FNAT_DROP_NO_DEST);
	}
	key = fnat_cookie_key_seals(p->fn, window);
	fnat_tcpopt_read((const u8 *)(th + 1), p->thlen - sizeof(*th), &client);
	client.ecn = (p->tcp_flags & ecn) == ecn;
	agree(svc, &client, &ours);
	if (ours.ecn)
		synack.flags |= FNAT_TH_ECE;
	synack.win = min_t(u32, READ_ONCE(p->fn->tune.early_max) * ours.mss,
			   0xffff);
	synack.seq = fnat_cookie_make(seal_of(p, svc, p->seq, window, key),
				      window, &client);
	fnat_count(p->fn, FNAT_EV_SYNPROXY_SYN);
	fnat_guard_count(&svc->guard, FNAT_GUARD_SYN);
	return fnat_segment_reply(p, &synack,
				  READ_ONCE(p->fn->tune.synack_ttl));
}

bool fnat_synproxy_proves(const struct fnat_pkt *p, const struct fnat_svc *svc,
			  struct fnat_proof *proof)
{
	const u8 not = FNAT_TH_SYN | FNAT_TH_RST;
	const struct tcphdr *th = fnat_pkt_tcp(p);
	struct fnat_tcpopt_offer *offer = &proof->offer;

	if ((p->tcp_flags & (not | FNAT_TH_ACK)) != FNAT_TH_ACK)
		return false;
	proof->isn = p->seq - 1;
	proof->told = p->ack - 1;
	offer->stamped = fnat_tcpopt_timestamp((const u8 *)(th + 1),
					       p->thlen - sizeof(*th),
					       &offer->tsval, &offer->tsecr);
	if (!is_sealed(p, svc, proof))
		return false;
	proof->win = min_t(u32, (u32)p->win << max_t(int, offer->wscale, 0),
			   0xffff);
	return true;
}

bool fnat_synproxy_reuses(const struct fnat_net *fn, enum fnat_state s)
{
	const struct fnat_tunables *tune = &fn->tune;

	if (!READ_ONCE(tune->conn_reuse))
		return false;
	switch (s) {
	case FNAT_TCP_S_CLOSE:
		return READ_ONCE(tune->conn_reuse_close);
	case FNAT_TCP_S_TIME_WAIT:
		return READ_ONCE(tune->conn_reuse_time_wait);
	case FNAT_TCP_S_LAST_ACK:
		return READ_ONCE(tune->conn_reuse_last_ack);
	default:
		return false;
	}
}
