# SPDX-License-Identifier: MIT
"""Writes the same keys each time, as DER files in the current folder: RSA from primes out of a seeded generator, elliptic
curves from fixed numbers. They are for comparing computers, nothing else."""
import random

RSA, EC = '2a864886f70d010101', '2a8648ce3d0201'
CURVES = {'p256': (32, '2a8648ce3d030107'), 'p384': (48, '2b81040022'), 'p521': (66, '2b81040023'), 'k256': (32, '2b8104000a')}
EDWARDS = {'x25519': (32, '2b656e'), 'x448': (56, '2b656f'), 'ed25519': (32, '2b6570'), 'ed448': (57, '2b6571')}


def tlv(tag, *parts):
    body = b''.join(parts)
    n = len(body)
    size = bytes([n]) if n < 128 else bytes([0x81, n]) if n < 256 else bytes([0x82, n >> 8, n & 255])
    return bytes([tag]) + size + body


def number(n):
    return tlv(2, n.to_bytes(n.bit_length() // 8 + 1, 'big'))


def oid(text):
    return tlv(6, bytes.fromhex(text))


def pkcs8(algorithm, key):
    return tlv(0x30, number(0), tlv(0x30, *algorithm), tlv(4, key))


def probably_prime(n, r):
    if any(n % p == 0 for p in (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47)):
        return False
    s = ((n - 1) & -(n - 1)).bit_length() - 1
    for _ in range(12):
        x = pow(r.randrange(2, n - 1), n >> s, n)
        if x not in (1, n - 1) and not any((x := x * x % n) == n - 1 for _ in range(s - 1)):
            return False
    return True


def prime(bits, r, e):
    while True:
        n = r.getrandbits(bits) | 3 << bits - 2 | 1
        if n % e != 1 and probably_prime(n, r):
            return n


def rsa(bits, r):
    e = 65537
    p, q = sorted((prime(bits // 2, r, e), prime(bits // 2, r, e)), reverse=True)
    d = pow(e, -1, (p - 1) * (q - 1))
    fields = (0, p * q, e, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p))
    return pkcs8((oid(RSA), tlv(5)), tlv(0x30, *map(number, fields)))


def write(name, data):
    with open(name + '.der', 'wb') as f:
        f.write(data)


r = random.Random(65537)
for bits in (1024, 2048):
    write(f'rsa{bits}', rsa(bits, r))
for name, (size, curve) in CURVES.items():
    for who in 'ab':
        secret = r.getrandbits(size * 8 - 16).to_bytes(size, 'big')
        write(name + who, pkcs8((oid(EC), oid(curve)), tlv(0x30, number(1), tlv(4, secret))))
for name, (size, algorithm) in EDWARDS.items():
    for who in 'ab':
        write(name + who, pkcs8((oid(algorithm),), tlv(4, r.randbytes(size))))
