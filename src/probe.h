/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Probes: what a real server of the SYN proxy can do is asked before its first
 * client comes, by a SYN that offers everything. The answer gets a RST. A probe is a
 * connection that no client's packets find; dial.h has the rest of its life.
 */
#ifndef FNAT_PROBE_H
#define FNAT_PROBE_H

struct fnat_dest;
struct fnat_net;
struct fnat_svc;

void fnat_probe_init(struct fnat_net *fn);
/* No service is listed any more. */
void fnat_probe_exit(struct fnat_net *fn);

/*
 * @dest is new, or takes connections again: to be probed once, as soon as its service
 * has the SYN proxy and the server can be reached. Caller holds fn->cfg.
 */
void fnat_probe_want(struct fnat_dest *dest);

/*
 * A server of @svc does less than it did (offer.h): to be asked in some seconds, and
 * on until it does it again. Any context, while @svc's namespace has hooks.
 */
void fnat_probe_later(struct fnat_svc *svc);

/* @svc may have the SYN proxy from now on. Caller holds fn->cfg. */
void fnat_probe_start(struct fnat_svc *svc);

#endif /* FNAT_PROBE_H */
