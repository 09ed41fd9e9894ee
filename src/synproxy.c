// SPDX-License-Identifier: GPL-2.0
#include "cookie_key.h"
#include "dest.h"
#include "offer.h"
#include "pkt.h"
#include "refuse.h"
#include "segment.h"
#include "svc.h"
#include "synproxy.h"

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

static __always_inline
bool is_sealed(const struct fnat_pkt *p, const struct fnat_svc *svc,
	       struct fnat_proof *proof)
{
	const struct fnat_cookie_keys *keys = fnat_cookie_keys(p->fn);
	u32 window = fnat_cookie_window(proof->told, fnat_cookie_window_now());
	u32 i;

	for (i = 0; i < keys->n; i++)
		if (fnat_cookie_key_opens(keys, i, window) &&
		    fnat_cookie_open(seal_of(p, svc, proof->isn, window,
					     &keys->k[i].key),
				     proof->told, &proof->offer))
			return true;
	return false;
}

/* ------------------------------------------------------------- the story */

/*
 * Nobody could be dialled: the client is told at once. Persistent ones may know a
 * server that takes no others; if not, they are told when the cookie is back.
 */
static bool has_dest(const struct fnat_svc *svc)
{
	const struct fnat_dests *set = rcu_dereference(svc->dests);

	return likely(set && set->gcd) ||
	       (set && set->n && fnat_svc_has(svc, IP_VS_SVC_F_PERSISTENT));
}

/*
 * How many segments a client may send before its server has answered. Who has to
 * send the first of them for the server to be asked at all finds the window open.
 */
static u32 early_segments(const struct fnat_net *fn)
{
	return READ_ONCE(fn->tune.early_max) ?: READ_ONCE(fn->tune.defer);
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
	u8 ttl;

	if (!has_dest(svc)) {
		/* Unlike a cookie, this is routed. */
		if (fnat_pkt_source_forged(p))
			return fnat_drop(p, FNAT_DROP_SOURCE);
		fnat_count(p->fn, FNAT_EV_SYNPROXY_NO_DEST);
		return fnat_refuse(p, FNAT_DROP_NO_DEST);
	}
	key = fnat_cookie_key_seals(p->fn, window);
	fnat_tcpopt_read((const u8 *)(th + 1), p->thlen - sizeof(*th), &client);
	client.ecn = (p->tcp_flags & ecn) == ecn;
	ttl = fnat_offer_agree(svc, &client, &ours);
	if (ours.ecn)
		synack.flags |= FNAT_TH_ECE;
	synack.win = min_t(u32, early_segments(p->fn) * ours.mss, 0xffff);
	synack.seq = fnat_cookie_make(seal_of(p, svc, p->seq, window, key),
				      window, &client);
	fnat_count(p->fn, FNAT_EV_SYNPROXY_SYN);
	fnat_guard_count(&svc->guard, FNAT_GUARD_SYN);
	return fnat_segment_reply(p, &synack, ttl);
}

/* Or @p asks whether the window that was shut still is, with a number of old. */
static noinline_for_stack
bool asks_for_window(const struct fnat_pkt *p, const struct fnat_svc *svc,
		     struct fnat_proof *proof)
{
	proof->isn = p->seq;
	return is_sealed(p, svc, proof);
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
	if (!is_sealed(p, svc, proof) &&
	    (likely(p->seg_len || READ_ONCE(p->fn->tune.early_max)) ||
	     !asks_for_window(p, svc, proof)))
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
