/* SPDX-License-Identifier: GPL-2.0 */
#ifndef FNAT_EST_H
#define FNAT_EST_H

struct fnat_net;

/*
 * The worker that keeps rates: every two seconds while @fn has services,
 * connections or rates, and net.ipv4.vs.run_estimation is on. fnat_est_start() is
 * harmless if it runs; fnat_est_exit() waits for it, without fn->cfg.
 */
void fnat_est_init(struct fnat_net *fn);
void fnat_est_exit(struct fnat_net *fn);
void fnat_est_start(struct fnat_net *fn);

#endif /* FNAT_EST_H */
