// SPDX-License-Identifier: GPL-2.0
/* libFuzzer: whatever segments say, and in whatever order, states make sense. */
#include <stdlib.h>

#include "tcp_state.h"

#define MUST(cond)	do { if (!(cond)) abort(); } while (0)

/* What no event may do to a connection in @s. */
static void judge(enum fnat_state s, enum fnat_tcp_event ev,
		  enum fnat_state next)
{
	bool reset = ev == FNAT_TCP_EV_RST || ev == FNAT_TCP_EV_RST_MAYBE;

	MUST(next <= FNAT_TCP_S_MAX && fnat_state_name(next));
	MUST(reset == (next == FNAT_TCP_S_CLOSE) || s == FNAT_TCP_S_CLOSE ||
	     ev == FNAT_TCP_EV_ACK_FIN);
	MUST(ev != FNAT_TCP_EV_NONE || next == s);
	/* What has begun to close does not become active again. */
	MUST(fnat_state_active(s) || !fnat_state_active(next));
	MUST(next != FNAT_TCP_S_ESTABLISHED || s == next ||
	     ev == FNAT_TCP_EV_ACK_SYN);
	/* One side's FIN, however often, does not close both. */
	MUST(!fnat_state_lingers(next) || next == s ||
	     s == FNAT_TCP_S_FIN_WAIT || s == FNAT_TCP_S_CLOSE_WAIT);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	enum fnat_state s = FNAT_TCP_S_SYN_RECV;
	size_t i;

	for (i = 0; i < size; i++) {
		enum fnat_which dir = data[i] & 1 ? FNAT_S2C : FNAT_C2S;
		enum fnat_tcp_event ev = (data[i] >> 1) %
					 (FNAT_TCP_EV_RST_MAYBE + 1);
		enum fnat_state next;

		/* Of ACKs only the client's are told. */
		if (dir == FNAT_S2C && (ev == FNAT_TCP_EV_ACK_SYN ||
					ev == FNAT_TCP_EV_ACK_FIN))
			ev = FNAT_TCP_EV_NONE;
		next = fnat_tcp_next(s, dir, ev);
		judge(s, ev, next);
		s = next;
	}
	return 0;
}
