// SPDX-License-Identifier: GPL-2.0
#include "addr.h"
#include "begin.h"
#include "conn.h"
#include "defence.h"
#include "dest.h"
#include "dial.h"
#include "lport.h"
#include "persist.h"
#include "pkt.h"
#include "refuse.h"
#include "svc.h"
#include "synproxy.h"
#include "track.h"

static bool opens(const struct fnat_pkt *p)
{
	return p->proto != IPPROTO_TCP ||
	       (p->tcp_flags & (FNAT_TH_SYN | FNAT_TH_ACK | FNAT_TH_RST |
				FNAT_TH_FIN)) == FNAT_TH_SYN;
}

/* Whether a cookie, which is now asked for or has come, is to take the place of @c. */
static bool yields(const struct fnat_pkt *p, const struct fnat_conn *c)
{
	return !(READ_ONCE(c->flags) & FNAT_CONN_DOUBTED) &&
	       fnat_synproxy_reuses(p->fn, READ_ONCE(c->state));
}

bool fnat_begins_anew(const struct fnat_pkt *p, struct fnat_dir *d,
		      struct fnat_svc *(*find)(const struct fnat_pkt *p))
{
	struct fnat_conn *c = fnat_dir_conn(d);
	struct fnat_proof proof;
	struct fnat_svc *svc;

	if (fnat_dir_which(d) != FNAT_C2S)
		return false;
	if (opens(p)) {
		if (!fnat_track_reopens(p, d) || !fnat_pkt_intact(p))
			return false;
		svc = find(p);
		if (svc && fnat_synproxy_guards(svc, p))
			return yields(p, c);
		fnat_count(p->fn, FNAT_EV_REOPENED);
	} else {
		/* Of a cookie that began @c itself, some segments may be late. */
		if (!yields(p, c) || fnat_track_is_late(p, d))
			return false;
		svc = find(p);
		if (!svc || !fnat_synproxy_remembers(svc, p) ||
		    !fnat_synproxy_proves(p, svc, &proof))
			return false;
		fnat_count(p->fn, FNAT_EV_SYNPROXY_REUSED);
	}
	fnat_conn_kill(p->fn, c);
	return true;
}

/* A cookie has come back; not when two CPUs hold two packets of one client's. */
static void count_cookie(const struct fnat_pkt *p, const struct fnat_svc *svc)
{
	fnat_count(p->fn, FNAT_EV_SYNPROXY_ACK);
	fnat_guard_count(&svc->guard, FNAT_GUARD_ACK);
}

static void count_conn(const struct fnat_pkt *p, const struct fnat_dest *dest)
{
	fnat_stats_conn(&p->fn->total);
	fnat_stats_conn(&dest->svc->stats);
	fnat_stats_conn(&dest->stats);
}

/*
 * A connection with everything it needs, but not to @but; or NULL and *@why.
 * With @proof, or @but, its server is to be dialled, which Route can't be.
 */
static struct fnat_conn *connect(const struct fnat_pkt *p,
				 struct fnat_svc *svc,
				 const struct fnat_proof *proof,
				 const struct fnat_dest *but,
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
	dest = fnat_persist_pick(svc, p, but, &tmpl, why);
	if (!dest)
		return NULL;
	if (!fnat_lport_get(p, dest, &lport, why))
		goto unbind_dest;
	*why = FNAT_DROP_MEMORY;
	c = fnat_conn_new(p, dest, &lport, tmpl);
	if (!c)
		goto put_lport;
	/* The SYN proxy may have been turned off meanwhile. */
	if (c->flags & FNAT_CONN_ROUTE && (proof || but))
		*why = FNAT_DROP_NO_DEST;
	else if (!proof || !fnat_dial_new(fn, c, proof))
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

/*
 * How often to try where two maps may give out the same port, or two VIPs lead
 * the same client port to one server. Some schedulers have but one answer.
 */
#define CLASHES		16
#define MASQ_CLASHES	4

/*
 * The direction of a connection of @svc that @p opens, which may be another
 * CPU's; or NULL and *@why. @proof, if any, is the one that @p was made of.
 */
static struct fnat_dir *open(const struct fnat_pkt *p, struct fnat_svc *svc,
			     const struct fnat_proof *proof,
			     enum fnat_event *why)
{
	bool masq = false;
	struct fnat_conn *c;
	struct fnat_dir *d;
	int tries;

	for (tries = 0; tries < (masq ? MASQ_CLASHES : CLASHES); tries++) {
		c = connect(p, svc, proof, NULL, why);
		if (!c)
			return NULL;
		masq = c->flags & FNAT_CONN_MASQ;
		d = fnat_conn_publish(p->fn, c);
		if (d && fnat_dir_conn(d) == c) {
			count_conn(p, c->dest);
			if (proof) {
				count_cookie(p, svc);
				fnat_dial_start(c);
			}
		}
		if (d)
			return d;
		fnat_count(p->fn, masq ? FNAT_EV_MASQ_CLASH :
					 FNAT_EV_PORT_CLASH);
	}
	*why = masq ? FNAT_DROP_MASQ_CLASH : FNAT_DROP_NO_PORT;
	return NULL;
}

struct fnat_conn *fnat_begin_elsewhere(struct fnat_net *fn,
				       const struct fnat_conn *was, u32 isn)
{
	const struct fnat_dir *in = &was->dir[FNAT_C2S];
	const struct fnat_pkt syn = {
		.fn	= fn,
		.saddr	= fnat_conn_addr(was, FNAT_END_CLIENT),
		.daddr	= fnat_conn_addr(was, FNAT_END_VIP),
		.ports	= in->ports,
		.l3mdev	= in->l3mdev,
		.af	= fnat_dir_af(in),
		.proto	= fnat_dir_proto(in),
		.seq	= isn,
	};
	enum fnat_event why;
	struct fnat_conn *c;

	c = connect(&syn, was->dest->svc, NULL, was->dest, &why);
	/* For the service it is the connection that it was. */
	if (c)
		fnat_stats_conn(&c->dest->stats);
	return c;
}

/* Away with @p, of no connection: answered by a RST, if @rst and it may be; or not. */
static unsigned int turn_away(const struct fnat_pkt *p, bool rst,
			      enum fnat_event why)
{
	if (rst && !(p->tcp_flags & FNAT_TH_RST) && !fnat_pkt_source_forged(p))
		return fnat_refuse(p, why);
	return fnat_drop(p, why);
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
	if (mode == FNAT_STRAY_PASS ||
	    (mode == FNAT_STRAY_HOST &&
	     fnat_addr_is_local(p->fn->net, p->in, p->af, &p->daddr))) {
		fnat_count(p->fn, FNAT_EV_STRAY);
		return NF_ACCEPT;
	}
	return turn_away(p, mode == FNAT_STRAY_RST, FNAT_EV_STRAY);
}

/*
 * What keeps @p from opening a connection, or from being answered with a cookie;
 * FNAT_EV_MAX: nothing. A cookie changes nothing and goes back to the neighbour that
 * asked for it, so it is when it comes back that checksum and source are looked at.
 */
static __always_inline
enum fnat_event objection(const struct fnat_pkt *p, bool cookie)
{
	if (cookie ? fnat_pkt_source_absurd(p) : fnat_pkt_source_forged(p))
		return FNAT_DROP_SOURCE;
	if (!cookie && p->proto == IPPROTO_TCP && !fnat_pkt_intact(p))
		return FNAT_DROP_CORRUPT;
	if (fnat_defence_thins(p->fn))
		return FNAT_DROP_PACKET;
	return FNAT_EV_MAX;
}

/*
 * @p brings back the cookie that is @proof: as fnat_begin(). The connection is
 * opened by what looks like the SYN that the cookie answers for.
 */
static noinline_for_stack
struct fnat_dir *redeem(const struct fnat_pkt *p, struct fnat_svc *svc,
			const struct fnat_proof *proof, unsigned int *verdict)
{
	struct fnat_pkt syn = *p;
	enum fnat_event why;
	struct fnat_dir *d;

	why = !p->seg_len && READ_ONCE(p->fn->tune.defer) ? FNAT_DROP_NULL_ACK :
							    objection(p, false);
	/* It comes again, and is counted then. */
	if (why != FNAT_EV_MAX) {
		*verdict = fnat_drop(p, why);
		return NULL;
	}
	syn.seq = proof->isn;
	d = open(&syn, svc, proof, &why);
	if (!d) {
		count_cookie(p, svc);
		*verdict = fnat_refuse(p, why);
	}
	return d;
}

/* @p, to a service that the SYN proxy guards: as fnat_begin(). */
static struct fnat_dir *guarded(const struct fnat_pkt *p, struct fnat_svc *svc,
				unsigned int *verdict)
{
	struct fnat_proof proof;
	enum fnat_event why;

	if (opens(p)) {
		why = objection(p, true);
		*verdict = why == FNAT_EV_MAX ? fnat_synproxy_answer(p, svc) :
						fnat_drop(p, why);
		return NULL;
	}
	if (fnat_synproxy_proves(p, svc, &proof))
		return redeem(p, svc, &proof, verdict);
	fnat_guard_count(&svc->guard, FNAT_GUARD_BAD_ACK);
	*verdict = turn_away(p, READ_ONCE(p->fn->tune.bad_ack_rst),
			     FNAT_DROP_BAD_ACK);
	return NULL;
}

struct fnat_dir *fnat_begin(const struct fnat_pkt *p, struct fnat_svc *svc,
			    unsigned int *verdict)
{
	struct fnat_proof proof;
	enum fnat_event why;
	struct fnat_dir *d;

	if (!svc) {
		*verdict = fnat_defence_verdict(p);
		return NULL;
	}
	if (fnat_synproxy_guards(svc, p))
		return guarded(p, svc, verdict);
	if (!opens(p)) {
		if (fnat_synproxy_remembers(svc, p) &&
		    fnat_synproxy_proves(p, svc, &proof))
			return redeem(p, svc, &proof, verdict);
		*verdict = stray(p, svc);
		return NULL;
	}
	why = objection(p, false);
	if (why != FNAT_EV_MAX) {
		*verdict = fnat_drop(p, why);
		return NULL;
	}
	d = open(p, svc, NULL, &why);
	if (!d)
		*verdict = fnat_refuse(p, why);
	return d;
}
