/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The one builder of packets of our own: TCP segments and ICMP errors.
 */
#ifndef FNAT_SEGMENT_H
#define FNAT_SEGMENT_H

#include <linux/types.h>

struct fnat_pkt;

/* A TCP segment without payload or options, from @saddr to @daddr. */
struct fnat_segment {
	__be32	saddr;
	__be32	daddr;
	__be32	ports;		/* source, then destination */
	u32	l3mdev;		/* VRF to route it in, or 0 */
	u32	seq;
	u32	ack;
	u8	flags;		/* FNAT_TH_* */
};

/* Both send through LOCAL_OUT. 0, -ENOMEM or no route. BH off or process. */
int fnat_segment_send(struct fnat_net *fn, const struct fnat_segment *s);

/*
 * An ICMP error about @p to its sender, from the address it was sent to
 * (RFC 792; as much of @p as RFC 1812 4.3.2.3 lets in). @info: the MTU, or 0.
 */
int fnat_icmp_send(const struct fnat_pkt *p, u8 type, u8 code, u32 info);

#endif /* FNAT_SEGMENT_H */
