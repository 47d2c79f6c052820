// What the CUDA backend takes of the driver's own interface: the context of a thread.
#pragma once

struct EmulatedContext;
using CUcontext = EmulatedContext*;
enum CUresult { CUDA_SUCCESS = 0, CUDA_ERROR_INVALID_CONTEXT = 201 };

CUresult cuCtxGetCurrent(CUcontext* context);
CUresult cuCtxSetCurrent(CUcontext context);

namespace cuda_emulator {

// A context that a host has created, in which nothing of the CUDA runtime's is valid.
CUcontext context_of_host();
// Whether a GPU got a context, of the CUDA runtime.
bool has_context(int device);

}  // namespace cuda_emulator
