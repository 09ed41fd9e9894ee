// SPDX-License-Identifier: GPL-2.0
#include <linux/jhash.h>
#include <linux/rculist.h>
#include <linux/slab.h>

#include "dest.h"
#include "est.h"
#include "laddr.h"
#include "pkt.h"
#include "svc.h"

static struct hlist_head *chain(const struct fnat_net *fn,
				const struct fnat_svc_key *key)
{
	u32 h = key->af == AF_INET ?
		jhash_2words((__force u32)key->addr.ip,
			     (__force u32)key->port << 16 | key->proto, 0) :
		jhash2((const u32 *)&key->addr, 4,
		       (__force u32)key->port << 16 | key->proto);

	return &fn->svc_tab[h & ((1U << FNAT_SVC_TAB_BITS) - 1)];
}

static bool same_key(const struct fnat_svc_key *a, const struct fnat_svc_key *b)
{
	return a->port == b->port && a->proto == b->proto && a->af == b->af &&
	       nf_inet_addr_cmp(&a->addr, &b->addr);
}

struct fnat_svc *fnat_svc_find(const struct fnat_net *fn,
			       const struct fnat_svc_key *key)
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

struct fnat_svc *fnat_svc_of(const struct fnat_pkt *p)
{
	struct fnat_svc_key key = {
		.addr	= p->daddr,
		.af	= p->af,
		.proto	= p->proto,
		.port	= fnat_dport(p->ports),
	};

	return fnat_svc_find(p->fn, &key);
}

static void free_rcu(struct rcu_head *head)
{
	struct fnat_svc *svc = container_of(head, struct fnat_svc, rcu);

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
	fnat_addrset_del(&fn->addrs, FNAT_ADDR_VIP, svc->key.af,
			 &svc->key.addr);
	call_rcu(&svc->rcu, free_rcu);
	if (atomic_dec_and_test(&fn->nr_svcs))
		fnat_net_reap(fn);
}

int fnat_svc_add(struct fnat_net *fn, const struct fnat_svc_key *key,
		 const struct fnat_svc_opts *opts, struct netlink_ext_ack *ea)
{
	struct fnat_svc *svc;
	int err;

	if (fnat_svc_find(fn, key))
		return -EEXIST;
	/* Counted first: the reaper takes hooks away when there are none. */
	atomic_inc(&fn->nr_svcs);
	err = fnat_net_start(fn);
	if (err)
		goto uncount;

	err = -ENOMEM;
	svc = kzalloc(sizeof(*svc), GFP_KERNEL);
	if (!svc)
		goto uncount;
	svc->key = *key;
	svc->fn = fn;
	svc->sched = opts->sched;
	svc->flags = opts->flags;
	refcount_set(&svc->refs, 1);
	err = fnat_stats_init(&svc->stats);
	if (err)
		goto free_svc;
	err = fnat_addrset_add(&fn->addrs, FNAT_ADDR_VIP, key->af, &key->addr);
	if (err == -EBUSY)
		NL_SET_ERR_MSG(ea, "This address is a LIP: a VIP needs another");
	if (err)
		goto exit_stats;
	err = xa_alloc_cyclic(&fn->svcs, &svc->id, svc, xa_limit_31b,
			      &fn->svc_next_id, GFP_KERNEL);
	if (err < 0)
		goto del_addr;
	hlist_add_head_rcu(&svc->node, chain(fn, key));
	fnat_est_start(fn);
	return 0;

del_addr:
	fnat_addrset_del(&fn->addrs, FNAT_ADDR_VIP, key->af, &key->addr);
exit_stats:
	fnat_stats_exit(&svc->stats);
free_svc:
	kfree(svc);
uncount:
	if (atomic_dec_and_test(&fn->nr_svcs))
		fnat_net_reap(fn);
	return err;
}

int fnat_svc_edit(struct fnat_svc *svc, const struct fnat_svc_opts *opts)
{
	const struct fnat_svc_opts old = { svc->sched, svc->flags };
	int err;

	if (old.sched == opts->sched && old.flags == opts->flags)
		return 0;
	svc->sched = opts->sched;
	svc->flags = opts->flags;
	err = fnat_dest_reschedule(svc);
	if (err) {
		svc->sched = old.sched;
		svc->flags = old.flags;
		return err;
	}
	if (old.sched != opts->sched)
		atomic64_set(&svc->cursor, 0);
	return 0;
}

void fnat_svc_del(struct fnat_svc *svc)
{
	hlist_del_rcu(&svc->node);
	xa_erase(&svc->fn->svcs, svc->id);
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
