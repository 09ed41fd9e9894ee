/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Local addresses (LIPs): what real servers see as their client. One object
 * per address and namespace, whoever uses it: services, the default pool, and
 * connections until they end.
 */
#ifndef FNAT_LADDR_H
#define FNAT_LADDR_H

#include <linux/llist.h>
#include <linux/netlink.h>
#include <linux/refcount.h>

#include "fnat.h"

struct fnat_svc;

struct fnat_laddr {
	struct hlist_node	node;		/* in fn->laddr_tab */
	union nf_inet_addr	addr;
	u16			af;
	int			id;		/* small, names it in rs->maps */
	atomic_t		conns;
	atomic64_t		conflicts;	/* picks that found no port */
	refcount_t		refs;		/* sets and connections */
	struct llist_node	dead;		/* in fn->dead_laddrs */
	struct rcu_head		rcu;
};

/* The LIPs of a service or of the pool, by address; replaced, never changed. */
struct fnat_laddrs {
	struct rcu_head		rcu;
	u32			n;
	struct fnat_laddr	*v[];
};

/* A run of addresses, first to last; of IPv6 within a /64. */
struct fnat_laddr_range {
	union nf_inet_addr	first;
	u32			n;		/* 1 .. FNAT_LADDR_RANGE_MAX */
	u16			af;
};

/*
 * The commands, for @svc or, if it is NULL, the default pool of the range's
 * family; caller holds fn->cfg. All of @range or nothing. -EEXIST, -EBUSY,
 * -ENOENT, -EINVAL, -ENOMEM with a sentence in @ea; a sentence with success is
 * a warning.
 */
int fnat_laddr_add(struct fnat_net *fn, struct fnat_svc *svc,
		   const struct fnat_laddr_range *range,
		   struct netlink_ext_ack *ea);
int fnat_laddr_del(struct fnat_net *fn, struct fnat_svc *svc,
		   const struct fnat_laddr_range *range,
		   struct netlink_ext_ack *ea);

/* Empties the set at @slot. Caller holds fn->cfg. */
void fnat_laddrs_drop(struct fnat_net *fn, struct fnat_laddrs __rcu **slot);

/* The set that serves @svc: its own or the pool; NULL if that is empty. RCU. */
const struct fnat_laddrs *fnat_laddrs_of(const struct fnat_svc *svc);

/* The default pool of family @af. Caller holds fn->cfg or RCU. */
static inline struct fnat_laddrs __rcu **fnat_laddrs_pool(struct fnat_net *fn,
							  u16 af)
{
	return &fn->pool[af == AF_INET6];
}

/* How many of @set (NULL: none) are not above @addr. */
u32 fnat_laddrs_after(const struct fnat_laddrs *set, u16 af,
		      const union nf_inet_addr *addr);

/* A reference to @l, unless it is gone. RCU. */
static inline bool fnat_laddr_get(struct fnat_laddr *l)
{
	return refcount_inc_not_zero(&l->refs);
}

void fnat_laddr_put(struct fnat_net *fn, struct fnat_laddr *l); /* any context */

/* Frees the LIPs that died. Caller holds fn->cfg. */
void fnat_laddr_reap(struct fnat_net *fn);

#endif /* FNAT_LADDR_H */
