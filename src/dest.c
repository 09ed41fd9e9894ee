// SPDX-License-Identifier: GPL-2.0
#include <linux/slab.h>
#include <net/addrconf.h>

#include "dest.h"
#include "offer.h"
#include "probe.h"
#include "sched.h"
#include "svc.h"

#define FNAT_WEIGHT_MAX	65535	/* ipvsadm's own limit */

static struct fnat_dests *current_set(const struct fnat_svc *svc)
{
	return rcu_dereference_protected(svc->dests,
					 lockdep_is_held(&svc->fn->cfg));
}

static void reweigh(struct fnat_dests *set)
{
	u32 i;

	set->gcd = 0;
	for (i = 0; i < set->n; i++)
		set->gcd = gcd(set->gcd, set->v[i]->opts.weight);
}

/*
 * Replaces the set of @svc by one with @add (if any) and without @del (if
 * any). 0 or -ENOMEM, then nothing has changed.
 */
static int replace_set(struct fnat_svc *svc, struct fnat_dest *add,
		       const struct fnat_dest *del)
{
	struct fnat_dests *old = current_set(svc);
	u32 room = (old ? old->n : 0) + !!add;
	struct fnat_dests *set;
	u32 i;

	set = kvzalloc(struct_size(set, v, room) +
		       svc->opts.sched->slots * sizeof(*set->slot),
		       GFP_KERNEL);
	if (!set)
		return -ENOMEM;
	set->sched = svc->opts.sched;
	set->flags = svc->opts.flags;
	set->slot = (u16 *)&set->v[room];
	for (i = 0; old && i < old->n; i++)
		if (old->v[i] != del)
			set->v[set->n++] = old->v[i];
	if (add)
		set->v[set->n++] = add;
	reweigh(set);
	if (set->n && set->sched->fill && set->sched->fill(set)) {
		kvfree(set);
		return -ENOMEM;
	}
	rcu_assign_pointer(svc->dests, set);
	fnat_offer_settle(svc);
	if (old)
		kvfree_rcu(old, rcu);
	return 0;
}

static int check_opts(const struct fnat_svc *svc,
		      const struct fnat_dest_opts *opts,
		      struct netlink_ext_ack *ea)
{
	if (opts->fwd_method == IP_VS_CONN_F_DROUTE && svc->opts.synproxy) {
		NL_SET_ERR_MSG(ea,
			       "The SYN proxy needs a server's answers, which Route (-g) does not bring: use -b or -m");
		return -EINVAL;
	}
	if (opts->weight < 0 || opts->weight > FNAT_WEIGHT_MAX) {
		NL_SET_ERR_MSG(ea, "A weight is 0 (drain) to 65535");
		return -ERANGE;
	}
	if (opts->l_thresh > opts->u_thresh || opts->u_thresh > INT_MAX) {
		NL_SET_ERR_MSG(ea,
			       "Thresholds: lower <= upper <= 2147483647");
		return -ERANGE;
	}
	return 0;
}

static void set_opts(struct fnat_dest *d, const struct fnat_dest_opts *opts)
{
	/* Connections keep the one that they began with. */
	WRITE_ONCE(d->opts.fwd_method, opts->fwd_method);
	WRITE_ONCE(d->opts.weight, opts->weight);
	if (opts->weight)
		d->last_weight = opts->weight;
	WRITE_ONCE(d->opts.u_thresh, opts->u_thresh);
	WRITE_ONCE(d->opts.l_thresh, opts->l_thresh);
}

static bool same_end(const struct fnat_dest *d, const union nf_inet_addr *addr,
		     __be16 port)
{
	return d->port == port && nf_inet_addr_cmp(&d->addr, addr);
}

bool fnat_dest_has_route(const struct fnat_svc *svc)
{
	const struct fnat_dests *set = current_set(svc);
	u32 i;

	for (i = 0; set && i < set->n; i++)
		if (set->v[i]->opts.fwd_method == IP_VS_CONN_F_DROUTE)
			return true;
	return false;
}

struct fnat_dest *fnat_dest_find(const struct fnat_svc *svc,
				 const union nf_inet_addr *addr, __be16 port)
{
	struct fnat_dests *set = current_set(svc);
	u32 i;

	for (i = 0; set && i < set->n; i++)
		if (same_end(set->v[i], addr, port))
			return set->v[i];
	return NULL;
}

static void free_rcu(struct rcu_head *head)
{
	struct fnat_dest *d = container_of(head, struct fnat_dest, rcu);

	fnat_stats_exit(&d->stats);
	kfree(d);
}

static void put_rs(struct fnat_dest *d)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(d->rs); i++)
		if (d->rs[i])
			fnat_rs_put(d->svc->fn, d->rs[i]);
}

void fnat_dest_hold(struct fnat_dest *d)
{
	refcount_inc(&d->refs);
}

/*
 * If @d is to be of Masq, packets are asked about their source from now on, until
 * the last of its connections has gone. What fnat_hook_init() says, or -ENOMEM.
 */
static int watch(struct fnat_dest *d, u32 fwd_method)
{
	struct fnat_net *fn = d->svc->fn;
	u16 af = d->svc->key.af;
	int err;

	if (fwd_method != IP_VS_CONN_F_MASQ)
		return 0;
	if (!d->watched) {
		err = fnat_addrset_add(&fn->masqs, FNAT_ADDR_SERVER, af, &d->addr);
		if (err)
			return err;
		d->watched = true;
		fnat_hook_count_masq(fn, af, 1);
	}
	/* Which may have failed when it was tried before. */
	return fnat_hook_init(fn);
}

static void unwatch(struct fnat_dest *d)
{
	struct fnat_net *fn = d->svc->fn;
	u16 af = d->svc->key.af;

	if (!d->watched)
		return;
	fnat_addrset_del(&fn->masqs, FNAT_ADDR_SERVER, af, &d->addr);
	fnat_hook_count_masq(fn, af, -1);
	fnat_net_reap(fn);
}

/* Any context: the last connection may have ended in softirq. */
void fnat_dest_put(struct fnat_dest *d)
{
	struct fnat_svc *svc = d->svc;

	if (!refcount_dec_and_test(&d->refs))
		return;
	spin_lock_bh(&svc->gone_lock);
	list_del(&d->gone);
	spin_unlock_bh(&svc->gone_lock);
	put_rs(d);
	unwatch(d);
	fnat_svc_put(svc);
	call_rcu(&d->rcu, free_rcu);
}

/* Its real server, for each protocol that the service has. -ENOMEM. */
static int get_rs(struct fnat_dest *d)
{
	static const u8 protos[] = { IPPROTO_TCP, IPPROTO_UDP };
	const struct fnat_svc_key *key = &d->svc->key;
	struct fnat_net *fn = d->svc->fn;
	int i;

	for (i = 0; i < ARRAY_SIZE(protos); i++) {
		if (!key->fwmark && key->proto != protos[i])
			continue;
		d->rs[i] = fnat_rs_get(fn, key->af, protos[i], &d->addr,
				       d->port);
		if (!d->rs[i]) {
			put_rs(d);
			return -ENOMEM;
		}
		/* Not known to be out of ports. */
		atomic_set(&d->port_freed[i],
			   atomic_read(&fn->lport_freed) - 1);
	}
	return 0;
}

/* A new dest, in no set, with one reference; NULL: no memory. */
static struct fnat_dest *create(struct fnat_svc *svc,
				const union nf_inet_addr *addr, __be16 port)
{
	struct fnat_dest *d = kzalloc(sizeof(*d), GFP_KERNEL);

	if (!d)
		return NULL;
	d->svc = svc;
	d->addr = *addr;
	d->port = port;
	INIT_LIST_HEAD(&d->gone);
	refcount_set(&d->refs, 1);
	if (fnat_stats_init(&d->stats))
		goto free_dest;
	if (get_rs(d))
		goto exit_stats;
	fnat_svc_hold(svc);
	return d;

exit_stats:
	fnat_stats_exit(&d->stats);
free_dest:
	kfree(d);
	return NULL;
}

/* The same of one that was removed and still drains; NULL if there is none. */
static struct fnat_dest *revive(struct fnat_svc *svc,
				const union nf_inet_addr *addr, __be16 port)
{
	struct fnat_dest *d, *found = NULL;

	spin_lock_bh(&svc->gone_lock);
	list_for_each_entry(d, &svc->gone, gone) {
		if (same_end(d, addr, port) &&
		    refcount_inc_not_zero(&d->refs)) {
			list_del_init(&d->gone);
			found = d;
			break;
		}
	}
	spin_unlock_bh(&svc->gone_lock);
	if (found)
		fnat_stats_zero(&found->stats);
	return found;
}

/* @d, which is in no set any more, drains. Gives up the set's reference. */
static void retire(struct fnat_dest *d)
{
	WRITE_ONCE(d->removed, true);
	spin_lock_bh(&d->svc->gone_lock);
	list_add(&d->gone, &d->svc->gone);
	spin_unlock_bh(&d->svc->gone_lock);
	fnat_dest_put(d);
}

/* Upstream's hysteresis: on at the upper threshold, off below the lower. */
static void judge_load(struct fnat_dest *d)
{
	u32 upper = READ_ONCE(d->opts.u_thresh);
	u32 lower = READ_ONCE(d->opts.l_thresh);
	u32 n;

	if (!upper) {
		if (READ_ONCE(d->overloaded))
			WRITE_ONCE(d->overloaded, false);
		return;
	}
	n = fnat_dest_conns(d);
	if (n >= upper)
		WRITE_ONCE(d->overloaded, true);
	else if (lower ? n < lower : n < upper - upper / 4)
		WRITE_ONCE(d->overloaded, false);
}

int fnat_dest_add(struct fnat_svc *svc, const union nf_inet_addr *addr,
		  __be16 port, const struct fnat_dest_opts *opts,
		  struct netlink_ext_ack *ea)
{
	struct fnat_dest *d;
	int err;

	err = check_opts(svc, opts, ea);
	if (err)
		return err;
	if (fnat_dest_find(svc, addr, port))
		return -EEXIST;
	if (current_set(svc) && current_set(svc)->n >= FNAT_DESTS_MAX) {
		NL_SET_ERR_MSG(ea, "A service has at most 65535 real servers");
		return -EINVAL;
	}

	d = revive(svc, addr, port) ?: create(svc, addr, port);
	if (!d)
		return -ENOMEM;
	set_opts(d, opts);
	d->id = ++svc->fn->last_dest_id;
	/* Before packets can choose it again. */
	WRITE_ONCE(d->removed, false);
	err = watch(d, opts->fwd_method) ?: replace_set(svc, d, NULL);
	if (err) {
		retire(d);
		return err;
	}
	judge_load(d);
	fnat_probe_want(d);
	return 0;
}

int fnat_dest_edit(struct fnat_svc *svc, const union nf_inet_addr *addr,
		   __be16 port, const struct fnat_dest_opts *opts,
		   struct netlink_ext_ack *ea)
{
	struct fnat_dest *d = fnat_dest_find(svc, addr, port);
	struct fnat_dest_opts old;
	int err, last_weight;

	if (!d)
		return -ENOENT;
	err = check_opts(svc, opts, ea) ?: watch(d, opts->fwd_method);
	if (err)
		return err;
	old = d->opts;
	last_weight = d->last_weight;
	set_opts(d, opts);
	err = replace_set(svc, NULL, NULL);
	if (err) {
		set_opts(d, &old);
		d->last_weight = last_weight;
		fnat_offer_settle(svc);
		return err;
	}
	/* A higher limit is judged afresh. */
	if (!opts->u_thresh || opts->u_thresh > old.u_thresh)
		WRITE_ONCE(d->overloaded, false);
	judge_load(d);
	if (!old.weight && opts->weight)
		fnat_probe_want(d);
	return 0;
}

int fnat_dest_del(struct fnat_svc *svc, const union nf_inet_addr *addr,
		  __be16 port)
{
	struct fnat_dest *d = fnat_dest_find(svc, addr, port);
	int err;

	if (!d)
		return -ENOENT;
	err = replace_set(svc, NULL, d);
	if (err)
		return err;
	retire(d);
	return 0;
}

int fnat_dest_reschedule(struct fnat_svc *svc)
{
	return current_set(svc) ? replace_set(svc, NULL, NULL) : 0;
}

void fnat_dest_flush(struct fnat_svc *svc)
{
	struct fnat_dests *set = current_set(svc);
	u32 i;

	if (!set)
		return;
	RCU_INIT_POINTER(svc->dests, NULL);
	for (i = 0; i < set->n; i++)
		retire(set->v[i]);
	kvfree_rcu(set, rcu);
}

bool fnat_dest_bind(struct fnat_dest *d)
{
	if (!refcount_inc_not_zero(&d->refs))
		return false;
	atomic_inc(&d->active);
	judge_load(d);
	return true;
}

void fnat_dest_unbind(struct fnat_dest *d, bool inactive)
{
	atomic_dec(inactive ? &d->inactive : &d->active);
	judge_load(d);
	fnat_dest_put(d);
}

void fnat_dest_persist(struct fnat_dest *d)
{
	fnat_dest_hold(d);
	atomic_inc(&d->persistent);
}

void fnat_dest_unpersist(struct fnat_dest *d)
{
	atomic_dec(&d->persistent);
	fnat_dest_put(d);
}

void fnat_dest_moved(struct fnat_dest *d, bool inactive)
{
	atomic_inc(inactive ? &d->inactive : &d->active);
	atomic_dec(inactive ? &d->active : &d->inactive);
}
