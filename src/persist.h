/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Persistence: clients stay with the server that they first came to. What is
 * remembered of a client, or of a network of clients, is a template: a
 * connection that no packet belongs to. It lives for the service's timeout
 * after the last connection that it sent on its way, and for as long as one
 * of these is up; a packet costs it nothing.
 */
#ifndef FNAT_PERSIST_H
#define FNAT_PERSIST_H

#include "stats.h"

struct fnat_conn;
struct fnat_dest;
struct fnat_pkt;
struct fnat_svc;

/*
 * As fnat_sched_pick(), but where the service is persistent the dest that the
 * client has been sent to before; *@tmpl is then its template, with a
 * reference, and else NULL. If that is @but, the client moves for good. NULL:
 * none, and *@why. RCU, bottom halves off.
 */
struct fnat_dest *fnat_persist_pick(struct fnat_svc *svc,
				    const struct fnat_pkt *p,
				    const struct fnat_dest *but,
				    struct fnat_conn **tmpl,
				    enum fnat_event *why);

#endif /* FNAT_PERSIST_H */
