// SPDX-License-Identifier: GPL-2.0
#include <linux/random.h>

#include "addr.h"
#include "conn.h"
#include "dest.h"
#include "dial.h"
#include "lport.h"
#include "offer.h"
#include "pkt.h"
#include "probe.h"
#include "svc.h"
#include "synproxy.h"

/* Whoever adds a server may be about to add a LIP. */
#define SOON	(HZ / 5)
/* How often, and how many seconds apart, to try to send where there is none yet. */
#define TRIES	10
#define AGAIN	HZ
/* In how many seconds to ask who does not do any more what it did. */
#define LATER	5
#define NEVER	ULONG_MAX
/* Probes in a row. */
#define BATCH	1000

/* A port that the host's own connections do not begin from, if there is one. */
static __be16 spare_port(struct net *net)
{
	int low, high, port, spare;

	inet_get_local_port_range(net, &low, &high);
	low = max(low, FNAT_LPORT_FLOOR);
	spare = FNAT_LPORT_CEILING - FNAT_LPORT_FLOOR - (high - low);
	if (spare <= 0)
		return htons(low);
	port = FNAT_LPORT_FLOOR + get_random_u32_below(spare);
	return htons(port < low ? port : port + high - low + 1);
}

/* The SYN of a client that there is not; of Masq it is this host. */
static struct fnat_pkt syn_to(const struct fnat_dest *d)
{
	const struct fnat_svc *svc = d->svc;
	struct fnat_pkt syn = {
		.fn	= svc->fn,
		.daddr	= svc->key.addr,
		.af	= svc->key.af,
		.proto	= IPPROTO_TCP,
		.ports	= fnat_ports(0, d->port ?: svc->key.port),
		.seq	= get_random_u32(),
	};

	if (d->opts.fwd_method == IP_VS_CONN_F_MASQ) {
		syn.saddr = fnat_addr_towards(svc->fn->net, svc->key.af, &d->addr);
		syn.ports = fnat_ports(spare_port(svc->fn->net),
				       fnat_dport(syn.ports));
	}
	return syn;
}

/* What may be offered, is. */
static struct fnat_proof proof_of(const struct fnat_pkt *syn)
{
	return (struct fnat_proof){
		.isn		= syn->seq,
		.offer.mss	= syn->af == AF_INET ? 1460 : 1440,
		.offer.wscale	= FNAT_OFFER_SCALE,
		.offer.sack	= true,
		.offer.ecn	= true,
		.offer.stamped	= true,
		.offer.tsval	= (u32)(ktime_get_ns() >> 16),
		.win		= 0xffff,
	};
}

/* Sends @d, which is bound, its SYN. False if that cannot be. RCU, BH off. */
static bool call(struct fnat_dest *d)
{
	const struct fnat_pkt syn = syn_to(d);
	const struct fnat_proof proof = proof_of(&syn);
	struct fnat_net *fn = syn.fn;
	struct fnat_lport lport;
	enum fnat_event why;
	struct fnat_conn *c;
	struct fnat_dir *in;

	if (!fnat_lport_get(&syn, d, &lport, &why))
		goto unbind;
	c = fnat_conn_new(&syn, d, &lport, NULL);
	if (!c)
		goto put_lport;
	c->flags |= FNAT_CONN_ONEPACKET;
	if (fnat_dial_new(fn, c, &proof)) {
		fnat_conn_abandon(fn, c);
		return false;
	}
	in = fnat_conn_publish(fn, c);
	if (!in || fnat_dir_conn(in) != c)
		return false;
	fnat_count(fn, FNAT_EV_SYNPROXY_PROBE);
	fnat_dial_start(c);
	return true;

put_lport:
	fnat_lport_put(fn, lport.map, lport.index);
unbind:
	fnat_dest_unbind(d, false);
	return false;
}

static bool probe_dest(struct fnat_dest *d)
{
	bool called;

	/* With Route no answer comes; and of which port would one ask? */
	if (d->opts.fwd_method == IP_VS_CONN_F_DROUTE ||
	    !(d->port ?: d->svc->key.port))
		return true;
	local_bh_disable();
	rcu_read_lock();
	called = fnat_dest_bind(d) && call(d);
	rcu_read_unlock();
	local_bh_enable();
	return called;
}

static bool is_due(const struct fnat_dest *d)
{
	return d->probes || (fnat_offer_has_lost(d) &&
			     fnat_now() - d->probed >= LATER);
}

static void probe_again(struct fnat_dest *d)
{
	d->probed = fnat_now();
	if (d->probes)
		d->probes--;
	if (probe_dest(d))
		d->probes = 0;
}

/* Up to *@left servers of @svc; how long to wait until there is more to do. */
static unsigned long probe_svc(struct fnat_svc *svc, int *left)
{
	const struct fnat_dests *set = rcu_dereference_protected(svc->dests,
					lockdep_is_held(&svc->fn->cfg));
	unsigned long wait = NEVER;
	u32 i;

	for (i = 0; set && svc->opts.synproxy && i < set->n; i++) {
		struct fnat_dest *d = set->v[i];

		if (!d->opts.weight)
			continue;
		if (is_due(d)) {
			if (!*left)
				return AGAIN;
			(*left)--;
			probe_again(d);
		}
		if (d->probes)
			wait = AGAIN;
		else if (fnat_offer_has_lost(d))
			wait = min(wait, LATER * (unsigned long)HZ);
	}
	return wait;
}

static void probe(struct work_struct *work)
{
	struct fnat_net *fn = container_of(to_delayed_work(work),
					   struct fnat_net, probe);
	int left = READ_ONCE(fn->tune.synproxy_probe) ? BATCH : 0;
	unsigned long id, wait = NEVER;
	struct fnat_svc *svc;

	if (!left)
		return;
	mutex_lock(&fn->cfg);
	xa_for_each(&fn->svcs, id, svc)
		wait = min(wait, probe_svc(svc, &left));
	mutex_unlock(&fn->cfg);
	if (wait != NEVER)
		queue_delayed_work(fnat_wq, &fn->probe, wait);
}

void fnat_probe_init(struct fnat_net *fn)
{
	INIT_DELAYED_WORK(&fn->probe, probe);
}

void fnat_probe_exit(struct fnat_net *fn)
{
	cancel_delayed_work_sync(&fn->probe);
}

void fnat_probe_want(struct fnat_dest *dest)
{
	lockdep_assert_held(&dest->svc->fn->cfg);
	dest->probes = TRIES;
	fnat_probe_start(dest->svc);
}

void fnat_probe_later(struct fnat_svc *svc)
{
	queue_delayed_work(fnat_wq, &svc->fn->probe, LATER * HZ);
}

void fnat_probe_start(struct fnat_svc *svc)
{
	if (svc->opts.synproxy)
		queue_delayed_work(fnat_wq, &svc->fn->probe, SOON);
}
