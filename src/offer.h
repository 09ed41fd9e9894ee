/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the SYN proxy of a service offers to clients in the place of the real
 * servers: what all of these can do, as far as they have been heard (dial.h,
 * probe.h), within what sysctls and the service itself allow.
 */
#ifndef FNAT_OFFER_H
#define FNAT_OFFER_H

#include "svc.h"
#include "tcpopt.h"

struct fnat_dest;

/*
 * Of the windows that clients are told, where they scale: one for all, so that a
 * director knows what another has said. Linux's own servers have it, unless they
 * are told to take much more; where a server's is another, windows are shifted.
 */
#define FNAT_OFFER_SCALE	7

/* What sysctls, and services of their own, may say. */
#define FNAT_OFFER_MSS_MIN	216	/* as IPv4 sends whole, less headers: cookie.c */
#define FNAT_OFFER_MSS_MAX	65535
#define FNAT_OFFER_TTL_MIN	1
#define FNAT_OFFER_TTL_MAX	255

/*
 * Reckons anew what @svc offers, after a change of its dests, of its options or of
 * a sysctl. Says false, for fnat_svc_each(). RCU or fn->cfg.
 */
bool fnat_offer_settle(struct fnat_svc *svc);

/* @dest has answered a SYN that offered @asked with @said. RCU. */
void fnat_offer_learn(struct fnat_dest *dest,
		      const struct fnat_tcpopt_offer *asked,
		      const struct fnat_tcpopt_offer *said);

/* Whether what @dest says that it does has become less: it is to be asked again. */
bool fnat_offer_has_lost(const struct fnat_dest *dest);

/*
 * What @svc offers to a client that offers @client; from which goes what is not
 * agreed, for its server is to hear nothing else. Returns the TTL of the SYN-ACK.
 */
u8 fnat_offer_agree(const struct fnat_svc *svc, struct fnat_tcpopt_offer *client,
		    struct fnat_tcpopt_offer *ours);

#endif /* FNAT_OFFER_H */
