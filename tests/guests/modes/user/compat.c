/* SPDX-License-Identifier: MIT */
/* A 32-bit program without libc, for compatibility mode: system calls by INT 80h, arithmetic, x87, BCD, segments. */
static unsigned call(unsigned n, unsigned a, unsigned b, unsigned c)
{
	unsigned r;

	__asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b), "d"(c) : "memory");
	return r;
}

static void say(const char *what, unsigned v)
{
	char line[40];
	unsigned n = 0;

	while (*what)
		line[n++] = *what++;
	for (int k = 28; k >= 0; k -= 4)
		line[n++] = "0123456789abcdef"[v >> k & 15];
	line[n++] = '\n';
	call(4, 1, (unsigned)line, n);
}

void _start(void);
void _start(void)
{
	unsigned a = 1, sum = 0, cs, v;
	long double x = 1;
	unsigned long long wide = 88172645463325252ull;

	for (unsigned k = 1; k < 200000; k++) {
		wide ^= wide << 13;
		wide ^= wide >> 7;
		wide ^= wide << 17;
		a = a * 1664525 + 1013904223;
		sum = (sum << 3 | sum >> 29) ^ (unsigned)(wide >> 32) ^ a / k ^ a % k;
	}
	say("integers ", sum);
	for (unsigned k = 1; k < 20000; k++)
		x = x * 0.75L + (long double)(int)(a ^= k * 2654435761u) / k;
	say("x87 ", (unsigned)(int)(x * 1000));
	__asm__("movl $0x1299, %%eax\n addb $0x39, %%al\n daa\n xchgb %%ah, %%al\n das\n aaa\n aam\n aad\n movzwl %%ax, %%eax" : "=a"(v) : : "cc");
	say("bcd ", v);
	__asm__ volatile("movl %%cs, %0" : "=r"(cs));
	say("cs ", cs);
	__asm__ volatile("pushal\n movl 28(%%esp), %%eax\n popal\n pushl %%ds\n popl %%es\n movl $7, %0" : "=a"(v) : : "memory");
	say("pushal ", v);
	/* To 64-bit mode and back. */
	__asm__ volatile("lcall $0x33, $1f\n jmp 2f\n 1: .byte 0x48, 0xb8\n .quad 0x1234567890\n .byte 0x48, 0xc1, 0xe8, 8\n lret\n 2:"
			 : "=a"(v) : : "memory", "cc");
	say("far call to 64-bit code ", v);
	call(1, 0, 0, 0);
}
