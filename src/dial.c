// SPDX-License-Identifier: GPL-2.0
#include <linux/slab.h>
#include <linux/timer.h>

#include "begin.h"
#include "conn.h"
#include "dest.h"
#include "dial.h"
#include "lport.h"
#include "offer.h"
#include "pkt.h"
#include "segment.h"
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

/* As the client numbers and scales things, or the server: a segment from there. */
static void send(struct fnat_conn *c, struct fnat_net *fn, enum fnat_end from,
		 enum fnat_end to, struct fnat_segment *s)
{
	const union nf_inet_addr saddr = fnat_conn_addr(c, from);
	const union nf_inet_addr daddr = fnat_conn_addr(c, to);

	s->saddr = &saddr;
	s->daddr = &daddr;
	s->af = fnat_dir_af(&c->dir[FNAT_C2S]);
	s->ports = fnat_ports(fnat_conn_port(c, from), fnat_conn_port(c, to));
	s->l3mdev = c->dir[to == FNAT_END_CLIENT ? FNAT_C2S : FNAT_S2C].l3mdev;
	fnat_segment_send(fn, s);
}

/* What the server sees of the client's first number. */
static u32 server_isn(const struct fnat_conn *c, const struct fnat_proof *proof)
{
	return proof->isn + c->dir[FNAT_C2S].seq_off;
}

static void call_server(struct fnat_conn *c, struct fnat_net *fn,
			const struct fnat_proof *proof)
{
	struct fnat_tcpopt_offer offer = proof->offer;
	struct fnat_segment syn = {
		.seq	= server_isn(c, proof),
		.flags	= FNAT_TH_SYN,
		.win	= proof->win,
		.offer	= &offer,
	};

	offer.tsval += c->ts_off[FNAT_C2S];
	offer.tsecr = 0;
	if (offer.ecn)
		syn.flags |= FNAT_TH_ECE | FNAT_TH_CWR;
	send(c, fn, FNAT_END_LIP, FNAT_END_SERVER, &syn);
}

static void reset_server(struct fnat_conn *c, struct fnat_net *fn, u32 seq)
{
	struct fnat_segment rst = {
		.seq	= seq,
		.flags	= FNAT_TH_RST,
	};

	send(c, fn, FNAT_END_LIP, FNAT_END_SERVER, &rst);
}

/* Unless there is none: that was a probe. */
static void reset_client(struct fnat_conn *c, struct fnat_net *fn,
			 const struct fnat_proof *proof)
{
	struct fnat_segment rst = {
		.seq	= proof->told + 1,
		.ack	= proof->isn + 1,
		.flags	= FNAT_TH_RST | FNAT_TH_ACK,
	};

	if (!fnat_conn_is_probe(c))
		send(c, fn, FNAT_END_VIP, FNAT_END_CLIENT, &rst);
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

void fnat_dial_end(struct fnat_conn *c)
{
	struct fnat_dial *dial;

	spin_lock_bh(&c->lock);
	dial = take(c);
	spin_unlock_bh(&c->lock);
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
	reset_client(c, fn, &dial->proof);
	fnat_conn_kill(fn, c);
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
			call_server(c, fn, &dial->proof);
		else
			give_way(dial, c);
	}
	rcu_read_unlock();
}

int fnat_dial_new(struct fnat_net *fn, struct fnat_conn *c,
		  const struct fnat_proof *proof)
{
	struct fnat_dial *dial = kzalloc(sizeof(*dial), GFP_ATOMIC);

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
		call_server(c, dial->fn, &dial->proof);
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
	IGNORED,	/* dropped */
	KEPT,
	ANSWERED,	/* it is up */
	PROBED,		/* the server has said what it can, which was all */
	STALE,		/* the server remembers a connection before it */
	GIVEN_UP,	/* by one side; the other is told */
};

/* The client has more to say, or no more interest. */
static enum outcome from_client(struct fnat_dial *dial, const struct fnat_pkt *p)
{
	if (p->tcp_flags & FNAT_TH_RST)
		return p->seq == dial->next && fnat_pkt_intact(p) ? GIVEN_UP :
								    IGNORED;
	if (!(p->tcp_flags & FNAT_TH_ACK) || p->tcp_flags & FNAT_TH_SYN)
		return IGNORED;
	if (keep(dial, p))
		return KEPT;
	fnat_count(p->fn, FNAT_EV_SYNPROXY_QLEN);
	return IGNORED;
}

/*
 * RFC 9293 3.10.7.3: only what acknowledges our SYN is an answer. Another ACK tells
 * of a connection that only the server remembers; reset, it takes the next SYN.
 */
static enum outcome from_server(struct fnat_dial *dial, const struct fnat_pkt *p)
{
	if (!(p->tcp_flags & FNAT_TH_ACK) || !fnat_pkt_intact(p))
		return IGNORED;
	if (p->ack != server_isn(dial->conn, &dial->proof) + 1)
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

/* Whose window was told to be shut until now hears how far it is open. */
static void open_window(const struct fnat_pkt *p, struct fnat_conn *c,
			const struct fnat_proof *proof)
{
	const struct fnat_tcpopt_offer stamp = {
		.wscale	= -1,
		.stamped = proof->offer.stamped,
		.tsval	= proof->offer.tsecr,
		.tsecr	= proof->offer.tsval,
	};
	struct fnat_segment update = {
		.seq	= proof->told + 1,
		.ack	= proof->isn + 1,
		.offer	= &stamp,
		.flags	= FNAT_TH_ACK,
		.win	= max(p->win >> (proof->offer.wscale < 0 ? 0 :
					 FNAT_OFFER_SCALE), 1),
	};

	if (!READ_ONCE(p->fn->tune.early_max))
		send(c, p->fn, FNAT_END_VIP, FNAT_END_CLIENT, &update);
}

/* Somebody does not want it: the other side is to know. */
static void give_up(const struct fnat_pkt *p, struct fnat_dir *d,
		    const struct fnat_proof *proof)
{
	struct fnat_conn *c = fnat_dir_conn(d);

	if (fnat_dir_which(d) == FNAT_C2S) {
		reset_server(c, p->fn, server_isn(c, proof) + 1);
	} else {
		fnat_count(p->fn, FNAT_EV_SYNPROXY_RS_ERROR);
		reset_client(c, p->fn, proof);
	}
	fnat_conn_kill(p->fn, c);
}

/* @p is the answer to a probe, which ends with it. */
static void note(const struct fnat_pkt *p, struct fnat_conn *c,
		 const struct fnat_proof *proof)
{
	struct fnat_tcpopt_offer server;

	read_answer(p, &server);
	fnat_offer_learn(c->dest, &proof->offer, &server);
	reset_server(c, p->fn, p->ack);
	fnat_conn_kill(p->fn, c);
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
		*verdict = NF_DROP;
		return over;
	}
	outcome = fnat_dir_which(d) == FNAT_C2S ? from_client(dial, p) :
						  from_server(dial, p);
	if (outcome == ANSWERED) {
		take(c);
		splice(p, d, &dial->proof);
		skb_queue_splice_init(&dial->early, early);
		fnat_conn_set_state(p->fn, c, FNAT_TCP_S_ESTABLISHED);
	}
	spin_unlock(&c->lock);

	*verdict = outcome == IGNORED ? NF_DROP : NF_STOLEN;
	if (outcome == IGNORED || outcome == KEPT)
		return true;
	if (outcome == ANSWERED)
		open_window(p, c, &dial->proof);
	else if (outcome == PROBED)
		note(p, c, &dial->proof);
	else if (outcome == GIVEN_UP)
		give_up(p, d, &dial->proof);
	else
		reset_server(c, p->fn, p->ack);
	consume_skb(p->skb);
	if (outcome == ANSWERED)
		bury(dial);
	return true;
}
