// SPDX-License-Identifier: GPL-2.0
#include <linux/in.h>
#include <net/sock.h>

#include "nl.h"
#include "pkt.h"
#include "sched.h"

const struct nla_policy fnat_svc_policy[IPVS_SVC_ATTR_MAX + 1] = {
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
};

int fnat_nl_addr(const struct nlattr *attr, u16 af, union nf_inet_addr *addr,
		 struct netlink_ext_ack *ea)
{
	if (!attr || nla_len(attr) < (int)sizeof(addr->ip)) {
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

/* What this module cannot do yet must not look as if it were done. */
static int check_key(const struct fnat_svc_key *key, struct netlink_ext_ack *ea)
{
	if (key->af != AF_INET) {
		NL_SET_ERR_MSG(ea, "Only IPv4 services are supported");
		return -EAFNOSUPPORT;
	}
	if (key->proto != IPPROTO_TCP && key->proto != IPPROTO_UDP) {
		NL_SET_ERR_MSG(ea, "Only TCP and UDP services are supported");
		return -EOPNOTSUPP;
	}
	return 0;
}

int fnat_nl_svc_key(const struct nlattr *attr, struct fnat_svc_key *key,
		    struct nlattr **tb, struct netlink_ext_ack *ea)
{
	int err;

	if (!attr) {
		NL_SET_ERR_MSG(ea, "No service is named");
		return -EINVAL;
	}
	err = nla_parse_nested_deprecated(tb, IPVS_SVC_ATTR_MAX, attr,
					  fnat_svc_policy, ea);
	if (err)
		return err;
	if (tb[IPVS_SVC_ATTR_FWMARK]) {
		NL_SET_ERR_MSG(ea, "Services by firewall mark are not supported");
		return -EOPNOTSUPP;
	}
	if (!tb[IPVS_SVC_ATTR_AF] || !tb[IPVS_SVC_ATTR_PROTOCOL] ||
	    !tb[IPVS_SVC_ATTR_PORT]) {
		NL_SET_ERR_MSG(ea, "A service needs family, protocol, address and port");
		return -EINVAL;
	}
	memset(key, 0, sizeof(*key));
	key->af = nla_get_u16(tb[IPVS_SVC_ATTR_AF]);
	key->proto = nla_get_u16(tb[IPVS_SVC_ATTR_PROTOCOL]);
	key->port = nla_get_be16(tb[IPVS_SVC_ATTR_PORT]);
	err = check_key(key, ea);
	if (err)
		return err;
	return fnat_nl_addr(tb[IPVS_SVC_ATTR_ADDR], key->af, &key->addr, ea);
}

struct fnat_svc *fnat_nl_svc(struct fnat_net *fn, const struct nlattr *attr,
			     struct netlink_ext_ack *ea)
{
	struct nlattr *tb[IPVS_SVC_ATTR_MAX + 1];
	struct fnat_svc_key key;
	struct fnat_svc *svc;
	int err;

	err = fnat_nl_svc_key(attr, &key, tb, ea);
	if (err)
		return ERR_PTR(err);
	svc = fnat_svc_find(fn, &key);
	return svc ?: ERR_PTR(-ESRCH);
}

#define SCHED_FLAGS (IP_VS_SVC_F_SCHED1 | IP_VS_SVC_F_SCHED2 | \
		     IP_VS_SVC_F_SCHED3)

/* Flags that would change what a service does; both tools send mask ~0. */
static int parse_flags(const struct nlattr *attr, u32 *sched_flags,
		       struct netlink_ext_ack *ea)
{
	struct ip_vs_flags flags;

	if (nla_len(attr) < (int)sizeof(flags)) {
		NL_SET_ERR_MSG_ATTR(ea, attr, "Service flags are too short");
		return -EINVAL;
	}
	nla_memcpy(&flags, attr, sizeof(flags));
	flags.flags &= flags.mask;
	if (flags.flags & IP_VS_SVC_F_PERSISTENT) {
		NL_SET_ERR_MSG(ea, "Persistent services are not supported");
		return -EOPNOTSUPP;
	}
	if (flags.flags & IP_VS_SVC_F_ONEPACKET) {
		NL_SET_ERR_MSG(ea, "One-packet scheduling is not supported");
		return -EOPNOTSUPP;
	}
	*sched_flags = flags.flags & SCHED_FLAGS;
	return 0;
}

/* A service command that tells all: which one, and what it is to be like. */
static int parse_full(struct genl_info *info, struct fnat_svc_key *key,
		      struct fnat_svc_opts *opts)
{
	struct nlattr *tb[IPVS_SVC_ATTR_MAX + 1];
	struct netlink_ext_ack *ea = info->extack;
	int err;

	err = fnat_nl_svc_key(info->attrs[IPVS_CMD_ATTR_SERVICE], key, tb, ea);
	if (err)
		return err;
	if (!tb[IPVS_SVC_ATTR_SCHED_NAME] || !tb[IPVS_SVC_ATTR_FLAGS] ||
	    !tb[IPVS_SVC_ATTR_TIMEOUT] || !tb[IPVS_SVC_ATTR_NETMASK]) {
		NL_SET_ERR_MSG(ea, "A service needs scheduler, flags, timeout and netmask");
		return -EINVAL;
	}
	err = parse_flags(tb[IPVS_SVC_ATTR_FLAGS], &opts->flags, ea);
	if (err)
		return err;
	if (tb[IPVS_SVC_ATTR_PE_NAME] &&
	    nla_len(tb[IPVS_SVC_ATTR_PE_NAME]) > 1) {
		NL_SET_ERR_MSG(ea, "Persistence engines are not supported");
		return -EOPNOTSUPP;
	}
	opts->sched = fnat_sched_find(nla_data(tb[IPVS_SVC_ATTR_SCHED_NAME]));
	if (!opts->sched) {
		NL_SET_ERR_MSG(ea,
			       "No such scheduler; there are rr wrr lc wlc sed nq fo ovf twos dh sh mh");
		return -ENOENT;
	}
	return 0;
}

int fnat_nl_new_svc(struct sk_buff *skb, struct genl_info *info)
{
	struct fnat_net *fn = fnat_nl_net(info);
	struct fnat_svc_opts opts;
	struct fnat_svc_key key;
	int err;

	err = parse_full(info, &key, &opts);
	if (err)
		return err;
	if (!key.port) {
		NL_SET_ERR_MSG(info->extack, "A service needs a port above 0");
		return -EINVAL;
	}
	if (fnat_addr4_unusable(key.addr.ip)) {
		NL_SET_ERR_MSG(info->extack, "A VIP must be a unicast address");
		return -EINVAL;
	}
	mutex_lock(&fn->cfg);
	err = fnat_svc_add(fn, &key, &opts, info->extack);
	mutex_unlock(&fn->cfg);
	return err;
}

int fnat_nl_set_svc(struct sk_buff *skb, struct genl_info *info)
{
	struct fnat_net *fn = fnat_nl_net(info);
	struct fnat_svc_opts opts;
	struct fnat_svc_key key;
	struct fnat_svc *svc;
	int err;

	err = parse_full(info, &key, &opts);
	if (err)
		return err;
	mutex_lock(&fn->cfg);
	svc = fnat_svc_find(fn, &key);
	err = svc ? fnat_svc_edit(svc, &opts) : -ESRCH;
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
	if (nla_put_u16(msg, IPVS_SVC_ATTR_AF, key->af) ||
	    nla_put_u16(msg, IPVS_SVC_ATTR_PROTOCOL, key->proto) ||
	    nla_put(msg, IPVS_SVC_ATTR_ADDR, FNAT_ADDR_LEN, &key->addr) ||
	    nla_put_be16(msg, IPVS_SVC_ATTR_PORT, key->port))
		return -EMSGSIZE;
	return 0;
}

/* The ten values of IPVS_STATS_ATTR_CONNS and on, in their order. */
#define STATS	10

static void gather(const struct fnat_stats *s, u64 *v)
{
	struct fnat_rates rates;
	struct fnat_sum sum;
	int dir;

	fnat_stats_sum(s, &sum);
	fnat_stats_rates(s, &rates);
	v[0] = sum.conns;
	v[5] = rates.cps;
	for (dir = 0; dir < 2; dir++) {
		v[1 + dir] = sum.pkts[dir];
		v[3 + dir] = sum.bytes[dir];
		v[6 + dir] = rates.pps[dir];
		v[8 + dir] = rates.bps[dir];
	}
}

/* Both forms carry all ten, or tools refuse the whole listing. */
static int put_stats32(struct sk_buff *msg, const u64 *v, int attr)
{
	struct nlattr *nest = nla_nest_start_noflag(msg, attr);
	int i, err;

	if (!nest)
		return -EMSGSIZE;
	for (i = 0; i < STATS; i++) {
		int a = IPVS_STATS_ATTR_CONNS + i;

		if (a == IPVS_STATS_ATTR_INBYTES ||
		    a == IPVS_STATS_ATTR_OUTBYTES)
			err = nla_put_u64_64bit(msg, a, v[i],
						IPVS_STATS_ATTR_PAD);
		else
			err = nla_put_u32(msg, a, v[i]);
		if (err)
			return err;
	}
	nla_nest_end(msg, nest);
	return 0;
}

static int put_stats64(struct sk_buff *msg, const u64 *v, int attr)
{
	struct nlattr *nest = nla_nest_start_noflag(msg, attr);
	int i;

	if (!nest)
		return -EMSGSIZE;
	for (i = 0; i < STATS; i++)
		if (nla_put_u64_64bit(msg, IPVS_STATS_ATTR_CONNS + i, v[i],
				      IPVS_STATS_ATTR_PAD))
			return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

int fnat_nl_put_stats(struct sk_buff *msg, const struct fnat_stats *s,
		      int attr32, int attr64)
{
	u64 v[STATS];

	gather(s, v);
	return put_stats32(msg, v, attr32) ?: put_stats64(msg, v, attr64);
}

int fnat_nl_put_svc(struct sk_buff *msg, const struct fnat_svc *svc)
{
	const struct ip_vs_flags flags = {
		.flags	= IP_VS_SVC_F_HASHED | svc->flags,
		.mask	= ~0,
	};
	struct nlattr *nest = nla_nest_start_noflag(msg, IPVS_CMD_ATTR_SERVICE);

	if (!nest || fnat_nl_put_svc_key(msg, &svc->key) ||
	    nla_put_string(msg, IPVS_SVC_ATTR_SCHED_NAME, svc->sched->name) ||
	    nla_put(msg, IPVS_SVC_ATTR_FLAGS, sizeof(flags), &flags) ||
	    nla_put_u32(msg, IPVS_SVC_ATTR_TIMEOUT, 0) ||
	    nla_put_be32(msg, IPVS_SVC_ATTR_NETMASK, htonl(~0)) ||
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
