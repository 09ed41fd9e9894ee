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
 * A free port for @p, a new flow to @dest: every LIP of the service is tried
 * before this gives up, but a service that is known to be full is not searched
 * again until a port is freed. Returns the map, with a reference to its LIP,
 * the port in *@lport and its place in *@index; or NULL and *@why. RCU.
 */
struct fnat_lports *fnat_lport_get(const struct fnat_pkt *p,
				   struct fnat_dest *dest, u16 *index,
				   __be16 *lport, enum fnat_event *why);

/*
 * Gives it back. @seq: past the last byte sent from the port (TCP), which the
 * next connection's sequence numbers must exceed. Any context.
 */
void fnat_lport_put(struct fnat_net *fn, struct fnat_lports *map, u16 index,
		    u32 seq);

/*
 * The initial sequence number towards the real server for a connection from
 * that port (RFC 6528: keyed hash plus a clock of 64 ns), above what the port
 * sent last. @ports: local port, then the server's.
 */
u32 fnat_lport_isn(const struct fnat_net *fn, const struct fnat_lports *map,
		   u16 index, __be32 ports);

/* The LIP of @map, an IPv4 address. */
__be32 fnat_lports_laddr(const struct fnat_lports *map);

/* Frees the maps of @l, which is dead. Caller holds fn->cfg. */
void fnat_lports_forget(struct fnat_net *fn, const struct fnat_laddr *l);

#endif /* FNAT_LPORT_H */
