#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "cuda.h"
#include "cuda_runtime.h"
#include "emulated_launch.h"

struct EmulatedGraph {
    std::vector<std::function<cudaError_t()>> steps;
};
struct EmulatedStream {
    EmulatedGraph* captured = nullptr;  // not null: between begin and end of a capture
    bool invalid = false;               // the capture saw what cannot be captured
};
struct EmulatedEvent {
    bool recorded = false;
};

struct EmulatedContext {
    int device = -1;  // whose primary one it is; none: the host's
    bool created = false;
};

namespace {

struct Device {
    size_t used = 0;
    EmulatedContext primary;
};

struct Machine {
    std::mutex mutex;
    std::map<uintptr_t, std::pair<size_t, int>> device_memory;  // size and device by address
    std::map<uintptr_t, size_t> host_memory;
    std::map<int, Device> devices;
    std::map<const void*, size_t> shared_bytes;  // of kernels that have asked for more
    cudaError_t sticky = cudaSuccess;
    std::string fail_text;  // of the variable when the count began
    long n_calls = 0;
    bool failed = false;
};

Machine& machine() {
    static Machine instance;
    return instance;
}

thread_local cudaError_t last_error = cudaSuccess;
thread_local int current_device = 0;  // while the thread has no context
thread_local CUcontext current_context = nullptr;

constexpr size_t kDefaultBytes = size_t{2} << 30;
constexpr size_t kAlignment = 256;
// Of a block: without asking, and what sm_90 has for a kernel that asks.
constexpr size_t kSharedBytes = 48 * 1024;
constexpr size_t kMostSharedBytes = 227 * 1024;
constexpr int kProcessorSharedBytes = 228 * 1024;
constexpr int kProcessors = 2;

std::string text_of(const char* variable) {
    const char* text = std::getenv(variable);
    return text ? text : "";
}

int n_devices() {
    const std::string text = text_of("PUNA_EMULATED_GPUS");
    return text.empty() ? 1 : std::atoi(text.c_str());
}

size_t device_bytes() {
    const std::string text = text_of("PUNA_EMULATED_GPU_BYTES");
    return text.empty() ? kDefaultBytes : static_cast<size_t>(std::atoll(text.c_str()));
}

cudaError_t keep(cudaError_t error) {
    if (error != cudaSuccess && error != cudaErrorNotReady) last_error = error;
    return error;
}

cudaError_t stick(cudaError_t error) {
    machine().sticky = error;
    return keep(error);
}

// What every call that can fail begins with.
cudaError_t enter() {
    Machine& m = machine();
    const std::lock_guard<std::mutex> lock(m.mutex);
    std::string text = text_of("PUNA_EMULATED_GPU_FAIL_CALL");
    if (text != m.fail_text) {
        m.fail_text = std::move(text);
        m.n_calls = 0;
        m.failed = false;
    }
    ++m.n_calls;
    if (!m.fail_text.empty() && m.n_calls >= std::atol(m.fail_text.c_str())) {
        return keep(cudaErrorIllegalAddress);
    }
    return keep(m.sticky);
}

#define ENTER() \
    if (const cudaError_t entered = enter(); entered != cudaSuccess) return entered

// Makes the primary context of a device, which is created if need be, that of the thread.
cudaError_t use_primary_context(int device) {
    if (!text_of("PUNA_EMULATED_GPU_NO_CONTEXT").empty()) return keep(cudaErrorMemoryAllocation);
    Machine& m = machine();
    const std::lock_guard<std::mutex> lock(m.mutex);
    EmulatedContext& primary = m.devices[device].primary;
    if (!primary.created) primary = {device, true};
    current_context = &primary;
    current_device = device;
    return cudaSuccess;
}

// What every call begins with that needs a context: the thread's, or else that of its device. What is
// allocated or launched in one of the host's would be lost to the plugin.
cudaError_t enter_context() {
    const cudaError_t error = enter();
    if (error != cudaSuccess) return error;
    if (!current_context) return use_primary_context(current_device);
    if (current_context->device < 0) return keep(cudaErrorInvalidResourceHandle);
    return use_primary_context(current_context->device);
}

#define ENTER_CONTEXT() \
    if (const cudaError_t entered = enter_context(); entered != cudaSuccess) return entered

bool is_device_range(const void* memory, size_t size) {
    Machine& m = machine();
    const std::lock_guard<std::mutex> lock(m.mutex);
    const auto address = reinterpret_cast<uintptr_t>(memory);
    auto after = m.device_memory.upper_bound(address);
    if (after == m.device_memory.begin()) return false;
    const auto& [begin, block] = *--after;
    return address - begin <= block.first && size <= block.first - (address - begin);
}

// Runs a step, or keeps it for the graph.
cudaError_t enqueue(cudaStream_t stream, std::function<cudaError_t()> step) {
    if (stream && stream->captured) {
        stream->captured->steps.push_back(std::move(step));
        return cudaSuccess;
    }
    return step();
}

cudaError_t copy(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                 size_t height, cudaMemcpyKind kind) {
    if (width == 0 || height == 0) return cudaSuccess;
    const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    const bool any = kind == cudaMemcpyDefault;
    if (!any && (is_device_range(to, (height - 1) * to_pitch + width) != to_device ||
                 is_device_range(from, (height - 1) * from_pitch + width) != from_device)) {
        return stick(cudaErrorIllegalAddress);
    }
    for (size_t i = 0; i < height; ++i) {
        std::memmove(static_cast<char*>(to) + i * to_pitch,
                     static_cast<const char*>(from) + i * from_pitch, width);
    }
    return cudaSuccess;
}

// Not longer than what kernels may read, so that sanitizers see what is beyond: words of 4 bytes.
void* allocate(size_t size) {
    void* memory = nullptr;
    return posix_memalign(&memory, kAlignment, (size + 3) / 4 * 4) == 0 ? memory : nullptr;
}

}  // namespace

// ---- Devices ------------------------------------------------------------------------------------

cudaError_t cudaDriverGetVersion(int* version) {
    *version = CUDART_VERSION;
    return enter();
}

cudaError_t cudaRuntimeGetVersion(int* version) {
    *version = CUDART_VERSION;
    return enter();
}

cudaError_t cudaGetDeviceCount(int* count) {
    *count = 0;
    ENTER();
    *count = n_devices();
    return *count > 0 ? cudaSuccess : keep(cudaErrorNoDevice);
}

cudaError_t cudaGetDevice(int* device) {
    *device =
        current_context && current_context->device >= 0 ? current_context->device : current_device;
    return enter();
}

cudaError_t cudaSetDevice(int device) {
    ENTER();
    if (device < 0 || device >= n_devices()) return keep(cudaErrorInvalidDevice);
    return use_primary_context(device);  // from CUDA 12 on
}

cudaError_t cudaGetDriverEntryPoint(const char* symbol, void** call, unsigned long long) {
    ENTER();
    const std::string name = symbol;
    if (name == "cuCtxGetCurrent") {
        *call = reinterpret_cast<void*>(cuCtxGetCurrent);
    } else if (name == "cuCtxSetCurrent") {
        *call = reinterpret_cast<void*>(cuCtxSetCurrent);
    } else {
        return keep(cudaErrorInvalidValue);
    }
    return cudaSuccess;
}

CUresult cuCtxGetCurrent(CUcontext* context) {
    *context = current_context;
    return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext context) {
    current_context = context;
    return CUDA_SUCCESS;
}

CUcontext cuda_emulator::context_of_host() {
    static EmulatedContext context;
    return &context;
}

bool cuda_emulator::has_context(int device) {
    Machine& m = machine();
    const std::lock_guard<std::mutex> lock(m.mutex);
    return m.devices[device].primary.created;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
    ENTER();
    if (device < 0 || device >= n_devices()) return keep(cudaErrorInvalidDevice);
    *properties = {};
    std::snprintf(properties->name, sizeof properties->name, "Emulated GPU %d", device);
    properties->totalGlobalMem = device_bytes();
    properties->sharedMemPerBlock = kSharedBytes;
    properties->sharedMemPerBlockOptin = kMostSharedBytes;
    properties->warpSize = 32;
    properties->maxThreadsPerBlock = 1024;
    properties->major = 8;
    properties->minor = 0;
    properties->multiProcessorCount = kProcessors;
    properties->pciBusID = device + 1;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
    cudaDeviceProp properties;
    const cudaError_t error = cudaGetDeviceProperties(&properties, device);
    if (error != cudaSuccess) return error;
    switch (attribute) {
        case cudaDevAttrMaxThreadsPerBlock:
            *value = properties.maxThreadsPerBlock;
            break;
        case cudaDevAttrMaxSharedMemoryPerBlock:
            *value = static_cast<int>(properties.sharedMemPerBlock);
            break;
        case cudaDevAttrMaxSharedMemoryPerBlockOptin:
            *value = static_cast<int>(properties.sharedMemPerBlockOptin);
            break;
        case cudaDevAttrMultiProcessorCount:
            *value = properties.multiProcessorCount;
            break;
        case cudaDevAttrIntegrated:
            *value = properties.integrated;
            break;
        case cudaDevAttrComputeCapabilityMajor:
            *value = properties.major;
            break;
        case cudaDevAttrComputeCapabilityMinor:
            *value = properties.minor;
            break;
        case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
            *value = kProcessorSharedBytes;
            break;
        case cudaDevAttrCooperativeLaunch:
            *value = 1;
            break;
        default:
            return keep(cudaErrorInvalidValue);
    }
    return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
    *attributes = {1024, 90, 90};
    return enter_context();
}

cudaError_t cudaDeviceGetPCIBusId(char* text, int size, int device) {
    ENTER();
    std::snprintf(text, static_cast<size_t>(size), "0000:%02x:00.0", device + 1);
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
    return enter_context();
}

cudaError_t cudaDeviceReset() {
    machine().sticky = cudaSuccess;
    last_error = cudaSuccess;
    return cudaSuccess;
}

cudaError_t cudaGetLastError() {
    return std::exchange(last_error, machine().sticky);
}

cudaError_t cudaPeekAtLastError() {
    return last_error;
}

const char* cudaGetErrorName(cudaError_t error) {
    switch (error) {
        case cudaSuccess:
            return "cudaSuccess";
        case cudaErrorInvalidValue:
            return "cudaErrorInvalidValue";
        case cudaErrorMemoryAllocation:
            return "cudaErrorMemoryAllocation";
        case cudaErrorInvalidConfiguration:
            return "cudaErrorInvalidConfiguration";
        case cudaErrorNoDevice:
            return "cudaErrorNoDevice";
        case cudaErrorInvalidDevice:
            return "cudaErrorInvalidDevice";
        case cudaErrorIllegalAddress:
            return "cudaErrorIllegalAddress";
        case cudaErrorLaunchFailure:
            return "cudaErrorLaunchFailure";
        default:
            return "another error of the emulator";
    }
}

const char* cudaGetErrorString(cudaError_t error) {
    if (error == cudaErrorLaunchFailure) return cuda_emulator::last_fault();
    return error == cudaErrorMemoryAllocation ? "out of memory" : cudaGetErrorName(error);
}

// ---- Memory -------------------------------------------------------------------------------------

cudaError_t cudaMalloc(void** memory, size_t size) {
    *memory = nullptr;
    ENTER_CONTEXT();
    if (size == 0) return cudaSuccess;
    Machine& m = machine();
    const std::lock_guard<std::mutex> lock(m.mutex);
    Device& device = m.devices[current_device];
    if (device.used > device_bytes() || size > device_bytes() - device.used) {
        return keep(cudaErrorMemoryAllocation);
    }
    void* block = allocate(size);
    if (!block) return keep(cudaErrorMemoryAllocation);
    std::memset(block, 0xff, size);
    device.used += size;
    m.device_memory[reinterpret_cast<uintptr_t>(block)] = {size, current_device};
    *memory = block;
    return cudaSuccess;
}

cudaError_t cudaMallocAsync(void** memory, size_t size, cudaStream_t) {
    return cudaMalloc(memory, size);
}

// Memory is given back whatever is returned, so that tests of failures leak nothing.
cudaError_t cudaFree(void* memory) {
    if (memory) {
        Machine& m = machine();
        const std::lock_guard<std::mutex> lock(m.mutex);
        const auto found = m.device_memory.find(reinterpret_cast<uintptr_t>(memory));
        if (found == m.device_memory.end()) return stick(cudaErrorInvalidValue);
        m.devices[found->second.second].used -= found->second.first;
        m.device_memory.erase(found);
        std::free(memory);
    }
    return enter();
}

cudaError_t cudaFreeAsync(void* memory, cudaStream_t) {
    return cudaFree(memory);
}

cudaError_t cudaMallocHost(void** memory, size_t size) {
    *memory = nullptr;
    ENTER_CONTEXT();
    if (size == 0) return cudaSuccess;
    *memory = allocate(size);
    if (!*memory) return keep(cudaErrorMemoryAllocation);
    Machine& m = machine();
    const std::lock_guard<std::mutex> lock(m.mutex);
    m.host_memory[reinterpret_cast<uintptr_t>(*memory)] = size;
    return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** memory, size_t size, unsigned) {
    return cudaMallocHost(memory, size);
}

cudaError_t cudaFreeHost(void* memory) {
    if (memory) {
        Machine& m = machine();
        const std::lock_guard<std::mutex> lock(m.mutex);
        if (m.host_memory.erase(reinterpret_cast<uintptr_t>(memory)) == 0) {
            return stick(cudaErrorInvalidValue);
        }
        std::free(memory);
    }
    return enter();
}

cudaError_t cudaHostRegister(void*, size_t, unsigned) {
    return enter();
}

cudaError_t cudaHostUnregister(void*) {
    return enter();
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
    *free = 0;
    *total = 0;
    ENTER_CONTEXT();
    Machine& m = machine();
    const std::lock_guard<std::mutex> lock(m.mutex);
    const size_t used = m.devices[current_device].used;
    *total = device_bytes();
    *free = *total > used ? *total - used : 0;
    return cudaSuccess;
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t size, cudaMemcpyKind kind) {
    return cudaMemcpyAsync(to, from, size, kind, nullptr);
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t size, cudaMemcpyKind kind,
                            cudaStream_t stream) {
    return cudaMemcpy2DAsync(to, size, from, size, size, 1, kind, stream);
}

cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch,
                              size_t width, size_t height, cudaMemcpyKind kind,
                              cudaStream_t stream) {
    ENTER_CONTEXT();
    return enqueue(stream,
                   [=] { return copy(to, to_pitch, from, from_pitch, width, height, kind); });
}

cudaError_t cudaMemset(void* memory, int value, size_t size) {
    return cudaMemsetAsync(memory, value, size, nullptr);
}

cudaError_t cudaMemsetAsync(void* memory, int value, size_t size, cudaStream_t stream) {
    ENTER_CONTEXT();
    return enqueue(stream, [=] {
        if (size == 0) return cudaSuccess;
        if (!is_device_range(memory, size)) return stick(cudaErrorIllegalAddress);
        std::memset(memory, value, size);
        return cudaSuccess;
    });
}

// ---- Streams, events, graphs --------------------------------------------------------------------

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
    *stream = nullptr;
    ENTER_CONTEXT();
    *stream = new EmulatedStream;
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
    return cudaStreamCreate(stream);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    if (stream) delete stream->captured;
    delete stream;
    return enter();
}

// Waiting for a stream that is being captured is an error, which spoils the capture.
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    ENTER();
    if (!stream || !stream->captured) return cudaSuccess;
    stream->invalid = true;
    return keep(cudaErrorStreamCaptureUnsupported);
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
    return cudaStreamSynchronize(stream);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) {
    return enter();
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
    *event = nullptr;
    ENTER_CONTEXT();
    *event = new EmulatedEvent;
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
    return cudaEventCreate(event);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    delete event;
    return enter();
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
    ENTER();
    event->recorded = true;
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t) {
    return enter();
}

cudaError_t cudaEventQuery(cudaEvent_t) {
    return enter();
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t, cudaEvent_t) {
    *milliseconds = 0.0f;
    return enter();
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
    ENTER();
    if (!stream || stream->captured) return keep(cudaErrorStreamCaptureUnsupported);
    stream->captured = new EmulatedGraph;
    stream->invalid = false;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
    *graph = nullptr;
    EmulatedGraph* captured = stream ? std::exchange(stream->captured, nullptr) : nullptr;
    const cudaError_t error = enter();
    if (error == cudaSuccess && captured && !stream->invalid) {
        *graph = captured;
        return cudaSuccess;
    }
    delete captured;
    return error != cudaSuccess ? error : keep(cudaErrorStreamCaptureInvalidated);
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* n_nodes) {
    *n_nodes = 0;
    ENTER();
    if (nodes) return keep(cudaErrorNotSupported);
    *n_nodes = graph->steps.size();
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
    *exec = nullptr;
    ENTER();
    *exec = new EmulatedGraph(*graph);
    return cudaSuccess;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) {
    return enter();
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t) {
    ENTER();
    for (const auto& step : exec->steps) {
        if (const cudaError_t error = step(); error != cudaSuccess) return error;
    }
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete graph;
    return enter();
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
    delete exec;
    return enter();
}

// ---- Kernels ------------------------------------------------------------------------------------

namespace {

// What the driver keeps of each block's share counts too.
uint64_t blocks_of_processor(size_t shared_bytes) {
    return kProcessorSharedBytes / (shared_bytes + 1024);
}

size_t shared_bytes_of(const void* kernel) {
    Machine& m = machine();
    const std::lock_guard<std::mutex> lock(m.mutex);
    const auto found = m.shared_bytes.find(kernel);
    return found == m.shared_bytes.end() ? kSharedBytes : found->second;
}

}  // namespace

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
    ENTER_CONTEXT();
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
    const auto bytes = static_cast<size_t>(value);
    if (value < 0 || bytes > kMostSharedBytes) return keep(cudaErrorInvalidValue);
    Machine& m = machine();
    const std::lock_guard<std::mutex> lock(m.mutex);
    m.shared_bytes[kernel] = bytes;
    return cudaSuccess;
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* n_blocks, const void* kernel, int,
                                                          size_t shared_bytes) {
    ENTER_CONTEXT();
    const bool fits = shared_bytes <= shared_bytes_of(kernel);
    *n_blocks = fits ? static_cast<int>(blocks_of_processor(shared_bytes)) : 0;
    return cudaSuccess;
}

namespace cuda_emulator {

cudaError_t launch(const void* kernel, dim3 grid, dim3 block, size_t shared_bytes,
                   cudaStream_t stream, std::function<void()> thread, LaunchKind kind,
                   int cluster) {
    ENTER_CONTEXT();
    const uint64_t n_threads = uint64_t{block.x} * block.y * block.z;
    const bool is_cooperative = kind == LaunchKind::kCooperates;
    const uint64_t n_resident = kProcessors * blocks_of_processor(shared_bytes);
    if (is_cooperative && uint64_t{grid.x} * grid.y * grid.z > n_resident) {
        return keep(cudaErrorCooperativeLaunchTooLarge);
    }
    const bool fits = grid.x > 0 && grid.y > 0 && grid.z > 0 && grid.x <= 0x7fffffffu &&
                      grid.y <= 65535 && grid.z <= 65535 && n_threads > 0 && n_threads <= 1024 &&
                      block.z <= 64 && shared_bytes <= shared_bytes_of(kernel);
    const bool has_whole_clusters =
        cluster >= 1 && cluster <= 8 && grid.x % static_cast<unsigned>(cluster) == 0;
    if (!fits || !has_whole_clusters) return keep(cudaErrorInvalidConfiguration);
    const Launch work = {{grid.x, grid.y, grid.z},
                         {block.x, block.y, block.z},
                         shared_bytes,
                         std::move(thread),
                         kind == LaunchKind::kOverlaps,
                         is_cooperative,
                         static_cast<unsigned>(cluster)};
    return enqueue(stream,
                   [work] { return run(work) ? cudaSuccess : stick(cudaErrorLaunchFailure); });
}

}  // namespace cuda_emulator
