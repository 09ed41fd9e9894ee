// SPDX-License-Identifier: GPL-2.0
#include <linux/in6.h>
#include <linux/ratelimit.h>

#include "addr.h"
#include "conn.h"
#include "cookie_key.h"
#include "guard.h"
#include "svc.h"

int fnat_guard_init(struct fnat_guard *g)
{
	g->cpu = alloc_percpu(struct fnat_guard_counts);
	return g->cpu ? 0 : -ENOMEM;
}

void fnat_guard_exit(struct fnat_guard *g)
{
	free_percpu(g->cpu);
}

/* ---------------------------------------------------------------- counts */

static void sum_cpus(const struct fnat_guard *g, struct fnat_guard_counts *sum)
{
	int cpu, i;

	memset(sum, 0, sizeof(*sum));
	for_each_possible_cpu(cpu)
		for (i = 0; i < FNAT_GUARD_COUNTS; i++)
			sum->n[i] += READ_ONCE(per_cpu_ptr(g->cpu, cpu)->n[i]);
}

void fnat_guard_sum(const struct fnat_guard *g, struct fnat_guard_counts *sum)
{
	int i;

	sum_cpus(g, sum);
	for (i = 0; i < FNAT_GUARD_COUNTS; i++)
		sum->n[i] -= g->zero.n[i];
}

void fnat_guard_zero(struct fnat_guard *g)
{
	sum_cpus(g, &g->zero);
}

/* SYNs whose cookie has not come back, ever. */
static s64 missing(const struct fnat_guard *g)
{
	struct fnat_guard_counts sum;

	sum_cpus(g, &sum);
	return sum.n[FNAT_GUARD_SYN] - sum.n[FNAT_GUARD_ACK];
}

/* -------------------------------------------------------------- switches */

/* A flood on and off may not fill the log: ten lines a minute. */
static void tell(const struct fnat_svc *svc, const char *what)
{
	static DEFINE_RATELIMIT_STATE(limit, 60 * HZ, 10);
	struct sockaddr_in6 vip;

	if (!__ratelimit(&limit))
		return;
	if (svc->key.fwmark) {
		pr_info("service FWM %u: %s\n", svc->key.fwmark, what);
		return;
	}
	fnat_addr_sockaddr(&vip, svc->key.af, &svc->key.addr, svc->key.port);
	pr_info("service TCP %pISpc: %s\n", &vip, what);
}

static void watch(struct fnat_net *fn)
{
	queue_delayed_work(fnat_wq, &fn->guards, HZ);
}

bool fnat_guard_rises(struct fnat_svc *svc)
{
	struct fnat_guard *g = &svc->guard;
	struct fnat_net *fn = svc->fn;

	if (READ_ONCE(g->state) != FNAT_GUARD_RESTING ||
	    atomic_read(&g->half_open) < READ_ONCE(fn->tune.auto_thresh))
		return false;
	/* One CPU raises it, and the operator may have said something else. */
	if (cmpxchg(&g->state, FNAT_GUARD_RESTING, FNAT_GUARD_RAISED) !=
	    FNAT_GUARD_RESTING)
		return fnat_guard_stands(g);
	fnat_count(fn, FNAT_EV_SYNPROXY_AUTO_ON);
	tell(svc, "too many half-open connections: SYNs are answered with cookies");
	watch(fn);
	return true;
}

/* Cookies are about for as long as they live; whoever sees the state sees this. */
static void remember(struct fnat_guard *g)
{
	WRITE_ONCE(g->lapses, fnat_cookie_window_now() + 1);
}

static void lower(struct fnat_svc *svc)
{
	remember(&svc->guard);
	xchg(&svc->guard.state, FNAT_GUARD_RESTING);
	fnat_count(svc->fn, FNAT_EV_SYNPROXY_AUTO_OFF);
	tell(svc, "it has been calm for a while: handshakes pass");
}

bool fnat_guard_remembers(const struct fnat_svc *svc)
{
	/* Another director of the cluster may have given it out. */
	if (READ_ONCE(svc->guard.state) == FNAT_GUARD_RESTING &&
	    fnat_cookie_keys(svc->fn)->k[0].given)
		return true;
	/* Pairs with the xchg() behind remember(). */
	smp_rmb();
	return (s32)(READ_ONCE(svc->guard.lapses) - fnat_cookie_window_now()) >= 0;
}

/*
 * Automatic, it goes on as it was, for calm to decide. A service that begins so may
 * have had a predecessor with cookies.
 */
void fnat_guard_set(struct fnat_svc *svc, u32 mode)
{
	struct fnat_guard *g = &svc->guard;
	int was = READ_ONCE(g->state);
	int state = mode == FNAT_SYNPROXY_ON ? FNAT_GUARD_ON : FNAT_GUARD_OFF;

	lockdep_assert_held(&svc->fn->cfg);
	if (mode == FNAT_SYNPROXY_AUTO)
		state = was == FNAT_GUARD_OFF ? FNAT_GUARD_RESTING :
			was == FNAT_GUARD_ON ? FNAT_GUARD_RAISED : was;
	if (state == was)
		return;
	remember(g);
	xchg(&g->state, state);
	g->watched = false;
	if (state == FNAT_GUARD_RAISED)
		watch(svc->fn);
}

/* ------------------------------------------------------------------ calm */

/*
 * It is calm while there are fewer than half as many half-open connections as
 * raise it, and as few SYNs whose cookie does not come back: those would be
 * half-open connections if they had passed. Whether @svc is to be looked at again.
 */
static bool look_at(struct fnat_svc *svc)
{
	const struct fnat_tunables *tune = &svc->fn->tune;
	int few = DIV_ROUND_UP(READ_ONCE(tune->auto_thresh), 2);
	struct fnat_guard *g = &svc->guard;
	u32 now = fnat_now();
	s64 n;

	if (READ_ONCE(g->state) != FNAT_GUARD_RAISED)
		return false;
	n = missing(g);
	if (!g->watched || n - g->missing >= few ||
	    atomic_read(&g->half_open) >= few) {
		g->watched = true;
		g->calm_since = now;
		g->missing = n;
		return true;
	}
	if (now - g->calm_since < READ_ONCE(tune->auto_calm))
		return true;
	g->watched = false;
	lower(svc);
	return false;
}

static void look(struct work_struct *work)
{
	struct fnat_net *fn = container_of(to_delayed_work(work),
					   struct fnat_net, guards);

	if (fnat_svc_each(fn, look_at))
		watch(fn);
}

void fnat_guards_init(struct fnat_net *fn)
{
	INIT_DELAYED_WORK(&fn->guards, look);
}

void fnat_guards_exit(struct fnat_net *fn)
{
	cancel_delayed_work_sync(&fn->guards);
}
