#include "app/process_facts.h"

#include "base/clock.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

struct process_facts {
    int statm; /* or -1 */
    DIR *fds;  /* or NULL */
    uint64_t started_wall_us;
};

struct process_facts *process_facts_new(void)
{
    struct process_facts *facts = calloc(1, sizeof *facts);
    if (facts == NULL)
        return NULL;
    facts->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    facts->fds = opendir("/proc/self/fd");
    facts->started_wall_us = clock_wall_us();
    return facts;
}

void process_facts_end(struct process_facts *facts)
{
    if (facts == NULL)
        return;
    if (facts->statm >= 0)
        close(facts->statm);
    if (facts->fds != NULL)
        closedir(facts->fds);
    free(facts);
}

/* proc(5): total size and resident set, in pages, are the first two numbers. */
static void read_memory(const struct process_facts *facts, struct process_numbers *numbers)
{
    char bytes[128] = "";
    unsigned long long size = 0, resident = 0;
    long page = sysconf(_SC_PAGESIZE);
    if (facts->statm < 0 || page <= 0 || pread(facts->statm, bytes, sizeof bytes - 1, 0) <= 0 ||
        sscanf(bytes, "%llu %llu", &size, &resident) != 2)
        return;
    numbers->virtual_bytes = size * (unsigned long)page;
    numbers->resident_bytes = resident * (unsigned long)page;
}

static void count_descriptors(const struct process_facts *facts, struct process_numbers *numbers)
{
    const struct dirent *entry;
    if (facts->fds == NULL)
        return;
    rewinddir(facts->fds);
    while ((entry = readdir(facts->fds)) != NULL)
        numbers->open_fds += entry->d_name[0] != '.';
}

static uint64_t us_of(struct timeval time)
{
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec;
}

void process_facts_read(const struct process_facts *facts, struct process_numbers *numbers)
{
    struct rlimit limit;
    struct rusage usage;
    *numbers = (struct process_numbers){.started_wall_us = facts->started_wall_us};
    read_memory(facts, numbers);
    count_descriptors(facts, numbers);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        numbers->max_fds = limit.rlim_cur;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        numbers->cpu_us = us_of(usage.ru_utime) + us_of(usage.ru_stime);
}
