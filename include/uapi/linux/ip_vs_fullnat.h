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
 * Forwarding method of a dest, beside IP_VS_CONN_F_MASQ and its kin. Requests
 * carry it in IPVS_DEST_ATTR_FWD_METHOD. Replies say MASQ there, the nearest
 * word that every tool knows, and FULLNAT in FNAT_DEST_ATTR_FWD_METHOD.
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
#define FNAT_CMD_MAX		FNAT_CMD_GET_LADDR

/* Top-level attribute, a nest of FNAT_LADDR_ATTR_*. */
#define FNAT_CMD_ATTR_LADDR	7
#define FNAT_CMD_ATTR_MAX	FNAT_CMD_ATTR_LADDR

/* A local address. */
#define FNAT_LADDR_ATTR_ADDR		1	/* binary, 4 or 16 bytes in, 16 out */
#define FNAT_LADDR_ATTR_PORT_CONFLICT	2	/* u64, out: picks that found no port */
#define FNAT_LADDR_ATTR_CONN_COUNTS	3	/* u32, out: live connections */
#define FNAT_LADDR_ATTR_PAD		4
#define FNAT_LADDR_ATTR_ADDR_LAST	64	/* binary, in: ADDR to here, inclusive */
#define FNAT_LADDR_ATTR_AF		65	/* u16, AF_INET or AF_INET6 */
#define FNAT_LADDR_ATTR_MAX		FNAT_LADDR_ATTR_AF

/* The most addresses that one NEW_LADDR or DEL_LADDR may name. */
#define FNAT_LADDR_RANGE_MAX		4096

/* In a DEST reply: the forwarding method as it is (u32). */
#define FNAT_DEST_ATTR_FWD_METHOD	64

/* In a GET_INFO reply: what this module can do (u32 of FNAT_FEATURE_*). */
#define FNAT_INFO_ATTR_FEATURES		64

#define FNAT_FEATURE_FULLNAT		(1U << 0)	/* forwarding method 5 */
#define FNAT_FEATURE_LADDR		(1U << 1)	/* commands 18 to 20 */

#endif /* _UAPI_LINUX_IP_VS_FULLNAT_H */
