/* SPDX-License-Identifier: GPL-2.0 */
/*
 * TCP options, read and edited in place. Pure. @opt is the option area, @len
 * its length (data offset less 20, so at most 40); nothing outside is touched
 * whatever the bytes say (RFC 9293 3.1, RFC 2018, RFC 7323).
 */
#ifndef FNAT_TCPOPT_H
#define FNAT_TCPOPT_H

#ifdef __KERNEL__
#include <linux/types.h>
#endif

#define FNAT_TCPOPT_WSCALE_MAX	14	/* RFC 7323 2.3 */
#define FNAT_TCPOPT_OFFER_LEN	20	/* the most that an offer takes */

/* What a SYN or SYN-ACK offers. */
struct fnat_tcpopt_offer {
	u16	mss;		/* 0: says nothing of it */
	s8	wscale;		/* 0 to 14; -1: no scaling */
	bool	sack;
	bool	ecn;		/* by flags, of which nobody here knows */
	bool	stamped;	/* timestamps, of which the first: */
	u32	tsval;
	u32	tsecr;
};

/* Reads what a SYN offers by options; of what it says twice, the last. */
void fnat_tcpopt_read(const u8 *opt, unsigned int len,
		      struct fnat_tcpopt_offer *offer);

/*
 * Writes @offer to @opt, which has room for FNAT_TCPOPT_OFFER_LEN bytes, in the
 * order Linux does. Returns how many bytes it is, a multiple of four.
 */
unsigned int fnat_tcpopt_write(u8 *opt, const struct fnat_tcpopt_offer *offer);

/* The window scale that a SYN offers, at most 14; -1 if it offers none. */
int fnat_tcpopt_wscale(const u8 *opt, unsigned int len);

/* TSval and TSecr that a segment carries, in *@val and *@ecr. Whether there are any. */
bool fnat_tcpopt_timestamp(const u8 *opt, unsigned int len, u32 *val, u32 *ecr);

/* Adds @val to TSval and @ecr to TSecr of all timestamps. Whether there was one. */
bool fnat_tcpopt_shift_timestamp(u8 *opt, unsigned int len, u32 val, u32 ecr);

/* Overwrites all timestamp options with NOPs. Whether there was one. */
bool fnat_tcpopt_strip_timestamp(u8 *opt, unsigned int len);

/* Adds @off to both edges of every SACK block. Whether there was one. */
bool fnat_tcpopt_shift_sack(u8 *opt, unsigned int len, u32 off);

#endif /* FNAT_TCPOPT_H */
