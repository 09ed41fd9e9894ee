// SPDX-License-Identifier: GPL-2.0
#include <linux/rcupdate.h>

#include "dest.h"
#include "est.h"
#include "fnat.h"
#include "svc.h"

/* Services done before commands get their turn. */
#define BATCH	64

static void estimate_svc(struct fnat_svc *svc)
{
	const struct fnat_dests *set;
	u32 i;

	set = rcu_dereference_protected(svc->dests,
					lockdep_is_held(&svc->fn->cfg));
	for (i = 0; set && i < set->n; i++)
		fnat_stats_estimate(&set->v[i]->stats);
	fnat_stats_estimate(&svc->stats);
}

/* The next batch from service *@id on; false if there is none. */
static bool estimate_batch(struct fnat_net *fn, unsigned long *id)
{
	struct fnat_svc *svc = NULL;
	int n = 0;

	mutex_lock(&fn->cfg);
	xa_for_each_start(&fn->svcs, *id, svc, *id) {
		if (n++ == BATCH)
			break;
		estimate_svc(svc);
	}
	mutex_unlock(&fn->cfg);
	return svc;
}

static void estimate(struct work_struct *work)
{
	struct fnat_net *fn = container_of(to_delayed_work(work),
					   struct fnat_net, estimate);
	unsigned long id = 0;

	if (!READ_ONCE(fn->tune.run_estimation))
		return;
	mutex_lock(&fn->cfg);
	fnat_stats_estimate(&fn->total);
	mutex_unlock(&fn->cfg);
	while (estimate_batch(fn, &id))
		cond_resched();
	if (atomic_read(&fn->nr_svcs))
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
