// SPDX-License-Identifier: GPL-2.0
#include <net/sock.h>

#include "addr.h"
#include "laddr.h"
#include "lport.h"
#include "nl.h"

const struct nla_policy fnat_laddr_policy[FNAT_LADDR_ATTR_MAX + 1] = {
	[FNAT_LADDR_ATTR_ADDR]		= { .type = NLA_BINARY,
					    .len = FNAT_ADDR_LEN },
	[FNAT_LADDR_ATTR_ADDR_LAST]	= { .type = NLA_BINARY,
					    .len = FNAT_ADDR_LEN },
	[FNAT_LADDR_ATTR_AF]		= { .type = NLA_U16 },
};

/* How many @range is that ends with @last. */
static int measure(struct fnat_laddr_range *range,
		   const union nf_inet_addr *last, struct netlink_ext_ack *ea)
{
	u64 n = fnat_addr_number(range->af, last) -
		fnat_addr_number(range->af, &range->first);

	if (fnat_addr_cmp(range->af, last, &range->first) < 0 ||
	    !fnat_addr_same_block(range->af, last, &range->first) ||
	    n >= FNAT_LADDR_RANGE_MAX) {
		NL_SET_ERR_MSG(ea,
			       "A range runs up, over at most 4096 addresses, of one /64");
		return -EINVAL;
	}
	range->n = n + 1;
	return 0;
}

static int parse_range(const struct nlattr *attr,
		       struct fnat_laddr_range *range,
		       struct netlink_ext_ack *ea)
{
	struct nlattr *tb[FNAT_LADDR_ATTR_MAX + 1];
	union nf_inet_addr last;
	int err;

	if (!attr) {
		NL_SET_ERR_MSG(ea, "No local address is named");
		return -EINVAL;
	}
	err = nla_parse_nested(tb, FNAT_LADDR_ATTR_MAX, attr,
			       fnat_laddr_policy, ea);
	if (err)
		return err;
	range->af = AF_INET;
	if (tb[FNAT_LADDR_ATTR_AF])
		range->af = nla_get_u16(tb[FNAT_LADDR_ATTR_AF]);
	err = fnat_nl_family(range->af, ea) ?:
	      fnat_nl_addr(tb[FNAT_LADDR_ATTR_ADDR], range->af, &range->first,
			   ea);
	if (err)
		return err;
	last = range->first;
	if (tb[FNAT_LADDR_ATTR_ADDR_LAST])
		err = fnat_nl_addr(tb[FNAT_LADDR_ATTR_ADDR_LAST], range->af,
				   &last, ea);
	if (err)
		return err;
	return measure(range, &last, ea);
}

static int suits(const struct fnat_svc *svc,
		 const struct fnat_laddr_range *range,
		 struct netlink_ext_ack *ea)
{
	if (!svc || svc->key.af == range->af)
		return 0;
	NL_SET_ERR_MSG(ea, "A LIP is of its service's address family");
	return -EINVAL;
}

/* Adds or deletes, for the service that is named or for the pool. */
static int change(struct genl_info *info,
		  int (*how)(struct fnat_net *fn, struct fnat_svc *svc,
			     const struct fnat_laddr_range *range,
			     struct netlink_ext_ack *ea))
{
	const struct nlattr *attr = info->attrs[IPVS_CMD_ATTR_SERVICE];
	struct fnat_net *fn = fnat_nl_net(info);
	struct fnat_laddr_range range;
	struct fnat_svc *svc = NULL;
	int err;

	err = parse_range(info->attrs[FNAT_CMD_ATTR_LADDR], &range,
			  info->extack);
	if (err)
		return err;
	mutex_lock(&fn->cfg);
	if (attr)
		svc = fnat_nl_svc(fn, attr, info->extack);
	err = PTR_ERR_OR_ZERO(svc) ?: suits(svc, &range, info->extack) ?:
	      how(fn, svc, &range, info->extack);
	mutex_unlock(&fn->cfg);
	return err;
}

int fnat_nl_new_laddr(struct sk_buff *skb, struct genl_info *info)
{
	return change(info, fnat_laddr_add);
}

int fnat_nl_del_laddr(struct sk_buff *skb, struct genl_info *info)
{
	return change(info, fnat_laddr_del);
}

static int put_svc(struct sk_buff *msg, const struct fnat_svc *svc)
{
	struct nlattr *nest;

	if (!svc)
		return 0;
	nest = nla_nest_start(msg, IPVS_CMD_ATTR_SERVICE);
	if (!nest || fnat_nl_put_svc_key(msg, &svc->key))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

struct room {
	bool	known;
	u32	used;
	u32	left;
};

static void tightest(struct room *most, struct fnat_rs *rs,
		     const struct fnat_laddr *l)
{
	struct room r = {};

	r.known = rs && fnat_lport_room(rs, l, &r.used, &r.left);
	if (r.known && (!most->known || r.left < most->left))
		*most = r;
}

/* Of @l towards the real server of @svc (or of any) where least is left. */
static struct room room_of(const struct fnat_net *fn,
			   const struct fnat_svc *svc,
			   const struct fnat_laddr *l)
{
	const struct fnat_dests *set;
	struct room most = {};
	struct fnat_rs *rs;
	u32 i;

	if (!svc) {
		list_for_each_entry(rs, &fn->rs_list, list)
			tightest(&most, rs, l);
		return most;
	}
	set = rcu_dereference_protected(svc->dests, lockdep_is_held(&fn->cfg));
	for (i = 0; set && i < set->n; i++) {
		tightest(&most, set->v[i]->rs[0], l);
		tightest(&most, set->v[i]->rs[1], l);
	}
	return most;
}

static int put_room(struct sk_buff *msg, const struct room *r)
{
	if (!r->known)
		return 0;
	return nla_put_u32(msg, FNAT_LADDR_ATTR_PORTS_USED, r->used) ?:
	       nla_put_u32(msg, FNAT_LADDR_ATTR_PORTS_FREE, r->left);
}

static int put_laddr(struct sk_buff *msg, const struct fnat_net *fn,
		     const struct fnat_svc *svc, const struct fnat_laddr *l)
{
	struct nlattr *nest = nla_nest_start(msg, FNAT_CMD_ATTR_LADDR);
	struct room room = room_of(fn, svc, l);

	if (!nest ||
	    nla_put(msg, FNAT_LADDR_ATTR_ADDR, FNAT_ADDR_LEN, &l->addr) ||
	    nla_put_u16(msg, FNAT_LADDR_ATTR_AF, l->af) ||
	    nla_put_u64_64bit(msg, FNAT_LADDR_ATTR_PORT_CONFLICT,
			      atomic64_read(&l->conflicts),
			      FNAT_LADDR_ATTR_PAD) ||
	    nla_put_u32(msg, FNAT_LADDR_ATTR_CONN_COUNTS,
			atomic_read(&l->conns)) ||
	    put_room(msg, &room))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

/* Where a dump is: behind the last LIP that was sent; of the pool, IPv4 first. */
struct place {
	union nf_inet_addr	last;
	u16			af;	/* 0: nothing has been sent */
};

/* What is left of @set: 0, or -EMSGSIZE. */
static int put_set(struct sk_buff *msg, struct netlink_callback *cb,
		   const struct fnat_net *fn, const struct fnat_svc *svc,
		   const struct fnat_laddrs *set)
{
	struct place *at = (struct place *)cb->ctx;
	void *hdr;
	u32 i = 0;

	if (set && set->n && at->af == set->v[0]->af)
		i = fnat_laddrs_after(set, at->af, &at->last);
	for (; set && i < set->n; i++) {
		hdr = fnat_nl_dump_start(msg, cb, FNAT_CMD_GET_LADDR);
		if (!hdr)
			return -EMSGSIZE;
		if (put_svc(msg, svc) ||
		    put_laddr(msg, fn, svc, set->v[i])) {
			genlmsg_cancel(msg, hdr);
			return -EMSGSIZE;
		}
		genlmsg_end(msg, hdr);
		at->last = set->v[i]->addr;
		at->af = set->v[i]->af;
	}
	return 0;
}

static int put_pool(struct sk_buff *msg, struct netlink_callback *cb,
		    const struct fnat_net *fn)
{
	const struct place *at = (const struct place *)cb->ctx;
	int err = 0;
	int i;

	for (i = at->af == AF_INET6; i < ARRAY_SIZE(fn->pool) && !err; i++)
		err = put_set(msg, cb, fn, NULL,
			      rcu_dereference_protected(fn->pool[i],
							lockdep_is_held(&fn->cfg)));
	return err;
}

int fnat_nl_dump_laddr(struct sk_buff *msg, struct netlink_callback *cb)
{
	const struct nlattr *attr = fnat_genl_dump_attrs(cb)[IPVS_CMD_ATTR_SERVICE];
	struct fnat_net *fn = fnat_net(sock_net(msg->sk));
	struct fnat_svc *svc = NULL;
	int err;

	mutex_lock(&fn->cfg);
	if (attr)
		svc = fnat_nl_svc(fn, attr, cb->extack);
	err = PTR_ERR_OR_ZERO(svc);
	if (!err) {
		if (svc)
			put_set(msg, cb, fn, svc,
				rcu_dereference_protected(svc->laddrs,
							  lockdep_is_held(&fn->cfg)));
		else
			put_pool(msg, cb, fn);
		err = msg->len;
	}
	mutex_unlock(&fn->cfg);
	return err;
}
