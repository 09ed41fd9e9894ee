// SPDX-License-Identifier: GPL-2.0
/*
 * The least that a hook can be: what packets of no concern pay anybody who
 * stands where we do. In every network namespace while it is loaded.
 */
#include <linux/module.h>
#include <linux/netfilter_ipv4.h>
#include <net/net_namespace.h>

static unsigned int accept(void *priv, struct sk_buff *skb,
			   const struct nf_hook_state *state)
{
	return NF_ACCEPT;
}

static const struct nf_hook_ops ops = {
	.hook		= accept,
	.pf		= NFPROTO_IPV4,
	.hooknum	= NF_INET_PRE_ROUTING,
	.priority	= NF_IP_PRI_CONNTRACK - 1,
};

static int __net_init net_init(struct net *net)
{
	return nf_register_net_hook(net, &ops);
}

static void __net_exit net_exit(struct net *net)
{
	nf_unregister_net_hook(net, &ops);
}

static struct pernet_operations net_ops = {
	.init	= net_init,
	.exit	= net_exit,
};

static int __init bench_hook_init(void)
{
	return register_pernet_subsys(&net_ops);
}

static void __exit bench_hook_exit(void)
{
	unregister_pernet_subsys(&net_ops);
}

module_init(bench_hook_init);
module_exit(bench_hook_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("An empty PRE_ROUTING hook");
