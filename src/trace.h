/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints, under events/ip_vs_fullnat. They cost nothing until somebody
 * looks.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM ip_vs_fullnat

#if !defined(FNAT_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define FNAT_TRACE_H

#include <linux/tracepoint.h>

#include "conn.h"
#include "pkt.h"
#include "stats.h"

#define FNAT_TRACE_NAME	26	/* of a state or a reason, with its NUL */

/* A packet that we dropped, as it came in, and why: a name of ip_vs_ext_stats. */
TRACE_EVENT(fnat_drop,
	    TP_PROTO(const struct fnat_pkt *p, enum fnat_event why),
	    TP_ARGS(p, why),
	    TP_STRUCT__entry(__field(const void *, skbaddr)
			     __field(u8, proto)
			     __field(u8, tcp_flags)
			     __field(u16, sport)
			     __field(u16, dport)
			     __field(u32, mark)
			     __array(u8, saddr, 4)
			     __array(u8, daddr, 4)
			     __array(char, reason, FNAT_TRACE_NAME)),
	    TP_fast_assign(__entry->skbaddr = p->skb;
			   __entry->proto = p->proto;
			   __entry->tcp_flags = p->tcp_flags;
			   __entry->sport = ntohs(fnat_sport(p->ports));
			   __entry->dport = ntohs(fnat_dport(p->ports));
			   __entry->mark = p->skb->mark;
			   memcpy(__entry->saddr, &p->saddr.ip, 4);
			   memcpy(__entry->daddr, &p->daddr.ip, 4);
			   strscpy(__entry->reason, fnat_event_name(why), FNAT_TRACE_NAME);),
	    TP_printk("reason=%s proto=%u %pI4:%u > %pI4:%u tcp_flags=0x%02x mark=%u skbaddr=%p",
		      __entry->reason, __entry->proto, __entry->saddr,
		      __entry->sport, __entry->daddr, __entry->dport,
		      __entry->tcp_flags, __entry->mark, __entry->skbaddr)
);

/* A connection: its four ends, the client's and the VIP's first. */
DECLARE_EVENT_CLASS(fnat_conn,
		    TP_PROTO(const struct fnat_conn *c, u8 state),
		    TP_ARGS(c, state),
		    TP_STRUCT__entry(__field(const void *, conn)
				     __field(u8, proto)
				     __field(u16, cport)
				     __field(u16, vport)
				     __field(u16, lport)
				     __field(u16, dport)
				     __array(u8, caddr, 4)
				     __array(u8, vaddr, 4)
				     __array(u8, laddr, 4)
				     __array(u8, daddr, 4)
				     __array(char, old, FNAT_TRACE_NAME)
				     __array(char, state, FNAT_TRACE_NAME)),
		    TP_fast_assign(const struct fnat_dir *d = &c->dir[FNAT_C2S];

				   __entry->conn = c;
				   __entry->proto = d->proto & ~FNAT_PROTO_TEMPLATE;
				   __entry->cport = ntohs(fnat_sport(d->ports));
				   __entry->vport = ntohs(fnat_dport(d->ports));
				   __entry->lport = ntohs(fnat_sport(d->new_ports));
				   __entry->dport = ntohs(fnat_dport(d->new_ports));
				   memcpy(__entry->caddr, &d->saddr, 4);
				   memcpy(__entry->vaddr, &d->daddr, 4);
				   memcpy(__entry->laddr, &d->new_saddr, 4);
				   memcpy(__entry->daddr, &d->new_daddr, 4);
				   strscpy(__entry->old, fnat_state_name(c->state),
					   FNAT_TRACE_NAME);
				   strscpy(__entry->state, fnat_state_name(state),
					   FNAT_TRACE_NAME);),
		    TP_printk("conn=%p proto=%u %pI4:%u > %pI4:%u, %pI4:%u > %pI4:%u %s > %s",
			      __entry->conn, __entry->proto, __entry->caddr,
			      __entry->cport, __entry->vaddr, __entry->vport,
			      __entry->laddr, __entry->lport, __entry->daddr,
			      __entry->dport, __entry->old, __entry->state)
);

DEFINE_EVENT(fnat_conn, fnat_conn_new,
	     TP_PROTO(const struct fnat_conn *c, u8 state),
	     TP_ARGS(c, state));
DEFINE_EVENT(fnat_conn, fnat_conn_state,
	     TP_PROTO(const struct fnat_conn *c, u8 state),
	     TP_ARGS(c, state));
DEFINE_EVENT(fnat_conn, fnat_conn_free,
	     TP_PROTO(const struct fnat_conn *c, u8 state),
	     TP_ARGS(c, state));

#endif /* FNAT_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
