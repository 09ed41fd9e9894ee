/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The cookie: what a SYN offered, under a seal, as the sequence number of the
 * SYN-ACK. The client's ACK brings it back, and nobody remembers anything in
 * between. Pure.
 *
 *	31      30    28 27     24 23     22                        0
 *	window  MSS      scale     SACK   seal
 *
 * The nine bits above the seal tell what was offered and, of the time, whether
 * the window was odd or even. The seal is the keyed hash, cut to 23 bits, of the
 * flow with its first sequence number, and of the window.
 *
 * A client whose timestamps are answered brings back our TSval, too (RFC 7323), whose
 * lowest bits then tell scale, SACK and ECN; the seal has the room:
 *
 *	31      30    28 27                      0	5    4    3     0
 *	window  MSS      seal				ECN  SACK scale
 *
 * Whoever makes up an ACK chooses the form by adding a timestamp or not. Without,
 * he names, whatever he writes into the nine bits, one window that is accepted, and
 * hits the seal once in 2^23 for each key that is accepted in it: one, and while the
 * operator changes it two. Eight MSS, sixteen scales and SACK or
 * none (2^8) in two windows by two keys are the 2^10 of the 2^32 sequence numbers
 * that pass. With one, whatever it says, he hits a seal of 28 others, once in 2^28 for
 * each key: eight MSS in two windows by two keys are 2^5 of 2^32. An ACK is of one
 * form only, so the larger of the two, 2^-22 with two keys, is what he may count on.
 */
#ifndef FNAT_COOKIE_H
#define FNAT_COOKIE_H

#ifdef __KERNEL__
#include <linux/types.h>
#endif

#include "tcpopt.h"

#define FNAT_COOKIE_WINDOW	64	/* s; a cookie lives for one to two */

/*
 * What TSval says of @offer: @clock, whose lowest six bits are lost.
 */
u32 fnat_cookie_stamp(u32 clock, const struct fnat_tcpopt_offer *offer);

/*
 * The cookie of @offer, whose mss is rounded down to one that a cookie can
 * tell (216 at the least), in the form for who is @offer->stamped or not. @seal:
 * keyed hash over flow and @window.
 */
u32 fnat_cookie_make(u64 seal, u32 window, const struct fnat_tcpopt_offer *offer);

/* The window that @cookie was made in, if it is one that is accepted at @now. */
u32 fnat_cookie_window(u32 cookie, u32 now);

/*
 * Whether @cookie is sealed with @seal, in the form that @offer->stamped, of the ACK,
 * says; *@offer is then what it, and @offer->tsecr, tell.
 */
bool fnat_cookie_open(u64 seal, u32 cookie, struct fnat_tcpopt_offer *offer);

#endif /* FNAT_COOKIE_H */
