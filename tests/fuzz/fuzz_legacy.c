/*
 * The legacy stream of torch: an input that does not begin with its magic
 * number stands behind a sound front of three pickles.
 */
// seeds: tests/fixtures/torch/*legacy* tests/fixtures/torch/python2.pt
// dict: pickle.dict torch.dict
#include "kit.h"

static const uint8_t magic[] = { 0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46,
    0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.' };
static const uint8_t front[] = { 0x80, 2, 'M', 0xe9, 3, '.', 0x80, 2, '}', 'U',
    13, 'l', 'i', 't', 't', 'l', 'e', '_', 'e', 'n', 'd', 'i', 'a', 'n', 0x88,
    's', '.' };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf file AUTO(buf_free) = BUF_INIT(1 << 24);

    if (size < sizeof(magic) || memcmp(data, magic, sizeof(magic)) != 0) {
        buf_put(&file, magic, sizeof(magic));
        buf_put(&file, front, sizeof(front));
        buf_put(&file, data, size);
        data = (const uint8_t *)file.p;
        size = file.len;
    }
    kit_torch(data, size);
    kit_checkpoint(data, size);
    return 0;
}
