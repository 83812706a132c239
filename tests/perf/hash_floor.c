/*
 * hash_floor.c - what one core's SHA-256 does in memory: hashes MIB mebibytes,
 * 256 KiB over and over. Built and run by hash.py.
 */
#include <openssl/evp.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    static unsigned char block[256 << 10];
    unsigned char digest[EVP_MAX_MD_SIZE];
    long n = argc > 1 ? strtol(argv[1], NULL, 10) * 4 : 0;
    EVP_MD_CTX *c = EVP_MD_CTX_new();

    if (c == NULL || n <= 0 || !EVP_DigestInit_ex(c, EVP_sha256(), NULL))
        return 2;
    while (n-- > 0)
        EVP_DigestUpdate(c, block, sizeof(block));
    EVP_DigestFinal_ex(c, digest, NULL);
    EVP_MD_CTX_free(c);
    return digest[0] == 0 && digest[1] == 0 && digest[2] == 0;
}
