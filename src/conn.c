// SPDX-License-Identifier: GPL-2.0
#include <linux/bit_spinlock.h>
#include <linux/slab.h>

#include "conn.h"
#include "dest.h"
#include "lport.h"
#include "pkt.h"
#include "svc.h"
#include "trace.h"

#define BUCKET_LOCK	0	/* bit of struct fnat_bucket.head */

static struct kmem_cache *conn_cache;

int fnat_conn_cache_init(void)
{
	conn_cache = kmem_cache_create("fnat_conn", sizeof(struct fnat_conn),
				       0, SLAB_HWCACHE_ALIGN, NULL);
	return conn_cache ? 0 : -ENOMEM;
}

void fnat_conn_cache_exit(void)
{
	rcu_barrier();
	kmem_cache_destroy(conn_cache);
}

int fnat_conn_tab_init(struct fnat_net *fn)
{
	struct fnat_bucket *tab = kvcalloc(1UL << fnat_conn_tab_bits,
					   sizeof(*tab), GFP_KERNEL);

	if (!tab)
		return -ENOMEM;
	fn->conn_mask = (1U << fnat_conn_tab_bits) - 1;
	get_random_bytes(&fn->conn_key, sizeof(fn->conn_key));
	/* Listings and defences look for it without a lock. */
	smp_store_release(&fn->conn_tab, tab);
	return 0;
}

void fnat_conn_tab_exit(struct fnat_net *fn)
{
	kvfree(fn->conn_tab);
	fn->conn_tab = NULL;
}

/* Keyed, or clients could choose ports that fall into one bucket. */
static struct fnat_bucket *bucket(const struct fnat_net *fn, __be32 saddr,
				  __be32 daddr, __be32 ports, u32 l3mdev,
				  u8 proto)
{
	u32 h = hsiphash_4u32((__force u32)saddr, (__force u32)daddr,
			      (__force u32)ports, l3mdev ^ (u32)proto << 24,
			      &fn->conn_key);

	return &fn->conn_tab[h & fn->conn_mask];
}

static struct fnat_bucket *dir_bucket(const struct fnat_net *fn,
				      const struct fnat_dir *d)
{
	return bucket(fn, d->saddr, d->daddr, d->ports, d->l3mdev, d->proto);
}

static struct fnat_dir *first(const struct fnat_bucket *b)
{
	return (struct fnat_dir *)(READ_ONCE(b->head) & ~BIT(BUCKET_LOCK));
}

static bool same_key(const struct fnat_dir *a, const struct fnat_dir *b)
{
	return a->ports == b->ports && a->saddr == b->saddr &&
	       a->daddr == b->daddr && a->proto == b->proto &&
	       a->l3mdev == b->l3mdev;
}

struct fnat_dir *fnat_conn_find(const struct fnat_pkt *p)
{
	struct fnat_dir *d;

	d = first(bucket(p->fn, p->saddr.ip, p->daddr.ip, p->ports, p->l3mdev,
			 p->proto));
	for (; d; d = rcu_dereference(d->next)) {
		/* The third line is wanted if this is it: mostly it is. */
		prefetch(&fnat_dir_conn(d)->dest);
		if (d->ports == p->ports && d->saddr == p->saddr.ip &&
		    d->daddr == p->daddr.ip && d->proto == p->proto &&
		    d->l3mdev == p->l3mdev)
			return d;
	}
	return NULL;
}

static void bucket_lock(struct fnat_bucket *b) __acquires(bitlock)
{
	local_bh_disable();
	bit_spin_lock(BUCKET_LOCK, &b->head);
}

static void bucket_unlock(struct fnat_bucket *b) __releases(bitlock)
{
	__bit_spin_unlock(BUCKET_LOCK, &b->head);
	local_bh_enable();
}

/* Puts @d in front of its bucket, or returns the one that is there before it. */
static struct fnat_dir *link(const struct fnat_net *fn, struct fnat_dir *d)
{
	struct fnat_bucket *b = dir_bucket(fn, d);
	struct fnat_dir *other;

	bucket_lock(b);
	for (other = first(b); other;
	     other = rcu_dereference_protected(other->next, true))
		if (same_key(other, d))
			break;
	if (!other) {
		RCU_INIT_POINTER(d->next, first(b));
		/* Keeps the lock bit; pairs with the reader's dependency. */
		smp_store_release(&b->head,
				  (unsigned long)d | BIT(BUCKET_LOCK));
	}
	bucket_unlock(b);
	return other;
}

/* Chains are a node or two: walking one costs less than a back pointer. */
static void unlink(const struct fnat_net *fn, struct fnat_dir *d)
{
	struct fnat_bucket *b = dir_bucket(fn, d);
	struct fnat_dir *after, *prev;

	bucket_lock(b);
	after = rcu_dereference_protected(d->next, true);
	prev = first(b);
	if (prev == d) {
		/* Keeps the lock bit, as in link(). */
		smp_store_release(&b->head,
				  (unsigned long)after | BIT(BUCKET_LOCK));
	} else {
		while (rcu_access_pointer(prev->next) != d)
			prev = rcu_dereference_protected(prev->next, true);
		rcu_assign_pointer(prev->next, after);
	}
	bucket_unlock(b);
}

static void free_rcu(struct rcu_head *head)
{
	struct fnat_conn *c = container_of(head, struct fnat_conn, rcu);

	kmem_cache_free(conn_cache, c);
}

/* A server's TIME_WAIT (Linux: 60 s) may remember what ended after this. */
#define TIME_WAIT_MEMORY	60

static void return_lport(struct fnat_net *fn, struct fnat_conn *c)
{
	const struct fnat_dir *d = &c->dir[FNAT_C2S];

	if (d->flags & FNAT_DIR_SENT && fnat_now() - c->stamp < TIME_WAIT_MEMORY)
		fnat_lport_remember(fn, c->lports, c->port_index,
				    d->seq_end + d->seq_off);
	fnat_lport_put(fn, c->lports, c->port_index);
}

bool fnat_conn_get_template(struct fnat_conn *tmpl)
{
	return refcount_inc_not_zero(&tmpl->children);
}

void fnat_conn_put_template(struct fnat_conn *tmpl)
{
	if (tmpl && refcount_dec_and_test(&tmpl->children))
		call_rcu(&tmpl->rcu, free_rcu);
}

/* Gives back what @c holds; packets may still be reading it. */
static void release(struct fnat_net *fn, struct fnat_conn *c)
{
	int i;

	trace_fnat_conn_free(c, c->state);
	atomic_dec(&fn->nr_conns);
	if (c->flags & FNAT_CONN_TEMPLATE) {
		fnat_dest_unpersist(c->dest);
		fnat_conn_put_template(c);
		return;
	}
	for (i = 0; i < 2; i++)
		dst_release(rcu_dereference_protected(c->dir[i].dst, true));
	return_lport(fn, c);
	fnat_dest_unbind(c->dest, c->flags & FNAT_CONN_INACTIVE);
	fnat_conn_put_template(c->tmpl);
	call_rcu(&c->rcu, free_rcu);
}

static void fill(struct fnat_conn *c, const struct fnat_pkt *p,
		 const struct fnat_lport *lport)
{
	__be16 rport = c->dest->port ?: fnat_dport(p->ports);
	struct fnat_dir *in = &c->dir[FNAT_C2S];
	struct fnat_dir *out = &c->dir[FNAT_S2C];

	in->saddr = p->saddr.ip;
	in->daddr = p->daddr.ip;
	in->ports = p->ports;
	in->new_saddr = lport->laddr;
	in->new_daddr = c->dest->addr.ip;
	in->new_ports = fnat_ports(lport->port, rport);
	in->l3mdev = p->l3mdev;
	in->proto = p->proto;

	out->saddr = in->new_daddr;
	out->daddr = in->new_saddr;
	out->ports = fnat_ports(rport, lport->port);
	out->new_saddr = in->daddr;
	out->new_daddr = in->saddr;
	out->new_ports = fnat_ports(fnat_dport(p->ports),
				    fnat_sport(p->ports));
	out->l3mdev = p->l3mdev;
	out->proto = p->proto;

	/*
	 * The server sees sequence numbers of ours, for the client's belong to
	 * another address: an earlier flow from this port may have left the
	 * server in TIME_WAIT, above what this client begins with.
	 */
	if (p->proto == IPPROTO_TCP) {
		in->seq_off = lport->isn - p->seq;
		out->ack_off = p->seq - lport->isn;
	}
}

/* What all connections and templates begin with; NULL: no memory. */
static struct fnat_conn *alloc(struct fnat_net *fn, struct fnat_dest *dest)
{
	struct fnat_conn *c = kmem_cache_zalloc(conn_cache, GFP_ATOMIC);

	if (!c)
		return NULL;
	c->dest = dest;
	c->stamp = fnat_now();
	c->wheel = smp_processor_id();
	spin_lock_init(&c->lock);
	c->dir[FNAT_S2C].flags = FNAT_DIR_S2C;
	atomic_inc(&fn->nr_conns);
	return c;
}

static enum fnat_state first_state(const struct fnat_conn *c, u8 proto)
{
	if (proto == IPPROTO_TCP)
		return FNAT_TCP_S_SYN_RECV;
	return c->flags & FNAT_CONN_ONEPACKET ? FNAT_S_UDP_ASKED : FNAT_S_UDP;
}

struct fnat_conn *fnat_conn_new(const struct fnat_pkt *p,
				struct fnat_dest *dest,
				const struct fnat_lport *lport,
				struct fnat_conn *tmpl)
{
	struct fnat_conn *c = alloc(p->fn, dest);

	if (!c)
		return NULL;
	if (p->proto == IPPROTO_UDP &&
	    fnat_svc_has(dest->svc, IP_VS_SVC_F_ONEPACKET))
		c->flags = FNAT_CONN_ONEPACKET;
	c->lports = lport->map;
	c->port_index = lport->index;
	c->tmpl = tmpl;
	c->state = first_state(c, p->proto);
	fill(c, p, lport);
	return c;
}

struct fnat_conn *fnat_conn_new_template(const struct fnat_pkt *key,
					 struct fnat_dest *dest)
{
	struct fnat_conn *c = alloc(key->fn, dest);
	struct fnat_dir *d;

	if (!c)
		return NULL;
	c->flags = FNAT_CONN_TEMPLATE;
	c->state = FNAT_TCP_S_NONE;
	refcount_set(&c->children, 1);
	d = &c->dir[FNAT_C2S];
	d->saddr = key->saddr.ip;
	d->daddr = key->daddr.ip;
	d->ports = key->ports;
	d->l3mdev = key->l3mdev;
	d->proto = key->proto;
	d->new_daddr = dest->addr.ip;
	d->new_ports = fnat_ports(0, dest->port);
	fnat_dest_persist(dest);
	return c;
}

/* Whether the caller is the one who is to bury @c. */
static bool die(struct fnat_conn *c)
{
	bool mine;

	spin_lock_bh(&c->lock);
	mine = !(c->flags & FNAT_CONN_DEAD);
	c->flags |= FNAT_CONN_DEAD;
	spin_unlock_bh(&c->lock);
	return mine;
}

/* @c, which never got into the table as a whole, is not to be after all. */
static void abandon(struct fnat_net *fn, struct fnat_conn *c)
{
	die(c);
	release(fn, c);
}

/*
 * A template answers no packet, and every datagram of a one-packet service is
 * the first: neither is found from both sides.
 */
static bool hangs(const struct fnat_conn *c, enum fnat_which side)
{
	return !(c->flags & (side == FNAT_S2C ? FNAT_CONN_TEMPLATE :
						FNAT_CONN_ONEPACKET));
}

struct fnat_dir *fnat_conn_publish(struct fnat_net *fn, struct fnat_conn *c)
{
	struct fnat_dir *other;

	/*
	 * The server's side first: whoever finds the client's may send. Where
	 * dests have no port of their own, two maps may give out the same.
	 */
	if (hangs(c, FNAT_S2C) && link(fn, &c->dir[FNAT_S2C])) {
		abandon(fn, c);
		return NULL;
	}
	other = hangs(c, FNAT_C2S) ? link(fn, &c->dir[FNAT_C2S]) : NULL;
	if (other) {
		if (hangs(c, FNAT_S2C))
			unlink(fn, &c->dir[FNAT_S2C]);
		abandon(fn, c);
		return other;
	}
	trace_fnat_conn_new(c, c->state);
	fnat_wheel_add(fn, c);
	return &c->dir[FNAT_C2S];
}

void fnat_conn_kill(struct fnat_net *fn, struct fnat_conn *c)
{
	int i;

	if (!die(c))
		return;
	fnat_wheel_del(fn, c);
	for (i = 0; i < 2; i++)
		if (hangs(c, i))
			unlink(fn, &c->dir[i]);
	release(fn, c);
}

void fnat_conn_set_state(struct fnat_net *fn, struct fnat_conn *c,
			 enum fnat_state s)
{
	bool inactive = !fnat_state_active(s);

	lockdep_assert_held(&c->lock);
	if (c->flags & FNAT_CONN_DEAD)
		return;
	trace_fnat_conn_state(c, s);
	WRITE_ONCE(c->state, s);
	if (inactive != !!(c->flags & FNAT_CONN_INACTIVE)) {
		c->flags ^= FNAT_CONN_INACTIVE;
		fnat_dest_moved(c->dest, inactive);
	}
	fnat_wheel_hurry(fn, c);
}

struct fnat_dir *fnat_conn_next(const struct fnat_net *fn, u32 b,
				struct fnat_dir *d)
{
	struct fnat_conn *c = d ? fnat_dir_conn(d) : NULL;

	/* One-packet connections hang by the server's side only. */
	if (d && !hangs(c, FNAT_C2S))
		d = &c->dir[FNAT_S2C];
	d = d ? rcu_dereference(d->next) : first(&fn->conn_tab[b]);
	while (d && fnat_dir_which(d) != FNAT_C2S &&
	       hangs(fnat_dir_conn(d), FNAT_C2S))
		d = rcu_dereference(d->next);
	return d ? &fnat_dir_conn(d)->dir[FNAT_C2S] : NULL;
}
