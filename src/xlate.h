/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The rewrite: addresses, ports, sequence numbers, options and checksums.
 */
#ifndef FNAT_XLATE_H
#define FNAT_XLATE_H

#include <linux/types.h>

struct fnat_dir;
struct fnat_pkt;

/*
 * Turns @p into what direction @d sends. -ENOMEM if the skb could not be made
 * writable; it is then as it was. Afterwards it must not be passed on to
 * anyone who expects the packet that came in. @p describes that one still.
 */
int fnat_xlate(const struct fnat_pkt *p, const struct fnat_dir *d);

/*
 * Turns only addresses and TTL of @p, which is writable. Returns what that
 * changes in a pseudo header.
 */
__wsum fnat_xlate_ip(const struct fnat_pkt *p, const struct fnat_dir *d);

/* Only its TTL. */
void fnat_xlate_ttl(const struct fnat_pkt *p);

#endif /* FNAT_XLATE_H */
