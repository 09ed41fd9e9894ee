/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * What ip_vs_fullnat adds to the generic netlink family "IPVS" of
 * <linux/ip_vs.h>. Every upstream command and attribute keeps its number and
 * meaning; commands 18 to 20 and attribute 7 are those of the first FULLNAT
 * (2012), everything else of ours starts at 64, clear of upstream growth.
 *
 * Addresses and ports travel in network byte order, counts in host order.
 */
#ifndef _UAPI_LINUX_IP_VS_FULLNAT_H
#define _UAPI_LINUX_IP_VS_FULLNAT_H

/*
 * Forwarding method of a dest, beside IP_VS_CONN_F_MASQ and _DROUTE. Requests
 * carry it in IPVS_DEST_ATTR_FWD_METHOD. Replies say MASQ there, the nearest
 * word that every tool knows, and FULLNAT in FNAT_DEST_ATTR_FWD_METHOD. So an
 * IPVS_CMD_SET_DEST that says MASQ leaves a dest FULLNAT that is.
 */
#define IP_VS_CONN_F_FULLNAT	5

/*
 * Commands. A service is named by IPVS_CMD_ATTR_SERVICE; without it the
 * command speaks of the default pool, which serves every service that has no
 * local address of its own.
 *
 * NEW_LADDR and DEL_LADDR take one FNAT_CMD_ATTR_LADDR nest and are done for
 * its whole range or not at all. GET_LADDR is a dump; each reply carries the
 * service nest (its key only; absent for the default pool) and one LADDR nest.
 */
#define FNAT_CMD_NEW_LADDR	18
#define FNAT_CMD_DEL_LADDR	19
#define FNAT_CMD_GET_LADDR	20

/*
 * Connections with all four of their addresses: a dump of one FNAT_CMD_ATTR_CONN
 * nest per reply. The request may carry such a nest, too: only connections that
 * agree with every attribute in it (PROTO to FWMARK below, without STATE) are
 * sent. Nothing is held between two messages: connections that come or go while
 * the dump runs may or may not be in it, all others are, once.
 */
#define FNAT_CMD_GET_CONN	64

/*
 * The SYN proxy's cookies are sealed with FNAT_CMD_ATTR_SYNPROXY_KEY; or again with
 * keys of the director's own. No reply ever carries a key.
 */
#define FNAT_CMD_SET_SYNPROXY_KEY	65
#define FNAT_CMD_DEL_SYNPROXY_KEY	66
#define FNAT_CMD_MAX		FNAT_CMD_DEL_SYNPROXY_KEY

/* Top-level attributes: a nest of FNAT_LADDR_ATTR_*, one of FNAT_CONN_ATTR_*. */
#define FNAT_CMD_ATTR_LADDR	7
#define FNAT_CMD_ATTR_CONN	64
#define FNAT_CMD_ATTR_SYNPROXY_KEY	65	/* binary, in: 16 bytes */
#define FNAT_CMD_ATTR_MAX	FNAT_CMD_ATTR_SYNPROXY_KEY

#define FNAT_SYNPROXY_KEY_LEN	16

/* A local address. */
#define FNAT_LADDR_ATTR_ADDR		1	/* binary, 4 or 16 bytes in, 16 out */
#define FNAT_LADDR_ATTR_PORT_CONFLICT	2	/* u64, out: picks that found no port */
#define FNAT_LADDR_ATTR_CONN_COUNTS	3	/* u32, out: live connections */
#define FNAT_LADDR_ATTR_PAD		4
#define FNAT_LADDR_ATTR_ADDR_LAST	64	/* binary, in: ADDR to here, inclusive */
#define FNAT_LADDR_ATTR_AF		65	/* u16, AF_INET or AF_INET6 */
/*
 * u32, out: ports taken and left towards the real server (of the service; of
 * any, in the default pool) towards which the fewest are left. Absent: none has
 * been taken towards any.
 */
#define FNAT_LADDR_ATTR_PORTS_USED	66
#define FNAT_LADDR_ATTR_PORTS_FREE	67
#define FNAT_LADDR_ATTR_MAX		FNAT_LADDR_ATTR_PORTS_FREE

/* The most addresses that one NEW_LADDR or DEL_LADDR may name. */
#define FNAT_LADDR_RANGE_MAX		4096

/*
 * A connection. Addresses are 16 bytes out, 4 or 16 in; a filter by address
 * needs AF (the default is AF_INET).
 */
#define FNAT_CONN_ATTR_AF		1	/* u16 */
#define FNAT_CONN_ATTR_PROTO		2	/* u8, IPPROTO_TCP or IPPROTO_UDP */
#define FNAT_CONN_ATTR_CADDR		3	/* client */
#define FNAT_CONN_ATTR_CPORT		4	/* be16 */
#define FNAT_CONN_ATTR_VADDR		5	/* VIP */
#define FNAT_CONN_ATTR_VPORT		6	/* be16 */
/* LIP; absent with Masq and Route, which have none */
#define FNAT_CONN_ATTR_LADDR		7
#define FNAT_CONN_ATTR_LPORT		8	/* be16; likewise */
#define FNAT_CONN_ATTR_DADDR		9	/* real server */
#define FNAT_CONN_ATTR_DPORT		10	/* be16 */
#define FNAT_CONN_ATTR_FWMARK		11	/* u32, of its service; absent: none */
#define FNAT_CONN_ATTR_STATE		12	/* string, at most 15 characters */
#define FNAT_CONN_ATTR_EXPIRES		13	/* u32, seconds left */
#define FNAT_CONN_ATTR_MAX		FNAT_CONN_ATTR_EXPIRES

/*
 * Of a SERVICE. In a request that lacks one it stays as it is (a new service:
 * 0), so tools that know none of them take nothing away.
 */
#define FNAT_SVC_ATTR_SYNPROXY		64	/* u32, FNAT_SYNPROXY_* */
#define FNAT_SVC_ATTR_EST_TIMEOUT	65	/* u32 s, established; 0: as --set says */
#define FNAT_SVC_ATTR_SYNPROXY_ACTIVE	66	/* u32, out; 1: SYNs get cookies now */
#define FNAT_SVC_ATTR_SYNPROXY_STATS	67	/* out; FNAT_SYNPROXY_STATS_ATTR_* */
/*
 * A nest of FNAT_SYNPROXY_OFFER_ATTR_*: what the SYN proxy tells clients of this
 * service. Of what is not in it, the sysctl of that name decides.
 */
#define FNAT_SVC_ATTR_SYNPROXY_OFFER	68
#define FNAT_SVC_ATTR_MAX		FNAT_SVC_ATTR_SYNPROXY_OFFER

/* u32 each. */
#define FNAT_SYNPROXY_OFFER_ATTR_MSS		1	/* 216 to 65535: synproxy_init_mss */
#define FNAT_SYNPROXY_OFFER_ATTR_WSCALE		2	/* 0 or 1, as the next two */
#define FNAT_SYNPROXY_OFFER_ATTR_SACK		3
#define FNAT_SYNPROXY_OFFER_ATTR_TIMESTAMP	4
#define FNAT_SYNPROXY_OFFER_ATTR_TTL		5	/* 1 to 255: synproxy_synack_ttl */
#define FNAT_SYNPROXY_OFFER_ATTR_MAX		FNAT_SYNPROXY_OFFER_ATTR_TTL

/* What the SYN proxy of a service has done since IPVS_CMD_ZERO, u64 each. */
#define FNAT_SYNPROXY_STATS_ATTR_SYN_CNT	1	/* SYNs answered with cookies */
#define FNAT_SYNPROXY_STATS_ATTR_OK_ACK		2	/* cookies that came back */
#define FNAT_SYNPROXY_STATS_ATTR_BAD_ACK	3	/* no connection, no cookie */
#define FNAT_SYNPROXY_STATS_ATTR_PAD		4
#define FNAT_SYNPROXY_STATS_ATTR_MAX		FNAT_SYNPROXY_STATS_ATTR_PAD

#define FNAT_SYNPROXY_OFF		0
#define FNAT_SYNPROXY_ON		1
#define FNAT_SYNPROXY_AUTO		2	/* while there is a SYN flood */

/* In a DEST reply: the forwarding method as it is (u32). */
#define FNAT_DEST_ATTR_FWD_METHOD	64

/* In a GET_INFO reply: what this module can do (u32 of FNAT_FEATURE_*). */
#define FNAT_INFO_ATTR_FEATURES		64
/* u32 s: since the operator set the key that seals cookies; absent: he did not. */
#define FNAT_INFO_ATTR_SYNPROXY_KEY_AGE	65

#define FNAT_FEATURE_FULLNAT		(1U << 0)	/* forwarding method 5 */
#define FNAT_FEATURE_LADDR		(1U << 1)	/* commands 18 to 20 */
#define FNAT_FEATURE_EST_TIMEOUT	(1U << 2)	/* FNAT_SVC_ATTR_EST_TIMEOUT */
#define FNAT_FEATURE_CONN		(1U << 3)	/* FNAT_CMD_GET_CONN */
#define FNAT_FEATURE_SYNPROXY		(1U << 4)	/* FNAT_SVC_ATTR_SYNPROXY */
#define FNAT_FEATURE_SYNPROXY_KEY	(1U << 5)	/* FNAT_CMD_SET_SYNPROXY_KEY */
#define FNAT_FEATURE_SYNPROXY_STATS	(1U << 6)	/* FNAT_SVC_ATTR_SYNPROXY_STATS */
#define FNAT_FEATURE_SYNPROXY_OFFER	(1U << 7)	/* FNAT_SVC_ATTR_SYNPROXY_OFFER */

#endif /* _UAPI_LINUX_IP_VS_FULLNAT_H */
