// SPDX-License-Identifier: GPL-2.0
#include "nl.h"

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
