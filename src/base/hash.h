/*
 * SipHash-1-3 under a key drawn once per process: tables whose keys come from the network cannot be
 * made to collide. hash_stable() has a fixed key, for values that two processes compare.
 */
#ifndef PC_BASE_HASH_H
#define PC_BASE_HASH_H

#include "base/str.h"

uint64_t hash_bytes(struct str s);
uint64_t hash_stable(uint64_t seed, struct str s);

/* Random bytes of the kernel; ends the process if it has none, since nothing safe can follow. */
void random_bytes(void *out, size_t len);

#endif
