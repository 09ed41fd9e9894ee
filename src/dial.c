// SPDX-License-Identifier: GPL-2.0
#include <linux/slab.h>
#include <linux/timer.h>

#include "begin.h"
#include "conn.h"
#include "dest.h"
#include "dial.h"
#include "dial_say.h"
#include "lport.h"
#include "offer.h"
#include "pkt.h"
#include "svc.h"
#include "synproxy.h"

/*
 * Owned by dir[FNAT_S2C].dial of its connection and, with all that changes, under
 * its lock; whoever takes it from there frees it after a grace period. The timer
 * is armed under the lock only while it is there.
 */
struct fnat_dial {
	struct fnat_net		*fn;
	struct fnat_conn	*conn;
	struct fnat_proof	proof;
	struct timer_list	timer;
	struct sk_buff_head	early;		/* the ACK, and what followed it */
	u32			next;		/* the client's number after those */
	unsigned int		held;		/* bytes of memory in them */
	u8			tries;		/* SYNs sent to that server */
	bool			again;		/* it is the second that is asked */
	struct rcu_head		rcu;
};

/* The first SYN is repeated after a second, as RFC 6298 2.1 has it, then doubly. */
#define FIRST_RETRY	HZ

/* Borrowed under c->lock; NULL: none, or it is not to be used any more. */
static struct fnat_dial *dial_of(struct fnat_conn *c)
{
	lockdep_assert_held(&c->lock);
	if (c->state != FNAT_TCP_S_SYN_SENT || c->flags & FNAT_CONN_DEAD)
		return NULL;
	return c->dir[FNAT_S2C].dial;
}

/* Of @c, whose lock the caller holds: no longer there, and nobody's timer. */
static struct fnat_dial *take(struct fnat_conn *c)
{
	struct fnat_dial *dial = c->dir[FNAT_S2C].dial;

	if (c->state != FNAT_TCP_S_SYN_SENT || !dial)
		return NULL;
	c->dir[FNAT_S2C].dial = NULL;
	timer_delete(&dial->timer);
	atomic_sub(dial->held, &dial->fn->early_held);
	return dial;
}

static void bury(struct fnat_dial *dial)
{
	if (!dial)
		return;
	__skb_queue_purge(&dial->early);
	kfree_rcu(dial, rcu);
}

/*
 * Nobody takes @c, whose @dial has been taken from it, and whose client is told or
 * has said so itself. It stays as one that was reset does: what else the client has
 * on its way holds the cookie still, and is not to begin a second time.
 */
static void shut(struct fnat_conn *c, const struct fnat_dial *dial)
{
	struct fnat_dir *in = &c->dir[FNAT_C2S];

	in->seq_end = dial->next;
	in->ack = dial->proof.told + 1;
	in->flags |= FNAT_DIR_SENT | FNAT_DIR_ACKED;
	fnat_conn_set_state(dial->fn, c, FNAT_TCP_S_CLOSE);
}

void fnat_dial_end(struct fnat_conn *c)
{
	struct fnat_dial *dial;

	spin_lock(&c->lock);
	dial = take(c);
	spin_unlock(&c->lock);
	bury(dial);
}

/*
 * Timestamps of a client that has been told ours: as those of one that comes without
 * a cookie, but for the server's, which will go on from what was told. Where they
 * are to be taken out the client was told none, unless that is new.
 */
static void stamp(struct fnat_dial *dial, struct fnat_conn *c)
{
	const struct fnat_tcpopt_offer *offer = &dial->proof.offer;
	struct fnat_net *fn = dial->fn;
	u32 off = 0;

	if (!offer->stamped)
		return;
	if (c->lports && READ_ONCE(fn->tune.timestamp) != FNAT_TIMESTAMP_PASS)
		off = fnat_lport_timestamp(fn, c->lports, c->port_index) -
		      offer->tsval;
	fnat_conn_shift_timestamps(c, off, 0);
}

/* @c, which nobody has seen yet, is to be dialled by @dial, which is its now. */
static void attach(struct fnat_dial *dial, struct fnat_conn *c)
{
	stamp(dial, c);
	dial->conn = c;
	atomic_add(dial->held, &dial->fn->early_held);
	c->dir[FNAT_S2C].dial = dial;
	c->state = FNAT_TCP_S_SYN_SENT;
}

/*
 * The server of @c is silent: another one is asked, by a connection that takes the
 * place of @c with all that the client has sent; or the client is told. @dial has
 * been taken from @c.
 */
static void give_way(struct fnat_dial *dial, struct fnat_conn *c)
{
	struct fnat_net *fn = dial->fn;
	struct fnat_conn *next = NULL;

	if (!dial->again && !fnat_conn_is_probe(c))
		next = fnat_begin_elsewhere(fn, c, dial->proof.isn);
	if (!next) {
		bury(dial);
	} else {
		dial->again = true;
		attach(dial, next);
		if (fnat_conn_replace(fn, c, next)) {
			fnat_count(fn, FNAT_EV_SYNPROXY_REDIALLED);
			fnat_dial_start(next);
			return;
		}
	}
	/* It is readable until the caller lets go of RCU. */
	if (fnat_conn_is_probe(c)) {
		fnat_conn_kill(fn, c);
		return;
	}
	fnat_say_reset_client(c, fn, &dial->proof);
	spin_lock(&c->lock);
	shut(c, dial);
	spin_unlock(&c->lock);
}

/* Nobody answers: another SYN; that was the last, and it is somebody else's turn. */
static void ring_again(struct timer_list *timer)
{
	struct fnat_dial *dial = container_of(timer, struct fnat_dial, timer);
	struct fnat_net *fn = dial->fn;
	struct fnat_conn *c;
	bool ours, more;

	rcu_read_lock();
	c = dial->conn;
	spin_lock(&c->lock);
	ours = dial_of(c) == dial;
	more = dial->tries <= READ_ONCE(fn->tune.syn_retry);
	if (ours && more) {
		mod_timer(&dial->timer, jiffies + (FIRST_RETRY << dial->tries));
		dial->tries++;
		/* Some throw such SYNs away (RFC 3168 6.1.1.1). */
		if (fnat_conn_is_probe(c))
			dial->proof.offer.ecn = false;
	} else if (ours) {
		take(c);
	}
	spin_unlock(&c->lock);
	if (ours) {
		fnat_count(fn, FNAT_EV_SYNPROXY_RS_ERROR);
		if (more)
			fnat_say_syn(c, fn, &dial->proof);
		else
			give_way(dial, c);
	}
	rcu_read_unlock();
}

int fnat_dial_new(struct fnat_net *fn, struct fnat_conn *c,
		  const struct fnat_proof *proof)
{
	struct fnat_dial *dial = kzalloc(sizeof(*dial), FNAT_GFP_PACKET);

	if (!dial)
		return -ENOMEM;
	WRITE_ONCE(fn->dialled, true);
	dial->fn = fn;
	dial->proof = *proof;
	dial->next = proof->isn + 1;
	__skb_queue_head_init(&dial->early);
	timer_setup(&dial->timer, ring_again, 0);
	attach(dial, c);
	return 0;
}

void fnat_dial_start(struct fnat_conn *c)
{
	struct fnat_dial *dial;

	spin_lock(&c->lock);
	dial = dial_of(c);
	if (dial) {
		dial->tries = 1;
		mod_timer(&dial->timer, jiffies + FIRST_RETRY);
	}
	spin_unlock(&c->lock);
	if (dial)
		fnat_say_syn(c, dial->fn, &dial->proof);
}

/*
 * Keeps @p for the server, if there is room, which all clients share: the first,
 * which is the ACK that ends the handshake, then a few that follow in order. Who
 * sends more than we let him has to send it again; an ACK that is missing at the
 * server is asked for by its next SYN-ACK.
 */
static bool keep(struct fnat_dial *dial, const struct fnat_pkt *p)
{
	struct fnat_net *fn = dial->fn;
	struct sk_buff *skb = p->skb;
	u32 n = skb_queue_len(&dial->early);

	if (p->seq != dial->next ||
	    atomic_read(&fn->early_held) >> 10 >= READ_ONCE(fn->tune.early_kib) ||
	    (n && (!p->seg_len || n > READ_ONCE(fn->tune.early_max))))
		return false;
	skb_orphan(skb);
	nf_reset_ct(skb);
	skb_dst_drop(skb);
	/* Found again by its number: nobody is to wait for us to let go of it. */
	skb->skb_iif = skb->dev->ifindex;
	skb->dev = NULL;
	dial->next += p->seg_len;
	dial->held += skb->truesize;
	atomic_add(skb->truesize, &fn->early_held);
	__skb_queue_tail(&dial->early, skb);
	return true;
}

/* What becomes of a connection and of the skb that decided it. */
enum outcome {
	IGNORED,	/* dropped: it says nothing to us */
	NO_ROOM,	/* dropped: it comes again */
	KEPT,
	ANSWERED,	/* it is up */
	PROBED,		/* the server has said what it can, which was all */
	STALE,		/* the server remembers a connection before it */
	CHALLENGED,	/* the client may want to begin anew, or it is forged */
	GIVEN_UP,	/* by one side; the other is told */
};

/*
 * A RST counts if its number is the next; one within the window, and a SYN, are asked
 * for it (RFC 5961 3.2, 4.2), by the number that we acknowledge: the first.
 */
static enum outcome challenge(const struct fnat_dial *dial,
			      const struct fnat_pkt *p)
{
	u32 first = dial->proof.isn + 1;

	if (!fnat_pkt_intact(p))
		return IGNORED;
	if (p->tcp_flags & FNAT_TH_SYN)
		return CHALLENGED;
	if (p->seq == dial->next || p->seq == first)
		return GIVEN_UP;
	return p->seq - first <= 0xffff ? CHALLENGED : IGNORED;
}

/* The client has more to say, or no more interest. */
static enum outcome from_client(struct fnat_dial *dial, const struct fnat_pkt *p)
{
	if (p->tcp_flags & (FNAT_TH_RST | FNAT_TH_SYN))
		return challenge(dial, p);
	if (!(p->tcp_flags & FNAT_TH_ACK))
		return IGNORED;
	return keep(dial, p) ? KEPT : NO_ROOM;
}

/*
 * RFC 9293 3.10.7.3: only what acknowledges our SYN is an answer. Another ACK tells
 * of a connection that only the server remembers; reset, it takes the next SYN.
 */
static enum outcome from_server(struct fnat_dial *dial, const struct fnat_pkt *p)
{
	if (!(p->tcp_flags & FNAT_TH_ACK) || !fnat_pkt_intact(p))
		return IGNORED;
	if (p->ack != fnat_say_isn(dial->conn, &dial->proof) + 1)
		return p->tcp_flags & FNAT_TH_RST ? IGNORED : STALE;
	if (p->tcp_flags & FNAT_TH_RST)
		return GIVEN_UP;
	if (!(p->tcp_flags & FNAT_TH_SYN))
		return IGNORED;
	return fnat_conn_is_probe(dial->conn) ? PROBED : ANSWERED;
}

/* Both sides have been told a scale by us, where they offered one. */
static void set_scales(struct fnat_conn *c, int client, int server)
{
	c->dir[FNAT_C2S].flags |= client;
	if (server != FNAT_OFFER_SCALE)
		c->proxied |= FNAT_PROXIED_RESCALE;
	if (server < 0)
		c->proxied |= FNAT_PROXIED_UNSCALED;
	c->dir[FNAT_S2C].flags |= max(server, 0);
}

/* What the SYN-ACK @p says that its server does. */
static void read_answer(const struct fnat_pkt *p,
			struct fnat_tcpopt_offer *server)
{
	const struct tcphdr *th = fnat_pkt_tcp(p);

	fnat_tcpopt_read((const u8 *)(th + 1), p->thlen - sizeof(*th), server);
	server->ecn = (p->tcp_flags & (FNAT_TH_ECE | FNAT_TH_CWR)) == FNAT_TH_ECE;
}

/*
 * Both sides' books, as if we had only passed on what they said. Either side has
 * been told a scale by us: where the other uses another, windows are shifted.
 */
static void splice(const struct fnat_pkt *p, struct fnat_dir *out,
		   const struct fnat_proof *proof)
{
	struct fnat_dir *in = fnat_dir_other(out);
	struct fnat_conn *c = fnat_dir_conn(out);
	struct fnat_tcpopt_offer server;

	read_answer(p, &server);
	in->ack_off = p->seq - proof->told;
	in->seq_end = proof->isn + 1;
	in->ack = proof->told + 1;
	in->flags |= FNAT_DIR_SENT | FNAT_DIR_ACKED;

	out->seq_off = proof->told - p->seq;
	out->seq_end = p->seq + 1;
	out->ack = p->ack;
	out->win = p->win;
	out->flags |= FNAT_DIR_SENT | FNAT_DIR_ACKED;
	c->proxied = FNAT_PROXIED_SPLICED;
	if (proof->offer.wscale >= 0)
		set_scales(c, proof->offer.wscale, server.wscale);
	if (proof->offer.stamped && server.stamped)
		fnat_conn_shift_timestamps(c, c->ts_off[FNAT_C2S],
					   proof->offer.tsecr - server.tsval);
	fnat_offer_learn(c->dest, &proof->offer, &server);
}

/* Somebody does not want it: the other side is to know. */
static void give_up(const struct fnat_pkt *p, struct fnat_dir *d,
		    const struct fnat_proof *proof)
{
	struct fnat_conn *c = fnat_dir_conn(d);

	if (fnat_dir_which(d) == FNAT_C2S) {
		fnat_say_reset_server(c, p->fn, fnat_say_isn(c, proof) + 1);
		return;
	}
	fnat_count(p->fn, FNAT_EV_SYNPROXY_RS_ERROR);
	if (fnat_conn_is_probe(c))
		fnat_conn_kill(p->fn, c);
	else
		fnat_say_reset_client(c, p->fn, proof);
}

/* @p is the answer to a probe, which ends with it. */
static void note(const struct fnat_pkt *p, struct fnat_conn *c,
		 const struct fnat_proof *proof)
{
	struct fnat_tcpopt_offer server;

	read_answer(p, &server);
	fnat_offer_learn(c->dest, &proof->offer, &server);
	fnat_say_reset_server(c, p->fn, p->ack);
	fnat_conn_kill(p->fn, c);
}

/* What is to follow from @p, @outcome of which is known; not under the lock. */
static void act(const struct fnat_pkt *p, struct fnat_dir *d,
		const struct fnat_proof *proof, enum outcome outcome)
{
	bool keeps = READ_ONCE(p->fn->tune.early_max);
	struct fnat_conn *c = fnat_dir_conn(d);

	switch (outcome) {
	case ANSWERED:
		/* Its window has been shut until now. */
		if (!keeps)
			fnat_say_ack(c, p->fn, proof, fnat_say_scaled(proof, p->win));
		break;
	case PROBED:
		note(p, c, proof);
		break;
	case STALE:
		fnat_say_reset_server(c, p->fn, p->ack);
		break;
	case CHALLENGED:
		fnat_say_ack(c, p->fn, proof, keeps ? fnat_say_scaled(proof, 0xffff) : 0);
		break;
	case GIVEN_UP:
		give_up(p, d, proof);
		break;
	default:
		return;
	}
	consume_skb(p->skb);
}

static unsigned int verdict_on(const struct fnat_pkt *p, enum outcome outcome)
{
	switch (outcome) {
	case IGNORED:
		return fnat_drop(p, FNAT_DROP_DIALLING);
	case NO_ROOM:
		return fnat_drop(p, FNAT_DROP_EARLY);
	default:
		return NF_STOLEN;
	}
}

bool fnat_dial_packet(const struct fnat_pkt *p, struct fnat_dir *d,
		      struct sk_buff_head *early, unsigned int *verdict)
{
	struct fnat_conn *c = fnat_dir_conn(d);
	enum outcome outcome;
	struct fnat_dial *dial;
	bool over;

	spin_lock(&c->lock);
	dial = dial_of(c);
	if (!dial) {
		/* It has ended, or its server gives way: nobody takes it now. */
		over = c->state == FNAT_TCP_S_SYN_SENT;
		spin_unlock(&c->lock);
		if (over)
			*verdict = fnat_drop(p, FNAT_DROP_DIALLING);
		return over;
	}
	outcome = fnat_dir_which(d) == FNAT_C2S ? from_client(dial, p) :
						  from_server(dial, p);
	over = outcome == ANSWERED || outcome == PROBED || outcome == GIVEN_UP;
	/* Or its timer might ask another server meanwhile. */
	if (over)
		take(c);
	if (outcome == ANSWERED) {
		splice(p, d, &dial->proof);
		skb_queue_splice_init(&dial->early, early);
		fnat_conn_set_state(p->fn, c, FNAT_TCP_S_ESTABLISHED);
	} else if (outcome == GIVEN_UP && !fnat_conn_is_probe(c)) {
		shut(c, dial);
	}
	spin_unlock(&c->lock);

	*verdict = verdict_on(p, outcome);
	act(p, d, &dial->proof, outcome);
	if (over)
		bury(dial);
	return true;
}

bool fnat_dial_error(const struct fnat_pkt *p, struct fnat_dir *back, u32 seq,
		     bool unreachable)
{
	struct fnat_conn *c = fnat_dir_conn(back);
	struct fnat_dial *dial;
	bool over;

	spin_lock(&c->lock);
	dial = dial_of(c);
	over = dial && unreachable && fnat_dir_which(back) == FNAT_S2C &&
	       seq == fnat_say_isn(c, &dial->proof);
	if (over)
		take(c);
	spin_unlock(&c->lock);
	if (over) {
		fnat_count(p->fn, FNAT_EV_SYNPROXY_RS_ERROR);
		give_way(dial, c);
	}
	return dial;
}
