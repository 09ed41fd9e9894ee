// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer: packets of either family, and errors that quote some. pkt.c reads
 * what it has pulled in and nothing else, and what it says lies in the packet.
 */
#include <sanitizer/asan_interface.h>

#include "pkt.h"

#define MUST(cond)	do { if (!(cond)) abort(); } while (0)

void skb_pull_in(struct sk_buff *skb, unsigned int len)
{
	if (len <= skb->pulled)
		return;
	ASAN_UNPOISON_MEMORY_REGION(skb->data, len);
	skb->pulled = len;
}

static void judge(const struct fnat_pkt *p)
{
	MUST(p->thoff >= p->nhoff + 20u);
	MUST(p->thoff + p->thlen <= p->skb->pulled);
	MUST(p->proto != IPPROTO_TCP || p->thlen >= 8);
}

static void judge_whole(struct fnat_pkt *p)
{
	struct fnat_pkt quote;
	u32 val;

	judge(p);
	if (p->proto == IPPROTO_TCP) {
		MUST(p->thlen >= 20 && p->thlen <= 60);
		MUST(p->seg_len <= p->skb->len + 2);
		fnat_pkt_timestamp(p, &val);
	} else if (p->proto != IPPROTO_UDP && fnat_pkt_quoted(&quote, p)) {
		judge(&quote);
	}
}

/* What ip_rcv() and ipv6_rcv() let through. */
static bool received(const u8 *data, size_t len, u8 pf)
{
	const struct iphdr *iph = (const void *)data;

	if (pf == NFPROTO_IPV6)
		return len >= sizeof(struct ipv6hdr);
	return len >= sizeof(*iph) && iph->ihl >= 5 && iph->ihl * 4u <= len;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const struct net_device dev;
	struct nf_hook_state state = { .in = &dev };
	struct sk_buff skb = {};
	struct fnat_net fn = {};
	struct fnat_pkt p;

	if (!size)
		return 0;
	skb.len = size - 1;
	state.pf = data[skb.len] & 1 ? NFPROTO_IPV6 : NFPROTO_IPV4;
	if (!received(data, skb.len, state.pf))
		return 0;
	skb.data = malloc(skb.len);
	memcpy(skb.data, data, skb.len);
	ASAN_POISON_MEMORY_REGION(skb.data, skb.len);
	skb_pull_in(&skb, state.pf == NFPROTO_IPV6 ? sizeof(struct ipv6hdr) :
						    ((data[0] & 15) * 4u));
	if ((state.pf == NFPROTO_IPV4 || !fnat_pkt_is_fragment6(&skb)) &&
	    fnat_pkt_parse(&p, &fn, &skb, &state))
		judge_whole(&p);
	ASAN_UNPOISON_MEMORY_REGION(skb.data, skb.len);
	free(skb.data);
	return 0;
}
