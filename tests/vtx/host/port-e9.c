/* SPDX-License-Identifier: MIT */
/*
 * port-e9 FILE: hands a file out of the emulated machine by Bochs's debug port, which writes every byte to the emulator's standard
 * output: a line "@@CV-FILE length", then the bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/io.h>
#include <sys/stat.h>
#include <unistd.h>

#define PORT 0xe9

int main(int argc, char **argv)
{
	static char buf[65536];
	struct stat st;
	int fd = argc == 2 ? open(argv[1], O_RDONLY) : -1;
	if (fd < 0 || fstat(fd, &st) < 0 || ioperm(PORT, 1, 1) < 0) {
		fprintf(stderr, "port-e9: %s\n", strerror(errno));
		return 1;
	}
	int n = snprintf(buf, sizeof(buf), "\n@@CV-FILE %lld\n", (long long)st.st_size);
	outsb(PORT, buf, (unsigned long)n);
	ssize_t got;
	while ((got = read(fd, buf, sizeof(buf))) > 0)
		outsb(PORT, buf, (unsigned long)got);
	return got < 0;
}
