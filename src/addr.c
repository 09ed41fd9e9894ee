// SPDX-License-Identifier: GPL-2.0
#include <linux/inetdevice.h>
#include <net/addrconf.h>
#include <net/route.h>

#include "addr.h"

bool fnat_addr_is_local(struct net *net, u16 af,
			const union nf_inet_addr *addr)
{
	if (af == AF_INET)
		return inet_addr_type(net, addr->ip) == RTN_LOCAL;
	return ipv6_chk_addr(net, &addr->in6, NULL, 0);
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
