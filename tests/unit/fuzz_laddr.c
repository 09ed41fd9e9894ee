// SPDX-License-Identifier: GPL-2.0
/* libFuzzer: ipvsadm's words for local addresses, whatever is typed. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "laddr.h"

#define MUST(cond)	do { if (!(cond)) abort(); } while (0)

static size_t addr_len(int af)
{
	return af == AF_INET ? 4 : 16;
}

/* The range is one, and what is printed of it is read as the same again. */
static void judge(const ipvs_laddr_t *laddr)
{
	char text[LADDR_STRLEN];
	ipvs_laddr_t again;

	MUST(laddr->af == AF_INET || laddr->af == AF_INET6);
	MUST(memcmp(&laddr->addr, &laddr->addr_last, addr_len(laddr->af)) <= 0);
	laddr_print(laddr, text, sizeof(text));
	MUST(!laddr_parse(text, &again));
	MUST(again.af == laddr->af);
	MUST(!memcmp(&again.addr, &laddr->addr, sizeof(again.addr)));
	MUST(!memcmp(&again.addr_last, &laddr->addr_last,
		     sizeof(again.addr_last)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *word = malloc(size + 1);
	ipvs_laddr_t laddr;
	const char *why;

	memcpy(word, data, size);
	word[size] = '\0';
	why = laddr_parse(word, &laddr);
	if (why)
		MUST(*why);
	else
		judge(&laddr);
	free(word);
	return 0;
}
