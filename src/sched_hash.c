// SPDX-License-Identifier: GPL-2.0
/*
 * Schedulers that hash an address into a table of dests. The table hangs on
 * the set of dests and is filled when that is made, so it never changes under
 * a packet. Hashes, sizes and flags are upstream's: directors of both kinds
 * side by side choose the same server.
 */
#include <linux/hash.h>
#include <linux/random.h>
#include <linux/siphash.h>
#include <linux/slab.h>

#include "addr.h"
#include "dest.h"
#include "pkt.h"
#include "sched.h"
#include "svc.h"

#define TABLE_BITS	8
#define TABLE_SLOTS	BIT(TABLE_BITS)
#define MH_SLOTS	4093		/* upstream's default, a prime */
#define MH_INDEX	12

/* Which slot a packet falls into on its @try-th attempt. */
typedef u32 (*slot_fn)(__be32 addr, u16 port, u32 try);

static u32 hash_slot(__be32 addr, u16 port, u32 try)
{
	return (try + hash_32(port + ntohl(addr), TABLE_BITS)) &
	       (TABLE_SLOTS - 1);
}

static const hsiphash_key_t mh_keys[] = {
	{ { 2654435761UL, 2654435761UL } },
	{ { 2654446892UL, 2654446892UL } },
};

static u32 mh_hash(__be32 addr, u16 port, u32 try, const hsiphash_key_t *key)
{
	u32 v = try + port + ntohl(addr);

	return hsiphash(&v, sizeof(v), key);
}

static u32 mh_slot(__be32 addr, u16 port, u32 try)
{
	return mh_hash(addr, port, try, &mh_keys[0]) % MH_SLOTS;
}

/*
 * The dest of the slot that @addr and @port fall into; if that may not be had and
 * there is @fallback, those of the slots that its number leads to.
 */
static struct fnat_dest *by_slot(const struct fnat_dests *set, slot_fn slot,
				 __be32 addr, u16 port, bool fallback,
				 const struct fnat_dest *but)
{
	u32 first = slot(addr, port, 0);
	struct fnat_dest *d = set->v[set->slot[first]];
	u32 i;

	if (fnat_sched_may(d, but))
		return d;
	for (i = 0; fallback && i < set->sched->slots; i++) {
		u32 try = (i + first) % set->sched->slots;

		d = set->v[set->slot[slot(addr, port, try)]];
		if (fnat_sched_may(d, but))
			return d;
	}
	return NULL;
}

/* If the service says so (fallback), or does not want the one that there is. */
static struct fnat_dest *by_source(const struct fnat_dests *set,
				   const struct fnat_pkt *p, slot_fn slot,
				   const struct fnat_dest *but)
{
	u16 port = set->flags & IP_VS_SVC_F_SCHED2 ?
		   ntohs(fnat_sport(p->ports)) : 0;

	return by_slot(set, slot, fnat_addr_fold(p->af, &p->saddr), port,
		       but || set->flags & IP_VS_SVC_F_SCHED1, but);
}

static struct fnat_dest *sh_pick(struct fnat_svc *svc,
				 const struct fnat_dests *set,
				 const struct fnat_pkt *p,
				 const struct fnat_dest *but)
{
	return by_source(set, p, hash_slot, but);
}

/* As many slots in a row as the weight says, round and round. */
static int sh_fill(struct fnat_dests *set)
{
	u32 slot, at = 0;
	int filled = 0;

	for (slot = 0; slot < TABLE_SLOTS; slot++) {
		set->slot[slot] = at;
		if (++filled >= set->v[at]->opts.weight) {
			at = (at + 1) % set->n;
			filled = 0;
		}
	}
	return 0;
}

static struct fnat_dest *dh_pick(struct fnat_svc *svc,
				 const struct fnat_dests *set,
				 const struct fnat_pkt *p,
				 const struct fnat_dest *but)
{
	return by_slot(set, hash_slot, fnat_addr_fold(p->af, &p->daddr), 0, but,
		       but);
}

static int dh_fill(struct fnat_dests *set)
{
	u32 slot;

	for (slot = 0; slot < TABLE_SLOTS; slot++)
		set->slot[slot] = slot % set->n;
	return 0;
}

static struct fnat_dest *mh_pick(struct fnat_svc *svc,
				 const struct fnat_dests *set,
				 const struct fnat_pkt *p,
				 const struct fnat_dest *but)
{
	return by_source(set, p, mh_slot, but);
}

/* A dest's way through the table. */
struct mh_walk {
	u32	at;
	u32	skip;
	u32	turns;		/* slots it takes each round */
};

static void mh_start(struct mh_walk *w, const struct fnat_dests *set)
{
	int max_weight = 0, divisor = 0;
	int shift;
	u32 i;

	for (i = 0; i < set->n; i++) {
		max_weight = max(max_weight, set->v[i]->last_weight);
		divisor = gcd(divisor, set->v[i]->last_weight);
	}
	divisor = max(divisor, 1);
	shift = max(fls(max_weight / divisor) - MH_INDEX, 0);

	for (i = 0; i < set->n; i++) {
		const struct fnat_dest *d = set->v[i];
		u16 port = ntohs(d->port);
		__be32 addr = fnat_addr_fold(d->svc->key.af, &d->addr);

		w[i].at = mh_hash(addr, port, 0, &mh_keys[0]) % MH_SLOTS;
		w[i].skip = mh_hash(addr, port, 0, &mh_keys[1]) %
			    (MH_SLOTS - 1) + 1;
		w[i].turns = d->last_weight / divisor >> shift;
		if (!w[i].turns && d->last_weight)
			w[i].turns = 1;
	}
}

/* Maglev (Eisenbud et al., NSDI 2016, 3.4), with turns for weights. */
static int mh_fill(struct fnat_dests *set)
{
	struct mh_walk *walk;
	unsigned long *taken;
	u32 filled = 0;
	u32 i, turn;
	int err = -ENOMEM;

	walk = kvcalloc(set->n, sizeof(*walk), GFP_KERNEL);
	taken = bitmap_zalloc(MH_SLOTS, GFP_KERNEL);
	if (!walk || !taken)
		goto free_both;
	err = 0;
	mh_start(walk, set);
	while (filled < MH_SLOTS) {
		u32 before = filled;

		for (i = 0; i < set->n; i++) {
			struct mh_walk *w = &walk[i];

			for (turn = 0; turn < w->turns && filled < MH_SLOTS;
			     turn++) {
				while (__test_and_set_bit(w->at, taken))
					w->at = (w->at + w->skip) % MH_SLOTS;
				set->slot[w->at] = i;
				filled++;
			}
		}
		/* No dest has ever had a weight: nobody will be available. */
		if (filled == before)
			break;
	}

free_both:
	bitmap_free(taken);
	kvfree(walk);
	return err;
}

const struct fnat_sched fnat_hash_scheds[] = {
	{ "dh", dh_pick, TABLE_SLOTS, dh_fill },
	{ "sh", sh_pick, TABLE_SLOTS, sh_fill },
	{ "mh", mh_pick, MH_SLOTS, mh_fill },
	{ }
};
