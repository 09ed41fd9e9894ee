/* SPDX-License-Identifier: GPL-2.0 */
#ifndef FNAT_HOOK_H
#define FNAT_HOOK_H

struct fnat_net;

/*
 * Packets begin to reach @fn, or cease to; caller holds fn->cfg or is its
 * namespace's exit. After fnat_hook_exit() some may be under way for a grace
 * period. Calling either twice is harmless.
 */
int fnat_hook_init(struct fnat_net *fn);

/* Takes away what no service needs any more. Sleeps; caller holds fn->cfg. */
void fnat_hook_trim(struct fnat_net *fn);
void fnat_hook_exit(struct fnat_net *fn);

#endif /* FNAT_HOOK_H */
