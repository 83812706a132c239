/* What the emulator's two halves know of each other. */
#ifndef EMULATOR_FIBERS_H
#define EMULATOR_FIBERS_H

#include "cuda_runtime.h"

/* emulated_holds - is all of this in the device's memory? */
bool emulated_holds(const void *p, size_t n);

/* emulated_block - one block, of which blockIdx and blockDim are set. */
void emulated_block(std::function<void()> *body, void *shared);

/* emulated_aside - other blocks, while the threads of this one stand still. */
void emulated_aside(const std::function<void()> &f);

/* emulated_chance - a number below this; EMULATE_SEED makes it another one. */
uint32_t emulated_chance(uint32_t below);

/*
 * emulated_drops - is the barrier at this place left out on purpose?
 * EMULATE_DROP names one, "file:line"; EMULATE_SITES a file to which all that
 * are met are written.
 */
bool emulated_drops(const char *file, int line);

#endif
