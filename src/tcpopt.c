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

/* The first of @kind that is at least @min bytes long; its length in *@n. Or NULL. */
static u8 *find(u8 *opt, unsigned int len, u8 kind, u8 min, u8 *n)
{
	const u8 *end = opt + len;
	const u8 *o = opt;

	for (; seek(&o, end, n); o += *n)
		if (*o == kind && *n >= min)
			return (u8 *)o;
	return NULL;
}

int fnat_tcpopt_wscale(const u8 *opt, unsigned int len)
{
	u8 n;
	const u8 *o = find((u8 *)opt, len, OPT_WSCALE, LEN_WSCALE, &n);

	if (!o || n != LEN_WSCALE)
		return -1;
	return o[2] > FNAT_TCPOPT_WSCALE_MAX ? FNAT_TCPOPT_WSCALE_MAX : o[2];
}

static void add32(u8 *at, u32 n)
{
	put_unaligned_be32(get_unaligned_be32(at) + n, at);
}

/* The timestamp option, of the one length that it may have; or NULL. */
static u8 *timestamp(u8 *opt, unsigned int len)
{
	u8 n;
	u8 *o = find(opt, len, OPT_TIMESTAMP, LEN_TIMESTAMP, &n);

	return o && n == LEN_TIMESTAMP ? o : NULL;
}

bool fnat_tcpopt_timestamp(const u8 *opt, unsigned int len, u32 *val, u32 *ecr)
{
	const u8 *o = timestamp((u8 *)opt, len);

	if (!o)
		return false;
	*val = get_unaligned_be32(o + 2);
	*ecr = get_unaligned_be32(o + 6);
	return true;
}

bool fnat_tcpopt_shift_timestamp(u8 *opt, unsigned int len, u32 val, u32 ecr)
{
	u8 *o = timestamp(opt, len);

	if (!o)
		return false;
	add32(o + 2, val);
	add32(o + 6, ecr);
	return true;
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
	u8 n;
	u8 *o = find(opt, len, OPT_TIMESTAMP, LEN_TIMESTAMP, &n);

	if (!o)
		return false;
	memset(o, OPT_NOP, n);
	return true;
}

bool fnat_tcpopt_shift_sack(u8 *opt, unsigned int len, u32 off)
{
	u8 n, i;
	u8 *o = find(opt, len, OPT_SACK, LEN_SACK_BASE + LEN_SACK_BLOCK, &n);

	if (!o)
		return false;
	for (i = LEN_SACK_BASE; i + LEN_SACK_BLOCK <= n; i += LEN_SACK_BLOCK) {
		add32(o + i, off);
		add32(o + i + 4, off);
	}
	return true;
}
