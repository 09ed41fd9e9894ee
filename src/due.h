/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Seconds in which the expiry wheel is to meet connections, as the 16 bits that a
 * connection has room for.
 */
#ifndef FNAT_DUE_H
#define FNAT_DUE_H

#define FNAT_DUE_SLOTS	1024	/* of the wheel, which divide 65536 */

/*
 * The second @ahead of @now, but one in another slot than @now: what is further
 * away is met sooner, and again. Never 0, which says that it is on no wheel; that
 * second is the next one, and that is why the last slot but one is the furthest.
 */
static inline u16 fnat_due(u32 now, s32 ahead)
{
	u16 due = now + clamp(ahead, 1, FNAT_DUE_SLOTS - 2);

	return due ? due : 1;
}

/* Seconds from @now until @due, less than half of what 16 bits can tell apart. */
static inline s32 fnat_due_ahead(u16 due, u32 now)
{
	return (s16)(due - (u16)now);
}

#endif /* FNAT_DUE_H */
