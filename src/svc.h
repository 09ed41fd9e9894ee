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
#include "guard.h"

struct fnat_dests;
struct fnat_pkt;
struct fnat_lblc;
struct fnat_sched;

/* By firewall mark, all but @af and @fwmark are 0. */
struct fnat_svc_key {
	union nf_inet_addr	addr;
	u16			af;
	u16			proto;
	__be16			port;		/* 0: those without a service */
	u32			fwmark;		/* 0: by address */
};

/* The flags of <linux/ip_vs.h> that a command may set. */
#define FNAT_SVC_FLAGS	(IP_VS_SVC_F_PERSISTENT | IP_VS_SVC_F_ONEPACKET | \
			 IP_VS_SVC_F_SCHED1 | IP_VS_SVC_F_SCHED2 | \
			 IP_VS_SVC_F_SCHED3)

/* What a command may set. */
struct fnat_svc_opts {
	const struct fnat_sched	*sched;
	u32			flags;		/* of FNAT_SVC_FLAGS */
	u32			timeout;	/* s, of persistence */
	/* Clients that it holds together; see fnat_addr_network(). */
	__be32			netmask;
	u32			est_timeout;	/* s; 0: the namespace's */
	u32			synproxy;	/* FNAT_SYNPROXY_* */
	/* By FNAT_SYNPROXY_OFFER_ATTR_*, its value + 1; 0: the namespace's. */
	u32			offer[FNAT_SYNPROXY_OFFER_ATTR_MAX + 1];
};

struct fnat_svc {
	struct hlist_node	node;		/* in fn->svc_tab */
	struct fnat_svc_key	key;
	struct fnat_net		*fn;
	struct fnat_svc_opts	opts;		/* written under fn->cfg */
	atomic64_t		cursor;		/* the scheduler's */
	struct fnat_lblc __rcu	*lblc;		/* likewise, of lblc and lblcr */
	struct fnat_dests __rcu	*dests;		/* NULL: none */
	struct fnat_laddrs __rcu *laddrs;	/* NULL: the default pool's */
	struct fnat_stats	stats;
	struct fnat_guard	guard;
	u32			offer;		/* offer.c */
	spinlock_t		offer_lock;	/* leaf; of who reckons it */
	u32			id;		/* in fn->svcs */
	struct list_head	gone;		/* removed dests that drain */
	spinlock_t		gone_lock;	/* leaf; guards that */
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

/*
 * Does @work with each service under fn->cfg, which others get in between. Whether
 * any said true. Sleeps; caller does not hold fn->cfg.
 */
bool fnat_svc_each(struct fnat_net *fn, bool (*work)(struct fnat_svc *svc));

/*
 * The service that @p, of no connection, is for, or NULL: by its address, or by
 * its firewall mark. RCU.
 */
struct fnat_svc *fnat_svc_of(const struct fnat_pkt *p);
struct fnat_svc *fnat_svc_marked(const struct fnat_pkt *p);

/* Whether there is a service of family @af by @mark. RCU. */
bool fnat_svc_has_mark(const struct fnat_net *fn, u16 af, u32 mark);

static inline bool fnat_svc_has(const struct fnat_svc *svc, u32 flag)
{
	return READ_ONCE(svc->opts.flags) & flag;
}

void fnat_svc_hold(struct fnat_svc *svc);
void fnat_svc_put(struct fnat_svc *svc);	/* any context */

#endif /* FNAT_SVC_H */
