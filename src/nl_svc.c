// SPDX-License-Identifier: GPL-2.0
#include <linux/in.h>
#include <net/sock.h>

#include "addr.h"
#include "nl.h"
#include "pkt.h"
#include "sched.h"

const struct nla_policy fnat_svc_policy[FNAT_SVC_ATTR_MAX + 1] = {
	[IPVS_SVC_ATTR_AF]		= { .type = NLA_U16 },
	[IPVS_SVC_ATTR_PROTOCOL]	= { .type = NLA_U16 },
	[IPVS_SVC_ATTR_ADDR]		= { .type = NLA_BINARY,
					    .len = FNAT_ADDR_LEN },
	[IPVS_SVC_ATTR_PORT]		= { .type = NLA_U16 },
	[IPVS_SVC_ATTR_FWMARK]		= { .type = NLA_U32 },
	[IPVS_SVC_ATTR_SCHED_NAME]	= { .type = NLA_NUL_STRING,
					    .len = IP_VS_SCHEDNAME_MAXLEN - 1 },
	[IPVS_SVC_ATTR_PE_NAME]		= { .type = NLA_NUL_STRING,
					    .len = IP_VS_PENAME_MAXLEN },
	[IPVS_SVC_ATTR_FLAGS]		= { .type = NLA_BINARY,
					    .len = sizeof(struct ip_vs_flags) },
	[IPVS_SVC_ATTR_TIMEOUT]		= { .type = NLA_U32 },
	[IPVS_SVC_ATTR_NETMASK]		= { .type = NLA_U32 },
	[IPVS_SVC_ATTR_STATS]		= { .type = NLA_NESTED },
	[FNAT_SVC_ATTR_SYNPROXY]	= { .type = NLA_U32 },
	[FNAT_SVC_ATTR_EST_TIMEOUT]	= { .type = NLA_U32 },
	[FNAT_SVC_ATTR_SYNPROXY_OFFER]	= { .type = NLA_NESTED },
};

int fnat_nl_addr(const struct nlattr *attr, u16 af, union nf_inet_addr *addr,
		 struct netlink_ext_ack *ea)
{
	if (!attr || nla_len(attr) < (int)(af == AF_INET ? sizeof(addr->ip) :
							   sizeof(addr->in6))) {
		NL_SET_ERR_MSG_ATTR(ea, attr, "An address is missing or too short");
		return -EINVAL;
	}
	memset(addr, 0, sizeof(*addr));
	if (af == AF_INET)
		addr->ip = nla_get_in_addr(attr);
	else
		nla_memcpy(addr, attr, sizeof(*addr));
	return 0;
}

int fnat_nl_family(u16 af, struct netlink_ext_ack *ea)
{
	if (af == AF_INET || (af == AF_INET6 && ipv6_mod_enabled()))
		return 0;
	if (af == AF_INET6)
		NL_SET_ERR_MSG(ea,
			       "IPv6 is disabled on this host (ipv6.disable=1)");
	else
		NL_SET_ERR_MSG(ea, "The families are IPv4 (2) and IPv6 (10)");
	return -EAFNOSUPPORT;
}

/* What this module cannot do yet must not look as if it were done. */
static int parse_address(struct nlattr **tb, struct fnat_svc_key *key,
			 struct netlink_ext_ack *ea)
{
	if (!tb[IPVS_SVC_ATTR_PROTOCOL] || !tb[IPVS_SVC_ATTR_PORT]) {
		NL_SET_ERR_MSG(ea,
			       "A service needs family, protocol, address and port, or a mark");
		return -EINVAL;
	}
	key->proto = nla_get_u16(tb[IPVS_SVC_ATTR_PROTOCOL]);
	key->port = nla_get_be16(tb[IPVS_SVC_ATTR_PORT]);
	if (key->proto != IPPROTO_TCP && key->proto != IPPROTO_UDP) {
		NL_SET_ERR_MSG(ea, "Only TCP and UDP services are supported");
		return -EOPNOTSUPP;
	}
	return fnat_nl_addr(tb[IPVS_SVC_ATTR_ADDR], key->af, &key->addr, ea);
}

int fnat_nl_svc_key(const struct nlattr *attr, struct fnat_svc_key *key,
		    struct nlattr **tb, struct netlink_ext_ack *ea)
{
	int err;

	if (!attr) {
		NL_SET_ERR_MSG(ea, "No service is named");
		return -EINVAL;
	}
	err = nla_parse_nested_deprecated(tb, FNAT_SVC_ATTR_MAX, attr,
					  fnat_svc_policy, ea);
	if (err)
		return err;
	memset(key, 0, sizeof(*key));
	if (!tb[IPVS_SVC_ATTR_AF]) {
		NL_SET_ERR_MSG(ea, "A service needs an address family");
		return -EINVAL;
	}
	key->af = nla_get_u16(tb[IPVS_SVC_ATTR_AF]);
	err = fnat_nl_family(key->af, ea);
	if (err)
		return err;
	if (!tb[IPVS_SVC_ATTR_FWMARK])
		return parse_address(tb, key, ea);
	key->fwmark = nla_get_u32(tb[IPVS_SVC_ATTR_FWMARK]);
	if (!key->fwmark) {
		NL_SET_ERR_MSG(ea, "A firewall mark is above 0");
		return -EINVAL;
	}
	return 0;
}

struct fnat_svc *fnat_nl_svc(struct fnat_net *fn, const struct nlattr *attr,
			     struct netlink_ext_ack *ea)
{
	struct nlattr *tb[FNAT_SVC_ATTR_MAX + 1];
	struct fnat_svc_key key;
	struct fnat_svc *svc;
	int err;

	err = fnat_nl_svc_key(attr, &key, tb, ea);
	if (err)
		return ERR_PTR(err);
	svc = fnat_svc_find(fn, &key);
	return svc ?: ERR_PTR(-ESRCH);
}

#define TIMEOUT_MAX	2147483		/* s; as upstream's of connections */

/* Changes in @flags what the request's mask says; both tools send mask ~0. */
static int parse_flags(const struct nlattr *attr, u32 *flags,
		       struct netlink_ext_ack *ea)
{
	struct ip_vs_flags wanted;

	if (nla_len(attr) < (int)sizeof(wanted)) {
		NL_SET_ERR_MSG_ATTR(ea, attr, "Service flags are too short");
		return -EINVAL;
	}
	nla_memcpy(&wanted, attr, sizeof(wanted));
	*flags = ((*flags & ~wanted.mask) | (wanted.flags & wanted.mask)) &
		 FNAT_SVC_FLAGS;
	return 0;
}

static int check_flags(const struct fnat_svc_key *key,
		       const struct fnat_svc_opts *opts,
		       struct netlink_ext_ack *ea)
{
	if (opts->flags & IP_VS_SVC_F_ONEPACKET && key->proto == IPPROTO_TCP) {
		NL_SET_ERR_MSG(ea, "One-packet scheduling is for UDP");
		return -EINVAL;
	}
	if (!(opts->flags & IP_VS_SVC_F_PERSISTENT)) {
		if (!key->fwmark && !key->port) {
			NL_SET_ERR_MSG(ea,
				       "A service for all ports is a persistent one (-p)");
			return -EINVAL;
		}
		return 0;
	}
	if (!opts->timeout || opts->timeout > TIMEOUT_MAX) {
		NL_SET_ERR_MSG(ea, "Persistence lasts 1 to 2147483 seconds");
		return -EINVAL;
	}
	return 0;
}

/* What stock tools do not know stays as it is unless the request has it. */
static int parse_ours(const struct fnat_svc_key *key, struct nlattr **tb,
		      struct fnat_svc_opts *opts, struct netlink_ext_ack *ea)
{
	const struct nlattr *est = tb[FNAT_SVC_ATTR_EST_TIMEOUT];
	int err = fnat_nl_parse_synproxy(key, tb, opts, ea);

	if (err)
		return err;
	if (!est)
		return 0;
	if (nla_get_u32(est) > TIMEOUT_MAX) {
		NL_SET_ERR_MSG(ea,
			       "An established timeout is 0 (as --set says) to 2147483 seconds");
		return -EINVAL;
	}
	opts->est_timeout = nla_get_u32(est);
	return 0;
}

/*
 * A service command that tells all: reads into @opts, which holds what the
 * service is like so far, what it is to be like.
 */
static int parse_opts(const struct fnat_svc_key *key, struct nlattr **tb,
		      struct fnat_svc_opts *opts, struct netlink_ext_ack *ea)
{
	int err;

	if (!tb[IPVS_SVC_ATTR_SCHED_NAME] || !tb[IPVS_SVC_ATTR_FLAGS] ||
	    !tb[IPVS_SVC_ATTR_TIMEOUT] || !tb[IPVS_SVC_ATTR_NETMASK]) {
		NL_SET_ERR_MSG(ea, "A service needs scheduler, flags, timeout and netmask");
		return -EINVAL;
	}
	opts->timeout = nla_get_u32(tb[IPVS_SVC_ATTR_TIMEOUT]);
	opts->netmask = nla_get_be32(tb[IPVS_SVC_ATTR_NETMASK]);
	err = parse_flags(tb[IPVS_SVC_ATTR_FLAGS], &opts->flags, ea) ?:
	      check_flags(key, opts, ea) ?: parse_ours(key, tb, opts, ea);
	if (err)
		return err;
	if (key->af == AF_INET6 &&
	    (!opts->netmask || (__force u32)opts->netmask > 128)) {
		NL_SET_ERR_MSG(ea, "The netmask of an IPv6 service is a prefix length, 1 to 128");
		return -EINVAL;
	}
	if (tb[IPVS_SVC_ATTR_PE_NAME] &&
	    nla_len(tb[IPVS_SVC_ATTR_PE_NAME]) > 1) {
		NL_SET_ERR_MSG(ea, "Persistence engines are not supported");
		return -EOPNOTSUPP;
	}
	opts->sched = fnat_sched_find(nla_data(tb[IPVS_SVC_ATTR_SCHED_NAME]));
	if (!opts->sched) {
		NL_SET_ERR_MSG(ea,
			       "No such scheduler; there are rr wrr lc wlc lblc lblcr dh sh mh sed nq fo ovf twos");
		return -ENOENT;
	}
	return 0;
}

int fnat_nl_new_svc(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *tb[FNAT_SVC_ATTR_MAX + 1];
	struct fnat_net *fn = fnat_nl_net(info);
	struct fnat_svc_opts opts = {};
	struct fnat_svc_key key;
	int err;

	err = fnat_nl_svc_key(info->attrs[IPVS_CMD_ATTR_SERVICE], &key, tb,
			      info->extack) ?:
	      parse_opts(&key, tb, &opts, info->extack);
	if (err)
		return err;
	if (!key.fwmark && fnat_addr_unusable(key.af, &key.addr)) {
		NL_SET_ERR_MSG(info->extack,
			       "A VIP must be a unicast address, and not link-local");
		return -EINVAL;
	}
	mutex_lock(&fn->cfg);
	err = fnat_svc_add(fn, &key, &opts, info->extack);
	mutex_unlock(&fn->cfg);
	return err;
}

/* Whether the dests of @svc leave it the choice of @opts. Caller holds fn->cfg. */
static int check_dests(const struct fnat_svc *svc,
		       const struct fnat_svc_opts *opts,
		       struct netlink_ext_ack *ea)
{
	if (!opts->synproxy || !fnat_dest_has_route(svc))
		return 0;
	NL_SET_ERR_MSG(ea,
		       "The SYN proxy needs servers' answers, which Route (-g) does not bring: the service has such a server");
	return -EINVAL;
}

int fnat_nl_set_svc(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *tb[FNAT_SVC_ATTR_MAX + 1];
	struct fnat_net *fn = fnat_nl_net(info);
	struct fnat_svc_opts opts;
	struct fnat_svc_key key;
	struct fnat_svc *svc;
	int err;

	err = fnat_nl_svc_key(info->attrs[IPVS_CMD_ATTR_SERVICE], &key, tb,
			      info->extack);
	if (err)
		return err;
	mutex_lock(&fn->cfg);
	svc = fnat_svc_find(fn, &key);
	err = -ESRCH;
	if (svc) {
		opts = svc->opts;
		err = parse_opts(&key, tb, &opts, info->extack) ?:
		      check_dests(svc, &opts, info->extack) ?:
		      fnat_svc_edit(svc, &opts);
	}
	mutex_unlock(&fn->cfg);
	return err;
}

int fnat_nl_del_svc(struct sk_buff *skb, struct genl_info *info)
{
	struct fnat_net *fn = fnat_nl_net(info);
	struct fnat_svc *svc;

	mutex_lock(&fn->cfg);
	svc = fnat_nl_svc(fn, info->attrs[IPVS_CMD_ATTR_SERVICE],
			  info->extack);
	if (!IS_ERR(svc))
		fnat_svc_del(svc);
	mutex_unlock(&fn->cfg);
	return PTR_ERR_OR_ZERO(svc);
}

int fnat_nl_flush(struct sk_buff *skb, struct genl_info *info)
{
	struct fnat_net *fn = fnat_nl_net(info);

	mutex_lock(&fn->cfg);
	fnat_svc_flush(fn);
	mutex_unlock(&fn->cfg);
	return 0;
}

static void zero_svc(struct fnat_svc *svc)
{
	struct fnat_dests *set;
	u32 i;

	set = rcu_dereference_protected(svc->dests,
					lockdep_is_held(&svc->fn->cfg));
	for (i = 0; set && i < set->n; i++)
		fnat_stats_zero(&set->v[i]->stats);
	fnat_stats_zero(&svc->stats);
	fnat_guard_zero(&svc->guard);
}

int fnat_nl_zero(struct sk_buff *skb, struct genl_info *info)
{
	const struct nlattr *attr = info->attrs[IPVS_CMD_ATTR_SERVICE];
	struct fnat_net *fn = fnat_nl_net(info);
	struct fnat_svc *svc;
	unsigned long id;
	int err = 0;

	mutex_lock(&fn->cfg);
	if (attr) {
		svc = fnat_nl_svc(fn, attr, info->extack);
		err = PTR_ERR_OR_ZERO(svc);
		if (!err)
			zero_svc(svc);
	} else {
		xa_for_each(&fn->svcs, id, svc)
			zero_svc(svc);
		fnat_stats_zero(&fn->total);
	}
	mutex_unlock(&fn->cfg);
	return err;
}

int fnat_nl_put_svc_key(struct sk_buff *msg, const struct fnat_svc_key *key)
{
	if (nla_put_u16(msg, IPVS_SVC_ATTR_AF, key->af))
		return -EMSGSIZE;
	if (key->fwmark)
		return nla_put_u32(msg, IPVS_SVC_ATTR_FWMARK, key->fwmark);
	if (nla_put_u16(msg, IPVS_SVC_ATTR_PROTOCOL, key->proto) ||
	    nla_put(msg, IPVS_SVC_ATTR_ADDR, FNAT_ADDR_LEN, &key->addr) ||
	    nla_put_be16(msg, IPVS_SVC_ATTR_PORT, key->port))
		return -EMSGSIZE;
	return 0;
}

int fnat_nl_put_svc(struct sk_buff *msg, const struct fnat_svc *svc)
{
	const struct ip_vs_flags flags = {
		.flags	= IP_VS_SVC_F_HASHED | svc->opts.flags,
		.mask	= ~0,
	};
	struct nlattr *nest = nla_nest_start_noflag(msg, IPVS_CMD_ATTR_SERVICE);

	if (!nest || fnat_nl_put_svc_key(msg, &svc->key) ||
	    nla_put_string(msg, IPVS_SVC_ATTR_SCHED_NAME, svc->opts.sched->name) ||
	    nla_put(msg, IPVS_SVC_ATTR_FLAGS, sizeof(flags), &flags) ||
	    nla_put_u32(msg, IPVS_SVC_ATTR_TIMEOUT, svc->opts.timeout) ||
	    nla_put_be32(msg, IPVS_SVC_ATTR_NETMASK, svc->opts.netmask) ||
	    nla_put_u32(msg, FNAT_SVC_ATTR_EST_TIMEOUT,
			svc->opts.est_timeout) ||
	    fnat_nl_put_synproxy(msg, svc) ||
	    fnat_nl_put_stats(msg, &svc->stats, IPVS_SVC_ATTR_STATS,
			      IPVS_SVC_ATTR_STATS64))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

int fnat_nl_get_svc(struct sk_buff *skb, struct genl_info *info)
{
	struct sk_buff *msg = nlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
	struct fnat_net *fn = fnat_nl_net(info);
	struct fnat_svc *svc;
	int err = -EMSGSIZE;
	void *hdr;

	if (!msg)
		return -ENOMEM;
	mutex_lock(&fn->cfg);
	svc = fnat_nl_svc(fn, info->attrs[IPVS_CMD_ATTR_SERVICE],
			  info->extack);
	if (IS_ERR(svc)) {
		err = PTR_ERR(svc);
		goto free_msg;
	}
	hdr = genlmsg_put_reply(msg, info, &fnat_genl_family, 0,
				IPVS_CMD_NEW_SERVICE);
	if (!hdr || fnat_nl_put_svc(msg, svc))
		goto free_msg;
	genlmsg_end(msg, hdr);
	mutex_unlock(&fn->cfg);
	return genlmsg_reply(msg, info);

free_msg:
	mutex_unlock(&fn->cfg);
	nlmsg_free(msg);
	return err;
}

/* cb->args[0]: the id to go on at. */
int fnat_nl_dump_svc(struct sk_buff *msg, struct netlink_callback *cb)
{
	struct fnat_net *fn = fnat_net(sock_net(msg->sk));
	struct fnat_svc *svc;
	unsigned long id;
	void *hdr;

	mutex_lock(&fn->cfg);
	xa_for_each_start(&fn->svcs, id, svc, cb->args[0]) {
		hdr = fnat_nl_dump_start(msg, cb, IPVS_CMD_NEW_SERVICE);
		if (!hdr)
			break;
		if (fnat_nl_put_svc(msg, svc)) {
			genlmsg_cancel(msg, hdr);
			break;
		}
		genlmsg_end(msg, hdr);
		cb->args[0] = id + 1;
	}
	mutex_unlock(&fn->cfg);
	return msg->len;
}
