// SPDX-License-Identifier: GPL-2.0
#include "tcpopt.h"

enum {
	OPT_EOL		= 0,
	OPT_NOP		= 1,
	OPT_MSS		= 2,
	OPT_WSCALE	= 3,
	OPT_SACK_PERM	= 4,
	OPT_SACK	= 5,
	OPT_TIMESTAMP	= 8,
};

enum {
	LEN_MSS		= 4,
	LEN_WSCALE	= 3,
	LEN_SACK_PERM	= 2,
	LEN_SACK_BASE	= 2,
	LEN_SACK_BLOCK	= 8,
	LEN_TIMESTAMP	= 10,
};

/*
 * Steps to the option at or behind *@o, NOPs left out, which lies whole before @end;
 * its length in *@n. False at the end, or if the bytes make no sense.
 */
static inline bool seek(const u8 **o, const u8 *end, u8 *n)
{
	while (end - *o >= 2) {
		if (**o > OPT_NOP) {
			*n = (*o)[1];
			return *n >= 2 && *n <= end - *o;
		}
		if (**o == OPT_EOL)
			return false;
		(*o)++;
	}
	return false;
}

/*
 * The first of @kind at or behind *@o, which is then behind it; its length in *@n. Or
 * NULL. Whoever looks for one takes all: of several, hosts believe the last.
 */
static u8 *next(const u8 **o, const u8 *end, u8 kind, u8 *n)
{
	const u8 *found;

	while (seek(o, end, n)) {
		found = *o;
		*o += *n;
		if (*found == kind)
			return (u8 *)found;
	}
	return NULL;
}

/* The same of timestamps, which have but one length. */
static u8 *next_timestamp(const u8 **o, const u8 *end)
{
	u8 *found;
	u8 n;

	do
		found = next(o, end, OPT_TIMESTAMP, &n);
	while (found && n != LEN_TIMESTAMP);
	return found;
}

int fnat_tcpopt_wscale(const u8 *opt, unsigned int len)
{
	const u8 *end = opt + len;
	const u8 *found;
	int scale = -1;
	u8 n;

	while ((found = next(&opt, end, OPT_WSCALE, &n)))
		if (n == LEN_WSCALE)
			scale = found[2] > FNAT_TCPOPT_WSCALE_MAX ?
				FNAT_TCPOPT_WSCALE_MAX : found[2];
	return scale;
}

static void add32(u8 *at, u32 n)
{
	put_unaligned_be32(get_unaligned_be32(at) + n, at);
}

bool fnat_tcpopt_timestamp(const u8 *opt, unsigned int len, u32 *val, u32 *ecr)
{
	const u8 *end = opt + len;
	bool any = false;
	const u8 *found;

	/* Of a flood of ACKs most have none. */
	if (len < LEN_TIMESTAMP)
		return false;
	while ((found = next_timestamp(&opt, end))) {
		*val = get_unaligned_be32(found + 2);
		*ecr = get_unaligned_be32(found + 6);
		any = true;
	}
	return any;
}

bool fnat_tcpopt_shift_timestamp(u8 *opt, unsigned int len, u32 val, u32 ecr)
{
	const u8 *end = opt + len;
	const u8 *o = opt;
	bool any = false;
	u8 *found;

	while ((found = next_timestamp(&o, end))) {
		add32(found + 2, val);
		add32(found + 6, ecr);
		any = true;
	}
	return any;
}

static inline void note_offer(const u8 *o, u8 n, struct fnat_tcpopt_offer *offer)
{
	switch (o[0] << 8 | n) {
	case OPT_MSS << 8 | LEN_MSS:
		offer->mss = o[2] << 8 | o[3];
		break;
	case OPT_WSCALE << 8 | LEN_WSCALE:
		offer->wscale = o[2] > FNAT_TCPOPT_WSCALE_MAX ?
				FNAT_TCPOPT_WSCALE_MAX : o[2];
		break;
	case OPT_SACK_PERM << 8 | LEN_SACK_PERM:
		offer->sack = true;
		break;
	case OPT_TIMESTAMP << 8 | LEN_TIMESTAMP:
		offer->stamped = true;
		offer->tsval = get_unaligned_be32(o + 2);
		offer->tsecr = get_unaligned_be32(o + 6);
		break;
	}
}

void fnat_tcpopt_read(const u8 *opt, unsigned int len,
		      struct fnat_tcpopt_offer *offer)
{
	const u8 *end = opt + len;
	const u8 *o = opt;
	u8 n;

	*offer = (struct fnat_tcpopt_offer){ .wscale = -1 };
	for (; seek(&o, end, &n); o += n)
		note_offer(o, n, offer);
}

unsigned int fnat_tcpopt_write(u8 *opt, const struct fnat_tcpopt_offer *offer)
{
	u8 *o = opt;

	if (offer->mss) {
		put_unaligned_be32(OPT_MSS << 24 | LEN_MSS << 16 | offer->mss, o);
		o += 4;
	}
	if (offer->sack && !offer->stamped) {
		put_unaligned_be32(OPT_NOP << 24 | OPT_NOP << 16 |
				   OPT_SACK_PERM << 8 | LEN_SACK_PERM, o);
		o += 4;
	}
	if (offer->stamped) {
		/* SACK has room before it. */
		put_unaligned_be32((offer->sack ?
				    OPT_SACK_PERM << 24 | LEN_SACK_PERM << 16 :
				    OPT_NOP << 24 | OPT_NOP << 16) |
				   OPT_TIMESTAMP << 8 | LEN_TIMESTAMP, o);
		put_unaligned_be32(offer->tsval, o + 4);
		put_unaligned_be32(offer->tsecr, o + 8);
		o += 12;
	}
	if (offer->wscale >= 0) {
		put_unaligned_be32(OPT_NOP << 24 | OPT_WSCALE << 16 |
				   LEN_WSCALE << 8 | offer->wscale, o);
		o += 4;
	}
	return o - opt;
}

bool fnat_tcpopt_strip_timestamp(u8 *opt, unsigned int len)
{
	const u8 *end = opt + len;
	const u8 *o = opt;
	bool any = false;
	u8 *found;

	while ((found = next_timestamp(&o, end))) {
		memset(found, OPT_NOP, LEN_TIMESTAMP);
		any = true;
	}
	return any;
}

bool fnat_tcpopt_shift_sack(u8 *opt, unsigned int len, u32 off)
{
	const u8 *end = opt + len;
	const u8 *o = opt;
	bool any = false;
	u8 *found;
	u8 n, i;

	while ((found = next(&o, end, OPT_SACK, &n)))
		for (i = LEN_SACK_BASE; i + LEN_SACK_BLOCK <= n;
		     i += LEN_SACK_BLOCK) {
			add32(found + i, off);
			add32(found + i + 4, off);
			any = true;
		}
	return any;
}
