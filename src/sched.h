/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Schedulers: which dest the next connection of a service goes to. The rules
 * are upstream's, to the same effect; none but lblc and lblcr takes a lock.
 */
#ifndef FNAT_SCHED_H
#define FNAT_SCHED_H

#include "dest.h"

struct fnat_pkt;
struct fnat_svc;

struct fnat_sched {
	const char	*name;		/* at most 14 characters */
	/*
	 * One of @set, which is not empty, but not @but, which may be NULL; NULL
	 * if none is available. Of the packet only addresses and ports are read.
	 * RCU.
	 */
	struct fnat_dest *(*pick)(struct fnat_svc *svc,
				  const struct fnat_dests *set,
				  const struct fnat_pkt *p,
				  const struct fnat_dest *but);
	/*
	 * For those that hash: how many slots the set is to have, and what
	 * fills them (set->v and weights are final; 0 or -ENOMEM).
	 */
	u32		slots;
	int		(*fill)(struct fnat_dests *set);
	/* It keeps something for each service: see fnat_sched_start(). */
	bool		remembers;
};

/* Each up to an empty one. */
extern const struct fnat_sched fnat_hash_scheds[];
extern const struct fnat_sched fnat_lblc_scheds[];

/*
 * What @sched remembers of @svc: made (0 or -ENOMEM), thrown away, thrown away
 * unless the service's scheduler needs it. Caller holds fn->cfg.
 */
int fnat_sched_start(struct fnat_svc *svc, const struct fnat_sched *sched);
void fnat_sched_stop(struct fnat_svc *svc);
void fnat_sched_settle(struct fnat_svc *svc);

/* The rule of wlc, and the load that it weighs; for schedulers. RCU. */
struct fnat_dest *fnat_sched_wlc(const struct fnat_dests *set,
				 const struct fnat_dest *but);
s64 fnat_sched_overhead(const struct fnat_dest *d);

/* Whether @d may be picked by who does not want @but. */
static inline bool fnat_sched_may(const struct fnat_dest *d,
				  const struct fnat_dest *but)
{
	return d != but && fnat_dest_available(d);
}

/* The scheduler of that name, or NULL. */
const struct fnat_sched *fnat_sched_find(const char *name);

/*
 * The dest for @p, the first packet of a connection, bound to it as by
 * fnat_dest_bind(), and not @but, which may be NULL; NULL if none is available.
 * RCU.
 */
struct fnat_dest *fnat_sched_pick(struct fnat_svc *svc,
				  const struct fnat_pkt *p,
				  const struct fnat_dest *but);

#endif /* FNAT_SCHED_H */
