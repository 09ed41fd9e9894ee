// SPDX-License-Identifier: GPL-2.0
#include <net/sock.h>

#include "addr.h"
#include "laddr.h"
#include "nl.h"
#include "pkt.h"

const struct nla_policy fnat_dest_policy[IPVS_DEST_ATTR_MAX + 1] = {
	[IPVS_DEST_ATTR_ADDR]		= { .type = NLA_BINARY,
					    .len = FNAT_ADDR_LEN },
	[IPVS_DEST_ATTR_PORT]		= { .type = NLA_U16 },
	[IPVS_DEST_ATTR_FWD_METHOD]	= { .type = NLA_U32 },
	[IPVS_DEST_ATTR_WEIGHT]		= { .type = NLA_U32 },
	[IPVS_DEST_ATTR_U_THRESH]	= { .type = NLA_U32 },
	[IPVS_DEST_ATTR_L_THRESH]	= { .type = NLA_U32 },
	[IPVS_DEST_ATTR_ACTIVE_CONNS]	= { .type = NLA_U32 },
	[IPVS_DEST_ATTR_INACT_CONNS]	= { .type = NLA_U32 },
	[IPVS_DEST_ATTR_PERSIST_CONNS]	= { .type = NLA_U32 },
	[IPVS_DEST_ATTR_STATS]		= { .type = NLA_NESTED },
	[IPVS_DEST_ATTR_ADDR_FAMILY]	= { .type = NLA_U16 },
	[IPVS_DEST_ATTR_TUN_TYPE]	= { .type = NLA_U8 },
	[IPVS_DEST_ATTR_TUN_PORT]	= { .type = NLA_U16 },
	[IPVS_DEST_ATTR_TUN_FLAGS]	= { .type = NLA_U16 },
};

/* A dest command, read. */
struct request {
	struct fnat_svc		*svc;		/* borrowed, fn->cfg held */
	union nf_inet_addr	addr;
	__be16			port;
	struct nlattr		*tb[IPVS_DEST_ATTR_MAX + 1];
};

/*
 * Of the service's nest only the key counts: keepalived fills the rest with
 * anything.
 */
static int parse_key(struct fnat_net *fn, struct genl_info *info,
		     struct request *req)
{
	struct netlink_ext_ack *ea = info->extack;
	const struct nlattr *family;
	int err;

	req->svc = fnat_nl_svc(fn, info->attrs[IPVS_CMD_ATTR_SERVICE], ea);
	if (IS_ERR(req->svc))
		return PTR_ERR(req->svc);
	if (!info->attrs[IPVS_CMD_ATTR_DEST]) {
		NL_SET_ERR_MSG(ea, "No real server is named");
		return -EINVAL;
	}
	err = nla_parse_nested_deprecated(req->tb, IPVS_DEST_ATTR_MAX,
					  info->attrs[IPVS_CMD_ATTR_DEST],
					  fnat_dest_policy, ea);
	if (err)
		return err;
	family = req->tb[IPVS_DEST_ATTR_ADDR_FAMILY];
	if (family && nla_get_u16(family) &&
	    nla_get_u16(family) != req->svc->key.af) {
		NL_SET_ERR_MSG(ea,
			       "A real server is of its service's address family");
		return -EINVAL;
	}
	if (!req->tb[IPVS_DEST_ATTR_PORT]) {
		NL_SET_ERR_MSG(ea, "A real server needs address and port");
		return -EINVAL;
	}
	/* Port 0 stands for the service's own; if that has none, the client's. */
	req->port = nla_get_be16(req->tb[IPVS_DEST_ATTR_PORT]) ?:
		    req->svc->key.port;
	return fnat_nl_addr(req->tb[IPVS_DEST_ATTR_ADDR], req->svc->key.af,
			    &req->addr, ea);
}

/*
 * The forwarding method that is meant. Stock tools know FULLNAT as Masq: that
 * word leaves a dest (@old, if any) of either what it is, and means FULLNAT for
 * others where the operator has said so.
 */
static int parse_method(const struct fnat_net *fn, u32 method,
			const struct fnat_dest *old, u32 *meant,
			struct netlink_ext_ack *ea)
{
	*meant = method & IP_VS_CONN_F_FWD_MASK;
	switch (*meant) {
	case IP_VS_CONN_F_FULLNAT:
	case IP_VS_CONN_F_DROUTE:
		return 0;
	case IP_VS_CONN_F_MASQ:
		if (old && old->opts.fwd_method != IP_VS_CONN_F_DROUTE)
			*meant = old->opts.fwd_method;
		else if (READ_ONCE(fn->tune.masq_is_fullnat))
			*meant = IP_VS_CONN_F_FULLNAT;
		return 0;
	case IP_VS_CONN_F_TUNNEL:
		NL_SET_ERR_MSG(ea,
			       "Tunnel is not available yet: use FULLNAT (-b), Masq (-m) or Route (-g)");
		return -EOPNOTSUPP;
	default:
		NL_SET_ERR_MSG(ea,
			       "No such forwarding method: use FULLNAT (-b), Masq (-m) or Route (-g)");
		return -EOPNOTSUPP;
	}
}

/* With Route the server gets packets as they are, ports included. */
static int check_port(const struct request *req, u32 fwd_method,
		      struct netlink_ext_ack *ea)
{
	if (fwd_method != IP_VS_CONN_F_DROUTE || req->svc->key.fwmark ||
	    req->port == req->svc->key.port)
		return 0;
	NL_SET_ERR_MSG(ea,
		       "With Route (-g) a real server is asked on its service's own port");
	return -EINVAL;
}

static int parse_opts(const struct fnat_net *fn, const struct request *req,
		      struct fnat_dest_opts *opts, struct netlink_ext_ack *ea)
{
	struct nlattr * const *tb = req->tb;
	int err;

	if (!tb[IPVS_DEST_ATTR_FWD_METHOD] || !tb[IPVS_DEST_ATTR_WEIGHT] ||
	    !tb[IPVS_DEST_ATTR_U_THRESH] || !tb[IPVS_DEST_ATTR_L_THRESH]) {
		NL_SET_ERR_MSG(ea,
			       "A real server needs method, weight and both thresholds");
		return -EINVAL;
	}
	opts->weight = nla_get_u32(tb[IPVS_DEST_ATTR_WEIGHT]);
	opts->u_thresh = nla_get_u32(tb[IPVS_DEST_ATTR_U_THRESH]);
	opts->l_thresh = nla_get_u32(tb[IPVS_DEST_ATTR_L_THRESH]);
	err = parse_method(fn, nla_get_u32(tb[IPVS_DEST_ATTR_FWD_METHOD]),
			   fnat_dest_find(req->svc, &req->addr, req->port),
			   &opts->fwd_method, ea);
	return err ?: check_port(req, opts->fwd_method, ea);
}

/*
 * A VIP or a LIP as its own server would send packets round in circles. A LIP that
 * the host itself may take towards it, as IPv6 chooses by itself, can be told
 * from where it was added, but not refused: the server is needed.
 */
static int check_addr(struct fnat_net *fn, const struct request *req,
		      struct netlink_ext_ack *ea)
{
	u16 af = req->svc->key.af;
	union nf_inet_addr source;
	bool ours, shared;

	fnat_laddr_reap(fn);
	if (fnat_addr_unusable(af, &req->addr)) {
		NL_SET_ERR_MSG(ea, "A real server has a unicast address, not link-local");
		return -EINVAL;
	}
	rcu_read_lock();
	ours = fnat_addrset_has_any(&fn->addrs, af, &req->addr);
	source = fnat_addr_towards(fn->net, af, &req->addr);
	shared = fnat_addrset_has(&fn->addrs, FNAT_ADDR_LIP, af, &source);
	rcu_read_unlock();
	if (ours) {
		NL_SET_ERR_MSG(ea,
			       "This is a VIP or a LIP, not a real server's address");
		return -EINVAL;
	}
	if (shared)
		NL_SET_ERR_MSG(ea,
			       "The host speaks to this real server from a LIP: its own connections may be taken for clients'");
	return 0;
}

/* Adds (@fresh) or edits the dest that @info tells of. */
static int change(struct genl_info *info, bool fresh)
{
	struct netlink_ext_ack *ea = info->extack;
	struct fnat_net *fn = fnat_nl_net(info);
	struct fnat_dest_opts opts;
	struct request req;
	int err;

	mutex_lock(&fn->cfg);
	err = parse_key(fn, info, &req) ?: parse_opts(fn, &req, &opts, ea);
	if (!err && fresh)
		err = check_addr(fn, &req, ea) ?:
		      fnat_dest_add(req.svc, &req.addr, req.port, &opts, ea);
	else if (!err)
		err = fnat_dest_edit(req.svc, &req.addr, req.port, &opts, ea);
	mutex_unlock(&fn->cfg);
	return err;
}

int fnat_nl_new_dest(struct sk_buff *skb, struct genl_info *info)
{
	return change(info, true);
}

int fnat_nl_set_dest(struct sk_buff *skb, struct genl_info *info)
{
	return change(info, false);
}

int fnat_nl_del_dest(struct sk_buff *skb, struct genl_info *info)
{
	struct fnat_net *fn = fnat_nl_net(info);
	struct request req;
	int err;

	mutex_lock(&fn->cfg);
	err = parse_key(fn, info, &req) ?:
	      fnat_dest_del(req.svc, &req.addr, req.port);
	mutex_unlock(&fn->cfg);
	return err;
}

/* The nearest word that every tool knows. */
static u32 stock_method(const struct fnat_dest_opts *o)
{
	return o->fwd_method == IP_VS_CONN_F_FULLNAT ? IP_VS_CONN_F_MASQ :
						       o->fwd_method;
}

static int put_dest(struct sk_buff *msg, const struct fnat_dest *d)
{
	struct nlattr *nest = nla_nest_start_noflag(msg, IPVS_CMD_ATTR_DEST);
	const struct fnat_dest_opts *o = &d->opts;

	if (!nest ||
	    nla_put(msg, IPVS_DEST_ATTR_ADDR, FNAT_ADDR_LEN, &d->addr) ||
	    nla_put_be16(msg, IPVS_DEST_ATTR_PORT, d->port) ||
	    nla_put_u32(msg, IPVS_DEST_ATTR_FWD_METHOD, stock_method(o)) ||
	    nla_put_u32(msg, IPVS_DEST_ATTR_WEIGHT, o->weight) ||
	    nla_put_u32(msg, IPVS_DEST_ATTR_U_THRESH, o->u_thresh) ||
	    nla_put_u32(msg, IPVS_DEST_ATTR_L_THRESH, o->l_thresh) ||
	    nla_put_u32(msg, IPVS_DEST_ATTR_ACTIVE_CONNS,
			atomic_read(&d->active)) ||
	    nla_put_u32(msg, IPVS_DEST_ATTR_INACT_CONNS,
			atomic_read(&d->inactive)) ||
	    nla_put_u32(msg, IPVS_DEST_ATTR_PERSIST_CONNS,
			atomic_read(&d->persistent)) ||
	    nla_put_u16(msg, IPVS_DEST_ATTR_ADDR_FAMILY, d->svc->key.af) ||
	    nla_put_u32(msg, FNAT_DEST_ATTR_FWD_METHOD, o->fwd_method) ||
	    fnat_nl_put_stats(msg, &d->stats, IPVS_DEST_ATTR_STATS,
			      IPVS_DEST_ATTR_STATS64))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

/* The first in @set, or its end, that came after the dest of number @id. */
static u32 first_after(const struct fnat_dests *set, u64 id)
{
	u32 lo = 0, hi = set ? set->n : 0;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;

		if (set->v[mid]->id <= id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/*
 * cb->args[0]: the number of the last dest that was sent. A service that is not there has
 * none: tools expect an empty list then.
 */
int fnat_nl_dump_dest(struct sk_buff *msg, struct netlink_callback *cb)
{
	struct fnat_net *fn = fnat_net(sock_net(msg->sk));
	struct nlattr *attrs[FNAT_CMD_ATTR_MAX + 1];
	const struct fnat_dests *set;
	struct fnat_svc *svc;
	void *hdr;
	u32 i;

	if (nlmsg_parse_deprecated(cb->nlh, GENL_HDRLEN, attrs,
				   FNAT_CMD_ATTR_MAX, fnat_genl_family.policy,
				   cb->extack))
		return 0;
	mutex_lock(&fn->cfg);
	svc = fnat_nl_svc(fn, attrs[IPVS_CMD_ATTR_SERVICE], cb->extack);
	if (IS_ERR(svc))
		goto unlock;
	set = rcu_dereference_protected(svc->dests, lockdep_is_held(&fn->cfg));
	for (i = first_after(set, cb->args[0]); set && i < set->n; i++) {
		hdr = fnat_nl_dump_start(msg, cb, IPVS_CMD_NEW_DEST);
		if (!hdr)
			break;
		if (put_dest(msg, set->v[i])) {
			genlmsg_cancel(msg, hdr);
			break;
		}
		genlmsg_end(msg, hdr);
		cb->args[0] = set->v[i]->id;
	}
unlock:
	mutex_unlock(&fn->cfg);
	return msg->len;
}
