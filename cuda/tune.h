/*
 * tune.h - the sizes by which work is cut for a device. A build for tests
 * sets smaller ones, so that every loop turns more than once.
 */
#ifndef CUDA_TUNE_H
#define CUDA_TUNE_H

#ifndef TUNE_BLOCK
#define TUNE_BLOCK 512 /* tokens of a prompt that pass together */
#endif
#ifndef TUNE_THREADS
#define TUNE_THREADS 256 /* of a block that works on one vector; 32 or more */
#endif
#ifndef TUNE_ROWS_THREADS
#define TUNE_ROWS_THREADS 256 /* of a block that multiplies rows */
#endif
#ifndef TUNE_AHEAD
#define TUNE_AHEAD                                                             \
    2048 /* bytes of a row that are fetched before its vector                  \
          */
#endif
#ifndef TUNE_EARLY
#define TUNE_EARLY 1 /* a token's kernels start before the last one ends */
#endif
#ifndef TUNE_HEAD_WARPS
#define TUNE_HEAD_WARPS 4 /* that share the keys of one query */
#endif
#ifndef TUNE_SPLIT_KEYS
#define TUNE_SPLIT_KEYS 32 /* keys for which one more block is worth it */
#endif
#ifndef TUNE_GEMM_FROM
#define TUNE_GEMM_FROM 8 /* tokens from which the library multiplies */
#endif
#ifndef TUNE_RANGE_BLOCKS
#define TUNE_RANGE_BLOCKS 64 /* that look at the residual stream */
#endif
#ifndef TUNE_RING_BYTES
#define TUNE_RING_BYTES (4 << 20) /* that a thread reads at a time */
#endif
#ifndef TUNE_USE_CACHE
#define TUNE_USE_CACHE 1 /* take what the page cache has; 0: read the disk */
#endif
#ifndef TUNE_CUFILE_DRIVER
#define TUNE_CUFILE_DRIVER                                                     \
    "/proc/driver/nvidia-fs" /* there: cuFile may read                         \
                              */
#endif
#ifndef TUNE_CUFILE_BYTES
#define TUNE_CUFILE_BYTES (256 << 20) /* of the device, that it may take */
#endif
#ifndef TUNE_EASE
#define TUNE_EASE (192 << 20) /* of a device, that layers leave free */
#endif
#ifndef TUNE_WIDE_ROWS
#define TUNE_WIDE_ROWS 2048 /* int8 rows widened at a time for the library */
#endif

#endif
