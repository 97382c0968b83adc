# SPDX-License-Identifier: MIT
"""Prints digests of the results of Python's arithmetic: every bit of a result counts, not only whether a test accepts it.

    digests.py [THOUSANDS]      operands of each operation, in thousands (1)
"""
import cmath
import decimal
import fractions
import hashlib
import math
import random
import statistics
import struct
import sys
import zlib
import binascii

COUNT = int(sys.argv[1]) * 1000 if len(sys.argv) > 1 else 1000


def show(name, results):
    digest = hashlib.sha256()
    count = 0
    for r in results:
        digest.update(r if isinstance(r, bytes) else repr(r).encode())
        count += 1
    print(f'{name:24} {count:7} {digest.hexdigest()[:32]}')


def tried(f, *args):
    try:
        return f(*args)
    except (ValueError, ArithmeticError) as e:
        return type(e).__name__


def any_float(r):
    """All exponents, infinities, NaNs and denormals as often as their encodings; every other time a modest number."""
    if r.random() < 0.5:
        return struct.unpack('<d', struct.pack('<Q', r.getrandbits(64)))[0]
    return r.uniform(-40, 40)


def bits(x):
    """A float as its bytes: the sign and payload of a NaN count, too."""
    return struct.pack('<d', x) if isinstance(x, float) else repr(x).encode()


def integers():
    r = random.Random(1)
    for bits_of in (8, 30, 64, 128, 1000, 5000):
        operands = [(r.getrandbits(bits_of) - r.getrandbits(bits_of), r.getrandbits(bits_of // 2 + 1) + 1) for _ in range(COUNT)]
        show(f'int {bits_of}', ((a + b, a * b, a // b, a % b, a ^ b, a >> 7, a << 13, math.gcd(a, b), math.isqrt(abs(a)))
                                for a, b in operands))
        show(f'int {bits_of} as text', (str(a) for a, _ in operands[:200]))
    show('int pow', (pow(r.getrandbits(512), r.getrandbits(128), r.getrandbits(512) | 1) for _ in range(COUNT // 20)))


def floats():
    r = random.Random(2)
    operands = [(any_float(r), any_float(r)) for _ in range(COUNT)]
    show('float', (b''.join(bits(tried(f, a, b)) for f in (
        float.__add__, float.__sub__, float.__mul__, float.__truediv__, float.__mod__, math.fmod, math.remainder, math.hypot,
        math.atan2, math.copysign, math.pow, math.nextafter)) for a, b in operands))
    for name in ('sqrt exp expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh erf erfc gamma '
                 'lgamma cbrt exp2 floor ceil trunc frexp modf').split():
        f = getattr(math, name)
        show(name, (bits(tried(f, a)) for a, _ in operands))
    for name in 'sqrt exp log sin cos tan asin acos atan sinh cosh tanh'.split():
        f = getattr(cmath, name)
        show('complex ' + name, (bits(z) if isinstance(z, str) else bits(z.real) + bits(z.imag)
                                 for z in (tried(f, complex(a, b)) for a, b in operands)))
    show('float as text', ((repr(a), f'{a:.17e}', f'{a:.3g}', a.hex()) for a, _ in operands))
    show('text as float', (bits(float(f'{r.getrandbits(70)}e{r.randrange(-340, 300)}')) for _ in range(COUNT)))
    show('struct', (tried(struct.pack, '<fde', a if abs(a) < 1e38 or a != a else 0.0, a, 0.0 if a != a else a % 1) for a, _ in operands
                    if a - a == 0))
    finite = [a for a, _ in operands if abs(a) < 41]
    show('statistics', (statistics.mean(finite), statistics.stdev(finite), statistics.median(finite), math.fsum(finite)))


def exact():
    r = random.Random(3)
    context = decimal.Context(prec=50)
    operands = [(decimal.Decimal(r.getrandbits(150)).scaleb(r.randrange(-60, 30)), decimal.Decimal(r.getrandbits(90) + 1).scaleb(-20))
                for _ in range(COUNT)]
    show('decimal', ((context.add(a, b), context.multiply(a, b), context.divide(a, b), context.sqrt(a)) for a, b in operands))
    show('decimal exp, ln', ((tried(context.exp, b), context.ln(b), context.power(b, decimal.Decimal('0.37'))) for _, b in operands[:COUNT // 10]))
    wide = decimal.Context(prec=6000)
    show('decimal, 6000 digits', (wide.sqrt(decimal.Decimal(n)) * wide.sqrt(decimal.Decimal(n + 1)) for n in range(2, 5)))
    show('fractions', (fractions.Fraction(r.getrandbits(60), r.getrandbits(50) + 1) * fractions.Fraction(7, r.getrandbits(30) + 1)
                       for _ in range(COUNT)))


def bytes_():
    r = random.Random(4)
    text = b''.join(b'%d,%d;' % (n, n * n % 977) for n in range(COUNT * 20)) + r.randbytes(COUNT * 20)
    for name in sorted(hashlib.algorithms_guaranteed):
        show('hash ' + name, [hashlib.new(name, text).digest(64) if 'shake' in name else hashlib.new(name, text).digest()])
    for level in (0, 1, 6, 9):
        packed = zlib.compress(text, level)
        assert zlib.decompress(packed) == text
        show(f'zlib {level}', [packed])
    show('crc32, adler32', (zlib.crc32(text), zlib.adler32(text)))
    show('base64', [binascii.b2a_base64(text), binascii.hexlify(text[:999])])
    show('pbkdf2', (hashlib.pbkdf2_hmac(h, b'password', b'salt', COUNT // 2) for h in ('sha1', 'sha256', 'sha512')))
    show('scrypt', [hashlib.scrypt(b'password', salt=b'salt', n=256, r=8, p=1)])


integers()
floats()
exact()
bytes_()
