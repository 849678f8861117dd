/* SPDX-License-Identifier: MIT */
/* The smallest program there is: what it costs is what it costs to start and end one. */
#include <unistd.h>

int main(void)
{
	return write(STDOUT_FILENO, "hello\n", 6) != 6;
}
