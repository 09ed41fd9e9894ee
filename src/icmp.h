/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ICMP and ICMPv6 messages to a VIP or a LIP: errors about packets that we
 * translated go to whoever sent these, and speak of what he sent; echo to a
 * VIP is answered where the operator wants that.
 */
#ifndef FNAT_ICMP_H
#define FNAT_ICMP_H

struct fnat_pkt;

/* The verdict over @p, an ICMP message; NF_ACCEPT if it is not ours. RCU. */
unsigned int fnat_icmp(const struct fnat_pkt *p);

#endif /* FNAT_ICMP_H */
