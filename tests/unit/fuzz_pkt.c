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

/* At netdev ingress nobody has looked at @skb yet, of which any part is in line. */
static void glimpse(struct fnat_net *fn, struct sk_buff *skb)
{
	struct fnat_pkt p;

	if (!fnat_pkt_glimpse(&p, fn, skb))
		return;
	MUST(p.thoff == (p.af == AF_INET6 ? 40 : 20));
	MUST(p.thoff + sizeof(p.ports) <= skb->pulled);
	MUST(p.proto == IPPROTO_TCP || p.proto == IPPROTO_UDP);
}

/* What ip_rcv() and ipv6_rcv() let through: they pull its header in. */
static bool received(struct sk_buff *skb, u8 pf)
{
	const struct iphdr *iph = (const void *)skb->data;

	if (pf == NFPROTO_IPV6)
		return pskb_may_pull(skb, sizeof(struct ipv6hdr));
	return pskb_may_pull(skb, sizeof(*iph)) && iph->ihl >= 5 &&
	       pskb_may_pull(skb, iph->ihl * 4u);
}

static void read_whole(struct fnat_net *fn, struct sk_buff *skb,
		       const struct nf_hook_state *state)
{
	struct fnat_pkt p;

	if ((state->pf == NFPROTO_IPV4 || !fnat_pkt_is_fragment6(skb)) &&
	    fnat_pkt_parse(&p, fn, skb, state))
		judge_whole(&p);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const struct net_device dev;
	struct nf_hook_state state = { .in = &dev };
	struct sk_buff skb = { .dev = &dev };
	struct fnat_net fn = {};

	if (!size)
		return 0;
	skb.len = size - 1;
	state.pf = data[skb.len] & 1 ? NFPROTO_IPV6 : NFPROTO_IPV4;
	skb.protocol = htons(data[skb.len] & 1 ? ETH_P_IPV6 : ETH_P_IP);
	skb.data = malloc(skb.len);
	memcpy(skb.data, data, skb.len);
	ASAN_POISON_MEMORY_REGION(skb.data, skb.len);
	skb_pull_in(&skb, min_t(unsigned int, data[skb.len] / 2, skb.len));
	glimpse(&fn, &skb);
	if (received(&skb, state.pf))
		read_whole(&fn, &skb, &state);
	ASAN_UNPOISON_MEMORY_REGION(skb.data, skb.len);
	free(skb.data);
	return 0;
}
