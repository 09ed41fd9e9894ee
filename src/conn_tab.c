// SPDX-License-Identifier: GPL-2.0
/*
 * The table in which each connection hangs twice. A bucket is a singly linked
 * chain of a node or two, for its writers locked by a bit of its own.
 *
 * A link is a direction's address and, in a spare bit, which direction it is:
 * so the connection's third line can be asked for before the direction's own
 * has come. Of a million connections neither is in any cache.
 */
#include <linux/bit_spinlock.h>
#include <linux/hash.h>
#include <linux/slab.h>

#include "ahead.h"
#include "conn.h"
#include "pkt.h"

/* Bits of a link: */
#define LINK_LOCK	0	/* of the bucket; in struct fnat_bucket.head */
#define LINK_S2C	1	/* to dir[FNAT_S2C] of a connection */

/*
 * The table comes in chunks that memory has in one piece, so that they lie in
 * the direct map, whose pages are large. Of a table from vmalloc() all pages
 * are small if one large one was not to be had, and then a bucket that is in
 * no cache costs the way to its page as well.
 */
#define CHUNK_BITS	(KMALLOC_SHIFT_MAX - ilog2(sizeof(struct fnat_bucket)))

static u32 chunks(void)
{
	return DIV_ROUND_UP(1U << fnat_conn_tab_bits, 1U << CHUNK_BITS);
}

static void tab_free(struct fnat_bucket **tab)
{
	u32 i;

	for (i = 0; tab && i < chunks(); i++)
		kvfree(tab[i]);
	kfree(tab);
}

static struct fnat_bucket **tab_alloc(void)
{
	struct fnat_bucket **tab = kcalloc(chunks(), sizeof(*tab), GFP_KERNEL);
	u32 i;

	for (i = 0; tab && i < chunks(); i++) {
		tab[i] = kvcalloc((1U << fnat_conn_tab_bits) / chunks(),
				  sizeof(**tab), GFP_KERNEL);
		if (!tab[i]) {
			tab_free(tab);
			return NULL;
		}
	}
	return tab;
}

int fnat_conn_tab_init(struct fnat_net *fn)
{
	struct fnat_bucket **tab = tab_alloc();

	if (!tab)
		return -ENOMEM;
	fn->conn_mask = (1U << fnat_conn_tab_bits) - 1;
	get_random_bytes(&fn->conn_key, sizeof(fn->conn_key));
	get_random_bytes(&fn->ends_key, sizeof(fn->ends_key));
	/* Listings and defences look for it without a lock. */
	smp_store_release(&fn->conn_tab, tab);
	return 0;
}

void fnat_conn_tab_exit(struct fnat_net *fn)
{
	tab_free(fn->conn_tab);
	fn->conn_tab = NULL;
}

static struct fnat_bucket *bucket_at(const struct fnat_net *fn, u32 b)
{
	return &fn->conn_tab[b >> CHUNK_BITS][b & (BIT(CHUNK_BITS) - 1)];
}

/*
 * Keyed, or clients could choose ports that fall into one bucket. What is folded into
 * the destination is not theirs to choose.
 */
static struct fnat_bucket *bucket(const struct fnat_net *fn, __be32 saddr,
				  __be32 daddr, __be32 ports, u32 l3mdev,
				  u8 proto)
{
	u32 rest = (l3mdev * GOLDEN_RATIO_32) ^ (u32)proto << 24;
	u32 h = hsiphash_3u32((__force u32)saddr, (__force u32)daddr ^ rest,
			      (__force u32)ports, &fn->conn_key);

	return bucket_at(fn, h & fn->conn_mask);
}

static struct fnat_bucket *dir_bucket(const struct fnat_net *fn,
				      const struct fnat_dir *d)
{
	return bucket(fn, d->saddr, d->daddr, d->ports, d->l3mdev, d->proto);
}

/* Where a link leads; NULL at the end of the chain. */
static struct fnat_dir *dir_of(unsigned long link)
{
	return (struct fnat_dir *)(link & ~(BIT(LINK_LOCK) | BIT(LINK_S2C)));
}

static unsigned long link_to(const struct fnat_dir *d)
{
	return (unsigned long)d |
	       (fnat_dir_which(d) == FNAT_S2C ? BIT(LINK_S2C) : 0);
}

/* The line that both directions share, of the connection that @link leads to. */
static void prefetch_shared(unsigned long link)
{
	struct fnat_dir *c2s = dir_of(link) - !!(link & BIT(LINK_S2C));

	prefetch(&container_of(c2s, struct fnat_conn, dir[FNAT_C2S])->dest);
}

/* The part of a key that depends on the family. */
struct ends {
	__be32	saddr;
	__be32	daddr;
	u8	proto;
};

static u64 half(const struct in6_addr *addr, int which)
{
	return get_unaligned((const u64 *)addr + which);
}

/* Of IPv6: 64 bits that only who knows the key can make collide. */
static struct ends ends6(const struct fnat_net *fn,
			 const struct in6_addr *saddr,
			 const struct in6_addr *daddr, u8 proto)
{
	u64 h = siphash_4u64(half(saddr, 0), half(saddr, 1), half(daddr, 0),
			     half(daddr, 1), &fn->ends_key);

	return (struct ends){
		.saddr	= (__force __be32)(u32)(h >> 32),
		.daddr	= (__force __be32)(u32)h,
		.proto	= proto | FNAT_PROTO_IP6,
	};
}

static struct ends ends_of(const struct fnat_pkt *p)
{
	if (unlikely(p->af == AF_INET6))
		return ends6(p->fn, &p->saddr.in6, &p->daddr.in6, p->proto);
	return (struct ends){ p->saddr.ip, p->daddr.ip, p->proto };
}

static bool same_addrs6(const struct fnat_dir *d, const struct in6_addr *saddr,
			const struct in6_addr *daddr)
{
	return ipv6_addr_equal(fnat_dir_end6(d, FNAT_END_CLIENT), saddr) &&
	       ipv6_addr_equal(fnat_dir_end6(d, FNAT_END_VIP), daddr);
}

bool fnat_conn_same_key(const struct fnat_dir *a, const struct fnat_dir *b)
{
	return a->ports == b->ports && a->saddr == b->saddr &&
	       a->daddr == b->daddr && a->proto == b->proto &&
	       a->l3mdev == b->l3mdev &&
	       (fnat_dir_af(a) == AF_INET ||
		same_addrs6(a, fnat_dir_end6(b, FNAT_END_CLIENT),
			    fnat_dir_end6(b, FNAT_END_VIP)));
}

static __always_inline
struct fnat_dir *find_in(const struct fnat_bucket *b, const struct fnat_pkt *p,
			 const struct ends *e)
{
	unsigned long link = READ_ONCE(b->head);
	struct fnat_dir *d;

	for (; (d = dir_of(link)); link = READ_ONCE(d->next)) {
		prefetch_shared(link);
		if (d->ports == p->ports && d->saddr == e->saddr &&
		    d->daddr == e->daddr && d->proto == e->proto &&
		    d->l3mdev == p->l3mdev &&
		    (p->af == AF_INET ||
		     same_addrs6(d, &p->saddr.in6, &p->daddr.in6)))
			return d;
	}
	return NULL;
}

static struct fnat_bucket *pkt_bucket(const struct fnat_pkt *p,
				      const struct ends *e)
{
	return bucket(p->fn, e->saddr, e->daddr, p->ports, p->l3mdev, e->proto);
}

struct fnat_bucket *fnat_conn_bucket(const struct fnat_pkt *p)
{
	const struct ends e = ends_of(p);

	return pkt_bucket(p, &e);
}

void fnat_conn_prefetch(const struct fnat_bucket *b)
{
	unsigned long link = READ_ONCE(b->head);

	if (!dir_of(link))
		return;
	prefetch(dir_of(link));
	prefetch_shared(link);
}

struct fnat_dir *fnat_conn_find(const struct fnat_pkt *p)
{
	const struct fnat_bucket *seen = fnat_ahead_take(p);
	const struct ends e = ends_of(p);
	struct fnat_dir *d = NULL;

	/* It may be another packet by now than the one that was seen. */
	if (seen)
		d = find_in(seen, p, &e);
	return d ?: find_in(pkt_bucket(p, &e), p, &e);
}

void fnat_conn_key6(const struct fnat_net *fn, struct fnat_dir *d, u8 proto)
{
	const struct ends e = ends6(fn, fnat_dir_end6(d, FNAT_END_CLIENT),
				    fnat_dir_end6(d, FNAT_END_VIP), proto);

	d->saddr = e.saddr;
	d->daddr = e.daddr;
	d->proto = e.proto;
}

static void bucket_lock(struct fnat_bucket *b) __acquires(bitlock)
{
	local_bh_disable();
	bit_spin_lock(LINK_LOCK, &b->head);
}

static void bucket_unlock(struct fnat_bucket *b) __releases(bitlock)
{
	__bit_spin_unlock(LINK_LOCK, &b->head);
	local_bh_enable();
}

/* Lets @at, a bucket's head or a node's next, lead on to @link. */
static void set_link(unsigned long *at, unsigned long link)
{
	/* Keeps the lock bit; pairs with the dependency of readers. */
	smp_store_release(at, link | (*at & BIT(LINK_LOCK)));
}

struct fnat_dir *fnat_conn_link(const struct fnat_net *fn, struct fnat_dir *d)
{
	struct fnat_bucket *b = dir_bucket(fn, d);
	struct fnat_dir *other;

	bucket_lock(b);
	for (other = dir_of(b->head); other; other = dir_of(other->next))
		if (fnat_conn_same_key(other, d))
			break;
	if (!other) {
		d->next = b->head & ~BIT(LINK_LOCK);
		set_link(&b->head, link_to(d));
	}
	bucket_unlock(b);
	return other;
}

/*
 * What leads to @d, which is in @b, whose lock the caller holds. Chains are a node
 * or two: walking one costs less than a back pointer.
 */
static unsigned long *way_to(struct fnat_bucket *b, const struct fnat_dir *d)
{
	unsigned long *at = &b->head;

	while (dir_of(*at) != d)
		at = &dir_of(*at)->next;
	return at;
}

void fnat_conn_unlink(const struct fnat_net *fn, struct fnat_dir *d)
{
	struct fnat_bucket *b = dir_bucket(fn, d);

	bucket_lock(b);
	set_link(way_to(b, d), d->next);
	bucket_unlock(b);
}

void fnat_conn_exchange(const struct fnat_net *fn, struct fnat_dir *old,
			struct fnat_dir *d)
{
	struct fnat_bucket *b = dir_bucket(fn, d);

	bucket_lock(b);
	d->next = old->next;
	set_link(way_to(b, old), link_to(d));
	bucket_unlock(b);
}

struct fnat_dir *fnat_conn_next(const struct fnat_net *fn, u32 b,
				struct fnat_dir *d)
{
	struct fnat_conn *c = d ? fnat_dir_conn(d) : NULL;

	/* One-packet connections hang by the server's side only. */
	if (d && !fnat_conn_hangs(c, FNAT_C2S))
		d = &c->dir[FNAT_S2C];
	d = dir_of(d ? READ_ONCE(d->next) : READ_ONCE(bucket_at(fn, b)->head));
	while (d && fnat_dir_which(d) != FNAT_C2S &&
	       fnat_conn_hangs(fnat_dir_conn(d), FNAT_C2S))
		d = dir_of(READ_ONCE(d->next));
	return d ? &fnat_dir_conn(d)->dir[FNAT_C2S] : NULL;
}
