/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The way out: the route that a direction keeps, and the neighbour behind it.
 */
#ifndef FNAT_XMIT_H
#define FNAT_XMIT_H

#include <net/route.h>

struct fnat_dir;
struct fnat_pkt;

/*
 * The route that @p, in direction @d, is to leave by; NULL if there is none.
 * Borrowed from @d, valid under RCU only.
 */
struct rtable *fnat_route(const struct fnat_pkt *p, struct fnat_dir *d);

/* Whether @p fits the route as it is, or as the segments it will become. */
bool fnat_route_fits(const struct fnat_pkt *p, const struct rtable *rt);

/*
 * Sends the translated @p by @rt. @whole: it fits. The verdict for netfilter,
 * which may still own the skb (a drop, or a real server on this host).
 */
unsigned int fnat_xmit(const struct fnat_pkt *p, struct rtable *rt,
		       bool whole);

#endif /* FNAT_XMIT_H */
