# SPDX-License-Identifier: MIT
# openssl.sh quick|full: digests, ciphers, MACs, key derivation, signatures and key agreement of fixed inputs. What is
# random by its nature (ECDSA's and PSS's signatures) is made and then verified.
level=$1
python3 - <<'END'
import random
r = random.Random(7)
for n in (0, 1, 15, 16, 63, 64, 65, 127, 1000, 100000):
    open(f'd{n}', 'wb').write(r.randbytes(n))
END
key=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
iv=f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff
short() { sha256sum | cut -c 1-32; }
cut_to() { echo "$2" | cut -c "1-$(($1 * 2))"; }

echo '# digests'
sizes='d0 d1 d63 d64 d65 d1000 d100000'
digests='md5 sha1 sha224 sha256 sha384 sha512 sha512-256 sha3-256 sha3-512 shake128 blake2b512 blake2s256 sm3 ripemd160'
[ "$level" = full ] || digests='md5 sha1 sha256 sha512 sha3-256 blake2b512'
for d in $digests; do openssl dgst -$d $sizes; done

echo '# ciphers'
ciphers='aes-128-ecb:16 aes-192-ecb:24 aes-256-ecb:32 aes-128-cbc:16 aes-256-cbc:32 aes-128-ctr:16 aes-192-ctr:24 aes-256-ctr:32
	aes-128-cfb:16 aes-256-cfb8:32 aes-128-cfb1:16 aes-256-ofb:32 camellia-128-cbc:16 camellia-256-ctr:32 aria-128-cbc:16
	aria-256-ctr:32 des-ede3-cbc:24 chacha20:32 sm4-cbc:16 sm4-ctr:16'
[ "$level" = full ] || ciphers='aes-128-cbc:16 aes-256-ctr:32 chacha20:32 camellia-128-cbc:16'
for c in $ciphers; do
	n=${c#*:} c=${c%:*}
	for f in d1 d64 d1000 d100000; do
		case $c in
		*-ecb) set -- -K "$(cut_to "$n" $key)" ;;
		des*) set -- -K "$(cut_to "$n" $key)" -iv "$(cut_to 8 $iv)" ;;
		*) set -- -K "$(cut_to "$n" $key)" -iv $iv ;;
		esac
		openssl enc -$c "$@" -in $f -out sealed || echo "enc: $?"
		openssl enc -d -$c "$@" -in sealed -out opened || echo "enc -d: $?"
		cmp $f opened && echo "$c $f $(short <sealed)"
	done
done

echo '# MACs and key derivation'
for d in md5 sha256 sha512; do openssl dgst -$d -mac hmac -macopt hexkey:$key d1000; done
openssl mac -macopt cipher:AES-256-CBC -macopt hexkey:$key -in d100000 CMAC
openssl mac -macopt cipher:AES-256-GCM -macopt hexkey:$key -macopt hexiv:"$(cut_to 12 $iv)" -in d100000 GMAC
openssl mac -macopt hexkey:$key -in d100000 Poly1305
openssl mac -macopt hexkey:"$(cut_to 16 $key)" -in d100000 SipHash
openssl mac -macopt hexkey:$key -in d100000 KMAC256
openssl kdf -keylen 40 -kdfopt digest:SHA256 -kdfopt hexkey:$key -kdfopt salt:salt -kdfopt info:label HKDF
openssl kdf -keylen 40 -kdfopt digest:SHA512 -kdfopt pass:secret -kdfopt salt:salt -kdfopt iter:500 PBKDF2
[ "$level" = quick ] ||
	openssl kdf -keylen 64 -kdfopt pass:secret -kdfopt salt:NaCl -kdfopt n:1024 -kdfopt r:8 -kdfopt p:2 SCRYPT

echo '# keys'
python3 /t/keys.py
sign() { # FILE KEY OPTIONS...: signs, verifies; the signature goes to the file "signature"
	in=$1 k=$2
	shift 2
	openssl pkeyutl -sign -inkey $k.der -keyform DER "$@" -in $in -out signature &&
		openssl pkeyutl -verify -inkey $k.der -keyform DER "$@" -in $in -sigfile signature
}
for k in rsa1024 rsa2048; do
	openssl pkey -inform DER -in $k.der -check -noout
	openssl pkey -inform DER -in $k.der -pubout | short
	sign d100000 $k -rawin -digest sha256
	short <signature
	sign d100000 $k -rawin -digest sha512 -pkeyopt rsa_padding_mode:pss -pkeyopt rsa_pss_saltlen:0
	short <signature
	sign d100000 $k -rawin -digest sha256 -pkeyopt rsa_padding_mode:pss
	openssl pkeyutl -encrypt -inkey $k.der -keyform DER -pkeyopt rsa_padding_mode:oaep -in d63 -out sealed
	openssl pkeyutl -decrypt -inkey $k.der -keyform DER -pkeyopt rsa_padding_mode:oaep -in sealed | cmp - d63 && echo "$k oaep"
done
curves='p256 p384 p521 k256'
[ "$level" = full ] || curves=p256
for k in $curves; do
	openssl pkey -inform DER -in ${k}a.der -pubout | short
	sign d1000 ${k}a -rawin -digest sha256
done
for k in ed25519 ed448; do
	openssl pkey -inform DER -in ${k}a.der -pubout | short
	sign d1000 ${k}a -rawin
	short <signature
done
for k in $curves x25519 x448; do
	openssl pkey -inform DER -in ${k}b.der -pubout -outform DER -out peer.der
	openssl pkeyutl -derive -inkey ${k}a.der -keyform DER -peerkey peer.der -peerform DER | od -An -v -tx1 | tr -d ' \n'
	echo " $k"
done
openssl prime 170141183460469231731687303715884105727
openssl prime 170141183460469231731687303715884105729
