// Copies a model's tensors to the device: through two pinned buffers, so that reading the file and the
// transfer overlap.
#pragma once

#include "cuda/device_memory.h"

namespace puna::cuda {

class Upload {
  public:
    // `total_bytes`: of all that will be copied, for the progress that the request asks for.
    static Result<Upload> create(Device& device, const puna_layers_request& request,
                                 uint64_t total_bytes);
    Upload(Upload&&) = default;
    ~Upload();

    // `from` has been read on return. CANCELLED, CALLBACK_STOPPED.
    Status copy(uint8_t* to, const void* from, uint64_t size);
    // Waits until all is there.
    Status finish();

  private:
    Upload(Device& device, const puna_layers_request& request, uint64_t total_bytes)
        : device_(&device), request_(&request), total_bytes_(total_bytes) {}
    Status copy_piece(uint8_t* to, const uint8_t* from, uint64_t size);
    Status report() const;

    Device* device_;
    const puna_layers_request* request_;
    uint64_t total_bytes_ = 0;
    uint64_t done_bytes_ = 0;
    uint64_t buffer_bytes_ = 0;
    PinnedMemory buffers_;  // [2][buffer_bytes_]
    Event sent_[2];         // of each buffer
    size_t next_ = 0;
    Stream stream_;  // last: destroyed first
};

}  // namespace puna::cuda
