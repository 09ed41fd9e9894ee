// SPDX-License-Identifier: GPL-2.0
#include "conn.h"
#include "dial_say.h"
#include "pkt.h"
#include "segment.h"

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

void fnat_say_syn(struct fnat_conn *c, struct fnat_net *fn,
		  const struct fnat_proof *proof)
{
	struct fnat_tcpopt_offer offer = proof->offer;
	struct fnat_segment syn = {
		.seq	= fnat_say_isn(c, proof),
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

void fnat_say_reset_server(struct fnat_conn *c, struct fnat_net *fn, u32 seq)
{
	struct fnat_segment rst = {
		.seq	= seq,
		.flags	= FNAT_TH_RST,
	};

	send(c, fn, FNAT_END_LIP, FNAT_END_SERVER, &rst);
}

void fnat_say_reset_client(struct fnat_conn *c, struct fnat_net *fn,
			   const struct fnat_proof *proof)
{
	struct fnat_segment rst = {
		.seq	= proof->told + 1,
		.ack	= proof->isn + 1,
		.flags	= FNAT_TH_RST | FNAT_TH_ACK,
	};

	send(c, fn, FNAT_END_VIP, FNAT_END_CLIENT, &rst);
}

void fnat_say_ack(struct fnat_conn *c, struct fnat_net *fn,
		  const struct fnat_proof *proof, u16 win)
{
	const struct fnat_tcpopt_offer stamp = {
		.wscale	= -1,
		.stamped = proof->offer.stamped,
		.tsval	= proof->offer.tsecr,
		.tsecr	= proof->offer.tsval,
	};
	struct fnat_segment ack = {
		.seq	= proof->told + 1,
		.ack	= proof->isn + 1,
		.offer	= &stamp,
		.flags	= FNAT_TH_ACK,
		.win	= win,
	};

	send(c, fn, FNAT_END_VIP, FNAT_END_CLIENT, &ack);
}
