// SPDX-License-Identifier: GPL-2.0
#include <linux/slab.h>

#include "addr.h"
#include "conn.h"
#include "dest.h"
#include "dial.h"
#include "lport.h"
#include "pkt.h"
#include "svc.h"
#include "trace.h"

static struct kmem_cache *conn_cache, *conn6_cache;

int fnat_conn_cache_init(void)
{
	conn_cache = KMEM_CACHE(fnat_conn, SLAB_HWCACHE_ALIGN);
	if (!conn_cache)
		return -ENOMEM;
	conn6_cache = KMEM_CACHE(fnat_conn6, SLAB_HWCACHE_ALIGN);
	if (conn6_cache)
		return 0;
	kmem_cache_destroy(conn_cache);
	return -ENOMEM;
}

void fnat_conn_cache_exit(void)
{
	rcu_barrier();
	kmem_cache_destroy(conn6_cache);
	kmem_cache_destroy(conn_cache);
}

union nf_inet_addr fnat_conn_addr(const struct fnat_conn *c, enum fnat_end end)
{
	const struct fnat_dir *d = &c->dir[FNAT_C2S];
	union nf_inet_addr addr = {};

	/* With Route packets do not carry it. */
	if (end == FNAT_END_SERVER)
		return c->dest->addr;
	if (fnat_dir_af(d) == AF_INET6)
		addr.in6 = *fnat_dir_end6(d, end);
	else
		addr.ip = end == FNAT_END_CLIENT ? d->saddr :
			  end == FNAT_END_VIP ? d->daddr : d->new_saddr;
	return addr;
}

__be16 fnat_conn_port(const struct fnat_conn *c, enum fnat_end end)
{
	const struct fnat_dir *d = &c->dir[FNAT_C2S];
	__be32 ports = end < FNAT_END_LIP ? d->ports : d->new_ports;

	return end == FNAT_END_CLIENT || end == FNAT_END_LIP ?
	       fnat_sport(ports) : fnat_dport(ports);
}

void fnat_conn_sockaddr(void *to, const struct fnat_conn *c, enum fnat_end end)
{
	union nf_inet_addr addr = fnat_conn_addr(c, end);

	fnat_addr_sockaddr(to, fnat_dir_af(&c->dir[FNAT_C2S]), &addr,
			   fnat_conn_port(c, end));
}

static void free_rcu(struct rcu_head *head)
{
	struct fnat_conn *c = container_of(head, struct fnat_conn, rcu);

	if (fnat_dir_af(&c->dir[FNAT_C2S]) == AF_INET6)
		kmem_cache_free(conn6_cache,
				container_of(c, struct fnat_conn6, conn));
	else
		kmem_cache_free(conn_cache, c);
}

static void return_lport(struct fnat_net *fn, struct fnat_conn *c)
{
	const struct fnat_dir *d = &c->dir[FNAT_C2S];

	if (!c->lports)
		return;
	if (d->flags & FNAT_DIR_SENT && (s32)(fnat_now() - c->stamp) < FNAT_TIME_WAIT)
		fnat_lport_remember(fn, c->lports, c->port_index,
				    d->seq_end + d->seq_off,
				    c->flags & FNAT_CONN_TS_LOST);
	fnat_lport_put(fn, c->lports, c->port_index);
}

bool fnat_conn_get_template(struct fnat_conn *tmpl)
{
	return refcount_inc_not_zero(&tmpl->children);
}

void fnat_conn_put_template(struct fnat_conn *tmpl)
{
	if (tmpl && refcount_dec_and_test(&tmpl->children))
		call_rcu(&tmpl->rcu, free_rcu);
}

/* Gives back what @c holds; packets may still be reading it. */
static void release(struct fnat_net *fn, struct fnat_conn *c)
{
	int i;

	trace_fnat_conn_free(c, c->state);
	atomic_dec(&fn->nr_conns);
	if (c->flags & FNAT_CONN_TEMPLATE) {
		fnat_dest_unpersist(c->dest);
		fnat_conn_put_template(c);
		return;
	}
	fnat_dial_end(c);
	for (i = 0; i < 2; i++)
		dst_release(rcu_dereference_protected(c->dir[i].dst, true));
	return_lport(fn, c);
	fnat_dest_unbind(c->dest, c->flags & FNAT_CONN_INACTIVE);
	fnat_conn_put_template(c->tmpl);
	call_rcu(&c->rcu, free_rcu);
}

void fnat_conn_shift_timestamps(struct fnat_conn *c, u32 c_off, u32 s_off)
{
	c->ts_off[FNAT_C2S] = c_off;
	c->ts_off[FNAT_S2C] = s_off;
	c->dir[FNAT_C2S].flags |= FNAT_DIR_STAMPED;
	c->dir[FNAT_S2C].flags |= FNAT_DIR_STAMPED;
}

/*
 * The server sees sequence numbers of ours, for the client's belong to another
 * address: an earlier flow from this port may have left the server in
 * TIME_WAIT, above what this client begins with. So with timestamps. Without a
 * LIP they are the client's own.
 */
static void number(struct fnat_conn *c, const struct fnat_pkt *p,
		   const struct fnat_lport *lport)
{
	u32 tsval;

	c->dir[FNAT_C2S].seq_off = lport->isn - p->seq;
	c->dir[FNAT_S2C].ack_off = p->seq - lport->isn;
	/* Those of a cookie's client are dial.c's affair. */
	if (lport->map && p->tcp_flags & FNAT_TH_SYN &&
	    READ_ONCE(p->fn->tune.timestamp) == FNAT_TIMESTAMP_TRANSLATE &&
	    !lport->ts_lost && fnat_pkt_timestamp(p, &tsval))
		fnat_conn_shift_timestamps(c, lport->ts - tsval, 0);
}

/* Where the client's packets go: with Route, as far as they tell, to the VIP. */
static const union nf_inet_addr *target(const struct fnat_pkt *p,
					const struct fnat_dest *dest,
					const struct fnat_lport *lport)
{
	return lport->fwd_method == IP_VS_CONN_F_DROUTE ? &p->daddr : &dest->addr;
}

static __be16 target_port(const struct fnat_pkt *p,
			  const struct fnat_dest *dest,
			  const struct fnat_lport *lport)
{
	if (dest->port && lport->fwd_method != IP_VS_CONN_F_DROUTE)
		return dest->port;
	return fnat_dport(p->ports);
}

/* Addresses, as they come in and as they go out. */
static void fill4(struct fnat_conn *c, const struct fnat_pkt *p,
		  const struct fnat_lport *lport)
{
	struct fnat_dir *in = &c->dir[FNAT_C2S];
	struct fnat_dir *out = &c->dir[FNAT_S2C];

	in->saddr = p->saddr.ip;
	in->daddr = p->daddr.ip;
	in->new_saddr = lport->laddr->ip;
	in->new_daddr = target(p, c->dest, lport)->ip;
	in->proto = p->proto;

	out->saddr = in->new_daddr;
	out->daddr = in->new_saddr;
	out->new_saddr = in->daddr;
	out->new_daddr = in->saddr;
	out->proto = p->proto;
}

static void fill6(struct fnat_conn *c, const struct fnat_pkt *p,
		  const struct fnat_lport *lport)
{
	struct in6_addr *end = container_of(c, struct fnat_conn6, conn)->end;

	end[FNAT_END_CLIENT] = p->saddr.in6;
	end[FNAT_END_VIP] = p->daddr.in6;
	end[FNAT_END_LIP] = lport->laddr->in6;
	end[FNAT_END_SERVER] = target(p, c->dest, lport)->in6;
	fnat_conn_key6(p->fn, &c->dir[FNAT_C2S], p->proto);
	fnat_conn_key6(p->fn, &c->dir[FNAT_S2C], p->proto);
}

static void fill(struct fnat_conn *c, const struct fnat_pkt *p,
		 const struct fnat_lport *lport)
{
	__be16 rport = target_port(p, c->dest, lport);
	struct fnat_dir *in = &c->dir[FNAT_C2S];
	struct fnat_dir *out = &c->dir[FNAT_S2C];

	if (p->af == AF_INET)
		fill4(c, p, lport);
	else
		fill6(c, p, lport);
	in->ports = p->ports;
	in->new_ports = fnat_ports(lport->port, rport);
	in->l3mdev = p->l3mdev;

	out->ports = fnat_ports(rport, lport->port);
	out->new_ports = fnat_ports(fnat_dport(p->ports),
				    fnat_sport(p->ports));
	out->l3mdev = p->l3mdev;
	if (p->proto == IPPROTO_TCP)
		number(c, p, lport);
}

/* What all connections and templates begin with; NULL: no memory. */
static struct fnat_conn *alloc(const struct fnat_pkt *p, struct fnat_dest *dest)
{
	struct fnat_conn6 *c6;
	struct fnat_conn *c;

	if (p->af == AF_INET) {
		c = kmem_cache_zalloc(conn_cache, FNAT_GFP_PACKET);
	} else {
		c6 = kmem_cache_zalloc(conn6_cache, FNAT_GFP_PACKET);
		c = c6 ? &c6->conn : NULL;
	}
	if (!c)
		return NULL;
	c->dest = dest;
	c->hash[FNAT_C2S] = p->hash ?: fnat_conn_seek(p, &p->saddr, &p->daddr,
						      p->ports);
	c->flags = FNAT_CONN_DEAD;	/* until it is published */
	c->stamp = fnat_now();
	c->wheel = smp_processor_id() % FNAT_WHEELS;
	spin_lock_init(&c->lock);
	c->dir[FNAT_S2C].flags = FNAT_DIR_S2C;
	atomic_inc(&p->fn->nr_conns);
	return c;
}

static enum fnat_state first_state(const struct fnat_conn *c, u8 proto)
{
	if (proto == IPPROTO_TCP)
		return FNAT_TCP_S_SYN_RECV;
	if (!(c->flags & FNAT_CONN_ONEPACKET))
		return FNAT_S_UDP;
	return c->flags & FNAT_CONN_ROUTE ? FNAT_S_UDP_DONE : FNAT_S_UDP_ASKED;
}

static u8 method_flag(u32 fwd_method)
{
	switch (fwd_method) {
	case IP_VS_CONN_F_MASQ:
		return FNAT_CONN_MASQ;
	case IP_VS_CONN_F_DROUTE:
		return FNAT_CONN_ROUTE;
	default:
		return 0;
	}
}

/*
 * Its client is there: of UDP we take that on trust, of TCP it has ended a handshake.
 * Templates of others are what drop_entry ends, as in-tree.
 */
static void assure_template(const struct fnat_conn *c)
{
	if (c->tmpl && READ_ONCE(c->tmpl->state) != FNAT_S_ASSURED)
		WRITE_ONCE(c->tmpl->state, FNAT_S_ASSURED);
}

struct fnat_conn *fnat_conn_new(const struct fnat_pkt *p,
				struct fnat_dest *dest,
				const struct fnat_lport *lport,
				struct fnat_conn *tmpl)
{
	const __be32 ports = fnat_ports(target_port(p, dest, lport), lport->port);
	/* What is not in any cache comes while the connection is made. */
	const u32 hash = fnat_conn_seek(p, target(p, dest, lport), lport->laddr,
					ports);
	struct fnat_conn *c = alloc(p, dest);

	if (!c)
		return NULL;
	c->hash[FNAT_S2C] = hash;
	if (p->proto == IPPROTO_UDP &&
	    fnat_svc_has(dest->svc, IP_VS_SVC_F_ONEPACKET))
		c->flags |= FNAT_CONN_ONEPACKET;
	c->flags |= method_flag(lport->fwd_method);
	c->lports = lport->map;
	c->port_index = lport->index;
	c->tmpl = tmpl;
	c->state = first_state(c, p->proto);
	if (c->state != FNAT_TCP_S_SYN_RECV)
		assure_template(c);
	fill(c, p, lport);
	return c;
}

struct fnat_conn *fnat_conn_new_template(const struct fnat_pkt *key,
					 struct fnat_dest *dest)
{
	static const union nf_inet_addr none;
	static const struct fnat_lport nowhere = { .laddr = &none };
	struct fnat_conn *c = alloc(key, dest);
	struct fnat_dir *d;

	if (!c)
		return NULL;
	c->flags |= FNAT_CONN_TEMPLATE;
	c->state = FNAT_TCP_S_NONE;
	refcount_set(&c->children, 1);
	d = &c->dir[FNAT_C2S];
	d->ports = key->ports;
	d->l3mdev = key->l3mdev;
	d->new_ports = fnat_ports(0, dest->port);
	if (key->af == AF_INET)
		fill4(c, key, &nowhere);
	else
		fill6(c, key, &nowhere);
	fnat_dest_persist(dest);
	return c;
}

/* One more half-open connection of its service, or one less, if @c is one. */
static void count_half_open(const struct fnat_conn *c, int n)
{
	if (c->state == FNAT_TCP_S_SYN_RECV)
		atomic_add(n, &c->dest->svc->guard.half_open);
}

/* @c, both sides of which can be found, may be changed and killed from now on. */
static void live(struct fnat_net *fn, struct fnat_conn *c)
{
	trace_fnat_conn_new(c, c->state);
	count_half_open(c, 1);
	spin_lock(&c->lock);
	c->flags &= ~FNAT_CONN_DEAD;
	spin_unlock(&c->lock);
	fnat_wheel_add(fn, c);
}

/* Whether the caller is the one who is to bury @c. */
static bool die(struct fnat_conn *c)
{
	bool mine;

	spin_lock(&c->lock);
	mine = !(c->flags & FNAT_CONN_DEAD);
	c->flags |= FNAT_CONN_DEAD;
	spin_unlock(&c->lock);
	if (mine)
		count_half_open(c, -1);
	return mine;
}

void fnat_conn_abandon(struct fnat_net *fn, struct fnat_conn *c)
{
	release(fn, c);
}

static bool is_dead(struct fnat_dir *d)
{
	return READ_ONCE(fnat_dir_conn(d)->flags) & FNAT_CONN_DEAD;
}

/*
 * Links @d, or says who is there before it. Who is dying or not born yet is not there
 * for long: whoever sees to that has bottom halves off, and waits for nobody, for
 * all link the server's side first. Not so across sides: by mark and with Masq two
 * servers that speak to each other would wait for each other, and who claims to
 * speak to himself for himself.
 */
static struct fnat_dir *take_place(struct fnat_net *fn, struct fnat_dir *d)
{
	struct fnat_dir *other;

	while ((other = fnat_conn_link(fn, d)) && is_dead(other) &&
	       fnat_dir_which(other) == fnat_dir_which(d))
		cpu_relax();
	return other;
}

/*
 * Links the server's side of @c; or the client's side of who is there before it.
 * Where dests have no port of their own, two maps may give out the same, and
 * with Masq a client may use one port for two VIPs of a server: NULL in *@other.
 */
static bool link_server(struct fnat_net *fn, struct fnat_conn *c,
			struct fnat_dir **other)
{
	struct fnat_dir *d = take_place(fn, &c->dir[FNAT_S2C]);

	/* What has closed makes room, as for a client's SYN to the same VIP. */
	if (d && fnat_dir_proto(d) == IPPROTO_TCP &&
	    fnat_conn_has_closed(fnat_dir_conn(d))) {
		fnat_conn_kill(fn, fnat_dir_conn(d));
		d = take_place(fn, &c->dir[FNAT_S2C]);
	}
	if (!d)
		return true;
	/* The client's last datagram, or another CPU with the same packet. */
	*other = &fnat_dir_conn(d)->dir[FNAT_C2S];
	if (!fnat_conn_same_key(*other, &c->dir[FNAT_C2S]) || is_dead(d))
		*other = NULL;
	return false;
}

struct fnat_dir *fnat_conn_publish(struct fnat_net *fn, struct fnat_conn *c)
{
	struct fnat_dir *other;

	/* The server's side first: whoever finds the client's may send. */
	if (fnat_conn_hangs(c, FNAT_S2C) && !link_server(fn, c, &other)) {
		release(fn, c);
		return other;
	}
	other = fnat_conn_hangs(c, FNAT_C2S) ?
			take_place(fn, &c->dir[FNAT_C2S]) : NULL;
	if (other) {
		if (fnat_conn_hangs(c, FNAT_S2C))
			fnat_conn_unlink(fn, &c->dir[FNAT_S2C]);
		release(fn, c);
		return is_dead(other) ? NULL : other;
	}
	live(fn, c);
	return &c->dir[FNAT_C2S];
}

bool fnat_conn_replace(struct fnat_net *fn, struct fnat_conn *old,
		       struct fnat_conn *c)
{
	struct fnat_dir *other;

	if (!link_server(fn, c, &other)) {
		release(fn, c);
		return false;
	}
	if (!die(old)) {
		fnat_conn_unlink(fn, &c->dir[FNAT_S2C]);
		release(fn, c);
		return false;
	}
	fnat_conn_exchange(fn, &old->dir[FNAT_C2S], &c->dir[FNAT_C2S]);
	live(fn, c);
	fnat_wheel_del(fn, old);
	fnat_conn_unlink(fn, &old->dir[FNAT_S2C]);
	release(fn, old);
	return true;
}

void fnat_conn_kill(struct fnat_net *fn, struct fnat_conn *c)
{
	int i;

	/* No packet of this CPU's comes between death and burial. */
	local_bh_disable();
	if (die(c)) {
		fnat_wheel_del(fn, c);
		for (i = 0; i < 2; i++)
			if (fnat_conn_hangs(c, i))
				fnat_conn_unlink(fn, &c->dir[i]);
		release(fn, c);
	}
	local_bh_enable();
}

void fnat_conn_set_state(struct fnat_net *fn, struct fnat_conn *c,
			 enum fnat_state s)
{
	bool inactive = !fnat_state_active(s);

	lockdep_assert_held(&c->lock);
	if (c->flags & FNAT_CONN_DEAD)
		return;
	trace_fnat_conn_state(c, s);
	/* Its time begins now, however long it has waited for this. */
	WRITE_ONCE(c->stamp, fnat_now());
	count_half_open(c, -1);
	/* Who sees the state sees what goes with it: offsets, where it was dialled. */
	smp_store_release(&c->state, s);
	count_half_open(c, 1);
	if (s == FNAT_TCP_S_ESTABLISHED)
		assure_template(c);
	if (inactive != !!(c->flags & FNAT_CONN_INACTIVE)) {
		c->flags ^= FNAT_CONN_INACTIVE;
		fnat_dest_moved(c->dest, inactive);
	}
	fnat_wheel_hurry(fn, c);
}
