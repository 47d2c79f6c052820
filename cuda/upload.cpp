#include "cuda/upload.h"

#include <algorithm>
#include <cstring>

namespace puna::cuda {

namespace {

// A few milliseconds of the slowest bus: how often the load can be stopped.
constexpr uint64_t kBufferBytes = uint64_t{4} << 20;

}  // namespace

Result<Upload> Upload::create(Device& device, const puna_layers_request& request,
                              uint64_t total_bytes) {
    Upload upload(device, request, total_bytes);
    upload.buffer_bytes_ = std::min(total_bytes, kBufferBytes);
    PUNA_TRY_ASSIGN(upload.buffers_,
                    allocate_pinned(device, 2 * upload.buffer_bytes_, "the upload"));
    for (Event& event : upload.sent_) {
        PUNA_TRY_ASSIGN(event, create_event(device));
    }
    PUNA_TRY_ASSIGN(upload.stream_, create_stream(device));
    return upload;
}

// After a failure copies may still be under way.
Upload::~Upload() {
    if (stream_.get() && cudaStreamSynchronize(stream_.get()) != cudaSuccess) {
        (void)cudaGetLastError();
    }
}

Status Upload::report() const {
    if (request_->interrupted && request_->interrupted(request_->progress_user) != 0) {
        return make_status(PUNA_ERROR_CANCELLED, "the load was interrupted");
    }
    const double share = static_cast<double>(done_bytes_) / static_cast<double>(total_bytes_);
    if (request_->progress &&
        request_->progress(static_cast<float>(share), request_->progress_user) != 0) {
        return make_status(PUNA_ERROR_CALLBACK_STOPPED, "the load was stopped by its callback");
    }
    return {};
}

Status Upload::copy_piece(uint8_t* to, const uint8_t* from, uint64_t size) {
    uint8_t* buffer = buffers_.data() + next_ * buffer_bytes_;
    const Event& sent = sent_[next_];
    next_ ^= 1;
    // An event that was never recorded is no wait.
    PUNA_TRY(device_->check(cudaEventSynchronize(sent.get()), "upload"));
    std::memcpy(buffer, from, static_cast<size_t>(size));
    PUNA_TRY(device_->check(cudaMemcpyAsync(to, buffer, static_cast<size_t>(size),
                                            cudaMemcpyHostToDevice, stream_.get()),
                            "upload"));
    return device_->check(cudaEventRecord(sent.get(), stream_.get()), "upload");
}

Status Upload::copy(uint8_t* to, const void* from, uint64_t size) {
    const auto* bytes = static_cast<const uint8_t*>(from);
    for (uint64_t done = 0; done < size;) {
        const uint64_t piece = std::min(size - done, buffer_bytes_);
        PUNA_TRY(copy_piece(to + done, bytes + done, piece));
        done += piece;
        done_bytes_ += piece;
        PUNA_TRY(report());
    }
    return {};
}

Status Upload::finish() {
    return device_->check(cudaStreamSynchronize(stream_.get()), "upload");
}

}  // namespace puna::cuda
