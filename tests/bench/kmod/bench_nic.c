// SPDX-License-Identifier: GPL-2.0
/*
 * Network devices that play clients and swallow what is sent to them, so that
 * neither socket nor veth nor qdisc is in what they measure:
 *
 *	ip link add c0 type bench_nic
 *	echo DEVICE VIP PORT FIRST FLOWS COUNT ECHO SECONDS >/proc/net/bench_nic
 *	cat /proc/net/bench_nic
 *
 * receives on DEVICE the UDP datagrams, 60 bytes of frame, of FLOWS clients
 * from the FIRST on: COUNT of them in no order, or one of each if COUNT is 0;
 * and says how many there were, how many nanoseconds they took in all, and how
 * many packets ended at other devices. With ECHO each of those is answered.
 * SECONDS is when to stop.
 */
#include <linux/etherdevice.h>
#include <linux/ip.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/udp.h>
#include <net/checksum.h>
#include <net/ip.h>
#include <net/net_namespace.h>
#include <net/rtnetlink.h>

#define NAME		"bench_nic"
#define BATCH		64
#define LIST		8		/* as GRO has it: net.core.gro_normal_batch */
#define CLIENTS		16384		/* from 100.64.1.0 on */
#define CLIENT_NET	(0x64400000 + 256)

struct frame {
	struct ethhdr	eth;
	struct iphdr	ip;
	struct udphdr	udp;
	u8		payload[18];
} __packed;

/* What is being played, or was played last; one at a time. */
static struct {
	struct mutex		lock;	/* all of it */
	struct net_device	*dev;
	struct frame		frame;	/* without what depends on the client */
	__wsum			ip_sum;	/* likewise */
	__wsum			udp_sum;
	u32			first;
	u32			flows;
	u32			count;
	u32			echo;
	u32			random;
	unsigned long		sent;
	unsigned long		ended;
	u64			ns;
} play = { .lock = __MUTEX_INITIALIZER(play.lock) };

static void template_init(__be32 vip, u16 port)
{
	struct frame *f = &play.frame;
	const int len = sizeof(f->udp) + sizeof(f->payload);

	memset(f, 0, sizeof(*f));
	ether_addr_copy(f->eth.h_dest, play.dev->dev_addr);
	f->eth.h_source[0] = 2;
	f->eth.h_proto = htons(ETH_P_IP);
	f->ip = (struct iphdr){
		.version	= 4,
		.ihl		= 5,
		.tot_len	= htons(sizeof(f->ip) + len),
		.frag_off	= htons(IP_DF),
		.ttl		= 64,
		.protocol	= IPPROTO_UDP,
		.daddr		= vip,
	};
	f->udp.dest = htons(port);
	f->udp.len = htons(len);
	play.ip_sum = csum_partial(&f->ip, sizeof(f->ip), 0);
	play.udp_sum = csum_tcpudp_nofold(0, vip, len, IPPROTO_UDP,
					  csum_partial(&f->udp, len, 0));
}

/* The ports of each client, and of one next to another, are scattered. */
static struct sk_buff *build(u32 flow)
{
	u32 n = flow % CLIENTS;
	__be32 saddr = htonl(CLIENT_NET + n);
	__be16 sport = htons(32768 + ((n * 2654435761U >> 17) +
				      flow / CLIENTS * 7919) % 28232);
	struct frame *f;
	struct sk_buff *skb;

	skb = netdev_alloc_skb_ip_align(play.dev, sizeof(*f));
	if (!skb)
		return NULL;
	f = skb_put_data(skb, &play.frame, sizeof(*f));
	f->ip.saddr = saddr;
	f->ip.check = csum_fold(csum_add(play.ip_sum, (__force __wsum)saddr));
	f->udp.source = sport;
	f->udp.check = csum_fold(csum_add(csum_add(play.udp_sum,
						   (__force __wsum)saddr),
					  (__force __wsum)sport));
	skb->protocol = eth_type_trans(skb, play.dev);
	return skb;
}

static u32 next_flow(void)
{
	if (!play.count)
		return play.first + play.sent;
	play.random = next_pseudo_random32(play.random);
	return play.first + reciprocal_scale(play.random, play.flows);
}

/* Whether there was memory for them all. They are handed on in lists. */
static bool receive(unsigned long n)
{
	struct sk_buff *skb = NULL;
	LIST_HEAD(list);

	local_bh_disable();
	for (; n; n--) {
		skb = build(next_flow());
		if (!skb)
			break;
		list_add_tail(&skb->list, &list);
		if (++play.sent % LIST)
			continue;
		netif_receive_skb_list(&list);
		INIT_LIST_HEAD(&list);
	}
	netif_receive_skb_list(&list);
	local_bh_enable();
	return skb;
}

static void run(unsigned int seconds)
{
	unsigned long total = play.count ?: play.flows;
	unsigned long until = jiffies + seconds * HZ;
	u64 start = ktime_get_ns();

	play.sent = 0;
	play.ended = 0;
	while (play.sent < total && time_before(jiffies, until) &&
	       receive(min_t(unsigned long, BATCH, total - play.sent)))
		cond_resched();
	play.ns = ktime_get_ns() - start;
}

static int bench_write(struct file *file, char *buf, size_t size)
{
	struct net *net = current->nsproxy->net_ns;
	unsigned int seconds;
	char name[IFNAMSIZ];
	u8 ip[4];
	u16 port;

	if (sscanf(buf, "%15s %hhu.%hhu.%hhu.%hhu %hu %u %u %u %u %u", name,
		   &ip[0], &ip[1], &ip[2], &ip[3], &port, &play.first,
		   &play.flows, &play.count, &play.echo, &seconds) != 11)
		return -EINVAL;
	play.dev = dev_get_by_name(net, name);
	if (!play.dev)
		return -ENODEV;
	template_init(*(__be32 *)ip, port);
	run(seconds);
	dev_put(play.dev);
	return 0;
}

static int locked_write(struct file *file, char *buf, size_t size)
{
	int err;

	mutex_lock(&play.lock);
	err = bench_write(file, buf, size);
	mutex_unlock(&play.lock);
	return err;
}

static int bench_show(struct seq_file *seq, void *v)
{
	seq_printf(seq, "%lu %llu %lu\n", play.sent, play.ns, play.ended);
	return 0;
}

/* Back to whom it came from: no checksum changes by that. */
static void answer(struct sk_buff *skb, struct net_device *dev)
{
	struct frame *f = (struct frame *)skb->data;

	swap(f->ip.saddr, f->ip.daddr);
	swap(f->udp.source, f->udp.dest);
	ether_addr_copy(f->eth.h_source, f->eth.h_dest);
	ether_addr_copy(f->eth.h_dest, dev->dev_addr);
	dev_forward_skb(dev, skb);
}

static netdev_tx_t bench_xmit(struct sk_buff *skb, struct net_device *dev)
{
	const struct frame *f = (struct frame *)skb->data;

	if (dev != play.dev)
		play.ended++;
	if (play.echo && dev != play.dev && skb_headlen(skb) >= sizeof(*f) &&
	    f->eth.h_proto == htons(ETH_P_IP) && f->ip.protocol == IPPROTO_UDP)
		answer(skb, dev);
	else
		consume_skb(skb);
	return NETDEV_TX_OK;
}

static const struct net_device_ops bench_ops = {
	.ndo_start_xmit		= bench_xmit,
	.ndo_set_mac_address	= eth_mac_addr,
};

static void bench_setup(struct net_device *dev)
{
	ether_setup(dev);
	dev->netdev_ops = &bench_ops;
	dev->needs_free_netdev = true;
	dev->priv_flags |= IFF_NO_QUEUE;
	eth_hw_addr_random(dev);
}

static struct rtnl_link_ops link_ops = {
	.kind	= NAME,
	.setup	= bench_setup,
};

static int __net_init net_init(struct net *net)
{
	return proc_create_net_single_write(NAME, 0600, net->proc_net,
					    bench_show, locked_write, NULL) ?
	       0 : -ENOMEM;
}

static void __net_exit net_exit(struct net *net)
{
	remove_proc_entry(NAME, net->proc_net);
}

static struct pernet_operations net_ops = {
	.init	= net_init,
	.exit	= net_exit,
};

static int __init bench_nic_init(void)
{
	int err = register_pernet_subsys(&net_ops);

	if (err)
		return err;
	err = rtnl_link_register(&link_ops);
	if (err)
		unregister_pernet_subsys(&net_ops);
	return err;
}

static void __exit bench_nic_exit(void)
{
	rtnl_link_unregister(&link_ops);
	unregister_pernet_subsys(&net_ops);
}

module_init(bench_nic_init);
module_exit(bench_nic_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Network devices that play clients and swallow what they are sent");
MODULE_ALIAS_RTNL_LINK(NAME);
