/* The command line: one table, from which help, manual pages and completion are made too. */
#ifndef PC_APP_COMMANDS_H
#define PC_APP_COMMANDS_H

/* The exit status. */
int commands_main(int argc, char **argv);

#endif
