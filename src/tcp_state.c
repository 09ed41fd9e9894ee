// SPDX-License-Identifier: GPL-2.0
#include "tcp_state.h"

static const struct {
	const char	*name;
	u32		timeout;	/* s, as in-tree IPVS */
	bool		active;
} states[FNAT_TCP_S_MAX + 1] = {
	[FNAT_TCP_S_NONE]	 = { "NONE", 2, false },
	[FNAT_TCP_S_ESTABLISHED] = { "ESTABLISHED", 900, true },
	/* As long as synproxy_syn_retry may have it take, which is 127 s, and more. */
	[FNAT_TCP_S_SYN_SENT]	 = { "SYN_SENT", 180, true },
	[FNAT_TCP_S_SYN_RECV]	 = { "SYN_RECV", 60, true },
	[FNAT_TCP_S_FIN_WAIT]	 = { "FIN_WAIT", 120, false },
	[FNAT_TCP_S_TIME_WAIT]	 = { "TIME_WAIT", 120, false },
	[FNAT_TCP_S_CLOSE]	 = { "CLOSE", 10, false },
	[FNAT_TCP_S_CLOSE_WAIT]	 = { "CLOSE_WAIT", 60, false },
	[FNAT_TCP_S_LAST_ACK]	 = { "LAST_ACK", 30, false },
	[FNAT_TCP_S_LISTEN]	 = { "LISTEN", 120, false },
	[FNAT_TCP_S_SYNACK]	 = { "SYNACK", 120, true },
	[FNAT_S_UDP]		 = { "UDP", 300, true },
	[FNAT_S_UDP_ASKED]	 = { "UDP", 10, true },
	[FNAT_S_UDP_DONE]	 = { "UDP", 2, false },
	[FNAT_S_ASSURED]	 = { "ASSURED", 2, false },
};

static enum fnat_state after_fin(enum fnat_state s, enum fnat_which dir)
{
	bool server = dir == FNAT_S2C;

	switch (s) {
	case FNAT_TCP_S_SYN_RECV:
	case FNAT_TCP_S_ESTABLISHED:
		return server ? FNAT_TCP_S_FIN_WAIT : FNAT_TCP_S_CLOSE_WAIT;
	case FNAT_TCP_S_FIN_WAIT:
		return server ? s : FNAT_TCP_S_TIME_WAIT;
	case FNAT_TCP_S_CLOSE_WAIT:
		return server ? FNAT_TCP_S_LAST_ACK : s;
	default:
		return s;
	}
}

enum fnat_state fnat_tcp_next(enum fnat_state s, enum fnat_which dir,
			      enum fnat_tcp_event ev)
{
	switch (ev) {
	case FNAT_TCP_EV_RST:
	case FNAT_TCP_EV_RST_MAYBE:
		return FNAT_TCP_S_CLOSE;
	case FNAT_TCP_EV_FIN:
		return after_fin(s, dir);
	case FNAT_TCP_EV_ACK_SYN:
		return s == FNAT_TCP_S_SYN_RECV ? FNAT_TCP_S_ESTABLISHED : s;
	case FNAT_TCP_EV_ACK_FIN:
		/* The server closed last and is done; the client waits. */
		return s == FNAT_TCP_S_LAST_ACK ? FNAT_TCP_S_CLOSE : s;
	default:
		return s;
	}
}

enum fnat_state fnat_tcp_next_alone(enum fnat_state s, enum fnat_tcp_event ev)
{
	if (ev == FNAT_TCP_EV_RST)
		return FNAT_TCP_S_CLOSE;
	if (ev == FNAT_TCP_EV_FIN && s == FNAT_TCP_S_SYN_RECV)
		return FNAT_TCP_S_TIME_WAIT;
	if (ev == FNAT_TCP_EV_FIN && s == FNAT_TCP_S_ESTABLISHED)
		return FNAT_TCP_S_FIN_WAIT;
	if (ev == FNAT_TCP_EV_ACK_SYN && s == FNAT_TCP_S_SYN_RECV)
		return FNAT_TCP_S_ESTABLISHED;
	return s;
}

bool fnat_state_active(enum fnat_state s)
{
	return states[s].active;
}

bool fnat_state_lingers(enum fnat_state s)
{
	return s == FNAT_TCP_S_TIME_WAIT || s == FNAT_TCP_S_LAST_ACK;
}

const char *fnat_state_name(enum fnat_state s)
{
	return states[s].name;
}

void fnat_state_timeouts(u32 *timeout)
{
	int s;

	for (s = 0; s <= FNAT_TCP_S_MAX; s++)
		timeout[s] = states[s].timeout;
}
