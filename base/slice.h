/* slice.h - how long a thread has the processor at once. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

/*
 * slice_short - short slices for the calling thread, so that one comes soon
 * For who has little to do, and is waited for. Its share stays as it is.
 * Heeded by Linux 6.12 and later.
 */
void slice_short(void);

#endif
