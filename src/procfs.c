// SPDX-License-Identifier: GPL-2.0
#include <linux/proc_fs.h>
#include <linux/seq_file.h>

#include "conn.h"
#include "pkt.h"
#include "procfs.h"

/*
 * The line we are at: a connection's client side, its bucket, and how many
 * before it in that bucket have been shown.
 */
struct place {
	struct seq_net_private	p;	/* must come first */
	u32			bucket;
	u32			before;
};

/* The direction at @at, going on to later buckets if need be. RCU. */
static struct fnat_dir *conn_at(const struct fnat_net *fn, struct place *at)
{
	struct fnat_dir *d;
	u32 n;

	/* The table comes with the first service, and stays. */
	if (!smp_load_acquire(&fn->conn_tab))
		return NULL;
	for (; at->bucket <= fn->conn_mask; at->bucket++, at->before = 0) {
		n = at->before;
		d = fnat_conn_next(fn, at->bucket, NULL);
		while (d && n--)
			d = fnat_conn_next(fn, at->bucket, d);
		if (d)
			return d;
		/* Nothing of the table is held between buckets. */
		if (at->bucket % 1024 == 0)
			cond_resched_rcu();
	}
	return NULL;
}

static void *conn_start(struct seq_file *seq, loff_t *pos)
	__acquires(RCU)
{
	struct place *at = seq->private;

	rcu_read_lock();
	if (!*pos) {
		at->bucket = 0;
		at->before = 0;
		return SEQ_START_TOKEN;
	}
	return conn_at(fnat_seq_net(seq), at);
}

static void *conn_next(struct seq_file *seq, void *v, loff_t *pos)
{
	struct place *at = seq->private;

	++*pos;
	if (v != SEQ_START_TOKEN)
		at->before++;
	return conn_at(fnat_seq_net(seq), at);
}

static void conn_stop(struct seq_file *seq, void *v)
	__releases(RCU)
{
	rcu_read_unlock();
}

static const char *proto_name(u8 proto)
{
	switch (proto & FNAT_PROTO_MASK) {
	case IPPROTO_TCP:
		return "TCP";
	case IPPROTO_UDP:
		return "UDP";
	default:
		return "IP";	/* a template of a firewall mark */
	}
}

/* An end of a connection as the stock format has it. */
static void show_end(struct seq_file *seq, const struct fnat_conn *c,
		     enum fnat_end end)
{
	union nf_inet_addr addr = fnat_conn_addr(c, end);

	if (fnat_dir_af(&c->dir[FNAT_C2S]) == AF_INET6)
		seq_printf(seq, "%pI6 ", &addr.in6);
	else
		seq_printf(seq, "%08X ", ntohl(addr.ip));
	seq_printf(seq, "%04X ", ntohs(fnat_conn_port(c, end)));
}

/* The same for people. */
static void show_end_plain(struct seq_file *seq, const struct fnat_conn *c,
			   enum fnat_end end)
{
	union nf_inet_addr addr = fnat_conn_addr(c, end);

	if (fnat_dir_af(&c->dir[FNAT_C2S]) == AF_INET6)
		seq_printf(seq, "%-15pI6c ", &addr.in6);
	else
		seq_printf(seq, "%-15pI4 ", &addr.ip);
	seq_printf(seq, "%-5u ", ntohs(fnat_conn_port(c, end)));
}

/* ipvsadm -Lc reads this with fixed buffers: the format is the stock one. */
static int conn_show(struct seq_file *seq, void *v)
{
	struct fnat_dir *d = v;
	struct fnat_conn *c;

	if (v == SEQ_START_TOKEN) {
		seq_puts(seq, "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n");
		return 0;
	}
	c = fnat_dir_conn(d);
	seq_printf(seq, "%-3s ", proto_name(d->proto));
	show_end(seq, c, FNAT_END_CLIENT);
	show_end(seq, c, FNAT_END_VIP);
	show_end(seq, c, FNAT_END_SERVER);
	seq_printf(seq, "%-11s %7u\n", fnat_state_name(READ_ONCE(c->state)),
		   fnat_conn_left(fnat_seq_net(seq), c));
	return 0;
}

/* With the LIP: the ancestor's columns, and addresses for people. */
static int four_show(struct seq_file *seq, void *v)
{
	struct fnat_dir *d = v;
	struct fnat_conn *c;
	enum fnat_end end;

	if (v == SEQ_START_TOKEN) {
		seq_puts(seq, "Pro FromIP          FPrt  ToIP            TPrt  LocalIP         LPrt  DestIP          DPrt  State       Expires\n");
		return 0;
	}
	c = fnat_dir_conn(d);
	if (c->flags & FNAT_CONN_TEMPLATE)
		return SEQ_SKIP;
	seq_printf(seq, "%-3s ", proto_name(d->proto));
	for (end = 0; end < FNAT_ENDS; end++) {
		if (end == FNAT_END_LIP && !fnat_conn_has_lip(c))
			seq_printf(seq, "%-15s %-5s ", "-", "-");
		else
			show_end_plain(seq, c, end);
	}
	seq_printf(seq, "%-11s %7u\n", fnat_state_name(READ_ONCE(c->state)),
		   fnat_conn_left(fnat_seq_net(seq), c));
	return 0;
}

static const struct seq_operations conn_ops = {
	.start	= conn_start,
	.next	= conn_next,
	.stop	= conn_stop,
	.show	= conn_show,
};

static const struct seq_operations four_ops = {
	.start	= conn_start,
	.next	= conn_next,
	.stop	= conn_stop,
	.show	= four_show,
};

/* Every event, a column per CPU, in the ancestor's form. */
static int events_show(struct seq_file *seq, void *v)
{
	struct fnat_net *fn = fnat_net(seq_file_single_net(seq));
	int ev, cpu;

	seq_printf(seq, "%34s", "");
	for_each_online_cpu(cpu)
		seq_printf(seq, "CPU%-7d ", cpu);
	seq_putc(seq, '\n');
	for (ev = 0; ev < FNAT_EV_MAX; ev++) {
		seq_printf(seq, "%-25s:", fnat_event_name(ev));
		for_each_online_cpu(cpu)
			seq_printf(seq, "%10llu ",
				   READ_ONCE(per_cpu_ptr(fn->events,
							 cpu)->n[ev]));
		seq_putc(seq, '\n');
	}
	return 0;
}

int fnat_procfs_init(struct fnat_net *fn)
{
	struct proc_dir_entry *dir = fn->net->proc_net;

	if (!proc_create_net("ip_vs_conn", 0440, dir, &conn_ops,
			     sizeof(struct place)))
		return -ENOMEM;
	if (!proc_create_net("ip_vs_fullnat_conn", 0440, dir, &four_ops,
			     sizeof(struct place)))
		goto remove_conn;
	if (!proc_create_net_single("ip_vs_ext_stats", 0444, dir, events_show,
				    NULL))
		goto remove_four;
	if (fnat_procfs_svc_init(fn))
		goto remove_events;
	return 0;

remove_events:
	remove_proc_entry("ip_vs_ext_stats", dir);
remove_four:
	remove_proc_entry("ip_vs_fullnat_conn", dir);
remove_conn:
	remove_proc_entry("ip_vs_conn", dir);
	return -ENOMEM;
}

void fnat_procfs_exit(struct fnat_net *fn)
{
	fnat_procfs_svc_exit(fn);
	remove_proc_entry("ip_vs_ext_stats", fn->net->proc_net);
	remove_proc_entry("ip_vs_fullnat_conn", fn->net->proc_net);
	remove_proc_entry("ip_vs_conn", fn->net->proc_net);
}
