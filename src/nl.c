// SPDX-License-Identifier: GPL-2.0
#include "conn.h"
#include "nl.h"

/* Attributes of a kind that the running kernel's own header may not know. */
static const struct nla_policy policy[FNAT_CMD_ATTR_MAX + 1] = {
	[IPVS_CMD_ATTR_SERVICE]		= NLA_POLICY_NESTED(fnat_svc_policy),
	[IPVS_CMD_ATTR_DEST]		= NLA_POLICY_NESTED(fnat_dest_policy),
	[IPVS_CMD_ATTR_DAEMON]		= { .type = NLA_NESTED },
	[IPVS_CMD_ATTR_TIMEOUT_TCP]	= { .type = NLA_U32 },
	[IPVS_CMD_ATTR_TIMEOUT_TCP_FIN]	= { .type = NLA_U32 },
	[IPVS_CMD_ATTR_TIMEOUT_UDP]	= { .type = NLA_U32 },
	[FNAT_CMD_ATTR_LADDR]		= NLA_POLICY_NESTED(fnat_laddr_policy),
	[FNAT_CMD_ATTR_CONN]		= NLA_POLICY_NESTED(fnat_conn_policy),
	[FNAT_CMD_ATTR_SYNPROXY_KEY]	= { .type = NLA_BINARY },
};

/* A reply to @info under construction. */
static struct sk_buff *reply_start(const struct genl_info *info, u8 cmd,
				   void **hdr)
{
	struct sk_buff *msg = nlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);

	if (!msg)
		return NULL;
	*hdr = genlmsg_put(msg, info->snd_portid, info->snd_seq,
			   &fnat_genl_family, 0, cmd);
	return msg;
}

static int get_info(struct sk_buff *skb, struct genl_info *info)
{
	struct sk_buff *msg;
	void *hdr;

	msg = reply_start(info, IPVS_CMD_SET_INFO, &hdr);
	if (!msg)
		return -ENOMEM;
	if (nla_put_u32(msg, IPVS_INFO_ATTR_VERSION, FNAT_VERSION_CODE) ||
	    nla_put_u32(msg, IPVS_INFO_ATTR_CONN_TAB_SIZE,
			1U << fnat_conn_tab_bits) ||
	    nla_put_u32(msg, FNAT_INFO_ATTR_FEATURES,
			FNAT_FEATURE_FULLNAT | FNAT_FEATURE_LADDR |
			FNAT_FEATURE_EST_TIMEOUT | FNAT_FEATURE_CONN |
			FNAT_FEATURE_SYNPROXY | FNAT_FEATURE_SYNPROXY_KEY |
			FNAT_FEATURE_SYNPROXY_STATS |
			FNAT_FEATURE_SYNPROXY_OFFER) ||
	    fnat_nl_put_key_age(msg, fnat_nl_net(info))) {
		nlmsg_free(msg);
		return -EMSGSIZE;
	}
	genlmsg_end(msg, hdr);
	return genlmsg_reply(msg, info);
}

#define TIMEOUT_MAX	2147483		/* s; upstream's, at its tightest HZ */

/* The three timeouts that tools may set, in the order of their attributes. */
static const struct {
	int		attr;
	enum fnat_state	state;
} timeouts[] = {
	{ IPVS_CMD_ATTR_TIMEOUT_TCP, FNAT_TCP_S_ESTABLISHED },
	{ IPVS_CMD_ATTR_TIMEOUT_TCP_FIN, FNAT_TCP_S_FIN_WAIT },
	{ IPVS_CMD_ATTR_TIMEOUT_UDP, FNAT_S_UDP },
};

static int get_config(struct sk_buff *skb, struct genl_info *info)
{
	struct fnat_net *fn = fnat_nl_net(info);
	struct sk_buff *msg;
	void *hdr;
	int i;

	msg = reply_start(info, IPVS_CMD_SET_CONFIG, &hdr);
	if (!msg)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(timeouts); i++) {
		if (nla_put_u32(msg, timeouts[i].attr,
				READ_ONCE(fn->timeout[timeouts[i].state]))) {
			nlmsg_free(msg);
			return -EMSGSIZE;
		}
	}
	genlmsg_end(msg, hdr);
	return genlmsg_reply(msg, info);
}

static int set_config(struct sk_buff *skb, struct genl_info *info)
{
	struct fnat_net *fn = fnat_nl_net(info);
	u32 value[ARRAY_SIZE(timeouts)];
	int i;

	for (i = 0; i < ARRAY_SIZE(timeouts); i++) {
		const struct nlattr *attr = info->attrs[timeouts[i].attr];

		value[i] = attr ? nla_get_u32(attr) : 0;
		if (value[i] > TIMEOUT_MAX) {
			NL_SET_ERR_MSG_ATTR(info->extack, attr,
					    "A timeout is in seconds, 0 (unchanged) to 2147483");
			return -EINVAL;
		}
	}
	mutex_lock(&fn->cfg);
	for (i = 0; i < ARRAY_SIZE(timeouts); i++)
		if (value[i])
			WRITE_ONCE(fn->timeout[timeouts[i].state], value[i]);
	mutex_unlock(&fn->cfg);
	return 0;
}

static int no_daemon(struct sk_buff *skb, struct genl_info *info)
{
	NL_SET_ERR_MSG(info->extack,
		       "Connection sync between directors is not available");
	return -EOPNOTSUPP;
}

/* No daemon runs: an empty list, which is what tools expect to hear then. */
static int dump_daemon(struct sk_buff *msg, struct netlink_callback *cb)
{
	return 0;
}

#define LAX	(GENL_DONT_VALIDATE_STRICT | GENL_DONT_VALIDATE_DUMP)
#define STRICT	0

#define OP(_cmd, _how, _doit, _dumpit)				\
	{							\
		.cmd = (_cmd),					\
		.validate = (_how),				\
		.flags = GENL_ADMIN_PERM,			\
		.doit = (_doit),				\
		.dumpit = (_dumpit),				\
	}

static const struct genl_small_ops ops[] = {
	OP(IPVS_CMD_NEW_SERVICE, LAX, fnat_nl_new_svc, NULL),
	OP(IPVS_CMD_SET_SERVICE, LAX, fnat_nl_set_svc, NULL),
	OP(IPVS_CMD_DEL_SERVICE, LAX, fnat_nl_del_svc, NULL),
	OP(IPVS_CMD_GET_SERVICE, LAX, fnat_nl_get_svc, fnat_nl_dump_svc),
	OP(IPVS_CMD_NEW_DEST, LAX, fnat_nl_new_dest, NULL),
	OP(IPVS_CMD_SET_DEST, LAX, fnat_nl_set_dest, NULL),
	OP(IPVS_CMD_DEL_DEST, LAX, fnat_nl_del_dest, NULL),
	OP(IPVS_CMD_GET_DEST, LAX, NULL, fnat_nl_dump_dest),
	OP(IPVS_CMD_NEW_DAEMON, LAX, no_daemon, NULL),
	OP(IPVS_CMD_DEL_DAEMON, LAX, no_daemon, NULL),
	OP(IPVS_CMD_GET_DAEMON, LAX, NULL, dump_daemon),
	OP(IPVS_CMD_SET_CONFIG, LAX, set_config, NULL),
	OP(IPVS_CMD_GET_CONFIG, LAX, get_config, NULL),
	OP(IPVS_CMD_GET_INFO, LAX, get_info, NULL),
	OP(IPVS_CMD_ZERO, LAX, fnat_nl_zero, NULL),
	OP(IPVS_CMD_FLUSH, LAX, fnat_nl_flush, NULL),
	OP(FNAT_CMD_NEW_LADDR, STRICT, fnat_nl_new_laddr, NULL),
	OP(FNAT_CMD_DEL_LADDR, STRICT, fnat_nl_del_laddr, NULL),
	OP(FNAT_CMD_GET_LADDR, STRICT, NULL, fnat_nl_dump_laddr),
	OP(FNAT_CMD_GET_CONN, STRICT, NULL, fnat_nl_dump_conn),
	OP(FNAT_CMD_SET_SYNPROXY_KEY, STRICT, fnat_nl_set_key, NULL),
	OP(FNAT_CMD_DEL_SYNPROXY_KEY, STRICT, fnat_nl_del_key, NULL),
};

struct genl_family fnat_genl_family __ro_after_init = {
	.name		= IPVS_GENL_NAME,
	.version	= IPVS_GENL_VERSION,
	.hdrsize	= 0,
	.maxattr	= FNAT_CMD_ATTR_MAX,
	.policy		= policy,
	.netnsok	= true,
	.parallel_ops	= true,
	.module		= THIS_MODULE,
	.small_ops	= ops,
	.n_small_ops	= ARRAY_SIZE(ops),
	.resv_start_op	= FNAT_CMD_NEW_LADDR,
};

int __init fnat_nl_init(void)
{
	return genl_register_family(&fnat_genl_family);
}

void fnat_nl_exit(void)
{
	genl_unregister_family(&fnat_genl_family);
}
