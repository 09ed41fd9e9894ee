/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The SYN proxy: answers a SYN with a cookie (cookie.h) in its own skb and
 * remembers nothing. Only an ACK that brings the cookie back makes a connection,
 * whose real server is then dialled (dial.h).
 */
#ifndef FNAT_SYNPROXY_H
#define FNAT_SYNPROXY_H

#include <linux/types.h>

#include "guard.h"
#include "pkt.h"
#include "svc.h"
#include "tcpopt.h"

/* What an ACK has proven: the SYN that it answers for, and what was told. */
struct fnat_proof {
	u32				isn;	/* the client's */
	u32				told;	/* ours towards the client */
	/*
	 * The client's; mss rounded down. What there is of a timestamp is the
	 * ACK's: tsecr is what the client was told by us.
	 */
	struct fnat_tcpopt_offer	offer;
	u16				win;	/* the client's, unscaled as in a SYN */
};

/* Whether @p, of no connection, is a matter of the SYN proxy of @svc. */
static inline bool fnat_synproxy_guards(struct fnat_svc *svc,
					const struct fnat_pkt *p)
{
	return p->proto == IPPROTO_TCP &&
	       (fnat_guard_stands(&svc->guard) || fnat_guard_rises(svc));
}

/* Whether @p may bring a cookie back that it has given out. RCU. */
static inline bool fnat_synproxy_remembers(const struct fnat_svc *svc,
					   const struct fnat_pkt *p)
{
	return p->proto == IPPROTO_TCP &&
	       (fnat_guard_stands(&svc->guard) || fnat_guard_remembers(svc));
}

/*
 * Whether a client may begin anew, with a cookie, over a connection that we still
 * hold in @s: it is closed, and sysctl synproxy_conn_reuse and its kin let it.
 */
bool fnat_synproxy_reuses(const struct fnat_net *fn, enum fnat_state s);

/* Answers @p, an intact SYN to @svc. The verdict for netfilter. */
unsigned int fnat_synproxy_answer(const struct fnat_pkt *p,
				  struct fnat_svc *svc);

/*
 * Whether @p, of no connection or of one that has closed, brings a cookie back
 * that @svc may have given out.
 */
bool fnat_synproxy_proves(const struct fnat_pkt *p, const struct fnat_svc *svc,
			  struct fnat_proof *proof);

#endif /* FNAT_SYNPROXY_H */
