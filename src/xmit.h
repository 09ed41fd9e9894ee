/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The way out: the route that a direction keeps, and the neighbour behind it.
 */
#ifndef FNAT_XMIT_H
#define FNAT_XMIT_H

#include <net/dst.h>

struct fnat_dir;
struct fnat_pkt;

/*
 * The route that @p, in direction @d, is to leave by; NULL if there is none.
 * Borrowed from @d, valid under RCU only.
 */
struct dst_entry *fnat_route(const struct fnat_pkt *p, struct fnat_dir *d);

/*
 * Whether @p fits the route as it is, or as the segments it will become. What
 * came in fragments never does.
 */
bool fnat_route_fits(const struct fnat_pkt *p, const struct dst_entry *dst);

/*
 * Sends the translated @p by @dst. @whole: it fits. The verdict for netfilter,
 * which may still own the skb (a drop, or a real server on this host).
 */
unsigned int fnat_xmit(const struct fnat_pkt *p, struct dst_entry *dst,
		       bool whole);

#endif /* FNAT_XMIT_H */
