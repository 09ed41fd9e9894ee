// SPDX-License-Identifier: GPL-2.0
#include <net/tcp.h>

#include "conn.h"
#include "pkt.h"
#include "tcpopt.h"
#include "track.h"

/*
 * Whether the receiver of @p takes its RST (RFC 5961 3.2): the sequence is
 * the very one it expects, or one less if it has acknowledged a FIN. Before it
 * has acknowledged anything, the RST must answer its SYN or follow ours.
 */
static bool rst_exact(const struct fnat_pkt *p, const struct fnat_dir *d,
		      const struct fnat_dir *peer)
{
	u32 seq = p->seq + d->seq_off;

	if (peer->flags & FNAT_DIR_ACKED)
		return seq == peer->ack || seq == peer->ack - 1;
	if (d->flags & FNAT_DIR_SENT)
		return p->seq == d->seq_end;
	return p->tcp_flags & FNAT_TH_ACK &&
	       p->ack + d->ack_off == peer->seq_end;
}

/*
 * Whether a FIN falls into the window that its receiver holds open. One that
 * was acknowledged before is no news.
 */
static enum fnat_tcp_event fin_event(const struct fnat_pkt *p,
				     const struct fnat_dir *d,
				     const struct fnat_dir *peer)
{
	u32 fin = p->seq + p->seg_len - 1 + d->seq_off;
	u32 win = (u32)peer->win << (peer->flags & FNAT_DIR_WSCALE);

	if (peer->flags & FNAT_DIR_ACKED) {
		if (before(fin, peer->ack))
			return FNAT_TCP_EV_NONE;
		if (!after(fin, peer->ack + win))
			return FNAT_TCP_EV_FIN;
	}
	fnat_count(p->fn, FNAT_EV_BAD_FIN);
	return FNAT_TCP_EV_NONE;
}

/* What @p, which is more than an ACK or comes in a passing state, means. */
static enum fnat_tcp_event event(const struct fnat_pkt *p,
				 const struct fnat_dir *d,
				 const struct fnat_dir *peer, u8 state)
{
	if (p->tcp_flags & (FNAT_TH_RST | FNAT_TH_FIN) && !fnat_pkt_intact(p))
		return FNAT_TCP_EV_NONE;
	if (p->tcp_flags & FNAT_TH_RST) {
		if (rst_exact(p, d, peer))
			return FNAT_TCP_EV_RST;
		fnat_count(p->fn, FNAT_EV_BAD_RST);
		return FNAT_TCP_EV_NONE;
	}
	if (p->tcp_flags & FNAT_TH_SYN)
		return FNAT_TCP_EV_NONE;
	if (p->tcp_flags & FNAT_TH_FIN)
		return fin_event(p, d, peer);
	if (fnat_dir_which(d) == FNAT_C2S && p->tcp_flags & FNAT_TH_ACK &&
	    peer->flags & FNAT_DIR_SENT &&
	    p->ack + d->ack_off == peer->seq_end)
		return state == FNAT_TCP_S_SYN_RECV ? FNAT_TCP_EV_ACK_SYN :
						      FNAT_TCP_EV_ACK_FIN;
	return FNAT_TCP_EV_NONE;
}

/*
 * Window scaling holds if both SYNs offer it (RFC 7323 2.2). The client's
 * offer waits in its direction until the server has answered.
 */
static void learn_wscale(const struct fnat_pkt *p, struct fnat_dir *d,
			 struct fnat_dir *peer)
{
	const struct tcphdr *th = fnat_pkt_tcp(p);
	int ws = fnat_tcpopt_wscale((const u8 *)(th + 1),
				    p->thlen - sizeof(*th));

	d->flags &= ~FNAT_DIR_WSCALE;
	if (ws > 0)
		d->flags |= ws;
	if (ws < 0 && p->tcp_flags & FNAT_TH_ACK)
		peer->flags &= ~FNAT_DIR_WSCALE;
}

/*
 * Remembers how far this side has come. Only its own line is written; two
 * CPUs that race within one direction lose at most one update.
 */
static void advance(const struct fnat_pkt *p, struct fnat_dir *d)
{
	u32 end = p->seq + p->seg_len;

	if (after(end, d->seq_end))
		WRITE_ONCE(d->seq_end, end);
	if (after(p->ack, d->ack))
		WRITE_ONCE(d->ack, p->ack);
	if (p->win > d->win)
		WRITE_ONCE(d->win, p->win);
}

/* The same, where this side may not have said anything before. */
static void advance_first(const struct fnat_pkt *p, struct fnat_dir *d)
{
	if (!(d->flags & FNAT_DIR_SENT))
		WRITE_ONCE(d->seq_end, p->seq + p->seg_len);
	if (!(d->flags & FNAT_DIR_ACKED))
		WRITE_ONCE(d->ack, p->ack);
	advance(p, d);
	d->flags |= FNAT_DIR_SENT;
	if (p->tcp_flags & FNAT_TH_ACK)
		d->flags |= FNAT_DIR_ACKED;
}

static void track_tcp(const struct fnat_pkt *p, struct fnat_dir *d,
		      struct fnat_conn *c)
{
	struct fnat_dir *peer = fnat_dir_other(d);
	enum fnat_state next;

	spin_lock(&c->lock);
	next = fnat_tcp_next(c->state, fnat_dir_which(d),
			     event(p, d, peer, c->state));
	if (p->tcp_flags & FNAT_TH_SYN)
		learn_wscale(p, d, peer);
	if (!(p->tcp_flags & FNAT_TH_RST))
		advance_first(p, d);
	if (next != c->state)
		fnat_conn_set_state(p->fn, c, next);
	spin_unlock(&c->lock);
}

void fnat_track(const struct fnat_pkt *p, struct fnat_dir *d)
{
	struct fnat_conn *c = fnat_dir_conn(d);

	if (p->proto == IPPROTO_TCP) {
		if (likely(c->state == FNAT_TCP_S_ESTABLISHED &&
			   !(p->tcp_flags & (FNAT_TH_SYN | FNAT_TH_FIN |
					     FNAT_TH_RST))))
			advance(p, d);
		else
			track_tcp(p, d, c);
	}
	fnat_conn_touch(p->fn, c);
}
