/* SPDX-License-Identifier: GPL-2.0 */
#ifndef FNAT_SYSCTL_H
#define FNAT_SYSCTL_H

struct fnat_net;

/* net.ipv4.vs of @fn, with its defaults. 0 or -ENOMEM. */
int fnat_sysctl_init(struct fnat_net *fn);
void fnat_sysctl_exit(struct fnat_net *fn);

#endif /* FNAT_SYSCTL_H */
