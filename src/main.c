// SPDX-License-Identifier: GPL-2.0
/*
 * The ladders: what a module and what a network namespace set up, and the
 * same in reverse.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <net/netns/generic.h>

#include "conn.h"
#include "cookie_key.h"
#include "est.h"
#include "fnat.h"
#include "guard.h"
#include "hook.h"
#include "laddr.h"
#include "lport.h"
#include "nl.h"
#include "probe.h"
#include "procfs.h"
#include "svc.h"
#include "sysctl.h"

unsigned int fnat_net_id __read_mostly;
struct workqueue_struct *fnat_wq;

unsigned int fnat_conn_tab_bits __read_mostly = 22;
module_param_named(conn_tab_bits, fnat_conn_tab_bits, uint, 0444);
MODULE_PARM_DESC(conn_tab_bits,
		 "Buckets of the connection table, as a power of two (8 to 27, default 22)");

/*
 * In-tree IPVS exports this name, too. It is here so that the module loader
 * refuses the second of the two, by name and before it has done anything.
 */
void ip_vs_tcp_conn_listen(void)
{
}
EXPORT_SYMBOL_GPL(ip_vs_tcp_conn_listen);

struct fnat_net *fnat_net(const struct net *net)
{
	return net_generic(net, fnat_net_id);
}

static struct hlist_head *tab_alloc(unsigned int bits)
{
	return kvcalloc(1U << bits, sizeof(struct hlist_head), GFP_KERNEL);
}

static void tabs_free(struct fnat_net *fn)
{
	fnat_wheel_free(fn);
	fnat_conn_tab_exit(fn);
	fnat_addrset_exit(&fn->masqs);
	fnat_addrset_exit(&fn->addrs);
	kvfree(fn->laddr_tab);
	kvfree(fn->rs_tab);
	kvfree(fn->svc_tab);
	fn->laddr_tab = NULL;
	fn->rs_tab = NULL;
	fn->svc_tab = NULL;
}

int fnat_net_prepare(struct fnat_net *fn)
{
	lockdep_assert_held(&fn->cfg);
	if (fn->conn_tab)
		return 0;
	fn->svc_tab = tab_alloc(FNAT_SVC_TAB_BITS);
	fn->rs_tab = tab_alloc(FNAT_RS_TAB_BITS);
	fn->laddr_tab = tab_alloc(FNAT_LADDR_TAB_BITS);
	if (fn->svc_tab && fn->rs_tab && fn->laddr_tab &&
	    !fnat_addrset_init(&fn->addrs) && !fnat_addrset_init(&fn->masqs) &&
	    !fnat_wheel_init(fn) && !fnat_conn_tab_init(fn))
		return 0;
	tabs_free(fn);
	return -ENOMEM;
}

int fnat_net_start(struct fnat_net *fn)
{
	return fnat_net_prepare(fn) ?: fnat_hook_init(fn);
}

static void reap(struct work_struct *work)
{
	struct fnat_net *fn = container_of(work, struct fnat_net, reap);

	mutex_lock(&fn->cfg);
	fnat_hook_trim(fn);
	fnat_laddr_reap(fn);
	fnat_rs_reap(fn);
	mutex_unlock(&fn->cfg);
}

/* A thousand a second. Events count what was left out, not the log. */
static void told_init(struct ratelimit_state *rs)
{
	ratelimit_state_init(rs, HZ, 1000);
	ratelimit_set_flags(rs, RATELIMIT_MSG_ON_RELEASE);
}

static void net_fields(struct fnat_net *fn, struct net *net)
{
	fn->net = net;
	mutex_init(&fn->cfg);
	xa_init_flags(&fn->svcs, XA_FLAGS_ALLOC);
	ida_init(&fn->laddr_ids);
	INIT_LIST_HEAD(&fn->rs_list);
	init_llist_head(&fn->dead_laddrs);
	init_llist_head(&fn->dead_rs);
	INIT_WORK(&fn->reap, reap);
	fnat_est_init(fn);
	fnat_guards_init(fn);
	fnat_probe_init(fn);
	fnat_defence_init(fn);
	fnat_ahead_init(fn);
	get_random_bytes(&fn->isn_key, sizeof(fn->isn_key));
	/* Nobody is to learn from it how long we have been up. */
	fn->synack_clock = get_random_u32();
	fnat_state_timeouts(fn->timeout);
	told_init(&fn->refusals);
	told_init(&fn->pmtu_news);
}

static int __net_init net_init(struct net *net)
{
	struct fnat_net *fn = fnat_net(net);
	int err;

	net_fields(fn, net);
	fn->events = alloc_percpu(struct fnat_events);
	if (!fn->events)
		return -ENOMEM;
	err = fnat_stats_init(&fn->total);
	if (err)
		goto free_events;
	err = fnat_cookie_keys_init(fn);
	if (err)
		goto exit_total;
	err = fnat_procfs_init(fn);
	if (err)
		goto exit_keys;
	/* The last: who writes one may start what nothing here would stop. */
	err = fnat_sysctl_init(fn);
	if (err)
		goto exit_procfs;
	return 0;

exit_procfs:
	fnat_procfs_exit(fn);
exit_keys:
	fnat_cookie_keys_exit(fn);
exit_total:
	fnat_stats_exit(&fn->total);
free_events:
	free_percpu(fn->events);
	return err;
}

/* Packets first; a grace period passes before net_exit(). */
static void __net_exit net_pre_exit(struct net *net)
{
	struct fnat_net *fn = fnat_net(net);

	fnat_ahead_exit(fn);
	mutex_lock(&fn->cfg);
	fnat_hook_exit(fn);
	mutex_unlock(&fn->cfg);
}

static void __net_exit net_exit(struct net *net)
{
	struct fnat_net *fn = fnat_net(net);

	fnat_sysctl_exit(fn);
	fnat_procfs_exit(fn);
	fnat_ahead_forget(fn);

	mutex_lock(&fn->cfg);
	fnat_svc_flush(fn);
	fnat_laddrs_drop(fn, &fn->pool[0]);
	fnat_laddrs_drop(fn, &fn->pool[1]);
	mutex_unlock(&fn->cfg);
	fnat_est_exit(fn);
	fnat_guards_exit(fn);
	fnat_probe_exit(fn);
	fnat_defence_exit(fn);
	/* A timer that was to ask another server finds none from now on. */
	if (fn->dialled)
		synchronize_rcu();
	/* The last connections let go of their dests and LIPs. */
	fnat_wheel_exit(fn);
	/* A timer that was ringing when its connection ended may do so still. */
	if (fn->dialled)
		synchronize_rcu();
	flush_work(&fn->reap);
	flush_work(&fn->ahead.weigh);
	tabs_free(fn);

	xa_destroy(&fn->svcs);
	ida_destroy(&fn->laddr_ids);
	fnat_cookie_keys_exit(fn);
	fnat_stats_exit(&fn->total);
	free_percpu(fn->events);
}

static struct pernet_operations net_ops = {
	.init		= net_init,
	.pre_exit	= net_pre_exit,
	.exit		= net_exit,
	.id		= &fnat_net_id,
	.size		= sizeof(struct fnat_net),
};

static int __init fnat_init(void)
{
	int err;

	if (fnat_conn_tab_bits < FNAT_CONN_TAB_BITS_MIN ||
	    fnat_conn_tab_bits > FNAT_CONN_TAB_BITS_MAX) {
		pr_err("conn_tab_bits=%u: must be between %u and %u\n",
		       fnat_conn_tab_bits, FNAT_CONN_TAB_BITS_MIN,
		       FNAT_CONN_TAB_BITS_MAX);
		return -EINVAL;
	}
	fnat_wq = alloc_workqueue("ip_vs_fullnat", WQ_UNBOUND, 0);
	if (!fnat_wq)
		return -ENOMEM;
	err = fnat_conn_cache_init();
	if (err)
		goto destroy_wq;
	err = fnat_ahead_cache_init();
	if (err)
		goto exit_cache;
	err = register_pernet_subsys(&net_ops);
	if (err)
		goto exit_ahead;
	err = fnat_nl_init();
	if (err)
		goto unregister_net;
	return 0;

unregister_net:
	unregister_pernet_subsys(&net_ops);
exit_ahead:
	fnat_ahead_cache_exit();
exit_cache:
	fnat_conn_cache_exit();
destroy_wq:
	destroy_workqueue(fnat_wq);
	return err;
}

static void __exit fnat_exit(void)
{
	fnat_nl_exit();
	unregister_pernet_subsys(&net_ops);
	fnat_ahead_cache_exit();
	/* Waits for what is yet to be freed under RCU, too. */
	fnat_conn_cache_exit();
	destroy_workqueue(fnat_wq);
}

module_init(fnat_init);
module_exit(fnat_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("FULLNAT load balancer, a superset of IP Virtual Server");
MODULE_ALIAS("ip_vs");
MODULE_ALIAS_GENL_FAMILY(IPVS_GENL_NAME);
