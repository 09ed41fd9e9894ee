/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Whether the SYN proxy stands before a service now: by the operator's word, or,
 * where that is "auto", while there is a SYN flood. Handshakes pass until half-open
 * connections are too many; then SYNs are answered with cookies until it has been
 * calm for a while.
 */
#ifndef FNAT_GUARD_H
#define FNAT_GUARD_H

#include <linux/atomic.h>
#include <linux/percpu.h>

struct fnat_net;
struct fnat_svc;

/* Bit 0: it stands. Bit 1: it decides so itself. */
enum fnat_guard_state {
	FNAT_GUARD_OFF		= 0,
	FNAT_GUARD_ON		= 1,
	FNAT_GUARD_RESTING	= 2,
	FNAT_GUARD_RAISED	= 3,
};

#define FNAT_GUARD_STANDS	1

/* What is counted of each service; named as in /proc/net/ip_vs_ext_stats. */
enum fnat_guard_count {
	FNAT_GUARD_SYN,		/* SYNs answered with a cookie */
	FNAT_GUARD_ACK,		/* cookies that came back */
	FNAT_GUARD_BAD_ACK,	/* what belongs to no connection and brings none */
	FNAT_GUARD_COUNTS
};

struct fnat_guard_counts {
	u64	n[FNAT_GUARD_COUNTS];
};

/* Of a service; no packet of a connection that is up looks at it. */
struct fnat_guard {
	int		state;		/* enum fnat_guard_state; by xchg(), cmpxchg() */
	u32		lapses;		/* the last window with cookies about */
	atomic_t	half_open;	/* connections in FNAT_TCP_S_SYN_RECV */
	struct fnat_guard_counts __percpu *cpu;
	/* All below under fn->cfg. */
	struct fnat_guard_counts zero;	/* what ZERO hides */
	bool		watched;	/* the worker has looked since it was raised */
	u32		calm_since;	/* s */
	s64		missing;	/* cookies that had not come back then */
};

/* Of a service that begins: 0 or -ENOMEM; and of one that nobody has any more. */
int fnat_guard_init(struct fnat_guard *g);
void fnat_guard_exit(struct fnat_guard *g);

/* The operator says @mode, of FNAT_SYNPROXY_*. Caller holds fn->cfg. */
void fnat_guard_set(struct fnat_svc *svc, u32 mode);

static inline bool fnat_guard_stands(const struct fnat_guard *g)
{
	return READ_ONCE(g->state) & FNAT_GUARD_STANDS;
}

/* Whether @svc has too many half-open connections, so that it stands from now on. */
bool fnat_guard_rises(struct fnat_svc *svc);

/* Whether cookies of @svc, before which it does not stand now, may be about. RCU. */
bool fnat_guard_remembers(const struct fnat_svc *svc);

static inline void fnat_guard_count(const struct fnat_guard *g,
				    enum fnat_guard_count what)
{
	this_cpu_inc(g->cpu->n[what]);
}

/* What has been counted since the last ZERO; and ZERO. Caller holds fn->cfg. */
void fnat_guard_sum(const struct fnat_guard *g, struct fnat_guard_counts *sum);
void fnat_guard_zero(struct fnat_guard *g);

/* The worker that looks for calm; fnat_guards_exit() waits for it, without fn->cfg. */
void fnat_guards_init(struct fnat_net *fn);
void fnat_guards_exit(struct fnat_net *fn);

#endif /* FNAT_GUARD_H */
