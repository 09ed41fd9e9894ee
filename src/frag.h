/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Fragments, of which only the first says what port it is for: the kernel's own
 * reassembly puts them together again, and its fragmentation takes them apart
 * on the way out.
 */
#ifndef FNAT_FRAG_H
#define FNAT_FRAG_H

#include <linux/netfilter.h>
#include <linux/skbuff.h>
#include <net/ip.h>

#include "pkt.h"

struct fnat_net;

/*
 * Takes @skb, a fragment of family @af, in; one to another address than a VIP
 * or a LIP only if @any. True: it was the last, and @skb is now the whole
 * packet. False, and *@verdict: not ours, dropped by defence_frag_drop, or kept
 * until the others have come. RCU.
 */
bool fnat_frag_gather(struct fnat_net *fn, struct sk_buff *skb, u16 af,
		      bool any, unsigned int *verdict);

/* The longest of the fragments that @p came in; 0: it came whole. */
static inline u32 fnat_frag_longest(const struct fnat_pkt *p)
{
	return p->af == AF_INET ? IPCB(p->skb)->frag_max_size :
				  IP6CB(p->skb)->frag_max_size;
}

/*
 * Whether @p, if it does not fit into @mtu, may be cut up: IPv4 that says so
 * (RFC 791), and what came in fragments no longer than that.
 */
bool fnat_frag_may(const struct fnat_pkt *p, u32 mtu);

/*
 * Makes @p, translated and writable, ready for the stack, which sends it in
 * fragments no longer than those it came in. @cut: it will do so.
 */
void fnat_frag_prepare(const struct fnat_pkt *p, bool cut);

#endif /* FNAT_FRAG_H */
