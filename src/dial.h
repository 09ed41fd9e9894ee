/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Dialling: what a connection has while its client waits and its real server has
 * yet to answer (FNAT_TCP_S_SYN_SENT). It sends the SYN, again if need be, then to
 * another server, and keeps the client's first packets. When a server has answered,
 * it is gone, and the connection is one like any other, with an offset between the
 * number that the client was told and the server's own.
 */
#ifndef FNAT_DIAL_H
#define FNAT_DIAL_H

#include <linux/skbuff.h>

struct fnat_conn;
struct fnat_dir;
struct fnat_net;
struct fnat_pkt;
struct fnat_proof;

/*
 * Gives @c, which nobody has seen yet, one for what @proof says. -ENOMEM. It owns
 * what the client has sent, and ends with fnat_dial_end() at the latest.
 */
int fnat_dial_new(struct fnat_net *fn, struct fnat_conn *c,
		  const struct fnat_proof *proof);

/* The first packet of @c: calls the server. RCU, bottom halves off. */
void fnat_dial_start(struct fnat_conn *c);

/*
 * @p, in direction @d, comes while its connection is being dialled: kept, dropped or
 * understood, and *@verdict says which. If it was the server's answer, @early gets what
 * the client sent meanwhile, for the caller to forward in that order; each skb knows
 * the device it came in by in skb_iif only. False: the server had already answered, @p
 * is like any other's. RCU, bottom halves off.
 */
bool fnat_dial_packet(const struct fnat_pkt *p, struct fnat_dir *d,
		      struct sk_buff_head *early, unsigned int *verdict);

/*
 * @p is an error about what @back's other side sent with number @seq: false if the
 * connection is not being dialled, and the error is for that side. If it is, the error
 * is about our own SYN or of no use; where that found nothing at all (@unreachable),
 * its server is given up. RCU, bottom halves off.
 */
bool fnat_dial_error(const struct fnat_pkt *p, struct fnat_dir *back, u32 seq,
		     bool unreachable);

/* @c is no more to be dialled, if it was. Bottom halves off. */
void fnat_dial_end(struct fnat_conn *c);

#endif /* FNAT_DIAL_H */
