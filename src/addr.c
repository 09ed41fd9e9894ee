// SPDX-License-Identifier: GPL-2.0
#include <linux/inetdevice.h>
#include <net/addrconf.h>
#include <net/ip6_route.h>
#include <net/route.h>

#include "addr.h"

bool fnat_addr_is_local(struct net *net, const struct net_device *dev, u16 af,
			const union nf_inet_addr *addr)
{
	if (af == AF_INET)
		return inet_addr_type_dev_table(net, dev, addr->ip) ==
		       RTN_LOCAL;
	return ipv6_chk_addr_and_flags(net, &addr->in6, dev, true, 0,
				       IFA_F_TENTATIVE);
}

void fnat_addr_sockaddr(void *to, u16 af, const union nf_inet_addr *addr,
			__be16 port)
{
	struct sockaddr_in6 *in6 = to;
	struct sockaddr_in *in4 = to;

	memset(in6, 0, sizeof(*in6));
	if (af == AF_INET) {
		in4->sin_family = AF_INET;
		in4->sin_port = port;
		in4->sin_addr.s_addr = addr->ip;
	} else {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = port;
		in6->sin6_addr = addr->in6;
	}
}

union nf_inet_addr fnat_addr_towards(struct net *net, u16 af,
				     const union nf_inet_addr *daddr)
{
	struct flowi4 fl4 = { .daddr = daddr->ip };
	struct flowi6 fl6 = { .daddr = daddr->in6 };
	union nf_inet_addr saddr = {};
	struct dst_entry *dst;
	struct rtable *rt;

	if (af == AF_INET) {
		rt = ip_route_output_key(net, &fl4);
		if (IS_ERR(rt))
			return saddr;
		saddr.ip = fl4.saddr;
		ip_rt_put(rt);
		return saddr;
	}
	dst = ip6_route_output(net, NULL, &fl6);
	if (!dst->error)
		ipv6_dev_get_saddr(net, dst->dev, &fl6.daddr, 0,
				   &saddr.in6);
	dst_release(dst);
	return saddr;
}
