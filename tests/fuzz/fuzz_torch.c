/*
 * torch files: whatever parses has its tensors inside the file, under names
 * that are text, and they read as they lie there. An input that begins with
 * 'Z' is parts of an archive (kit_zip), so that mutations reach the pickle.
 */
// seeds: tests/fixtures/torch/*.[bcp]* tests/fixtures/numpy/*.pkl
// parts: tests/fixtures/torch/*.[bcp]*
// dict: pickle.dict torch.dict
#include "kit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf file AUTO(buf_free) = BUF_INIT(1 << 24);

    if (size > 0 && data[0] == 'Z') {
        kit_zip(data + 1, size - 1, &file);
        data = (const uint8_t *)file.p;
        size = file.len;
    }
    kit_torch(data, size);
    kit_checkpoint(data, size);
    return 0;
}
