/* status, reload, upgrade, stop, drain, undrain: commands to a running instance. */
#ifndef PC_APP_LIVE_COMMANDS_H
#define PC_APP_LIVE_COMMANDS_H

struct cli;

int live_status(const struct cli *cli);
int live_reload(const struct cli *cli);
int live_stop(const struct cli *cli);
int live_upgrade(const struct cli *cli);
int live_drain(const struct cli *cli);
int live_undrain(const struct cli *cli);

#endif
