// SPDX-License-Identifier: GPL-2.0
#include <linux/hash.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <net/ipv6.h>

#include "dest.h"
#include "est.h"
#include "laddr.h"
#include "offer.h"
#include "pkt.h"
#include "probe.h"
#include "sched.h"
#include "svc.h"

/* Services done before commands get their turn. */
#define BATCH	64

static struct hlist_head *chain(const struct fnat_net *fn,
				const struct fnat_svc_key *key)
{
	u32 ends = ((__force u32)key->port << 16 | key->proto) ^ key->fwmark;
	u32 addr = key->af == AF_INET ? (__force u32)key->addr.ip :
					ipv6_addr_hash(&key->addr.in6);

	/* Operators choose what is in it, not clients: a product will do. */
	return &fn->svc_tab[hash_64((u64)addr << 32 | ends, FNAT_SVC_TAB_BITS)];
}

static bool same_key(const struct fnat_svc_key *a, const struct fnat_svc_key *b)
{
	return a->port == b->port && a->proto == b->proto && a->af == b->af &&
	       a->fwmark == b->fwmark && nf_inet_addr_cmp(&a->addr, &b->addr);
}

static __always_inline
struct fnat_svc *find(const struct fnat_net *fn, const struct fnat_svc_key *key)
{
	struct fnat_svc *svc;

	if (!fn->svc_tab)
		return NULL;
	hlist_for_each_entry_rcu(svc, chain(fn, key), node,
				 lockdep_is_held(&fn->cfg))
		if (same_key(&svc->key, key))
			return svc;
	return NULL;
}

struct fnat_svc *fnat_svc_find(const struct fnat_net *fn,
			       const struct fnat_svc_key *key)
{
	return find(fn, key);
}

struct fnat_svc *fnat_svc_of(const struct fnat_pkt *p)
{
	struct fnat_svc_key key = {
		.addr	= p->daddr,
		.af	= p->af,
		.proto	= p->proto,
		.port	= fnat_dport(p->ports),
	};
	struct fnat_svc *svc = find(p->fn, &key);

	if (svc || !atomic_read(&p->fn->nr_catchall))
		return svc;
	key.port = 0;
	return fnat_svc_find(p->fn, &key);
}

struct fnat_svc *fnat_svc_marked(const struct fnat_pkt *p)
{
	struct fnat_svc_key key = {
		.af	= p->af,
		.fwmark	= p->skb->mark,
	};

	/* To a LIP come replies, whatever their mark. */
	if (fnat_addrset_has(&p->fn->addrs, FNAT_ADDR_LIP, p->af, &p->daddr))
		return NULL;
	return fnat_svc_find(p->fn, &key);
}

bool fnat_svc_has_mark(const struct fnat_net *fn, u16 af, u32 mark)
{
	const struct fnat_svc_key key = { .af = af, .fwmark = mark };

	return fnat_svc_find(fn, &key);
}

/* One more, or one less: of all, and of the kinds that packets ask about. */
static void count(struct fnat_net *fn, const struct fnat_svc_key *key, int n)
{
	atomic_add(n, &fn->nr_svcs);
	fnat_hook_count(fn, key->af, key->fwmark, n);
	if (!key->fwmark && !key->port)
		atomic_add(n, &fn->nr_catchall);
	if (n < 0)
		fnat_net_reap(fn);
}

static void free_rcu(struct rcu_head *head)
{
	struct fnat_svc *svc = container_of(head, struct fnat_svc, rcu);

	fnat_guard_exit(&svc->guard);
	fnat_stats_exit(&svc->stats);
	kfree(svc);
}

void fnat_svc_hold(struct fnat_svc *svc)
{
	refcount_inc(&svc->refs);
}

void fnat_svc_put(struct fnat_svc *svc)
{
	struct fnat_net *fn = svc->fn;

	if (!refcount_dec_and_test(&svc->refs))
		return;
	if (!svc->key.fwmark)
		fnat_addrset_del(&fn->addrs, FNAT_ADDR_VIP, svc->key.af,
				 &svc->key.addr);
	count(fn, &svc->key, -1);
	call_rcu(&svc->rcu, free_rcu);
}

static int add_vip(struct fnat_net *fn, const struct fnat_svc_key *key,
		   struct netlink_ext_ack *ea)
{
	int err;

	if (key->fwmark)
		return 0;
	/* One that has just been given up is none any more. */
	fnat_laddr_reap(fn);
	err = fnat_addrset_add(&fn->addrs, FNAT_ADDR_VIP, key->af, &key->addr);
	if (err == -EBUSY)
		NL_SET_ERR_MSG(ea, "This address is a LIP: a VIP needs another");
	return err;
}

int fnat_svc_add(struct fnat_net *fn, const struct fnat_svc_key *key,
		 const struct fnat_svc_opts *opts, struct netlink_ext_ack *ea)
{
	struct fnat_svc *svc;
	int err;

	if (fnat_svc_find(fn, key))
		return -EEXIST;
	/* Counted first: the reaper takes hooks away when there are none. */
	count(fn, key, 1);
	err = fnat_net_start(fn);
	if (err)
		goto uncount;

	err = -ENOMEM;
	svc = kzalloc(sizeof(*svc), GFP_KERNEL);
	if (!svc)
		goto uncount;
	svc->key = *key;
	svc->fn = fn;
	svc->opts = *opts;
	INIT_LIST_HEAD(&svc->gone);
	spin_lock_init(&svc->gone_lock);
	spin_lock_init(&svc->offer_lock);
	refcount_set(&svc->refs, 1);
	err = fnat_stats_init(&svc->stats);
	if (err)
		goto free_svc;
	err = fnat_guard_init(&svc->guard);
	if (err)
		goto exit_stats;
	err = fnat_sched_start(svc, opts->sched);
	if (err)
		goto exit_guard;
	err = add_vip(fn, key, ea);
	if (err)
		goto stop_sched;
	err = xa_alloc_cyclic(&fn->svcs, &svc->id, svc, xa_limit_31b,
			      &fn->svc_next_id, GFP_KERNEL);
	if (err < 0)
		goto del_addr;
	fnat_offer_settle(svc);
	fnat_guard_set(svc, opts->synproxy);
	hlist_add_head_rcu(&svc->node, chain(fn, key));
	fnat_est_start(fn);
	return 0;

del_addr:
	if (!key->fwmark)
		fnat_addrset_del(&fn->addrs, FNAT_ADDR_VIP, key->af,
				 &key->addr);
stop_sched:
	fnat_sched_stop(svc);
exit_guard:
	fnat_guard_exit(&svc->guard);
exit_stats:
	fnat_stats_exit(&svc->stats);
free_svc:
	kfree(svc);
uncount:
	count(fn, key, -1);
	return err;
}

int fnat_svc_edit(struct fnat_svc *svc, const struct fnat_svc_opts *opts)
{
	const struct fnat_svc_opts old = svc->opts;
	int err;

	err = fnat_sched_start(svc, opts->sched);
	if (err)
		return err;
	svc->opts = *opts;
	if (old.sched != opts->sched || old.flags != opts->flags) {
		err = fnat_dest_reschedule(svc);
		if (err) {
			svc->opts = old;
			fnat_sched_settle(svc);
			return err;
		}
	}
	if (old.sched != opts->sched)
		atomic64_set(&svc->cursor, 0);
	fnat_sched_settle(svc);
	fnat_offer_settle(svc);
	fnat_guard_set(svc, opts->synproxy);
	fnat_probe_start(svc);
	return 0;
}

void fnat_svc_del(struct fnat_svc *svc)
{
	hlist_del_rcu(&svc->node);
	xa_erase(&svc->fn->svcs, svc->id);
	fnat_sched_stop(svc);
	fnat_dest_flush(svc);
	fnat_laddrs_drop(svc->fn, &svc->laddrs);
	fnat_svc_put(svc);
}

void fnat_svc_flush(struct fnat_net *fn)
{
	struct fnat_svc *svc;
	unsigned long id;

	xa_for_each(&fn->svcs, id, svc)
		fnat_svc_del(svc);
}

/* The next few from service *@id on; false if there is none. */
static bool do_some(struct fnat_net *fn, bool (*work)(struct fnat_svc *svc),
		    unsigned long *id, bool *any)
{
	struct fnat_svc *svc = NULL;
	int n = 0;

	mutex_lock(&fn->cfg);
	xa_for_each_start(&fn->svcs, *id, svc, *id) {
		if (n++ == BATCH)
			break;
		*any |= work(svc);
	}
	mutex_unlock(&fn->cfg);
	return svc;
}

bool fnat_svc_each(struct fnat_net *fn, bool (*work)(struct fnat_svc *svc))
{
	unsigned long id = 0;
	bool any = false;

	while (do_some(fn, work, &id, &any))
		cond_resched();
	return any;
}
