/*
 * Built into everything by `make coverage`, and only there: a process that leaves by _exit(), as
 * all do here that came from fork(), would otherwise take its counts with it.
 */
#include <unistd.h>

void __gcov_dump(void);
void __wrap__exit(int status) __attribute__((noreturn));
void __real__exit(int status) __attribute__((noreturn));

void __wrap__exit(int status)
{
    __gcov_dump();
    __real__exit(status);
}
