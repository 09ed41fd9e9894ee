/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A keyed permutation of [0, n): the order in which ports are handed out, so
 * that whoever sees some of them cannot tell the next. Pure.
 *
 * A four-round unbalanced Feistel network over the next power of two, walked
 * until it falls inside (Black and Rogaway, "Ciphers with Arbitrary Finite
 * Domains", 2002); at most two walks on average.
 */
#ifndef FNAT_SHUFFLE_H
#define FNAT_SHUFFLE_H

#ifdef __KERNEL__
#include <linux/types.h>
#endif

#define FNAT_SHUFFLE_ROUNDS	4

struct fnat_shuffle {
	u32	n;
	u8	lo_bits;
	u8	hi_bits;
	u32	key[FNAT_SHUFFLE_ROUNDS];	/* random */
};

/* Prepares @s for 1 <= @n <= 65536; the caller fills @s->key. */
void fnat_shuffle_init(struct fnat_shuffle *s, u32 n);

/* Where @i (below n) goes. */
u32 fnat_shuffle(const struct fnat_shuffle *s, u32 i);

#endif /* FNAT_SHUFFLE_H */
