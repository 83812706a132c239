/* Which device, and what it is. */
#include <stdio.h>

#include "base/human.h"
#include "cuda/gpu_internal.h"

int gpu_failed(struct err *e, const char *what, cudaError_t rc)
{
    return err_set(e, rc == cudaErrorMemoryAllocation ? ERR_NOSPACE : ERR_IO,
        "%s: %s", what, cudaGetErrorString(rc));
}

/* Kernels are there from this generation on (Turing). */
static bool is_usable(int device)
{
    int major = 0;
    int minor = 0;

    return cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor,
               device) == cudaSuccess &&
           cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor,
               device) == cudaSuccess &&
           10 * major + minor >= 75;
}

int gpu_choose_device(int *out, struct err *e)
{
    int n = 0;
    size_t most = 0;
    bool found = false;
    cudaError_t rc = cudaGetDeviceCount(&n);

    if (rc == cudaErrorInsufficientDriver)
        return err_set(e, ERR_IO,
            "no NVIDIA driver here, or one too old for CUDA %d.%d",
            CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
    if (rc != cudaSuccess)
        return err_set(e, ERR_IO, "no device: %s", cudaGetErrorString(rc));
    for (int i = 0; i < n; i++) {
        size_t left, all;

        if (!is_usable(i) || cudaSetDevice(i) != cudaSuccess ||
            cudaMemGetInfo(&left, &all) != cudaSuccess)
            continue;
        if (!found || left > most) {
            *out = i;
            most = left;
        }
        found = true;
    }
    cudaGetLastError(); /* a device that is passed over fails no pass */
    if (!found)
        return err_set(e, ERR_IO,
            "%d device%s, none that can be used: it takes one of compute "
            "capability 7.5 or later that is free",
            n, n == 1 ? "" : "s");
    rc = cudaSetDevice(*out);
    return rc == cudaSuccess ? 0 : gpu_failed(e, "the device", rc);
}

cudaError_t gpu_use(const struct plugin_state *s)
{
    return cudaSetDevice(s->number);
}

void gpu_describe(int device, char out[BACKEND_DEVICE_MAX])
{
    struct cudaDeviceProp prop;
    char size[HUMAN_MAX];
    int driver = 0;

    if (cudaGetDeviceProperties(&prop, device) != cudaSuccess ||
        cudaDriverGetVersion(&driver) != cudaSuccess) {
        snprintf(out, BACKEND_DEVICE_MAX, "device %d", device);
        return;
    }
    snprintf(out, BACKEND_DEVICE_MAX, "%.64s, %s, driver for CUDA %d.%d",
        prop.name, human_size(size, prop.totalGlobalMem), driver / 1000,
        driver % 1000 / 10);
}
