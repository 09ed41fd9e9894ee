/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A real server of one service. Listed in its service until it is removed,
 * then it drains: it lives for as long as a connection refers to it.
 */
#ifndef FNAT_DEST_H
#define FNAT_DEST_H

#include <linux/gcd.h>
#include <linux/in.h>
#include <linux/netlink.h>
#include <linux/refcount.h>

#include "fnat.h"
#include "lport.h"

struct fnat_svc;

/* What a command may set. */
struct fnat_dest_opts {
	u32	fwd_method;	/* IP_VS_CONN_F_FULLNAT, _MASQ or _DROUTE */
	int	weight;		/* 0: drains */
	u32	u_thresh;	/* connections; 0: no limit */
	u32	l_thresh;
};

struct fnat_dest {
	struct fnat_svc		*svc;		/* we hold a reference */
	struct fnat_stats	stats;
	struct fnat_dest_opts	opts;		/* written under fn->cfg */
	bool			overloaded;	/* past u_thresh */
	bool			removed;	/* it drains */
	bool			watched;	/* is or was of Masq; under fn->cfg */
	u32			learned;	/* offer.c */
	u32			could;		/* ever since it is here; likewise */
	u8			probes;		/* left to try; under fn->cfg; probe.c */
	u32			probed;		/* s; the last time; likewise */
	atomic_t		active;		/* connections, by state */
	atomic_t		inactive;
	atomic_t		persistent;	/* templates */
	refcount_t		refs;		/* the list and connections */
	union nf_inet_addr	addr;
	__be16			port;		/* 0: the client's */
	/* Of TCP and of UDP, where the service has it; with references. */
	struct fnat_rs		*rs[2];
	atomic_t		port_freed[2];	/* see fnat_lport_get() */
	int			last_weight;	/* above 0; under fn->cfg */
	u64			id;		/* rises within a set */
	struct list_head	gone;		/* in svc->gone, under its lock */
	struct rcu_head		rcu;
};

/* Which of a pair by protocol is @proto's. */
static inline int fnat_dest_proto(u8 proto)
{
	return proto == IPPROTO_UDP;
}

/* A service's dests as the scheduler sees them; replaced, never changed. */
struct fnat_dests {
	struct rcu_head		rcu;
	const struct fnat_sched	*sched;		/* whom it is made for */
	u32			flags;		/* of FNAT_SVC_FLAGS */
	u32			n;
	int			gcd;		/* of the weights above 0 */
	u16			*slot;		/* sched->slots indices into v */
	struct fnat_dest	*v[];
};

#define FNAT_DESTS_MAX	65535	/* in a service, for slots hold u16 */

/*
 * The commands; caller holds fn->cfg. Each leaves everything as it was unless
 * it returns 0. A dest that is added while it still drains takes its connections
 * back. -EEXIST, -ENOENT, -EINVAL, -ERANGE, -ENOMEM, with a sentence
 * in @ea where the number does not say it all.
 */
int fnat_dest_add(struct fnat_svc *svc, const union nf_inet_addr *addr,
		  __be16 port, const struct fnat_dest_opts *opts,
		  struct netlink_ext_ack *ea);
int fnat_dest_edit(struct fnat_svc *svc, const union nf_inet_addr *addr,
		   __be16 port, const struct fnat_dest_opts *opts,
		   struct netlink_ext_ack *ea);
int fnat_dest_del(struct fnat_svc *svc, const union nf_inet_addr *addr,
		  __be16 port);

/* Makes the set anew for what svc->sched and svc->flags are now; -ENOMEM. */
int fnat_dest_reschedule(struct fnat_svc *svc);

/* Takes every dest off @svc, which no packet finds any more. */
void fnat_dest_flush(struct fnat_svc *svc);

/* Whether packets to one of them may take Route. Caller holds fn->cfg. */
bool fnat_dest_has_route(const struct fnat_svc *svc);

/* Borrowed until fn->cfg, which the caller holds, is let go; or NULL. */
struct fnat_dest *fnat_dest_find(const struct fnat_svc *svc,
				 const union nf_inet_addr *addr, __be16 port);

/*
 * One more connection to @d, counted as active, and a reference for it. False
 * if @d is already gone. RCU.
 */
bool fnat_dest_bind(struct fnat_dest *d);

/* Undoes that. @inactive: which way the connection was counted last. */
void fnat_dest_unbind(struct fnat_dest *d, bool inactive);

/*
 * A template that sends clients to @d, which the caller has bound: one more, and
 * a reference for it; one less.
 */
void fnat_dest_persist(struct fnat_dest *d);
void fnat_dest_unpersist(struct fnat_dest *d);

/* References of other kinds; any context. */
void fnat_dest_hold(struct fnat_dest *d);
void fnat_dest_put(struct fnat_dest *d);

/* A connection of @d has become inactive, or active again. */
void fnat_dest_moved(struct fnat_dest *d, bool inactive);

static inline u32 fnat_dest_conns(const struct fnat_dest *d)
{
	return atomic_read(&d->active) + atomic_read(&d->inactive);
}

/*
 * Whether @d takes new connections. The mark of overload may be left over from
 * two that ended at once: without connections it does not count.
 */
static inline bool fnat_dest_available(const struct fnat_dest *d)
{
	return READ_ONCE(d->opts.weight) > 0 &&
	       (!READ_ONCE(d->overloaded) || !fnat_dest_conns(d));
}

#endif /* FNAT_DEST_H */
