// SPDX-License-Identifier: GPL-2.0
#include "shuffle.h"

void fnat_shuffle_init(struct fnat_shuffle *s, u32 n)
{
	u8 bits = 2;

	while (bits < 16 && (1U << bits) < n)
		bits++;
	s->n = n;
	s->lo_bits = bits / 2;
	s->hi_bits = bits - s->lo_bits;
}

/* The top @bits of a keyed product; the constant is 2^32 over the golden ratio. */
static u32 mix(u32 x, u32 key, u8 bits)
{
	x = (x + key) * 0x9e3779b1U;
	x ^= x >> 15;
	return (x * (key | 1)) >> (32 - bits);
}

u32 fnat_shuffle(const struct fnat_shuffle *s, u32 i)
{
	u32 hi, lo;

	do {
		hi = i >> s->lo_bits;
		lo = i & ((1U << s->lo_bits) - 1);
		hi ^= mix(lo, s->key[0], s->hi_bits);
		lo ^= mix(hi, s->key[1], s->lo_bits);
		hi ^= mix(lo, s->key[2], s->hi_bits);
		lo ^= mix(hi, s->key[3], s->lo_bits);
		i = hi << s->lo_bits | lo;
	} while (i >= s->n);
	return i;
}
