/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Counters. Traffic of a service, a dest or the whole namespace; and events:
 * every drop by its reason and everything else an operator may want to know.
 * All are per CPU, written without a lock by whoever has bottom halves off,
 * and summed by readers.
 */
#ifndef FNAT_STATS_H
#define FNAT_STATS_H

#include <linux/percpu.h>
#include <linux/u64_stats_sync.h>

#include "tcp_state.h"

struct fnat_pkt;
struct fnat_net;

enum fnat_event {
	/* Packets that we dropped. */
	FNAT_DROP_CORRUPT,	/* would change state, checksum wrong */
	FNAT_DROP_SOURCE,	/* a source that no one may have */
	FNAT_DROP_NO_DEST,	/* no real server takes connections */
	FNAT_DROP_NO_LADDR,	/* the service has no LIP */
	FNAT_DROP_NO_PORT,	/* every port of every LIP is taken */
	FNAT_DROP_MASQ_CLASH,	/* the client's port leads to that server already */
	FNAT_DROP_CONN_MAX,	/* conn_max reached */
	FNAT_DROP_MEMORY,
	FNAT_DROP_NO_ROUTE,
	FNAT_DROP_NEIGH,	/* no neighbour entry could be made */
	FNAT_DROP_TTL,
	FNAT_DROP_LRO,		/* merged beyond recall by the device */
	FNAT_DROP_MTU,		/* DF set and larger than the route takes */
	FNAT_DROP_DEST_GONE,	/* expire_nodest_conn */
	FNAT_DROP_PACKET,	/* drop_packet */
	FNAT_DROP_DEFENCE_TCP,	/* defence_tcp_drop and its kin */
	FNAT_DROP_DEFENCE_UDP,
	FNAT_DROP_DEFENCE_FRAG,
	FNAT_DROP_BAD_ACK,	/* SYN proxy: no connection, no cookie */
	FNAT_DROP_NULL_ACK,	/* synproxy_defer: a cookie, but no data */
	FNAT_DROP_ACK_STORM,	/* two sides that answer each other's ACKs */
	FNAT_DROP_EARLY,	/* there was no room for it while a server is dialled */
	FNAT_DROP_DIALLING,	/* nothing that a server that is dialled would say */

	/* Everything else. */
	FNAT_EV_STRAY,		/* TCP of no connection, not a SYN */
	FNAT_EV_REOPENED,	/* a SYN over a connection that had closed */
	FNAT_EV_BAD_RST,	/* RST whose sequence its receiver refuses */
	FNAT_EV_BAD_FIN,
	FNAT_EV_SENT_RST,	/* refusals, told to the client */
	FNAT_EV_SENT_ICMP,
	FNAT_EV_RATELIMIT,	/* refusals not told, for there were too many */
	FNAT_EV_LADDR_FULL,	/* picks that met a LIP without a free port */
	FNAT_EV_LADDR_LOW,	/* LIPs that ran down to their last ports */
	FNAT_EV_SLOW_XMIT,	/* sent through LOCAL_OUT */
	FNAT_EV_LOCAL,		/* the real server is this host */
	FNAT_EV_PORT_CLASH,	/* a port that another dest's map gave out, too */
	FNAT_EV_MASQ_CLASH,	/* likewise, and another server was asked for */
	FNAT_EV_DROP_ENTRY,	/* connections that drop_entry ended */
	FNAT_EV_EXPIRE_RST,	/* RSTs to ends of what expired */
	FNAT_EV_REASSEMBLED,	/* packets that came in fragments */
	FNAT_EV_ICMP_ERROR,	/* translated, about packets of connections */
	FNAT_EV_ECHO,		/* echo to a VIP, answered */
	FNAT_EV_AHEAD,		/* packets whose memory was asked for before */
	FNAT_EV_SYNPROXY_SYN,	/* SYNs answered with a cookie */
	FNAT_EV_SYNPROXY_ACK,	/* cookies that came back */
	FNAT_EV_SYNPROXY_NO_DEST, /* SYNs refused, for nobody could be dialled */
	FNAT_EV_SYNPROXY_RS_ERROR, /* SYNs that a server refused or let time out */
	FNAT_EV_SYNPROXY_REDIALLED, /* clients of those that got another server */
	FNAT_EV_SYNPROXY_PROBE,	/* servers asked what they can, without a client */
	FNAT_EV_SYNPROXY_REUSED, /* cookies over a connection that had closed */
	FNAT_EV_SYNPROXY_AUTO_ON, /* services that cookies were switched on for */
	FNAT_EV_SYNPROXY_AUTO_OFF,
	FNAT_EV_MAX
};

struct fnat_events {
	u64	n[FNAT_EV_MAX];
};

struct fnat_traffic {
	u64_stats_t		conns;
	u64_stats_t		pkts[2];	/* by enum fnat_which */
	u64_stats_t		bytes[2];
	struct u64_stats_sync	sync;
};

/* The same, summed over CPUs. */
struct fnat_sum {
	u64	conns;
	u64	pkts[2];
	u64	bytes[2];
};

/* The same, per second. */
struct fnat_rates {
	u64	cps;
	u64	pps[2];
	u64	bps[2];
};

struct fnat_stats {
	struct fnat_traffic __percpu	*cpu;
	/* All below under fn->cfg. */
	struct fnat_sum			zero;	/* what ZERO hides */
	struct fnat_sum			last;	/* at the last estimate */
	struct fnat_rates		avg;	/* smoothed and scaled up */
};

int fnat_stats_init(struct fnat_stats *s);	/* 0 or -ENOMEM */
void fnat_stats_exit(struct fnat_stats *s);

static inline void fnat_stats_packet(const struct fnat_stats *s,
				     enum fnat_which dir, unsigned int len)
{
	struct fnat_traffic *t = this_cpu_ptr(s->cpu);

	u64_stats_update_begin(&t->sync);
	u64_stats_inc(&t->pkts[dir]);
	u64_stats_add(&t->bytes[dir], len);
	u64_stats_update_end(&t->sync);
}

static inline void fnat_stats_conn(const struct fnat_stats *s)
{
	struct fnat_traffic *t = this_cpu_ptr(s->cpu);

	u64_stats_update_begin(&t->sync);
	u64_stats_inc(&t->conns);
	u64_stats_update_end(&t->sync);
}

/* All that one CPU has counted, ZERO or not. */
void fnat_stats_read(const struct fnat_traffic *t, struct fnat_sum *now);

/* What has been counted since the last ZERO. Any context that may preempt. */
void fnat_stats_sum(const struct fnat_stats *s, struct fnat_sum *sum);

#define FNAT_ESTIMATE_PERIOD	2	/* s between two calls of: */

/*
 * Lets the rates of @s follow what came since the last call, with the weights
 * of in-tree IPVS: a quarter of the way. Whether one of them is not 0. Caller
 * holds fn->cfg.
 */
bool fnat_stats_estimate(struct fnat_stats *s);

/* The rates, rounded as in-tree IPVS does. Caller holds fn->cfg. */
void fnat_stats_rates(const struct fnat_stats *s, struct fnat_rates *rates);

/* Starts @s again from nothing, as readers see it. Caller holds fn->cfg. */
void fnat_stats_zero(struct fnat_stats *s);

void fnat_count(struct fnat_net *fn, enum fnat_event ev);

/* Counts @why and gives the verdict: netfilter frees the skb. */
unsigned int fnat_drop(const struct fnat_pkt *p, enum fnat_event why);

/* The name of @ev in /proc/net/ip_vs_ext_stats. */
const char *fnat_event_name(enum fnat_event ev);

#endif /* FNAT_STATS_H */
