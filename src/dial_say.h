/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is said to either side of a connection that is being dialled (dial.h), in the
 * place of the other one. All take RCU, bottom halves off, and no lock of @c.
 */
#ifndef FNAT_DIAL_SAY_H
#define FNAT_DIAL_SAY_H

#include "conn.h"
#include "offer.h"
#include "synproxy.h"

/* What the server sees of the client's first number. */
static inline u32 fnat_say_isn(const struct fnat_conn *c,
			       const struct fnat_proof *proof)
{
	return proof->isn + c->dir[FNAT_C2S].seq_off;
}

/* A window of @octets as the client has been told that ours are scaled; never shut. */
static inline u16 fnat_say_scaled(const struct fnat_proof *proof, u32 octets)
{
	return max(octets >> (proof->offer.wscale < 0 ? 0 : FNAT_OFFER_SCALE), 1U);
}

/* The client's SYN, as @proof has it, to the server. */
void fnat_say_syn(struct fnat_conn *c, struct fnat_net *fn,
		  const struct fnat_proof *proof);

/* A RST with the number @seq, as the server numbers what it hears. */
void fnat_say_reset_server(struct fnat_conn *c, struct fnat_net *fn, u32 seq);

/* A RST behind the SYN-ACK that the client has been told. */
void fnat_say_reset_client(struct fnat_conn *c, struct fnat_net *fn,
			   const struct fnat_proof *proof);

/* An ACK of the client's SYN and no more; @win is scaled. */
void fnat_say_ack(struct fnat_conn *c, struct fnat_net *fn,
		  const struct fnat_proof *proof, u16 win);

#endif /* FNAT_DIAL_SAY_H */
