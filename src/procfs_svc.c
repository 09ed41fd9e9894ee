// SPDX-License-Identifier: GPL-2.0
/*
 * /proc/net/ip_vs, ip_vs_stats and ip_vs_stats_percpu: what monitoring reads,
 * in the formats of in-tree IPVS to the blank.
 */
#include <linux/proc_fs.h>
#include <linux/seq_file.h>

#include "dest.h"
#include "procfs.h"
#include "sched.h"
#include "svc.h"

/* A position above 0 is a service's id and one; the service is a record. */
static struct fnat_svc *svc_at(struct fnat_net *fn, loff_t *pos)
{
	unsigned long id = *pos - 1;
	struct fnat_svc *svc = xa_find(&fn->svcs, &id, ULONG_MAX, XA_PRESENT);

	*pos = id + 1;
	return svc;
}

static void *svc_start(struct seq_file *seq, loff_t *pos)
{
	struct fnat_net *fn = fnat_seq_net(seq);

	mutex_lock(&fn->cfg);
	return *pos ? svc_at(fn, pos) : SEQ_START_TOKEN;
}

static void *svc_next(struct seq_file *seq, void *v, loff_t *pos)
{
	++*pos;
	return svc_at(fnat_seq_net(seq), pos);
}

static void svc_stop(struct seq_file *seq, void *v)
{
	mutex_unlock(&fnat_seq_net(seq)->cfg);
}

static void show_addr(struct seq_file *seq, u16 af,
		      const union nf_inet_addr *addr)
{
	if (af == AF_INET6)
		seq_printf(seq, "[%pI6]", &addr->in6);
	else
		seq_printf(seq, "%08X", ntohl(addr->ip));
}

static void show_key(struct seq_file *seq, const struct fnat_svc *svc)
{
	const struct fnat_svc_opts *o = &svc->opts;
	const char *ops = o->flags & IP_VS_SVC_F_ONEPACKET ? "ops " : "";

	if (svc->key.fwmark) {
		seq_printf(seq, "FWM  %08X %s %s", svc->key.fwmark,
			   o->sched->name, ops);
	} else {
		seq_printf(seq, "%s  ",
			   svc->key.proto == IPPROTO_TCP ? "TCP" : "UDP");
		show_addr(seq, svc->key.af, &svc->key.addr);
		seq_printf(seq, ":%04X %s %s ", ntohs(svc->key.port),
			   o->sched->name, ops);
	}
	if (o->flags & IP_VS_SVC_F_PERSISTENT)
		seq_printf(seq, "persistent %d %08X\n", o->timeout * HZ,
			   ntohl(o->netmask));
	else
		seq_putc(seq, '\n');
}

static const char *method_name(u32 fwd_method)
{
	switch (fwd_method) {
	case IP_VS_CONN_F_MASQ:
		return "Masq";
	case IP_VS_CONN_F_DROUTE:
		return "Route";
	default:
		return "FullNat";
	}
}

static int svc_show(struct seq_file *seq, void *v)
{
	const struct fnat_dests *set;
	struct fnat_svc *svc = v;
	u32 i;

	if (v == SEQ_START_TOKEN) {
		seq_printf(seq, "IP Virtual Server version %d.%d.%d (size=%u)\n",
			   FNAT_VERSION_CODE >> 16 & 0xff,
			   FNAT_VERSION_CODE >> 8 & 0xff,
			   FNAT_VERSION_CODE & 0xff, 1U << fnat_conn_tab_bits);
		seq_puts(seq, "Prot LocalAddress:Port Scheduler Flags\n");
		seq_puts(seq, "  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n");
		return 0;
	}
	show_key(seq, svc);
	set = rcu_dereference_protected(svc->dests,
					lockdep_is_held(&svc->fn->cfg));
	for (i = 0; set && i < set->n; i++) {
		const struct fnat_dest *d = set->v[i];

		seq_puts(seq, "  -> ");
		show_addr(seq, svc->key.af, &d->addr);
		seq_printf(seq, ":%04X      %-7s %-6d %-10d %-10d\n",
			   ntohs(d->port), method_name(d->opts.fwd_method),
			   d->opts.weight, atomic_read(&d->active),
			   atomic_read(&d->inactive));
	}
	return 0;
}

static const struct seq_operations svc_ops = {
	.start	= svc_start,
	.next	= svc_next,
	.stop	= svc_stop,
	.show	= svc_show,
};

static void show_sum(struct seq_file *seq, const struct fnat_sum *sum)
{
	seq_printf(seq, "%8llX %8llX %8llX %16llX %16llX\n", sum->conns,
		   sum->pkts[FNAT_C2S], sum->pkts[FNAT_S2C],
		   sum->bytes[FNAT_C2S], sum->bytes[FNAT_S2C]);
}

static void show_rates(struct seq_file *seq, struct fnat_net *fn)
{
	struct fnat_rates r;

	mutex_lock(&fn->cfg);
	fnat_stats_rates(&fn->total, &r);
	mutex_unlock(&fn->cfg);
	seq_printf(seq, "%8llX %8llX %8llX %16llX %16llX\n", r.cps,
		   r.pps[FNAT_C2S], r.pps[FNAT_S2C], r.bps[FNAT_C2S],
		   r.bps[FNAT_S2C]);
}

static void show_total(struct seq_file *seq, struct fnat_net *fn)
{
	struct fnat_sum sum;

	mutex_lock(&fn->cfg);
	fnat_stats_sum(&fn->total, &sum);
	mutex_unlock(&fn->cfg);
	show_sum(seq, &sum);
}

static int stats_show(struct seq_file *seq, void *v)
{
	struct fnat_net *fn = fnat_net(seq_file_single_net(seq));

	seq_puts(seq, "   Total Incoming Outgoing         Incoming         Outgoing\n");
	seq_puts(seq, "   Conns  Packets  Packets            Bytes            Bytes\n");
	show_total(seq, fn);
	seq_puts(seq, "\n Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s\n");
	show_rates(seq, fn);
	return 0;
}

static int percpu_show(struct seq_file *seq, void *v)
{
	struct fnat_net *fn = fnat_net(seq_file_single_net(seq));
	struct fnat_sum sum;
	int cpu;

	seq_puts(seq, "       Total Incoming Outgoing         Incoming         Outgoing\n");
	seq_puts(seq, "CPU    Conns  Packets  Packets            Bytes            Bytes\n");
	for_each_possible_cpu(cpu) {
		fnat_stats_read(per_cpu_ptr(fn->total.cpu, cpu), &sum);
		seq_printf(seq, "%3X ", cpu);
		show_sum(seq, &sum);
	}
	seq_puts(seq, "  ~ ");
	show_total(seq, fn);
	seq_puts(seq, "\n     Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s\n    ");
	show_rates(seq, fn);
	return 0;
}

int fnat_procfs_svc_init(struct fnat_net *fn)
{
	struct proc_dir_entry *dir = fn->net->proc_net;

	if (!proc_create_net("ip_vs", 0444, dir, &svc_ops,
			     sizeof(struct seq_net_private)))
		return -ENOMEM;
	if (!proc_create_net_single("ip_vs_stats", 0444, dir, stats_show, NULL))
		goto remove_svc;
	if (!proc_create_net_single("ip_vs_stats_percpu", 0444, dir,
				    percpu_show, NULL))
		goto remove_stats;
	return 0;

remove_stats:
	remove_proc_entry("ip_vs_stats", dir);
remove_svc:
	remove_proc_entry("ip_vs", dir);
	return -ENOMEM;
}

void fnat_procfs_svc_exit(struct fnat_net *fn)
{
	struct proc_dir_entry *dir = fn->net->proc_net;

	remove_proc_entry("ip_vs_stats_percpu", dir);
	remove_proc_entry("ip_vs_stats", dir);
	remove_proc_entry("ip_vs", dir);
}
