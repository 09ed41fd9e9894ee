/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The states of a connection and how they follow each other. Pure: no skb, no
 * lock, no clock. Numbers, names and default timeouts are those of IPVS, seen
 * from the director, which stands in for the server: FIN_WAIT means that the
 * server closed first, CLOSE_WAIT that the client did.
 */
#ifndef FNAT_TCP_STATE_H
#define FNAT_TCP_STATE_H

#ifdef __KERNEL__
#include <linux/types.h>
#endif

enum fnat_state {
	FNAT_TCP_S_NONE,
	FNAT_TCP_S_ESTABLISHED,
	FNAT_TCP_S_SYN_SENT,
	FNAT_TCP_S_SYN_RECV,
	FNAT_TCP_S_FIN_WAIT,
	FNAT_TCP_S_TIME_WAIT,
	FNAT_TCP_S_CLOSE,
	FNAT_TCP_S_CLOSE_WAIT,
	FNAT_TCP_S_LAST_ACK,
	FNAT_TCP_S_LISTEN,
	FNAT_TCP_S_SYNACK,
	FNAT_S_UDP,
	FNAT_S_UDP_ASKED,	/* one-packet: waits for its answer */
	FNAT_S_UDP_DONE,	/* has had it */
	FNAT_S_ASSURED,		/* a template, a client of which was there */
	FNAT_TCP_S_MAX = FNAT_S_ASSURED,
};

enum fnat_which {
	FNAT_C2S,	/* client to server */
	FNAT_S2C,	/* server to client */
};

/*
 * What a segment says to the state machine. The caller has checked it: a RST,
 * FIN or final ACK that the receiver would not take must not come here.
 */
enum fnat_tcp_event {
	FNAT_TCP_EV_NONE,	/* data or an ACK of something else */
	FNAT_TCP_EV_ACK_SYN,	/* the client's ACK that ends the handshake */
	FNAT_TCP_EV_ACK_FIN,	/* acknowledges the other side's FIN */
	FNAT_TCP_EV_FIN,
	FNAT_TCP_EV_RST,
	FNAT_TCP_EV_RST_MAYBE,	/* its receiver may not have taken it */
};

/* The state that @ev from side @dir leads to from @s; @s where it means nothing. */
enum fnat_state fnat_tcp_next(enum fnat_state s, enum fnat_which dir,
			      enum fnat_tcp_event ev);

/*
 * The same where only the client's side is seen, as with Route: FIN_WAIT then
 * means that the client has closed, as in-tree IPVS has it.
 */
enum fnat_state fnat_tcp_next_alone(enum fnat_state s, enum fnat_tcp_event ev);

/* Whether a connection in @s counts as ActiveConn (else InActConn). */
bool fnat_state_active(enum fnat_state s);

/* Whether both sides have closed a connection in @s, but may hear of it still. */
bool fnat_state_lingers(enum fnat_state s);

/* At most 15 characters: what ipvsadm has room for. */
const char *fnat_state_name(enum fnat_state s);

/* Fills @timeout[FNAT_TCP_S_MAX + 1] with the stock values, in seconds. */
void fnat_state_timeouts(u32 *timeout);

#endif /* FNAT_TCP_STATE_H */
