// SPDX-License-Identifier: GPL-2.0
#include <linux/jhash.h>
#include <linux/ratelimit.h>
#include <linux/slab.h>
#include <net/tcp.h>

#include "addr.h"
#include "conn.h"
#include "dest.h"
#include "laddr.h"
#include "lport.h"
#include "pkt.h"
#include "shuffle.h"
#include "svc.h"

#define LEAF_BITS	512	/* ports; 64 bytes, one cache line */
#define LEAVES		(65536 / LEAF_BITS)
#define LEAF_LONGS	BITS_TO_LONGS(LEAF_BITS)

struct fnat_lports {
	/* Leaf lock. Guards all below but what is fixed. */
	spinlock_t		lock;
	u32			used;
	u32			cursor;		/* where to look next */
	struct fnat_laddr	*laddr;		/* outlives the map; fixed */
	const struct fnat_rs	*rs;		/* likewise */
	u32			first_port;	/* fixed */
	struct fnat_shuffle	order;		/* fixed */
	DECLARE_BITMAP(full, LEAVES);
	unsigned long		*leaf[LEAVES];
	/* What servers know, by index: of the last minute or two, and of before that. */
	struct xarray		above[2];
	u32			turned;		/* s; when young became the other */
	u8			young;		/* which is being written */
	struct rcu_head		rcu;
};

static struct hlist_head *chain(const struct fnat_net *fn, u16 proto,
				const union nf_inet_addr *addr, __be16 port)
{
	u32 h = jhash2((const u32 *)addr, 4,
		       (__force u32)port << 16 | proto);

	return &fn->rs_tab[h & ((1U << FNAT_RS_TAB_BITS) - 1)];
}

struct fnat_rs *fnat_rs_get(struct fnat_net *fn, u16 af, u16 proto,
			    const union nf_inet_addr *addr, __be16 port)
{
	struct hlist_head *head = chain(fn, proto, addr, port);
	struct fnat_rs *rs;

	lockdep_assert_held(&fn->cfg);
	hlist_for_each_entry(rs, head, node)
		if (rs->port == port && rs->proto == proto && rs->af == af &&
		    nf_inet_addr_cmp(&rs->addr, addr) &&
		    refcount_inc_not_zero(&rs->refs))
			return rs;

	rs = kzalloc(sizeof(*rs), GFP_KERNEL);
	if (!rs)
		return NULL;
	rs->addr = *addr;
	rs->port = port;
	rs->af = af;
	rs->proto = proto;
	xa_init_flags(&rs->maps, XA_FLAGS_LOCK_BH);
	refcount_set(&rs->refs, 1);
	hlist_add_head(&rs->node, head);
	list_add_tail(&rs->list, &fn->rs_list);
	return rs;
}

void fnat_rs_put(struct fnat_net *fn, struct fnat_rs *rs)
{
	if (!refcount_dec_and_test(&rs->refs))
		return;
	llist_add(&rs->dead, &fn->dead_rs);
	fnat_net_reap(fn);
}

static void map_free(struct fnat_lports *map)
{
	int i;

	for (i = 0; i < LEAVES; i++)
		kfree(map->leaf[i]);
	xa_destroy(&map->above[0]);
	xa_destroy(&map->above[1]);
	kfree(map);
}

static void map_free_rcu(struct rcu_head *head)
{
	map_free(container_of(head, struct fnat_lports, rcu));
}

void fnat_rs_reap(struct fnat_net *fn)
{
	struct fnat_rs *rs, *next;
	struct fnat_lports *map;
	unsigned long id;

	lockdep_assert_held(&fn->cfg);
	llist_for_each_entry_safe(rs, next, llist_del_all(&fn->dead_rs), dead) {
		hlist_del(&rs->node);
		list_del(&rs->list);
		xa_for_each(&rs->maps, id, map)
			call_rcu(&map->rcu, map_free_rcu);
		xa_destroy(&rs->maps);
		kfree_rcu(rs, rcu);
	}
}

void fnat_lports_forget(struct fnat_net *fn, const struct fnat_laddr *l)
{
	struct fnat_lports *map;
	struct fnat_rs *rs;

	lockdep_assert_held(&fn->cfg);
	list_for_each_entry(rs, &fn->rs_list, list) {
		map = xa_erase_bh(&rs->maps, l->id);
		if (map)
			call_rcu(&map->rcu, map_free_rcu);
	}
}

/* The map of @rs and @l, made if need be; NULL: no memory. RCU, BH off. */
static struct fnat_lports *map_of(const struct fnat_net *fn,
				  struct fnat_rs *rs, struct fnat_laddr *l)
{
	struct fnat_lports *map = xa_load(&rs->maps, l->id);
	struct fnat_lports *other;
	int lo, hi;

	if (likely(map))
		return map;
	map = kzalloc(sizeof(*map), FNAT_GFP_PACKET);
	if (!map)
		return NULL;
	spin_lock_init(&map->lock);
	xa_init_flags(&map->above[0], XA_FLAGS_LOCK_BH);
	xa_init_flags(&map->above[1], XA_FLAGS_LOCK_BH);
	map->laddr = l;
	map->rs = rs;
	lo = READ_ONCE(fn->tune.lport_min);
	hi = max(READ_ONCE(fn->tune.lport_max), lo);
	map->first_port = lo;
	get_random_bytes(map->order.key, sizeof(map->order.key));
	fnat_shuffle_init(&map->order, hi - lo + 1);
	map->cursor = map->order.key[0] % map->order.n;

	other = xa_cmpxchg_bh(&rs->maps, l->id, NULL, map, FNAT_GFP_PACKET);
	if (!other)
		return map;
	map_free(map);
	return xa_is_err(other) ? NULL : other;
}

/* The leaf of index @i, made if need be; its bits past the end are set. */
static unsigned long *leaf_of(struct fnat_lports *map, u32 i)
{
	u32 n = i / LEAF_BITS;
	u32 end = map->order.n - n * LEAF_BITS;

	if (!map->leaf[n]) {
		map->leaf[n] = kcalloc(LEAF_LONGS, sizeof(long), FNAT_GFP_PACKET);
		if (map->leaf[n] && end < LEAF_BITS)
			bitmap_set(map->leaf[n], end, LEAF_BITS - end);
	}
	return map->leaf[n];
}

/*
 * Takes the first free index at or after the cursor: 0, -ENOSPC if there is
 * none, -ENOMEM. Looks at the summary, and into two leaves at the most.
 */
static int take(struct fnat_lports *map, u32 *index)
{
	u32 leaves = DIV_ROUND_UP(map->order.n, LEAF_BITS);
	u32 n = map->cursor / LEAF_BITS;
	u32 bit = map->cursor % LEAF_BITS;
	unsigned long *leaf;

	lockdep_assert_held(&map->lock);
	if (map->used == map->order.n)
		return -ENOSPC;
	for (;;) {
		if (!test_bit(n, map->full)) {
			leaf = leaf_of(map, n * LEAF_BITS);
			if (!leaf)
				return -ENOMEM;
			bit = find_next_zero_bit(leaf, LEAF_BITS, bit);
			if (bit < LEAF_BITS)
				break;
		}
		bit = 0;
		n = find_next_zero_bit(map->full, leaves, n + 1);
		if (n >= leaves)
			n = find_first_zero_bit(map->full, leaves);
	}

	__set_bit(bit, leaf);
	if (bitmap_full(leaf, LEAF_BITS))
		__set_bit(n, map->full);
	*index = n * LEAF_BITS + bit;
	map->cursor = (*index + 1) % map->order.n;
	map->used++;
	return 0;
}

static void warn_low(const struct fnat_lports *map)
{
	static DEFINE_RATELIMIT_STATE(once_a_minute, 60 * HZ, 1);

	if (!__ratelimit(&once_a_minute))
		return;
	if (map->rs->af == AF_INET)
		pr_notice("nine in ten ports of LIP %pI4 to %pI4:%u are taken: add LIPs\n",
			  &map->laddr->addr.ip, &map->rs->addr.ip,
			  ntohs(map->rs->port));
	else
		pr_notice("nine in ten ports of LIP %pI6c to [%pI6c]:%u are taken: add LIPs\n",
			  &map->laddr->addr.in6, &map->rs->addr.in6,
			  ntohs(map->rs->port));
}

static __be16 port_at(const struct fnat_lports *map, u32 index)
{
	return htons(map->first_port + fnat_shuffle(&map->order, index));
}

static u64 flow_hash6(const struct fnat_net *fn, const struct fnat_lports *map,
		      __be32 ports)
{
	const struct {
		struct in6_addr	laddr;
		struct in6_addr	raddr;
		__be32		ports;
		u32		pad;
	} __aligned(SIPHASH_ALIGNMENT) flow = {
		.laddr	= map->laddr->addr.in6,
		.raddr	= map->rs->addr.in6,
		.ports	= ports,
	};

	return siphash(&flow, sizeof(flow), &fn->isn_key);
}

static u64 flow_hash(const struct fnat_net *fn, const struct fnat_lports *map,
		     __be16 port)
{
	__be32 ports = fnat_ports(port, map->rs->port);

	if (map->rs->af == AF_INET6)
		return flow_hash6(fn, map, ports);
	return siphash_3u32((__force u32)map->laddr->addr.ip,
			    (__force u32)map->rs->addr.ip,
			    (__force u32)ports, &fn->isn_key);
}

/*
 * Sequence numbers by RFC 6528, with the clock that RFC 9293 3.4.1 asks for,
 * only faster (64 ns). Timestamps by a clock of 65 us, which outruns clients'
 * (RFC 7323 5.4: a millisecond at the least) and needs 39 hours for half of 2^32.
 */
static void clock_numbers(const struct fnat_net *fn,
			  const struct fnat_lports *map,
			  struct fnat_lport *lport)
{
	u64 hash = flow_hash(fn, map, lport->port);
	u64 now = ktime_get_ns();

	lport->isn = (u32)hash + (u32)(now >> 6);
	lport->ts = (u32)(hash >> 32) + (u32)(now >> 16);
}

u32 fnat_lport_timestamp(const struct fnat_net *fn,
			 const struct fnat_lports *map, u16 index)
{
	struct fnat_lport now = { .port = port_at(map, index) };

	clock_numbers(fn, map, &now);
	return now.ts;
}

/* What is kept in map->above: a sequence number, and beyond it: */
#define ABOVE_TS_LOST	BIT_ULL(32)

/*
 * No server knows any more what the older of the two says; from now on it is the
 * younger. A port that nobody takes again would keep its memory for ever.
 */
static void forget_old(struct fnat_lports *map)
{
	u32 now = fnat_now();
	bool due;

	if (likely(now - READ_ONCE(map->turned) < FNAT_TIME_WAIT))
		return;
	spin_lock(&map->lock);
	due = now - map->turned >= FNAT_TIME_WAIT;
	if (due)
		map->turned = now;
	spin_unlock(&map->lock);
	if (!due)
		return;
	xa_destroy(&map->above[!map->young]);
	WRITE_ONCE(map->young, !map->young);
}

/* What was remembered of that port, once; NULL: nothing. */
static void *recall(struct fnat_lports *map, u16 index)
{
	u8 young = READ_ONCE(map->young);
	void *was[2] = {};
	int i;

	for (i = 0; i < 2; i++)
		if (unlikely(!xa_empty(&map->above[i])))
			was[i] = xa_erase_bh(&map->above[i], index);
	return was[young] ?: was[!young];
}

void fnat_lport_remember(struct fnat_net *fn, struct fnat_lports *map,
			 u16 index, u32 seq, bool ts_lost)
{
	struct fnat_lport now = { .port = port_at(map, index) };
	u64 above = seq | (ts_lost ? ABOVE_TS_LOST : 0);

	forget_old(map);
	clock_numbers(fn, map, &now);
	/* Mostly the clock has passed it by then; without memory, hopefully. */
	if (ts_lost || !before(seq, now.isn))
		xa_store_bh(&map->above[READ_ONCE(map->young)], index,
			    xa_mk_value(above), FNAT_GFP_PACKET);
}

static void first_numbers(const struct fnat_net *fn, struct fnat_lports *map,
			  struct fnat_lport *lport)
{
	void *above;

	clock_numbers(fn, map, lport);
	lport->ts_lost = false;
	above = recall(map, lport->index);
	if (likely(!above))
		return;
	if (!after(lport->isn, (u32)xa_to_value(above)))
		lport->isn = xa_to_value(above) + 1 + (lport->isn & 0xffff);
	lport->ts_lost = xa_to_value(above) & ABOVE_TS_LOST;
}

/* One try at @l, to which the caller has a reference: as fnat_lport_get(). */
static bool try_laddr(struct fnat_net *fn, struct fnat_rs *rs,
		      struct fnat_laddr *l, struct fnat_lport *lport,
		      enum fnat_event *why)
{
	struct fnat_lports *map = map_of(fn, rs, l);
	int err = -ENOMEM;
	bool low = false;
	u32 i;

	if (map) {
		spin_lock(&map->lock);
		err = take(map, &i);
		low = !err && map->used == map->order.n - map->order.n / 10;
		spin_unlock(&map->lock);
	}
	if (low) {
		fnat_count(fn, FNAT_EV_LADDR_LOW);
		warn_low(map);
	}
	if (err == -ENOSPC) {
		atomic64_inc(&l->conflicts);
		fnat_count(fn, FNAT_EV_LADDR_FULL);
		return false;
	}
	if (err) {
		*why = FNAT_DROP_MEMORY;
		return false;
	}
	lport->map = map;
	lport->index = i;
	lport->port = port_at(map, i);
	lport->laddr = &l->addr;
	if (rs->proto == IPPROTO_TCP)
		first_numbers(fn, map, lport);
	atomic_inc(&l->conns);
	return true;
}

bool fnat_lport_get(const struct fnat_pkt *p, struct fnat_dest *dest,
		    struct fnat_lport *lport, enum fnat_event *why)
{
	int which = fnat_dest_proto(p->proto);
	struct fnat_net *fn = p->fn;
	int freed = atomic_read(&fn->lport_freed);
	const struct fnat_laddrs *set;
	u32 i, start;

	lport->fwd_method = READ_ONCE(dest->opts.fwd_method);
	if (lport->fwd_method != IP_VS_CONN_F_FULLNAT) {
		lport->map = NULL;
		lport->laddr = &p->saddr;
		lport->port = fnat_sport(p->ports);
		lport->isn = p->seq;
		return true;
	}
	/* Pairs with publish() in laddr.c: a set older than @freed is not seen. */
	smp_rmb();
	set = fnat_laddrs_of(dest->svc);
	*why = FNAT_DROP_NO_LADDR;
	if (!set)
		return false;
	*why = FNAT_DROP_NO_PORT;
	if (atomic_read(&dest->port_freed[which]) == freed)
		return false;

	start = hsiphash_3u32((__force u32)fnat_addr_fold(p->af, &p->saddr),
			      (__force u32)p->ports,
			      (__force u32)fnat_addr_fold(p->af, &p->daddr),
			      &fn->conn_key);
	for (i = 0; i < set->n; i++) {
		struct fnat_laddr *l = set->v[(start % set->n + i) % set->n];

		if (!fnat_laddr_get(l))
			continue;
		if (try_laddr(fn, dest->rs[which], l, lport, why))
			return true;
		fnat_laddr_put(fn, l);
	}
	if (*why == FNAT_DROP_NO_PORT)
		atomic_set(&dest->port_freed[which], freed);
	return false;
}

bool fnat_lport_room(struct fnat_rs *rs, const struct fnat_laddr *l, u32 *used,
		     u32 *left)
{
	const struct fnat_lports *map = xa_load(&rs->maps, l->id);

	if (!map)
		return false;
	*used = READ_ONCE(map->used);
	*left = map->order.n - *used;
	return true;
}

void fnat_lport_put(struct fnat_net *fn, struct fnat_lports *map, u16 index)
{
	struct fnat_laddr *l;
	bool was_full;

	if (!map)
		return;
	l = map->laddr;
	spin_lock(&map->lock);
	__clear_bit(index % LEAF_BITS, map->leaf[index / LEAF_BITS]);
	__clear_bit(index / LEAF_BITS, map->full);
	was_full = map->used-- == map->order.n;
	spin_unlock(&map->lock);

	if (was_full)
		atomic_inc(&fn->lport_freed);
	atomic_dec(&l->conns);
	fnat_laddr_put(fn, l);
}
