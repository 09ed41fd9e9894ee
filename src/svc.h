/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A virtual service: what clients connect to. Once removed it lives for as
 * long as one of its dests drains, and so does its VIP.
 */
#ifndef FNAT_SVC_H
#define FNAT_SVC_H

#include <linux/netlink.h>
#include <linux/refcount.h>

#include "fnat.h"

struct fnat_dests;
struct fnat_pkt;
struct fnat_sched;

struct fnat_svc_key {
	union nf_inet_addr	addr;
	u16			af;
	u16			proto;
	__be16			port;
};

/* What a command may set. */
struct fnat_svc_opts {
	const struct fnat_sched	*sched;
	u32			flags;		/* IP_VS_SVC_F_SCHED* */
};

struct fnat_svc {
	struct hlist_node	node;		/* in fn->svc_tab */
	struct fnat_svc_key	key;
	struct fnat_net		*fn;
	const struct fnat_sched	*sched;		/* under fn->cfg */
	u32			flags;		/* IP_VS_SVC_F_SCHED*; likewise */
	atomic64_t		cursor;		/* the scheduler's */
	struct fnat_dests __rcu	*dests;		/* NULL: none */
	struct fnat_laddrs __rcu *laddrs;	/* NULL: the default pool's */
	struct fnat_stats	stats;
	u32			id;		/* in fn->svcs */
	refcount_t		refs;		/* the table and dests */
	struct rcu_head		rcu;
};

/*
 * The commands; caller holds fn->cfg. Each leaves everything as it was unless
 * it returns 0. -EEXIST, -EBUSY (the VIP is a LIP), -ENOMEM.
 */
int fnat_svc_add(struct fnat_net *fn, const struct fnat_svc_key *key,
		 const struct fnat_svc_opts *opts, struct netlink_ext_ack *ea);
int fnat_svc_edit(struct fnat_svc *svc, const struct fnat_svc_opts *opts);
void fnat_svc_del(struct fnat_svc *svc);
void fnat_svc_flush(struct fnat_net *fn);

/* Borrowed for as long as the caller holds fn->cfg or RCU; or NULL. */
struct fnat_svc *fnat_svc_find(const struct fnat_net *fn,
			       const struct fnat_svc_key *key);

/* The service that @p, of no connection, is addressed to; or NULL. RCU. */
struct fnat_svc *fnat_svc_of(const struct fnat_pkt *p);

void fnat_svc_hold(struct fnat_svc *svc);
void fnat_svc_put(struct fnat_svc *svc);	/* any context */

#endif /* FNAT_SVC_H */
