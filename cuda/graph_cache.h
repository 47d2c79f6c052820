// Passes of few rows as CUDA graphs: one launch in place of hundreds.
#pragma once

#include <vector>

#include "cuda/batch_staging.h"
#include "cuda/device_memory.h"
#include "cuda/pass_trial.h"

namespace puna::cuda {

// All that the launches of a pass depend on, but for the contents of device memory.
struct PassKey {
    int32_t n_rows = 0;
    int32_t n_views = 0;
    int32_t n_pages_of_longest = 0;
    std::vector<DeviceOutput> requests;
};

class GraphCache {
  public:
    // What is known of a kind of pass.
    struct Entry {
        PassKey key;
        GraphExec graphs[kPassWays];  // null until they are captured
        uint64_t last_use = 0;
    };

    GraphCache() { entries_.reserve(kMostEntries); }

    // Null for a pass that was not seen before; it is remembered then, in place of that which was not
    // used for longest: a graph pays from its second use on.
    Entry* find(const PassKey& key);

  private:
    // A generation comes along one for each doubling of its length.
    static constexpr size_t kMostEntries = 16;

    std::vector<Entry> entries_;
    uint64_t n_uses_ = 0;
};

// The driver does not launch blocks together, or not within a graph. Nothing is the worse for it.
inline bool is_refusal(cudaError_t error) {
    return error == cudaErrorCooperativeLaunchTooLarge || error == cudaErrorNotSupported ||
           error == cudaErrorStreamCaptureUnsupported || error == cudaErrorStreamCaptureInvalidated;
}

// Captures what `enqueue` enqueues on the stream. A null graph: there was no memory for it, or it was refused.
template <class Enqueue>
Result<GraphExec> capture_graph(Device& device, cudaStream_t stream, const Enqueue& enqueue) {
    PUNA_TRY(device.check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal),
                          "cudaStreamBeginCapture"));
    const cudaError_t enqueued = enqueue();
    cudaGraph_t captured = nullptr;
    const cudaError_t ended = cudaStreamEndCapture(stream, &captured);
    const Graph graph(captured);
    if (is_refusal(enqueued) || is_refusal(ended)) {
        (void)cudaGetLastError();
        return GraphExec();
    }
    PUNA_TRY(device.check(enqueued, "a launch"));
    PUNA_TRY(device.check(ended, "cudaStreamEndCapture"));
    cudaGraphExec_t made = nullptr;
    const cudaError_t instantiated = cudaGraphInstantiate(&made, graph.get(), 0);
    if (instantiated == cudaErrorMemoryAllocation || is_refusal(instantiated)) {
        (void)cudaGetLastError();
        return GraphExec();
    }
    PUNA_TRY(device.check(instantiated, "cudaGraphInstantiate"));
    return GraphExec(made);
}

}  // namespace puna::cuda
