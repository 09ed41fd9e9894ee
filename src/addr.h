/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Addresses of either family: what they are, and how they count. What lies
 * behind an IPv4 address in its union is zero, always.
 */
#ifndef FNAT_ADDR_H
#define FNAT_ADDR_H

#include <linux/netfilter.h>
#include <net/ipv6.h>

/*
 * Whether @addr can be nobody's in particular: "this network" (all of 0/8, not
 * only what the kernel calls so), multicast, broadcast; of IPv6 also what only
 * one link knows, for a director routes, and IPv4 in disguise.
 */
static inline bool fnat_addr_unusable(u16 af, const union nf_inet_addr *addr)
{
	int type;

	if (af == AF_INET)
		return (ntohl(addr->ip) & 0xff000000) == 0 ||
		       ipv4_is_multicast(addr->ip) ||
		       ipv4_is_lbcast(addr->ip);
	/* ::/96 but for ::1, of which fnat_addr_loopback() tells. */
	if (!addr->ip6[0] && !addr->ip6[1] && !addr->ip6[2])
		return addr->ip6[3] != htonl(1);
	type = ipv6_addr_type(&addr->in6);
	return type & (IPV6_ADDR_MULTICAST | IPV6_ADDR_LINKLOCAL |
		       IPV6_ADDR_MAPPED);
}

static inline bool fnat_addr_loopback(u16 af, const union nf_inet_addr *addr)
{
	if (af == AF_INET)
		return ipv4_is_loopback(addr->ip);
	return ipv6_addr_loopback(&addr->in6);
}

/* All of @addr in 32 bits, as upstream's schedulers fold it; network order. */
static inline __be32 fnat_addr_fold(u16 af, const union nf_inet_addr *addr)
{
	if (af == AF_INET)
		return addr->ip;
	return addr->ip6[0] ^ addr->ip6[1] ^ addr->ip6[2] ^ addr->ip6[3];
}

/*
 * The network of @addr by a service's netmask: a mask for IPv4, the length of
 * a prefix for IPv6, as the netlink ABI has them.
 */
static inline union nf_inet_addr
fnat_addr_network(u16 af, const union nf_inet_addr *addr, __be32 netmask)
{
	union nf_inet_addr net = {};

	if (af == AF_INET)
		net.ip = addr->ip & netmask;
	else
		ipv6_addr_prefix(&net.in6, &addr->in6, (__force u32)netmask);
	return net;
}

/*
 * Where @addr lies among all of its family, for ordering and for ranges; of
 * IPv6 the last 64 bits alone.
 */
static inline u64 fnat_addr_number(u16 af, const union nf_inet_addr *addr)
{
	if (af == AF_INET)
		return ntohl(addr->ip);
	return (u64)ntohl(addr->ip6[2]) << 32 | ntohl(addr->ip6[3]);
}

/* Whether that is all in which the two differ: always so for IPv4. */
static inline bool fnat_addr_same_block(u16 af, const union nf_inet_addr *a,
					const union nf_inet_addr *b)
{
	return af == AF_INET ||
	       (a->ip6[0] == b->ip6[0] && a->ip6[1] == b->ip6[1]);
}

/* The @i-th address after @first, within its block. */
static inline union nf_inet_addr
fnat_addr_nth(u16 af, const union nf_inet_addr *first, u32 i)
{
	union nf_inet_addr addr = *first;
	u64 n = fnat_addr_number(af, first) + i;

	if (af == AF_INET) {
		addr.ip = htonl(n);
	} else {
		addr.ip6[2] = htonl(n >> 32);
		addr.ip6[3] = htonl(n);
	}
	return addr;
}

/* In the order in which people sort them: below 0, 0, above 0. */
static inline int fnat_addr_cmp(u16 af, const union nf_inet_addr *a,
				const union nf_inet_addr *b)
{
	return memcmp(a, b, af == AF_INET ? sizeof(a->ip) : sizeof(a->in6));
}

/* Into @to, a struct sockaddr_in6 of room, as tracepoints keep it. */
void fnat_addr_sockaddr(void *to, u16 af, const union nf_inet_addr *addr,
			__be16 port);

/* Whether @addr is one of the host's own, in the VRF of @dev, or in none (NULL). RCU. */
bool fnat_addr_is_local(struct net *net, const struct net_device *dev, u16 af,
			const union nf_inet_addr *addr);

/* From where the host itself would speak to @daddr; all zero: it could not. */
union nf_inet_addr fnat_addr_towards(struct net *net, u16 af,
				     const union nf_inet_addr *daddr);

#endif /* FNAT_ADDR_H */
