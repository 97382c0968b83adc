/* SPDX-License-Identifier: MIT */
/* Integer, SSE, x87 and string work with a running sum; the same text on every x86-64. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 88172645463325252ull;

static uint64_t next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	return state ^= state << 17;
}

static uint64_t sum;
static void add(const void *p, size_t n)
{
	for (size_t k = 0; k < n; k++)
		sum = (sum ^ ((const uint8_t *)p)[k]) * 0x100000001b3ull;
}

static void integers(void)
{
	for (int k = 0; k < 100000; k++) {
		uint64_t a = next(), b = next() | 1, r[10];
		unsigned __int128 wide = (unsigned __int128)a * b;

		r[0] = a / b;
		r[1] = a % b;
		r[2] = (uint64_t)((int64_t)a / (int64_t)(b | 2));
		r[3] = (uint64_t)(wide >> 64);
		r[4] = a << (b & 63) | a >> (b & 31);
		r[5] = (uint64_t)__builtin_popcountll(a) + (uint64_t)__builtin_ctzll(b) + (uint64_t)__builtin_clzll(b);
		r[6] = (uint64_t)((int32_t)a >> (b & 31));
		r[7] = __builtin_bswap64(a);
		r[8] = (uint64_t)((int16_t)a * (int16_t)b);
		r[9] = a > b ? a - b : b + a;
		add(r, sizeof(r));
	}
	printf("integers %016llx\n", (unsigned long long)sum);
}

static void floats(void)
{
	double x = 0.5;
	float y = 1.5f;

	for (int k = 0; k < 100000; k++) {
		int64_t n = (int64_t)next();
		double d = (double)n / 3.7, e = (double)(int32_t)n;
		float f = (float)n;
		int i = (int)(e / 7.0);

		x = x * 1.0000001 + d * 1e-18 - sqrt(fabs(e));
		y = y * 0.999f + f * 1e-15f;
		add(&x, sizeof(x));
		add(&y, sizeof(y));
		add(&i, sizeof(i));
	}
	printf("floats %016llx %.17g %.9g\n", (unsigned long long)sum, x, (double)y);
}

static void long_doubles(void)
{
	long double x = 1.25L, y = -3.5L;

	for (int k = 1; k < 30000; k++) {
		long double z = (long double)(int64_t)next();

		x = x * 0.75L + z / (k + 0.1L);
		y = sqrtl(fabsl(x)) - y * 0.5L + rintl(z / 1e12L);
		add(&x, 10);
		add(&y, 10);
	}
	printf("long doubles %016llx %.20Lg %.20Lg\n", (unsigned long long)sum, x, y);
}

static void strings(void)
{
	static char a[70000], b[70000];

	for (int k = 0; k < 200; k++) {
		size_t n = next() % 60000, at = next() % 100, from = next() % 100;

		memset(a + at, (int)next() & 0x7f, n);
		a[at + n] = 0;
		memcpy(b + from, a + at, n + 1);
		memmove(b + at, b + from, n / 2);
		n = strlen(b + from) + (size_t)(memcmp(a, b, 1000) > 0) + (size_t)(strchr(b + from, 'x') != NULL);
		add(&n, sizeof(n));
		add(b + from, 500);
	}
	printf("strings %016llx\n", (unsigned long long)sum);
}

static int order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

int main(void)
{
	static uint64_t v[50000];

	integers();
	floats();
	long_doubles();
	strings();
	for (unsigned k = 0; k < 50000; k++)
		v[k] = next();
	qsort(v, 50000, sizeof(v[0]), order);
	add(v, sizeof(v));
	printf("sorted %016llx\n", (unsigned long long)sum);
	return 0;
}
