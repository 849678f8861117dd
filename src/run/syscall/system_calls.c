/* SPDX-License-Identifier: MIT */
/*
 * The system as a whole: its name, memory, load, random numbers, logs.
 */
#include "run/syscall/families.h"
#include "run/syscall/rows.h"

static const struct syscall_row rows[] = {
	ROW_HOST(uname, 0, A_OUT(buf, 390)),
	ROW_HOST(sethostname, 0, A_IN_BYTES(name, 1, 1), A_INT(len)),
	ROW_HOST(setdomainname, 0, A_IN_BYTES(name, 1, 1), A_INT(len)),
	ROW_HOST(sysinfo, 0, A_OUT(info, 112)),
	ROW_HOST(getrandom, SYSCALL_RESTART | SYSCALL_BLOCKS, A_OUT_BYTES(buf, 1, 1),
		 A_LONG(buflen), A_INT(flags)),
	ROW_HOST(syslog, SYSCALL_RESTART | SYSCALL_BLOCKS, A_INT(type), A_OUT_BYTES(bufp, 2, 1),
		 A_INT(len)),
	ROW_HOST(vhangup, 0, {NULL, ARG_NONE, 0, 0}),
	ROW_HOST(acct, 0, A_PATH(filename)),
	ROW_HOST(swapon, 0, A_PATH(path), A_INT(swapflags)),
	ROW_HOST(swapoff, 0, A_PATH(path)),
	ROW_HOST(reboot, 0, A_INT(magic), A_INT(magic2), A_INT(op), A_STRING(arg, 256)),
	ROW_HOST(delete_module, 0, A_STRING(name, 64), A_INT(flags)),
	ROW_HOST(eventfd, SYSCALL_NEW_FD, A_INT(initval)),
	ROW_HOST(eventfd2, SYSCALL_NEW_FD, A_INT(initval), A_INT(flags)),
	ROW_HOST(inotify_init, SYSCALL_NEW_FD, {NULL, ARG_NONE, 0, 0}),
	ROW_HOST(inotify_init1, SYSCALL_NEW_FD, A_INT(flags)),
	ROW_HOST(inotify_add_watch, 0, A_FD(fd), A_PATH(pathname), A_INT(mask)),
	ROW_HOST(inotify_rm_watch, 0, A_FD(fd), A_INT(wd)),
};
SYSCALL_FAMILY(system_calls, "System", rows);
