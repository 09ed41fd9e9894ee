// SPDX-License-Identifier: GPL-2.0
/*
 * What a read of memory costs that no cache knows: each read's place depends
 * on the one before, or with APART on none, so that the CPU has as many under way
 * as it can. Measured while the module is loaded, MIB of memory as the
 * slabs have it (by the direct map) or, with VMALLOC, as tables that are too
 * large for them; the answer is in the parameter "picoseconds".
 */
#include <linux/cache.h>
#include <linux/gfp.h>
#include <linux/ktime.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#define CHUNK_ORDER	10
#define CHUNK_SIZE	(PAGE_SIZE << CHUNK_ORDER)
#define CHUNK_LINES	(CHUNK_SIZE / L1_CACHE_BYTES)
#define READS		(4 << 20)

static unsigned int mib = 1024;
module_param(mib, uint, 0444);
MODULE_PARM_DESC(mib, "MiB to read in, a power of two from 4 on");

static bool vmalloced;
module_param_named(vmalloc, vmalloced, bool, 0444);
MODULE_PARM_DESC(vmalloc, "whether they are vmalloc()ed");

static bool apart;
module_param(apart, bool, 0444);
MODULE_PARM_DESC(apart, "whether reads need not wait for each other");

static unsigned long picoseconds;
module_param(picoseconds, ulong, 0444);
MODULE_PARM_DESC(picoseconds, "the answer");

/* Walks a full cycle of @lines (Hull and Dobell); what is read is zero. */
static unsigned long walk(u8 **chunk, u32 lines)
{
	u64 start = ktime_get_ns();
	u32 at = 0;
	int i;

	for (i = 0; i < READS; i++) {
		u32 line = at >> (32 - ilog2(lines));
		u8 *p = chunk[line / CHUNK_LINES] +
			line % CHUNK_LINES * L1_CACHE_BYTES;
		u8 zero = READ_ONCE(*p);

		at = at * 1664525 + 1013904223;
		if (apart)
			continue;
		at += zero;
		/* Or both would become one sum that always waits. */
		barrier();
	}
	return div_u64((ktime_get_ns() - start) * 1000, READS);
}

static void *chunk_get(u8 *area, int i)
{
	if (area)
		return area + i * CHUNK_SIZE;
	return (void *)__get_free_pages(GFP_KERNEL | __GFP_ZERO, CHUNK_ORDER);
}

static int __init bench_mem_init(void)
{
	unsigned long size = (unsigned long)mib << 20;
	int n = size / CHUNK_SIZE, i;
	int err = -ENOMEM;
	u8 **chunk, *area;

	if (!n || !is_power_of_2(mib))
		return -EINVAL;
	area = vmalloced ? vzalloc(size) : NULL;
	chunk = kcalloc(n, sizeof(*chunk), GFP_KERNEL);
	if (!chunk || (vmalloced && !area))
		goto free;
	for (i = 0; i < n; i++) {
		chunk[i] = chunk_get(area, i);
		if (!chunk[i])
			goto free;
	}
	picoseconds = walk(chunk, size / L1_CACHE_BYTES);
	err = 0;
free:
	for (i = 0; chunk && !area && i < n; i++)
		free_pages((unsigned long)chunk[i], CHUNK_ORDER);
	kfree(chunk);
	vfree(area);
	return err;
}

static void __exit bench_mem_exit(void)
{
}

module_init(bench_mem_init);
module_exit(bench_mem_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("The latency of memory");
