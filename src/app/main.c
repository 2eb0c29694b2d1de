#include "app/commands.h"
#include "base/log.h"

int main(int argc, char **argv)
{
    log_init(2);
    return commands_main(argc, argv);
}
