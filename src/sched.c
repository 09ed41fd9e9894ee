// SPDX-License-Identifier: GPL-2.0
#include <linux/random.h>

#include "dest.h"
#include "sched.h"
#include "svc.h"

/* Round robin: the next that is available, after the last one used. */
static struct fnat_dest *rr_pick(struct fnat_svc *svc,
				 const struct fnat_dests *set,
				 const struct fnat_pkt *p,
				 const struct fnat_dest *but)
{
	s64 cursor = atomic64_read(&svc->cursor);
	u32 i, n;

	do {
		i = (u32)cursor % set->n;
		for (n = 0; n < set->n; n++, i = (i + 1) % set->n)
			if (fnat_sched_may(set->v[i], but))
				break;
		if (n == set->n)
			return NULL;
	} while (!atomic64_try_cmpxchg(&svc->cursor, &cursor, i + 1));
	return set->v[i];
}

static int heaviest_available(const struct fnat_dests *set,
			      const struct fnat_dest *but)
{
	int max_weight = 0;
	u32 i;

	for (i = 0; i < set->n; i++)
		if (fnat_sched_may(set->v[i], but))
			max_weight = max(max_weight,
					 READ_ONCE(set->v[i]->opts.weight));
	return max_weight;
}

/*
 * Weighted round robin, interleaved: the bar starts at the largest weight and
 * falls by the weights' common divisor each round; whoever reaches it is next.
 * Rounds that nobody available can win are left out, so two turns are enough.
 * The cursor holds the bar above the index.
 */
static struct fnat_dest *wrr_pick(struct fnat_svc *svc,
				  const struct fnat_dests *set,
				  const struct fnat_pkt *p,
				  const struct fnat_dest *but)
{
	s64 cursor = atomic64_read(&svc->cursor);
	int top = heaviest_available(set, but);
	u32 i, bar, steps;

	if (!top)
		return NULL;
	do {
		i = (u32)cursor;
		bar = cursor >> 32;
		for (steps = 2 * set->n + 1; steps; steps--, i++) {
			if (i >= set->n) {
				i = 0;
				bar = bar > set->gcd ? bar - set->gcd : 0;
			}
			if (!bar || bar > top)
				bar = top;
			if (READ_ONCE(set->v[i]->opts.weight) >= bar &&
			    fnat_sched_may(set->v[i], but))
				break;
		}
		if (!steps)
			return NULL;
	} while (!atomic64_try_cmpxchg(&svc->cursor, &cursor,
				       (s64)bar << 32 | (i + 1)));
	return set->v[i];
}

/* An active connection weighs as much as 256 that are not. */
s64 fnat_sched_overhead(const struct fnat_dest *d)
{
	return ((s64)atomic_read(&d->active) << 8) + atomic_read(&d->inactive);
}

/* What one connection more would wait for. */
static s64 delay(const struct fnat_dest *d)
{
	return (s64)atomic_read(&d->active) + 1;
}

/* The least @cost, per weight if @weighted; the first of those that tie. */
static __always_inline
struct fnat_dest *least(const struct fnat_dests *set,
			const struct fnat_dest *but,
			s64 (*cost)(const struct fnat_dest *d), bool weighted)
{
	struct fnat_dest *best = NULL;
	s64 best_cost = 0;
	int best_weight = 1;
	u32 i;

	for (i = 0; i < set->n; i++) {
		struct fnat_dest *d = set->v[i];
		int weight = weighted ? READ_ONCE(d->opts.weight) : 1;
		s64 c = cost(d);

		if (!fnat_sched_may(d, but) ||
		    (best && best_cost * weight <= c * best_weight))
			continue;
		best = d;
		best_cost = c;
		best_weight = weight;
	}
	return best;
}

/* Least connections. */
static struct fnat_dest *lc_pick(struct fnat_svc *svc,
				 const struct fnat_dests *set,
				 const struct fnat_pkt *p,
				 const struct fnat_dest *but)
{
	return least(set, but, fnat_sched_overhead, false);
}

struct fnat_dest *fnat_sched_wlc(const struct fnat_dests *set,
				 const struct fnat_dest *but)
{
	return least(set, but, fnat_sched_overhead, true);
}

/* Weighted least connections. */
static struct fnat_dest *wlc_pick(struct fnat_svc *svc,
				  const struct fnat_dests *set,
				  const struct fnat_pkt *p,
				  const struct fnat_dest *but)
{
	return fnat_sched_wlc(set, but);
}

/* Shortest expected delay. */
static struct fnat_dest *sed_pick(struct fnat_svc *svc,
				  const struct fnat_dests *set,
				  const struct fnat_pkt *p,
				  const struct fnat_dest *but)
{
	return least(set, but, delay, true);
}

/* Never queue: the first that is idle, else as sed. */
static struct fnat_dest *nq_pick(struct fnat_svc *svc,
				 const struct fnat_dests *set,
				 const struct fnat_pkt *p,
				 const struct fnat_dest *but)
{
	u32 i;

	for (i = 0; i < set->n; i++)
		if (fnat_sched_may(set->v[i], but) &&
		    !atomic_read(&set->v[i]->active))
			return set->v[i];
	return sed_pick(svc, set, p, but);
}

/* The heaviest; @room: of those with fewer active connections than weight. */
static struct fnat_dest *heaviest(const struct fnat_dests *set,
				  const struct fnat_dest *but, bool room)
{
	struct fnat_dest *most = NULL;
	int most_weight = 0;
	u32 i;

	for (i = 0; i < set->n; i++) {
		struct fnat_dest *d = set->v[i];
		int weight = READ_ONCE(d->opts.weight);

		if (!fnat_sched_may(d, but) || weight <= most_weight ||
		    (room && atomic_read(&d->active) > weight))
			continue;
		most = d;
		most_weight = weight;
	}
	return most;
}

/* Failover: all to the heaviest there is. */
static struct fnat_dest *fo_pick(struct fnat_svc *svc,
				 const struct fnat_dests *set,
				 const struct fnat_pkt *p,
				 const struct fnat_dest *but)
{
	return heaviest(set, but, false);
}

/* Overflow: to the heaviest until it has as many as its weight, then on. */
static struct fnat_dest *ovf_pick(struct fnat_svc *svc,
				  const struct fnat_dests *set,
				  const struct fnat_pkt *p,
				  const struct fnat_dest *but)
{
	return heaviest(set, but, true);
}

/* One that is available, at random by weight; @total: of all weights. */
static struct fnat_dest *draw(const struct fnat_dests *set,
			      const struct fnat_dest *but, u32 total)
{
	u32 left = get_random_u32_below(total);
	u32 i;

	for (i = 0; i < set->n; i++) {
		if (!fnat_sched_may(set->v[i], but))
			continue;
		if (left < READ_ONCE(set->v[i]->opts.weight))
			return set->v[i];
		left -= READ_ONCE(set->v[i]->opts.weight);
	}
	return NULL;
}

/* The power of two choices (Mitzenmacher 2001): the less loaded of two draws. */
static struct fnat_dest *twos_pick(struct fnat_svc *svc,
				   const struct fnat_dests *set,
				   const struct fnat_pkt *p,
				   const struct fnat_dest *but)
{
	struct fnat_dest *a, *b;
	u32 i, total = 0;

	for (i = 0; i < set->n; i++)
		if (fnat_sched_may(set->v[i], but))
			total += READ_ONCE(set->v[i]->opts.weight);
	if (!total)
		return NULL;
	a = draw(set, but, total);
	b = draw(set, but, total);
	/* Weights may change meanwhile, and leave one draw without a winner. */
	if (!a || !b)
		return a ?: b;
	return fnat_sched_overhead(a) * b->opts.weight <= fnat_sched_overhead(b) * a->opts.weight ?
	       a : b;
}

static const struct fnat_sched scheds[] = {
	{ "rr", rr_pick },
	{ "wrr", wrr_pick },
	{ "lc", lc_pick },
	{ "wlc", wlc_pick },
	{ "sed", sed_pick },
	{ "nq", nq_pick },
	{ "fo", fo_pick },
	{ "ovf", ovf_pick },
	{ "twos", twos_pick },
	{ }
};

static const struct fnat_sched *in_table(const struct fnat_sched *table,
					 const char *name)
{
	for (; table->name; table++)
		if (!strcmp(table->name, name))
			return table;
	return NULL;
}

const struct fnat_sched *fnat_sched_find(const char *name)
{
	return in_table(scheds, name) ?: in_table(fnat_hash_scheds, name) ?:
	       in_table(fnat_lblc_scheds, name);
}

struct fnat_dest *fnat_sched_pick(struct fnat_svc *svc,
				  const struct fnat_pkt *p,
				  const struct fnat_dest *but)
{
	const struct fnat_dests *set;
	struct fnat_dest *d;

	/* A dest that went away meanwhile is not in the next set. */
	do {
		set = rcu_dereference(svc->dests);
		if (!set || !set->n)
			return NULL;
		d = set->sched->pick(svc, set, p, but);
	} while (d && !fnat_dest_bind(d));
	return d;
}
