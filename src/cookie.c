// SPDX-License-Identifier: GPL-2.0
#include "cookie.h"

#define SEAL_BITS	23
#define SEAL_MASK	((1U << SEAL_BITS) - 1)
#define NO_SCALE	15

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

u32 fnat_cookie_make(u64 seal, u32 window, const struct fnat_tcpopt_offer *offer)
{
	u32 scale = offer->wscale < 0 ? NO_SCALE : offer->wscale;

	return (window & 1) << 31 | mss_index(offer->mss) << 28 | scale << 24 |
	       (u32)offer->sack << SEAL_BITS | (seal & SEAL_MASK);
}

u32 fnat_cookie_window(u32 cookie, u32 now)
{
	return now - ((now ^ cookie >> 31) & 1);
}

bool fnat_cookie_open(u64 seal, u32 cookie, struct fnat_tcpopt_offer *offer)
{
	u32 scale = cookie >> 24 & 0xf;

	if ((cookie ^ seal) & SEAL_MASK)
		return false;
	offer->mss = mss_table[cookie >> 28 & 7];
	offer->wscale = scale == NO_SCALE ? -1 : scale;
	offer->sack = cookie >> SEAL_BITS & 1;
	return true;
}
