/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How a client is told no: at once, and not more often than does no harm.
 */
#ifndef FNAT_REFUSE_H
#define FNAT_REFUSE_H

#include "segment.h"
#include "stats.h"

struct fnat_pkt;

/*
 * Refuses @p, which wants to start a flow or is of none: RST for TCP, port
 * unreachable for UDP. Counts @why; the verdict.
 */
unsigned int fnat_refuse(const struct fnat_pkt *p, enum fnat_event why);

/* Drops @p and tells its sender by an ICMP error; likewise. @mtu or 0. */
unsigned int fnat_drop_icmp(const struct fnat_pkt *p, enum fnat_event why,
			    enum fnat_icmp_error error, u32 mtu);

#endif /* FNAT_REFUSE_H */
