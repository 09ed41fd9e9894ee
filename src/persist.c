// SPDX-License-Identifier: GPL-2.0
#include "addr.h"
#include "conn.h"
#include "dest.h"
#include "persist.h"
#include "pkt.h"
#include "sched.h"
#include "svc.h"

/* What the template of @p's client is found by: as in-tree IPVS lists it. */
static struct fnat_pkt template_key(const struct fnat_svc *svc,
				    const struct fnat_pkt *p)
{
	struct fnat_pkt key = {
		.fn	= p->fn,
		.l3mdev	= p->l3mdev,
		.af	= p->af,
		.proto	= FNAT_PROTO_TEMPLATE | svc->key.proto,
	};

	key.saddr = fnat_addr_network(p->af, &p->saddr,
				      READ_ONCE(svc->opts.netmask));
	if (svc->key.fwmark) {
		key.daddr.ip = htonl(svc->key.fwmark);
	} else {
		key.daddr = svc->key.addr;
		key.ports = fnat_ports(0, svc->key.port);
	}
	return key;
}

/*
 * The dest of @tmpl, bound once more, with a reference to @tmpl; NULL if
 * nobody is to be sent there any more. A full one goes on serving those whom it
 * knows; one of weight 0 does unless the operator wants otherwise.
 */
static struct fnat_dest *follow(struct fnat_conn *tmpl,
				const struct fnat_svc *svc,
				const struct fnat_dest *but)
{
	struct fnat_dest *dest = tmpl->dest;
	const struct fnat_tunables *tune = &svc->fn->tune;

	if (dest == but || READ_ONCE(dest->removed) || dest->svc != svc)
		return NULL;
	if (!READ_ONCE(dest->opts.weight) &&
	    READ_ONCE(tune->expire_quiescent_template))
		return NULL;
	if (!fnat_conn_get_template(tmpl))
		return NULL;
	if (!fnat_dest_bind(dest)) {
		fnat_conn_put_template(tmpl);
		return NULL;
	}
	fnat_conn_touch(svc->fn, tmpl);
	return dest;
}

/*
 * A dest for a client that is new, and its template, which replaces @old, if any:
 * as fnat_persist_pick().
 */
static struct fnat_dest *begin(struct fnat_svc *svc, const struct fnat_pkt *p,
			       const struct fnat_dest *but,
			       const struct fnat_pkt *key, struct fnat_conn *old,
			       struct fnat_conn **tmpl, enum fnat_event *why)
{
	struct fnat_dest *dest = fnat_sched_pick(svc, p, but);
	struct fnat_conn *c, *mine;
	struct fnat_dir *d;

	*why = FNAT_DROP_NO_DEST;
	if (!dest)
		return NULL;
	*why = FNAT_DROP_MEMORY;
	mine = fnat_conn_new_template(key, dest);
	if (!mine)
		goto unbind;
	refcount_inc(&mine->children);
	if (old)
		fnat_conn_kill(p->fn, old);
	d = fnat_conn_publish(p->fn, mine);
	c = d ? fnat_dir_conn(d) : NULL;
	if (c == mine) {
		*tmpl = mine;
		return dest;
	}
	fnat_conn_put_template(mine);
	/* Another CPU was faster with the same client, and a third has ended that. */
	if (!c)
		return dest;
	/* The dest of who was faster may be gone again. */
	fnat_dest_unbind(dest, false);
	*why = FNAT_DROP_NO_DEST;
	dest = follow(c, svc, but);
	if (dest)
		*tmpl = c;
	return dest;

unbind:
	fnat_dest_unbind(dest, false);
	return NULL;
}

/* fnat_persist_pick() of a service that is persistent. */
static noinline_for_stack
struct fnat_dest *pick_again(struct fnat_svc *svc, const struct fnat_pkt *p,
			     const struct fnat_dest *but,
			     struct fnat_conn **tmpl, enum fnat_event *why)
{
	struct fnat_pkt key = template_key(svc, p);
	struct fnat_dir *d = fnat_conn_find(&key);
	struct fnat_conn *old = NULL;
	struct fnat_dest *dest;

	if (d) {
		old = fnat_dir_conn(d);
		dest = follow(old, svc, but);
		if (dest) {
			*tmpl = old;
			return dest;
		}
	}
	return begin(svc, p, but, &key, old, tmpl, why);
}

struct fnat_dest *fnat_persist_pick(struct fnat_svc *svc,
				    const struct fnat_pkt *p,
				    const struct fnat_dest *but,
				    struct fnat_conn **tmpl,
				    enum fnat_event *why)
{
	*tmpl = NULL;
	*why = FNAT_DROP_NO_DEST;
	if (fnat_svc_has(svc, IP_VS_SVC_F_PERSISTENT))
		return pick_again(svc, p, but, tmpl, why);
	return fnat_sched_pick(svc, p, but);
}
