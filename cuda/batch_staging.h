// A batch on its way to the device and its results on their way back: where they lie in pinned and in
// device memory, both of which are taken once.
//
// Input: what the outputs of one chunk of the head want, then rows, views, how rows attend, and pages, so that
// a batch with one chunk is one copy. Where things lie in a batch of few rows follows from the numbers of rows
// and views and from the requests alone: a captured graph finds them again. Results: of one chunk, one output after the other.
#pragma once

#include <span>
#include <vector>

#include "cuda/attention_pieces.h"
#include "cuda/devices.h"
#include "cuda/forward.h"

namespace puna::cuda {

class BatchStaging {
  public:
    // Both outlive this.
    BatchStaging(const Weights& weights, const puna_executor_options& options);

    uint64_t device_bytes() const { return input_capacity_ + result_capacity_; }
    uint64_t pinned_bytes() const { return device_bytes() + hidden_capacity_; }
    void set_memory(uint8_t* device, uint8_t* pinned);

    // Writes a checked batch to pinned memory; nothing of the last one is under way. The requests of its
    // outputs too if they are one chunk. ARGUMENT names a view whose rows are too far from each other.
    Status stage(const puna_batch& batch);
    cudaError_t enqueue_input(const puna_batch& batch, float* hidden_rows, cudaStream_t stream);

    // With the outputs of the chunk, if there is one.
    const DeviceBatch& batch() const { return batch_; }

    int32_t n_chunks() const { return static_cast<int32_t>(chunk_ends_.size()); }
    // Makes a chunk the one that the functions below are about; of the last one nothing is under way.
    void stage_chunk(const puna_batch& batch, int32_t chunk);
    cudaError_t enqueue_chunk_input(cudaStream_t stream);
    // What its outputs want.
    std::span<const DeviceOutput> requests() const { return requests_; }
    const DeviceOutput* device_requests() const { return device_requests_; }
    cudaError_t enqueue_results(cudaStream_t stream);
    // Once the results are here: to the arrays of the batch.
    void deliver(const puna_batch& batch);

    cudaError_t enqueue_hidden_out(const puna_batch& batch, const float* hidden_rows,
                                   cudaStream_t stream);
    void deliver_hidden(const puna_batch& batch);

  private:
    int64_t n_values(const puna_batch_output& output) const;
    uint64_t result_bytes(const puna_batch_output& output) const;
    uint64_t request_bytes(const puna_batch& batch, int32_t begin, int32_t end) const;
    void cut_chunks(const puna_batch& batch);
    void find_pages(const puna_batch& batch);
    void place_pieces(uint64_t pieces, uint64_t alone);
    Status stage_pages(const puna_batch& batch, int32_t* view_pages, int32_t* pages);
    size_t hidden_bytes(const puna_batch& batch) const;

    const Weights& weights_;
    const puna_executor_options& options_;
    uint64_t input_capacity_ = 0;
    uint64_t result_capacity_ = 0;
    uint64_t hidden_capacity_ = 0;
    uint64_t most_pages_ = 0;
    uint8_t* device_input_ = nullptr;
    uint8_t* device_results_ = nullptr;
    uint8_t* input_ = nullptr;
    uint8_t* results_ = nullptr;
    uint8_t* hidden_ = nullptr;

    // Of the batch.
    DeviceBatch batch_;
    uint64_t rows_offset_ = 0;
    uint64_t input_bytes_ = 0;
    std::vector<int32_t> chunk_ends_;   // outputs
    std::vector<int32_t> output_rows_;  // of all outputs
    std::vector<int32_t> first_pages_;  // by view: the pages that its rows see
    std::vector<int32_t> end_pages_;
    AttentionPieces attention_;

    // Of the chunk.
    int32_t chunk_ = 0;
    std::vector<DeviceOutput> requests_;
    const DeviceOutput* device_requests_ = nullptr;
    uint64_t chunk_bytes_ = 0;  // of input
    uint64_t result_bytes_ = 0;
};

}  // namespace puna::cuda
