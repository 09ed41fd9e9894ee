/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How a client is told no: at once, and not more often than does no harm.
 */
#ifndef FNAT_REFUSE_H
#define FNAT_REFUSE_H

#include "stats.h"

struct fnat_pkt;

/*
 * Refuses the new flow that @p wants to start: RST for TCP, port unreachable
 * for UDP. Counts @why; the verdict.
 */
unsigned int fnat_refuse(const struct fnat_pkt *p, enum fnat_event why);

/* Drops @p and tells its sender by an ICMP error; likewise. */
unsigned int fnat_drop_icmp(const struct fnat_pkt *p, enum fnat_event why,
			    u8 type, u8 code, u32 info);

#endif /* FNAT_REFUSE_H */
