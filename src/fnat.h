/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The root of everything that one network namespace holds, and the limits
 * that more than one file must agree on.
 */
#ifndef FNAT_H
#define FNAT_H

#include <linux/mutex.h>
#include <linux/netfilter.h>
#include <linux/ratelimit_types.h>
#include <linux/siphash.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <net/net_namespace.h>
#include <uapi/linux/ip_vs.h>
#include <linux/ip_vs_fullnat.h>

#include "addrset.h"
#include "ahead.h"
#include "defence.h"
#include "hook.h"
#include "stats.h"
#include "tcp_state.h"

#define FNAT_VERSION_CODE	0x010201	/* what stock ipvsadm expects */

#define FNAT_CONN_TAB_BITS_MIN	8
#define FNAT_CONN_TAB_BITS_MAX	27
#define FNAT_SVC_TAB_BITS	14
#define FNAT_RS_TAB_BITS	12
#define FNAT_LADDR_TAB_BITS	10

/* Of memory for a packet. That there was none is counted; a flood is not to fill the log. */
#define FNAT_GFP_PACKET	(GFP_ATOMIC | __GFP_NOWARN)

#define FNAT_LPORT_FLOOR	1025		/* lowest fullnat_lport_min */
#define FNAT_LPORT_CEILING	65535

struct fnat_bucket;
struct fnat_cookie_keys;
struct fnat_laddrs;
struct fnat_wheel;

/* fullnat_timestamp: what becomes of clients' TCP timestamps. */
enum {
	FNAT_TIMESTAMP_PASS,
	FNAT_TIMESTAMP_STRIP,
	FNAT_TIMESTAMP_TRANSLATE,
};

/* expire_nodest_conn: connections whose dest has been removed. */
enum {
	FNAT_NODEST_DROP,	/* lose their packets until it comes back */
	FNAT_NODEST_EXPIRE,	/* end with the next packet */
	FNAT_NODEST_DRAIN,	/* go on */
};

/* fullnat_stray: TCP to a service that belongs to no connection and opens none. */
enum {
	FNAT_STRAY_HOST,	/* the host's if the VIP is, dropped if not */
	FNAT_STRAY_RST,		/* answered */
	FNAT_STRAY_DROP,
	FNAT_STRAY_PASS,
};

/* Tunables of net.ipv4.vs; single words, read without a lock. */
struct fnat_tunables {
	int	masq_is_fullnat;	/* fullnat_masq */
	int	run_estimation;
	int	conn_max;
	int	lport_min;
	int	lport_max;
	int	conntrack;
	int	fast_xmit;
	int	stray;			/* fullnat_stray */
	int	vip_echo;		/* fullnat_vip_echo */
	int	lookahead;		/* fullnat_lookahead */
	int	timestamp;		/* fullnat_timestamp */
	int	expire_rst;		/* conn_expire_tcp_rst */
	int	expire_nodest_conn;
	int	expire_quiescent_template;
	int	lblc_expiration;	/* s */
	int	lblcr_expiration;
	int	drop_entry;		/* defence.c */
	int	drop_packet;
	int	secure_tcp;
	int	amemthresh;		/* pages */
	int	am_droprate;
	int	defence_tcp_drop;
	int	defence_udp_drop;
	int	defence_frag_drop;
	int	init_mss;		/* synproxy_init_mss and so on */
	int	synproxy_wscale;
	int	synproxy_sack;
	int	synproxy_timestamp;
	int	synack_ttl;		/* synproxy_synack_ttl */
	int	synack_route;
	int	defer;			/* synproxy_defer */
	int	syn_retry;
	int	early_max;		/* synproxy_ack_skb_store_thresh */
	int	early_kib;		/* synproxy_ack_skb_store_kib */
	int	bad_ack_rst;		/* synproxy_bad_ack_rst */
	int	synproxy_probe;
	int	ack_storm_thresh;	/* synproxy_ack_storm_thresh */
	int	conn_reuse;		/* synproxy_conn_reuse and its states */
	int	conn_reuse_close;
	int	conn_reuse_time_wait;
	int	conn_reuse_last_ack;
	int	auto_thresh;		/* synproxy_auto_thresh */
	int	auto_calm;		/* s */
};

struct fnat_net {
	struct net		*net;

	/* Read by every packet; fixed while hooks are up. */
	struct fnat_bucket	**conn_tab;	/* in chunks */
	u32			conn_mask;
	hsiphash_key_t		conn_key;
	siphash_key_t		ends_key;	/* of IPv6 addresses */
	struct fnat_addrset	addrs;		/* VIPs and LIPs */
	struct fnat_addrset	masqs;		/* servers of Masq */
	struct hlist_head	*svc_tab;	/* RCU; written under @cfg */
	u32			timeout[FNAT_TCP_S_MAX + 1];	/* s */
	struct fnat_stats	total;
	struct fnat_events __percpu *events;
	struct fnat_tunables	tune;
	struct ratelimit_state	refusals;	/* what clients are told */
	struct ratelimit_state	pmtu_news;	/* likewise, of MTUs alone */

	/* Read by first packets. */
	struct fnat_laddrs __rcu *pool[2];	/* default LIPs: IPv4, IPv6 */
	siphash_key_t		isn_key;
	struct fnat_cookie_keys __rcu *cookie_keys;	/* cookie_key.c */
	u32			synack_clock;	/* offer.c; fixed */
	atomic_t		early_held;	/* bytes; dial.c */
	bool			dialled;	/* likewise; ever */
	atomic_t		nr_conns;
	struct fnat_wheel	*wheel;		/* one per possible CPU */
	atomic_t		lport_freed;	/* see fnat_lport_get() */
	atomic_t		nr_catchall;	/* services of port 0 */
	struct fnat_defence	defence;

	/* Configuration: one writer at a time. */
	struct mutex		cfg;		/* services, dests, LIPs */
	struct xarray		svcs;		/* in order of creation */
	u32			svc_next_id;
	u64			last_dest_id;
	struct hlist_head	*rs_tab;
	struct list_head	rs_list;
	struct hlist_head	*laddr_tab;
	struct ida		laddr_ids;

	/*
	 * Services that exist, listed or draining. When one goes, and when a
	 * LIP or a real server has died, @reap tidies up.
	 */
	atomic_t		nr_svcs;
	struct llist_head	dead_laddrs;
	struct llist_head	dead_rs;
	struct work_struct	reap;
	struct work_struct	new_key;	/* cookie_key.c */
	struct delayed_work	probe;		/* probe.c */
	struct delayed_work	estimate;	/* est.c */
	struct delayed_work	guards;		/* guard.c */

	struct fnat_hook	hook[FNAT_HOOKS];
	struct fnat_ahead	ahead;
	struct ctl_table	*ctl_table;
	struct ctl_table_header	*ctl_header;
};

extern unsigned int fnat_net_id;
extern struct workqueue_struct *fnat_wq;
extern unsigned int fnat_conn_tab_bits;

struct fnat_net *fnat_net(const struct net *net);

/*
 * Makes sure that @fn has its tables; _start() also that packets reach it.
 * Caller holds fn->cfg. -ENOMEM or what nf_register_net_hook() says.
 */
int fnat_net_prepare(struct fnat_net *fn);
int fnat_net_start(struct fnat_net *fn);

/* Called, in any context, when something above has gone for good. */
static inline void fnat_net_reap(struct fnat_net *fn)
{
	queue_work(fnat_wq, &fn->reap);
}

/* In-tree IPVS's name; see main.c. */
void ip_vs_tcp_conn_listen(void);

#endif /* FNAT_H */
