/* SPDX-License-Identifier: GPL-2.0 */
/* As much of a kernel as the pure files ask for, in user space. */
#ifndef FNAT_SHIM_H
#define FNAT_SHIM_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define likely(x)	(x)
#define unlikely(x)	(x)
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;

static inline s32 clamp(s32 x, s32 lo, s32 hi)
{
	return x < lo ? lo : x > hi ? hi : x;
}

static inline u32 get_unaligned_be32(const void *p)
{
	u32 v;

	memcpy(&v, p, sizeof(v));
	return ntohl(v);
}

static inline void put_unaligned_be32(u32 v, void *p)
{
	v = htonl(v);
	memcpy(p, &v, sizeof(v));
}

#endif /* FNAT_SHIM_H */
