/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A set of addresses, each of one kind, with a count of who uses it: those that
 * are ours, VIPs and LIPs, and those of servers that answer as themselves. A
 * bitmap in front tells most foreign packets apart with one load.
 */
#ifndef FNAT_ADDRSET_H
#define FNAT_ADDRSET_H

#include <linux/bitmap.h>
#include <linux/hash.h>
#include <linux/netfilter.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <net/ipv6.h>

#define FNAT_ADDRSET_BITS	14	/* of the bitmap: 2 KiB, an L1 guest */
#define FNAT_ADDRSET_TAB_BITS	10

enum fnat_addr_kind {
	FNAT_ADDR_VIP,
	FNAT_ADDR_LIP,
	FNAT_ADDR_SERVER,
};

struct fnat_addrset {
	unsigned long		*maybe;		/* by hash; RCU readers */
	u16			*users;		/* of each bit; under @lock */
	struct hlist_head	*tab;		/* exact; RCU readers */
	/* Serialises writers, who may be in softirq. */
	spinlock_t		lock;
};

int fnat_addrset_init(struct fnat_addrset *s);	/* 0 or -ENOMEM */
void fnat_addrset_exit(struct fnat_addrset *s);	/* no reader may be left */

/*
 * One more user of @addr as a @kind. -EBUSY if it is of the other kind: were
 * an address both, a client's packets could look like a server's. -ENOMEM.
 */
int fnat_addrset_add(struct fnat_addrset *s, enum fnat_addr_kind kind, u16 af,
		     const union nf_inet_addr *addr);

/* One user less; @addr must have been added. Any context. */
void fnat_addrset_del(struct fnat_addrset *s, enum fnat_addr_kind kind, u16 af,
		      const union nf_inet_addr *addr);

/* Whether @addr is in it: as a @kind, or as any. RCU. */
bool fnat_addrset_has(const struct fnat_addrset *s, enum fnat_addr_kind kind,
		      u16 af, const union nf_inet_addr *addr);
bool fnat_addrset_has_any(const struct fnat_addrset *s, u16 af,
			  const union nf_inet_addr *addr);

/* False only if the IPv4 address @addr is certainly not in it. */
static inline bool fnat_addrset_maybe4(const struct fnat_addrset *s,
				       __be32 addr)
{
	return test_bit(hash_32((__force u32)addr, FNAT_ADDRSET_BITS),
			s->maybe);
}

/* The same of an IPv6 address. */
static inline bool fnat_addrset_maybe6(const struct fnat_addrset *s,
				       const struct in6_addr *addr)
{
	return test_bit(hash_32(ipv6_addr_hash(addr), FNAT_ADDRSET_BITS),
			s->maybe);
}

/* The same of either family. */
static __always_inline bool fnat_addrset_maybe(const struct fnat_addrset *s,
					       u16 af,
					       const union nf_inet_addr *addr)
{
	return af == AF_INET ? fnat_addrset_maybe4(s, addr->ip) :
			       fnat_addrset_maybe6(s, &addr->in6);
}

#endif /* FNAT_ADDRSET_H */
