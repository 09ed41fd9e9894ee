// SPDX-License-Identifier: GPL-2.0
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/ipv6_frag.h>
#include <net/l3mdev.h>
#include <net/netfilter/ipv6/nf_defrag_ipv6.h>

#include "defence.h"
#include "fnat.h"
#include "frag.h"
#include "pkt.h"

/*
 * Keeps our fragments apart from conntrack's, which may pass here as well. The index
 * of a VRF is added, as ip_defrag() has it by itself.
 */
#define USER6	0x464e4154

static bool gather4(struct fnat_net *fn, struct sk_buff *skb,
		    unsigned int *verdict)
{
	int err;

	local_bh_disable();
	err = ip_defrag(fn->net, skb, IP_DEFRAG_VS_IN);
	local_bh_enable();
	/* It keeps what it waits for, and frees what makes no sense. */
	*verdict = NF_STOLEN;
	return !err;
}

static bool gather6(struct fnat_net *fn, struct sk_buff *skb,
		    unsigned int *verdict)
{
	int err;

	local_bh_disable();
	err = nf_ct_frag6_gather(fn->net, skb,
				 USER6 + l3mdev_master_ifindex_rcu(skb->dev));
	local_bh_enable();
	*verdict = err == -EINPROGRESS ? NF_STOLEN : NF_DROP;
	/* What it does not understand it leaves as it is. */
	return !err && !fnat_pkt_is_fragment6(skb);
}

bool fnat_frag_gather(struct fnat_net *fn, struct sk_buff *skb, u16 af,
		      bool any, unsigned int *verdict)
{
	const union nf_inet_addr daddr = fnat_skb_daddr(skb, af);

	*verdict = NF_ACCEPT;
	if (!fnat_pkt_for_host(skb))
		return false;
	if (!any && !fnat_addrset_has_any(&fn->addrs, af, &daddr))
		return false;
	if (fnat_defence_fragment(fn, af, &daddr)) {
		*verdict = NF_DROP;
		return false;
	}
	if (!(af == AF_INET ? gather4(fn, skb, verdict) :
			      gather6(fn, skb, verdict)))
		return false;
	skb->ignore_df = 1;
	fnat_count(fn, FNAT_EV_REASSEMBLED);
	return true;
}

bool fnat_frag_may(const struct fnat_pkt *p, u32 mtu)
{
	if (p->af == AF_INET && !(ip_hdr(p->skb)->frag_off & htons(IP_DF)))
		return true;
	return fnat_frag_longest(p) && fnat_frag_longest(p) <= mtu &&
	       p->skb->ignore_df;
}

void fnat_frag_prepare(const struct fnat_pkt *p, bool cut)
{
	u32 max = fnat_frag_longest(p);
	u16 flags;

	if (p->af == AF_INET6) {
		memset(IP6CB(p->skb), 0, sizeof(*IP6CB(p->skb)));
		IP6CB(p->skb)->frag_max_size = max;
		return;
	}
	flags = IPCB(p->skb)->flags & IPSKB_FRAG_PMTU;
	memset(IPCB(p->skb), 0, sizeof(*IPCB(p->skb)));
	IPCB(p->skb)->frag_max_size = max;
	IPCB(p->skb)->flags = flags;
	if (cut) {
		/* Two clients behind one LIP may have chosen the same. */
		__ip_select_ident(p->fn->net, ip_hdr(p->skb),
				  skb_shinfo(p->skb)->gso_segs ?: 1);
		ip_send_check(ip_hdr(p->skb));
	}
}
