// SPDX-License-Identifier: GPL-2.0
#include <linux/jhash.h>
#include <linux/rculist.h>
#include <linux/slab.h>

#include "addrset.h"

struct entry {
	struct hlist_node	node;
	union nf_inet_addr	addr;
	u16			af;
	u16			kind;		/* enum fnat_addr_kind; fixed */
	u32			users;		/* under the set's lock */
	struct rcu_head		rcu;
};

/* Must fall where fnat_addrset_maybe4() and _maybe6() look. */
static u32 fold(u16 af, const union nf_inet_addr *addr)
{
	if (af == AF_INET)
		return hash_32((__force u32)addr->ip, FNAT_ADDRSET_BITS);
	return hash_32(ipv6_addr_hash(&addr->in6), FNAT_ADDRSET_BITS);
}

static struct hlist_head *chain(const struct fnat_addrset *s, u32 bit)
{
	return &s->tab[bit & ((1U << FNAT_ADDRSET_TAB_BITS) - 1)];
}

static struct entry *find(const struct fnat_addrset *s, u16 af,
			  const union nf_inet_addr *addr)
{
	struct entry *e;

	hlist_for_each_entry_rcu(e, chain(s, fold(af, addr)), node,
				 lockdep_is_held(&s->lock))
		if (e->af == af && nf_inet_addr_cmp(&e->addr, addr))
			return e;
	return NULL;
}

int fnat_addrset_init(struct fnat_addrset *s)
{
	spin_lock_init(&s->lock);
	s->maybe = bitmap_zalloc(1U << FNAT_ADDRSET_BITS, GFP_KERNEL);
	s->users = kvcalloc(1U << FNAT_ADDRSET_BITS, sizeof(*s->users),
			    GFP_KERNEL);
	s->tab = kvcalloc(1U << FNAT_ADDRSET_TAB_BITS, sizeof(*s->tab),
			  GFP_KERNEL);
	if (s->maybe && s->users && s->tab)
		return 0;
	fnat_addrset_exit(s);
	return -ENOMEM;
}

void fnat_addrset_exit(struct fnat_addrset *s)
{
	bitmap_free(s->maybe);
	kvfree(s->users);
	kvfree(s->tab);
	s->maybe = NULL;
	s->users = NULL;
	s->tab = NULL;
}

int fnat_addrset_add(struct fnat_addrset *s, enum fnat_addr_kind kind, u16 af,
		     const union nf_inet_addr *addr)
{
	struct entry *fresh = kzalloc(sizeof(*fresh), GFP_KERNEL);
	u32 bit = fold(af, addr);
	struct entry *e;
	int err = 0;

	if (!fresh)
		return -ENOMEM;
	fresh->addr = *addr;
	fresh->af = af;
	fresh->kind = kind;
	fresh->users = 1;

	spin_lock_bh(&s->lock);
	e = find(s, af, addr);
	if (e && e->kind != kind) {
		err = -EBUSY;
	} else if (e) {
		e->users++;
	} else {
		hlist_add_head_rcu(&fresh->node, chain(s, bit));
		if (!s->users[bit]++)
			set_bit(bit, s->maybe);
	}
	spin_unlock_bh(&s->lock);

	if (e)
		kfree(fresh);
	return err;
}

void fnat_addrset_del(struct fnat_addrset *s, enum fnat_addr_kind kind, u16 af,
		      const union nf_inet_addr *addr)
{
	u32 bit = fold(af, addr);
	struct entry *e;

	spin_lock_bh(&s->lock);
	e = find(s, af, addr);
	if (!WARN_ON_ONCE(!e || e->kind != kind) && !--e->users) {
		hlist_del_rcu(&e->node);
		if (!--s->users[bit])
			clear_bit(bit, s->maybe);
		kfree_rcu(e, rcu);
	}
	spin_unlock_bh(&s->lock);
}

bool fnat_addrset_has(const struct fnat_addrset *s, enum fnat_addr_kind kind,
		      u16 af, const union nf_inet_addr *addr)
{
	const struct entry *e = find(s, af, addr);

	return e && e->kind == kind;
}

bool fnat_addrset_has_any(const struct fnat_addrset *s, u16 af,
			  const union nf_inet_addr *addr)
{
	bool maybe = fnat_addrset_maybe(s, af, addr);

	return unlikely(maybe) && find(s, af, addr);
}
