// SPDX-License-Identifier: GPL-2.0
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/sysctl.h>

#include "conn.h"
#include "est.h"
#include "offer.h"
#include "sysctl.h"

#define KEEP		INT_MIN		/* for a default: set elsewhere */
#define TIMEOUT_MAX	2147483		/* s; as netlink has it */
#define DAY		86400

/* One int of struct fnat_net that may be set: man 4 ip_vs_fullnat has them all. */
struct knob {
	const char	*name;
	size_t		at;		/* in struct fnat_net */
	int		first;		/* at boot */
	int		min;
	int		max;
	size_t		min_at;		/* another that is the limit; 0: none */
	size_t		max_at;
	void		(*changed)(struct fnat_net *fn);
};

#define AT(_field)	offsetof(struct fnat_net, tune._field)
#define SWITCH(_name, _field, _first)	{ _name, AT(_field), _first, 0, 1 }
#define TIMEOUT(_name, _state) \
	{ _name, offsetof(struct fnat_net, timeout[_state]), KEEP, 1, TIMEOUT_MAX }
#define OFFERED(_name, _field, _first, _min, _max) \
	{ _name, AT(_field), _first, _min, _max, .changed = offer_again }
#define DEFENCE(_name, _field) \
	{ _name, AT(_field), FNAT_DEFENCE_OFF, FNAT_DEFENCE_OFF, \
	  FNAT_DEFENCE_ALWAYS, .changed = fnat_defence_start }

/* Estimation, switched on again, must be set going. */
static void estimate_again(struct fnat_net *fn)
{
	if (atomic_read(&fn->nr_svcs))
		fnat_est_start(fn);
}

/* What services offer to clients follows. */
static void offer_again(struct fnat_net *fn)
{
	fnat_svc_each(fn, fnat_offer_settle);
}

static const struct knob knobs[] = {
	SWITCH("fullnat_masq", masq_is_fullnat, 0),
	{ "fullnat_lport_min", AT(lport_min), FNAT_LPORT_FLOOR,
	  FNAT_LPORT_FLOOR, FNAT_LPORT_CEILING, .max_at = AT(lport_max) },
	{ "fullnat_lport_max", AT(lport_max), FNAT_LPORT_CEILING,
	  FNAT_LPORT_FLOOR, FNAT_LPORT_CEILING, .min_at = AT(lport_min) },
	OFFERED("fullnat_timestamp", timestamp, FNAT_TIMESTAMP_STRIP,
		FNAT_TIMESTAMP_PASS, FNAT_TIMESTAMP_TRANSLATE),
	{ "fullnat_stray", AT(stray), FNAT_STRAY_HOST, FNAT_STRAY_HOST,
	  FNAT_STRAY_PASS },
	SWITCH("fullnat_vip_echo", vip_echo, 0),
	{ "fullnat_lookahead", AT(lookahead), 65536, FNAT_AHEAD_NEVER, INT_MAX,
	  .changed = fnat_ahead_set },
	SWITCH("fast_xmit", fast_xmit, 1),
	/* There is nothing to track, so it cannot be 1. */
	{ "conntrack", AT(conntrack), 0, 0, 0 },
	{ "run_estimation", AT(run_estimation), 1, 0, 1,
	  .changed = estimate_again },
	{ "conn_max", AT(conn_max), KEEP, 0, INT_MAX },
	SWITCH("conn_expire_tcp_rst", expire_rst, 1),
	{ "expire_nodest_conn", AT(expire_nodest_conn), FNAT_NODEST_DRAIN,
	  FNAT_NODEST_DROP, FNAT_NODEST_DRAIN },
	SWITCH("expire_quiescent_template", expire_quiescent_template, 0),
	{ "lblc_expiration", AT(lblc_expiration), DAY, 1, TIMEOUT_MAX },
	{ "lblcr_expiration", AT(lblcr_expiration), DAY, 1, TIMEOUT_MAX },
	DEFENCE("drop_entry", drop_entry),
	DEFENCE("drop_packet", drop_packet),
	DEFENCE("secure_tcp", secure_tcp),
	{ "amemthresh", AT(amemthresh), 1024, 0, INT_MAX },
	{ "am_droprate", AT(am_droprate), 10, 1, INT_MAX },
	SWITCH("defence_tcp_drop", defence_tcp_drop, 0),
	SWITCH("defence_udp_drop", defence_udp_drop, 0),
	SWITCH("defence_frag_drop", defence_frag_drop, 0),
	OFFERED("synproxy_init_mss", init_mss, 1452, FNAT_OFFER_MSS_MIN,
		FNAT_OFFER_MSS_MAX),
	OFFERED("synproxy_wscale", synproxy_wscale, 1, 0, 1),
	OFFERED("synproxy_sack", synproxy_sack, 1, 0, 1),
	OFFERED("synproxy_timestamp", synproxy_timestamp, 1, 0, 1),
	OFFERED("synproxy_synack_ttl", synack_ttl, 63, FNAT_OFFER_TTL_MIN,
		FNAT_OFFER_TTL_MAX),
	SWITCH("synproxy_synack_route", synack_route, 0),
	SWITCH("synproxy_defer", defer, 0),
	{ "synproxy_syn_retry", AT(syn_retry), 3, 0, 6 },
	{ "synproxy_ack_skb_store_thresh", AT(early_max), 3, 0, 5 },
	{ "synproxy_ack_skb_store_kib", AT(early_kib), 65536, 0, 1 << 20 },
	SWITCH("synproxy_bad_ack_rst", bad_ack_rst, 0),
	SWITCH("synproxy_probe", synproxy_probe, 1),
	/* What is counted has four bits. */
	{ "synproxy_ack_storm_thresh", AT(ack_storm_thresh), 10, 0,
	  FNAT_PROXIED_STORM - 1 },
	SWITCH("synproxy_conn_reuse", conn_reuse, 1),
	SWITCH("synproxy_conn_reuse_close", conn_reuse_close, 1),
	SWITCH("synproxy_conn_reuse_time_wait", conn_reuse_time_wait, 1),
	SWITCH("synproxy_conn_reuse_last_ack", conn_reuse_last_ack, 0),
	{ "synproxy_auto_thresh", AT(auto_thresh), 1024, 1, 1 << 24 },
	{ "synproxy_auto_calm", AT(auto_calm), 60, 1, DAY },
	TIMEOUT("timeout_established", FNAT_TCP_S_ESTABLISHED),
	TIMEOUT("timeout_synrecv", FNAT_TCP_S_SYN_RECV),
	TIMEOUT("timeout_finwait", FNAT_TCP_S_FIN_WAIT),
	TIMEOUT("timeout_timewait", FNAT_TCP_S_TIME_WAIT),
	TIMEOUT("timeout_close", FNAT_TCP_S_CLOSE),
	TIMEOUT("timeout_closewait", FNAT_TCP_S_CLOSE_WAIT),
	TIMEOUT("timeout_lastack", FNAT_TCP_S_LAST_ACK),
	TIMEOUT("timeout_udp", FNAT_S_UDP),
	TIMEOUT("timeout_onepacket", FNAT_S_UDP_ASKED),
};

static int *int_at(struct fnat_net *fn, size_t at)
{
	return (int *)((char *)fn + at);
}

/* table->extra1 is the knob, ->extra2 the namespace. */
static int do_knob(CTL_CONST struct ctl_table *table, int write, void *buffer,
		   size_t *lenp, loff_t *ppos)
{
	const struct knob *k = table->extra1;
	struct fnat_net *fn = table->extra2;
	int min = k->min_at ? READ_ONCE(*int_at(fn, k->min_at)) : k->min;
	int max = k->max_at ? READ_ONCE(*int_at(fn, k->max_at)) : k->max;
	struct ctl_table ranged = {
		.procname	= table->procname,
		.data		= table->data,
		.maxlen		= sizeof(int),
		.mode		= table->mode,
		.extra1		= &min,
		.extra2		= &max,
	};
	int err = proc_dointvec_minmax(&ranged, write, buffer, lenp, ppos);

	if (!err && write && k->changed)
		k->changed(fn);
	return err;
}

/* Connections may take half of memory before new ones are refused. */
static int default_conn_max(void)
{
	u64 n = ((u64)totalram_pages() << PAGE_SHIFT) / 2 /
		sizeof(struct fnat_conn);

	return min_t(u64, n, INT_MAX);
}

int fnat_sysctl_init(struct fnat_net *fn)
{
	struct ctl_table *t;
	int i;

	/* One more, for the empty one at the end. */
	t = kcalloc(ARRAY_SIZE(knobs) + 1, sizeof(*t), GFP_KERNEL);
	if (!t)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(knobs); i++) {
		const struct knob *k = &knobs[i];

		if (k->first != KEEP)
			*int_at(fn, k->at) = k->first;
		t[i].procname = k->name;
		t[i].data = int_at(fn, k->at);
		t[i].maxlen = sizeof(int);
		/* As in-tree IPVS: not for who is root by a user namespace. */
		t[i].mode = fn->net->user_ns == &init_user_ns ? 0644 : 0444;
		t[i].proc_handler = do_knob;
		t[i].extra1 = (void *)k;
		t[i].extra2 = fn;
	}
	fn->tune.conn_max = default_conn_max();
	fn->ctl_table = t;
	fn->ctl_header = register_net_sysctl_sz(fn->net, "net/ipv4/vs", t,
						ARRAY_SIZE(knobs));
	if (fn->ctl_header)
		return 0;
	kfree(t);
	return -ENOMEM;
}

void fnat_sysctl_exit(struct fnat_net *fn)
{
	unregister_net_sysctl_table(fn->ctl_header);
	kfree(fn->ctl_table);
}
