// SPDX-License-Identifier: GPL-2.0
#include "cookie.h"

#define SEAL_BITS	23
#define SEAL_MASK	((1U << SEAL_BITS) - 1)
#define NO_SCALE	15

/* Beside a timestamp, and of the other half, lest one form pass for the other: */
#define LONG_SEAL_SHIFT	32
#define LONG_SEAL_MASK	((1U << 28) - 1)
#define STAMP_SCALE	0xf
#define STAMP_SACK	0x10
#define STAMP_ECN	0x20
#define STAMP_MASK	0x3f

/*
 * The least that IPv4 sends whole less headers, both families' defaults (RFC
 * 9293 3.7.1), what tunnels and PPPoE leave of Ethernet's, and jumbo frames'.
 */
static const u16 mss_table[] = { 216, 536, 1220, 1360, 1400, 1440, 1460, 8960 };

static u32 mss_index(u16 mss)
{
	u32 i = ARRAY_SIZE(mss_table) - 1;

	while (i && mss_table[i] > mss)
		i--;
	return i;
}

static u32 scale_of(const struct fnat_tcpopt_offer *offer)
{
	return offer->wscale < 0 ? NO_SCALE : offer->wscale;
}

u32 fnat_cookie_stamp(u32 clock, const struct fnat_tcpopt_offer *offer)
{
	return (clock & ~STAMP_MASK) | scale_of(offer) |
	       (offer->sack ? STAMP_SACK : 0) | (offer->ecn ? STAMP_ECN : 0);
}

u32 fnat_cookie_make(u64 seal, u32 window, const struct fnat_tcpopt_offer *offer)
{
	u32 head = (window & 1) << 31 | mss_index(offer->mss) << 28;

	if (offer->stamped)
		return head | (seal >> LONG_SEAL_SHIFT & LONG_SEAL_MASK);
	return head | scale_of(offer) << 24 | (u32)offer->sack << SEAL_BITS |
	       (seal & SEAL_MASK);
}

u32 fnat_cookie_window(u32 cookie, u32 now)
{
	return now - ((now ^ cookie >> 31) & 1);
}

bool fnat_cookie_open(u64 seal, u32 cookie, struct fnat_tcpopt_offer *offer)
{
	bool stamped = offer->stamped;
	u32 stamp = offer->tsecr;
	u32 scale = stamped ? stamp & STAMP_SCALE : cookie >> 24 & 0xf;

	if (stamped ? (cookie ^ seal >> LONG_SEAL_SHIFT) & LONG_SEAL_MASK :
		      (cookie ^ seal) & SEAL_MASK)
		return false;
	offer->mss = mss_table[cookie >> 28 & 7];
	offer->wscale = scale == NO_SCALE ? -1 : scale;
	offer->sack = stamped ? stamp & STAMP_SACK : cookie >> SEAL_BITS & 1;
	offer->ecn = stamped && stamp & STAMP_ECN;
	return true;
}
