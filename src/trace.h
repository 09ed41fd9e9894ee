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

#include "addr.h"
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
			     __array(u8, src, sizeof(struct sockaddr_in6))
			     __array(u8, dst, sizeof(struct sockaddr_in6))
			     __array(char, reason, FNAT_TRACE_NAME)),
	    TP_fast_assign(__entry->skbaddr = p->skb;
			   __entry->proto = p->proto;
			   __entry->tcp_flags = p->tcp_flags;
			   __entry->sport = ntohs(fnat_sport(p->ports));
			   __entry->dport = ntohs(fnat_dport(p->ports));
			   __entry->mark = p->skb->mark;
			   fnat_addr_sockaddr(__entry->src, p->af, &p->saddr,
					      fnat_sport(p->ports));
			   fnat_addr_sockaddr(__entry->dst, p->af, &p->daddr,
					      fnat_dport(p->ports));
			   strscpy(__entry->reason, fnat_event_name(why), FNAT_TRACE_NAME);),
	    TP_printk("reason=%s proto=%u %pISpc > %pISpc tcp_flags=0x%02x mark=%u skbaddr=%p",
		      __entry->reason, __entry->proto, __entry->src,
		      __entry->dst, __entry->tcp_flags, __entry->mark,
		      __entry->skbaddr)
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
				     __array(u8, client, sizeof(struct sockaddr_in6))
				     __array(u8, vip, sizeof(struct sockaddr_in6))
				     __array(u8, lip, sizeof(struct sockaddr_in6))
				     __array(u8, server, sizeof(struct sockaddr_in6))
				     __array(char, old, FNAT_TRACE_NAME)
				     __array(char, state, FNAT_TRACE_NAME)),
		    TP_fast_assign(const struct fnat_dir *d = &c->dir[FNAT_C2S];

				   __entry->conn = c;
				   __entry->proto = fnat_dir_proto(d);
				   __entry->cport = ntohs(fnat_sport(d->ports));
				   __entry->vport = ntohs(fnat_dport(d->ports));
				   __entry->lport = ntohs(fnat_sport(d->new_ports));
				   __entry->dport = ntohs(fnat_dport(d->new_ports));
				   fnat_conn_sockaddr(__entry->client, c, FNAT_END_CLIENT);
				   fnat_conn_sockaddr(__entry->vip, c, FNAT_END_VIP);
				   fnat_conn_sockaddr(__entry->lip, c, FNAT_END_LIP);
				   fnat_conn_sockaddr(__entry->server, c, FNAT_END_SERVER);
				   strscpy(__entry->old, fnat_state_name(c->state),
					   FNAT_TRACE_NAME);
				   strscpy(__entry->state, fnat_state_name(state),
					   FNAT_TRACE_NAME);),
		    TP_printk("conn=%p proto=%u %pISpc > %pISpc, %pISpc > %pISpc %s > %s",
			      __entry->conn, __entry->proto, __entry->client,
			      __entry->vip, __entry->lip, __entry->server,
			      __entry->old, __entry->state)
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
