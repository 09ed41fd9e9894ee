// SPDX-License-Identifier: GPL-2.0
#include <linux/mm.h>
#include <linux/netfilter.h>
#include <linux/random.h>

#include "conn.h"
#include "defence.h"
#include "fnat.h"
#include "pkt.h"

#define SHARE	32	/* of the table that drop_entry goes through a second */
#define IDLE	60	/* s without a packet, after which a UDP flow may go */

/* Pages that could be had at once, as in-tree IPVS counts them. */
static long available(void)
{
	struct sysinfo info;

	si_meminfo(&info);
	return info.freeram + info.bufferram;
}

/* Moves *@mode between READY and ACTIVE; whether the defence is at work. */
static bool settle(int *mode, bool scarce)
{
	int old = READ_ONCE(*mode);
	int wanted = scarce ? FNAT_DEFENCE_ACTIVE : FNAT_DEFENCE_READY;

	if (old == FNAT_DEFENCE_READY || old == FNAT_DEFENCE_ACTIVE) {
		/* Unless the operator is writing it right now. */
		cmpxchg(mode, old, wanted);
		return scarce;
	}
	return old == FNAT_DEFENCE_ALWAYS;
}

/* The scarcer memory is, the more is dropped: upstream's formula. */
static int rate(const struct fnat_tunables *tune, long pages, bool at_work)
{
	long wanted = READ_ONCE(tune->amemthresh);

	if (!at_work)
		return 0;
	if (READ_ONCE(tune->drop_packet) == FNAT_DEFENCE_ALWAYS)
		return READ_ONCE(tune->am_droprate);
	return wanted / max(wanted - pages, 1L);
}

static bool droppable(const struct fnat_conn *c)
{
	switch (READ_ONCE(c->state)) {
	case FNAT_TCP_S_NONE:
		/* A template of nobody but itself, whose client never was. */
		return refcount_read(&c->children) == 1;
	case FNAT_TCP_S_SYN_RECV:
		return true;
	case FNAT_S_UDP:
		return (s32)(fnat_now() - READ_ONCE(c->stamp)) > IDLE;
	default:
		return false;
	}
}

static void thin_bucket(struct fnat_net *fn, u32 bucket)
{
	struct fnat_dir *d, *next;

	rcu_read_lock();
	for (d = fnat_conn_next(fn, bucket, NULL); d; d = next) {
		struct fnat_conn *c = fnat_dir_conn(d);

		next = fnat_conn_next(fn, bucket, d);
		if (droppable(c)) {
			fnat_count(fn, FNAT_EV_DROP_ENTRY);
			fnat_conn_kill(fn, c);
		}
	}
	rcu_read_unlock();
}

/* Half-open and idle connections of a random part of the table, and what is left of them. */
static void thin_table(struct fnat_net *fn)
{
	u32 n = max(fn->conn_mask / SHARE, 1U);
	u32 i;

	for (i = 0; i < n; i++) {
		thin_bucket(fn, get_random_u32() & fn->conn_mask);
		cond_resched();
	}
}

static bool wanted(const struct fnat_tunables *tune)
{
	return READ_ONCE(tune->drop_entry) || READ_ONCE(tune->drop_packet) ||
	       READ_ONCE(tune->secure_tcp);
}

static void look(struct work_struct *work)
{
	struct fnat_net *fn = container_of(to_delayed_work(work),
					   struct fnat_net, defence.look);
	struct fnat_tunables *tune = &fn->tune;
	struct fnat_defence *def = &fn->defence;
	long pages = available();
	bool scarce = pages < READ_ONCE(tune->amemthresh);

	WRITE_ONCE(def->drop_entry, settle(&tune->drop_entry, scarce));
	WRITE_ONCE(def->drop_rate,
		   rate(tune, pages, settle(&tune->drop_packet, scarce)));
	WRITE_ONCE(def->secure_tcp, settle(&tune->secure_tcp, scarce));
	/* The table comes with the first service, and stays. */
	if (def->drop_entry && smp_load_acquire(&fn->conn_tab))
		thin_table(fn);
	if (wanted(tune))
		queue_delayed_work(fnat_wq, &def->look, HZ);
}

void fnat_defence_init(struct fnat_net *fn)
{
	INIT_DELAYED_WORK(&fn->defence.look, look);
}

void fnat_defence_exit(struct fnat_net *fn)
{
	cancel_delayed_work_sync(&fn->defence.look);
}

void fnat_defence_start(struct fnat_net *fn)
{
	mod_delayed_work(fnat_wq, &fn->defence.look, 0);
}

bool fnat_defence_thins(struct fnat_net *fn)
{
	int one_in = READ_ONCE(fn->defence.drop_rate);

	return unlikely(one_in) &&
	       (u32)atomic_inc_return(&fn->defence.passed) % one_in == 0;
}

static bool to_vip(struct fnat_net *fn, u16 af, const union nf_inet_addr *addr)
{
	return fnat_addrset_has(&fn->addrs, FNAT_ADDR_VIP, af, addr);
}

unsigned int fnat_defence_verdict(const struct fnat_pkt *p)
{
	const struct fnat_tunables *tune = &p->fn->tune;
	bool tcp = p->proto == IPPROTO_TCP;
	int drops = tcp ? READ_ONCE(tune->defence_tcp_drop) :
			  READ_ONCE(tune->defence_udp_drop);

	if (!drops || !to_vip(p->fn, p->af, &p->daddr))
		return NF_ACCEPT;
	return fnat_drop(p, tcp ? FNAT_DROP_DEFENCE_TCP :
				  FNAT_DROP_DEFENCE_UDP);
}

bool fnat_defence_fragment(struct fnat_net *fn, u16 af,
			   const union nf_inet_addr *daddr)
{
	if (!READ_ONCE(fn->tune.defence_frag_drop) || !to_vip(fn, af, daddr))
		return false;
	fnat_count(fn, FNAT_DROP_DEFENCE_FRAG);
	return true;
}
