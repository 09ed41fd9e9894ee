// SPDX-License-Identifier: GPL-2.0
#include <linux/netfilter.h>

#include "fnat.h"
#include "pkt.h"
#include "stats.h"
#include "trace.h"

static const char * const event_names[FNAT_EV_MAX] = {
	[FNAT_DROP_CORRUPT]	= "drop_corrupt",
	[FNAT_DROP_SOURCE]	= "drop_source",
	[FNAT_DROP_NO_DEST]	= "conn_sched_unreach",
	[FNAT_DROP_NO_LADDR]	= "drop_no_laddr",
	[FNAT_DROP_NO_PORT]	= "drop_no_port",
	[FNAT_DROP_MASQ_CLASH]	= "drop_masq_clash",
	[FNAT_DROP_CONN_MAX]	= "conn_exceeded",
	[FNAT_DROP_MEMORY]	= "drop_memory",
	[FNAT_DROP_NO_ROUTE]	= "drop_no_route",
	[FNAT_DROP_NEIGH]	= "drop_neigh",
	[FNAT_DROP_TTL]		= "drop_ttl",
	[FNAT_DROP_LRO]		= "lro_reject",
	[FNAT_DROP_MTU]		= "xmit_unexpected_mtu",
	[FNAT_DROP_DEST_GONE]	= "drop_dest_gone",
	[FNAT_DROP_PACKET]	= "drop_packet",
	[FNAT_DROP_DEFENCE_TCP]	= "defence_tcp_drop",
	[FNAT_DROP_DEFENCE_UDP]	= "defence_udp_drop",
	[FNAT_DROP_DEFENCE_FRAG] = "defence_ip_frag_drop",
	[FNAT_DROP_BAD_ACK]	= "synproxy_bad_ack",
	[FNAT_DROP_NULL_ACK]	= "synproxy_null_ack",
	[FNAT_DROP_ACK_STORM]	= "synproxy_ackstorm",
	[FNAT_DROP_EARLY]	= "synproxy_synsend_qlen",
	[FNAT_DROP_DIALLING]	= "drop_dialling",
	[FNAT_EV_STRAY]		= "tcp_stray",
	[FNAT_EV_REOPENED]	= "fullnat_conn_reused",
	[FNAT_EV_BAD_RST]	= "tcp_bad_rst",
	[FNAT_EV_BAD_FIN]	= "tcp_bad_fin",
	[FNAT_EV_SENT_RST]	= "refused_rst",
	[FNAT_EV_SENT_ICMP]	= "sent_icmp",
	[FNAT_EV_RATELIMIT]	= "refused_ratelimit",
	[FNAT_EV_LADDR_FULL]	= "fullnat_laddr_full",
	[FNAT_EV_LADDR_LOW]	= "fullnat_laddr_low",
	[FNAT_EV_SLOW_XMIT]	= "fast_xmit_reject",
	[FNAT_EV_LOCAL]		= "xmit_local",
	[FNAT_EV_PORT_CLASH]	= "fullnat_port_clash",
	[FNAT_EV_MASQ_CLASH]	= "masq_clash",
	[FNAT_EV_DROP_ENTRY]	= "drop_entry",
	[FNAT_EV_EXPIRE_RST]	= "conn_expire_rst",
	[FNAT_EV_REASSEMBLED]	= "reassembled",
	[FNAT_EV_ICMP_ERROR]	= "icmp_translated",
	[FNAT_EV_ECHO]		= "vip_echo",
	[FNAT_EV_AHEAD]		= "looked_ahead",
	[FNAT_EV_SYNPROXY_SYN]	= "synproxy_syn_cnt",
	[FNAT_EV_SYNPROXY_ACK]	= "synproxy_ok_ack",
	[FNAT_EV_SYNPROXY_NO_DEST] = "synproxy_no_dest",
	[FNAT_EV_SYNPROXY_RS_ERROR] = "synproxy_rs_error",
	[FNAT_EV_SYNPROXY_REDIALLED] = "synproxy_redialled",
	[FNAT_EV_SYNPROXY_PROBE] = "synproxy_probed",
	[FNAT_EV_SYNPROXY_REUSED] = "synproxy_conn_reused",
	[FNAT_EV_SYNPROXY_AUTO_ON] = "synproxy_auto_on",
	[FNAT_EV_SYNPROXY_AUTO_OFF] = "synproxy_auto_off",
};

int fnat_stats_init(struct fnat_stats *s)
{
	int cpu;

	s->cpu = alloc_percpu(struct fnat_traffic);
	if (!s->cpu)
		return -ENOMEM;
	for_each_possible_cpu(cpu)
		u64_stats_init(&per_cpu_ptr(s->cpu, cpu)->sync);
	return 0;
}

void fnat_stats_exit(struct fnat_stats *s)
{
	free_percpu(s->cpu);
}

void fnat_stats_read(const struct fnat_traffic *t, struct fnat_sum *now)
{
	unsigned int start;
	int dir;

	do {
		start = u64_stats_fetch_begin(&t->sync);
		now->conns = u64_stats_read(&t->conns);
		for (dir = 0; dir < 2; dir++) {
			now->pkts[dir] = u64_stats_read(&t->pkts[dir]);
			now->bytes[dir] = u64_stats_read(&t->bytes[dir]);
		}
	} while (u64_stats_fetch_retry(&t->sync, start));
}

static void sum_cpus(const struct fnat_stats *s, struct fnat_sum *sum)
{
	struct fnat_sum now;
	int cpu, dir;

	memset(sum, 0, sizeof(*sum));
	for_each_possible_cpu(cpu) {
		fnat_stats_read(per_cpu_ptr(s->cpu, cpu), &now);
		sum->conns += now.conns;
		for (dir = 0; dir < 2; dir++) {
			sum->pkts[dir] += now.pkts[dir];
			sum->bytes[dir] += now.bytes[dir];
		}
	}
}

void fnat_stats_sum(const struct fnat_stats *s, struct fnat_sum *sum)
{
	int dir;

	sum_cpus(s, sum);
	sum->conns -= s->zero.conns;
	for (dir = 0; dir < 2; dir++) {
		sum->pkts[dir] -= s->zero.pkts[dir];
		sum->bytes[dir] -= s->zero.bytes[dir];
	}
}

void fnat_stats_zero(struct fnat_stats *s)
{
	sum_cpus(s, &s->zero);
	s->last = s->zero;
	memset(&s->avg, 0, sizeof(s->avg));
}

/* Fixed point: counts times 2^10, bytes times 2^5. */
#define COUNT_SHIFT	10
#define BYTES_SHIFT	5

static void follow(u64 *avg, u64 now, u64 last, int shift)
{
	u64 rate = ((now - last) << shift) / FNAT_ESTIMATE_PERIOD;

	*avg += (s64)(rate - *avg) >> 2;
}

bool fnat_stats_estimate(struct fnat_stats *s)
{
	const struct fnat_sum *last = &s->last;
	struct fnat_sum now;
	int dir;

	sum_cpus(s, &now);
	follow(&s->avg.cps, now.conns, last->conns, COUNT_SHIFT);
	for (dir = 0; dir < 2; dir++) {
		follow(&s->avg.pps[dir], now.pkts[dir], last->pkts[dir],
		       COUNT_SHIFT);
		follow(&s->avg.bps[dir], now.bytes[dir], last->bytes[dir],
		       BYTES_SHIFT);
	}
	s->last = now;
	return memchr_inv(&s->avg, 0, sizeof(s->avg));
}

static u64 rounded(u64 avg, int shift)
{
	return (avg + (1U << (shift - 1)) - 1) >> shift;
}

void fnat_stats_rates(const struct fnat_stats *s, struct fnat_rates *rates)
{
	int dir;

	rates->cps = rounded(s->avg.cps, COUNT_SHIFT);
	for (dir = 0; dir < 2; dir++) {
		rates->pps[dir] = rounded(s->avg.pps[dir], COUNT_SHIFT);
		rates->bps[dir] = rounded(s->avg.bps[dir], BYTES_SHIFT);
	}
}

void fnat_count(struct fnat_net *fn, enum fnat_event ev)
{
	this_cpu_inc(fn->events->n[ev]);
}

unsigned int fnat_drop(const struct fnat_pkt *p, enum fnat_event why)
{
	trace_fnat_drop(p, why);
	fnat_count(p->fn, why);
	return NF_DROP;
}

const char *fnat_event_name(enum fnat_event ev)
{
	return event_names[ev];
}
