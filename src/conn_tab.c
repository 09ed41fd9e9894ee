// SPDX-License-Identifier: GPL-2.0
/*
 * The table in which each connection hangs twice. Four buckets make a row, which
 * lies in one cache line and has one lock. A direction stands in front of its own
 * bucket or, if another does, of any of the row that is empty, and its own says so;
 * only if none is does it hang behind who is in front of its own, in a chain.
 *
 * A link is where a direction lies in the direct map, as slabs do; which of its
 * connection's it is, so that the connection's third line can be asked for before the
 * direction's own has come; and so much of its hash that others are passed over unseen.
 */
#include <linux/bit_spinlock.h>
#include <linux/slab.h>

#include "ahead.h"
#include "conn.h"
#include "pkt.h"

#define ROW		4		/* buckets */

/* Bits of a link; the first is of its row, the next two of the bucket it is in: */
#define LINK_LOCK	BIT(0)		/* in the first of the row */
#define LINK_BESIDE	BIT(1)		/* others of its own are in front elsewhere */
#define LINK_BEHIND	BIT(2)		/* or hang behind the first */
#define LINK_OF_PLACE	(LINK_LOCK | LINK_BESIDE | LINK_BEHIND)
#define LINK_S2C	BIT(3)		/* to dir[FNAT_S2C] of a connection */
#define LINK_LEADS	BIT(4)		/* anywhere */
#define LINK_HASH	GENMASK(17, 5)	/* see tag() */
#define LINK_LINE	18		/* the rest: of the address, in lines */
#define LINE		6		/* bits of an address that are always 0 */

static_assert(BITS_PER_LONG == 64 && __alignof__(struct fnat_conn) == BIT(LINE));

/*
 * The table comes in chunks that memory has in one piece, so that they lie in the
 * direct map, whose pages are large: with small ones, as vmalloc() may have them, a
 * bucket that is in no cache costs the way to its page as well.
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

/* The own bucket of what has @hash. */
static struct fnat_bucket *own(const struct fnat_net *fn, u32 hash)
{
	return bucket_at(fn, hash & fn->conn_mask);
}

/* @b's row: its buckets from @b itself on, in an order of @b's; and its first. */
static struct fnat_bucket *beside(struct fnat_bucket *b, unsigned int i)
{
	return (struct fnat_bucket *)((unsigned long)b ^ i * sizeof(*b));
}

static struct fnat_bucket *first(struct fnat_bucket *b)
{
	return PTR_ALIGN_DOWN(b, ROW * sizeof(*b));
}

static struct fnat_dir *dir_of(unsigned long link)
{
	return (struct fnat_dir *)(PAGE_OFFSET + (link >> LINK_LINE << LINE));
}

/* Of @hash, what a row does not tell: above, which of its buckets it is. */
static unsigned long tag(u32 hash)
{
	return rol32(hash, 16) | LINK_LEADS;
}

/* Whether @link leads to what may have @hash. */
static bool may_be(unsigned long link, u32 hash)
{
	return !((link ^ tag(hash)) & (LINK_HASH | LINK_LEADS));
}

static unsigned long link_to(const struct fnat_dir *d, u32 hash)
{
	return ((unsigned long)d - PAGE_OFFSET) >> LINE << LINK_LINE |
	       (tag(hash) & (LINK_HASH | LINK_LEADS)) |
	       (fnat_dir_which(d) == FNAT_S2C ? LINK_S2C : 0);
}

/*
 * The line that both directions share, of the connection that @link leads to. To gcc
 * a call of what does no more than __builtin_prefetch() is one to leave out.
 */
static __always_inline void prefetch_shared(unsigned long link)
{
	struct fnat_dir *c2s = dir_of(link) - !!(link & LINK_S2C);

	prefetch(&container_of(c2s, struct fnat_conn, dir[FNAT_C2S])->dest);
}

/* The part of a key that depends on the family. */
struct ends {
	__be32	saddr;
	u8	proto;		/* between them, or gcc makes one word of them */
	__be32	daddr;
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
		.proto	= proto | FNAT_PROTO_IP6,
		.daddr	= (__force __be32)(u32)h,
	};
}

static struct ends ends_between(const struct fnat_pkt *p,
				const union nf_inet_addr *saddr,
				const union nf_inet_addr *daddr)
{
	if (unlikely(p->af == AF_INET6))
		return ends6(p->fn, &saddr->in6, &daddr->in6, p->proto);
	return (struct ends){ saddr->ip, p->proto, daddr->ip };
}

/*
 * Keyed, or clients could choose ports that fall into one bucket. What is folded into
 * the destination lets them make few collide: of two protocols, or VRFs.
 */
static u32 hash_ends(const struct fnat_net *fn, const struct ends *e,
		     __be32 ports, u32 l3mdev)
{
	return hsiphash_3u32((__force u32)e->saddr,
			     (__force u32)e->daddr ^ l3mdev ^ e->proto,
			     (__force u32)ports, &fn->conn_key);
}

static u32 hash_dir(const struct fnat_net *fn, const struct fnat_dir *d)
{
	const struct ends e = { d->saddr, d->proto, d->daddr };

	return hash_ends(fn, &e, d->ports, d->l3mdev);
}

u32 fnat_conn_seek(const struct fnat_pkt *p, const union nf_inet_addr *saddr,
		   const union nf_inet_addr *daddr, __be32 ports)
{
	const struct ends e = ends_between(p, saddr, daddr);
	u32 hash = hash_ends(p->fn, &e, ports, p->l3mdev);

	prefetch(own(p->fn, hash));
	return hash;
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
bool is_of(const struct fnat_dir *d, const struct fnat_pkt *p,
	   const struct ends *e)
{
	return d->ports == p->ports && d->saddr == e->saddr &&
	       d->daddr == e->daddr && d->proto == e->proto &&
	       d->l3mdev == p->l3mdev &&
	       (p->af == AF_INET ||
		same_addrs6(d, &p->saddr.in6, &p->daddr.in6));
}

/* Where those may be whose own bucket is @b. */
struct search {
	struct fnat_bucket	*b;
	unsigned long		front;	/* what @b began with */
	unsigned long		link;	/* to be looked at */
	unsigned int		i;	/* in the row; from ROW on, behind @front */
};

/*
 * Lets @s go on, if there is more. What moves up to the front meanwhile was behind
 * @front, and still is.
 */
static __always_inline bool more(struct search *s)
{
	if (!(s->front & (LINK_BESIDE | LINK_BEHIND)))
		return false;
	if (++s->i < ROW)
		s->link = READ_ONCE(beside(s->b, s->i)->head);
	else if (s->i > ROW)
		s->link = READ_ONCE(dir_of(s->link)->next);
	else if (s->front & LINK_BEHIND)
		s->link = READ_ONCE(dir_of(s->front)->next);
	else
		return false;
	return s->i < ROW || s->link;
}

/* The rest of find(); apart, or its registers would be saved there. */
static noinline
struct fnat_dir *find_on(struct fnat_bucket *b, unsigned long front, u32 hash,
			 const struct fnat_pkt *p, __be32 saddr, __be32 daddr)
{
	const u8 family = p->af == AF_INET6 ? FNAT_PROTO_IP6 : 0;
	const struct ends e = { saddr, p->proto | family, daddr };
	struct search s = { .b = b, .front = front };

	while (more(&s)) {
		if (!may_be(s.link, hash))
			continue;
		prefetch_shared(s.link);
		if (is_of(dir_of(s.link), p, &e))
			return dir_of(s.link);
	}
	return NULL;
}

static __always_inline
struct fnat_dir *find(const struct fnat_pkt *p, const struct ends *e, u32 hash)
{
	struct fnat_bucket *b = own(p->fn, hash);
	unsigned long front = READ_ONCE(b->head);

	if (may_be(front, hash)) {
		prefetch_shared(front);
		if (is_of(dir_of(front), p, e))
			return dir_of(front);
	}
	if (likely(!(front & (LINK_BESIDE | LINK_BEHIND))))
		return NULL;
	return find_on(b, front, hash, p, e->saddr, e->daddr);
}

struct fnat_dir *fnat_conn_find(struct fnat_pkt *p)
{
	const struct ends e = ends_between(p, &p->saddr, &p->daddr);
	const s64 seen = fnat_ahead_take(p);
	struct fnat_dir *d;

	if (seen >= 0) {
		p->hash = 0;
		d = find(p, &e, seen);
		if (d)
			return d;
	}
	/* It may be another packet by now than the one that was seen. */
	p->hash = hash_ends(p->fn, &e, p->ports, p->l3mdev);
	return p->hash == seen ? NULL : find(p, &e, p->hash);
}

void fnat_conn_prefetch(const struct fnat_net *fn, u32 hash)
{
	struct fnat_bucket *b = own(fn, hash);
	unsigned long link;
	unsigned int i;

	for (i = 0; i < ROW; i++) {
		link = READ_ONCE(beside(b, i)->head);
		if (!may_be(link, hash))
			continue;
		prefetch(dir_of(link));
		prefetch_shared(link);
		return;
	}
}

void fnat_conn_key6(const struct fnat_net *fn, struct fnat_dir *d, u8 proto)
{
	const struct ends e = ends6(fn, fnat_dir_end6(d, FNAT_END_CLIENT),
				    fnat_dir_end6(d, FNAT_END_VIP), proto);

	d->saddr = e.saddr;
	d->daddr = e.daddr;
	d->proto = e.proto;
}

static void row_lock(struct fnat_bucket *b) __acquires(bitlock)
{
	lockdep_assert_in_softirq();
	bit_spin_lock(0, &first(b)->head);
}

static void row_unlock(struct fnat_bucket *b) __releases(bitlock)
{
	__bit_spin_unlock(0, &first(b)->head);
}

/* Lets @b begin with @link, 0 or of a direction that knows what comes after it. */
static void set_front(struct fnat_bucket *b, unsigned long link)
{
	if (link && dir_of(link)->next)
		link |= LINK_BEHIND;
	/* Pairs with the dependency of readers. */
	smp_store_release(&b->head,
			  link | (b->head & (LINK_LOCK | LINK_BESIDE)));
}

/* Lets @link come after @d, which @b begins with or which hangs behind that. */
static void set_next(struct fnat_bucket *b, struct fnat_dir *d,
		     unsigned long link)
{
	/* Likewise. */
	smp_store_release(&d->next, link);
	set_front(b, b->head & ~LINK_OF_PLACE);
}

/* Lets @b say whether any of its own is in front of others of its row. */
static void set_beside(struct fnat_bucket *b)
{
	const unsigned long place = (unsigned long)b / sizeof(*b) % ROW;
	unsigned long head = b->head & ~LINK_BESIDE, link;
	unsigned int i;

	for (i = 1; i < ROW; i++) {
		link = beside(b, i)->head;
		if (link & LINK_LEADS && (link >> 16) % ROW == place)
			head |= LINK_BESIDE;
	}
	/* What it leads to may have been published by another CPU. */
	smp_store_release(&b->head, head);
}

/* Puts @link in front in @b's row, where @old (or, if 0, nobody) is. Whether it is. */
static bool put(struct fnat_bucket *b, unsigned long old, unsigned long link)
{
	unsigned int i;

	for (i = 0; i < ROW; i++) {
		if ((beside(b, i)->head ^ old) & ~LINK_OF_PLACE)
			continue;
		set_front(beside(b, i), link);
		if (i)
			set_beside(b);
		return true;
	}
	return false;
}

static void insert(struct fnat_bucket *b, struct fnat_dir *d,
		   unsigned long link)
{
	struct fnat_dir *front = dir_of(b->head);

	d->next = 0;
	if (put(b, 0, link))
		return;
	d->next = front->next;
	set_next(b, front, link);
}

/* Puts @link in the place of @old, which leads to one whose own bucket is @b. */
static void divert(struct fnat_bucket *b, unsigned long old, unsigned long link)
{
	struct fnat_dir *before = dir_of(b->head);

	if (put(b, old, link))
		return;
	while (before->next != old)
		before = dir_of(before->next);
	set_next(b, before, link);
}

/* Who is there with the key of @d, whose own bucket is @b; or NULL. */
static struct fnat_dir *present(struct fnat_bucket *b, u32 hash,
				const struct fnat_dir *d)
{
	struct search s = { .b = b, .front = b->head, .link = b->head };

	do {
		if (may_be(s.link, hash) &&
		    fnat_conn_same_key(dir_of(s.link), d))
			return dir_of(s.link);
	} while (more(&s));
	return NULL;
}

struct fnat_dir *fnat_conn_link(const struct fnat_net *fn, struct fnat_dir *d)
{
	u32 hash = fnat_dir_conn(d)->hash[fnat_dir_which(d)];
	struct fnat_bucket *b = own(fn, hash);
	struct fnat_dir *other;

	WARN_ON_ONCE(IS_ENABLED(CONFIG_PROVE_LOCKING) && hash != hash_dir(fn, d));
	row_lock(b);
	other = present(b, hash, d);
	if (!other)
		insert(b, d, link_to(d, hash));
	row_unlock(b);
	return other;
}

void fnat_conn_unlink(const struct fnat_net *fn, struct fnat_dir *d)
{
	u32 hash = hash_dir(fn, d);
	struct fnat_bucket *b = own(fn, hash);

	row_lock(b);
	divert(b, link_to(d, hash), d->next);
	row_unlock(b);
}

void fnat_conn_exchange(const struct fnat_net *fn, struct fnat_dir *old,
			struct fnat_dir *d)
{
	u32 hash = hash_dir(fn, d);
	struct fnat_bucket *b = own(fn, hash);

	row_lock(b);
	d->next = old->next;
	divert(b, link_to(old, hash), link_to(d, hash));
	row_unlock(b);
}

struct fnat_dir *fnat_conn_next(const struct fnat_net *fn, u32 b,
				struct fnat_dir *d)
{
	struct fnat_conn *c = d ? fnat_dir_conn(d) : NULL;
	unsigned long link;

	/* One-packet connections hang by the server's side only. */
	if (d && !fnat_conn_hangs(c, FNAT_C2S))
		d = &c->dir[FNAT_S2C];
	link = d ? READ_ONCE(d->next) : READ_ONCE(bucket_at(fn, b)->head);
	for (; link & LINK_LEADS; link = READ_ONCE(d->next)) {
		d = dir_of(link);
		c = fnat_dir_conn(d);
		if (fnat_dir_which(d) == FNAT_C2S || !fnat_conn_hangs(c, FNAT_C2S))
			return &c->dir[FNAT_C2S];
	}
	return NULL;
}
