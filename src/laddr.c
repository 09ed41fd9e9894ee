// SPDX-License-Identifier: GPL-2.0
#include <linux/inetdevice.h>
#include <linux/jhash.h>
#include <linux/slab.h>
#include <net/addrconf.h>

#include "addr.h"
#include "dest.h"
#include "laddr.h"
#include "lport.h"
#include "pkt.h"
#include "svc.h"

static struct fnat_laddrs __rcu **slot_of(struct fnat_net *fn,
					  struct fnat_svc *svc, u16 af)
{
	return svc ? &svc->laddrs : fnat_laddrs_pool(fn, af);
}

static struct fnat_laddrs *current_set(struct fnat_net *fn,
				       struct fnat_laddrs __rcu **slot)
{
	return rcu_dereference_protected(*slot, lockdep_is_held(&fn->cfg));
}

static struct hlist_head *chain(const struct fnat_net *fn,
				const union nf_inet_addr *addr)
{
	u32 h = jhash2((const u32 *)addr, 4, 0);

	return &fn->laddr_tab[h & ((1U << FNAT_LADDR_TAB_BITS) - 1)];
}

static bool covers(const struct fnat_laddr_range *range,
		   const union nf_inet_addr *addr)
{
	return fnat_addr_same_block(range->af, &range->first, addr) &&
	       fnat_addr_number(range->af, addr) -
	       fnat_addr_number(range->af, &range->first) < range->n;
}

/*
 * Whether the host picks @addr itself as a source: it is the primary address
 * of a subnet. The host's own connections would then fight with ours for
 * ports, unseen by either. IPv6 has no primary addresses: near_dest() judges.
 */
static bool host_source(struct fnat_net *fn, u16 af,
			const union nf_inet_addr *addr)
{
	bool found = false;
	struct net_device *dev;
	struct in_ifaddr *ifa;

	if (af != AF_INET)
		return false;
	rcu_read_lock();
	dev = __ip_dev_find(fn->net, addr->ip, false);
	if (dev && __in_dev_get_rcu(dev))
		in_dev_for_each_ifa_rcu(ifa, __in_dev_get_rcu(dev))
			if (ifa->ifa_local == addr->ip &&
			    ifa->ifa_prefixlen < 31 &&
			    !(ifa->ifa_flags & IFA_F_SECONDARY))
				found = true;
	rcu_read_unlock();
	return found;
}

/* Whether the host would speak to @dest from an address in @range, or it has one. */
static bool is_near(struct fnat_net *fn, const union nf_inet_addr *dest,
		    const struct fnat_laddr_range *range)
{
	union nf_inet_addr source;

	cond_resched();
	rcu_read_lock();
	source = fnat_addr_towards(fn->net, range->af, dest);
	rcu_read_unlock();
	return covers(range, dest) || covers(range, &source);
}

/* The same of any real server of @svc. Caller holds fn->cfg. */
static bool near_dest_of(const struct fnat_svc *svc,
			 const struct fnat_laddr_range *range)
{
	const struct fnat_dests *set;
	u32 i;

	set = rcu_dereference_protected(svc->dests,
					lockdep_is_held(&svc->fn->cfg));
	for (i = 0; set && i < set->n; i++)
		if (is_near(svc->fn, &set->v[i]->addr, range))
			return true;
	return false;
}

/* And of any service, for the default pool: @svc is NULL. */
static bool near_dest(struct fnat_net *fn, const struct fnat_svc *svc,
		      const struct fnat_laddr_range *range)
{
	unsigned long id;

	if (svc)
		return near_dest_of(svc, range);
	xa_for_each(&fn->svcs, id, svc)
		if (svc->key.af == range->af && near_dest_of(svc, range))
			return true;
	return false;
}

/* Whether somebody here answers ARP or ND for @addr; -EINVAL: no unicast. */
static int answered(struct fnat_net *fn, u16 af,
		    const union nf_inet_addr *addr)
{
	if (af == AF_INET6)
		return fnat_addr_is_local(fn->net, NULL, af, addr);
	switch (inet_addr_type(fn->net, addr->ip)) {
	case RTN_UNICAST:
		return false;
	case RTN_LOCAL:
		return true;
	default:
		return -EINVAL;
	}
}

/* 0, or why @addr cannot be a LIP. */
static int check(struct fnat_net *fn, u16 af, const union nf_inet_addr *addr,
		 struct netlink_ext_ack *ea)
{
	int local = answered(fn, af, addr);

	if (!local)
		NL_SET_ERR_MSG(ea,
			       "Nobody answers ARP or ND for a LIP that is no address of this host");
	if (local < 0 || (af == AF_INET6 && fnat_addr_unusable(af, addr))) {
		NL_SET_ERR_MSG(ea,
			       "A LIP is a unicast address, not broadcast, multicast or link-local");
		return -EINVAL;
	}
	if (fnat_addr_loopback(af, addr) || fnat_addr_unusable(af, addr)) {
		NL_SET_ERR_MSG(ea,
			       "Real servers cannot reach a LIP in 127/8, 0/8 or ::1");
		return -EINVAL;
	}
	if (host_source(fn, af, addr)) {
		NL_SET_ERR_MSG(ea,
			       "The host speaks from this address itself: make the LIP a /32 of its own");
		return -EINVAL;
	}
	return 0;
}

static struct fnat_laddr *find(struct fnat_net *fn, u16 af,
			       const union nf_inet_addr *addr)
{
	struct fnat_laddr *l;

	hlist_for_each_entry(l, chain(fn, addr), node)
		if (l->af == af && nf_inet_addr_cmp(&l->addr, addr) &&
		    fnat_laddr_get(l))
			return l;
	return NULL;
}

/*
 * The object of @addr, made if need be, with a reference. An ERR_PTR: -ENOMEM,
 * -EBUSY if it is a VIP.
 */
static struct fnat_laddr *find_or_make(struct fnat_net *fn, u16 af,
				       const union nf_inet_addr *addr)
{
	struct fnat_laddr *l = find(fn, af, addr);
	int err;

	if (l)
		return l;
	l = kzalloc(sizeof(*l), GFP_KERNEL);
	if (!l)
		return ERR_PTR(-ENOMEM);
	l->addr = *addr;
	l->af = af;
	refcount_set(&l->refs, 1);
	l->id = ida_alloc(&fn->laddr_ids, GFP_KERNEL);
	err = l->id;
	if (err < 0)
		goto free_laddr;
	err = fnat_addrset_add(&fn->addrs, FNAT_ADDR_LIP, af, addr);
	if (err)
		goto free_id;
	hlist_add_head(&l->node, chain(fn, addr));
	return l;

free_id:
	ida_free(&fn->laddr_ids, l->id);
free_laddr:
	kfree(l);
	return ERR_PTR(err);
}

void fnat_laddr_put(struct fnat_net *fn, struct fnat_laddr *l)
{
	if (!refcount_dec_and_test(&l->refs))
		return;
	llist_add(&l->dead, &fn->dead_laddrs);
	fnat_net_reap(fn);
}

void fnat_laddr_reap(struct fnat_net *fn)
{
	struct fnat_laddr *l, *next;

	lockdep_assert_held(&fn->cfg);
	llist_for_each_entry_safe(l, next, llist_del_all(&fn->dead_laddrs),
				  dead) {
		cond_resched();
		hlist_del(&l->node);
		fnat_lports_forget(fn, l);
		fnat_addrset_del(&fn->addrs, FNAT_ADDR_LIP, l->af, &l->addr);
		ida_free(&fn->laddr_ids, l->id);
		kfree_rcu(l, rcu);
	}
}

static bool has_any(const struct fnat_laddrs *set,
		    const struct fnat_laddr_range *range)
{
	u32 i;

	for (i = 0; set && i < set->n; i++)
		if (covers(range, &set->v[i]->addr))
			return true;
	return false;
}

u32 fnat_laddrs_after(const struct fnat_laddrs *set, u16 af,
		      const union nf_inet_addr *addr)
{
	u32 i = 0;

	while (set && i < set->n &&
	       fnat_addr_cmp(af, &set->v[i]->addr, addr) <= 0)
		i++;
	return i;
}

static void publish(struct fnat_net *fn, struct fnat_laddrs __rcu **slot,
		    struct fnat_laddrs *set)
{
	struct fnat_laddrs *old = current_set(fn, slot);

	rcu_assign_pointer(*slot, set);
	/* Who found every LIP full may look again; see fnat_lport_get(). */
	smp_mb__before_atomic();
	atomic_inc(&fn->lport_freed);
	if (old)
		kvfree_rcu(old, rcu);
}

int fnat_laddr_add(struct fnat_net *fn, struct fnat_svc *svc,
		   const struct fnat_laddr_range *range,
		   struct netlink_ext_ack *ea)
{
	struct fnat_laddrs __rcu **slot = slot_of(fn, svc, range->af);
	struct fnat_laddrs *old = current_set(fn, slot);
	u32 had = old ? old->n : 0;
	struct fnat_laddrs *set;
	u32 i, below;
	int err;

	if (has_any(old, range)) {
		NL_SET_ERR_MSG(ea,
			       "One of these is in the list already; nothing was added");
		return -EEXIST;
	}
	for (i = 0; i < range->n; i++) {
		union nf_inet_addr addr = fnat_addr_nth(range->af,
							&range->first, i);

		err = check(fn, range->af, &addr, ea);
		if (err)
			return err;
	}
	if (near_dest(fn, svc, range)) {
		NL_SET_ERR_MSG(ea,
			       "The host speaks to a real server from this address, or it is one's");
		return -EINVAL;
	}
	err = fnat_net_prepare(fn);
	if (err)
		return err;

	set = kvzalloc(struct_size(set, v, had + range->n), GFP_KERNEL);
	if (!set)
		return -ENOMEM;
	below = fnat_laddrs_after(old, range->af, &range->first);
	for (; set->n < range->n; set->n++) {
		union nf_inet_addr addr = fnat_addr_nth(range->af,
							&range->first, set->n);
		struct fnat_laddr *l = find_or_make(fn, range->af, &addr);

		err = PTR_ERR_OR_ZERO(l);
		if (err)
			goto put_laddrs;
		set->v[below + set->n] = l;
	}
	if (had) {
		memcpy(set->v, old->v, below * sizeof(set->v[0]));
		memcpy(&set->v[below + range->n], &old->v[below],
		       (had - below) * sizeof(set->v[0]));
	}
	set->n += had;
	publish(fn, slot, set);
	return 0;

put_laddrs:
	if (err == -EBUSY)
		NL_SET_ERR_MSG(ea, "This address is a VIP: a LIP needs another");
	while (set->n)
		fnat_laddr_put(fn, set->v[below + --set->n]);
	kvfree(set);
	return err;
}

int fnat_laddr_del(struct fnat_net *fn, struct fnat_svc *svc,
		   const struct fnat_laddr_range *range,
		   struct netlink_ext_ack *ea)
{
	struct fnat_laddrs __rcu **slot = slot_of(fn, svc, range->af);
	struct fnat_laddrs *old = current_set(fn, slot);
	struct fnat_laddrs *set;
	u32 i, found = 0;

	for (i = 0; old && i < old->n; i++)
		found += covers(range, &old->v[i]->addr);
	if (found != range->n) {
		NL_SET_ERR_MSG(ea,
			       "One of these is not in the list; nothing was removed");
		return -ENOENT;
	}
	set = kvzalloc(struct_size(set, v, old->n - found), GFP_KERNEL);
	if (!set)
		return -ENOMEM;
	for (i = 0; i < old->n; i++)
		if (!covers(range, &old->v[i]->addr))
			set->v[set->n++] = old->v[i];

	for (i = 0; i < old->n; i++)
		if (covers(range, &old->v[i]->addr))
			fnat_laddr_put(fn, old->v[i]);
	publish(fn, slot, set);
	return 0;
}

void fnat_laddrs_drop(struct fnat_net *fn, struct fnat_laddrs __rcu **slot)
{
	struct fnat_laddrs *old = current_set(fn, slot);
	u32 i;

	if (!old)
		return;
	for (i = 0; i < old->n; i++)
		fnat_laddr_put(fn, old->v[i]);
	publish(fn, slot, NULL);
}

const struct fnat_laddrs *fnat_laddrs_of(const struct fnat_svc *svc)
{
	const struct fnat_laddrs *set = rcu_dereference(svc->laddrs);

	if (!set || !set->n)
		set = rcu_dereference(*fnat_laddrs_pool(svc->fn, svc->key.af));
	return set && set->n ? set : NULL;
}
