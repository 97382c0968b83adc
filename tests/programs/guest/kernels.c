/* SPDX-License-Identifier: MIT */
/*
 * Loops that a compiler turns into vector, fused and bit-field instructions when it may, each over pseudo-random arrays; a
 * line with a digest of every bit of the results. Compiled in the guest and on the host, with several options.
 */
#include <complex.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N 1031 /* prime: each loop has a remainder */

static uint64_t state = 0x9e3779b97f4a7c15ull;
static uint64_t digest;

static uint64_t next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	return state ^= state << 17;
}

static void add(const void *p, size_t n)
{
	for (size_t k = 0; k < n; k++)
		digest = (digest ^ ((const uint8_t *)p)[k]) * 0x100000001b3ull;
}

static void show(const char *name)
{
	printf("%-20s %016llx\n", name, (unsigned long long)digest);
	digest = 0xcbf29ce484222325ull;
}

/* One function for each type: sums, products, comparisons, shifts, minimum and maximum, widening and narrowing. */
#define INTEGER(T, W, name) \
	static T a_##name[N], b_##name[N], c_##name[N]; \
	static W w_##name[N]; \
	static __attribute__((noinline)) void name(void) \
	{ \
		T least = (T)~(T)0, most = 0, sum = 0; \
		W wide = 0; \
		for (int k = 0; k < N; k++) { \
			a_##name[k] = (T)next(); \
			b_##name[k] = (T)next(); \
		} \
		for (int k = 0; k < N; k++) \
			c_##name[k] = (T)(a_##name[k] * b_##name[k] + (a_##name[k] > b_##name[k] ? 3 : b_##name[k])); \
		add(c_##name, sizeof(c_##name)); \
		for (int k = 0; k < N; k++) \
			w_##name[k] = (W)((W)a_##name[k] * (W)b_##name[k]); \
		add(w_##name, sizeof(w_##name)); \
		for (int k = 0; k < N; k++) \
			c_##name[k] = (T)(w_##name[k] >> 5) ^ (T)(a_##name[k] << 3) ^ (T)(b_##name[k] >> 2); \
		add(c_##name, sizeof(c_##name)); \
		for (int k = 0; k < N; k++) { \
			least = c_##name[k] < least ? c_##name[k] : least; \
			most = c_##name[k] > most ? c_##name[k] : most; \
			sum = (T)(sum + a_##name[k]); \
			wide = (W)(wide + w_##name[k]); \
		} \
		for (int k = 0; k < N; k++) \
			a_##name[k] = (T)((a_##name[k] + b_##name[k] + 1) >> 1) & (T)~c_##name[N - 1 - k]; \
		add(a_##name, sizeof(a_##name)); \
		add(&least, sizeof(least)); \
		add(&most, sizeof(most)); \
		add(&sum, sizeof(sum)); \
		add(&wide, sizeof(wide)); \
		show(#name); \
	}
INTEGER(int8_t, int16_t, signed8)
INTEGER(uint8_t, uint16_t, unsigned8)
INTEGER(int16_t, int32_t, signed16)
INTEGER(uint16_t, uint32_t, unsigned16)
INTEGER(int32_t, int64_t, signed32)
INTEGER(uint32_t, uint64_t, unsigned32)
INTEGER(uint64_t, unsigned __int128, unsigned64)

#define REAL(T, I, name, root, absolute) \
	static T a_##name[N], b_##name[N], c_##name[N]; \
	static I i_##name[N]; \
	static __attribute__((noinline)) void name(void) \
	{ \
		T sum = 0, most = 0; \
		for (int k = 0; k < N; k++) { \
			a_##name[k] = (T)(int64_t)next() / (T)(1ll << 40); \
			b_##name[k] = (T)(int32_t)next() / (T)7; \
		} \
		for (int k = 0; k < N; k++) \
			c_##name[k] = a_##name[k] * b_##name[k] + (T)0.125 - a_##name[k] / b_##name[k]; \
		add(c_##name, sizeof(c_##name)); \
		for (int k = 0; k < N; k++) \
			c_##name[k] = root(absolute(a_##name[k])) - (a_##name[k] < b_##name[k] ? b_##name[k] : (T)-1); \
		add(c_##name, sizeof(c_##name)); \
		for (int k = 0; k < N; k++) \
			i_##name[k] = (I)(c_##name[k] * (T)0.01); \
		add(i_##name, sizeof(i_##name)); \
		for (int k = 0; k < N; k++) { \
			c_##name[k] = (T)i_##name[k] * (T)1.5; \
			sum += c_##name[k] * a_##name[k]; \
			most = c_##name[k] > most ? c_##name[k] : most; \
		} \
		add(c_##name, sizeof(c_##name)); \
		add(&sum, sizeof(sum)); \
		add(&most, sizeof(most)); \
		show(#name); \
	}
REAL(float, int32_t, float32, sqrtf, fabsf)
REAL(double, int64_t, float64, sqrt, fabs)

static __attribute__((noinline)) void matrix(void)
{
	static double a[37][41], b[41][43], c[37][43];
	static float t[43][37];

	for (int i = 0; i < 37; i++)
		for (int j = 0; j < 41; j++)
			a[i][j] = (double)(int32_t)next() * 0x1p-20;
	for (int i = 0; i < 41; i++)
		for (int j = 0; j < 43; j++)
			b[i][j] = (double)(int32_t)next() * 0x1p-24;
	for (int i = 0; i < 37; i++)
		for (int j = 0; j < 43; j++)
			for (int k = 0; k < 41; k++)
				c[i][j] += a[i][k] * b[k][j];
	for (int i = 0; i < 37; i++)
		for (int j = 0; j < 43; j++)
			t[j][i] = (float)c[i][j];
	add(c, sizeof(c));
	add(t, sizeof(t));
	show("matrix");
}

static __attribute__((noinline)) void bit_fields(void)
{
	for (int k = 0; k < 4 * N; k++) {
		uint64_t a = next(), b = next() | 1;
		unsigned n = (unsigned)b & 63;
		uint64_t r[] = {
			a & ~b, a & -a, a ^ (a - 1), a & (a - 1), a >> n, a << n, (uint64_t)((int64_t)a >> n), a >> n | a << (64 - n) % 64,
			a & ((1ull << n) - 1), (a >> (n / 2)) & 0x3ff, (uint64_t)__builtin_popcountll(a), (uint64_t)__builtin_clzll(b),
			(uint64_t)__builtin_ctzll(a | 1ull << 63), (uint64_t)__builtin_parityll(a), __builtin_bswap64(a),
			(uint64_t)__builtin_bswap32((uint32_t)a), (uint64_t)(((unsigned __int128)a * b) >> 64), a / b, a % b,
			(uint64_t)((int64_t)a / (int64_t)b), (uint32_t)a / ((uint32_t)b | 1), (uint64_t)__builtin_ffsll((long long)a),
		};

		add(r, sizeof(r));
	}
	show("bit fields");
}

static __attribute__((noinline)) void wide_reals(void)
{
	long double x = 1, s = 0;
	__float128 q = 1;
	double complex z = 0.3 + 0.1 * I;
	char text[96];

	for (int k = 1; k < N; k++) {
		x = x * 1.0000001L + 1.0L / (long double)k - sqrtl((long double)k);
		s += fabsl(x) > 1e6L ? floorl(x / 3) : fmodl(x, 7.25L);
		q = q * 3 / 2 - (__float128)k / 7;
		if (q > 1e9Q)
			q /= 1e9Q;
		z = z * z + 0.2 - 0.1 * I;
	}
	snprintf(text, sizeof(text), "%.18Lg %.18Lg %.14g", x, s, creal(z) + cimag(z));
	add(text, strlen(text));
	add(&q, sizeof(q));
	show("wide reals");
}

static __attribute__((noinline)) void functions(void)
{
	double d[24];

	for (int k = 0; k < N; k++) {
		double x = (double)(int32_t)next() * 0x1p-27, y = fabs(x) + 0.001;
		double r[] = { sin(x), cos(x), tan(x), atan(x), exp(x), log(y), pow(y, x / 4), exp2(x), log2(y), sinh(x), tanh(x),
			asinh(x), cbrt(x), erf(x), tgamma(y), floor(x), ceil(x), rint(x), trunc(x), fma(x, y, -x), hypot(x, y), atan2(x, y) };
		float f[] = { sinf((float)x), cosf((float)x), expf((float)x), logf((float)y), powf((float)y, (float)x), truncf((float)x),
			fmaf((float)x, (float)y, 1.0f), rintf((float)x) };

		memcpy(d, r, sizeof(r));
		add(d, sizeof(r));
		add(f, sizeof(f));
	}
	show("functions");
}

static int by_value(const void *p, const void *q)
{
	uint32_t a = *(const uint32_t *)p, b = *(const uint32_t *)q;

	return a < b ? -1 : a > b;
}

static int sum_of(int n, ...)
{
	va_list ap;
	double s = 0;

	va_start(ap, n);
	for (int k = 0; k < n; k++)
		s += k % 2 ? va_arg(ap, double) : va_arg(ap, int);
	va_end(ap);
	return (int)s;
}

static __attribute__((noinline)) void library(void)
{
	static uint32_t numbers[5 * N];
	static char text[8 * N], copy[8 * N];
	static jmp_buf back;
	volatile int returns = 0;
	int total;

	for (int k = 0; k < 5 * N; k++)
		numbers[k] = (uint32_t)next();
	qsort(numbers, 5 * N, sizeof(numbers[0]), by_value);
	add(numbers, sizeof(numbers));
	for (size_t k = 0; k < sizeof(text) - 1; k++)
		text[k] = (char)('a' + next() % 26);
	for (int k = 0; k < 200; k++) {
		size_t at = next() % (sizeof(text) - 300), n = next() % 290;
		size_t found[5];

		memcpy(copy + at, text + at / 2, n);
		memmove(copy + at / 2, copy + at / 2 + n % 17, n);
		copy[at + n] = 0;
		found[0] = strlen(copy + at / 2);
		found[1] = (size_t)((char *)memchr(text + at, 'q', sizeof(text) - at) - text);
		found[2] = strcspn(text + at, "xyz");
		found[3] = (size_t)(memcmp(text, copy, n) < 0) + 2 * (size_t)(strncmp(text + at, copy + at, n) > 0);
		found[4] = (size_t)(strstr(text, "qu") - text);
		add(found, sizeof(found));
	}
	add(copy, sizeof(copy));
	if (setjmp(back) < 5) {
		returns++;
		longjmp(back, returns);
	}
	total = sum_of(6, 1, 2.5, 3, 4.5, 5, 6.5) + returns;
	add(&total, sizeof(total));
	show("library");
}

int main(void)
{
	signed8();
	unsigned8();
	signed16();
	unsigned16();
	signed32();
	unsigned32();
	unsigned64();
	float32();
	float64();
	matrix();
	bit_fields();
	wide_reals();
	functions();
	library();
	return 0;
}
