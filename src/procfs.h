/* SPDX-License-Identifier: GPL-2.0 */
#ifndef FNAT_PROCFS_H
#define FNAT_PROCFS_H

struct fnat_net;

/* The files of @fn under /proc/net. 0 or -ENOMEM. */
int fnat_procfs_init(struct fnat_net *fn);
void fnat_procfs_exit(struct fnat_net *fn);

/* Those of services and totals; called by the above. */
int fnat_procfs_svc_init(struct fnat_net *fn);
void fnat_procfs_svc_exit(struct fnat_net *fn);

#endif /* FNAT_PROCFS_H */
