/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Local ports. A port of a LIP may be in use towards every real server at
 * once, so each pair of LIP and real server (address, port, protocol) has a
 * map of its own: a bitmap in two levels with leaves made on demand.
 *
 * Ports go out in the order of a keyed permutation that a cursor walks round
 * and round: nobody outside can tell the next, and the port freed longest ago
 * comes first, to within one turn.
 */
#ifndef FNAT_LPORT_H
#define FNAT_LPORT_H

#include <linux/refcount.h>
#include <linux/xarray.h>

#include "fnat.h"

struct fnat_dest;
struct fnat_laddr;
struct fnat_lports;
struct fnat_pkt;

/* A real server, as the namespace's dests share it. */
struct fnat_rs {
	struct hlist_node	node;		/* in fn->rs_tab */
	struct list_head	list;		/* in fn->rs_list */
	union nf_inet_addr	addr;
	__be16			port;
	u16			af;
	u16			proto;
	struct xarray		maps;		/* LIP id: struct fnat_lports */
	refcount_t		refs;		/* dests */
	struct llist_node	dead;		/* in fn->dead_rs */
	struct rcu_head		rcu;
};

/* Its object, made if need be, with a reference; NULL: no memory. Holds fn->cfg. */
struct fnat_rs *fnat_rs_get(struct fnat_net *fn, u16 af, u16 proto,
			    const union nf_inet_addr *addr, __be16 port);
void fnat_rs_put(struct fnat_net *fn, struct fnat_rs *rs);	/* any context */

/* Frees the real servers that died. Caller holds fn->cfg. */
void fnat_rs_reap(struct fnat_net *fn);

/*
 * What a real server takes for its client: a port of a LIP, in use towards it,
 * or with other forwarding methods than FULLNAT the client itself.
 */
struct fnat_lport {
	struct fnat_lports	*map;		/* with a reference to its LIP; or NULL */
	u32			fwd_method;	/* the dest's */
	u16			index;		/* its place in @map */
	__be16			port;
	const union nf_inet_addr *laddr;	/* that LIP's */
	/*
	 * Where TCP is to begin: keyed hash plus a clock of 64 ns (RFC 6528),
	 * and above what the port sent last to this server.
	 */
	u32			isn;
	/*
	 * Where its timestamps are to begin, likewise: the clock ticks faster
	 * than those of clients, so what they send falls behind it.
	 */
	u32			ts;
	bool			ts_lost;	/* unless they send none */
};

/*
 * What @dest is to take for the client of @p, a new flow, which is to outlive
 * *@lport. Every LIP of the service is tried for a free port before this gives
 * up, but a service that is known to be full is not searched again until a port
 * is freed. False: none, and *@why. RCU, bottom halves off.
 */
bool fnat_lport_get(const struct fnat_pkt *p, struct fnat_dest *dest,
		    struct fnat_lport *lport, enum fnat_event *why);

/*
 * Ports of @l in use towards @rs, and left. False: none was ever taken. Caller
 * holds fn->cfg.
 */
bool fnat_lport_room(struct fnat_rs *rs, const struct fnat_laddr *l, u32 *used,
		     u32 *left);

/* Gives back what @map gave as @index; of NULL nothing. Bottom halves off. */
void fnat_lport_put(struct fnat_net *fn, struct fnat_lports *map, u16 index);

/* What the timestamps of a connection by that port would begin with now. */
u32 fnat_lport_timestamp(const struct fnat_net *fn,
			 const struct fnat_lports *map, u16 index);

#define FNAT_TIME_WAIT	60	/* s; how long a server (Linux) may remember */

/*
 * To be called before that if the server may remember the connection
 * (TIME_WAIT): the port's next one is to begin above @seq, the server's view
 * of what was sent. @ts_lost: of timestamps that cannot be said, so the next
 * one is to offer none. Bottom halves off.
 */
void fnat_lport_remember(struct fnat_net *fn, struct fnat_lports *map,
			 u16 index, u32 seq, bool ts_lost);

/* Frees the maps of @l, which is dead. Caller holds fn->cfg. */
void fnat_lports_forget(struct fnat_net *fn, const struct fnat_laddr *l);

#endif /* FNAT_LPORT_H */
