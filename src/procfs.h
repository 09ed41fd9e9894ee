/* SPDX-License-Identifier: GPL-2.0 */
#ifndef FNAT_PROCFS_H
#define FNAT_PROCFS_H

#include <linux/seq_file_net.h>

#include "fnat.h"

/* The namespace that a file under /proc/net was opened in. */
static inline struct fnat_net *fnat_seq_net(struct seq_file *seq)
{
	return fnat_net(seq_file_net(seq));
}

/* The files of @fn under /proc/net. 0 or -ENOMEM. */
int fnat_procfs_init(struct fnat_net *fn);
void fnat_procfs_exit(struct fnat_net *fn);

/* Those of services and totals; called by the above. */
int fnat_procfs_svc_init(struct fnat_net *fn);
void fnat_procfs_svc_exit(struct fnat_net *fn);

#endif /* FNAT_PROCFS_H */
