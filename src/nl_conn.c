// SPDX-License-Identifier: GPL-2.0
#include <net/sock.h>

#include "conn.h"
#include "dest.h"
#include "nl.h"
#include "pkt.h"

const struct nla_policy fnat_conn_policy[FNAT_CONN_ATTR_MAX + 1] = {
	[FNAT_CONN_ATTR_AF]	= { .type = NLA_U16 },
	[FNAT_CONN_ATTR_PROTO]	= { .type = NLA_U8 },
	[FNAT_CONN_ATTR_CADDR]	= { .type = NLA_BINARY, .len = FNAT_ADDR_LEN },
	[FNAT_CONN_ATTR_CPORT]	= { .type = NLA_U16 },
	[FNAT_CONN_ATTR_VADDR]	= { .type = NLA_BINARY, .len = FNAT_ADDR_LEN },
	[FNAT_CONN_ATTR_VPORT]	= { .type = NLA_U16 },
	[FNAT_CONN_ATTR_LADDR]	= { .type = NLA_BINARY, .len = FNAT_ADDR_LEN },
	[FNAT_CONN_ATTR_LPORT]	= { .type = NLA_U16 },
	[FNAT_CONN_ATTR_DADDR]	= { .type = NLA_BINARY, .len = FNAT_ADDR_LEN },
	[FNAT_CONN_ATTR_DPORT]	= { .type = NLA_U16 },
	[FNAT_CONN_ATTR_FWMARK]	= { .type = NLA_U32 },
};

/* One of the ends: CADDR, CPORT and so on, in the order of enum fnat_end. */
struct end {
	union nf_inet_addr	addr;
	__be16			port;
};

/* A connection, or a filter: then only what is set counts. */
struct view {
	struct end	end[FNAT_ENDS];
	bool		has_lip;
	u16		af;
	u8		proto;
	u32		fwmark;
};

struct filter {
	struct view	wanted;
	bool		has_proto;
	bool		has_fwmark;
	bool		has_af;
	bool		has_addr[FNAT_ENDS];
	bool		has_port[FNAT_ENDS];
};

static int addr_attr(int end)
{
	return FNAT_CONN_ATTR_CADDR + 2 * end;
}

static int port_attr(int end)
{
	return FNAT_CONN_ATTR_CPORT + 2 * end;
}

static int parse_end(struct nlattr **tb, int end, u16 af, struct filter *f,
		     struct netlink_ext_ack *ea)
{
	const struct nlattr *addr = tb[addr_attr(end)];
	const struct nlattr *port = tb[port_attr(end)];

	f->has_port[end] = port;
	if (port)
		f->wanted.end[end].port = nla_get_be16(port);
	f->has_addr[end] = addr;
	if (!addr)
		return 0;
	f->has_af = true;
	return fnat_nl_addr(addr, af, &f->wanted.end[end].addr, ea);
}

static int parse_filter(const struct nlattr *attr, struct filter *f,
			struct netlink_ext_ack *ea)
{
	struct nlattr *tb[FNAT_CONN_ATTR_MAX + 1];
	u16 af = AF_INET;
	int err, end;

	memset(f, 0, sizeof(*f));
	if (!attr)
		return 0;
	err = nla_parse_nested(tb, FNAT_CONN_ATTR_MAX, attr, fnat_conn_policy,
			       ea);
	if (err)
		return err;
	if (tb[FNAT_CONN_ATTR_AF])
		af = nla_get_u16(tb[FNAT_CONN_ATTR_AF]);
	err = fnat_nl_family(af, ea);
	if (err)
		return err;
	f->wanted.af = af;
	f->has_af = tb[FNAT_CONN_ATTR_AF];
	f->has_proto = tb[FNAT_CONN_ATTR_PROTO];
	if (f->has_proto)
		f->wanted.proto = nla_get_u8(tb[FNAT_CONN_ATTR_PROTO]);
	f->has_fwmark = tb[FNAT_CONN_ATTR_FWMARK];
	if (f->has_fwmark)
		f->wanted.fwmark = nla_get_u32(tb[FNAT_CONN_ATTR_FWMARK]);
	for (end = 0; end < FNAT_ENDS && !err; end++)
		err = parse_end(tb, end, af, f, ea);
	return err;
}

static void look_at(struct view *v, struct fnat_dir *d)
{
	const struct fnat_conn *c = fnat_dir_conn(d);
	int i;

	v->af = fnat_dir_af(d);
	v->proto = fnat_dir_proto(d);
	v->fwmark = c->dest->svc->key.fwmark;
	v->has_lip = fnat_conn_has_lip(c);
	for (i = 0; i < FNAT_ENDS; i++) {
		v->end[i].addr = fnat_conn_addr(c, i);
		v->end[i].port = fnat_conn_port(c, i);
	}
}

/* Without a LIP, nothing agrees with one. */
static bool lacks(const struct view *v, int end)
{
	return end == FNAT_END_LIP && !v->has_lip;
}

static bool passes(const struct view *v, const struct filter *f)
{
	int i;

	if ((f->has_af && v->af != f->wanted.af) ||
	    (f->has_proto && v->proto != f->wanted.proto) ||
	    (f->has_fwmark && v->fwmark != f->wanted.fwmark))
		return false;
	for (i = 0; i < FNAT_ENDS; i++) {
		const struct end *want = &f->wanted.end[i];

		if ((f->has_addr[i] || f->has_port[i]) && lacks(v, i))
			return false;
		if (f->has_addr[i] &&
		    !nf_inet_addr_cmp(&v->end[i].addr, &want->addr))
			return false;
		if (f->has_port[i] && v->end[i].port != want->port)
			return false;
	}
	return true;
}

static int put_conn(struct sk_buff *msg, const struct fnat_net *fn,
		    const struct fnat_conn *c, const struct view *v)
{
	struct nlattr *nest = nla_nest_start(msg, FNAT_CMD_ATTR_CONN);
	int i;

	if (!nest || nla_put_u16(msg, FNAT_CONN_ATTR_AF, v->af) ||
	    nla_put_u8(msg, FNAT_CONN_ATTR_PROTO, v->proto) ||
	    nla_put_string(msg, FNAT_CONN_ATTR_STATE,
			   fnat_state_name(READ_ONCE(c->state))) ||
	    nla_put_u32(msg, FNAT_CONN_ATTR_EXPIRES, fnat_conn_left(fn, c)))
		return -EMSGSIZE;
	if (v->fwmark && nla_put_u32(msg, FNAT_CONN_ATTR_FWMARK, v->fwmark))
		return -EMSGSIZE;
	for (i = 0; i < FNAT_ENDS; i++)
		if (!lacks(v, i) &&
		    (nla_put(msg, addr_attr(i), FNAT_ADDR_LEN,
			     &v->end[i].addr) ||
		     nla_put_be16(msg, port_attr(i), v->end[i].port)))
			return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

static int put_msg(struct sk_buff *msg, struct netlink_callback *cb,
		   const struct fnat_net *fn, struct fnat_dir *d,
		   const struct view *v)
{
	void *hdr = fnat_nl_dump_start(msg, cb, FNAT_CMD_GET_CONN);

	if (!hdr)
		return -EMSGSIZE;
	if (put_conn(msg, fn, fnat_dir_conn(d), v)) {
		genlmsg_cancel(msg, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(msg, hdr);
	return 0;
}

/* Where a dump is: a bucket, and how many in it have been sent. */
struct place {
	unsigned long	bucket;
	unsigned long	before;
};

/*
 * Sends what is left of a bucket: 0, or -EMSGSIZE. A bucket goes out whole if it
 * can, so that one that changes between two messages shows nothing twice.
 */
static int put_bucket(struct sk_buff *msg, struct netlink_callback *cb,
		      struct fnat_net *fn, const struct filter *f)
{
	struct place *at = (struct place *)cb->ctx;
	unsigned int start = msg->len;
	unsigned long n = 0;
	struct fnat_dir *d;
	struct view v;

	for (d = fnat_conn_next(fn, at->bucket, NULL); d;
	     d = fnat_conn_next(fn, at->bucket, d)) {
		if (fnat_dir_conn(d)->flags & FNAT_CONN_TEMPLATE ||
		    n++ < at->before)
			continue;
		look_at(&v, d);
		if (!passes(&v, f) || !put_msg(msg, cb, fn, d, &v))
			continue;
		if (start)
			nlmsg_trim(msg, msg->data + start);
		else
			at->before = n - 1;
		return -EMSGSIZE;
	}
	return 0;
}

int fnat_nl_dump_conn(struct sk_buff *msg, struct netlink_callback *cb)
{
	struct nlattr **attrs = fnat_genl_dump_attrs(cb);
	struct fnat_net *fn = fnat_net(sock_net(msg->sk));
	struct place *at = (struct place *)cb->ctx;
	struct filter f;
	int err;

	err = parse_filter(attrs[FNAT_CMD_ATTR_CONN], &f, cb->extack);
	/* The table comes with the first service, and stays. */
	if (err || !smp_load_acquire(&fn->conn_tab))
		return err;
	for (; at->bucket <= fn->conn_mask; at->bucket++, at->before = 0) {
		rcu_read_lock();
		err = put_bucket(msg, cb, fn, &f);
		rcu_read_unlock();
		if (err)
			break;
		if (at->bucket % 1024 == 0) {
			cond_resched();
			if (fatal_signal_pending(current))
				return -EINTR;
		}
	}
	return msg->len;
}
