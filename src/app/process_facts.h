/*
 * What a process weighs: memory, descriptors, processor time. The files in /proc are opened at the
 * start, since a confined process of another user can open none of them later.
 */
#ifndef PC_APP_PROCESS_FACTS_H
#define PC_APP_PROCESS_FACTS_H

#include <stdint.h>

struct process_facts;

struct process_numbers {
    uint64_t resident_bytes, virtual_bytes; /* 0: /proc could not be opened */
    uint64_t open_fds, max_fds;
    uint64_t cpu_us;
    uint64_t started_wall_us; /* when process_facts_new() was called */
};

/* NULL without memory. */
struct process_facts *process_facts_new(void) __attribute__((warn_unused_result));
void process_facts_end(struct process_facts *facts);
void process_facts_read(const struct process_facts *facts, struct process_numbers *numbers);

#endif
