// SPDX-License-Identifier: GPL-2.0
/*
 * Locality-based least connections, for caches: requests for one address go to
 * one server (lblc) or to a small set of servers (lblcr) for as long as that is
 * not overloaded. Rules and numbers are upstream's.
 *
 * A service's memory of addresses is the one thing that a scheduler writes on
 * the packet path: by first packets, under a lock of its own.
 */
#include <linux/random.h>
#include <linux/siphash.h>
#include <linux/slab.h>

#include "addr.h"
#include "conn.h"
#include "dest.h"
#include "pkt.h"
#include "sched.h"
#include "svc.h"

#define TABLE_BITS	10
#define ENTRIES_MAX	(16 << TABLE_BITS)
#define SWEEP		60	/* s between two looks at what is too old */
#define YOUNG		360	/* s in which an entry is not thrown out */

struct member {
	struct list_head	list;		/* in its entry */
	struct fnat_dest	*dest;		/* we hold a reference */
};

struct entry {
	struct hlist_node	node;
	union nf_inet_addr	addr;
	u32			used;		/* s; last packet */
	u32			changed;	/* s; last member that came or went */
	struct list_head	members;	/* one of lblc */
};

struct fnat_lblc {
	spinlock_t		lock;		/* guards all below; BH off */
	bool			dead;
	u32			n;
	struct fnat_svc		*svc;
	struct delayed_work	sweep;
	struct rcu_head		rcu;
	siphash_key_t		key;		/* fixed */
	struct hlist_head	tab[1 << TABLE_BITS];
};

/* Keyed: of a service by mark clients choose the address, and could choose one chain. */
static struct hlist_head *chain(struct fnat_lblc *l,
				const union nf_inet_addr *addr)
{
	u64 h = siphash(addr, sizeof(*addr), &l->key);

	return &l->tab[h % ARRAY_SIZE(l->tab)];
}

static void leave(struct entry *e, struct member *m)
{
	list_del(&m->list);
	fnat_dest_put(m->dest);
	kfree(m);
	e->changed = fnat_now();
}

static void forget(struct fnat_lblc *l, struct entry *e)
{
	struct member *m, *next;

	list_for_each_entry_safe(m, next, &e->members, list)
		leave(e, m);
	hlist_del(&e->node);
	kfree(e);
	l->n--;
}

static struct entry *find(struct fnat_lblc *l, const union nf_inet_addr *addr)
{
	struct entry *e;

	hlist_for_each_entry(e, chain(l, addr), node)
		if (nf_inet_addr_cmp(&e->addr, addr))
			return e;
	return NULL;
}

static bool serves(const struct fnat_dest *d, const struct fnat_dest *but)
{
	return !READ_ONCE(d->removed) && fnat_sched_may(d, but);
}

/* Whether @d has more than its weight while another is less than half full. */
static bool overloaded(const struct fnat_dest *d, const struct fnat_dests *set)
{
	u32 i;

	if (atomic_read(&d->active) <= READ_ONCE(d->opts.weight))
		return false;
	for (i = 0; i < set->n; i++)
		if (atomic_read(&set->v[i]->active) * 2 <
		    READ_ONCE(set->v[i]->opts.weight))
			return true;
	return false;
}

/* Of the members of @e the one with the least, or the most, per weight. */
static struct member *extreme(const struct entry *e,
			      const struct fnat_dest *but, bool most)
{
	struct member *m, *best = NULL;
	s64 best_load = 0;
	int best_weight = 1;

	list_for_each_entry(m, &e->members, list) {
		int weight = READ_ONCE(m->dest->opts.weight);
		s64 load = fnat_sched_overhead(m->dest);

		if (!serves(m->dest, but))
			continue;
		if (best && (most ? best_load * weight >= load * best_weight :
				    best_load * weight <= load * best_weight))
			continue;
		best = m;
		best_load = load;
		best_weight = weight;
	}
	return best;
}

/*
 * @d joins @e, which is made for @addr if it is NULL; quietly not without memory, or
 * with as many as there may be.
 */
static void join(struct fnat_lblc *l, struct entry *e,
		 const union nf_inet_addr *addr, struct fnat_dest *d)
{
	struct member *m;

	if (!e && l->n >= ENTRIES_MAX)
		return;
	if (e)
		list_for_each_entry(m, &e->members, list)
			if (m->dest == d)
				return;
	m = kzalloc(sizeof(*m), FNAT_GFP_PACKET);
	if (!m)
		return;
	if (!e) {
		e = kzalloc(sizeof(*e), FNAT_GFP_PACKET);
		if (!e) {
			kfree(m);
			return;
		}
		e->addr = *addr;
		INIT_LIST_HEAD(&e->members);
		hlist_add_head(&e->node, chain(l, addr));
		l->n++;
	}
	fnat_dest_hold(d);
	m->dest = d;
	list_add(&m->list, &e->members);
	e->used = fnat_now();
	e->changed = e->used;
}

/* A set that has not changed for long loses the member with most to do. */
static void shrink(struct entry *e, const struct fnat_tunables *tune)
{
	struct member *m;

	if (list_empty(&e->members) || list_is_singular(&e->members) ||
	    fnat_now() - e->changed <= READ_ONCE(tune->lblcr_expiration))
		return;
	m = extreme(e, NULL, true);
	if (m)
		leave(e, m);
}

/* @many: sets, as lblcr has them. */
static struct fnat_dest *pick(struct fnat_svc *svc,
			      const struct fnat_dests *set,
			      const struct fnat_pkt *p,
			      const struct fnat_dest *but, bool many)
{
	struct fnat_lblc *l = rcu_dereference(svc->lblc);
	struct fnat_dest *d = NULL;
	struct member *m;
	struct entry *e;

	if (!l)
		return fnat_sched_wlc(set, but);
	spin_lock_bh(&l->lock);
	e = find(l, &p->daddr);
	if (e) {
		e->used = fnat_now();
		m = extreme(e, but, false);
		d = m ? m->dest : NULL;
		if (many)
			shrink(e, &svc->fn->tune);
	}
	if (!d || overloaded(d, set)) {
		d = fnat_sched_wlc(set, but);
		while (d && e && !many && !list_empty(&e->members))
			leave(e, list_first_entry(&e->members, struct member,
						  list));
		/* One that is dying does not come to a new home. */
		if (d && !l->dead && refcount_inc_not_zero(&d->refs)) {
			join(l, e, &p->daddr, d);
			fnat_dest_put(d);
		}
	}
	spin_unlock_bh(&l->lock);
	return d;
}

static struct fnat_dest *lblc_pick(struct fnat_svc *svc,
				   const struct fnat_dests *set,
				   const struct fnat_pkt *p,
				   const struct fnat_dest *but)
{
	return pick(svc, set, p, but, false);
}

static struct fnat_dest *lblcr_pick(struct fnat_svc *svc,
				    const struct fnat_dests *set,
				    const struct fnat_pkt *p,
				    const struct fnat_dest *but)
{
	return pick(svc, set, p, but, true);
}

const struct fnat_sched fnat_lblc_scheds[] = {
	{ "lblc", lblc_pick, .remembers = true },
	{ "lblcr", lblcr_pick, .remembers = true },
	{ }
};

static void drop_removed(struct entry *e)
{
	struct member *m, *next;

	list_for_each_entry_safe(m, next, &e->members, list)
		if (READ_ONCE(m->dest->removed))
			leave(e, m);
}

static void sweep_chain(struct fnat_lblc *l, u32 i, u32 limit)
{
	struct hlist_node *next;
	struct entry *e;

	spin_lock_bh(&l->lock);
	hlist_for_each_entry_safe(e, next, &l->tab[i], node) {
		u32 idle = fnat_now() - e->used;

		drop_removed(e);
		if (list_empty(&e->members) || idle > limit ||
		    (l->n >= ENTRIES_MAX && idle > YOUNG))
			forget(l, e);
	}
	spin_unlock_bh(&l->lock);
}

static void sweep(struct work_struct *work)
{
	struct fnat_lblc *l = container_of(to_delayed_work(work),
					   struct fnat_lblc, sweep);
	const struct fnat_tunables *tune = &l->svc->fn->tune;
	bool many = READ_ONCE(l->svc->opts.sched) == &fnat_lblc_scheds[1];
	/* Sets live half as long again, as upstream has it. */
	u32 limit = many ? READ_ONCE(tune->lblcr_expiration) * 3 / 2 :
			   READ_ONCE(tune->lblc_expiration);
	u32 i;

	for (i = 0; i < ARRAY_SIZE(l->tab); i++) {
		sweep_chain(l, i, limit);
		cond_resched();
	}
	queue_delayed_work(fnat_wq, &l->sweep, SWEEP * HZ);
}

int fnat_sched_start(struct fnat_svc *svc, const struct fnat_sched *sched)
{
	struct fnat_lblc *l;

	if (!sched->remembers || rcu_access_pointer(svc->lblc))
		return 0;
	l = kvzalloc(sizeof(*l), GFP_KERNEL);
	if (!l)
		return -ENOMEM;
	spin_lock_init(&l->lock);
	l->svc = svc;
	get_random_bytes(&l->key, sizeof(l->key));
	INIT_DELAYED_WORK(&l->sweep, sweep);
	queue_delayed_work(fnat_wq, &l->sweep, SWEEP * HZ);
	rcu_assign_pointer(svc->lblc, l);
	return 0;
}

void fnat_sched_stop(struct fnat_svc *svc)
{
	struct fnat_lblc *l = rcu_replace_pointer(svc->lblc, NULL, true);
	struct hlist_node *next;
	struct entry *e;
	u32 i;

	if (!l)
		return;
	cancel_delayed_work_sync(&l->sweep);
	spin_lock_bh(&l->lock);
	l->dead = true;
	spin_unlock_bh(&l->lock);
	/* One by one: packets of before wait for the lock. */
	for (i = 0; i < ARRAY_SIZE(l->tab); i++) {
		spin_lock_bh(&l->lock);
		hlist_for_each_entry_safe(e, next, &l->tab[i], node)
			forget(l, e);
		spin_unlock_bh(&l->lock);
	}
	kvfree_rcu(l, rcu);
}

void fnat_sched_settle(struct fnat_svc *svc)
{
	if (!svc->opts.sched->remembers)
		fnat_sched_stop(svc);
}
