// SPDX-License-Identifier: GPL-2.0
#include <linux/slab.h>
#include <net/addrconf.h>

#include "dest.h"
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
		       svc->sched->slots * sizeof(*set->slot), GFP_KERNEL);
	if (!set)
		return -ENOMEM;
	set->sched = svc->sched;
	set->flags = svc->flags;
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
	if (old)
		kvfree_rcu(old, rcu);
	return 0;
}

static int check_opts(const struct fnat_dest_opts *opts,
		      struct netlink_ext_ack *ea)
{
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
	d->opts.fwd_method = opts->fwd_method;
	WRITE_ONCE(d->opts.weight, opts->weight);
	if (opts->weight)
		d->last_weight = opts->weight;
	WRITE_ONCE(d->opts.u_thresh, opts->u_thresh);
	WRITE_ONCE(d->opts.l_thresh, opts->l_thresh);
}

struct fnat_dest *fnat_dest_find(const struct fnat_svc *svc,
				 const union nf_inet_addr *addr, __be16 port)
{
	struct fnat_dests *set = current_set(svc);
	u32 i;

	for (i = 0; set && i < set->n; i++)
		if (set->v[i]->rs->port == port &&
		    nf_inet_addr_cmp(&set->v[i]->rs->addr, addr))
			return set->v[i];
	return NULL;
}

static void free_rcu(struct rcu_head *head)
{
	struct fnat_dest *d = container_of(head, struct fnat_dest, rcu);

	fnat_stats_exit(&d->stats);
	kfree(d);
}

/* Any context: the last connection may have ended in softirq. */
static void put(struct fnat_dest *d)
{
	if (!refcount_dec_and_test(&d->refs))
		return;
	fnat_rs_put(d->svc->fn, d->rs);
	fnat_svc_put(d->svc);
	call_rcu(&d->rcu, free_rcu);
}

int fnat_dest_add(struct fnat_svc *svc, const union nf_inet_addr *addr,
		  __be16 port, const struct fnat_dest_opts *opts,
		  struct netlink_ext_ack *ea)
{
	struct fnat_dest *d;
	int err;

	err = check_opts(opts, ea);
	if (err)
		return err;
	if (fnat_dest_find(svc, addr, port))
		return -EEXIST;
	if (current_set(svc) && current_set(svc)->n >= FNAT_DESTS_MAX) {
		NL_SET_ERR_MSG(ea, "A service has at most 65535 real servers");
		return -EINVAL;
	}

	d = kzalloc(sizeof(*d), GFP_KERNEL);
	if (!d)
		return -ENOMEM;
	err = fnat_stats_init(&d->stats);
	if (err)
		goto free_dest;
	err = -ENOMEM;
	d->rs = fnat_rs_get(svc->fn, svc->key.af, svc->key.proto, addr, port);
	if (!d->rs)
		goto exit_stats;
	d->svc = svc;
	/* Not known to be out of ports. */
	atomic_set(&d->port_freed, atomic_read(&svc->fn->lport_freed) - 1);
	refcount_set(&d->refs, 1);
	set_opts(d, opts);
	err = replace_set(svc, d, NULL);
	if (err)
		goto put_rs;
	fnat_svc_hold(svc);
	return 0;

put_rs:
	fnat_rs_put(svc->fn, d->rs);
exit_stats:
	fnat_stats_exit(&d->stats);
free_dest:
	kfree(d);
	return err;
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

int fnat_dest_edit(struct fnat_svc *svc, const union nf_inet_addr *addr,
		   __be16 port, const struct fnat_dest_opts *opts,
		   struct netlink_ext_ack *ea)
{
	struct fnat_dest *d = fnat_dest_find(svc, addr, port);
	struct fnat_dest_opts old;
	int err;

	if (!d)
		return -ENOENT;
	err = check_opts(opts, ea);
	if (err)
		return err;
	old = d->opts;
	set_opts(d, opts);
	err = replace_set(svc, NULL, NULL);
	if (err) {
		set_opts(d, &old);
		return err;
	}
	/* A higher limit is judged afresh. */
	if (!opts->u_thresh || opts->u_thresh > old.u_thresh)
		WRITE_ONCE(d->overloaded, false);
	judge_load(d);
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
	put(d);
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
		put(set->v[i]);
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
	put(d);
}

void fnat_dest_moved(struct fnat_dest *d, bool inactive)
{
	atomic_inc(inactive ? &d->inactive : &d->active);
	atomic_dec(inactive ? &d->active : &d->inactive);
}
