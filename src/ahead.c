// SPDX-License-Identifier: GPL-2.0
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/percpu.h>
#include <linux/slab.h>

#include "ahead.h"
#include "conn.h"
#include "pkt.h"

DEFINE_STATIC_KEY_FALSE(fnat_ahead_on);

/* Packets that may lie between netdev ingress and PRE_ROUTING: those of one poll. */
#define SEEN	64

/*
 * Connections are asked for some at a time, so that page tables are walked for all of
 * these at once: as soon as so many later packets have been seen that their buckets
 * should have come; or else when fewer than that are left of those in turn.
 */
#define SOME	4
#define LATER	2

struct seen {
	/* To be compared only: there may be another packet there by now. */
	const struct sk_buff	*skb;
	struct fnat_net		*fn;		/* NULL: its table may be gone */
	u32			hash;		/* see fnat_conn_seek() */
};

/* A CPU's; indices count on, modulo SEEN. */
struct sight {
	struct seen	seen[SEEN];
	u32		put;		/* the next that is seen */
	u32		taken;		/* the next that comes to PRE_ROUTING */
	u32		asked;		/* the next whose connection is to be asked for */
};

static struct sight __percpu *sights;

int fnat_ahead_cache_init(void)
{
	sights = alloc_percpu(struct sight);
	return sights ? 0 : -ENOMEM;
}

void fnat_ahead_cache_exit(void)
{
	free_percpu(sights);
}

/* ---------------------------------------------------------------- packets */

static void ask(struct sight *sight)
{
	const struct fnat_net *fn;
	const struct seen *s;
	unsigned int i;

	for (i = 0; i < SOME && sight->asked != sight->put; i++) {
		s = &sight->seen[sight->asked++ % SEEN];
		fn = READ_ONCE(s->fn);
		if (fn)
			fnat_conn_prefetch(fn, s->hash);
	}
}

static unsigned int look(void *priv, struct sk_buff *skb,
			 const struct nf_hook_state *state)
{
	struct fnat_pkt p __uninitialized;
	struct fnat_net *fn = priv;
	struct sight *sight;
	struct seen *s;

	/* Pairs with fnat_conn_tab_init(). */
	if (!smp_load_acquire(&fn->conn_tab) ||
	    !fnat_pkt_glimpse(&p, fn, skb))
		return NF_ACCEPT;
	sight = this_cpu_ptr(sights);
	s = &sight->seen[sight->put % SEEN];
	s->skb = skb;
	s->hash = fnat_conn_seek(&p, &p.saddr, &p.daddr, p.ports);
	WRITE_ONCE(s->fn, fn);
	/* Some are seen and never come: dropped, or passed on by others. */
	if (++sight->put - sight->taken > SEEN)
		sight->taken = sight->put - SEEN;
	if (sight->put - sight->asked >= SOME + LATER)
		ask(sight);
	return NF_ACCEPT;
}

s64 __fnat_ahead_take(const struct fnat_pkt *p)
{
	struct sight *sight = this_cpu_ptr(sights);
	const struct seen *s;
	u32 i;

	for (i = sight->taken; i != sight->put; i++) {
		s = &sight->seen[i % SEEN];
		if (s->skb != p->skb)
			continue;
		sight->taken = i + 1;
		if ((s32)(sight->asked - sight->taken) < 0)
			sight->asked = sight->taken;
		if (sight->asked - sight->taken < SOME)
			ask(sight);
		if (READ_ONCE(s->fn) != p->fn)
			return -1;
		fnat_count(p->fn, FNAT_EV_AHEAD);
		return s->hash;
	}
	return -1;
}

/* ---------------------------------------------------------------- devices */

/* On a device; unseen packets only cost time, so it may be missing. */
struct eye {
	struct list_head	node;
	struct nf_hook_ops	ops;
	struct rcu_head		rcu;
};

static void open_eye(struct fnat_net *fn, struct net_device *dev)
{
	struct eye *eye = kzalloc(sizeof(*eye), GFP_KERNEL);

	if (!eye)
		return;
	eye->ops = (struct nf_hook_ops){
		.hook		= look,
		.dev		= dev,
		.priv		= fn,
		.pf		= NFPROTO_NETDEV,
		.hooknum	= NF_NETDEV_INGRESS,
		.priority	= INT_MAX,	/* what others drop is not seen */
	};
	if (nf_register_net_hook(fn->net, &eye->ops))
		kfree(eye);
	else
		list_add(&eye->node, &fn->ahead.eyes);
}

static void close_eye(struct fnat_net *fn, const struct net_device *dev)
{
	struct eye *eye, *next;

	list_for_each_entry_safe(eye, next, &fn->ahead.eyes, node) {
		if (eye->ops.dev != dev)
			continue;
		nf_unregister_net_hook(fn->net, &eye->ops);
		list_del(&eye->node);
		kfree_rcu(eye, rcu);
	}
}

/* Under RTNL; also of devices that there are already, when it begins and ends. */
static int device(struct notifier_block *nb, unsigned long event, void *info)
{
	struct fnat_net *fn = container_of(nb, struct fnat_net, ahead.nb);
	struct net_device *dev = netdev_notifier_info_to_dev(info);

	if (event == NETDEV_REGISTER && !(dev->flags & IFF_LOOPBACK))
		open_eye(fn, dev);
	else if (event == NETDEV_UNREGISTER)
		close_eye(fn, dev);
	return NOTIFY_DONE;
}

/*
 * Whether @fn is to look ahead. It goes back at half as many connections, or it
 * would go to and fro.
 */
static bool wanted(const struct fnat_net *fn)
{
	int from = READ_ONCE(fn->tune.lookahead);

	if (READ_ONCE(fn->ahead.over) || from == FNAT_AHEAD_NEVER)
		return false;
	if (from == FNAT_AHEAD_ALWAYS)
		return true;
	if (READ_ONCE(fn->ahead.on))
		from /= 2;
	return atomic_read(&fn->nr_conns) >= from;
}

/* Caller holds fn->ahead.lock. */
static void turn(struct fnat_net *fn, bool on)
{
	struct fnat_ahead *ahead = &fn->ahead;

	ahead->was_on |= on;
	if (on && !ahead->on &&
	    !register_netdevice_notifier_net(fn->net, &ahead->nb)) {
		static_branch_inc(&fnat_ahead_on);
		WRITE_ONCE(ahead->on, true);
	} else if (!on && ahead->on) {
		static_branch_dec(&fnat_ahead_on);
		unregister_netdevice_notifier_net(fn->net, &ahead->nb);
		WRITE_ONCE(ahead->on, false);
	}
}

static void weigh(struct work_struct *work)
{
	fnat_ahead_set(container_of(work, struct fnat_net, ahead.weigh));
}

void fnat_ahead_init(struct fnat_net *fn)
{
	mutex_init(&fn->ahead.lock);
	INIT_LIST_HEAD(&fn->ahead.eyes);
	INIT_WORK(&fn->ahead.weigh, weigh);
	fn->ahead.nb.notifier_call = device;
}

void fnat_ahead_set(struct fnat_net *fn)
{
	mutex_lock(&fn->ahead.lock);
	turn(fn, wanted(fn));
	mutex_unlock(&fn->ahead.lock);
}

void fnat_ahead_weigh(struct fnat_net *fn)
{
	if (wanted(fn) != READ_ONCE(fn->ahead.on))
		queue_work(fnat_wq, &fn->ahead.weigh);
}

void fnat_ahead_exit(struct fnat_net *fn)
{
	mutex_lock(&fn->ahead.lock);
	WRITE_ONCE(fn->ahead.over, true);
	turn(fn, false);
	mutex_unlock(&fn->ahead.lock);
}

void fnat_ahead_forget(struct fnat_net *fn)
{
	int cpu, i;

	if (!fn->ahead.was_on)
		return;
	for_each_possible_cpu(cpu)
		for (i = 0; i < SEEN; i++) {
			struct seen *s = &per_cpu_ptr(sights, cpu)->seen[i];

			/* If it becomes another's just now, time is lost. */
			if (READ_ONCE(s->fn) == fn)
				WRITE_ONCE(s->fn, NULL);
		}
	synchronize_rcu();
}
