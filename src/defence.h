/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the director does against floods when it is told to, by the sysctls of
 * in-tree IPVS (drop_entry, drop_packet, secure_tcp) and of the first FULLNAT
 * (defence_*). With all of them at 0 there is no work and no cost.
 */
#ifndef FNAT_DEFENCE_H
#define FNAT_DEFENCE_H

#include <linux/netfilter.h>
#include <linux/workqueue.h>

struct fnat_net;
struct fnat_pkt;

/* Modes of the three: off, by memory (at rest, at work), always. */
enum {
	FNAT_DEFENCE_OFF,
	FNAT_DEFENCE_READY,
	FNAT_DEFENCE_ACTIVE,
	FNAT_DEFENCE_ALWAYS,
};

/* Seconds that a handshake may take while secure_tcp is at work. */
#define FNAT_SECURE_SYN_RECV	10

struct fnat_defence {
	/* Set by the worker, read by packets. */
	bool			drop_entry;
	bool			secure_tcp;
	int			drop_rate;	/* one first packet in so many; 0 */
	atomic_t		passed;		/* since the last that was dropped */
	struct delayed_work	look;
};

void fnat_defence_init(struct fnat_net *fn);
void fnat_defence_exit(struct fnat_net *fn);	/* waits for the worker */

/* One of the sysctls was written: looks at memory now, and goes on if need be. */
void fnat_defence_start(struct fnat_net *fn);

/* Whether a first packet is one of those that drop_packet takes. */
bool fnat_defence_thins(struct fnat_net *fn);

/*
 * The verdict over @p, to a VIP perhaps, for which there is no service; and
 * whether a fragment to @daddr is to be dropped, which it counts. RCU.
 */
unsigned int fnat_defence_verdict(const struct fnat_pkt *p);
bool fnat_defence_fragment(struct fnat_net *fn, u16 af,
			   const union nf_inet_addr *daddr);

#endif /* FNAT_DEFENCE_H */
