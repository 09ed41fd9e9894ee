// SPDX-License-Identifier: GPL-2.0
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/sysctl.h>

#include "conn.h"
#include "est.h"
#include "sysctl.h"

static int lport_floor = FNAT_LPORT_FLOOR;
static int lport_ceiling = FNAT_LPORT_CEILING;

/* .data is an offset into struct fnat_tunables until a namespace has its copy. */
#define TUNABLE(_name, _field, _min, _max)				\
	{								\
		.procname	= (_name),				\
		.data		= (void *)offsetof(struct fnat_tunables, \
						   _field),		\
		.maxlen		= sizeof(int),				\
		.mode		= 0644,					\
		.proc_handler	= proc_dointvec_minmax,			\
		.extra1		= (_min),				\
		.extra2		= (_max),				\
	}

/* Estimation, switched on again, must be set going. */
static int do_run_estimation(CTL_CONST struct ctl_table *table, int write,
			     void *buffer, size_t *lenp, loff_t *ppos)
{
	struct fnat_net *fn = container_of(table->data, struct fnat_net,
					   tune.run_estimation);
	int err = proc_dointvec_minmax(table, write, buffer, lenp, ppos);

	if (!err && write && atomic_read(&fn->nr_svcs))
		fnat_est_start(fn);
	return err;
}

static const struct ctl_table template[] = {
	TUNABLE("fullnat_masq", masq_is_fullnat, SYSCTL_ZERO, SYSCTL_ONE),
	TUNABLE("fullnat_lport_min", lport_min, &lport_floor, &lport_ceiling),
	TUNABLE("fullnat_lport_max", lport_max, &lport_floor, &lport_ceiling),
	TUNABLE("run_estimation", run_estimation, SYSCTL_ZERO, SYSCTL_ONE),
	TUNABLE("conn_max", conn_max, SYSCTL_ZERO, SYSCTL_INT_MAX),
	{ }
};

/* Connections may take half of memory before new ones are refused. */
static int default_conn_max(void)
{
	u64 n = ((u64)totalram_pages() << PAGE_SHIFT) / 2 /
		sizeof(struct fnat_conn);

	return min_t(u64, n, INT_MAX);
}

int fnat_sysctl_init(struct fnat_net *fn)
{
	struct ctl_table *t;

	fn->tune = (struct fnat_tunables) {
		.run_estimation	= 1,
		.lport_min	= FNAT_LPORT_FLOOR,
		.lport_max	= FNAT_LPORT_CEILING,
		.conn_max	= default_conn_max(),
	};
	fn->ctl_table = kmemdup(template, sizeof(template), GFP_KERNEL);
	if (!fn->ctl_table)
		return -ENOMEM;
	for (t = fn->ctl_table; t->procname; t++) {
		t->data = (char *)&fn->tune + (unsigned long)t->data;
		if (t->data == &fn->tune.run_estimation)
			t->proc_handler = do_run_estimation;
	}
	fn->ctl_header = register_net_sysctl(fn->net, "net/ipv4/vs",
					     fn->ctl_table);
	if (fn->ctl_header)
		return 0;
	kfree(fn->ctl_table);
	return -ENOMEM;
}

void fnat_sysctl_exit(struct fnat_net *fn)
{
	unregister_net_sysctl_table(fn->ctl_header);
	kfree(fn->ctl_table);
}
