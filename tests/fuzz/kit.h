/*
 * kit.h - what the fuzzers share: promises, files made of an input, archives
 * built around one, and all that is done with a checkpoint once it is open.
 */
#ifndef TESTS_FUZZ_KIT_H
#define TESTS_FUZZ_KIT_H

#include "base/buf.h"
#include "formats/checkpoint.h"
#include "formats/torch.h"
#include "verify-run/config.h"

/* The one function of a fuzzer; both engines call it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* must - end here, as a finding, when a promise is broken. */
#define must(promise)                                                          \
    ((promise) ? (void)0 : kit_broken(#promise, __FILE__, __LINE__))

_Noreturn void kit_broken(const char *promise, const char *file, int line);

/* kit_failed - a failure has a kind that is not BUG, and a text. */
void kit_failed(const struct err *e);

/* kit_path - the path of a file in memory with these bytes; slot 0 to 3. */
const char *kit_path(unsigned slot, const void *bytes, size_t len);

/*
 * kit_zip - an archive of parts, so that mutations reach past its checks
 * in    any number of: flags (1 byte, enum kit_flag), length of the name
 *       (1), length of the data (2, little-endian), name, data; the last
 *       one may be cut short
 * out   the archive, its offsets and sizes right but for what flags ask
 */
enum kit_flag {
    KIT_ZIP64 = 1,      /* sizes in the extra field */
    KIT_DEFLATED = 2,   /* says so */
    KIT_DESCRIPTOR = 4, /* sizes behind the data */
    KIT_PADDED = 8,     /* data begin at a multiple of 64, as torch writes */
    KIT_OTHER_NAME = 16 /* the local header says another name */
};
void kit_zip(const uint8_t *in, size_t len, struct buf *out);

/* kit_tensor_inside - all a view reaches lies in its storage, that in size. */
bool kit_tensor_inside(const struct tensor *t, uint64_t size);

/* kit_torch - parse a torch file and hold it against torch.h's promises. */
void kit_torch(const uint8_t *bytes, size_t len);

/*
 * kit_checkpoint - open these bytes as a checkpoint and read what is in it:
 * every tensor in parts and as a whole, against a reader that goes element
 * by element; then cast it, with the counts compared. A few thousand
 * elements at most.
 */
void kit_checkpoint(const uint8_t *bytes, size_t len);

/* kit_config - its numbers can be multiplied, divided and allocated by. */
void kit_config(const struct model_config *c);

#endif
