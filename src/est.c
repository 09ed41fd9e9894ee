// SPDX-License-Identifier: GPL-2.0
#include <linux/rcupdate.h>

#include "dest.h"
#include "est.h"
#include "fnat.h"
#include "svc.h"

static bool estimate_svc(struct fnat_svc *svc)
{
	const struct fnat_dests *set;
	u32 i;

	set = rcu_dereference_protected(svc->dests,
					lockdep_is_held(&svc->fn->cfg));
	for (i = 0; set && i < set->n; i++)
		fnat_stats_estimate(&set->v[i]->stats);
	fnat_stats_estimate(&svc->stats);
	return false;
}

static void estimate(struct work_struct *work)
{
	struct fnat_net *fn = container_of(to_delayed_work(work),
					   struct fnat_net, estimate);
	bool moving;

	if (!READ_ONCE(fn->tune.run_estimation))
		return;
	mutex_lock(&fn->cfg);
	moving = fnat_stats_estimate(&fn->total);
	mutex_unlock(&fn->cfg);
	fnat_svc_each(fn, estimate_svc);
	/* What drains goes on without a service, and what has ended is to show 0. */
	if (moving || atomic_read(&fn->nr_svcs) || atomic_read(&fn->nr_conns))
		fnat_est_start(fn);
}

void fnat_est_init(struct fnat_net *fn)
{
	INIT_DELAYED_WORK(&fn->estimate, estimate);
}

void fnat_est_exit(struct fnat_net *fn)
{
	cancel_delayed_work_sync(&fn->estimate);
}

void fnat_est_start(struct fnat_net *fn)
{
	queue_delayed_work(fnat_wq, &fn->estimate, FNAT_ESTIMATE_PERIOD * HZ);
}
