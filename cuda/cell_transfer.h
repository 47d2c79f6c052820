// Cells of the cache between the host and the device, in the layout of saved states, through a small buffer.
#pragma once

#include <span>

#include "cuda/device_memory.h"
#include "cuda/forward.h"

namespace puna::cuda {

// Bytes of one cell of one layer in that layout.
uint64_t cell_bytes(const KvHalf& half);

class CellTransfer {
  public:
    explicit CellTransfer(const KvCache& cache);

    // The same on the device and pinned.
    uint64_t buffer_bytes() const { return cells_bytes_ + data_bytes_; }
    void set_memory(uint8_t* device, uint8_t* pinned) {
        device_ = device;
        pinned_ = pinned;
    }

    // Both wait until it is done. `layer` is counted within the set.
    Status read(Device& device, const Forward& f, int32_t layer, int32_t keys_or_values,
                std::span<const int32_t> cells, uint8_t* out) const;
    Status write(Device& device, const Forward& f, int32_t layer, int32_t keys_or_values,
                 std::span<const int32_t> cells, const uint8_t* data) const;

  private:
    cudaError_t send_cells(const Forward& f, std::span<const int32_t> cells) const;

    int32_t most_cells_ = 0;  // at a time
    uint64_t cells_bytes_ = 0;
    uint64_t data_bytes_ = 0;
    uint8_t* device_ = nullptr;
    uint8_t* pinned_ = nullptr;
};

}  // namespace puna::cuda
