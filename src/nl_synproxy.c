// SPDX-License-Identifier: GPL-2.0
#include <linux/in.h>

#include "nl.h"
#include "offer.h"

/* ------------------------------------------------------------ in requests */

static const struct nla_policy policy[FNAT_SYNPROXY_OFFER_ATTR_MAX + 1] = {
	[FNAT_SYNPROXY_OFFER_ATTR_MSS]		= { .type = NLA_U32 },
	[FNAT_SYNPROXY_OFFER_ATTR_WSCALE]	= { .type = NLA_U32 },
	[FNAT_SYNPROXY_OFFER_ATTR_SACK]		= { .type = NLA_U32 },
	[FNAT_SYNPROXY_OFFER_ATTR_TIMESTAMP]	= { .type = NLA_U32 },
	[FNAT_SYNPROXY_OFFER_ATTR_TTL]		= { .type = NLA_U32 },
};

/* As their sysctls have them; all others are switches. */
static bool may_be(int what, u32 v)
{
	switch (what) {
	case FNAT_SYNPROXY_OFFER_ATTR_MSS:
		return v >= FNAT_OFFER_MSS_MIN && v <= FNAT_OFFER_MSS_MAX;
	case FNAT_SYNPROXY_OFFER_ATTR_TTL:
		return v >= FNAT_OFFER_TTL_MIN && v <= FNAT_OFFER_TTL_MAX;
	default:
		return v <= 1;
	}
}

static int parse_offer(const struct nlattr *attr, struct fnat_svc_opts *opts,
		       struct netlink_ext_ack *ea)
{
	struct nlattr *tb[FNAT_SYNPROXY_OFFER_ATTR_MAX + 1];
	int err, i;

	err = nla_parse_nested_deprecated(tb, FNAT_SYNPROXY_OFFER_ATTR_MAX,
					  attr, policy, ea);
	if (err)
		return err;
	memset(opts->offer, 0, sizeof(opts->offer));
	for (i = 1; i <= FNAT_SYNPROXY_OFFER_ATTR_MAX; i++) {
		if (!tb[i])
			continue;
		if (!may_be(i, nla_get_u32(tb[i]))) {
			NL_SET_ERR_MSG_ATTR(ea, tb[i],
					    "The SYN proxy offers mss 216 to 65535, ttl 1 to 255; wscale, sack and timestamp are 0 or 1");
			return -EINVAL;
		}
		opts->offer[i] = nla_get_u32(tb[i]) + 1;
	}
	return 0;
}

int fnat_nl_parse_synproxy(const struct fnat_svc_key *key, struct nlattr **tb,
			   struct fnat_svc_opts *opts,
			   struct netlink_ext_ack *ea)
{
	const struct nlattr *offer = tb[FNAT_SVC_ATTR_SYNPROXY_OFFER];
	u32 mode = opts->synproxy;

	if (tb[FNAT_SVC_ATTR_SYNPROXY])
		mode = nla_get_u32(tb[FNAT_SVC_ATTR_SYNPROXY]);
	if (mode > FNAT_SYNPROXY_AUTO) {
		NL_SET_ERR_MSG(ea,
			       "A SYN proxy is off (0), on (1) or automatic (2)");
		return -EINVAL;
	}
	if (key->proto == IPPROTO_UDP && (mode || (offer && nla_len(offer)))) {
		NL_SET_ERR_MSG(ea, "UDP has no SYN: the SYN proxy is for TCP");
		return -EINVAL;
	}
	opts->synproxy = mode;
	return offer ? parse_offer(offer, opts, ea) : 0;
}

/* ------------------------------------------------------------- in replies */

static int put_offer(struct sk_buff *msg, const struct fnat_svc_opts *opts)
{
	struct nlattr *nest =
		nla_nest_start_noflag(msg, FNAT_SVC_ATTR_SYNPROXY_OFFER);
	int i;

	if (!nest)
		return -EMSGSIZE;
	for (i = 1; i <= FNAT_SYNPROXY_OFFER_ATTR_MAX; i++)
		if (opts->offer[i] && nla_put_u32(msg, i, opts->offer[i] - 1))
			return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

static int put_stats(struct sk_buff *msg, const struct fnat_guard *g)
{
	struct nlattr *nest =
		nla_nest_start_noflag(msg, FNAT_SVC_ATTR_SYNPROXY_STATS);
	struct fnat_guard_counts sum;
	int i;

	if (!nest)
		return -EMSGSIZE;
	fnat_guard_sum(g, &sum);
	/* Their attributes follow each other as they do. */
	for (i = 0; i < FNAT_GUARD_COUNTS; i++)
		if (nla_put_u64_64bit(msg, FNAT_SYNPROXY_STATS_ATTR_SYN_CNT + i,
				      sum.n[i],
				      FNAT_SYNPROXY_STATS_ATTR_PAD))
			return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

int fnat_nl_put_synproxy(struct sk_buff *msg, const struct fnat_svc *svc)
{
	if (nla_put_u32(msg, FNAT_SVC_ATTR_SYNPROXY, svc->opts.synproxy) ||
	    nla_put_u32(msg, FNAT_SVC_ATTR_SYNPROXY_ACTIVE,
			fnat_guard_stands(&svc->guard)))
		return -EMSGSIZE;
	return put_offer(msg, &svc->opts) ?: put_stats(msg, &svc->guard);
}
