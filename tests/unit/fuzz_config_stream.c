// SPDX-License-Identifier: GPL-2.0
/* libFuzzer: what ipvsadm-restore reads, line by line, until it ends. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	dynamic_array_t *line;
	FILE *rules;
	size_t i;

	memcpy(text, data, size);
	rules = size ? fmemopen(text, size, "r") : NULL;
	while (rules && (line = config_stream_read(rules, "ipvsadm"))) {
		for (i = 0; i < dynamic_array_get_count(line); i++)
			if (!dynamic_array_get_element(line, i))
				abort();
		dynamic_array_destroy(line, DESTROY_STR);
	}
	if (rules)
		fclose(rules);
	free(text);
	return 0;
}
