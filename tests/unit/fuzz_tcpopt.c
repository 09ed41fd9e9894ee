// SPDX-License-Identifier: GPL-2.0
/* libFuzzer: no option area, however broken, makes tcpopt.c leave it. */
#include <stdlib.h>

#include "tcpopt.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	size_t len = size > 40 ? 40 : size;
	u8 *opt = malloc(len ? len : 1);
	struct fnat_tcpopt_offer offer, again;
	u8 ours[FNAT_TCPOPT_OFFER_LEN];
	u32 val, ecr;

	memcpy(opt, data, len);
	fnat_tcpopt_wscale(opt, len);
	fnat_tcpopt_read(opt, len, &offer);
	/* What was understood is said again as it was. */
	fnat_tcpopt_read(ours, fnat_tcpopt_write(ours, &offer), &again);
	if (offer.mss != again.mss || offer.wscale != again.wscale ||
	    offer.sack != again.sack || offer.stamped != again.stamped ||
	    offer.tsval != again.tsval || offer.tsecr != again.tsecr)
		abort();
	fnat_tcpopt_timestamp(opt, len, &val, &ecr);
	fnat_tcpopt_shift_timestamp(opt, len, 0x12345678, 0x9abcdef0);
	fnat_tcpopt_shift_sack(opt, len, 0x12345678);
	fnat_tcpopt_strip_timestamp(opt, len);
	free(opt);
	return 0;
}
