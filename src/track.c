// SPDX-License-Identifier: GPL-2.0
#include <net/tcp.h>

#include "conn.h"
#include "lport.h"
#include "pkt.h"
#include "tcpopt.h"
#include "track.h"

/*
 * What @peer has acknowledged of what @d sent, as @peer numbers it. Nobody
 * acknowledges what was not sent: a forged ACK does not get further.
 */
static u32 acked(const struct fnat_dir *d, const struct fnat_dir *peer)
{
	u32 sent = d->seq_end + d->seq_off;

	return after(peer->ack, sent) ? sent : peer->ack;
}

/* The end of the window that @peer holds open for @d. */
static u32 window_end(const struct fnat_dir *d, const struct fnat_dir *peer)
{
	return acked(d, peer) +
	       ((u32)peer->win << (peer->flags & FNAT_DIR_WSCALE));
}

/*
 * A receiver takes the RST whose sequence is the very one it expects (RFC 5961
 * 3.2), or one less once it has acknowledged a FIN. Before it has acknowledged
 * anything, the RST must answer its SYN or follow ours.
 *
 * An ACK may be on its way that we have not seen: a RST right behind what was
 * sent last is probably good, too. If not, its receiver will say so.
 */
static enum fnat_tcp_event rst_event(const struct fnat_pkt *p,
				     const struct fnat_dir *d,
				     const struct fnat_dir *peer, u8 state)
{
	bool sent = d->flags & FNAT_DIR_SENT;
	u32 seq = p->seq + d->seq_off;
	bool good;

	if (!(peer->flags & FNAT_DIR_ACKED))
		good = sent ? p->seq == d->seq_end :
			      p->tcp_flags & FNAT_TH_ACK &&
			      p->ack + d->ack_off == peer->seq_end;
	else
		good = seq == acked(d, peer) ||
		       (state != FNAT_TCP_S_ESTABLISHED &&
			seq == acked(d, peer) - 1);
	if (good)
		return FNAT_TCP_EV_RST;
	if (state == FNAT_TCP_S_ESTABLISHED && sent && p->seq == d->seq_end &&
	    !after(seq, window_end(d, peer)))
		return FNAT_TCP_EV_RST_MAYBE;
	fnat_count(p->fn, FNAT_EV_BAD_RST);
	return FNAT_TCP_EV_NONE;
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

	if (peer->flags & FNAT_DIR_ACKED) {
		if (before(fin, acked(d, peer)))
			return FNAT_TCP_EV_NONE;
		if (!after(fin, window_end(d, peer)))
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
	if (p->tcp_flags & FNAT_TH_RST)
		return rst_event(p, d, peer, state);
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
 * offer waits in its direction until the server has answered. A SYN over what is
 * up says nothing, for it may be forged.
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
	/* To a client of the SYN proxy we have said more than its server does. */
	if (ws < 0 && p->tcp_flags & FNAT_TH_ACK &&
	    !(fnat_dir_conn(d)->proxied & FNAT_PROXIED_UNSCALED))
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
	if (p->tcp_flags & FNAT_TH_ACK && after(p->ack, d->ack))
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

/*
 * A SYN from behind the last segment is new (RFC 9293 3.6.1), and so is one
 * that offers timestamps where there were none (RFC 6191 2). Where there were
 * we have not kept the last one: the server has, in its TIME_WAIT.
 */
static bool is_new_syn(const struct fnat_pkt *p, const struct fnat_dir *d)
{
	u32 val;

	if (!before(p->seq, d->seq_end))
		return true;
	return !(d->flags & FNAT_DIR_STAMPED) && fnat_dir_has_lip(d) &&
	       READ_ONCE(p->fn->tune.timestamp) != FNAT_TIMESTAMP_PASS &&
	       fnat_pkt_timestamp(p, &val);
}

bool fnat_track_reopens(const struct fnat_pkt *p, const struct fnat_dir *d)
{
	const struct fnat_conn *c = container_of(d, struct fnat_conn,
						 dir[FNAT_C2S]);

	if (c->flags & FNAT_CONN_DOUBTED)
		return false;
	/* With Route nobody hears what the server thinks of it. */
	if (c->state == FNAT_TCP_S_CLOSE || c->flags & FNAT_CONN_ROUTE)
		return fnat_conn_has_closed(c);
	return fnat_state_lingers(c->state) && is_new_syn(p, d);
}

/* A side may be so far ahead of what we have seen of it, after losses; or behind. */
#define AHEAD	(1024 * 1024)

bool fnat_track_is_late(const struct fnat_pkt *p, const struct fnat_dir *d)
{
	const u8 both = FNAT_DIR_SENT | FNAT_DIR_ACKED;

	return (d->flags & both) == both && d->seq_end - p->seq < AHEAD &&
	       d->ack - p->ack < AHEAD;
}

/*
 * Whether @p is the SYN-ACK of a connection that has begun anew unseen: the
 * server had forgotten the one we hold, chose another number this time, or
 * found a SYN newer than we did. One that acknowledges what has long been
 * acknowledged answers no newer SYN: it is late, or forged.
 */
static bool restarts(const struct fnat_pkt *p, const struct fnat_dir *d,
		     u8 state)
{
	const u8 synack = FNAT_TH_SYN | FNAT_TH_ACK;

	return fnat_dir_which(d) == FNAT_S2C &&
	       (p->tcp_flags & synack) == synack &&
	       d->flags & FNAT_DIR_SENT && p->seq + p->seg_len != d->seq_end &&
	       (state == FNAT_TCP_S_SYN_RECV ||
		(state == FNAT_TCP_S_ESTABLISHED && d->ack - p->ack >= AHEAD) ||
		fnat_state_lingers(state));
}

/*
 * Both sides begin from what the SYN-ACK @p says, the scale of windows included:
 * the client hears it from the server itself.
 */
static void restart(const struct fnat_pkt *p, struct fnat_dir *d,
		    struct fnat_dir *peer)
{
	struct fnat_conn *c = fnat_dir_conn(d);

	c->proxied &= ~(FNAT_PROXIED_RESCALE | FNAT_PROXIED_UNSCALED);
	d->flags &= ~(FNAT_DIR_SENT | FNAT_DIR_ACKED);
	d->win = 0;
	peer->flags &= ~FNAT_DIR_ACKED;
	WRITE_ONCE(peer->seq_end, p->ack + d->ack_off);
}

/* A client's SYN over a connection that is up tells nothing until answered. */
static bool is_late_syn(const struct fnat_pkt *p, const struct fnat_dir *d,
			u8 state)
{
	return p->tcp_flags & FNAT_TH_SYN && fnat_dir_which(d) == FNAT_C2S &&
	       state != FNAT_TCP_S_SYN_RECV;
}

/*
 * What @p, of a client whose server is not seen, means: measured by what the
 * client has sent before. A RST with another number than the next may be forged.
 */
static enum fnat_tcp_event event_alone(const struct fnat_pkt *p,
				       const struct fnat_dir *d)
{
	bool near = p->seq + p->seg_len - d->seq_end <= AHEAD;

	if (!(d->flags & FNAT_DIR_SENT) || p->tcp_flags & FNAT_TH_SYN)
		return FNAT_TCP_EV_NONE;
	if (p->tcp_flags & FNAT_TH_RST) {
		if (p->seq == d->seq_end)
			return FNAT_TCP_EV_RST;
		fnat_count(p->fn, FNAT_EV_BAD_RST);
		return FNAT_TCP_EV_NONE;
	}
	if (p->tcp_flags & FNAT_TH_FIN) {
		if (near)
			return FNAT_TCP_EV_FIN;
		fnat_count(p->fn, FNAT_EV_BAD_FIN);
		return FNAT_TCP_EV_NONE;
	}
	return near && p->tcp_flags & FNAT_TH_ACK ? FNAT_TCP_EV_ACK_SYN :
						    FNAT_TCP_EV_NONE;
}

static enum fnat_state next_state(const struct fnat_pkt *p, struct fnat_dir *d,
				  struct fnat_dir *peer, struct fnat_conn *c)
{
	enum fnat_state state = c->state;
	enum fnat_tcp_event ev;

	if (c->flags & FNAT_CONN_ROUTE)
		return fnat_tcp_next_alone(state, event_alone(p, d));
	if (restarts(p, d, state)) {
		restart(p, d, peer);
		return FNAT_TCP_S_SYN_RECV;
	}
	/* Somebody speaks on: that RST was not taken. */
	if (c->flags & FNAT_CONN_DOUBTED && !(p->tcp_flags & FNAT_TH_RST))
		state = FNAT_TCP_S_ESTABLISHED;
	ev = event(p, d, peer, state);
	if (ev == FNAT_TCP_EV_RST_MAYBE)
		c->flags |= FNAT_CONN_DOUBTED;
	else if (ev == FNAT_TCP_EV_RST || state == FNAT_TCP_S_ESTABLISHED)
		c->flags &= ~FNAT_CONN_DOUBTED;
	return fnat_tcp_next(state, fnat_dir_which(d), ev);
}

/*
 * @p, of a client that is about to be done, carries what the server will
 * remember in TIME_WAIT. There is no telling what that is if the timestamp is
 * missing now, and no waiting until our clock has passed it if it is ahead.
 */
static void note_timestamp(const struct fnat_pkt *p, struct fnat_conn *c)
{
	u32 val;

	/* Its own clock reaches the server: that is not ours to keep. */
	if (!c->ts_off[FNAT_C2S])
		return;
	if (!fnat_pkt_timestamp(p, &val) ||
	    after(val + c->ts_off[FNAT_C2S],
		  fnat_lport_timestamp(p->fn, c->lports, c->port_index)))
		c->flags |= FNAT_CONN_TS_LOST;
}

/* Whether @p may be the last of a client's that leaves a TIME_WAIT behind. */
static bool parts(const struct fnat_pkt *p, const struct fnat_dir *d, u8 state)
{
	return fnat_dir_which(d) == FNAT_C2S &&
	       !(p->tcp_flags & FNAT_TH_RST) &&
	       state != FNAT_TCP_S_ESTABLISHED && state != FNAT_TCP_S_SYN_RECV;
}

static noinline_for_stack
void track_tcp(const struct fnat_pkt *p, struct fnat_dir *d,
	       struct fnat_conn *c)
{
	const u8 loud = FNAT_TH_SYN | FNAT_TH_FIN | FNAT_TH_RST;
	struct fnat_dir *peer = fnat_dir_other(d);
	enum fnat_state next;

	if (p->tcp_flags & loud && !fnat_pkt_intact(p))
		return;
	spin_lock(&c->lock);
	next = next_state(p, d, peer, c);
	if (p->tcp_flags & FNAT_TH_SYN &&
	    (next == FNAT_TCP_S_SYN_RECV || fnat_state_lingers(next)))
		learn_wscale(p, d, peer);
	if (!(p->tcp_flags & FNAT_TH_RST) && !is_late_syn(p, d, c->state))
		advance_first(p, d);
	if (d->flags & FNAT_DIR_STAMPED && parts(p, d, next))
		note_timestamp(p, c);
	if (next != c->state)
		fnat_conn_set_state(p->fn, c, next);
	spin_unlock(&c->lock);
}

/*
 * The rest of an answer in several parts follows close behind its first. With
 * Masq the same port may ask again.
 */
static void track_onepacket(const struct fnat_pkt *p, const struct fnat_dir *d,
			    struct fnat_conn *c)
{
	enum fnat_state next = fnat_dir_which(d) == FNAT_S2C ? FNAT_S_UDP_DONE :
							       FNAT_S_UDP_ASKED;

	if (c->state == next || c->flags & FNAT_CONN_ROUTE)
		return;
	spin_lock(&c->lock);
	fnat_conn_set_state(p->fn, c, next);
	spin_unlock(&c->lock);
}

/* Whether @p is an ACK that tells its receiver nothing that it has not heard before. */
static bool is_old_ack(const struct fnat_pkt *p, const struct fnat_dir *d)
{
	const u8 loud = FNAT_TH_SYN | FNAT_TH_FIN | FNAT_TH_RST;

	return (p->tcp_flags & (loud | FNAT_TH_ACK)) == FNAT_TH_ACK &&
	       !p->seg_len && !after(p->seq, d->seq_end) &&
	       !after(p->ack, d->ack) && p->win <= d->win;
}

/*
 * Duplicate ACKs answer data, probes of windows and of life come by timers that back
 * off or have a second: none of them makes two sides answer each other's ACKs, with
 * nothing else between, for more than a few times a second.
 */
bool fnat_track_storms(const struct fnat_pkt *p, struct fnat_dir *d)
{
	struct fnat_conn *c = fnat_dir_conn(d);
	u8 was = READ_ONCE(c->proxied);
	u8 n = was & FNAT_PROXIED_STORM;
	bool server = fnat_dir_which(d) == FNAT_S2C;
	int thresh = READ_ONCE(p->fn->tune.ack_storm_thresh);

	if (likely(!is_old_ack(p, d))) {
		if (unlikely(n))
			WRITE_ONCE(c->proxied, was & ~FNAT_PROXIED_STORM);
		return false;
	}
	/* Each second counts half as much as the one before it. */
	n >>= min_t(u32, fnat_now() - READ_ONCE(c->stamp), 8);
	if (server && !(was & FNAT_PROXIED_S2C) && n < FNAT_PROXIED_STORM)
		n++;
	was &= ~(FNAT_PROXIED_STORM | FNAT_PROXIED_S2C);
	WRITE_ONCE(c->proxied, was | n | (server ? FNAT_PROXIED_S2C : 0));
	return thresh && n > thresh;
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
	} else if (unlikely(c->state != FNAT_S_UDP)) {
		track_onepacket(p, d, c);
	}
	fnat_conn_touch(p->fn, c);
}
