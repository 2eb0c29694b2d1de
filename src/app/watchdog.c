#include "app/watchdog.h"

#include "base/list.h"
#include "base/log.h"

#include <execinfo.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* For the stack to be written by a thread that does nothing else; in the kernel it may never be. */
enum { STACK_WAIT_MS = 500, STACK_LOOK_MS = 5, FRAMES_MAX = 64 };

/* Of the signal handler, which gets no argument. */
static atomic_bool stack_written;

/* Both calls take no lock and no memory once libgcc is loaded (backtrace(3)). */
static void write_stack(int number)
{
    void *frames[FRAMES_MAX];
    (void)number;
    backtrace_symbols_fd(frames, backtrace(frames, FRAMES_MAX), STDERR_FILENO);
    atomic_store(&stack_written, true);
}

void watchdog_init(struct watchdog *dog)
{
    void *frame[1];
    struct sigaction action = {.sa_handler = write_stack, .sa_flags = SA_RESTART};
    memset(dog, 0, sizeof *dog);
    (void)backtrace(frame, 1);
    sigemptyset(&action.sa_mask);
    sigaction(SIGUSR2, &action, NULL);
}

static void on_ping(struct loop_task *task)
{
    struct watched *w = LIST_OF(task, struct watched, ping);
    atomic_store(&w->asked, false);
}

void watchdog_watch(struct watchdog *dog, struct loop *loop, pthread_t thread)
{
    if (dog->count == THREADS_MAX)
        return;
    struct watched *w = &dog->loops[dog->count++];
    w->loop = loop;
    w->thread = thread;
    w->ping.run = on_ping;
}

static bool stands_still(struct watched *w, uint64_t passed_ms)
{
    if (atomic_load(&w->asked)) {
        w->stands_ms += passed_ms;
        return w->stands_ms >= WATCHDOG_MS;
    }
    w->stands_ms = 0;
    atomic_store(&w->asked, true);
    loop_post(w->loop, &w->ping);
    return false;
}

int watchdog_look(struct watchdog *dog, uint64_t now_ms)
{
    uint64_t passed_ms = now_ms - dog->looked_ms;
    if (passed_ms < WATCHDOG_LOOK_MS)
        return -1;
    if (passed_ms > WATCHDOG_LOOK_MS)
        passed_ms = WATCHDOG_LOOK_MS; /* we were late ourselves */
    dog->looked_ms = now_ms;
    for (unsigned i = 0; i < dog->count; i++)
        if (stands_still(&dog->loops[i], passed_ms))
            return (int)i;
    return -1;
}

int watchdog_timeout(const struct watchdog *dog, uint64_t now_ms)
{
    uint64_t passed_ms = now_ms - dog->looked_ms;
    if (dog->count == 0)
        return -1;
    return passed_ms >= WATCHDOG_LOOK_MS ? 0 : (int)(WATCHDOG_LOOK_MS - passed_ms);
}

void watchdog_tell(const struct watchdog *dog, unsigned index)
{
    const struct watched *w = &dog->loops[index];
    const struct timespec pause = {.tv_nsec = STACK_LOOK_MS * 1000 * 1000};
    log_error("loop %u has made no turn for %.1f s; its stack:", index,
              (double)w->stands_ms / 1000);
    atomic_store(&stack_written, false);
    if (pthread_kill(w->thread, SIGUSR2) != 0)
        return;
    for (int i = 0; i < STACK_WAIT_MS / STACK_LOOK_MS && !atomic_load(&stack_written); i++)
        nanosleep(&pause, NULL);
    if (!atomic_load(&stack_written))
        log_error("the stack cannot be had: the thread waits in the kernel");
}
